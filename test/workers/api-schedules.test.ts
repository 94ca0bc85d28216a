/** Schedules over HTTP, with real runs, real keys and the real list: the whole Worker, but for its schedules' clock, which is set ahead. */
import { createScheduledController, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { composeSchedules } from "../../src/compose-triggers-schedules.ts";
import { createLogger, objectName } from "../../src/platform/index.ts";
import type { RunErrorCode, RunRpc, RunView } from "../../src/run/index.ts";
import { expectAnswer, expectProblem, newKey, newTenant, send } from "./api-support.ts";
import { scheduleHouses } from "./schedule-house.ts";
import worker from "./worker.ts";

const HOUR_MS = 60 * 60_000;
const TENANT = "api-schedules";

interface Shown {
  readonly name: string;
  readonly maker: string;
  readonly revision: number;
  readonly paused: { readonly by: string; readonly reason: string | null } | null;
  readonly next: readonly number[];
  readonly pending: readonly unknown[];
}
interface Ticks {
  readonly data: readonly {
    readonly what: string;
    readonly run?: string;
    readonly code?: string;
    readonly reason?: string;
  }[];
}

let admin = "";
let name = "";
let names = 0;

beforeAll(async () => {
  scheduleHouses.current = null;
  admin = await newTenant(TENANT);
});

beforeEach(() => {
  scheduleHouses.aheadMs = 0;
  names += 1;
  name = `hourly-${names}`;
});

const at = (rest = ""): string => `/v1/schedules/${name}${rest}`;

/** Every hour from now on: nothing comes by itself while a test looks. */
const hourly = (): unknown => ({ kind: "interval", every_ms: HOUR_MS, anchor: Date.now() });

async function put(more: Readonly<Record<string, unknown>> = {}, key = admin): Promise<Response> {
  return send("PUT", at(), { key, body: { timing: hourly(), workflow: "t-wait", ...more } });
}

async function made(more: Readonly<Record<string, unknown>> = {}, key = admin): Promise<Shown> {
  return expectAnswer(await put(more, key), "putSchedule", 201);
}

async function seen(): Promise<Shown> {
  return expectAnswer(await send("GET", at(), { key: admin }), "getSchedule", 200);
}

/** The oldest first. */
async function ticks(): Promise<Ticks["data"]> {
  const log = await send("GET", at("/log"), { key: admin });
  return (await expectAnswer<Ticks>(log, "getScheduleLog", 200)).data.toReversed();
}

async function runOf(id: string | undefined): Promise<RunView> {
  return expectAnswer(await send("GET", `/v1/runs/${id ?? ""}`, { key: admin }), "getRun", 200);
}

const object = (): DurableObjectStub => env.SCHEDULE.getByName(objectName("schedule", TENANT, name));

/** The next hour comes. */
async function fire(): Promise<void> {
  scheduleHouses.aheadMs += HOUR_MS;
  expect(await runDurableObjectAlarm(object())).toBe(true);
}

const listed = async (query = ""): Promise<{ data: Shown[]; next_cursor: string | null }> =>
  expectAnswer(await send("GET", `/v1/schedules${query}`, { key: admin }), "listSchedules", 200);

/** What the audit has of it. */
async function audited(): Promise<unknown[]> {
  const { results } = await env.DB.prepare("SELECT action FROM access_audit WHERE target = ? ORDER BY rowid")
    .bind(name)
    .all();
  return results.map(({ action }) => action);
}

describe("a schedule", () => {
  it("starts a real run at its time, in the name of its maker, which stands in the log and in the list of runs", async () => {
    const begun = Date.now();
    const answer = await put({ tags: [name], user: "ada" });
    expect(answer.headers.get("location")).toBe(at());
    const shown = await expectAnswer<Shown>(answer, "putSchedule", 201);
    expect(shown.next).toHaveLength(10);
    expect(shown.next[0]).toBeGreaterThanOrEqual(begun + HOUR_MS);

    await fire();
    const [first, ...others] = await ticks();
    expect([first?.what, others]).toEqual(["started", []]);
    const run = await runOf(first?.run);
    expect(run).toMatchObject({ workflow: "t-wait", user: "ada", tags: [name], status: "waiting" });
    const found = await send("GET", `/v1/runs?tag=${name}`, { key: admin });
    const { data } = await expectAnswer<{ data: { id: string; started_by: string }[] }>(
      found,
      "listRuns",
      200,
    );
    expect(data.map(({ id, started_by: by }) => [id, by])).toEqual([[first?.run, `schedule:${name}`]]);
    expect((await seen()).pending).toEqual([]);
  });

  it("skips what comes while a run of it waits, and goes on once that has ended", async () => {
    await made();
    await fire();
    await fire();
    const [first] = await ticks();
    await send("POST", `/v1/runs/${first?.run ?? ""}/cancel`, { key: admin });
    await runOf(first?.run);
    await fire();
    expect((await ticks()).map(({ what, reason }) => reason ?? what)).toEqual([
      "started",
      "overlap",
      "started",
    ]);
  });

  it("cancels its predecessor where that is wished", async () => {
    await made({ overlap: "cancel_previous" });
    await fire();
    await fire();
    const [first, second] = await ticks();
    expect([(await runOf(first?.run)).status, (await runOf(second?.run)).status]).toEqual([
      "cancelled",
      "waiting",
    ]);
  });

  it("is changed as a whole, keeps its pause and its log, and its maker is who wrote it last", async () => {
    const first = await made({ tags: ["one"] });
    await send("POST", at("/pause"), { key: admin, body: { reason: "holidays" } });
    const other = await newKey(admin, { scopes: ["schedules:write", "schedules:read", "runs:write"] });
    const changed = await expectAnswer<Shown>(await put({ overlap: "allow" }, other), "putSchedule", 200);
    expect(changed).toMatchObject({
      revision: 2,
      overlap: "allow",
      tags: [],
      paused: { reason: "holidays" },
    });
    expect(changed.maker).not.toBe(first.maker);
    expect((await listed()).data.find((one) => one.name === name)).toMatchObject({
      maker: changed.maker,
      paused: { reason: "holidays" },
    });
  });

  it("leaves nothing in the list when it is removed, and its runs go on", async () => {
    await made();
    await fire();
    const [first] = await ticks();
    expect((await send("DELETE", at(), { key: admin })).status).toBe(204);
    await expectProblem(await send("DELETE", at(), { key: admin }), 404, "not_found");
    await expectProblem(await send("GET", at(), { key: admin }), 404, "not_found");
    expect((await listed()).data.map((one) => one.name)).not.toContain(name);
    expect((await runOf(first?.run)).status).toBe("waiting");
  });

  it("stands in the audit with all that was done to it", async () => {
    await made();
    await send("POST", at("/pause"), { key: admin });
    await send("POST", at("/resume"), { key: admin });
    await send("POST", at("/trigger"), { key: admin });
    await send("DELETE", at(), { key: admin });
    expect(await audited()).toEqual(
      ["put", "pause", "resume", "trigger", "delete"].map((one) => `schedule.${one}`),
    );
  });
});

describe("its maker", () => {
  it("whose key is revoked starts nothing more: the schedule pauses itself, and goes on in the name of who writes it anew", async () => {
    const made2 = await send("POST", "/v1/keys", {
      key: admin,
      body: { name: "maker", scopes: ["schedules:write", "runs:write"] },
    });
    const key = await expectAnswer<{ id: string; key: string }>(made2, "createKey", 201);
    await made({}, key.key);
    await fire();
    const [first] = await ticks();
    await send("POST", `/v1/runs/${first?.run ?? ""}/cancel`, { key: admin });
    expect((await send("DELETE", `/v1/keys/${key.id}`, { key: admin })).status).toBe(200);

    await fire();
    expect((await ticks())[1]).toMatchObject({ what: "refused", code: "maker_revoked" });
    const paused = { by: "system", reason: "maker_revoked" };
    expect((await seen()).paused).toMatchObject(paused);
    expect((await listed()).data.find((one) => one.name === name)?.paused).toMatchObject(paused);
    await expectProblem(await send("POST", at("/resume"), { key: admin }), 409, "maker_revoked");
    await expectProblem(await send("POST", at("/trigger"), { key: admin }), 409, "maker_revoked");

    await put();
    await expectAnswer(await send("POST", at("/resume"), { key: admin }), "resumeSchedule", 200);
    await fire();
    const last = (await ticks()).at(-1);
    expect(last?.what).toBe("started");
    expect((await runOf(last?.run)).status).toBe("waiting");
  });

  it("starts what its policies allow at the time, and not more: the tick says so, and the schedule goes on", async () => {
    const key = await newKey(admin, {
      scopes: ["schedules:write", "runs:write"],
      policy: { workflows: ["t-wait"] },
    });
    await made({ overlap: "allow" }, key);
    await expectProblem(await put({ workflow: "t-sleep", input: { ms: 1 } }, key), 403, "policy_denied");
    const forbid = { workflows: ["t-sleep"] };
    await expectAnswer(await send("PUT", "/v1/policy", { key: admin, body: forbid }), "putPolicy", 200);
    await fire();
    await expectAnswer(await send("PUT", "/v1/policy", { key: admin, body: {} }), "putPolicy", 200);
    await fire();
    expect((await ticks()).map(({ what, code }) => code ?? what)).toEqual(["policy_denied", "started"]);
    expect((await seen()).paused).toBe(null);
  });

  it("gets no further by a plan that somebody else changes: its own policies hold at each start", async () => {
    const plan = async (step: unknown): Promise<void> => {
      const stored = await send("PUT", `/v1/workflows/plan-of-${name}`, {
        key: admin,
        body: { steps: { one: step } },
      });
      await expectAnswer(stored, "putWorkflow", 201);
    };
    await plan({ action: "transform", with: { value: 1 } });
    const key = await newKey(admin, {
      scopes: ["schedules:write", "runs:write"],
      policy: { hosts: [{ host: "allowed.example" }] },
    });
    await made({ workflow: `plan-of-${name}`, overlap: "allow" }, key);
    await fire();
    await plan({ action: "http", with: { method: "GET", url: "https://other.example/" } });
    await fire();
    expect((await ticks()).map(({ what, code }) => code ?? what)).toEqual(["started", "policy_denied"]);
  });

  it("needs to be allowed to start runs", async () => {
    const key = await newKey(admin, { scopes: ["schedules:*"] });
    await expectProblem(await put({}, key), 403, "insufficient_scope");
    await made();
    await expectProblem(await send("POST", at("/trigger"), { key }), 403, "insufficient_scope");
    const starts = await newKey(admin, { scopes: ["schedules:*", "runs:write"] });
    await expectProblem(await put({ user: "ada" }, starts), 403, "user_wider");
  });

  it("starts nothing by hand for who could not start it in person, and what they start is bound by their policies, too", async () => {
    const trigger = async (key: string) => send("POST", at("/trigger"), { key });
    await made({ user: "ada" });
    const nobody = await newKey(admin, { scopes: ["schedules:*", "runs:write"] });
    await expectProblem(await trigger(nobody), 403, "user_wider");
    names += 1;
    name = `hourly-${names}`;
    await made();
    const scopes = ["schedules:*", "runs:*"];
    const other = await newKey(admin, { scopes, policy: { workflows: ["book-trip"] } });
    await expectProblem(await trigger(other), 403, "policy_denied");
    names += 1;
    name = `hourly-${names}`;
    const step = { action: "http", with: { method: "GET", url: "https://other.example/" } };
    const body = { steps: { one: step } };
    expect((await send("PUT", "/v1/workflows/calls-other", { key: admin, body })).status).toBe(201);
    await made({ workflow: "calls-other" });
    const bound = await newKey(admin, { scopes, policy: { hosts: [{ host: "allowed.example" }] } });
    await expectProblem(await trigger(bound), 409, "start_refused");
    expect((await ticks()).map(({ code }) => code)).toEqual(["policy_denied"]);
  });
});

describe("by hand", () => {
  it("one Idempotency-Key is one run, also while it is paused; without one each is another", async () => {
    await made();
    await send("POST", at("/pause"), { key: admin });
    const trigger = async (headers: Readonly<Record<string, string>>): Promise<string> => {
      const answer = await send("POST", at("/trigger"), { key: admin, headers });
      const { run, started } = await expectAnswer<{ run: string; started: boolean }>(
        answer,
        "triggerSchedule",
        202,
      );
      expect([started, answer.headers.get("location")]).toEqual([true, `/v1/runs/${run}`]);
      return run;
    };
    const key = { "idempotency-key": '"now"' };
    const runs = [await trigger(key), await trigger(key), await trigger({}), await trigger({})];
    expect(new Set(runs).size).toBe(3);
    expect(runs[0]).toBe(runs[1]);
    expect((await ticks()).map(({ what }) => what)).toEqual(["started", "started", "started"]);
  });
});

describe("what is refused when it is written", () => {
  const year = { kind: "cron", expression: "0 0 1 1 *" };
  it.each<[status: number, code: string, pointer: string, body: Readonly<Record<string, unknown>>]>([
    [422, "unknown_workflow", "/workflow", { workflow: "nobody" }],
    [422, "unknown_workflow", "/version", { version: "77" }],
    [422, "invalid_input", "/input/ms", { workflow: "t-sleep" }],
    [422, "invalid_schedule", "/input", { workflow: "t-secretive", input: { word: "w", list: [] } }],
    [422, "invalid_schedule", "/timing/expression", { timing: { ...year, expression: "0 0 30 2 *" } }],
    [422, "invalid_schedule", "/timing/timezone", { timing: { ...year, timezone: "Mars/Base" } }],
    [422, "invalid_schedule", "/timing/every_ms", { timing: { kind: "interval", every_ms: 999 } }],
    [422, "invalid_schedule", "/timing/at", { timing: { kind: "once", at: 1 } }],
    [422, "invalid_schedule", "/catch_up_ms", { catch_up_ms: 1 }],
    [422, "invalid_schedule", "/jitter_ms", { jitter_ms: HOUR_MS + 1 }],
    [422, "invalid_schedule", "/input", { workflow: "t-wait", input: { long: "x".repeat(70_000) } }],
    [400, "invalid_request", "/timing/kind", { timing: { kind: "weekly" } }],
    [
      400,
      "invalid_request",
      "/timing/everyMs",
      { timing: { kind: "interval", every_ms: 1_000, everyMs: 1 } },
    ],
    [400, "invalid_request", "/maker", { maker: "key:other" }],
  ])("%i %s at %s", async (status, code, pointer, body) => {
    const refused = await expectProblem(await put(body), status, code);
    expect(refused.errors?.map((one) => one.pointer)).toContain(pointer);
    await expectProblem(await send("GET", at(), { key: admin }), 404, "not_found");
    expect((await listed()).data.map((one) => one.name)).not.toContain(name);
    expect(await audited()).toEqual([]);
  });

  it("a five hundred and first, and a change of one that is there is taken", async () => {
    const full = await newTenant("api-schedules-full");
    const body = { timing: hourly(), workflow: "t-wait" };
    await expectAnswer(await send("PUT", "/v1/schedules/one", { key: full, body }), "putSchedule", 201);
    await env.DB.prepare(
      `WITH RECURSIVE n (value) AS (SELECT 2 UNION ALL SELECT value + 1 FROM n WHERE value < 500)
       INSERT INTO schedules SELECT tenant, name || value, workflow, timing, NULL, maker, 0, 0, 0
       FROM schedules, n WHERE tenant = 'api-schedules-full'`,
    ).run();
    await expectProblem(await send("PUT", "/v1/schedules/more", { key: full, body }), 429, "quota_exceeded");
    await expectProblem(await send("GET", "/v1/schedules/more", { key: full }), 404, "not_found");
    await expectAnswer(await send("PUT", "/v1/schedules/one", { key: full, body }), "putSchedule", 200);
    await env.DB.prepare("DELETE FROM schedules WHERE tenant = 'api-schedules-full' AND name <> 'one'").run();
  });
});

describe("the list", () => {
  it("is read by pages, in the order of names", async () => {
    const paged = await newTenant("api-schedules-paged");
    for (const one of ["c", "a", "b"])
      await send("PUT", `/v1/schedules/${one}`, {
        key: paged,
        body: { timing: hourly(), workflow: "t-wait" },
      });
    const page = async (query: string): Promise<readonly [string[], string | null]> => {
      const answer = await send("GET", `/v1/schedules?limit=2${query}`, { key: paged });
      const { data, next_cursor: next } = await expectAnswer<{ data: Shown[]; next_cursor: string | null }>(
        answer,
        "listSchedules",
        200,
      );
      return [data.map((one) => one.name), next];
    };
    expect(await page("")).toEqual([["a", "b"], "b"]);
    expect(await page("&cursor=b")).toEqual([["c"], null]);
  });

  it("a sweep sets a lost alarm anew and does what is due, and takes a line away that has no schedule", async () => {
    await made();
    await runInDurableObject(object(), (_, { storage }) => storage.deleteAlarm());
    const orphan = `${name}-orphan`;
    await env.DB.prepare(
      "INSERT INTO schedules SELECT tenant, ?, workflow, timing, NULL, maker, 0, 0, 0 FROM schedules WHERE tenant = ? AND name = ?",
    )
      .bind(orphan, TENANT, name)
      .run();
    await env.DB.prepare("UPDATE schedules SET poked_at = 0 WHERE tenant = ?").bind(TENANT).run();
    scheduleHouses.aheadMs = HOUR_MS;
    await worker.scheduled(createScheduledController({ scheduledTime: Date.now() }), env);
    expect((await ticks()).map(({ what }) => what)).toEqual(["started"]);
    expect(await runInDurableObject(object(), (_, { storage }) => storage.getAlarm())).toBeGreaterThan(
      Date.now() + HOUR_MS,
    );
    const left = (await listed()).data.map((one) => one.name);
    expect([left.includes(name), left.includes(orphan)]).toEqual([true, false]);
  });
});

describe("what a run's answers mean to a schedule", () => {
  const START = { tenant: TENANT, run: "run_1", bodyDigest: "digest" };
  const portsOver = (run: Partial<RunRpc>): ReturnType<typeof composeSchedules>["ports"] =>
    composeSchedules(env, {
      starter: {
        start: async () => {
          throw new Error("a start");
        },
      },
      runs: () => run as RunRpc,
      runIdOf: async () => "run_1",
      log: createLogger("error", () => {}),
    }).ports;
  const refusal = (code: RunErrorCode) => async () => ({ ok: false, code, message: "" }) as const;

  it.each<
    [code: RunErrorCode, before: boolean | "again", live: boolean | "again", cancelled: true | "again"]
  >([
    ["run_deleted", true, false, true],
    ["not_found", true, false, true],
    ["idempotency_mismatch", true, "again", "again"],
    ["unavailable", "again", "again", "again"],
    ["run_ended", true, false, true],
    ["already_ending", true, "again", true],
  ])("%s", async (code, before, live, cancelled) => {
    const ports = portsOver({
      startedBefore: refusal(code),
      view: refusal(code),
      command: refusal(code),
    });
    const told = async (asked: Promise<unknown>): Promise<unknown> => asked.catch(() => "again");
    expect([
      await told(ports.wasStarted(START)),
      await told(ports.isLive(TENANT, "run_1")),
      await told(ports.cancel(TENANT, "run_1", "schedule:x").then(() => true)),
    ]).toEqual([before, live, cancelled]);
  });

  it("none was started before: it is", async () => {
    expect(await portsOver({ startedBefore: async () => null }).wasStarted(START)).toBe(false);
  });
});
