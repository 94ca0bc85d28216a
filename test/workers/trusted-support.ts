/** Issuers of the tests' own, on names that only this file answers for, and isolates of the Worker that ask them. */
import { env } from "cloudflare:workers";
import { exportJWK, generateKeyPair, type JWK, type JWTHeaderParameters, SignJWT } from "jose";
import { vi } from "vitest";
import { compose } from "../../src/compose.ts";
import type { RunView } from "../../src/run/index.ts";
import { expectAnswer, ORIGIN, type Sending } from "./api-support.ts";
import { testWorkflows } from "./workflows.ts";

export interface SigningKey {
  readonly alg: string;
  readonly kid: string;
  readonly privateKey: CryptoKey;
  readonly publicJwk: JWK;
}

export async function signingKey(alg: string, kid: string): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { alg, kid, privateKey, publicJwk: { ...(await exportJWK(publicKey)), kid, alg, use: "sig" } };
}

/** What a host answers by its paths. */
type Host = (path: string) => Promise<Response> | Response;

const hosts = new Map<string, Host>();
const asked: string[] = [];

/** All that leaves this isolate. What no test answers for is an error of the test. */
vi.spyOn(globalThis, "fetch").mockImplementation(async (input) => {
  const { hostname, pathname } = new URL(input instanceof Request ? input.url : input.toString());
  asked.push(`${hostname}${pathname}`);
  const host = hosts.get(hostname);
  if (host === undefined) throw new Error(`Nobody answers for ${hostname}.`);
  return host(pathname);
});

export function serve(host: string, answer: Host): void {
  hosts.set(host, answer);
}

/** Requests to a host, or to all of them, since the tests began. */
export function requestsTo(host = ""): number {
  return asked.filter((one) => one.startsWith(host)).length;
}

let issuers = 0;

export class TestIssuer {
  readonly host: string;
  readonly url: string;
  readonly key: SigningKey;
  /** What its JWKS holds. */
  readonly keys: JWK[];

  private constructor(host: string, path: string, key: SigningKey) {
    this.host = host;
    this.url = `https://${host}${path}`;
    this.key = key;
    this.keys = [key.publicJwk];
    serve(host, (asks) => {
      if (asks === `${path}/.well-known/openid-configuration`)
        return Response.json({ issuer: this.url, jwks_uri: `${this.url}/keys` });
      return asks === `${path}/keys`
        ? Response.json({ keys: this.keys })
        : new Response(null, { status: 404 });
    });
  }

  static async make(alg = "RS256", path = ""): Promise<TestIssuer> {
    issuers += 1;
    return new TestIssuer(`issuer-${issuers}.example`, path, await signingKey(alg, `kid-${issuers}`));
  }

  claims(tenant: string, more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
    const now = Math.floor(Date.now() / 1_000);
    const subject = "repo:acme/shop:environment:production";
    return { iss: this.url, aud: `${ORIGIN}/t/${tenant}`, sub: subject, iat: now, exp: now + 300, ...more };
  }

  /** A good token, but for what is said of it. */
  async token(
    tenant: string,
    more: Readonly<Record<string, unknown>> = {},
    header: Partial<JWTHeaderParameters> = {},
    key: CryptoKey | Uint8Array = this.key.privateKey,
  ): Promise<string> {
    const claims = Object.fromEntries(
      Object.entries(this.claims(tenant, more)).filter(([, value]) => value !== undefined),
    );
    const { alg, kid } = this.key;
    return new SignJWT(claims).setProtectedHeader({ alg, kid, ...header }).sign(key);
  }
}

/** An isolate of its own, with its caches. */
export class Isolate {
  readonly #house = compose(testWorkflows);

  async send(method: string, path: string, { key, body, headers = {} }: Sending = {}): Promise<Response> {
    const request = new Request(ORIGIN + path, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      headers: {
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
    });
    return this.#house.fetch(request, env);
  }

  /** Trusts an issuer, with one rule unless more is said. */
  async trust(
    key: string,
    { url }: Pick<TestIssuer, "url">,
    rules: readonly unknown[] = [RULE],
    more: Readonly<Record<string, unknown>> = {},
  ): Promise<Trusted> {
    const body = { name: `of-${new URL(url).hostname.split(".")[0]}`, issuer: url, rules, ...more };
    return expectAnswer<Trusted>(
      await this.send("POST", "/v1/trusted-issuers", { key, body }),
      "createTrustedIssuer",
      201,
    );
  }

  async start(
    key: string,
    body: Readonly<Record<string, unknown>> = { workflow: "t-wait" },
  ): Promise<RunView> {
    return expectAnswer<RunView>(await this.send("POST", "/v1/runs", { key, body }), "startRun", 202);
  }

  /** Whether a token is taken, and if not, what is said of it to who keeps the trust. */
  async tried(key: string, token: string): Promise<Trial> {
    const response = await this.send("POST", "/v1/trusted-issuers/test", { key, body: { token } });
    return expectAnswer<Trial>(response, "testToken", 200);
  }
}

export const RULE = {
  subject: "repo:acme/shop:environment:production",
  scopes: ["runs:read", "runs:write"],
} as const;

export interface Trusted {
  readonly id: string;
  readonly name: string;
  readonly audience: string;
  readonly version: number;
  readonly until: number | null;
}

interface Trial {
  readonly taken: boolean;
  readonly reason: string | null;
  readonly caller: {
    readonly id: string;
    readonly subject: string;
    readonly scopes: readonly string[];
    readonly user: string | null;
    readonly expires_at: number;
  } | null;
}

/** A header and a payload as they are, with whatever signature. */
export function rawToken(header: unknown, payload: unknown, signature = "c2lnbmF0dXJl"): string {
  return `${part(header)}.${part(payload)}.${signature}`;
}

export function part(value: unknown): string {
  return btoa(JSON.stringify(value)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
