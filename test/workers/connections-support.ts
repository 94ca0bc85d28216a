/** The connections room over real objects and the real database, with an outside that the test answers for. */
import { env } from "cloudflare:workers";
import { createAccessAudit } from "../../src/access/index.ts";
import {
  type ConnectionRpc,
  type Connections,
  createConnections,
  createProviderClient,
} from "../../src/connections/index.ts";
import { createRegistry, type Registry } from "../../src/define/index.ts";
import {
  createLogger,
  type EgressRequest,
  type EgressResult,
  importHmacKey,
  objectName,
  fromBase64,
} from "../../src/platform/index.ts";
import type { RunRpc } from "../../src/run/index.ts";
import { createKeyCheck, createVault, loadKeyring } from "../../src/vault/index.ts";
import { client, type Client, expectAnswer, ROOT_KEY } from "./api-support.ts";

export interface Asked {
  readonly request: EgressRequest;
  readonly form: URLSearchParams;
}

export interface Lender {
  readonly door: Client;
  readonly room: Connections;
  /** What was asked of the outside, newest last. */
  readonly asked: Asked[];
  /** What the outside answers from now on: a status and a JSON body, or a failure. */
  answer: (asked: Asked) => readonly [status: number, body: unknown] | EgressResult;
  /** Lines of the room's log. */
  readonly lines: string[];
  readonly object: (tenant: string, id: string) => ConnectionRpc;
}

export function lender(
  runs: (tenant: string, id: string) => RunRpc = noRuns,
  workflows: Registry = createRegistry([]),
): Lender {
  const lines: string[] = [];
  const log = createLogger("debug", (_, line) => lines.push(line));
  const now = (): number => Date.now();
  const keyring = loadKeyring(env.KEYRING);
  const vault = createVault(keyring, createKeyCheck({ db: env.DB, log, now }));
  const asked: Asked[] = [];
  const state: Pick<Lender, "answer"> = { answer: () => [500, {}] };
  const egress = async (request: EgressRequest): Promise<EgressResult> => {
    const form = new URLSearchParams(typeof request.body === "string" ? request.body : "");
    const one = { request, form };
    asked.push(one);
    const answer = state.answer(one);
    if ("kind" in answer) return answer;
    const [status, body] = answer;
    const bytes = new TextEncoder().encode(JSON.stringify(body));
    return { kind: "answered", status, headers: {}, body: bytes, redirects: 0 };
  };
  let key: CryptoKey | undefined;
  const serverKey = async (): Promise<CryptoKey> =>
    (key ??= await importHmacKey(fromBase64(env.SERVER_KEY) ?? new Uint8Array()));
  const object = (tenant: string, id: string): ConnectionRpc => {
    const stub: unknown = env.CONNECTION.getByName(objectName("connection", tenant, id));
    return stub as ConnectionRpc;
  };
  const room = createConnections({
    ...{ db: env.DB, vault, egress, log, now, serverKey, object, ownHosts: ["*.showcaller.test"] },
    provider: createProviderClient({ egress, log, now }),
    audit: createAccessAudit(env.DB),
  });
  const door = client({
    ...{ runs, workflows, connections: () => room },
    runIdOf: async () => {
      throw new Error("No run is started with a key here.");
    },
  });
  return Object.assign(state, { door, room, asked, lines, object });
}

function noRuns(): never {
  throw new Error("A run was reached.");
}

/** A new tenant, with the text of an admin key. */
export async function tenantOf({ door }: Lender, id: string): Promise<string> {
  const made = await door.send("POST", "/v1/tenants", { key: ROOT_KEY, body: { id } });
  await expectAnswer(made, "createTenant", 201);
  const key = await door.send("POST", `/v1/tenants/${id}/keys`, { key: ROOT_KEY, body: { name: "admin" } });
  return (await expectAnswer<{ key: string }>(key, "createAdminKey", 201)).key;
}

/** All that the database holds, as text. */
export async function databaseText(): Promise<string> {
  const { results } = await env.DB.prepare(
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite%'",
  ).all<{ name: string }>();
  const tables = await Promise.all(
    results.map(async ({ name }) => (await env.DB.prepare(`SELECT * FROM "${name}"`).all()).results),
  );
  return JSON.stringify(tables);
}
