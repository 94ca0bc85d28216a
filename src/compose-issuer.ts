/** Wires the issuer: its objects, and who may speak for this deployment. */
import { createAccessAudit } from "./access/index.ts";
import { objectNamed } from "./compose-objects.ts";
import {
  createIssuer,
  type Issuer,
  type IssuerRpc,
  type IssuerWiring,
  issuerUrl,
  parseEnvironment,
  parseIssuerOrigin,
  selectIssuer,
  writeIssuer,
} from "./identity/index.ts";
import { type Logger, objectName } from "./platform/index.ts";
import type { Vault } from "./vault/index.ts";

export interface ComposedIssuer {
  /** Null: ISSUER_ORIGIN is not set, so workflows have no identity here. */
  readonly issuer: Issuer | null;
  /** What an issuer object is given when it is constructed. */
  readonly wiring: IssuerWiring;
}

/** One of each per isolate. Throws a TypeError if ISSUER_ORIGIN or ENVIRONMENT is not what it should be. */
export function composeIssuer(env: Env, vault: Vault, log: Logger): ComposedIssuer {
  const origin = parseIssuerOrigin(env.ISSUER_ORIGIN);
  const environment = parseEnvironment(env.ENVIRONMENT);
  const now = (): number => Date.now();
  const shared = { db: env.DB, vault, log, now };
  return {
    issuer:
      origin === null
        ? null
        : createIssuer({
            ...{ ...shared, origin, environment, audit: createAccessAudit(env.DB) },
            object: (tenant) => issuerObject(env, tenant),
          }),
    wiring: {
      ...shared,
      issuerOf: (tenant) => (origin === null ? null : issuerUrl(origin, tenant)),
      mirror: async (issuer) => writeIssuer(env.DB, issuer),
      known: async (tenant) => selectIssuer(env.DB, tenant),
    },
  };
}

function issuerObject(env: Env, tenant: string): IssuerRpc {
  return objectNamed(env.ISSUER, env.DB, objectName("issuer", tenant, "main")) as IssuerRpc;
}
