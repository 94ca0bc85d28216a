/** Callers who come with a token in the place of an API key: who they are, what they may, and when that ends. */
import { env } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { expectAnswer, expectProblem, newKey, newTenant } from "./api-support.ts";
import { Isolate, requestsTo, RULE, signingKey, TestIssuer, type Trusted } from "./trusted-support.ts";

const here = new Isolate();
const elsewhere = new Isolate();
const TENANT = "trusting";
const SUBJECT = RULE.subject;
const ALL = "repo:acme/shop:*";
let admin = "";

beforeAll(async () => {
  admin = await newTenant(TENANT);
});

afterEach(() => {
  vi.useRealTimers();
});

function later(ms: number): void {
  const now = Date.now();
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(now + ms);
}

async function look(token: string, run: string, isolate = here): Promise<Response> {
  return isolate.send("GET", `/v1/runs/${run}`, { key: token });
}

describe("who comes with a token of a trusted issuer", () => {
  test.each(["RS256", "ES256", "PS256", "EdDSA"])(
    "starts a run and sees it, also with another token of the same subject (%s)",
    async (alg) => {
      const issuer = await TestIssuer.make(alg);
      const trusted = await here.trust(admin, issuer);
      expect(trusted.audience).toBe(`https://showcaller.test/t/${TENANT}`);
      const run = await here.start(await issuer.token(TENANT));
      expect(run.started_by).toMatch(/^token:tok_[0-9a-z]{26}$/);
      const again = await issuer.token(TENANT, { jti: "another" });
      await expectAnswer(await look(again, run.id), "getRun", 200);
      // Append, signal and close are for who started it: it is the same caller.
      const signal = { key: again, body: { payload: "now" } };
      expect((await here.send("POST", `/v1/runs/${run.id}/signals/go`, signal)).status).toBe(200);
    },
  );

  test("has the scopes of the rule, and no other", async () => {
    const issuer = await TestIssuer.make();
    await here.trust(admin, issuer, [{ ...RULE, scopes: ["workflows:read"] }]);
    const token = await issuer.token(TENANT);
    expect((await here.send("GET", "/v1/workflows", { key: token })).status).toBe(200);
    const start = { key: token, body: { workflow: "t-wait" } };
    await expectProblem(await here.send("POST", "/v1/runs", start), 403, "insufficient_scope");
  });

  test("steers no run of another subject", async () => {
    const issuer = await TestIssuer.make();
    await here.trust(admin, issuer, [{ ...RULE, subject: ALL.replace("*", "environment:*") }]);
    const run = await here.start(await issuer.token(TENANT));
    const other = await issuer.token(TENANT, { sub: "repo:acme/shop:environment:staging" });
    const body = { payload: "now" };
    await expectProblem(
      await here.send("POST", `/v1/runs/${run.id}/signals/go`, { key: other, body }),
      404,
      "not_found",
    );
  });

  test("acts for the user that a claim names, and sees nobody else's runs", async () => {
    const issuer = await TestIssuer.make();
    await here.trust(admin, issuer, [{ ...RULE, user: { claim: "email" } }]);
    const ada = await issuer.token(TENANT, { email: "ada" });
    const bob = await issuer.token(TENANT, { email: "bob" });
    const run = await here.start(ada);
    expect(run.user).toBe("ada");
    await expectAnswer(await look(ada, run.id), "getRun", 200);
    await expectProblem(await look(bob, run.id), 404, "not_found");
    const asAda = { key: bob, body: { workflow: "t-wait", user: "ada" } };
    await expectProblem(await here.send("POST", "/v1/runs", asAda), 403, "user_wider");
  });

  test.each([{ email: ["ada"] }, { email: { name: "ada" } }, { email: "" }, { email: "a\nb" }, {}])(
    "is nobody where that claim is %j",
    async (claims) => {
      const issuer = await TestIssuer.make();
      await here.trust(admin, issuer, [{ ...RULE, user: { claim: "email" } }]);
      const token = await issuer.token(TENANT, claims);
      await expectProblem(await look(token, "run_1"), 401, "invalid_token");
      expect(await here.tried(admin, token)).toMatchObject({ taken: false, reason: "no_rule" });
    },
  );

  test("stands under the policy of the rule and under those of the key that trusts", async () => {
    const only = (name: string) => ({ workflows: [name, "t-approval"] });
    const maker = await newKey(admin, { policy: only("t-wait") });
    const issuer = await TestIssuer.make();
    await here.trust(maker, issuer, [{ ...RULE, policy: { workflows: ["t-approval", "t-chain-4"] } }]);
    const token = await issuer.token(TENANT);
    const start = (workflow: string, input = {}) =>
      here.send("POST", "/v1/runs", { key: token, body: { workflow, input } });
    await expectProblem(await start("t-wait"), 403, "policy_denied");
    await expectProblem(await start("t-chain-4"), 403, "policy_denied");
    await expectAnswer(await start("t-approval", { price: 1 }), "startRun", 202);
  });

  test("is shown by its subject to who looks at the issuer, and the try tells who it would be", async () => {
    const issuer = await TestIssuer.make();
    const trusted = await here.trust(admin, issuer);
    const token = await issuer.token(TENANT);
    const { caller, taken } = await here.tried(admin, token);
    expect(taken).toBe(true);
    const { started_by } = await here.start(token);
    expect(started_by).toBe(`token:${caller?.id}`);
    const seen = await here.send("GET", `/v1/trusted-issuers/${trusted.name}`, { key: admin });
    const { callers } = await expectAnswer<{ callers: { id: string; subject: string }[] }>(
      seen,
      "getTrustedIssuer",
      200,
    );
    expect(callers).toMatchObject([{ id: caller?.id, subject: SUBJECT }]);
  });
});

describe("tenants", () => {
  test("that trust the same issuer stay apart: the audience decides, and nothing else", async () => {
    const rival = await newTenant("trusting-rival");
    const issuer = await TestIssuer.make();
    await here.trust(admin, issuer);
    await here.trust(rival, issuer, [{ ...RULE, scopes: ["runs:*"] }]);
    const ours = await issuer.token(TENANT, { tenant: "trusting-rival", azp: "trusting-rival" });
    const theirs = await issuer.token("trusting-rival");
    const run = await here.start(ours);
    expect(run.tenant).toBe(TENANT);
    const start = await here.start(theirs);
    expect(start.tenant).toBe("trusting-rival");
    expect(start.started_by).not.toBe(run.started_by);
    await expectProblem(await look(theirs, run.id), 404, "not_found");
  });

  test("learn nothing of each other's trust by trying tokens", async () => {
    const curious = await newTenant("trusting-curious");
    const issuer = await TestIssuer.make();
    await here.trust(admin, issuer);
    const reasons = await Promise.all([
      here.tried(curious, await issuer.token(TENANT)),
      here.tried(curious, await issuer.token(TENANT, { sub: "other" })),
      here.tried(curious, await (await TestIssuer.make()).token(TENANT)),
    ]);
    for (const tried of reasons) expect(tried).toMatchObject({ taken: false, reason: "not_for_us" });
    expect(requestsTo(issuer.host)).toBe(0);
  });
});

describe("keys that a token's caller makes", () => {
  async function maker(life: number, more: Readonly<Record<string, unknown>> = {}) {
    const issuer = await TestIssuer.make();
    const trusted = await here.trust(admin, issuer, [{ ...RULE, scopes: ["keys:write", "runs:read"] }], more);
    const now = Math.floor(Date.now() / 1_000);
    return {
      issuer,
      trusted,
      now,
      token: await issuer.token(TENANT, { iat: now, exp: now + life + 0.0005 }),
    };
  }
  const make = (token: string, body: Readonly<Record<string, unknown>> = {}) =>
    here.send("POST", "/v1/keys", { key: token, body: { name: "k", scopes: ["runs:read"], ...body } });

  test("are no wider, and never outlive the token", async () => {
    const { token, now } = await maker(600);
    const made = await expectAnswer<{ expires_at: number; created_by: string }>(
      await make(token),
      "createKey",
      201,
    );
    expect(made.expires_at).toBe((now + 600) * 1_000);
    expect(made.created_by).toMatch(/^token:tok_/);
    await expectProblem(await make(token, { scopes: ["runs:write"] }), 403, "scope_wider");
    await expectProblem(await make(token, { expires_at: (now + 601) * 1_000 }), 403, "expiry_wider");
    await expectProblem(await make(token, { expires_at: null }), 403, "expiry_wider");
  });

  test("nor the age to which the issuer is trusted, be the token's own expiry in a hundred years", async () => {
    const { token, now } = await maker(3_153_600_000, { max_age_s: 120 });
    const made = await expectAnswer<{ expires_at: number }>(await make(token), "createKey", 201);
    expect(made.expires_at).toBe((now + 120) * 1_000);
  });

  test("nor the key that trusts the issuer", async () => {
    const expiresAt = Date.now() + 60_000;
    const key = await newKey(admin, { expires_at: expiresAt });
    const issuer = await TestIssuer.make();
    const trusted = await here.trust(key, issuer, [{ ...RULE, scopes: ["keys:write", "runs:read"] }]);
    expect(trusted.until).toBe(expiresAt);
    const made = await expectAnswer<{ expires_at: number }>(
      await make(await issuer.token(TENANT)),
      "createKey",
      201,
    );
    expect(made.expires_at).toBe(expiresAt);
    later(60_000);
    await expectProblem(await make(await issuer.token(TENANT)), 401, "invalid_token");
  });

  test("go with the key that trusts the issuer, if what comes from it is revoked with it", async () => {
    const root = await here.send("POST", "/v1/keys", { key: admin, body: { name: "r", scopes: ["*"] } });
    const { id, key } = await expectAnswer<{ id: string; key: string }>(root, "createKey", 201);
    const issuer = await TestIssuer.make();
    await here.trust(key, issuer, [{ ...RULE, scopes: ["keys:write", "runs:read"] }]);
    const made = await expectAnswer<{ key: string }>(
      await make(await issuer.token(TENANT)),
      "createKey",
      201,
    );
    const revoked = await here.send("DELETE", `/v1/keys/${id}?descendants=true`, { key: admin });
    expect(await expectAnswer(revoked, "revokeKey", 200)).toMatchObject({
      descendants: { revoked: 1, complete: true },
    });
    await expectProblem(await elsewhere.send("GET", "/v1/runs", { key: made.key }), 401, "key_revoked");
    await expectProblem(
      await elsewhere.send("GET", "/v1/runs", { key: await issuer.token(TENANT) }),
      401,
      "invalid_token",
    );
  });

  test("are not made any more once the issuer is trusted otherwise, also where that is not known yet", async () => {
    const { issuer, token, trusted } = await maker(600);
    await expectAnswer(await make(token), "createKey", 201);
    const body = { issuer: issuer.url, rules: [RULE] };
    const path = `/v1/trusted-issuers/${trusted.name}`;
    const changed = await elsewhere.send("PUT", path, { key: admin, body });
    expect((await expectAnswer<Trusted>(changed, "putTrustedIssuer", 200)).version).toBe(2);
    await expectProblem(await make(token), 403, "maker_ended");
  });
});

describe("approvals", () => {
  const asked = async (token: string): Promise<string> => {
    const run = await here.start(token, { workflow: "t-approval", input: { price: 1 } });
    return `/v1/approvals/${run.id}.ok.g1`;
  };
  const decide = (key: string, path: string) =>
    here.send("POST", path, { key, body: { decision: "approved" } });
  const DECIDING = { ...RULE, scopes: ["runs:*", "approvals:decide", "keys:write"] };

  test("are not decided by the subject that asked, be it with another token or with a key that it made", async () => {
    const issuer = await TestIssuer.make();
    await here.trust(admin, issuer, [DECIDING]);
    const token = await issuer.token(TENANT);
    const path = await asked(token);
    const again = await issuer.token(TENANT, { jti: "another" });
    await expectProblem(await decide(again, path), 403, "approver_is_starter");
    await expectProblem(
      await here.send("POST", `${path}/links`, { key: again, body: {} }),
      403,
      "approver_is_starter",
    );
    const made = await newKeyOf(token, ["runs:read", "approvals:decide"]);
    await expectProblem(await decide(made, path), 403, "approver_is_starter");
  });

  test("are decided by another subject that is named for it", async () => {
    const issuer = await TestIssuer.make();
    await here.trust(admin, issuer, [DECIDING, { ...DECIDING, subject: "person:judge" }]);
    const path = await asked(await issuer.token(TENANT));
    const judge = await issuer.token(TENANT, { sub: "person:judge" });
    await expectAnswer(await decide(judge, path), "decideApproval", 200);
  });

  test("are not decided by who can only come because the one that asked trusts the issuer", async () => {
    const key = await newKey(admin, {});
    const issuer = await TestIssuer.make();
    await here.trust(key, issuer, [{ ...DECIDING, subject: "person:me" }]);
    const path = await asked(key);
    const me = await issuer.token(TENANT, { sub: "person:me" });
    await expectProblem(await decide(me, path), 403, "approver_is_starter");
    const mine = await newKeyOf(me, ["runs:read", "approvals:decide"]);
    await expectProblem(await decide(mine, path), 403, "approver_is_starter");
    // Somebody else's change does not wash that off, and neither does the end of the trust.
    const name = `/v1/trusted-issuers/of-${issuer.host.split(".")[0]}`;
    const body = { issuer: issuer.url, rules: [{ ...DECIDING, subject: "person:me" }] };
    expect((await here.send("PUT", name, { key: admin, body })).status).toBe(200);
    await expectProblem(await decide(me, path), 403, "approver_is_starter");
    expect((await here.send("DELETE", name, { key })).status).toBe(200);
    await expectProblem(await decide(mine, path), 403, "approver_is_starter");
  });

  async function newKeyOf(maker: string, scopes: readonly string[]): Promise<string> {
    const made = await here.send("POST", "/v1/keys", { key: maker, body: { name: "k", scopes } });
    return (await expectAnswer<{ key: string }>(made, "createKey", 201)).key;
  }
});

describe("trust ends", () => {
  test("at once where it is ended, and everywhere when the answer says", async () => {
    const issuer = await TestIssuer.make();
    const { name } = await here.trust(admin, issuer);
    const token = await issuer.token(TENANT);
    const run = await here.start(token);
    await expectAnswer(await look(token, run.id, elsewhere), "getRun", 200);
    const before = Date.now();
    const ended = await here.send("DELETE", `/v1/trusted-issuers/${name}`, { key: admin });
    const { effective_by } = await expectAnswer<{ effective_by: number }>(ended, "deleteTrustedIssuer", 200);
    await expectProblem(await look(token, run.id), 401, "invalid_token");
    // Another isolate has it from its memory until then.
    await expectAnswer(await look(token, run.id, elsewhere), "getRun", 200);
    later(effective_by - before);
    await expectProblem(await look(token, run.id, elsewhere), 401, "invalid_token");
  });

  test("when the key that last said what is trusted is revoked, and begins anew with another one's word", async () => {
    const made = await here.send("POST", "/v1/keys", { key: admin, body: { name: "r", scopes: ["*"] } });
    const { id, key } = await expectAnswer<{ id: string; key: string }>(made, "createKey", 201);
    const issuer = await TestIssuer.make();
    const { name } = await here.trust(key, issuer);
    const token = await issuer.token(TENANT);
    expect((await here.send("DELETE", `/v1/keys/${id}`, { key: admin })).status).toBe(200);
    await expectProblem(await here.send("GET", "/v1/runs", { key: token }), 401, "invalid_token");
    expect(await here.tried(admin, token)).toMatchObject({ reason: "trust_ended" });
    const body = { issuer: issuer.url, rules: [RULE] };
    const path = `/v1/trusted-issuers/${name}`;
    const changed = await expectAnswer<Trusted>(
      await here.send("PUT", path, { key: admin, body }),
      "putTrustedIssuer",
      200,
    );
    expect(changed.until).toBeNull();
    expect((await here.send("GET", "/v1/runs", { key: token })).status).toBe(200);
  });

  test("for a token, at its expiry, without a second of grace", async () => {
    const issuer = await TestIssuer.make();
    await here.trust(admin, issuer);
    const now = Date.now();
    const token = await issuer.token(TENANT, { exp: Math.floor(now / 1_000) + 20 });
    expect((await here.send("GET", "/v1/runs", { key: token })).status).toBe(200);
    later(20_000);
    await expectProblem(await here.send("GET", "/v1/runs", { key: token }), 401, "invalid_token");
  });
});

describe("who says what is trusted", () => {
  const create = (key: string, body: unknown) => here.send("POST", "/v1/trusted-issuers", { key, body });
  const body = (issuer: TestIssuer, more: Readonly<Record<string, unknown>> = {}) => ({
    ...{ name: issuer.host.split(".")[0], issuer: issuer.url, rules: [RULE] },
    ...more,
  });

  test("gives no more than they have", async () => {
    const issuer = await TestIssuer.make();
    const narrow = await newKey(admin, { scopes: ["issuers:write", "runs:read"] });
    await expectProblem(await create(narrow, body(issuer)), 403, "scope_wider");
    const user = { rules: [{ ...RULE, scopes: ["runs:read"], user: "ada" }] };
    await expectProblem(await create(narrow, body(issuer, user)), 403, "scope_wider");
  });

  test("takes away no more than they have", async () => {
    const issuer = await TestIssuer.make();
    const { name } = await here.trust(admin, issuer);
    const narrow = await newKey(admin, { scopes: ["issuers:write", "runs:read"] });
    const path = `/v1/trusted-issuers/${name}`;
    const less = { issuer: issuer.url, rules: [{ ...RULE, scopes: ["runs:read"] }] };
    await expectProblem(await here.send("PUT", path, { key: narrow, body: less }), 403, "scope_wider");
    await expectProblem(await here.send("DELETE", path, { key: narrow }), 403, "scope_wider");
  });

  test("holds a key: who comes with a token trusts nobody", async () => {
    const issuer = await TestIssuer.make();
    await here.trust(admin, issuer, [{ ...RULE, scopes: ["issuers:*", "runs:*"] }]);
    const token = await issuer.token(TENANT);
    await expectProblem(await create(token, body(await TestIssuer.make())), 403, "insufficient_scope");
  });

  test("names each issuer and each name once, and cannot put another issuer in the place of one", async () => {
    const issuer = await TestIssuer.make();
    const other = await TestIssuer.make();
    const { name } = await here.trust(admin, issuer);
    await expectProblem(await create(admin, body(issuer, { name: "twice" })), 409, "issuer_exists");
    await expectProblem(await create(admin, body(other, { name })), 409, "issuer_exists");
    const moved = { issuer: other.url, rules: [RULE] };
    const { errors } = await expectProblem(
      await here.send("PUT", `/v1/trusted-issuers/${name}`, { key: admin, body: moved }),
      400,
      "invalid_request",
    );
    expect(errors).toMatchObject([{ pointer: "/issuer" }]);
  });

  test.each([
    "http://issuer.example",
    "https://10.0.0.1",
    "https://localhost",
    "https://issuer.example:8443",
    "https://issuer.example?a=b",
    "https://issuer.example/\tx",
    // Our own, of this tenant or of another one: what runs hold must not open the API.
    "https://id.showcaller.test/t/other",
    "https://showcaller.test",
  ])("cannot trust %s", async (issuer) => {
    const { errors } = await expectProblem(
      await create(admin, { name: "never", issuer, rules: [RULE] }),
      400,
      "invalid_request",
    );
    expect(errors).toMatchObject([{ pointer: "/issuer" }]);
  });

  test("is in the audit, before it counts", async () => {
    const issuer = await TestIssuer.make();
    const { name } = await here.trust(admin, issuer);
    await here.send("PUT", `/v1/trusted-issuers/${name}`, {
      key: admin,
      body: { issuer: issuer.url, rules: [RULE] },
    });
    await here.send("DELETE", `/v1/trusted-issuers/${name}`, { key: admin });
    const { results } = await env.DB.prepare(
      "SELECT action, outcome FROM access_audit WHERE tenant = ? AND target = ? ORDER BY seq",
    )
      .bind(TENANT, name)
      .all();
    expect(results.map(({ action }) => action)).toEqual(["issuer.trust", "issuer.change", "issuer.distrust"]);
  });
});

describe("keys of an issuer", () => {
  test("that come anew are found, and those that went are not taken once ours are old", async () => {
    const issuer = await TestIssuer.make();
    await here.trust(admin, issuer);
    const old = await issuer.token(TENANT);
    expect((await here.send("GET", "/v1/runs", { key: old })).status).toBe(200);
    const next = await signingKey("RS256", "next");
    issuer.keys.splice(0, 1, next.publicJwk);
    later(30_000);
    const fresh = await issuer.token(TENANT, {}, { kid: "next" }, next.privateKey);
    expect((await here.send("GET", "/v1/runs", { key: fresh })).status).toBe(200);
    await expectProblem(await here.send("GET", "/v1/runs", { key: old }), 401, "invalid_token");
    expect(requestsTo(issuer.host)).toBe(4);
  });
});
