import { env } from "cloudflare:workers";
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { beforeAll, describe, expect, test } from "vitest";
import { parsePublicOrigin } from "../../src/compose-connections.ts";
import { integrationPlace } from "../../src/connections/integrations-store.ts";
import { createVault } from "../../src/vault/index.ts";
import { ring } from "../vault/support.ts";
import { client, expectAnswer, expectProblem } from "./api-support.ts";
import { databaseText, lender, tenantOf } from "./connections-support.ts";

const TENANT = "lenders";
const CLIENT_SECRET = "s3cret-of-the-client-7bd1";
const API_KEY = "key-of-the-weather-5e0c";

/** An app that users consent to, at a provider that the catalogue does not have. */
const APP = {
  provider: "oauth2",
  client_id: "app-1",
  client_secret: CLIENT_SECRET,
  custom: {
    hosts: ["api.lender.example"],
    authorize_url: "https://lender.example/authorize",
    token_url: "https://lender.example/token",
  },
  scopes_allowed: ["read", "write"],
  scopes_default: ["read"],
  return_to: ["https://app.example/connected"],
};
const MACHINE = {
  provider: "client_credentials",
  client_id: "machine-1",
  client_secret: CLIENT_SECRET,
  custom: { hosts: ["api.lender.example"], token_url: "https://lender.example/token" },
  workflows: ["nightly"],
};
const KEYED = { provider: "api_key", custom: { hosts: ["api.weather.example"] } };

const outside = lender();
const { door, room } = outside;
let admin = "";

interface View {
  readonly name: string;
  readonly version: number;
  readonly [field: string]: unknown;
}

beforeAll(async () => {
  admin = await tenantOf(outside, TENANT);
});

async function make(name: string, body: object): Promise<View> {
  const made = await door.send("POST", "/v1/integrations", { key: admin, body: { name, ...body } });
  return expectAnswer<View>(made, "createIntegration", 201);
}

async function auditOf(target: string): Promise<readonly string[]> {
  const { results } = await env.DB.prepare("SELECT action FROM access_audit WHERE target = ? ORDER BY rowid")
    .bind(target)
    .all<{ action: string }>();
  return results.map(({ action }) => action);
}

describe("an integration that cannot be made says where and why", () => {
  test.each<[string, object, string, string]>([
    ["a provider that there is not", { ...APP, provider: "nobody" }, "/provider", "provider_unknown"],
    [
      "a provider of the catalogue with hosts of its own",
      { ...APP, provider: "google" },
      "/custom",
      "field_unknown",
    ],
    [
      "a part that is missing",
      { provider: "shopify", client_id: "a", client_secret: "b" },
      "/parts/shop",
      "part_missing",
    ],
    [
      "a part that leads elsewhere",
      { provider: "shopify", client_id: "a", client_secret: "b", parts: { shop: "evil.example/x" } },
      "/parts/shop",
      "part_invalid",
    ],
    ["no hosts", { ...APP, custom: { ...APP.custom, hosts: [] } }, "/custom/hosts", "hosts_count"],
    ["a wildcard", { ...KEYED, custom: { hosts: ["*.weather.example"] } }, "/custom/hosts/0", "host_refused"],
    ["an address", { ...KEYED, custom: { hosts: ["192.0.2.1"] } }, "/custom/hosts/0", "host_refused"],
    [
      "a local name",
      { ...KEYED, custom: { hosts: ["weather.internal"] } },
      "/custom/hosts/0",
      "host_refused",
    ],
    [
      "a host that mints tokens",
      { ...KEYED, custom: { hosts: ["api.weather.example", "oauth2.googleapis.com"] } },
      "/custom/hosts/1",
      "host_mints_tokens",
    ],
    [
      "our own host",
      { ...KEYED, custom: { hosts: ["t1.showcaller.test"] } },
      "/custom/hosts/0",
      "host_refused",
    ],
    [
      "our own host as the token endpoint",
      { ...APP, custom: { ...APP.custom, token_url: "https://t1.showcaller.test/token" } },
      "/custom/token_url",
      "url_refused",
    ],
    [
      "a token endpoint without https",
      { ...APP, custom: { ...APP.custom, token_url: "http://lender.example/token" } },
      "/custom/token_url",
      "url_refused",
    ],
    [
      "a parameter that belongs to the flow",
      { ...APP, custom: { ...APP.custom, authorize_params: { redirect_uri: "https://evil.example/" } } },
      "/custom/authorize_params/redirect_uri",
      "param_refused",
    ],
    [
      "a header that presents nothing",
      { ...KEYED, custom: { ...KEYED.custom, present: { header: "host", scheme: "" } } },
      "/custom/present/header",
      "header_refused",
    ],
    [
      "a field of another kind",
      { ...KEYED, custom: { ...KEYED.custom, token_url: "https://a.example/" } },
      "/custom/token_url",
      "field_unknown",
    ],
    ["a client of what knows none", { ...KEYED, client_id: "a" }, "/client_id", "field_unknown"],
    ["no client", { ...APP, client_id: undefined }, "/client_id", "field_missing"],
    ["no secret", { ...APP, client_secret: undefined }, "/client_secret", "field_missing"],
    ["a secret of a public client", { ...APP, client_auth: "none" }, "/client_secret", "field_unknown"],
    [
      "a way to show the client that the provider does not take",
      { provider: "google", client_id: "a", client_secret: "b", client_auth: "private_key_jwt" },
      "/client_auth",
      "client_auth_refused",
    ],
    [
      "a key that is none",
      { ...APP, client_auth: "private_key_jwt", client_secret: undefined, signing_key: { key: "nonsense" } },
      "/signing_key",
      "secret_unusable",
    ],
    [
      "a signed grant whose key would be sent as a secret",
      { ...MACHINE, provider: "jwt_bearer", client_auth: "post" },
      "/client_auth",
      "client_auth_refused",
    ],
    [
      "a machine that is a user's",
      { ...MACHINE, owner: "user", workflows: undefined },
      "/owner",
      "owner_mismatch",
    ],
    ["the tenant's own for every workflow", { ...MACHINE, workflows: [] }, "/workflows", "field_missing"],
    ["workflows of what users grant", { ...APP, workflows: ["nightly"] }, "/workflows", "field_unknown"],
    [
      "a default scope that is not allowed",
      { ...APP, scopes_default: ["read", "admin"] },
      "/scopes_default/1",
      "scopes_not_allowed",
    ],
    [
      "a scope that is two",
      { ...APP, scopes_allowed: ["read", "write admin"] },
      "/scopes_allowed/1",
      "scope_invalid",
    ],
    ["links that are not enabled", { ...APP, mode: "link" }, "/mode", "mode_not_enabled"],
    ["nowhere to return to", { ...APP, return_to: [] }, "/return_to", "field_missing"],
    ["a return over http", { ...APP, return_to: ["http://app.example/"] }, "/return_to/0", "url_refused"],
    [
      "a return with a fragment",
      { ...APP, return_to: ["https://app.example/", "https://app.example/#a"] },
      "/return_to/1",
      "url_refused",
    ],
    [
      "a return with user-info",
      { ...APP, return_to: ["https://app.example@evil.example/"] },
      "/return_to/0",
      "url_refused",
    ],
    ["a return to a script", { ...APP, return_to: ["javascript:alert(1)"] }, "/return_to/0", "url_refused"],
  ])("%s", async (_, body, pointer, code) => {
    const answer = await door.send("POST", "/v1/integrations", {
      key: admin,
      body: { name: "bad", ...body },
    });
    const text = await answer.clone().text();
    const problem = await expectProblem(answer, 422, "invalid_integration");
    expect(problem.errors).toMatchObject([{ pointer, code }]);
    expect(text).not.toContain(CLIENT_SECRET);
    expect(outside.asked).toEqual([]);
  });

  test("nothing of them was kept", async () => {
    expect(await room.integration(TENANT, "bad")).toBeNull();
    expect(await auditOf("bad")).toEqual([]);
  });
});

describe("discovery", () => {
  const ISSUER = "https://id.lender.example";
  const METADATA = {
    issuer: ISSUER,
    authorization_endpoint: "https://id.lender.example/authorize",
    token_endpoint: "https://id.lender.example/token",
    code_challenge_methods_supported: ["S256"],
  };
  const OIDC = {
    ...{ provider: "oidc", client_id: "app", client_secret: CLIENT_SECRET, scopes_default: ["openid"] },
    custom: { hosts: ["api.lender.example"], issuer: ISSUER },
    return_to: ["https://app.example/"],
  };

  test("fixes what the issuer says of itself, and follows no redirect", async () => {
    outside.answer = () => [200, METADATA];
    const made = await make("oidc", OIDC);
    expect(made).toMatchObject({
      kind: "oidc",
      display_name: "oidc",
      advice: [],
      endpoints: { token_url: METADATA.token_endpoint, issuer: ISSUER },
      callback_url: `https://showcaller.test/oauth/callback/${TENANT}/oidc`,
    });
    expect(outside.asked.at(-1)?.request).toMatchObject({
      url: `${ISSUER}/.well-known/openid-configuration`,
      effect: "once",
    });
  });

  test("of an issuer that has it advises to ask for offline_access, unless it is asked for", async () => {
    outside.answer = () => [200, { ...METADATA, scopes_supported: ["openid", "offline_access"] }];
    const without = await make("online", OIDC);
    expect(without["advice"]).toEqual([expect.stringContaining("offline_access")]);
    const asked = await make("offline", { ...OIDC, scopes_default: ["openid", "offline_access"] });
    expect(asked["advice"]).toEqual([]);
  });

  test.each<[string, number, unknown, string]>([
    ["another issuer", 200, { ...METADATA, issuer: "https://other.example" }, "issuer_mismatch"],
    ["no endpoints", 200, { issuer: ISSUER }, "metadata_invalid"],
    ["an endpoint of ours", 200, { ...METADATA, token_endpoint: "https://a.showcaller.test/token" }, ""],
    [
      "an endpoint without https",
      200,
      { ...METADATA, token_endpoint: "http://id.lender.example/token" },
      "url_refused",
    ],
    ["something that is no metadata", 200, "hello", "issuer_mismatch"],
    ["a redirect", 302, {}, "no_metadata"],
  ])("that gives %s makes nothing", async (_, status, body, code) => {
    outside.answer = () => [status, body];
    const answer = await door.send("POST", "/v1/integrations", {
      key: admin,
      body: { name: "oidc-bad", ...OIDC },
    });
    const expected = code === "" ? "invalid_integration" : "discovery_failed";
    const problem = await expectProblem(answer, 422, expected);
    if (code !== "") expect(problem.errors).toMatchObject([{ pointer: "/custom/issuer", code }]);
    expect(await room.integration(TENANT, "oidc-bad")).toBeNull();
  });
});

describe("an integration that was made", () => {
  test("is shown with all but its secret, which is nowhere in the database", async () => {
    const made = await make("shown", APP);
    expect(made).toMatchObject({
      hosts: ["api.lender.example"],
      scopes_default: ["read"],
      mode: "confirm",
      version: 1,
    });
    const read = await door.send("GET", "/v1/integrations/shown", { key: admin });
    expect({ ...(await expectAnswer<View>(read, "getIntegration", 200)), advice: [] }).toEqual(made);
    expect(JSON.stringify(made)).not.toContain(CLIENT_SECRET);
    expect(await databaseText()).not.toContain(CLIENT_SECRET);
    expect([...outside.lines, ...door.lines].join("\n")).not.toContain(CLIENT_SECRET);
    expect(await auditOf("shown")).toEqual(["integration.create"]);
  });

  test.each(["name", "provider", "owner", "client_id", "client_auth", "parts", "custom"])(
    "never changes its %s",
    async (field) => {
      const body = { [field]: field === "custom" ? { hosts: ["evil.example"] } : "other" };
      const answer = await door.send("PATCH", "/v1/integrations/shown", { key: admin, body });
      const problem = await expectProblem(answer, 409, "integration_fixed");
      expect(problem.errors).toMatchObject([{ pointer: `/${field}` }]);
    },
  );

  test("of a kind is shown by its name, or as it is called, which can be changed; the catalogue's are not", async () => {
    expect(await make("barometer", KEYED)).toMatchObject({ display_name: "barometer" });
    const named = { ...KEYED, custom: { ...KEYED.custom, display_name: "Weather" } };
    expect(await make("called", named)).toMatchObject({ display_name: "Weather" });
    const rename = async (name: string) =>
      door.send("PATCH", `/v1/integrations/${name}`, { key: admin, body: { display_name: "Storms" } });
    expect(await expectAnswer(await rename("called"), "changeIntegration", 200)).toMatchObject({
      ...{ display_name: "Storms", hosts: KEYED.custom.hosts },
    });
    const other = await door.send("PATCH", "/v1/integrations/called", { key: admin, body: {} });
    expect(await expectAnswer(other, "changeIntegration", 200)).toMatchObject({ display_name: "Storms" });
    const { return_to, client_id, client_secret } = APP;
    await make("goog", { provider: "google", return_to, client_id, client_secret });
    expect((await expectProblem(await rename("goog"), 422, "invalid_integration")).errors).toMatchObject([
      { pointer: "/display_name", code: "field_unknown" },
    ]);
  });

  test.each([
    [{ header: "X-API-Key" }, { header: "x-api-key", scheme: "" }],
    [{ header: "Authorization" }, { header: "authorization", scheme: "Bearer" }],
    [
      { header: "X-Auth", scheme: "Token" },
      { header: "x-auth", scheme: "Token" },
    ],
  ])("presents a credential as %j says, in any case of letters", async (present, kept) => {
    const name = `presents-${present.header.toLowerCase()}`;
    await make(name, { ...KEYED, custom: { ...KEYED.custom, present } });
    expect((await room.integration(TENANT, name))?.fixed.provider).toMatchObject({ present: kept });
  });

  test("changes its settings as a whole, and only to what a new one could have", async () => {
    await make("changing", APP);
    const changed = await door.send("PATCH", "/v1/integrations/changing", {
      key: admin,
      body: { scopes_default: ["write"] },
    });
    expect(await expectAnswer(changed, "changeIntegration", 200)).toMatchObject({
      scopes_default: ["write"],
      scopes_allowed: ["read", "write"],
      version: 2,
    });
    const refused = await door.send("PATCH", "/v1/integrations/changing", {
      key: admin,
      body: { mode: "link" },
    });
    expect((await expectProblem(refused, 422, "invalid_integration")).errors).toMatchObject([
      { pointer: "/mode" },
    ]);
  });

  test("keeps its name taken after a deletion", async () => {
    await make("gone", KEYED);
    await expectAnswer(
      await door.send("DELETE", "/v1/integrations/gone", { key: admin }),
      "deleteIntegration",
      202,
    );
    await expectProblem(await door.send("GET", "/v1/integrations/gone", { key: admin }), 404, "not_found");
    await expectProblem(await door.send("DELETE", "/v1/integrations/gone", { key: admin }), 404, "not_found");
    const again = await door.send("POST", "/v1/integrations", {
      key: admin,
      body: { name: "gone", ...KEYED },
    });
    await expectProblem(again, 409, "integration_exists");
    expect(await auditOf("gone")).toEqual(["integration.create", "integration.delete"]);
  });
});

describe("a connection without a browser", () => {
  interface Lent {
    readonly id: string;
    readonly status: string;
  }
  const lend = async (body: object): Promise<Lent> =>
    expectAnswer<Lent>(
      await door.send("POST", "/v1/connections", { key: admin, body }),
      "createConnection",
      201,
    );

  test("holds a key that is nowhere in the clear, and a second key takes its place", async () => {
    await make("weather", KEYED);
    const first = await lend({ integration: "weather", user: "ada", api_key: API_KEY });
    const second = await lend({ integration: "weather", user: "ada", api_key: `${API_KEY}-2` });
    expect(second.id).toBe(first.id);
    const stub = env.CONNECTION.getByName(`connection:${TENANT}:${first.id}`);
    await runDurableObjectAlarm(stub);
    expect(await databaseText()).toContain(first.id);
    expect(await databaseText()).not.toContain(API_KEY);
    const kept = await runInDurableObject(stub, (_, { storage }) => JSON.stringify([...storage.kv.list()]));
    expect(kept).toContain("v1.k1.");
    expect(kept).not.toContain(API_KEY);
    const view = await outside.object(TENANT, first.id).view(TENANT);
    expect(view).toMatchObject({ version: 2, standing: { status: "active" }, integrationVersion: 1 });
  });

  test.each<[string, object, string]>([
    ["a key with a line break", { api_key: "a\r\nx-evil: 1" }, "/api_key"],
    ["a key with a space", { api_key: "a b" }, "/api_key"],
    ["no key", {}, "/api_key"],
    ["a key that nobody could find again in an output", { api_key: "abcdefg" }, "/api_key"],
    ["a password", { api_key: "a", password: "b" }, "/password"],
  ])("is not made with %s", async (_, credential, pointer) => {
    const body = { integration: "weather", user: "bob", ...credential };
    const answer = await door.send("POST", "/v1/connections", { key: admin, body });
    expect((await expectProblem(answer, 400, "invalid_request")).errors).toMatchObject([{ pointer }]);
  });

  test("is not made for whoever it is not, nor of what users consent to", async () => {
    await make("consented", APP);
    const wrong = { key: admin, body: { integration: "consented", user: "ada", api_key: "a" } };
    await expectProblem(await door.send("POST", "/v1/connections", wrong), 422, "wrong_kind");
    const nobody = { key: admin, body: { integration: "weather", api_key: "a" } };
    await expectProblem(await door.send("POST", "/v1/connections", nobody), 422, "owner_mismatch");
    const unknown = { key: admin, body: { integration: "nothing", api_key: "a" } };
    await expectProblem(await door.send("POST", "/v1/connections", unknown), 422, "unknown_integration");
  });

  test("of the tenant's own client fetches a token at once, and says at once that the secret is wrong", async () => {
    await make("machine", MACHINE);
    outside.answer = () => [401, { error: "invalid_client", error_description: CLIENT_SECRET }];
    const refused = await door.send("POST", "/v1/connections", {
      key: admin,
      body: { integration: "machine" },
    });
    const text = await refused.clone().text();
    await expectProblem(refused, 422, "credential_refused");
    expect(text).not.toContain(CLIENT_SECRET);
    outside.answer = () => [503, {}];
    const away = await door.send("POST", "/v1/connections", { key: admin, body: { integration: "machine" } });
    expect(away.headers.get("retry-after")).toBe("1");
    await expectProblem(away, 503, "provider_unavailable");
    outside.answer = () => [
      200,
      { access_token: "token-of-the-machine", token_type: "bearer", expires_in: 3600 },
    ];
    const made = await lend({ integration: "machine" });
    expect(made).toMatchObject({ status: "active", owner: "tenant", user: null, workflows: ["nightly"] });
    expect(outside.asked.at(-1)?.form.get("grant_type")).toBe("client_credentials");
  });

  test("learns of a new secret and of narrower workflows before the change is answered", async () => {
    const { data } = await expectAnswer<{ data: readonly Lent[] }>(
      await door.send("GET", "/v1/connections?integration=machine&owner=tenant", { key: admin }),
      "listConnections",
      200,
    );
    const [{ id } = { id: "" }] = data.length > 0 ? data : [await lend({ integration: "machine" })];
    const stub = env.CONNECTION.getByName(`connection:${TENANT}:${id}`);
    await runDurableObjectAlarm(stub);
    const body = { client_secret: "another-secret", workflows: ["monthly"] };
    const changed = await door.send("PATCH", "/v1/integrations/machine", { key: admin, body });
    await expectAnswer(changed, "changeIntegration", 200);
    expect(await outside.object(TENANT, id).view(TENANT)).toMatchObject({
      integrationVersion: 2,
      workflows: ["monthly"],
    });
  });

  test("is taken back when its integration is deleted", async () => {
    await make("short", KEYED);
    const { id } = await lend({ integration: "short", user: "ada", api_key: API_KEY });
    const stub = env.CONNECTION.getByName(`connection:${TENANT}:${id}`);
    await runDurableObjectAlarm(stub);
    const deleted = await door.send("DELETE", "/v1/integrations/short", { key: admin });
    expect(await expectAnswer(deleted, "deleteIntegration", 202)).toEqual({
      name: "short",
      connections: 1,
      more: false,
    });
    const read = async () => (await outside.object(TENANT, id).view(TENANT))?.standing.status;
    expect(await read()).toBe("revoking");
    await runDurableObjectAlarm(stub);
    expect(await read()).toBe("disconnected");
    const kept = await runInDurableObject(stub, (_, { storage }) => JSON.stringify([...storage.kv.list()]));
    expect(kept).not.toContain("v1.k1.");
  });

  test("is taken back later, if it was listed only after its integration was deleted", async () => {
    await make("late", KEYED);
    const { id } = await lend({ integration: "late", user: "ada", api_key: API_KEY });
    const stub = env.CONNECTION.getByName(`connection:${TENANT}:${id}`);
    await env.DB.prepare("DELETE FROM connections WHERE id = ?").bind(id).run();
    await expectAnswer(
      await door.send("DELETE", "/v1/integrations/late", { key: admin }),
      "deleteIntegration",
      202,
    );
    await runInDurableObject(stub, async (instance) => {
      await instance.rewrap(TENANT);
    });
    await runDurableObjectAlarm(stub);
    await room.sweep(100);
    expect((await outside.object(TENANT, id).view(TENANT))?.standing.status).toMatch(/revoking|disconnected/);
  });
});

describe("the catalogue", () => {
  test("says of each provider what an integration needs, and what was not checked", async () => {
    const { data, kinds } = await expectAnswer<{
      data: readonly { name: string; unverified: readonly string[]; parts: readonly { name: string }[] }[];
      kinds: readonly string[];
    }>(await door.send("GET", "/v1/providers", { key: admin }), "listProviders", 200);
    expect(kinds).toContain("oidc");
    expect(data.find(({ name }) => name === "shopify")?.parts.map(({ name }) => name)).toEqual(["shop"]);
    expect(data.find(({ name }) => name === "google")?.unverified).toContain("/identity");
  });
});

describe("a grant that is signed", () => {
  test("sends the assertion, and never the key that signs it", async () => {
    const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, [
      "sign",
      "verify",
    ]);
    if (!("privateKey" in pair)) throw new TypeError("That is no pair of keys.");
    const jwk = await crypto.subtle.exportKey("jwk", pair.privateKey);
    if (jwk instanceof ArrayBuffer) throw new TypeError("That is no JWK.");
    const { client_secret: _, ...rest } = MACHINE;
    const key = JSON.stringify(jwk);
    await make("signed", {
      ...rest,
      provider: "jwt_bearer",
      signing_key: { key, alg: "ES256", audience: "https://aud.example" },
    });
    outside.answer = () => [
      200,
      { access_token: "token-of-the-signer", token_type: "bearer", expires_in: 60 },
    ];
    const made = await door.send("POST", "/v1/connections", { key: admin, body: { integration: "signed" } });
    await expectAnswer(made, "createConnection", 201);
    const { request, form } = outside.asked.at(-1) ?? {};
    const [, claims = ""] = form?.get("assertion")?.split(".") ?? [];
    expect(JSON.parse(atob(claims.replaceAll("-", "+").replaceAll("_", "/")))).toMatchObject({
      iss: "machine-1",
      aud: "https://aud.example",
    });
    expect(JSON.stringify(request)).not.toContain(jwk.d);
    expect(decodeURIComponent(String(request?.body))).not.toContain(jwk.d);
    expect(await databaseText()).not.toContain(jwk.d);
  });
});

describe("where browsers are sent", () => {
  test("is PUBLIC_ORIGIN, whatever host a request came to", async () => {
    const elsewhere = client({
      runs: () => {
        throw new Error("A run was reached.");
      },
      ...{ workflows: door.deps.workflows, runIdOf: door.deps.runIdOf, access: door.deps.access },
      ...{ connections: () => room, publicOrigin: "https://lend.example" },
    });
    const read = await elsewhere.send("GET", "/v1/integrations/shown", { key: admin });
    expect(await expectAnswer(read, "getIntegration", 200)).toMatchObject({
      callback_url: `https://lend.example/oauth/callback/${TENANT}/shown`,
    });
  });

  test("is an https origin or nothing", () => {
    expect(parsePublicOrigin(undefined)).toBeNull();
    expect(parsePublicOrigin("https://lend.example")).toBe("https://lend.example");
    for (const bad of [
      "http://lend.example",
      "https://lend.example/",
      "https://a@lend.example",
      "lend.example",
    ])
      expect(() => parsePublicOrigin(bad)).toThrow(TypeError);
  });
});

describe("the sweep", () => {
  const insert = async (id: string, expiresAt: number): Promise<void> => {
    await env.DB.prepare(
      `INSERT INTO connect_sessions (id, tenant, integration, connection, account, scopes, mode, replace_account, purpose, kid,
         state, created_by, created_at, expires_at) VALUES (?, ?, 'shown', 'conn_x', 'default', '[]', 'confirm', 0, 'api', 'k1',
         'done', 'key:x', 0, ?)`,
    )
      .bind(id, TENANT, expiresAt)
      .run();
  };

  test("takes away sessions that ended a week ago, and no others", async () => {
    const week = 7 * 24 * 3_600_000;
    await insert("cs_old", Date.now() - week - 1_000);
    await insert("cs_young", Date.now() - week + 60_000);
    await room.sweep(10);
    const { results } = await env.DB.prepare("SELECT id FROM connect_sessions").all();
    expect(results).toEqual([{ id: "cs_young" }]);
  });

  test("asks those whose revocation has been silent for hours, once each time", async () => {
    await make("silent", KEYED);
    const body = { integration: "silent", user: "ada", api_key: API_KEY };
    const made = await door.send("POST", "/v1/connections", { key: admin, body });
    const { id } = await expectAnswer<{ id: string }>(made, "createConnection", 201);
    const stub = env.CONNECTION.getByName(`connection:${TENANT}:${id}`);
    await runDurableObjectAlarm(stub);
    await runInDurableObject(stub, async (instance, { storage }) => {
      await instance.disconnect(TENANT, { by: "key:x" });
      await storage.deleteAlarm();
    });
    await env.DB.prepare("UPDATE connections SET status = 'revoking', updated_at = 0 WHERE id = ?")
      .bind(id)
      .run();
    await room.sweep(10);
    expect((await outside.object(TENANT, id).view(TENANT))?.standing.status).toBe("disconnected");
    // The object tells of it by its next alarm.
    await runDurableObjectAlarm(stub);
    const row = await env.DB.prepare("SELECT status, poked_at FROM connections WHERE id = ?")
      .bind(id)
      .first();
    expect(row).toMatchObject({ status: "disconnected", poked_at: expect.any(Number) });
  });
});

describe("the vault moves secrets of integrations", () => {
  test("a few at a time, passing over what does not open", async () => {
    const integrations = room.records.find(({ kind }) => kind === "integrations");
    const two = createVault(ring("k2", { k1: 1, k2: 2 }));
    const one = createVault(ring("k1", { k1: 1 }));
    await env.DB.exec("UPDATE integrations SET secret = NULL, kid = NULL");
    for (const [name, sealed] of [
      ["changing", "v1.k1.broken"],
      ["consented", await one.seal(integrationPlace(TENANT, "consented", 1), "first")],
      ["shown", await one.seal(integrationPlace(TENANT, "shown", 1), "second")],
    ])
      await env.DB.prepare(
        "UPDATE integrations SET secret = ?, kid = 'k1', secret_version = 1 WHERE name = ?",
      )
        .bind(sealed, name)
        .run();
    const moved = [];
    for (let sweep = 0; sweep < 4; sweep += 1) moved.push(await integrations?.rewrapSome(two, 1));
    expect(moved.reduce((sum = 0, n = 0) => sum + n, 0)).toBe(2);
    expect(await integrations?.countByKid()).toEqual({ k1: 1, k2: 2 });
    const { results } = await env.DB.prepare("SELECT secret FROM integrations WHERE name = 'shown'").all<{
      secret: string;
    }>();
    const opened = await two.open(integrationPlace(TENANT, "shown", 1), results[0]?.secret ?? "");
    expect(opened).toEqual({ ok: true, value: "second" });
  });
});
