import { env } from "cloudflare:workers";
import { runDurableObjectAlarm } from "cloudflare:test";
import { beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { comeBack, providerAddress, redeem } from "../../src/connections/connecting.ts";
import { grantLinkOf, readGrantLink, redeemGrantLink } from "../../src/connections/grant-links.ts";
import type { ConnectionView } from "../../src/connections/index.ts";
import { selectSession } from "../../src/connections/sessions-store.ts";
import type { Registry } from "../../src/define/index.ts";
import { createLogger, ok, randomId } from "../../src/platform/index.ts";
import type { RunRpc, RunView } from "../../src/run/index.ts";
import { createKeyCheck, createVault, loadKeyring } from "../../src/vault/index.ts";
import { expectAnswer, expectProblem, makeKey, ORIGIN } from "./api-support.ts";
import { databaseText, lender, tenantOf } from "./connections-support.ts";

const TENANT = "sessions";
const TOKEN = "access-token-91c2";
const REFRESH = "refresh-token-44ab";
const RETURN = "https://app.example/connected?from=us";
const APP = {
  provider: "oauth2",
  client_id: "app-1",
  client_secret: "secret-of-the-app",
  custom: {
    hosts: ["api.lender.example"],
    authorize_url: "https://lender.example/authorize",
    token_url: "https://lender.example/token",
    identity: { url: "https://api.lender.example/me", id: "/id", label: "/email" },
  },
  scopes_allowed: ["read", "write"],
  scopes_default: ["read"],
  return_to: [RETURN, "https://app.example/other"],
};

/** What the one run of these tests looks like, and what it was told. */
const runs: { view: RunView | null; started: number; readonly rebound: unknown[] } = {
  ...{ view: null, started: 0, rebound: [] },
};
const outside = lender(() => runsOfTest(), workflowsOfTest());
const { door, room } = outside;
let admin = "";
let backend = "";
let ada = "";
let bob = "";

interface Session {
  readonly id: string;
  readonly state: string;
  readonly connection: string;
  readonly url: string | null;
  readonly scopes: readonly string[];
  readonly [field: string]: unknown;
}

beforeAll(async () => {
  admin = await tenantOf(outside, TENANT);
  backend = (await makeKey(door, TENANT)).text;
  const bound = {
    scopes: ["connections:read", "connections:write", "connections:connect", "runs:read"],
    expiresAt: Date.now() + 3_000_000,
  };
  ada = (await makeKey(door, TENANT, { ...bound, user: "ada" })).text;
  bob = (await makeKey(door, TENANT, { ...bound, user: "bob" })).text;
  const others = { ...APP, link_enabled: true, mode: "link" };
  for (const [name, body] of [
    ["app", APP],
    ["linked", others],
    ["hosted", { ...APP, mode: "host_session" }],
    ["ours", { ...others, owner: "tenant", workflows: ["any"] }],
  ] as const)
    await expectAnswer(
      await door.send("POST", "/v1/integrations", { key: admin, body: { name, ...body } }),
      "createIntegration",
      201,
    );
});

beforeEach(() => {
  provider("ada-1");
  runs.rebound.length = 0;
});

/** The provider's answers, for an account. */
function provider(account: string, scope = "read"): void {
  outside.answer = ({ request }) =>
    request.url.endsWith("/me")
      ? [200, { id: account, email: `${account}@mail.example` }]
      : [200, { access_token: TOKEN, refresh_token: REFRESH, token_type: "bearer", expires_in: 3600, scope }];
}

async function begin(body: object, key = backend): Promise<Session> {
  const made = await door.send("POST", "/v1/connect-sessions", {
    key,
    body: { integration: "app", ...body },
  });
  return expectAnswer<Session>(made, "createConnectSession", 201);
}

async function look(id: string): Promise<Session> {
  const read = await door.send("GET", `/v1/connect-sessions/${id}`, { key: backend });
  return expectAnswer<Session>(read, "getConnectSession", 200);
}

/** What a browser does: opens the link, consents, comes back. Answers where it ends. */
async function consent(session: Session, ticket: string | null = null): Promise<URL | null> {
  const kept = await selectSession(env.DB, session.id);
  if (kept === null) throw new Error("There is no such session.");
  const redeemed = await redeem(room.flow, kept, ticket);
  if (!redeemed.ok) throw new Error(redeemed.error);
  const begun = await selectSession(env.DB, session.id);
  const at = { origin: ORIGIN, cookie: redeemed.value };
  const asked = new URL((begun === null ? null : await providerAddress(room.flow, begun, at)) ?? "");
  const query = new URLSearchParams({ state: asked.searchParams.get("state") ?? "", code: "code-1" });
  const back = await comeBack(room.flow, {
    ...{ tenant: TENANT, integration: kept.slot.integration, query, origin: ORIGIN },
    cookieOf: () => redeemed.value,
  });
  if (!back.ok) throw new Error(back.error.refusal);
  return back.value.location === null ? null : new URL(back.value.location);
}

async function viewOf(connection: string): Promise<ConnectionView | null> {
  return outside.object(TENANT, connection).view(TENANT);
}

async function confirm(id: string, body: object): Promise<Response> {
  return door.send("POST", `/v1/connect-sessions/${id}/confirm`, { key: backend, body });
}

/** Ada's connection of an account label, through the whole flow. */
async function connected(account: string, more: object = {}): Promise<Session> {
  const session = await begin({ user: "ada", account, ...more });
  const end = await consent(session);
  const code = end?.searchParams.get("code") ?? "";
  await expectAnswer(await confirm(session.id, { code, user: "ada" }), "confirmConnectSession", 200);
  return session;
}

describe("a connect session", () => {
  test("has a link that stands in no row, and what it may ask for", async () => {
    const session = await begin({ user: "ada", scopes: ["write"] });
    expect(session).toMatchObject({
      state: "open",
      mode: "confirm",
      return_to: RETURN,
      scopes: ["read", "write"],
    });
    const secret = session.url?.split(".").at(-1) ?? "";
    expect(secret).toMatch(/^[\w-]{43}$/);
    expect(await databaseText()).not.toContain(secret);
    expect((await look(session.id)).url).toBe(session.url);
  });

  test.each<[string, object, number, string, string]>([
    [
      "an integration that there is not",
      { integration: "nothing", user: "ada" },
      422,
      "unknown_integration",
      "/integration",
    ],
    ["no user", {}, 422, "owner_mismatch", "/user"],
    [
      "a scope beyond the integration's",
      { user: "ada", scopes: ["admin"] },
      422,
      "scopes_not_allowed",
      "/scopes",
    ],
    [
      "an address that is not listed",
      { user: "ada", return_to: "https://evil.example/" },
      422,
      "return_to_not_allowed",
      "/return_to",
    ],
    [
      "an address that begins like a listed one",
      { user: "ada", return_to: `${RETURN}&x=1` },
      422,
      "return_to_not_allowed",
      "/return_to",
    ],
    [
      "the mode of links that anybody may open",
      { user: "ada", mode: "link" },
      422,
      "mode_not_enabled",
      "/mode",
    ],
    [
      "an account that is no name",
      { user: "ada", account: "My Account" },
      400,
      "invalid_request",
      "/account",
    ],
    ["a user with a control character", { user: "a\nb" }, 400, "invalid_request", "/user"],
  ])("is not made for %s", async (_, body, status, code, pointer) => {
    const answer = await door.send("POST", "/v1/connect-sessions", {
      key: backend,
      body: { integration: "app", ...body },
    });
    expect((await expectProblem(answer, status, code)).errors).toMatchObject([{ pointer }]);
  });

  test("of a key that is bound to a user is this user's, and no other key of a user sees it", async () => {
    const own = await begin({}, ada);
    expect(own).toMatchObject({ user: "ada" });
    const other = await door.send("POST", "/v1/connect-sessions", {
      key: bob,
      body: { integration: "app", user: "ada" },
    });
    await expectProblem(other, 403, "user_wider");
    await expectProblem(
      await door.send("GET", `/v1/connect-sessions/${own.id}`, { key: bob }),
      404,
      "not_found",
    );
    const said = await door.send("POST", `/v1/connect-sessions/${own.id}/confirm`, {
      key: ada,
      body: { code: "x", user: "ada" },
    });
    await expectProblem(said, 403, "insufficient_scope");
    const ticket = await door.send("POST", `/v1/connect-sessions/${own.id}/ticket`, {
      key: ada,
      body: { user: "ada" },
    });
    await expectProblem(ticket, 403, "insufficient_scope");
  });
});

describe("in the mode confirm", () => {
  test("what was granted is of no use before the backend has said whose it is", async () => {
    const session = await begin({ user: "ada", account: "first" });
    const end = await consent(session);
    expect(`${end?.origin}${end?.pathname}`).toBe("https://app.example/connected");
    expect(end?.searchParams.get("from")).toBe("us");
    expect(end?.searchParams.get("session")).toBe(session.id);
    const code = end?.searchParams.get("code") ?? "";
    expect(await viewOf(session.connection)).toBeNull();
    expect(await look(session.id)).toMatchObject({ state: "unconfirmed", url: null });
    await expectProblem(await confirm(session.id, { code: "wrong", user: "ada" }), 422, "code_wrong");
    await expectProblem(await confirm(session.id, { code }), 400, "invalid_request");
    const done = await expectAnswer(
      await confirm(session.id, { code, user: "ada" }),
      "confirmConnectSession",
      200,
    );
    expect(done).toEqual({ id: session.id, connection: session.connection });
    expect(await viewOf(session.connection)).toMatchObject({
      standing: { status: "active" },
      account: { id: "ada-1", label: "ada-1@mail.example" },
      identityLevel: "confirm",
    });
    // Its answer may have been lost.
    const again = await confirm(session.id, { code, user: "ada" });
    expect(await expectAnswer(again, "confirmConnectSession", 200)).toEqual(done);
    await expectProblem(await confirm(session.id, { code, user: "bob" }), 409, "session_over");
    expect(await look(session.id)).toMatchObject({ state: "done", failure: null });
  });

  test("another user than the session's throws it away", async () => {
    const session = await begin({ user: "ada", account: "phished" });
    const code = (await consent(session))?.searchParams.get("code") ?? "";
    await expectProblem(await confirm(session.id, { code, user: "mallory" }), 409, "user_mismatch");
    await expectProblem(await confirm(session.id, { code, user: "ada" }), 409, "session_over");
    expect(await viewOf(session.connection)).toBeNull();
    expect(await look(session.id)).toMatchObject({ state: "failed", failure: "user_mismatch" });
  });

  test("nothing comes to life of an integration that was deleted meanwhile", async () => {
    const body = { name: "brief", ...APP };
    await expectAnswer(
      await door.send("POST", "/v1/integrations", { key: admin, body }),
      "createIntegration",
      201,
    );
    const session = await begin({ integration: "brief", user: "ada" });
    const code = (await consent(session))?.searchParams.get("code") ?? "";
    await expectAnswer(
      await door.send("DELETE", "/v1/integrations/brief", { key: admin }),
      "deleteIntegration",
      202,
    );
    await expectProblem(await confirm(session.id, { code, user: "ada" }), 409, "session_over");
    expect(await viewOf(session.connection)).toBeNull();
  });
});

describe("in the mode host_session", () => {
  test("only the browser with the ticket of its user gets through, once", async () => {
    const session = await begin({ integration: "hosted", user: "ada" });
    await expect(consent(session)).rejects.toThrow("link_used");
    const path = `/v1/connect-sessions/${session.id}/ticket`;
    const wrong = await door.send("POST", path, { key: backend, body: { user: "mallory" } });
    await expectProblem(wrong, 409, "user_mismatch");
    const given = await door.send("POST", path, { key: backend, body: { user: "ada" } });
    const { url } = await expectAnswer<{ url: string }>(given, "ticketConnectSession", 200);
    expect(url.split("?")[0]).toBe(session.url);
    const ticket = new URL(url).searchParams.get("ticket") ?? "";
    expect(await databaseText()).not.toContain(ticket);
    expect((await consent(session, ticket))?.searchParams.has("code")).toBe(false);
    expect(await viewOf(session.connection)).toMatchObject({ identityLevel: "host_session" });
    const again = await door.send("POST", path, { key: backend, body: { user: "ada" } });
    await expectProblem(again, 409, "session_over");
  });

  test("a session of another mode takes no ticket", async () => {
    const session = await begin({ user: "ada" });
    const given = await door.send("POST", `/v1/connect-sessions/${session.id}/ticket`, {
      key: backend,
      body: { user: "ada" },
    });
    await expectProblem(given, 409, "session_over");
  });
});

test("in the mode link, whoever opens it consents at once, and where it came from stands on the grant", async () => {
  const session = await begin({ integration: "linked", user: "ada" });
  expect((await consent(session))?.href).toBe(RETURN);
  expect(await viewOf(session.connection)).toMatchObject({
    identityLevel: "link",
    standing: { status: "active" },
  });
});

describe("a connection", () => {
  interface View {
    readonly id: string;
    readonly status: string;
    readonly siblings?: boolean;
    readonly [field: string]: unknown;
  }

  test("is listed, by whose it is, with no token in the database, an answer or a log", async () => {
    const { connection } = await connected("listed");
    await runDurableObjectAlarm(env.CONNECTION.getByName(`connection:${TENANT}:${connection}`));
    const list = async (key: string, query = "") =>
      (
        await expectAnswer<{ data: readonly View[] }>(
          await door.send("GET", `/v1/connections${query}`, { key }),
          "listConnections",
          200,
        )
      ).data.map(({ id }) => id);
    expect(await list(backend, "?user=ada&status=active")).toContain(connection);
    expect(await list(backend, "?owner=tenant")).not.toContain(connection);
    expect(await list(ada)).toContain(connection);
    expect(await list(bob)).toEqual([]);
    await expectProblem(await door.send("GET", "/v1/connections?user=ada", { key: bob }), 403, "user_wider");
    const read = await door.send("GET", `/v1/connections/${connection}`, { key: ada });
    const view = await expectAnswer<View>(read, "getConnection", 200);
    expect(view).toMatchObject({ user: "ada", account: "listed", label: "ada-1@mail.example", uses: [] });
    for (const method of ["GET", "DELETE"])
      await expectProblem(
        await door.send(method, `/v1/connections/${connection}`, { key: bob }),
        404,
        "not_found",
      );
    const everything = [await databaseText(), JSON.stringify(view), ...outside.lines, ...door.lines].join(
      "\n",
    );
    expect(everything).not.toContain(TOKEN);
    expect(everything).not.toContain(REFRESH);
    const { results } = await env.DB.prepare("SELECT action FROM access_audit WHERE target = ?")
      .bind(connection)
      .all();
    expect(results.map(({ action }) => action)).toEqual(
      expect.arrayContaining(["connection.consent", "connection.pending", "connection.grant"]),
    );
  });

  test("comes in pages, each once", async () => {
    const { results } = await env.DB.prepare("SELECT id FROM connections WHERE tenant = ? ORDER BY id")
      .bind(TENANT)
      .all<{ id: string }>();
    await connected("paged");
    const seen: string[] = [];
    let cursor: string | null = "";
    for (let page = 0; cursor !== null && page <= results.length + 1; page += 1) {
      const query: string = cursor === "" ? "?limit=1" : `?limit=1&cursor=${cursor}`;
      const answer: Response = await door.send("GET", `/v1/connections${query}`, { key: backend });
      const { data, next_cursor: next } = await expectAnswer<{
        data: readonly View[];
        next_cursor: string | null;
      }>(answer, "listConnections", 200);
      seen.push(...data.map(({ id }) => id));
      cursor = next;
    }
    expect(cursor).toBeNull();
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen).toEqual(expect.arrayContaining(results.map(({ id }) => id)));
  });

  test("is widened by asking for what it has and more, and stays as it is until the user has consented", async () => {
    const { connection } = await connected("widened");
    const again = await door.send("POST", `/v1/connections/${connection}/reconnect`, {
      key: ada,
      body: { scopes: ["write"] },
    });
    const session = await expectAnswer<Session>(again, "reconnect", 201);
    expect(session).toMatchObject({ connection, account: "widened", scopes: ["read", "write"] });
    expect(await viewOf(connection)).toMatchObject({ version: 1, scopes: ["read"] });
    provider("ada-1", "read write");
    const code = (await consent(session))?.searchParams.get("code") ?? "";
    expect(await viewOf(connection)).toMatchObject({ version: 1, scopes: ["read"] });
    await expectAnswer(await confirm(session.id, { code, user: "ada" }), "confirmConnectSession", 200);
    expect(await viewOf(connection)).toMatchObject({ version: 2, epoch: 1, scopes: ["read", "write"] });
  });

  test("is not taken by another account, unless that was asked for", async () => {
    const { connection } = await connected("mine");
    provider("eve-1");
    const session = await begin({ user: "ada", account: "mine" });
    await expect(consent(session)).rejects.toThrow("account_mismatch");
    expect(await viewOf(connection)).toMatchObject({ account: { id: "ada-1" }, epoch: 1 });
    await connected("mine", { replace_account: true });
    expect(await viewOf(connection)).toMatchObject({ account: { id: "eve-1" }, epoch: 2 });
  });

  test("that is taken back gives no token from the answer on, and leaves the grant of a sibling alone", async () => {
    const [one, two] = [await connected("twin-1"), await connected("twin-2")];
    for (const { connection } of [one, two])
      await runDurableObjectAlarm(env.CONNECTION.getByName(`connection:${TENANT}:${connection}`));
    const gone = await door.send("DELETE", `/v1/connections/${one.connection}`, { key: ada });
    const view = await expectAnswer<View>(gone, "deleteConnection", 202);
    expect(view).toMatchObject({ status: "revoking", siblings: true });
    const asked = await outside.object(TENANT, one.connection).acquire({
      ...{ id: one.connection, run: randomId("run"), workflow: "any", stepTimeoutMs: 1_000 },
      slot: { tenant: TENANT, integration: "app", owner: { kind: "user", user: "ada" }, account: "twin-1" },
    });
    expect(asked).toMatchObject({ kind: "needs", reason: "missing" });
    const again = await door.send("DELETE", `/v1/connections/${one.connection}`, { key: ada });
    expect((await expectAnswer<View>(again, "deleteConnection", 202)).status).toMatch(
      /revoking|disconnected/,
    );
    expect((await viewOf(two.connection))?.standing.status).toBe("active");
  });

  test("that is the last of its account tells the provider, although the listing still has the others as active", async () => {
    provider("solo-7");
    const connections = [];
    for (const account of ["solo-1", "solo-2", "solo-3"]) {
      const { connection } = await connected(account);
      await runDurableObjectAlarm(env.CONNECTION.getByName(`connection:${TENANT}:${connection}`));
      connections.push(connection);
    }
    const outcomes = [];
    for (const id of connections) {
      const gone = await room.disconnect(TENANT, id, "key:test");
      // Nothing of it is listed yet.
      const row = await env.DB.prepare("SELECT status FROM connections WHERE id = ?").bind(id).first();
      outcomes.push([gone?.siblings, row?.["status"]]);
    }
    expect(outcomes).toEqual([
      [true, "active"],
      [true, "active"],
      [false, "active"],
    ]);
    provider("ada-1");
  });

  test.each(["conn_nothing", `conn_${"0".repeat(26)}`, "%2e%2e", "run_x"])("%s is not found", async (id) => {
    for (const [method, path] of [
      ["GET", `/v1/connections/${id}`],
      ["DELETE", `/v1/connections/${id}`],
      ["POST", `/v1/connections/${id}/reconnect`],
    ] as const)
      expect((await door.send(method, path, { key: backend })).status).toBe(404);
  });
});

describe("a run that waits for a connection", () => {
  const RUN = randomId("run");
  const SINCE = 1_000;

  async function waiting(reason: string, account: string): Promise<string> {
    const { connection } = await begin({ user: "ada", account });
    const wait = {
      ...{
        kind: "connection",
        integration: "app",
        account,
        connection,
        reason,
        scopes: ["write"],
        detail: null,
      },
      ...{ since: SINCE, limit_at: Date.now() + 3_600_000, retry_at: null },
    };
    runs.view = viewOfRun(RUN, wait);
    return connection;
  }

  async function linkSeenBy(key: string, path = ""): Promise<string | undefined> {
    interface Waits {
      readonly waiting_for?: { readonly connect?: { readonly url: string } };
    }
    const answer = await door.send("GET", `/v1/runs/${RUN}${path}`, { key });
    const body = await expectAnswer<Waits & { steps?: readonly Waits[] }>(
      answer,
      path === "" ? "getRun" : "getStep",
      200,
    );
    return (body.steps?.[0] ?? body).waiting_for?.connect?.url;
  }

  test("shows the one link of the wait to who may hand it out, and another once that was used", async () => {
    await waiting("missing", "parked");
    const reader = (await makeKey(door, TENANT, { scopes: ["runs:read"] })).text;
    expect(await linkSeenBy(reader)).toBeUndefined();
    const url = await linkSeenBy(backend);
    expect(url).toMatch(/^https:\/\/showcaller\.test\/connect\/cs_/);
    expect(await linkSeenBy(backend)).toBe(url);
    expect(await linkSeenBy(ada, "/steps/call")).toBe(url);
    const id = /cs_[0-9a-z]+/.exec(url ?? "")?.[0] ?? "";
    expect(await look(id)).toMatchObject({
      purpose: `run:${RUN}:call:any`,
      scopes: ["read", "write"],
      user: "ada",
    });
    await consent(await look(id));
    const next = await linkSeenBy(backend);
    expect(next).toMatch(/\/connect\/cs_/);
    expect(next).not.toBe(url);
  });

  test("for the tenant's own shows its link to no key that is bound to a user", async () => {
    const { connection } = await begin({ integration: "ours" });
    const wait = {
      ...{ kind: "connection", integration: "ours", account: null, connection, reason: "missing" },
      ...{ scopes: [], detail: null, since: SINCE, limit_at: Date.now() + 3_600_000, retry_at: null },
    };
    runs.view = viewOfRun(RUN, wait);
    for (const path of ["", "/steps/call"]) {
      expect(await linkSeenBy(ada, path)).toBeUndefined();
      expect(await linkSeenBy(backend, path)).toMatch(/\/connect\/cs_/);
      // Nor once it was made for somebody else.
      expect(await linkSeenBy(ada, path)).toBeUndefined();
    }
  });

  test("shows no link where no consent would help", async () => {
    for (const reason of ["rate_limited", "unavailable", "misconfigured", "replaced"]) {
      await waiting(reason, "passing");
      expect(await linkSeenBy(backend)).toBeUndefined();
    }
  });

  test("goes on with another account when somebody says so", async () => {
    const { connection } = await connected("moved");
    await waiting("replaced", "moved");
    const path = `/v1/runs/${RUN}/steps/call/accept-connection`;
    // The agent whose run it is cannot speak for a person.
    await expectProblem(await door.send("POST", path, { key: ada }), 403, "insufficient_scope");
    expect(runs.rebound).toEqual([]);
    await expectAnswer(await door.send("POST", path, { key: backend }), "acceptConnection", 200);
    expect(runs.rebound).toEqual([
      {
        name: "app/moved",
        to: { connection, owner: "user:ada", account: "moved", epoch: 1 },
        by: expect.stringMatching(/^key:/),
      },
    ]);
    await waiting("missing", "moved");
    await expectProblem(await door.send("POST", path, { key: backend }), 409, "nothing_to_accept");
  });
});

describe("what a run needs", () => {
  const run = { tenant: TENANT, user: "ada", workflow: "any" };

  test("is missing with the reason for each connection, until it is there", async () => {
    const wanted = [
      { connection: "app", account: "needed", scopes: ["read"] },
      { connection: "app", account: "needed", scopes: ["write"] },
      { connection: "nothing" },
    ];
    expect(await room.missing(run, wanted)).toEqual([
      {
        integration: "app",
        account: "needed",
        user: "ada",
        reason: "missing",
        scopes: ["read", "write"],
        consent: true,
      },
      {
        integration: "nothing",
        account: "default",
        user: "ada",
        reason: "integration_unknown",
        scopes: [],
        consent: false,
      },
    ]);
    await connected("needed");
    expect(await room.missing(run, wanted.slice(0, 2))).toMatchObject([
      { reason: "scope_missing", scopes: ["write"] },
    ]);
    expect(await room.missing(run, wanted.slice(0, 1))).toEqual([]);
    expect(await room.missing({ ...run, user: "bob" }, wanted.slice(0, 1))).toMatchObject([
      { reason: "missing" },
    ]);
    expect(await room.missing({ ...run, user: null }, wanted.slice(0, 1))).toMatchObject([
      { reason: "no_user" },
    ]);
  });
});

describe("a start that requires its connections", () => {
  const start = (key: string, body: object = {}): Promise<Response> =>
    door.send("POST", "/v1/runs", { key, body: { workflow: "t-needs", connections: "require", ...body } });
  interface Missing {
    readonly missing?: readonly { readonly how?: string; readonly connect?: { readonly url: string } }[];
  }

  test("starts nothing before they are there, and gives their links to who may hand them out", async () => {
    runs.view = viewOfRun(randomId("run"), undefined);
    const first = await start(backend, { user: "carol" });
    const { missing } = (await first.clone().json()) as Missing;
    await expectProblem(first, 409, "connections_missing");
    expect(missing).toMatchObject([
      { integration: "app", account: "needs", reason: "missing", scopes: ["write"] },
      { integration: "nothing", account: "default", reason: "integration_unknown", scopes: [] },
    ]);
    expect([missing?.[0]?.how, missing?.[1]?.how]).toEqual([
      undefined,
      expect.stringContaining("POST /v1/integrations"),
    ]);
    expect(missing?.[0]?.connect?.url).toMatch(/^https:\/\/showcaller\.test\/connect\/cs_/);
    expect(missing?.[1]?.connect).toBeUndefined();
    const starter = (await makeKey(door, TENANT, { scopes: ["runs:write", "runs:act_as"] })).text;
    const second = await start(starter, { user: "carol" });
    const without = (await second.clone().json()) as Missing;
    await expectProblem(second, 409, "connections_missing");
    expect(without.missing?.[0]?.connect).toBeUndefined();
    expect(without.missing?.[0]?.how).toContain("POST /v1/connect-sessions");
    expect(runs.started).toBe(0);
  });

  test("without that word, it starts and would wait", async () => {
    const { status } = await door.send("POST", "/v1/runs", { key: backend, body: { workflow: "t-needs" } });
    expect([status, runs.started]).toEqual([202, 1]);
  });
});

describe("the link to what a user granted", () => {
  const deps = () => {
    const keyring = loadKeyring(env.KEYRING);
    const now = (): number => Date.now();
    return { db: env.DB, now, vault: createVault(keyring, createKeyCheck({ db: env.DB, log: quiet, now })) };
  };
  const link = async (key: string, user: string): Promise<string> => {
    const made = await door.send("POST", `/v1/users/${user}/grants-link`, { key });
    const { url } = await expectAnswer<{ url: string }>(made, "createGrantsLink", 201);
    return url.split("/grants/").at(-1) ?? "";
  };

  test("is redeemed once, and then only the browser that did so has the page", async () => {
    const token = await link(backend, "ada");
    const found = await readGrantLink(deps(), token);
    expect(found).toMatchObject({ tenant: TENANT, user: "ada" });
    if (found === null) throw new Error("The link is not read.");
    const cookie = await redeemGrantLink(deps(), found);
    expect(await redeemGrantLink(deps(), found)).toBeNull();
    expect(await readGrantLink(deps(), token)).toBeNull();
    expect(await grantLinkOf(deps(), found.id, cookie ?? "")).toEqual(found);
    expect(await grantLinkOf(deps(), found.id, "x".repeat(43))).toBeNull();
    expect(await databaseText()).not.toContain(token.split(".").at(-1));
    expect(await databaseText()).not.toContain(cookie);
  });

  test("cannot be made up, and ends", async () => {
    const [one, two] = [await link(backend, "ada"), await link(ada, "ada")];
    const mixed = `${one.split(".")[0]}.${two.split(".")[1]}`;
    expect(await readGrantLink(deps(), mixed)).toBeNull();
    vi.setSystemTime(Date.now() + 16 * 60_000);
    expect(await readGrantLink(deps(), one)).toBeNull();
    vi.useRealTimers();
  });

  test("is not given for another user, and not for what is none", async () => {
    await expectProblem(
      await door.send("POST", "/v1/users/ada/grants-link", { key: bob }),
      403,
      "user_wider",
    );
    await expectProblem(
      await door.send("POST", "/v1/users/a%0Ab/grants-link", { key: backend }),
      400,
      "invalid_request",
    );
  });
});

describe("the vault", () => {
  test("counts every record of the room under its key", async () => {
    const counts = await Promise.all(
      room.records.map(async (one) => [one.kind, await one.countByKid()] as const),
    );
    expect(Object.fromEntries(counts)).toMatchObject({
      integrations: { k1: 4 },
      connections: { k1: expect.any(Number) },
      connect_sessions: { k1: expect.any(Number) },
    });
  });
});

const quiet = createLogger("error", () => {});

function viewOfRun(id: string, wait: unknown): RunView {
  const step = {
    ...{
      name: "call",
      action: "http",
      effect: "safe",
      part: "main",
      needs: [],
      status: "waiting",
      outcome: null,
    },
    ...{ undone: false, attempts: 0, started_at: null, ended_at: null, next_at: null, deadline_at: null },
    ...{ output: null, failure: null, waiting_for: wait },
  };
  const view = {
    ...{ id, tenant: TENANT, workflow: "any", version: "1", user: "ada", started_by: "key:any", tags: [] },
    ...{ status: "waiting", paused: false, open: false, closed: false, generation: 1, revision: 0, seq: 1 },
    ...{ started_at: 1, ended_at: null, deadline_at: 2, output: null, failure: null, steps: [step] },
  };
  return view as unknown as RunView;
}

function runsOfTest(): RunRpc {
  const { view } = runs;
  if (view === null) throw new Error("A run was reached.");
  const [step] = view.steps;
  const rpc = {
    view: async () => ok(view),
    start: async () => {
      runs.started += 1;
      return ok({ created: true, view });
    },
    step: async () => ok(step),
    rebind: async (_: unknown, how: unknown) => {
      runs.rebound.push(how);
      return ok(view);
    },
  };
  // Only what these tests ask for.
  return rpc as unknown as RunRpc;
}

/** A workflow whose steps name connections. */
function workflowsOfTest(): Registry {
  const auth = [{ connection: "app", account: "needs", scopes: ["write"] }, { connection: "nothing" }];
  const steps = auth.map((one, index) => ({
    name: `s${index}`,
    action: "http",
    with: { url: "https://api.lender.example/", auth: one },
  }));
  const found = {
    ...{ name: "t-needs", version: "1", open: false, on: [], flow: () => null },
    graph: () => ({ steps }),
    parseInput: (input: unknown) => ok(input),
  };
  // Only what a start asks for.
  return {
    list: () => [],
    get: (name: string) => (name === "t-needs" ? found : null),
  } as unknown as Registry;
}
