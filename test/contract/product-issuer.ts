/** The product's own issuer as a source of identity tokens: in the real runtime, under `wrangler dev`, with one tenant. */
import { createPrivateKey, randomUUID } from "node:crypto";
import { request as ask } from "node:http";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  decodeJwt,
  decodeProtectedHeader,
  exportSPKI,
  generateKeyPair,
  importJWK,
  type JWK,
  SignJWT,
} from "jose";
import type { MintRequest } from "../../src/identity/index.ts";
import { build, migrateDatabase, startServer, writeVariables } from "../dev-server/index.ts";
import { Given } from "../dev-server/given.ts";
import type { Signing } from "./cloud-issuer.ts";
import type { MutableSource } from "./cloud-mutations.ts";

const CONFIG = join(import.meta.dirname, "../issuer/wrangler.toml");
const HOST = "id.showcaller.example";
const TENANT = "acme";
const ROOT_KEY = "root-key-of-the-issuer-tests-0123456789";
const WHO: Omit<MintRequest, "audience"> = {
  ...{ tenant: TENANT, subject: { kind: "code", name: "process-order" }, workflowVersion: "3" },
  ...{ ttlS: 300, claims: { team: "billing" } },
};

export interface Document {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: unknown;
}

export interface ProductIssuer extends MutableSource {
  /** What stands at a path below the issuer, asked for under a host name. */
  document(path: string, host?: string): Promise<Document>;
  /** Rejects if a secret that it had, made or gave out stands in what it said. */
  close(): Promise<void>;
}

/** Takes some seconds: it is built and started. */
export async function startProduct(): Promise<ProductIssuer> {
  const folder = await mkdtemp(join(tmpdir(), "showcaller-issuer-"));
  const [state, variables] = [join(folder, "state"), join(folder, "variables.env")];
  const values = {
    SERVER_KEY: Buffer.alloc(32, 7).toString("base64"),
    KEYRING: JSON.stringify({ active: "k1", keys: { k1: Buffer.alloc(32, 8).toString("base64") } }),
    ROOT_API_KEY: ROOT_KEY,
    ISSUER_ORIGIN: `https://${HOST}`,
  };
  await writeVariables(variables, values);
  const given = Given.of(values);
  const lines: string[] = [];
  const built = await build(CONFIG, join(folder, "build"));
  await migrateDatabase(CONFIG, state);
  const server = await startServer({ build: built, state, variables, onLine: (line) => lines.push(line) });
  await server.up;

  const call = async (path: string, body: unknown, key?: string): Promise<string> => {
    const answer = await fetch(server.url + path, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
      },
      body: JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`);
    return text;
  };
  const mint = async (audience: string): Promise<string> => {
    const token = await call("/mint", { ...WHO, audience });
    given.add("a minted token", token);
    return token;
  };
  const port = Number(new URL(server.url).port);
  const document = async (path: string, host = HOST): Promise<Document> =>
    new Promise((resolve, reject) => {
      ask({ host: "127.0.0.1", port, path: `/t/${TENANT}${path}`, headers: { host } }, (answer) => {
        let text = "";
        answer.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        answer.on("end", () =>
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: JSON.parse(text) }),
        );
      })
        .on("error", reject)
        .end();
    });

  await call("/v1/tenants", { id: TENANT }, ROOT_KEY);
  const made = JSON.parse(await call(`/v1/tenants/${TENANT}/keys`, { name: "admin" }, ROOT_KEY)) as {
    readonly key: string;
  };
  given.add("the admin key", made.key);
  // The first key, and the one that comes after it: both are published, and the first one signs.
  await call("/v1/issuer/rotate", {}, made.key);
  await call("/v1/issuer/rotate", {}, made.key);
  const { keys } = (await document("/jwks")).body as { readonly keys: readonly (JWK & { kid: string })[] };
  const pattern = await mint("whoever");
  const signingKey = await call("/key", TENANT);
  given.add("the signing key", signingKey);
  const { kid = "" } = decodeProtectedHeader(pattern);
  const privateKey = createPrivateKey({
    ...{ key: Buffer.from(signingKey, "base64url"), format: "der", type: "pkcs8" },
  });
  /** A token of the product is taken apart, and signed again: everything but its times and `jti` as the product made it. */
  const sign = async (audience: unknown, { header, claims, key }: Signing = {}): Promise<string> => {
    const iat = Math.floor(Date.now() / 1_000);
    const fresh = { iat, nbf: iat - 60, exp: iat + WHO.ttlS, jti: randomUUID(), aud: audience as string };
    const head = { ...decodeProtectedHeader(pattern), ...header };
    return new SignJWT(without({ ...decodeJwt(pattern), ...fresh, ...claims }))
      .setProtectedHeader(without({ ...head, alg: "RS256" }))
      .sign(key ?? privateKey, { crit: { odd: true } });
  };
  const own = keys.find((key) => key.kid === kid);
  const other = keys.find((key) => key.kid !== kid);
  if (own === undefined || other === undefined) throw new Error(`of ${keys.length} keys none signs`);
  const publicKey = await importJWK({ ...own, ext: true }, "RS256");
  return {
    ...{ issuerUrl: `https://${HOST}/t/${TENANT}`, issuerPort: port, kid, otherKid: other.kid },
    subject: `tenant:${TENANT}:code:process-order`,
    publicPem: await exportSPKI(publicKey as CryptoKey),
    foreignKey: (await generateKeyPair("RS256")).privateKey,
    ...{ mint, sign, document },
    async close() {
      await server.kill();
      await rm(folder, { recursive: true, force: true });
      given.mustNotStandIn(lines);
    },
  };
}

/** What is undefined is left out. */
function without<T extends object>(fields: T): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}
