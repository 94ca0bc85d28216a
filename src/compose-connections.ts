/** Wires the connections room: its objects, its way out, and the runs that it wakes. */
import { createAccessAudit } from "./access/index.ts";
import { objectNamed } from "./compose-objects.ts";
import {
  type ConnectionRpc,
  type Connections,
  type ConnectionWiring,
  createConnections,
  createProviderClient,
  siblingsOf,
  writeMirrored,
} from "./connections/index.ts";
import { type Egress, type Logger, objectName } from "./platform/index.ts";
import type { RunRpc } from "./run/index.ts";
import type { Vault } from "./vault/index.ts";

export interface ConnectionParts {
  readonly vault: Vault;
  readonly serverKey: () => Promise<CryptoKey>;
  readonly egress: Egress;
  readonly ownHosts: readonly string[];
  readonly run: (tenant: string, id: string) => RunRpc;
  readonly log: Logger;
}

export interface ComposedConnections {
  readonly connections: Connections;
  /** What a connection object is given when it is constructed. */
  readonly wiring: ConnectionWiring;
}

/** One of each per isolate. */
export function composeConnections(
  env: Env,
  { vault, serverKey, egress, ownHosts, run, log }: ConnectionParts,
): ComposedConnections {
  const now = (): number => Date.now();
  const provider = createProviderClient({ egress, log, now });
  const object = (tenant: string, id: string): ConnectionRpc => connectionObject(env, tenant, id);
  return {
    connections: createConnections({
      ...{ db: env.DB, vault, provider, serverKey, egress, ownHosts, log, now },
      object,
      audit: createAccessAudit(env.DB),
    }),
    wiring: {
      ...{ vault, provider, log, now },
      mirror: async (mirrored) => writeMirrored(env.DB, await serverKey(), mirrored),
      siblings: async (granted) => siblingsOf({ db: env.DB, object, serverKey }, granted),
      async wake(tenant, id, change) {
        const told = await run(tenant, id).connectionChanged(tenant, change);
        // A run that is over or gone waits for nothing; one that cannot go on just now is told again.
        if (!told.ok && told.code === "unavailable") throw new Error("The run cannot be told just now.");
      },
    },
  };
}

function connectionObject(env: Env, tenant: string, id: string): ConnectionRpc {
  return objectNamed(env.CONNECTION, env.DB, objectName("connection", tenant, id)) as ConnectionRpc;
}

/**
 * Reads PUBLIC_ORIGIN: where browsers find this deployment. Null: where the request came to. Throws a TypeError for what is
 * not the origin of an https address.
 */
export function parsePublicOrigin(variable: string | undefined): string | null {
  if (variable === undefined || variable === "") return null;
  const url = URL.parse(variable);
  if (url === null || url.protocol !== "https:" || url.origin !== variable)
    throw new TypeError("PUBLIC_ORIGIN must be an https origin like https://showcaller.example.com.");
  return variable;
}
