/**
 * Two tenants, one of them hostile. The other one's requests cost what they cost alone, and the hostile one's admitted work stays at
 * its quota.
 */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { fromBase64, importHmacKey, integer, objectName, runIdOf } from "../../src/platform/index.ts";
import { type QuotaRpc, quotasOf } from "../../src/quotas/index.ts";
import { newKeyText } from "../../src/access/key-text.ts";
import type { Ask } from "../../src/quotas/index.ts";
import { makeDelivery } from "../../src/triggers/index.ts";
import { expectAnswer, expectProblem, newTenant, send } from "./api-support.ts";
import { meter } from "./meter.ts";
import { asked, objectBehind, watchBindings } from "./tenant-meter.ts";

const ROOT = env.ROOT_API_KEY ?? "";
/** What an isolate lets through while it asks. */
const OWED = 8;

beforeAll(() => {
  watchBindings();
});
afterEach(() => {
  vi.useRealTimers();
});

async function limit(tenant: string, quotas: Readonly<Record<string, number>> | null): Promise<void> {
  const path = `/v1/tenants/${tenant}/quotas`;
  await expectAnswer(await send("PUT", path, { key: ROOT, body: { quotas } }), "putQuotas", 200);
}

const WAITING = { plan: { steps: { rest: { action: "sleep", with: { for: "1h" } } } } };

async function start(key: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
  return send("POST", "/v1/runs", { key, body: WAITING, headers });
}

function count(statuses: readonly number[], status: number): number {
  return statuses.filter((one) => one === status).length;
}

function quotaOf(tenant: string): QuotaRpc {
  const stub: unknown = env.QUOTA.getByName(objectName("quota", tenant, "main"));
  return stub as QuotaRpc;
}

describe("active runs", () => {
  it("are never more than the quota, are refused with what to do, and come back when they end", async () => {
    const key = await newTenant("active");
    await limit("active", { active_runs: 3 });
    const answers = await Promise.all(Array.from({ length: 10 }, () => start(key)));
    const begun = answers.filter(({ status }) => status === 202);
    expect(begun).toHaveLength(3);
    const refused = answers.find(({ status }) => status === 429);
    expect(refused?.headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
    expect(refused?.headers.get("ratelimit-policy")).toBe('"active_runs";q=3');
    const problem = await expectProblem(refused ?? new Response(), 429, "quota_exceeded");
    expect(problem).toMatchObject({ quota: { name: "active_runs", limit: 3 } });
    const { id } = await (begun[0] ?? new Response()).json<{ id: string }>();
    const cancelled = await send("POST", `/v1/runs/${id}/cancel`, { key, body: { mode: "immediate" } });
    expect(cancelled.status).toBeLessThan(300);
    // As a client that does what it is told.
    await vi.waitUntil(async () => (await start(key)).status === 202, { timeout: 15_000, interval: 500 });
    expect((await start(key)).status).toBe(429);
    const view = await quotaOf("active").view("active");
    expect(view.activeRuns).toBe(3);
  });

  it("a start that is sent again finds its run, though nothing more may be started", async () => {
    const key = await newTenant("again");
    await limit("again", { active_runs: 1 });
    const headers = { "idempotency-key": '"one"' };
    const first = await start(key, headers);
    expect(first.status).toBe(202);
    const again = await start(key, headers);
    expect([again.status, again.headers.get("idempotent-replayed")]).toEqual([202, "true"]);
    await expectProblem(await start(key), 429, "quota_exceeded");
  });
});

describe("stored things", () => {
  it("are refused where the tenant has as many as it may, however many come together, and nothing is written for it", async () => {
    const key = await newTenant("stored");
    await limit("stored", { stored_plans: 2, hooks: 1, keys: 2, schedules: 0, endpoints: 0 });
    const plan = (name: string) => send("PUT", `/v1/workflows/${name}`, { key, body: WAITING.plan });
    const plans = await Promise.all(["a", "b", "c", "d", "e"].map((name) => plan(name)));
    const statuses = plans.map(({ status }) => status);
    expect([count(statuses, 201), count(statuses, 429)]).toEqual([2, 3]);
    const makeKey = () => send("POST", "/v1/keys", { key, body: { name: "x", scopes: ["runs:read"] } });
    const keys = (await Promise.all([makeKey(), makeKey(), makeKey()])).map(({ status }) => status);
    // The admin's own is one of the two.
    expect([count(keys, 201), count(keys, 429)]).toEqual([1, 2]);
    const audit = async () =>
      env.DB.prepare("SELECT count(*) AS n FROM access_audit WHERE tenant = 'stored'").first<number>("n");
    const schedule = (name: string) =>
      send("PUT", `/v1/schedules/${name}`, {
        key,
        body: { workflow: "a", timing: { kind: "interval", every_ms: 3_600_000 } },
      });
    await limit("stored", { stored_plans: 2, hooks: 1, keys: 2, schedules: 1, endpoints: 0 });
    expect((await schedule("hourly")).status).toBe(201);
    const before = await audit();
    await expectProblem(await schedule("another"), 429, "quota_exceeded");
    const endpoint = { url: "https://hooks.corp.example/in", events: ["run.ended"] };
    await expectProblem(await send("POST", "/v1/endpoints", { key, body: endpoint }), 429, "quota_exceeded");
    await expectProblem(await makeKey(), 429, "quota_exceeded");
    expect(await audit()).toBe(before);
    // What is there is still changed.
    expect((await schedule("hourly")).status).toBe(200);
    const seen = await expectAnswer<{ data: { name: string; limit: number; used: number | null }[] }>(
      await send("GET", "/v1/quotas", { key }),
      "listQuotas",
      200,
    );
    expect(seen.data.find(({ name }) => name === "keys")).toMatchObject({ limit: 2, used: 2 });
    expect(seen.data.find(({ name }) => name === "stored_plans")).toMatchObject({ limit: 2, used: 2 });
  });
});

const HOSTILE = {
  ...{ starts_per_minute: 20, active_runs: 12, request_burst: 90, requests_per_second: 1 },
  ...{ connect_sessions_per_minute: 6, hook_deliveries_per_minute: 10, stored_plans: 4 },
};
const SECRET = "a-secret-of-the-hostile-1";
const HUGE = { steps: { rest: { action: "transform", with: { value: "x".repeat(200_000) } } } };

/** In the directory: the run, its place in three indexes, the change. */
const ROWS_OF_A_START = 5;

/** A question for so many requests that those of the test need no other. */
function isLarge(ask: unknown): boolean {
  const { kind, want } = ask as Ask;
  return kind === "requests" && want >= 128;
}

/** What the hostile tenant has set up before it begins: all of it works. */
async function arm(key: string): Promise<void> {
  const made = async (path: string, id: string, body: object) =>
    expectAnswer(await send("POST", path, { key, body }), id, 201);
  const stored = await send("PUT", "/v1/workflows/waits", { key, body: WAITING.plan });
  await expectAnswer(stored, "putWorkflow", 201);
  await made("/v1/hooks", "createHook", {
    ...{ name: "flood", workflow: "waits", scheme: { type: "github" }, secret: SECRET, input: {} },
  });
  await made("/v1/integrations", "createIntegration", {
    ...{ name: "app", provider: "oauth2", client_id: "app-1", client_secret: "secret-of-the-app" },
    custom: {
      ...{ hosts: ["api.lender.example"], authorize_url: "https://lender.example/authorize" },
      token_url: "https://lender.example/token",
      identity: { url: "https://api.lender.example/me", id: "/id", label: "/email" },
    },
    ...{ scopes_allowed: ["read"], scopes_default: ["read"], return_to: ["https://app.example/connected"] },
  });
}

async function deliver(tenant: string, id: string): Promise<Response> {
  const body = '{"n":1}';
  const draft = { id, event: "push", sentAt: Date.now(), body: new TextEncoder().encode(body) };
  const signed = await makeDelivery({ scheme: "github" }, draft, SECRET);
  const headers = { "content-type": "application/json", ...signed };
  return send("POST", `/hooks/${tenant}/flood`, { raw: body, headers });
}

describe("connections", () => {
  it("that are handed over are refused where the tenant has as many as it may; what is there is still renewed", async () => {
    const key = await newTenant("lenders");
    await limit("lenders", { connections: 1 });
    const app = { name: "sky", provider: "api_key", owner: "user", custom: { hosts: ["api.sky.example"] } };
    await expectAnswer(await send("POST", "/v1/integrations", { key, body: app }), "createIntegration", 201);
    const lend = (user: string, account?: string) =>
      send("POST", "/v1/connections", {
        key,
        body: {
          integration: "sky",
          user,
          api_key: "key-of-the-user",
          ...(account === undefined ? {} : { account }),
        },
      });
    const ada = await expectAnswer<{ id: string }>(await lend("ada"), "createConnection", 201);
    // What is listed counts, which is a moment behind.
    await vi.waitUntil(
      async () =>
        (await (await send("GET", "/v1/connections", { key })).json<{ data: unknown[] }>()).data.length === 1,
      { timeout: 20_000 },
    );
    await expectProblem(await lend("bob"), 429, "quota_exceeded");
    await expectProblem(await lend("ada", "second"), 429, "quota_exceeded");
    expect(await expectAnswer(await lend("ada"), "createConnection", 201)).toMatchObject({ id: ada.id });
    const seen = await expectAnswer<{ quotas: object; quotas_in_force: object }>(
      await send("GET", "/v1/tenants/lenders", { key: ROOT }),
      "getTenant",
      200,
    );
    expect(seen.quotas).toEqual({ connections: 1 });
    expect(seen.quotas_in_force).toEqual({ ...quotasOf(null), connections: 1 });
  });
});

describe("a hostile tenant", () => {
  it("gets what its quotas are and no more, in whichever way it floods; another's requests ask of storage and objects what they asked before", async () => {
    const [good, bad] = [await newTenant("good"), await newTenant("bad")];
    await arm(bad);
    await limit("bad", HOSTILE);
    // Nothing flows in meanwhile, and no permit is over: what is counted is exact.
    vi.setSystemTime(Date.now());
    const serverKey = await importHmacKey(fromBase64(env.SERVER_KEY) ?? new Uint8Array());
    /** One request of each kind: what it asked for, and the rows that it wrote. */
    const work = async (idempotencyKey: string) => {
      const id = await runIdOf(serverKey, { tenant: "good", kind: "api", id: "", idempotencyKey });
      const run = await meter(objectBehind(env.RUN, objectName("run", "good", id)));
      const [from, listed, lent] = [asked.length, { ...directory }, { ...lender }];
      const started = await start(good, { "idempotency-key": `"${idempotencyKey}"` });
      const statuses = [
        started.status,
        (await send("GET", `/v1/runs/${id}`, { key: good })).status,
        (await send("GET", "/v1/workflows", { key: good })).status,
        (await send("PUT", "/v1/workflows/mine", { key: good, body: WAITING.plan })).status,
        (await send("GET", "/v1/runs?limit=1", { key: good })).status,
      ];
      // The run is told of beside the answer.
      await vi.waitUntil(() => directory.rows >= listed.rows + ROWS_OF_A_START, { timeout: 20_000 });
      const mine = asked.slice(from).filter(({ values }) => values.includes("good"));
      return {
        statuses,
        asked: mine.map(({ what, rows }) => `${what}: ${rows} rows`).toSorted(),
        all: asked.length - from,
        rows: { run: run.rows, directory: directory.rows - listed.rows, quotas: lender.rows - lent.rows },
      };
    };
    // What its isolate does not know yet is learnt, and permits for what follows are lent.
    await Promise.all(Array.from({ length: 29 }, () => start(good)));
    while (!asked.some(({ what, values }) => what === "quota:good.ask" && isLarge(values.at(-1))))
      await Promise.all(Array.from({ length: 20 }, () => send("GET", "/v1/workflows", { key: good })));
    const directory = await meter(objectBehind(env.DIRECTORY, objectName("directory", "good", "0")));
    const lender = await meter(objectBehind(env.QUOTA, objectName("quota", "good", "main")));
    await work("warm");
    const quiet = await work("quiet");
    // While nobody else is there, nothing is asked that is not seen as this tenant's.
    expect(quiet.asked).toHaveLength(quiet.all);
    expect(quiet.statuses).toEqual([202, 200, 200, 200, 200]);
    expect(quiet.asked.filter((what) => what.startsWith("run:good."))).toHaveLength(2);

    const ways: readonly ((i: number) => Promise<Response>)[] = [
      () => start(bad),
      (i) => deliver("bad", `d-${i}`),
      (i) =>
        send("POST", "/v1/connect-sessions", { key: bad, body: { integration: "app", user: `user-${i}` } }),
      () => send("POST", "/v1/runs", { key: bad, body: { plan: HUGE } }),
      (i) => send("PUT", `/v1/workflows/huge-${i}`, { key: bad, body: HUGE }),
      () => send("GET", "/v1/workflows", { key: `${bad.slice(0, -1)}${bad.endsWith("x") ? "y" : "x"}` }),
    ];
    const flood = async (): Promise<number[][]> => {
      const answers = ways.map((way) => Promise.all(Array.from({ length: 14 }, (_, i) => way(i))));
      return (await Promise.all(answers)).map((of) => of.map(({ status }) => status));
    };
    const began = asked.length;
    const first = flood();
    const beside = [await work("b1"), await work("b2")];
    const second = flood();
    beside.push(await work("b3"), await work("b4"));
    const floods = await Promise.all([first, second]);
    beside.push(await work("b5"));

    const told = ({ statuses, asked: what, rows }: typeof quiet) => ({ statuses, what, rows });
    expect(beside.map(told)).toEqual(beside.map(() => told(quiet)));
    const hostile = asked.slice(began).filter(({ values }) => values.includes("bad"));
    expect(hostile.length).toBeGreaterThan(quiet.all);

    const [starts, deliveries, sessions, huge, plans, guesses] = ways.map((_, i) =>
      floods.flatMap((statuses) => statuses[i] ?? []),
    );
    for (const statuses of [starts, deliveries, sessions, huge, plans]) {
      expect(statuses).toHaveLength(28);
      expect(count(statuses ?? [], 429)).toBeGreaterThan(0);
      expect(statuses?.filter((status) => status >= 500)).toEqual([]);
    }
    expect(new Set(guesses)).toEqual(new Set([401]));
    // Runs are begun by the API and by the hook; all that began are still there, or were short.
    const begun = count([...(starts ?? []), ...(huge ?? [])], 202);
    expect(begun).toBeGreaterThan(0);
    const listed = await hostileRuns();
    expect(listed).toBeGreaterThanOrEqual(begun);
    expect(listed).toBeLessThanOrEqual(HOSTILE.starts_per_minute);
    expect((await quotaOf("bad").view("bad")).activeRuns).toBeLessThanOrEqual(HOSTILE.active_runs);
    expect(count(sessions ?? [], 201)).toBeGreaterThan(0);
    expect(count(sessions ?? [], 201)).toBeLessThanOrEqual(HOSTILE.connect_sessions_per_minute);
    expect(count(deliveries ?? [], 202)).toBeGreaterThan(0);
    expect(count(deliveries ?? [], 202)).toBeLessThanOrEqual(HOSTILE.hook_deliveries_per_minute + OWED);
    // One was there before.
    expect(count(plans ?? [], 201)).toBe(HOSTILE.stored_plans - 1);
    const answered = [starts, sessions, huge, plans].flatMap((all) => all ?? []);
    expect(answered.filter((status) => status < 400).length).toBeLessThanOrEqual(
      HOSTILE.request_burst + OWED,
    );

    async function hostileRuns(): Promise<number> {
      return runInDurableObject(
        objectBehind(env.DIRECTORY, objectName("directory", "bad", "0")),
        (_, { storage }) => integer(storage.sql.exec("SELECT count(*) AS n FROM runs").one(), "n"),
      );
    }
  });

  it("has no more requests answered than its rate, over the burst, and what goes through while its isolate asks", async () => {
    const key = await newTenant("rate");
    await limit("rate", { requests_per_second: 1, request_burst: 10 });
    const from = asked.length;
    const startedAt = Date.now();
    const answers = await Promise.all(
      Array.from({ length: 200 }, () => send("GET", "/v1/workflows", { key })),
    );
    const seconds = (Date.now() - startedAt) / 1_000;
    const statuses = answers.map(({ status }) => status);
    expect(count(statuses, 200)).toBeLessThanOrEqual(10 + OWED + seconds);
    expect(count(statuses, 200) + count(statuses, 429)).toBe(200);
    // It was the object that said so, to all of them together.
    const questions = asked.slice(from).filter(({ what }) => what === "quota:rate.ask");
    expect(questions.length).toBeGreaterThan(0);
    expect(questions.length).toBeLessThanOrEqual(20);
    const refused = answers.find(({ status }) => status === 429);
    expect(refused?.headers.get("ratelimit")).toMatch(/^"requests_per_second";r=0;t=\d+$/);
  });

  it("with a key that leaked cannot keep its tenant from revoking it, nor who may not revoke it use up what is spared for that", async () => {
    const admin = await newTenant("leaked");
    const agent = { name: "agent", user: "u", scopes: ["runs:read"], expires_at: Date.now() + 600_000 };
    const made = await send("POST", "/v1/keys", { key: admin, body: agent });
    const { id, key } = await expectAnswer<{ id: string; key: string }>(made, "createKey", 201);
    const revoke = async (by: string): Promise<number> =>
      (await send("DELETE", `/v1/keys/${id}x`, { key: by })).status;
    await limit("leaked", { requests_per_second: 1, request_burst: 1 });
    await vi.waitUntil(async () => (await revoke(key)) === 429, { timeout: 10_000, interval: 1 });
    const flood = await Promise.all(Array.from({ length: 50 }, () => revoke(key)));
    expect(count(flood, 429)).toBeGreaterThan(45);
    expect((await send("GET", "/v1/workflows", { key: admin })).status).toBe(429);
    expect((await send("DELETE", `/v1/keys/${id}`, { key: admin })).status).toBe(200);
    // What is spared is bounded as well.
    const often = await Promise.all(Array.from({ length: 50 }, () => revoke(admin)));
    expect(count(often, 429)).toBeGreaterThan(40);
  });
});

describe("the quota object", () => {
  it("asks the database once what the quotas are, for all who come meanwhile", async () => {
    await newTenant("many");
    const from = asked.length;
    const ask: Ask = { kind: "requests", want: 1, told: [], charged: 0 };
    const leases = await Promise.all(Array.from({ length: 50 }, () => quotaOf("many").ask("many", ask)));
    expect(new Set(leases.map(({ ok }) => ok))).toEqual(new Set([true]));
    const reads = asked.slice(from).filter(({ what }) => what.includes("FROM tenant_settings"));
    expect(reads).toHaveLength(1);
  });
});

describe("who proves nothing", () => {
  interface Cost {
    readonly status: number;
    readonly reads: number;
    readonly writes: number;
    readonly calls: number;
  }

  async function costOf(answer: () => Promise<Response>): Promise<Cost> {
    const from = asked.length;
    const { status } = await answer();
    const all = asked.slice(from).map(({ what }) => what);
    const reads = all.filter((what) => what.startsWith("SELECT")).length;
    const writes = all.filter((what) => /^(?:INSERT|UPDATE|DELETE|WITH)/.test(what)).length;
    return { status, reads, writes, calls: all.length - reads - writes };
  }

  const free = { reads: 0, writes: 0, calls: 0 };
  const oneRead = { ...free, reads: 1 };
  const token = (n: number): string => String(n).padStart(26, "0");

  it("costs a look at the database at most, none where it comes again, and writes nothing there", async () => {
    const key = await newTenant("door");
    const get = (wrong?: string) => () => send("GET", "/v1/runs", wrong === undefined ? {} : { key: wrong });
    expect(await costOf(get())).toEqual({ status: 401, ...free });
    expect(await costOf(get("not-the-root-key"))).toEqual({ status: 401, ...free });
    // A key holds a checksum: only what has the right one is looked up.
    expect(await costOf(get(`${key.slice(0, -1)}${key.endsWith("x") ? "y" : "x"}`))).toEqual({
      status: 401,
      ...free,
    });
    const wrong = newKeyText();
    expect(await costOf(get(wrong))).toEqual({ status: 401, ...oneRead });
    expect(await costOf(get(wrong))).toEqual({ status: 401, ...free });

    const hook = (name: string) => () => send("POST", `/hooks/door/${name}`, { raw: "{}" });
    expect(await costOf(hook("absent"))).toEqual({ status: 404, ...oneRead });
    expect(await costOf(hook("absent"))).toEqual({ status: 404, ...free });

    const link = (of: string) => () => send("GET", of);
    expect(await costOf(link("/connect/made-up"))).toEqual({ status: 404, ...free });
    expect(await costOf(link(`/connect/cs_${token(1)}.${"a".repeat(43)}`))).toMatchObject({
      status: 404,
      ...{ writes: 0, calls: 0 },
    });
    const callback = await costOf(link(`/oauth/callback/door/app?state=${"a".repeat(43)}&code=1`));
    expect(callback).toMatchObject({ writes: 0, calls: 0 });
    expect(callback.reads).toBeLessThanOrEqual(1);
    expect(await costOf(link("/approve/made-up"))).toMatchObject(free);
  });

  it("with a wrong signature costs no read, and ten lines of the hook's log in ten seconds", async () => {
    const key = await newTenant("forged");
    await arm(key);
    expect((await deliver("forged", "d-1")).status).toBe(202);
    vi.setSystemTime(Date.now());
    const from = asked.length;
    for (let n = 0; n < 30; n += 1) {
      const headers = {
        ...{ "x-github-event": "push", "x-github-delivery": `f-${n}` },
        "x-hub-signature-256": `sha256=${"0".repeat(64)}`,
      };
      expect((await send("POST", "/hooks/forged/flood", { body: { n }, headers })).status).toBe(404);
    }
    const all = asked.slice(from).map(({ what }) => what);
    expect(all.filter((what) => what === "hook:forged.tell").length).toBeLessThanOrEqual(10);
    expect(all.filter((what) => what !== "hook:forged.tell")).toEqual([]);
  });
});
