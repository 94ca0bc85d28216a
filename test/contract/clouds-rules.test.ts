/** What each cloud but AWS adds of its own: targets, lives, impersonation, paths, and where its tokens are taken. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { cloudControl, CLOUD_HOSTS, startWorld, type TrustInput, type World } from "../world/index.ts";
import { isTokenService, type CloudName } from "../world/clouds/names.ts";
import { trustSource } from "./cloud-clients.ts";
import { startIssuer, type TestIssuer } from "./cloud-issuer.ts";
import * as trust from "./cloud-trust.ts";

let world: World;
let issuer: TestIssuer;

beforeEach(async () => {
  [world, issuer] = await Promise.all([startWorld(), startIssuer()]);
  await trustSource({ world, source: issuer });
});
afterEach(async () => {
  await Promise.all([world.close(), issuer.close()]);
});

const { ask } = trust;

async function exchange(
  service: Parameters<typeof ask>[1],
  over: Record<string, string> = {},
): Promise<trust.Reply & { body: Record<string, unknown> }> {
  const reply = await ask(world, service, await issuer.mint(trust.AUDIENCES[service]), over);
  return { ...reply, body: service === "aws" ? {} : (JSON.parse(reply.text) as Record<string, unknown>) };
}

/** A request at any cloud, with a bearer token. */
async function send(
  service: CloudName,
  path: string,
  token: string,
  {
    method = "GET",
    body,
    headers = {},
  }: { method?: string; body?: unknown; headers?: Record<string, string> } = {},
): Promise<{ status: number; body: unknown }> {
  const answer = await fetch(world.origin(CLOUD_HOSTS[service]) + path, {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json", ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  return { status: answer.status, body: text.startsWith("{") ? (JSON.parse(text) as unknown) : text };
}

/** Registers everything anew, with changes. */
function change(kind: TrustInput["kind"], over: Record<string, unknown>): void {
  world.clouds.distrust();
  const entries = trust.trustOf(issuer.issuerUrl, issuer.subject);
  world.clouds.register(...entries.map((entry) => (entry.kind === kind ? { ...entry, ...over } : entry)));
}

describe("Google", () => {
  const tokenUrl = `/v1/projects/-/serviceAccounts/${trust.ACCOUNT}:generateAccessToken`;
  const scope = ["https://www.googleapis.com/auth/cloud-platform"];

  test.each([
    [
      "an audience that is no provider",
      { audience: "//iam.googleapis.com/projects/1/x" },
      "400 invalid_target",
    ],
    ["no scope", { scope: "" }, "400 invalid_scope"],
    ["another grant", { grant_type: "client_credentials" }, "400 unsupported_grant_type"],
    ["another subject token type", { subject_token_type: "saml2" }, "400 invalid_request"],
  ])("%s is refused", async (_what, over, expected) => {
    const { status, code } = await exchange("gcp", over);
    expect(`${status} ${code ?? ""}`).toBe(expected);
  });

  test.each([
    [127, null],
    [128, "invalid_request"],
  ])("a subject of %i bytes", async (bytes, expected) => {
    const subject = "ä".repeat(60).padEnd(60 + bytes - 120, "x");
    world.clouds.distrust();
    world.clouds.register(...trust.trustOf(issuer.issuerUrl, subject));
    const token = await issuer.sign(trust.AUDIENCES.gcp, { claims: { sub: subject } });
    expect((await ask(world, "gcp", token)).code).toBe(expected);
  });

  test("an audience with https: is the provider's, too, until others are allowed", async () => {
    const token = () => issuer.mint(`https:${trust.AUDIENCES.gcp}`);
    expect((await ask(world, "gcp", await token())).code).toBeNull();
    change("gcp_provider", { allowedAudiences: ["workflows"] });
    expect((await ask(world, "gcp", await token())).code).toBe("invalid_grant");
    expect((await ask(world, "gcp", await issuer.mint("workflows"))).code).toBeNull();
  });

  test.each([
    ["a life over an hour", { scope, lifetime: "3601s" }, 400, "INVALID_ARGUMENT"],
    ["no scope", { scope: [] }, 400, "INVALID_ARGUMENT"],
  ])("an impersonation with %s is refused", async (_what, body, status, code) => {
    const { body: federated } = await exchange("gcp");
    const answer = await send("gcp-iam", tokenUrl, String(federated["access_token"]), {
      method: "POST",
      body,
    });
    expect(answer).toMatchObject({ status, body: { error: { code: status, status: code } } });
  });

  const pool = trust.POOL_PROVIDER.replace(/\/providers\/.*$/, "");
  test.each([
    ["the subject", `principal://iam.googleapis.com/${pool}/subject/tenant:acme:code:process-order`, 200],
    ["another subject", `principal://iam.googleapis.com/${pool}/subject/tenant:acme:code:other`, 403],
    ["an attribute", `principalSet://iam.googleapis.com/${pool}/attribute.tenant/acme`, 200],
    ["another value of it", `principalSet://iam.googleapis.com/${pool}/attribute.tenant/other`, 403],
    ["another attribute", `principalSet://iam.googleapis.com/${pool}/attribute.sub/acme`, 403],
    ["the whole pool", `principalSet://iam.googleapis.com/${pool}/*`, 200],
    ["another pool", `principalSet://iam.googleapis.com/${pool}2/*`, 403],
  ])("a service account that lets in %s", async (_whom, member, status) => {
    change("gcp_service_account", { workloadIdentityUsers: [member] });
    const { body: federated } = await exchange("gcp");
    const token = String(federated["access_token"]);
    const answer = await send("gcp-iam", tokenUrl, token, { method: "POST", body: { scope } });
    expect(answer.status).toBe(status);
  });

  test("an impersonation takes a living federated token, and where it is allowed lasts half a day", async () => {
    change("gcp_service_account", { maxLifetimeS: 43_200 });
    const { body: federated } = await exchange("gcp");
    const token = String(federated["access_token"]);
    const ask = () =>
      send("gcp-iam", tokenUrl, token, { method: "POST", body: { scope, lifetime: "43200s" } });
    const { body } = (await ask()) as { body: { expireTime: string } };
    expect(Date.parse(body.expireTime) - Date.now()).toBeGreaterThan(43_000_000);
    world.clouds.expire("gcp");
    expect(await ask()).toMatchObject({ status: 401, body: { error: { status: "UNAUTHENTICATED" } } });
  });
});

describe("Azure", () => {
  test.each([
    ["another directory", "/nobody/oauth2/v2.0/token", {}, "90002"],
    ["another app", null, { client_id: "nobody" }, "700016"],
    ["no assertion type", null, { client_assertion_type: "" }, "7000218"],
    ["a scope that is no resource", null, { scope: "read" }, "70011"],
    ["two resources", null, { scope: "https://a/.default https://b/.default" }, "700022"],
  ])("%s is refused by number", async (_what, path, over, code) => {
    if (path === null) return expect((await exchange("azure", over)).code).toBe(code);
    const answer = await fetch(world.origin(CLOUD_HOSTS.azure) + path, {
      method: "POST",
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams({ client_id: trust.CLIENT_ID }),
    });
    expect(await answer.json()).toMatchObject({ error_codes: [Number(code)] });
  });

  test("a throttled directory says when to come back", async () => {
    world.clouds.arm("azure", "90055");
    const { status, headers } = await exchange("azure");
    expect([status, headers.get("retry-after")]).toEqual([429, "2"]);
  });

  test("a token for another resource, or of nobody, opens no container", async () => {
    const { body } = await exchange("azure", { scope: "https://graph.microsoft.com/.default" });
    const headers = { "x-ms-version": "2025-01-05", "x-ms-blob-type": "BlockBlob" };
    const put = (token: string) =>
      send("azure-storage", "/invoices/1.txt", token, { method: "PUT", headers });
    expect((await put(String(body["access_token"]))).status).toBe(401);
    expect((await put("nobody")).status).toBe(401);
    change("azure_container", { clientIds: ["another"] });
    const right = await exchange("azure");
    expect((await put(String(right.body["access_token"]))).status).toBe(403);
    expect(world.referee.counts().made).toBe(0);
  });
});

describe("token exchange", () => {
  test("gives a token for a target and scopes, which its API takes until it is over", async () => {
    const { body } = await exchange("exchange", {
      audience: "https://api.exchange.example",
      scope: "notes.read",
    });
    expect(body).toMatchObject({
      issued_token_type: "urn:ietf:params:oauth:token-type:access_token",
      token_type: "Bearer",
      expires_in: 3_600,
      scope: "notes.read",
    });
    const token = String(body["access_token"]);
    const who = await send("exchange-api", "/whoami", token);
    expect(who.body).toMatchObject({ subject: issuer.subject, target: "https://api.exchange.example" });
    world.clouds.expire("exchange");
    expect((await send("exchange-api", "/whoami", token)).status).toBe(401);
  });

  test.each([
    ["a target that is not known", { audience: "https://other.example" }, "400 invalid_target"],
    ["a resource that is not known", { resource: "https://other.example" }, "400 invalid_target"],
    ["a scope that is too much", { scope: "notes.write" }, "400 invalid_scope"],
    ["another requested type", { requested_token_type: "saml2" }, "400 invalid_request"],
  ])("%s is refused", async (_what, over, expected) => {
    const { status, code } = await exchange("exchange", over);
    expect(`${status} ${code ?? ""}`).toBe(expected);
  });

  test("a service that knows its clients takes no other", async () => {
    change("exchange", { clientId: "showcaller" });
    expect((await exchange("exchange")).status).toBe(401);
    expect((await exchange("exchange", { client_id: "showcaller" })).status).toBe(200);
  });
});

describe("OpenRouter", () => {
  test.each([
    ["never outlives the identity token", 300, 300],
    ["lives 15 minutes at most", 3_600, 900],
  ])("its token %s", async (_what, jwtS, lifeS) => {
    const exp = Math.floor(Date.now() / 1000) + jwtS;
    const token = await issuer.sign(trust.AUDIENCES.openrouter, { claims: { exp } });
    const { text } = await ask(world, "openrouter", token);
    const { expires_in: seconds, access_token: bearer } = JSON.parse(text) as Record<string, unknown>;
    expect(Math.abs(Number(seconds) - lifeS)).toBeLessThanOrEqual(2);
    const body = { model: "x", messages: [] };
    expect(
      (await send("openrouter", "/api/v1/chat/completions", String(bearer), { method: "POST", body })).status,
    ).toBe(200);
    expect(
      (await send("openrouter", "/api/v1/chat/completions", "sk-or-nobody", { method: "POST", body })).status,
    ).toBe(401);
  });
});

describe("Vault", () => {
  const read = (token: string, path: string) =>
    send("vault", `/v1/secret/data/${path}`, "", { headers: { "x-vault-token": token } });
  const clientToken = (body: Record<string, unknown>): string =>
    (body["auth"] as { client_token: string }).client_token;

  test("its token stores and reads a secret below the paths of its policies, and none beside them", async () => {
    const { body } = await exchange("vault");
    expect(body["auth"]).toMatchObject({
      lease_duration: 3_600,
      renewable: true,
      policies: ["default", "invoices/*"],
    });
    const token = clientToken(body);
    const stored = await send("vault", "/v1/secret/data/invoices/7", "", {
      method: "POST",
      headers: { "x-vault-token": token },
      body: { data: { total: 12 } },
    });
    expect(stored.status).toBe(200);
    expect((await read(token, "invoices/7")).body).toMatchObject({ data: { data: { total: 12 } } });
    expect((await read(token, "payroll/7")).status).toBe(403);
    world.clouds.expire("vault");
    expect((await read(token, "invoices/7")).status).toBe(403);
  });

  test.each([
    ["string", "acme", null],
    ["string", "ac*", "error validating claims: tenant does not match"],
    ["glob", "ac*", null],
    ["glob", "be*", "error validating claims: tenant does not match"],
  ])("a bound claim (%s) of %s", async (bound_claims_type, tenant, expected) => {
    change("vault_role", { bound_claims: { tenant }, bound_claims_type });
    expect((await exchange("vault")).code).toBe(expected);
  });

  test("a role that is not there, a mount that is not there and another namespace are told apart", async () => {
    expect((await exchange("vault", { role: "nobody" })).code).toBe('role "nobody" could not be found');
    change("vault_mount", { namespace: "team" });
    expect((await exchange("vault")).status).toBe(403);
  });
});

describe("Anthropic", () => {
  test.each([
    ["another rule", { federation_rule_id: "fdrl_other" }, 401],
    ["another organization", { organization_id: "other" }, 401],
    ["another service account", { service_account_id: "other" }, 401],
    ["a workspace that is not of the rule", { workspace_id: "wrkspc_9" }, 401],
    ["another grant", { grant_type: "password" }, 400],
    ["an assertion over 16 KiB", { assertion: "a".repeat(16_385) }, 400],
  ])("%s is refused", async (_what, over, status) => {
    expect((await exchange("anthropic", over)).status).toBe(status);
  });

  test("a rule of several workspaces asks which", async () => {
    change("anthropic_rule", { workspace_ids: ["wrkspc_1", "wrkspc_2"] });
    expect((await exchange("anthropic")).text).toContain("workspace_id is missing");
    expect((await exchange("anthropic", { workspace_id: "wrkspc_2" })).status).toBe(200);
  });

  test("the Messages API takes its token with the beta header, and no API key", async () => {
    const { body } = await exchange("anthropic");
    const token = String(body["access_token"]);
    const right = { "anthropic-version": "2023-06-01", "anthropic-beta": "oauth-2025-04-20" };
    const message = { model: "claude", max_tokens: 1, messages: [{ role: "user", content: "?" }] };
    const post = async (headers: Record<string, string>, given = token): Promise<number> =>
      (await send("anthropic", "/v1/messages", given, { method: "POST", headers, body: message })).status;
    expect(await post(right)).toBe(200);
    expect(await post({ "anthropic-version": "2023-06-01" })).toBe(401);
    expect(await post({ ...right, "x-api-key": "sk" })).toBe(401);
    expect(await post(right, "nobody")).toBe(401);
    world.clouds.expire("anthropic");
    expect(await post(right)).toBe(401);
  });
});

describe("trouble", () => {
  test.each(trust.SERVICES)("%s is down for two requests, and then is not", async (service) => {
    world.faults([{ service, times: 2, fault: { kind: "status", status: 503, retryAfterSeconds: 1 } }]);
    const statuses = [];
    for (let turn = 0; turn < 3; turn += 1) statuses.push((await exchange(service)).status);
    expect(statuses).toEqual([503, 503, 200]);
    expect(world.clouds.counts()[service]).toEqual({ asked: 1, granted: 1, refused: {} });
  });

  test("an answer that was lost has issued a credential, and it is counted", async () => {
    world.faults([{ service: "gcp", fault: { kind: "lost_answer" } }]);
    await expect(exchange("gcp")).rejects.toThrow("fetch failed");
    await exchange("gcp");
    expect(world.clouds.counts()["gcp"]).toEqual({ asked: 2, granted: 2, refused: {} });
  });

  test("every credential that was issued is in the list of secrets", async () => {
    const issued = [];
    for (const service of trust.SERVICES) issued.push((await exchange(service)).text);
    const secrets = world.clouds.secrets();
    for (const text of issued) expect(secrets.some((secret) => text.includes(secret))).toBe(true);
  });
});

describe("controls over HTTP", () => {
  test("do what the hand in the process does", async () => {
    const control = cloudControl(world.origin("referee.example"));
    const { hostname } = new URL(issuer.issuerUrl);
    await control.distrust();
    expect((await exchange("vault")).status).toBe(403);
    await control.register(...trust.trustOf(issuer.issuerUrl, issuer.subject));
    await control.resolve(hostname, issuer.issuerPort);
    await control.publish(`${issuer.issuerUrl}/other`, 200, {});
    await control.change({ lifeS: 60 }, "vault");
    expect((await exchange("vault")).body["auth"]).toMatchObject({ lease_duration: 60 });
    await control.arm("vault", "503", 2);
    expect((await exchange("vault")).status).toBe(503);
    await control.expire("vault");
    expect(await control.counts()).toMatchObject({ vault: { asked: 3, granted: 1 } });
    expect((await control.exchanges("vault")).map(({ refused }) => refused)).toEqual([
      "permission_denied",
      null,
      "503",
    ]);
    expect(await control.secrets()).toEqual(world.clouds.secrets());
    expect((await control.fetched()).length).toBeGreaterThan(0);
    await control.forget();
    expect(await control.exchanges()).toEqual([]);
  });

  test.each([
    ["an entry of no kind", "POST", "/trust", [{ kind: "none" }], 422, "/0/kind"],
    ["a setting that is not known", "PATCH", "/settings", { skew: 1 }, 422, ""],
    ["a cloud that is not here", "POST", "/errors", { service: "ibm", code: "x" }, 422, "/service"],
    ["a port that is none", "POST", "/issuers", { host: "a.example", port: 0 }, 422, "/port"],
  ])("%s is refused with a pointer", async (_what, method, path, body, status, pointer) => {
    const request = { method, body: JSON.stringify(body) };
    const answer = await fetch(`${world.origin("referee.example")}/clouds${path}`, request);
    expect(answer.status).toBe(status);
    expect(await answer.json()).toMatchObject({ code: "invalid_body", errors: [{ pointer }] });
  });

  test("every token service has a host of its own in the world", () => {
    for (const [name, host] of Object.entries(CLOUD_HOSTS)) {
      expect(world.names[host]).toBeGreaterThan(0);
      expect(isTokenService(name)).toBe(trust.SERVICES.some((service) => service === name));
    }
  });
});
