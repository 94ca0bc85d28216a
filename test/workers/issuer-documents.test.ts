/** What verifiers read of an issuer, over HTTP: jose and oauth4webapi judge it, knowing nothing but the issuer's address. */
import { env, exports } from "cloudflare:workers";
import { createRemoteJWKSet, customFetch, jwtVerify } from "jose";
import * as oauth from "oauth4webapi";
import { describe, expect, it } from "vitest";
import type { Issuer, IssuerRpc, Published } from "../../src/identity/index.ts";
import { parseEnvironment, parseIssuerOrigin } from "../../src/identity/index.ts";
import { createRegistry } from "../../src/define/index.ts";
import { createApi } from "../../src/api/index.ts";
import { ring } from "../vault/support.ts";
import {
  client,
  expectAnswer,
  expectProblem,
  makeKey,
  newKey,
  newTenant,
  ORIGIN,
  send,
} from "./api-support.ts";
import { issuerHouses, IssuerHouse, ISSUER_ORIGIN, objectOf } from "./issuer-house.ts";
import { AUDIENCE, kidOf, Tenancy } from "./issuer-support.ts";

interface View {
  readonly issuer: string;
  readonly jwks_uri: string;
  readonly keys: readonly { readonly kid: string; readonly state: string }[];
}

/** Keys by a name that the deployed Worker's keyring does not have: both stand in one database. */
function apart(): IssuerHouse {
  const house = new IssuerHouse();
  house.keyring = ring("k7", { k7: 7 });
  return house;
}

/** As a cloud asks. */
async function get(address: string, init: RequestInit = {}): Promise<Response> {
  return exports.default.fetch(new Request(address, init));
}

/** A tenant of the Worker as it is deployed, with a first key. */
async function deployed(name: string): Promise<{ admin: string; view: View; tenant: string }> {
  issuerHouses.current = undefined;
  const tenant = `docs-${name}`;
  const admin = await newTenant(tenant);
  const made = await send("POST", "/v1/issuer/rotate", { key: admin });
  return { tenant, admin, view: await expectAnswer<View>(made, "rotateIssuer", 200) };
}

/** A token of the Worker as it is deployed, by its own object. */
async function tokenOf(tenant: string): Promise<string> {
  const one = new Tenancy(new IssuerHouse(), tenant);
  one.house.now = Date.now();
  return one.jwt();
}

describe("a verifier that knows the issuer's address and nothing else", () => {
  it("takes a token: oauth4webapi by its discovery, jose by its keys", async () => {
    const { tenant, view } = await deployed("verifier");
    const jwt = await tokenOf(tenant);
    const response = await oauth.discoveryRequest(new URL(view.issuer), {
      algorithm: "oidc",
      [oauth.customFetch]: async (url, { method, headers }) => get(url, { method, headers }),
    });
    const found = await oauth.processDiscoveryResponse(new URL(view.issuer), response);
    expect(found.jwks_uri).toBe(view.jwks_uri);
    const set = createRemoteJWKSet(new URL(found.jwks_uri ?? ""), {
      [customFetch]: async (url, { method, headers }) => get(url, { method, headers }),
    });
    const { payload, protectedHeader } = await jwtVerify(jwt, set, {
      ...{ issuer: found.issuer, audience: AUDIENCE, requiredClaims: ["jti", "nbf", "iat", "exp", "sub"] },
    });
    expect(payload.sub).toBe(`tenant:${tenant}:code:process-order`);
    expect(protectedHeader).toEqual({ alg: "RS256", typ: "JWT", kid: view.keys[0]?.kid });
  });

  it("of another tenant does not take it, and neither does one whose token was changed in one place", async () => {
    const [one, other] = [await deployed("mine"), await deployed("theirs")];
    const jwt = await tokenOf(one.tenant);
    const verify = async (token: string, { view }: typeof one): Promise<string> => {
      const set = createRemoteJWKSet(new URL(view.jwks_uri), {
        [customFetch]: async (url, { method, headers }) => get(url, { method, headers }),
      });
      try {
        await jwtVerify(token, set, { issuer: view.issuer, audience: AUDIENCE });
        return "ok";
      } catch (error) {
        return String(Reflect.get(error as object, "code"));
      }
    };
    expect(await verify(jwt, one)).toBe("ok");
    expect(await verify(jwt, other)).toBe("ERR_JWKS_NO_MATCHING_KEY");
    const [header = "", body = "", signature = ""] = jwt.split(".");
    const claims = JSON.parse(atob(body.replaceAll("-", "+").replaceAll("_", "/"))) as object;
    const evil = btoa(JSON.stringify({ ...claims, sub: "tenant:x:inline" })).replaceAll("=", "");
    expect(await verify(`${header}.${evil}.${signature}`, one)).toBe("ERR_JWS_SIGNATURE_VERIFICATION_FAILED");
  });

  it("is told exactly this, and may keep it for five minutes", async () => {
    const { tenant, view } = await deployed("exactly");
    const document = await get(`${view.issuer}/.well-known/openid-configuration`);
    expect(document.status).toBe(200);
    expect(document.headers.get("content-type")).toBe("application/json");
    expect(document.headers.get("cache-control")).toBe("public, max-age=300");
    expect(await document.json()).toEqual({
      issuer: `${ISSUER_ORIGIN}/t/${tenant}`,
      jwks_uri: `${ISSUER_ORIGIN}/t/${tenant}/jwks`,
      response_types_supported: ["id_token"],
      subject_types_supported: ["public"],
      id_token_signing_alg_values_supported: ["RS256"],
      scopes_supported: ["openid"],
      claims_supported: [
        ...["iss", "sub", "aud", "iat", "nbf", "exp", "jti"],
        ...["tenant", "workflow", "workflow_kind", "workflow_version", "environment", "run", "claims"],
      ],
    });
    const keys = await get(view.jwks_uri);
    expect(keys.headers.get("cache-control")).toBe("public, max-age=300");
    const { keys: served } = (await keys.json()) as { keys: Record<string, string>[] };
    expect(served.map((key) => Object.keys(key).toSorted())).toEqual([
      ["alg", "e", "kid", "kty", "n", "use"],
    ]);
    expect(served[0]).toMatchObject({
      kty: "RSA",
      alg: "RS256",
      use: "sig",
      e: "AQAB",
      kid: view.keys[0]?.kid,
    });
    // 2,048 bits.
    expect(served[0]?.["n"]).toHaveLength(342);
  });

  it("may ask for the headers alone", async () => {
    const { view } = await deployed("head");
    for (const address of [view.jwks_uri, `${view.issuer}/.well-known/openid-configuration`]) {
      const response = await get(address, { method: "HEAD" });
      expect(response.status).toBe(200);
      expect(response.headers.get("cache-control")).toBe("public, max-age=300");
      expect(await response.text()).toBe("");
    }
    expect((await get(view.jwks_uri, { method: "POST" })).status).toBe(405);
  });
});

describe("nothing is there", () => {
  it("under any other host name of this deployment, and under none with a port", async () => {
    const { tenant, view } = await deployed("hosts");
    const path = `/t/${tenant}/jwks`;
    expect((await get(view.jwks_uri)).status).toBe(200);
    const hosts = [
      "showcaller.test",
      "id.showcaller.test.evil.example",
      "evil.example",
      "id.showcaller.test:8443",
    ];
    for (const host of hosts) {
      await expectProblem(await get(`https://${host}${path}`), 404, "not_found");
      // What the header says counts, wherever it was sent to.
      await expectProblem(await get(`${ISSUER_ORIGIN}${path}`, { headers: { host } }), 404, "not_found");
    }
    const named = await get(`${ORIGIN}${path}`, { headers: { host: "id.showcaller.test" } });
    expect(named.status).toBe(200);
    expect(await named.json()).toMatchObject({ keys: [{ kid: view.keys[0]?.kid }] });
  });

  it("for a tenant that does not exist, has no key, or cannot be one; nothing is written, and no object is asked", async () => {
    issuerHouses.current = undefined;
    await newTenant("docs-keyless");
    const asked: string[] = [];
    const house = new IssuerHouse();
    const issuer = house.issuer((tenant) => {
      asked.push(tenant);
      return objectOf(tenant);
    });
    const before = await env.DB.prepare("SELECT count(*) AS n FROM issuers").first();
    const names = ["docs-keyless", "docs-nobody", "A", "a".repeat(49), "x:y", "..%2f", "%00"];
    for (const name of names) {
      for (const file of ["jwks", ".well-known/openid-configuration"])
        await expectProblem(await get(`${ISSUER_ORIGIN}/t/${name}/${file}`), 404, "not_found");
      expect(await issuer.jwks(decodeURIComponent(name))).toEqual({ ok: true, value: null });
    }
    expect(asked).toEqual([]);
    expect(await env.DB.prepare("SELECT count(*) AS n FROM issuers").first()).toEqual(before);
  });

  it("in a deployment without an issuer, which says so to administrators", async () => {
    const never = async (): Promise<never> => {
      throw new Error("A run was reached.");
    };
    const { deps } = client({
      runs: never as never,
      workflows: createRegistry([]),
      runIdOf: never,
    });
    const app = createApi(deps);
    await expectProblem(await app.fetch(new Request(`${ISSUER_ORIGIN}/t/default/jwks`)), 404, "not_found");
    const { text } = await makeKey({ deps, lines: [], send }, "default");
    for (const [method, path] of [
      ["GET", "/v1/issuer"],
      ["POST", "/v1/issuer/rotate"],
      ["POST", "/v1/issuer/keys/k/revoke"],
    ] as const) {
      const request = new Request(ORIGIN + path, { method, headers: { authorization: `Bearer ${text}` } });
      await expectProblem(await app.fetch(request), 409, "identity_not_configured");
    }
  });
});

describe("administrators", () => {
  it("see keys and times, rotate, and revoke; nothing private is in any answer", async () => {
    const { admin, view } = await deployed("admin");
    expect(view.keys.map(({ state }) => state)).toEqual(["active"]);
    const rotated = await expectAnswer<View>(
      await send("POST", "/v1/issuer/rotate", { key: admin }),
      "rotateIssuer",
      200,
    );
    expect(rotated.keys.map(({ state }) => state)).toEqual(["active", "next"]);
    const [active, next] = rotated.keys;
    const path = `/v1/issuer/keys/${next?.kid}/revoke`;
    const revoked = await expectAnswer<View>(
      await send("POST", path, { key: admin }),
      "revokeIssuerKey",
      200,
    );
    expect(revoked.keys.map(({ kid }) => kid)).toEqual([active?.kid]);
    await expectProblem(await send("POST", path, { key: admin }), 404, "not_found");
    const seen = await expectAnswer<View>(await send("GET", "/v1/issuer", { key: admin }), "getIssuer", 200);
    expect(seen).toEqual(revoked);
    expect(JSON.stringify([view, rotated, revoked])).not.toMatch(/"(?:d|p|q|dp|dq|qi|sealed|n)"/);
    const { results } = await env.DB.prepare(
      "SELECT action, target, outcome FROM access_audit WHERE tenant = ? AND action LIKE 'issuer.%' ORDER BY seq",
    )
      .bind("docs-admin")
      .all();
    expect(results.at(-1)).toEqual({ action: "issuer.key.revoke", target: next?.kid, outcome: "granted" });
  });

  it("need a key that may: to read, to write, and never one of an end user", async () => {
    const { admin } = await deployed("scopes");
    const reader = await newKey(admin, { scopes: ["cloud_roles:read"] });
    expect((await send("GET", "/v1/issuer", { key: reader })).status).toBe(200);
    await expectProblem(await send("POST", "/v1/issuer/rotate", { key: reader }), 403, "insufficient_scope");
    const user = await newKey(admin, { scopes: ["runs:read"], user: "ada", expires_at: Date.now() + 60_000 });
    await expectProblem(await send("GET", "/v1/issuer", { key: user }), 403, "insufficient_scope");
    const root = env.ROOT_API_KEY ?? "";
    await expectProblem(await send("POST", "/v1/issuer/rotate", { key: root }), 403, "insufficient_scope");
  });
});

// Longer than the limit itself, so that a test says what was too slow.
describe("an answer comes within five seconds", { timeout: 20_000 }, () => {
  const LIMIT_MS = 5_000;
  const stuck = { published: async () => new Promise<Published | null>(() => {}) } as unknown as IssuerRpc;
  const slowDatabase = {
    prepare: () => ({ bind: () => ({ first: async () => new Promise(() => {}) }) }),
  } as unknown as D1Database;

  async function timed(issuer: Issuer, tenant: string) {
    const since = Date.now();
    const answer = await issuer.jwks(tenant);
    expect(Date.now() - since).toBeLessThan(LIMIT_MS);
    return answer;
  }

  it("while the object does not answer: what the database has", async () => {
    const one = await Tenancy.ready(apart());
    const kid = kidOf(await one.jwt());
    expect(
      await timed(
        one.house.issuer(() => stuck),
        one.tenant,
      ),
    ).toMatchObject({
      ok: true,
      value: { keys: [{ kid }] },
    });
  });

  it("while the database does not answer: what the object has", async () => {
    const one = await Tenancy.ready(apart());
    const kid = kidOf(await one.jwt());
    expect(await timed(one.house.issuer(objectOf, slowDatabase), one.tenant)).toMatchObject({
      ok: true,
      value: { keys: [{ kid }] },
    });
  });

  it("while neither does: what the isolate remembers, but not for long; then that nobody knows just now", async () => {
    const one = await Tenancy.ready(apart());
    const kid = kidOf(await one.jwt());
    let object: IssuerRpc | null = null;
    const issuer = one.house.issuer((tenant) => object ?? objectOf(tenant), slowDatabase);
    expect(await issuer.jwks(one.tenant)).toMatchObject({ ok: true, value: { keys: [{ kid }] } });
    object = stuck;
    one.house.later(9 * 60_000);
    expect(await timed(issuer, one.tenant)).toMatchObject({ ok: true, value: { keys: [{ kid }] } });
    one.house.later(2 * 60_000);
    expect(await timed(issuer, one.tenant)).toEqual({ ok: false, error: "unavailable" });
  });

  it("an isolate whose clock was put back asks again, and does not remember until its clock has come there", async () => {
    const one = await Tenancy.ready(apart());
    const first = kidOf(await one.jwt());
    const issuer = one.house.issuer();
    one.house.later(60_000);
    expect(await issuer.jwks(one.tenant)).toMatchObject({ value: { keys: [{ kid: first }] } });
    one.house.later(-60_000);
    await one.object.revoke(one.tenant, first);
    const served = JSON.stringify(await issuer.jwks(one.tenant));
    expect(served).toContain('"kid"');
    expect(served).not.toContain(first);
  });

  it("a row that was changed in the database is shown to nobody", async () => {
    const [one, other] = [await Tenancy.ready(apart()), await Tenancy.ready(apart())];
    const foreign = await other.row();
    await env.DB.prepare("UPDATE issuers SET published = ? WHERE tenant = ?")
      .bind(foreign?.published, one.tenant)
      .run();
    expect(
      await timed(
        one.house.issuer(() => stuck),
        one.tenant,
      ),
    ).toEqual({ ok: false, error: "unavailable" });
  });

  it("an isolate forgets sooner than a fresh key signs after an emergency", async () => {
    const one = await Tenancy.ready(apart());
    const jwt = await one.jwt();
    const isolate = one.house.issuer();
    await isolate.jwks(one.tenant);
    await one.object.revoke(one.tenant, kidOf(jwt));
    one.house.later(10_000);
    const fresh = kidOf(await one.jwt());
    expect(await isolate.jwks(one.tenant)).toMatchObject({ ok: true, value: { keys: [{ kid: fresh }] } });
  });
});

describe("the deployment's variables", () => {
  it.each([
    ...[
      "http://id.example.com",
      "https://id.example.com:8443",
      "https://id.example.com/",
      "https://id.example.com/x",
    ],
    ...["https://id.example.com?x", "https://u@id.example.com", "id.example.com", "https://localhost"],
    ...["https://10.0.0.1", "https://ID.example.com", "https://id.example.com."],
  ])("ISSUER_ORIGIN is not %s", (text) => {
    expect(() => parseIssuerOrigin(text)).toThrow(TypeError);
  });

  it("may be missing", () => {
    expect(parseIssuerOrigin(undefined)).toBeNull();
    expect(parseIssuerOrigin("https://id.example.com")).toBe("https://id.example.com");
    expect(parseEnvironment(undefined)).toBe("production");
    expect(() => parseEnvironment("a b")).toThrow(TypeError);
  });
});
