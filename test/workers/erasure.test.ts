/**
 * Erasing an end user: everything that the product can keep of two of them is filled with their marks; one is erased, and
 * nothing of her is left anywhere, while all of the other's is there and works.
 */
import { createScheduledController, evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import type { ConnectionRpc } from "../../src/connections/index.ts";
import { createUseAudit } from "../../src/access/index.ts";
import { createBeingErased } from "../../src/erasure/being-erased.ts";
import { BEGINNING, type Erasure, NOTHING_YET } from "../../src/erasure/progress.ts";
import { insertErasure, takeErasure } from "../../src/erasure/store.ts";
import { type Places, SETTLED_MS, walk } from "../../src/erasure/walk.ts";
import {
  connectionIdOf,
  createLogger,
  fromBase64,
  importHmacKey,
  objectName,
  sha256Hex,
} from "../../src/platform/index.ts";
import { makeDelivery } from "../../src/triggers/index.ts";
import type { RunView } from "../../src/run/index.ts";
import { expectAnswer, expectProblem, newKey, newTenant, ORIGIN, send } from "./api-support.ts";
import { everythingKept, foundIn, listenToConsole } from "./kept.ts";
import worker from "./worker.ts";

const TENANT = "erase-tests";
const HOUR_MS = 60 * 60_000;
let admin = "";
let decider = "";

interface Person {
  readonly user: string;
  /** Stands in all of their data. */
  readonly mark: string;
  /** The same, as a name of a step can be. */
  readonly slug: string;
}
const ALICE: Person = { user: "alice-7f3a@users", mark: "Mark-of-Alice-51c8", slug: "slug-of-alice-51c8" };
const BOB: Person = { user: "bob-90d2@users", mark: "Mark-of-Bob-33e1", slug: "slug-of-bob-33e1" };
const TEXT = { type: "object", properties: { text: { type: "string" } }, required: ["text"] };

/** What tells of somebody, by itself: also the digest of what can be guessed. */
async function needles({ user, mark, slug }: Person): Promise<Map<string, string>> {
  return new Map([
    [user, "the user"],
    [mark, "the mark"],
    [slug, "the name of a step"],
    [await sha256Hex(user), "the digest of the user"],
    [await sha256Hex(JSON.stringify(user)), "the digest of the user as JSON"],
  ]);
}

/** What has to be taken. */
async function ok(method: string, path: string, body?: unknown, key = admin): Promise<void> {
  const answer = await send(method, path, { key, ...(body === undefined ? {} : { body }) });
  expect(`${answer.ok} ${answer.status} ${await answer.text()}`).toContain("true ");
}

async function started(body: Readonly<Record<string, unknown>>, key = admin): Promise<string> {
  return (await expectAnswer<RunView>(await send("POST", "/v1/runs", { key, body }), "startRun", 202)).id;
}

async function seen(run: string, wait = 0): Promise<RunView> {
  const headers = wait === 0 ? {} : { prefer: `wait=${wait}` };
  return expectAnswer<RunView>(await send("GET", `/v1/runs/${run}`, { key: admin, headers }), "getRun", 200);
}

async function until(run: string, fits: (view: RunView) => boolean): Promise<RunView> {
  return vi.waitFor(async () => {
    const view = await seen(run);
    if (!fits(view)) throw new Error(`${view.status}: ${JSON.stringify(view.failure)}`);
    return view;
  });
}

async function granted({ user, mark }: Person, integration = "lender"): Promise<string> {
  const serverKey = await importHmacKey(fromBase64(env.SERVER_KEY) ?? new Uint8Array());
  const slot = { tenant: TENANT, integration, account: "default" };
  const id = await connectionIdOf(serverKey, { ...slot, owner: `user:${user}` });
  const row = await env.DB.prepare("SELECT fixed FROM integrations WHERE tenant = ? AND name = ?")
    .bind(TENANT, integration)
    .first<{ fixed: string }>();
  const { provider, clientId } = JSON.parse(row?.fixed ?? "{}") as { provider: object; clientId: string };
  const stub: unknown = env.CONNECTION.getByName(objectName("connection", TENANT, id));
  const answer = await (stub as ConnectionRpc).grant({
    ...{ slot: { ...slot, owner: { kind: "user", user } }, id },
    integration: { name: integration, version: 1, provider, clientId, secret: "client-secret-of-lender" },
    pair: { accessToken: `token-${mark}`, refreshToken: `refresh-${mark}` },
    times: { issuedAt: Date.now(), expiresAt: null, idleEndsAt: null, endsAt: null },
    ...{ scopes: ["read"], account: { id: `id-${mark}`, label: mark }, identityLevel: "confirm" },
    ...{ extra: { realm: mark }, workflows: null, by: "session:test", pending: null, replaceAccount: false },
  });
  expect(answer).toMatchObject({ kind: "active" });
  await vi.waitFor(async () => {
    const { results } = await env.DB.prepare("SELECT id FROM connections WHERE id = ?").bind(id).all();
    expect(results).toHaveLength(1);
  });
  return id;
}

interface Filled {
  readonly key: string;
  readonly runs: Readonly<Record<string, string>>;
  readonly connection: string;
}

/** Data of one person in every place where data can be put. */
async function fill(person: Person): Promise<Filled> {
  const { user, mark, slug } = person;
  const key = await newKey(admin, {
    name: mark,
    user,
    scopes: ["runs:read", "runs:write", "outputs:read"],
    expires_at: Date.now() + HOUR_MS / 2,
  });
  const runs: Record<string, string> = {};
  const text = { text: mark };
  const tags = [mark];
  runs["own"] = await started({ workflow: "erase-say", input: text, tags }, key);
  runs["parent"] = await started({ workflow: "erase-parent", input: text, user });
  runs["queued"] = await started({ workflow: "t-rated", user });
  runs["secret"] = await started({
    workflow: "t-secretive",
    input: { word: mark, list: [mark] },
    user,
    tags,
  });
  const plan = {
    steps: {
      [slug]: { action: "transform", with: { value: mark } },
      fails: { needs: [slug], action: "fail", with: { message: `It is ${mark}`, reason: "by_design" } },
    },
  };
  runs["inline"] = await started({ plan, user, tags });
  const request = {
    method: "POST",
    url: `https://nowhere-at-all.example/${slug}`,
    headers: { "x-mark": mark },
    json: text,
  };
  const sends = {
    steps: { send: { action: "http", effect: "safe", retry: { attempts: 1 }, with: request } },
  };
  runs["sends"] = await started({ plan: sends, user });
  const asks = { steps: { ask: { action: "wait", with: { approval: `May ${mark}?`, timeout: "1h" } } } };
  runs["asks"] = await started({ plan: asks, user });
  const approval = (await until(runs["asks"], ({ steps }) => steps[0]?.awaits_approval !== undefined))
    .steps[0];
  const decision = { decision: "approved", note: `Yes, says ${mark}` };
  await ok("POST", `/v1/approvals/${approval?.awaits_approval}`, decision, decider);
  const open = await started({
    open: true,
    user,
    steps: { go: { action: "wait", with: { signal: "go", timeout: "1h" } } },
  });
  runs["open"] = open;
  await ok("POST", `/v1/runs/${open}/signals/go`, { id: `id-${mark}`, payload: text });
  const more = { steps: { [`${slug}-more`]: { action: "transform", with: { value: mark } } } };
  await ok("POST", `/v1/runs/${open}/steps`, more);
  await ok("POST", `/v1/runs/${open}/cancel`, { mode: "graceful", reason: `For ${mark}` });
  // These two go on.
  const hears = {
    wait: {
      action: "wait",
      with: { event: "erase.later", timeout: "2h", where: { text: "${{ input.text }}" } },
    },
  };
  runs["hears"] = await started({ plan: { input: TEXT, steps: hears }, input: text, user });
  const parks = {
    method: "GET",
    url: "https://api.lender.example/me",
    auth: { connection: "lender", account: "second" },
  };
  runs["parks"] = await started({ plan: { steps: { me: { action: "http", with: parks } } }, user });
  await until(runs["parks"], ({ steps }) => steps[0]?.waiting_for !== undefined);
  await until(runs["hears"], ({ steps }) => steps[0]?.status === "waiting");
  const event = { name: "erase.happened", id: `evt-${mark}`, data: text, user, tags };
  await ok("POST", "/v1/events", event);
  await ok("POST", "/v1/events", { name: "erase.nobody-listens", data: text, user });
  await ok("POST", "/v1/hooks", {
    name: `hook-${user.slice(0, 3)}`,
    workflow: "erase-any",
    user,
    scheme: { type: "github" },
    secret: "a-secret-of-erasure-1",
  });
  const draft = {
    id: `d-${mark}`,
    event: mark,
    sentAt: Date.now(),
    body: new TextEncoder().encode(JSON.stringify(text)),
  };
  const headers = await makeDelivery({ scheme: "github" }, draft, "a-secret-of-erasure-1");
  const url = `${ORIGIN}/hooks/${TENANT}/hook-${user.slice(0, 3)}`;
  const delivered = await exports.default.fetch(
    new Request(url, {
      method: "POST",
      body: JSON.stringify(text),
      headers: { "content-type": "application/json", ...headers },
    }),
  );
  expect(delivered.status).toBe(202);
  const timing = { kind: "once", at: Date.UTC(2200, 0, 1) };
  await ok("PUT", `/v1/schedules/tick-${user.slice(0, 3)}`, {
    timing,
    workflow: "erase-say",
    input: text,
    user,
    tags,
  });
  await ok("POST", `/v1/schedules/tick-${user.slice(0, 3)}/trigger`);
  await ok("POST", "/v1/connect-sessions", { integration: "lender", user, account: "second" });
  await ok("POST", `/v1/users/${encodeURIComponent(user)}/grants-link`);
  const connection = await granted(person);
  await until(runs["secret"], ({ steps }) =>
    steps.some(({ name, status }) => name === "gate" && status === "waiting"),
  );
  await ok("POST", `/v1/runs/${runs["secret"]}/signals/go`, { payload: mark });
  for (const name of ["own", "parent", "secret", "inline", "sends", "asks", "open"])
    expect((await seen(runs[name] ?? "", 20)).ended_at).not.toBeNull();
  return { key, runs, connection };
}

/** The cron trigger, so much later. */
async function tick(laterMs = 0): Promise<void> {
  if (laterMs > 0) vi.setSystemTime(Date.now() + laterMs);
  await worker.scheduled(createScheduledController({ scheduledTime: new Date() }), env);
}

interface View {
  readonly id: string;
  readonly status: string;
  readonly waits_for: { readonly runs: number; readonly connections: number };
  readonly erased: Readonly<Record<string, unknown>>;
  readonly provider_not_told: readonly { readonly outcome: string }[];
}

async function erase(user: string): Promise<View> {
  const begun = await send("POST", "/v1/erasures", { key: admin, body: { user } });
  return expectAnswer<View>(begun, "eraseUser", 202);
}

async function standing(id: string): Promise<View> {
  return expectAnswer<View>(await send("GET", `/v1/erasures/${id}`, { key: admin }), "getErasure", 200);
}

async function done(id: string): Promise<View> {
  for (let ticks = 0; ticks < 12; ticks += 1) {
    const view = await standing(id);
    if (view.status === "done") return view;
    await tick(SETTLED_MS);
  }
  throw new Error(JSON.stringify(await standing(id)));
}

/** What the API says of a run, of the tenant's list and audit. */
async function said(runs: Readonly<Record<string, string>>): Promise<Map<string, string[]>> {
  const answers = new Map<string, string[]>();
  const paths = Object.values(runs).flatMap((run) =>
    ["", "/events", "/explain", "/approvals"].map((part) => `/v1/runs/${run}${part}`),
  );
  for (const path of [
    ...paths,
    "/v1/runs",
    "/v1/audit",
    "/v1/connections",
    "/v1/keys",
    "/v1/hooks",
    "/v1/schedules",
  ])
    answers.set(path, [await (await send("GET", path, { key: admin })).text()]);
  return answers;
}

/** The tenant, each of its runs, and its audit: as they are exported. And what a verification says. */
async function takenOut(): Promise<Map<string, string[]>> {
  const taken = new Map<string, string[]>();
  const get = async (name: string, path: string): Promise<string> => {
    const answer = await send("GET", path, { key: admin });
    expect(answer.status).toBe(200);
    const text = await answer.text();
    taken.set(name, [...(taken.get(name) ?? []), text]);
    return text;
  };
  const lineOf = (text: string): Readonly<Record<string, unknown>> =>
    JSON.parse(text.trimEnd().split("\n").at(-1) ?? "") as Record<string, unknown>;
  const verified = await send("POST", "/v1/audit/verify", { key: admin, body: { after: 0, limit: 100 } });
  taken.set("verify", [await verified.text()]);
  for (let next: unknown = 0; typeof next === "number";)
    next = lineOf(await get("audit", `/v1/audit/export?after=${next}`))["next"];
  for (let cursor: unknown = ""; typeof cursor === "string";)
    cursor = lineOf(await get("tenant", `/v1/export${cursor === "" ? "" : `?cursor=${cursor}`}`))[
      "next_cursor"
    ];
  const runs = (taken.get("tenant") ?? []).flatMap((text) => [...text.matchAll(/"id":"(run_[0-9a-z]+)"/g)]);
  for (const [, run = ""] of runs) await get(`run ${run}`, `/v1/runs/${run}/export`);
  return taken;
}

beforeAll(async () => {
  admin = await newTenant(TENANT);
  decider = await newKey(admin, { scopes: ["approvals:decide", "runs:read"] });
  // Not one that was made by whoever starts the runs.
  const root = env.ROOT_API_KEY ?? "";
  const made = await send("POST", `/v1/tenants/${TENANT}/keys`, { key: root, body: { name: "decider" } });
  decider = (await expectAnswer<{ key: string }>(made, "createAdminKey", 201)).key;
  const say = {
    steps: { say: { action: "transform", with: { value: "${{ input.text }}" } } },
    output: "${{ steps.say.output }}",
  };
  await ok("PUT", "/v1/workflows/erase-say", { input: TEXT, on: [{ event: "erase.happened" }], ...say });
  await ok("PUT", "/v1/workflows/erase-any", {
    steps: { say: { action: "transform", with: { value: "${{ input }}" } } },
  });
  const child = { workflow: "erase-say", input: "${{ input }}", tags: ["child"] };
  await ok("PUT", "/v1/workflows/erase-parent", {
    input: TEXT,
    steps: { sub: { action: "run", with: child } },
  });
  const app = {
    ...{
      name: "lender",
      provider: "oauth2",
      client_id: "app-of-lender",
      client_secret: "client-secret-of-lender",
    },
    custom: {
      hosts: ["api.lender.example"],
      authorize_url: "https://lender.example/authorize",
      token_url: "https://lender.example/token",
    },
    ...{ scopes_default: ["read"], return_to: ["https://app.example/connected"], link_enabled: true },
  };
  await ok("POST", "/v1/integrations", app);
  await ok("POST", "/v1/endpoints", {
    url: "https://backend-of-nobody.example/in",
    events: ["run.ended", "connection.required"],
  });
});

afterEach(() => {
  vi.useRealTimers();
});

describe("erasing one of two users", () => {
  test("leaves nothing of her in any table, object or answer, and all of the other's", async () => {
    const log = listenToConsole();
    const alice = await fill(ALICE);
    const bob = await fill(BOB);
    const before = await everythingKept();
    // The scan sees what there is: in each kind of place something of hers is found.
    const places = new Set(foundIn(before, await needles(ALICE)).map((found) => found.split(/[ :]/)[0]));
    for (const place of ["D1", "run", "directory", "connection", "events", "schedule", "endpoint"])
      expect(places).toContain(place);
    const begun = await erase(ALICE.user);
    expect((await erase(ALICE.user)).id).toBe(begun.id);
    await expectProblem(
      await send("POST", "/v1/runs", {
        key: admin,
        body: { workflow: "erase-say", input: { text: "x" }, user: ALICE.user },
      }),
      ...([409, "user_being_erased"] as const),
    );
    const view = await done(begun.id);
    expect(view).toMatchObject({
      waits_for: { runs: 0, connections: 0 },
      erased: { keys: 1, connections: 1, hooks: ["hook-ali"], schedules: ["tick-ali"], runs_deleted: 0 },
      provider_not_told: [{ connection: alice.connection, integration: "lender", outcome: "no_endpoint" }],
    });
    expect(foundIn(await everythingKept(), await needles(ALICE))).toEqual([]);
    expect(foundIn(await said(alice.runs), await needles(ALICE))).toEqual([]);
    expect(foundIn(new Map([["log", log()]]), new Map([[ALICE.mark, "the mark"]]))).toEqual([]);

    // What is told late of before does not bring her back; the audit is in order, and no export has her.
    await createUseAudit(env.DB).write([
      {
        ...{
          id: "run_late.s0.a1.0",
          at: Date.now() - 1,
          tenant: TENANT,
          run: alice.runs["own"] ?? "",
          workflow: "w",
        },
        ...{
          user: ALICE.user,
          unit: "s0",
          attempt: 1,
          credential: { connection: alice.connection },
          ended: null,
        },
      },
    ]);
    const taken = await takenOut();
    expect([...taken.keys()].filter((name) => name.startsWith("run ")).length).toBeGreaterThan(10);
    expect(taken.get("verify")?.[0]).toMatch(/"broken":null/);
    expect(foundIn(taken, await needles(ALICE))).toEqual([]);
    expect(foundIn(taken, await needles(BOB))).not.toEqual([]);
    expect(foundIn(await everythingKept(), await needles(ALICE))).toEqual([]);

    // How her runs went is still told.
    expect(await seen(alice.runs["own"] ?? "")).toMatchObject({
      status: "succeeded",
      erased: true,
      user: null,
    });
    expect(await seen(alice.runs["inline"] ?? "")).toMatchObject({
      status: "failed",
      failure: { code: "step_failed" },
    });
    expect(await seen(alice.runs["hears"] ?? "")).toMatchObject({ status: "cancelled", erased: true });
    const explained = await send("GET", `/v1/runs/${alice.runs["inline"]}/explain`, { key: admin });
    expect(await expectAnswer(explained, "explainRun", 200)).toMatchObject({
      ...{ erased: true, reasons: [{ code: "run_failed", remedies: [] }] },
    });
    await expectProblem(
      await send("POST", `/v1/runs/${alice.runs["inline"]}/redrive`, { key: admin, body: {} }),
      ...([410, "run_erased"] as const),
    );
    await expectProblem(await send("GET", "/v1/runs", { key: alice.key }), 401, "key_revoked");

    // The other's are all there, and go on.
    const his = new Set(
      foundIn(await everythingKept(), await needles(BOB)).map((found) => found.split(":")[0]),
    );
    const were = new Set(foundIn(before, await needles(BOB)).map((found) => found.split(":")[0]));
    const gone = [...were].filter((place) => !his.has(place));
    // Bodies, sessions and links end by themselves with the hours that the test lets pass.
    expect(gone.filter((place) => !/connect_sessions|grant_links|events|waiting/.test(place ?? ""))).toEqual(
      [],
    );
    expect(await seen(bob.runs["own"] ?? "")).toMatchObject({
      user: BOB.user,
      tags: [BOB.mark],
      output: { value: BOB.mark },
    });
    await ok("POST", "/v1/events", { name: "erase.later", data: { text: BOB.mark }, user: BOB.user });
    expect(await seen(bob.runs["hears"] ?? "", 20)).toMatchObject({ status: "succeeded" });
    const kept = await send("GET", `/v1/connections/${bob.connection}`, { key: admin });
    expect(await expectAnswer(kept, "getConnection", 200)).toMatchObject({
      status: "active",
      user: BOB.user,
    });

    // Afterwards she can come back: as anybody.
    expect(
      (await seen(await started({ workflow: "erase-say", input: { text: "x" }, user: ALICE.user }), 20))
        .status,
    ).toBe("succeeded");
  }, 120_000);
});

describe("erasing one run", () => {
  test("leaves how it went, also where nobody is named; not before it has ended, and twice is once", async () => {
    const plan = { steps: { "mark-in-a-step": { action: "wait", with: { signal: "go", timeout: "1h" } } } };
    const run = await started({ plan, tags: ["Mark-in-a-tag-77"] });
    const path = `/v1/runs/${run}/erase`;
    await expectProblem(await send("POST", path, { key: admin }), 409, "run_not_ended");
    await ok("POST", `/v1/runs/${run}/signals/go`, { payload: "Mark-in-a-payload-77" });
    await seen(run, 20);
    for (let again = 0; again < 2; again += 1)
      expect(await expectAnswer(await send("POST", path, { key: admin }), "eraseRun", 200)).toEqual({
        run,
        erased: true,
      });
    const marks = new Map(
      ["Mark-in-a-tag-77", "Mark-in-a-payload-77", "mark-in-a-step"].map((mark) => [mark, "a mark"]),
    );
    expect(foundIn(await everythingKept(), marks)).toEqual([]);
    expect(foundIn(await said({ run }), marks)).toEqual([]);
    expect(await seen(run)).toMatchObject({
      status: "succeeded",
      erased: true,
      steps: [{ name: "erased-0", status: "succeeded" }],
    });
  });

  test("that is long and has large values leaves nothing in its snapshot, and no piece of a value", async () => {
    const [mark, item] = ["Mark-in-a-large-value-88", "Mark-in-an-item-88"];
    const plan = {
      input: { type: "object", properties: { list: { type: "array" }, large: { type: "string" } } },
      steps: {
        items: {
          ...{ action: "transform", forEach: { list: "input.list", concurrency: 1 } },
          with: { value: "${{ item }}" },
        },
        large: { action: "transform", needs: ["items"], with: { value: "${{ input.large }}" } },
        hold: { action: "wait", needs: ["large"], with: { signal: "go", timeout: "1h" } },
      },
      output: "${{ steps.large.output }}",
    };
    const list = Array.from({ length: 100 }, (_, i) => `${item}-${i}`);
    const run = await started({ plan, input: { list, large: `${mark} ${"x".repeat(70_000)} ${mark}` } });
    await until(run, ({ status }) => status === "waiting");
    // A turn each: the journal is long enough for a snapshot.
    for (let turns = 0; turns < 260; turns += 2)
      for (const what of ["pause", "resume"]) await ok("POST", `/v1/runs/${run}/${what}`);
    await ok("POST", `/v1/runs/${run}/signals/go`, { payload: mark });
    expect((await seen(run, 20)).status).toBe("succeeded");
    const stub = env.RUN.getByName(objectName("run", TENANT, run));
    const rows = async (table: string): Promise<number> =>
      runInDurableObject(
        stub,
        (_object, { storage }) =>
          storage.sql.exec<{ n: number }>(`SELECT count(*) AS n FROM ${table}`).one().n,
      );
    expect(await rows("turns")).toBeGreaterThan(256);
    for (const table of ["snapshots", "chunks"]) expect(await rows(table)).toBeGreaterThan(0);
    await ok("POST", `/v1/runs/${run}/erase`);
    const marks = new Map([
      [mark, "the value"],
      [item, "an item"],
    ]);
    expect(foundIn(await everythingKept(), marks)).toEqual([]);
    expect(foundIn(await said({ run }), marks)).toEqual([]);
    // A new life folds what is left.
    await evictDurableObject(stub);
    expect(await seen(run)).toMatchObject({ status: "succeeded", erased: true });
  }, 60_000);

  test("in a life that dies in the middle leaves it as it was, and the next one erases it", async () => {
    const run = await started({ workflow: "erase-say", input: { text: "Mark-before-a-death-1" } });
    await seen(run, 20);
    const stub = env.RUN.getByName(objectName("run", TENANT, run));
    await runInDurableObject(stub, (_object, { storage }) => {
      const put = storage.kv.put.bind(storage.kv);
      storage.kv.put = () => {
        storage.kv.put = put;
        throw new Error("the disk is full");
      };
    });
    expect((await send("POST", `/v1/runs/${run}/erase`, { key: admin })).status).toBe(500);
    expect(await seen(run)).toMatchObject({ output: { value: "Mark-before-a-death-1" } });
    await ok("POST", `/v1/runs/${run}/erase`);
    expect(foundIn(await everythingKept(), new Map([["Mark-before-a-death-1", "a mark"]]))).toEqual([]);
  });
});

describe("the walk", () => {
  test("ends wherever it was interrupted, with everything erased", async () => {
    // A place of each kind with something in it; the call of number n fails.
    for (let n = 1; n < 120; n += 1) {
      let calls = 0;
      let failed = false;
      const left: Record<string, number> = {
        keys: 1,
        hooks: 1,
        schedules: 1,
        connections: 1,
        links: 1,
        runs: 2,
        callers: 1,
      };
      const take = (kind: string): number => {
        calls += 1;
        if (calls === n) {
          failed = true;
          throw new Error("away");
        }
        const was = left[kind] ?? 0;
        left[kind] = 0;
        return was;
      };
      const names = (kind: string): string[] => (take(kind) > 0 ? [kind] : []);
      const places: Places = {
        keys: async () => take("keys"),
        hooks: async () => names("hooks"),
        schedules: async () => ({ removed: names("schedules"), asked: 1, next: null }),
        connections: async () => ({ erased: take("connections"), waiting: 0, sessions: 0, next: null }),
        connection: async () => (take("slot") === 0 ? "nothing" : "later"),
        links: async () => take("links"),
        events: async () => ({ asked: take("events"), next: null }),
        listRuns: async () => {
          take("list");
          return {
            runs: Array.from({ length: left["runs"] ?? 0 }, (_, i) => ({ startedAt: i, id: `run_${i}` })),
            next: null,
          };
        },
        run: async (_tenant, _run, { seen: known }) => {
          take("run");
          const around = {
            connections: ["conn_1"],
            events: [],
            workflow: "w",
            queued: false,
            place: null,
            startedBy: "key:1",
          };
          return known ? { kind: "erased" } : { kind: "places", places: around };
        },
        aroundRun: async () => void take("around"),
        unlistRuns: async (_tenant, runs) => {
          take("unlist");
          left["runs"] = (left["runs"] ?? 0) - runs.length;
        },
        messages: async () => take("messages"),
        callers: async () => take("callers"),
      };
      let now = 0;
      let kept: Erasure = {
        ...{
          id: "era_1",
          tenant: TENANT,
          user: "u",
          status: "running",
          progress: BEGINNING,
          report: NOTHING_YET,
        },
        ...{ begunAt: 0, begunBy: "key:1", cleanSince: null, doneAt: null },
      };
      const keep = async (erasure: Erasure): Promise<void> => {
        take("keep");
        kept = erasure;
      };
      const finish = async (erasure: Erasure): Promise<void> => {
        take("finish");
        kept = { ...erasure, status: "done", user: null };
      };
      const deps = { places, keep, finish, log: createLogger("error", () => {}), now: () => now };
      for (let passes = 0; kept.status === "running"; passes += 1) {
        expect(passes).toBeLessThan(8);
        await walk(deps, kept, 100).catch(() => undefined);
        now += SETTLED_MS;
      }
      expect(Object.values(left)).toEqual(Object.values(left).map(() => 0));
      if (!failed) return;
    }
    throw new Error("The walk makes more calls than this test lets fail.");
  });

  test("does not end at the first look that finds nothing", async () => {
    const { id } = await erase("nobody-at-all");
    await vi.waitFor(async () => {
      const row = await env.DB.prepare("SELECT clean_since, lease_until FROM erasures WHERE id = ?")
        .bind(id)
        .first();
      expect(row).toEqual({ clean_since: expect.any(Number), lease_until: 0 });
    });
    await tick();
    expect((await standing(id)).status).toBe("running");
    await tick(SETTLED_MS);
    expect((await standing(id)).status).toBe("done");
    const row = await env.DB.prepare("SELECT user FROM erasures WHERE id = ?").bind(id).first();
    expect(row).toEqual({ user: null });
  });

  test("of one tenant's user waits for no more than one of another's, however many these are", async () => {
    await newTenant("erase-many");
    await newTenant("erase-one");
    const make = async (tenant: string, user: string): Promise<unknown> =>
      insertErasure(env.DB, { id: `era_${tenant}-${user}`, tenant, user, by: "key:1" }, 1);
    for (const user of ["a", "b", "c", "d", "e", "f"]) await make("erase-many", user);
    await make("erase-one", "z");
    const taken: string[] = [];
    for (let at = Date.now(), rounds = 0; rounds < 60; at += 1, rounds += 1) {
      const { tenant = "" } = (await takeErasure(env.DB, at, at)) ?? {};
      if (tenant === "erase-many" || tenant === "erase-one") taken.push(tenant);
    }
    expect(taken.length).toBeGreaterThan(9);
    expect(taken.filter((tenant, i) => tenant === "erase-many" && taken[i + 1] === tenant)).toEqual([]);
    await env.DB.prepare("DELETE FROM erasures WHERE tenant IN ('erase-many', 'erase-one')").run();
  });

  test("is not begun anew by who asks again while it runs", async () => {
    const { id } = await erase("asked-for-often");
    const row = async () =>
      env.DB.prepare("SELECT looked_at, clean_since, lease_until FROM erasures WHERE id = ?")
        .bind(id)
        .first();
    await vi.waitFor(async () => {
      expect(await row()).toMatchObject({ clean_since: expect.any(Number), lease_until: 0 });
    });
    const before = await row();
    vi.setSystemTime(Date.now() + 1_000);
    for (let again = 0; again < 3; again += 1) expect((await erase("asked-for-often")).id).toBe(id);
    expect(await row()).toEqual(before);
  });

  test("ends though a provider does not answer: after a day, and says so", async () => {
    const person = { user: "carol-1b2c@users", mark: "Mark-of-Carol-8f8f", slug: "" };
    await ok("POST", "/v1/integrations", {
      ...{
        name: "silent",
        provider: "oauth2",
        client_id: "app-of-silent",
        client_secret: "client-secret-of-silent",
      },
      custom: {
        ...{ hosts: ["api.silent.example"], revoke_url: "https://silent.example/revoke" },
        ...{ authorize_url: "https://silent.example/authorize", token_url: "https://silent.example/token" },
      },
      ...{ scopes_default: ["read"], return_to: ["https://app.example/connected"] },
    });
    await granted(person, "silent");
    const { id } = await erase(person.user);
    await vi.waitFor(async () => {
      expect(await standing(id)).toMatchObject({ status: "running", waits_for: { connections: 1 } });
    });
    await tick(SETTLED_MS);
    await tick(SETTLED_MS);
    expect(await standing(id)).toMatchObject({ status: "running", waits_for: { connections: 1 } });
    await tick(25 * HOUR_MS);
    const view = await done(id);
    expect(view.provider_not_told).toMatchObject([{ integration: "silent", outcome: "gave_up" }]);
    const marks = new Map([
      [person.user, "the user"],
      [person.mark, "the mark"],
    ]);
    expect(foundIn(await everythingKept(), marks)).toEqual([]);
  }, 60_000);

  test("is not seen by other tenants, and asked for by no key that is bound to a user", async () => {
    const { id } = await erase("nobody-else");
    const stranger = await newTenant("erase-strangers");
    await expectProblem(await send("GET", `/v1/erasures/${id}`, { key: stranger }), 404, "not_found");
    const bound = { name: "bound", user: "u", scopes: ["users:erase"], expires_at: Date.now() + HOUR_MS / 2 };
    await expectProblem(
      await send("POST", "/v1/keys", { key: admin, body: bound }),
      403,
      "scope_not_for_users",
    );
  });
});

test("who is being erased is known for a while, and while the database is away nobody else is held up", async () => {
  let now = 1;
  let away = false;
  const db = {
    prepare: (query: string) => {
      if (away) throw new Error("away");
      return env.DB.prepare(query);
    },
  };
  const being = createBeingErased(
    db as unknown as D1Database,
    () => now,
    createLogger("error", () => {}),
  );
  expect(await being.has(TENANT, "somebody-known")).toBe(false);
  await erase("somebody-known");
  expect(await being.has(TENANT, "somebody-known")).toBe(false);
  now += 15_000;
  expect(await being.has(TENANT, "somebody-known")).toBe(true);
  [now, away] = [now + 15_000, true];
  expect(await being.has(TENANT, "somebody-known")).toBe(true);
  expect(await being.has(TENANT, "another")).toBe(false);
});
