/** Runs whose lives fail: how long they are tried again, what callers are told meanwhile, and how they end. */

import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { objectName, text } from "../../src/platform/index.ts";
import { expectAnswer, expectProblem, newTenant, send } from "./api-support.ts";
import { ended, start, view, VIEWER, type Started, type Stub } from "./run-support.ts";

const HOUR_MS = 60 * 60_000;
const DAY_MS = 24 * HOUR_MS;
const UNAVAILABLE = { ok: false, code: "unavailable" } as const;

afterEach(() => {
  vi.useRealTimers();
});

function pass(ms: number): void {
  vi.setSystemTime(Date.now() + ms);
}

async function alarmOf(run: Pick<Started, "stub">): Promise<number | null> {
  return runInDurableObject(run.stub(), (_object, state) => state.storage.getAlarm());
}

/** Puts facts of a newer build in the place of those of the first turn. Gives back what puts the turn back. */
async function makeUnreadable(run: Pick<Started, "stub">): Promise<() => Promise<void>> {
  const replace = (by: (before: string) => string): Promise<string> =>
    runInDurableObject(run.stub(), (_object, { storage: { sql } }) => {
      const before = text(sql.exec("SELECT facts FROM turns WHERE seq = 1").one(), "facts");
      sql.exec("UPDATE turns SET facts = ? WHERE seq = 1", by(before));
      return before;
    });
  const turn = await replace((facts) =>
    JSON.stringify((JSON.parse(facts) as unknown[]).map(() => ({ t: "from_the_future", at: 1 }))),
  );
  await abortAllDurableObjects();
  return async () => {
    await replace(() => turn);
  };
}

function stubIn(tenant: string, id: string): Stub {
  const named: unknown = env.RUN.getByName(objectName("run", tenant, id));
  return named as Stub;
}

/** What the platform calls after five tries that killed the object: runDurableObjectAlarm cannot say so. */
async function lastTryOfAlarm(run: Pick<Started, "stub">): Promise<void> {
  await runInDurableObject(run.stub(), async (object) => {
    await (object as unknown as { alarm(info: AlarmInvocationInfo): Promise<void> }).alarm({
      retryCount: 5,
      isRetry: true,
      scheduledTime: Date.now(),
    });
  });
}

/** Lets days pass in which every try fails. */
async function failForDays(run: Pick<Started, "stub">, days: number): Promise<void> {
  for (let day = 0; day < days; day++) {
    pass(DAY_MS);
    await runDurableObjectAlarm(run.stub());
  }
}

describe("a run whose journal this build cannot read", () => {
  it("is unavailable and not sealed, however often it is asked for, and goes on under a build that can (R4)", async () => {
    const run = await start("t-wait");
    const before = await view(run);
    const bringBack = await makeUnreadable(run);
    for (let look = 0; look < 50; look++) {
      expect(await run.stub().view(VIEWER)).toMatchObject(UNAVAILABLE);
      pass(35_000);
    }
    expect(await run.stub().command(VIEWER, { t: "pause", by: "key:test" })).toMatchObject(UNAVAILABLE);
    expect(await run.stub().events(VIEWER, { after: 0, limit: 1 })).toMatchObject(UNAVAILABLE);
    expect(await run.stub().view({ tenant: "other" })).toMatchObject({ ok: false, code: "not_found" });
    expect(await run.stub().explain(VIEWER)).toMatchObject({
      ...{ ok: true, value: { run: run.id, status: null, reasons: [{ code: "failing" }] } },
    });
    // Whose run it is cannot be told.
    expect(await run.stub().explain({ ...VIEWER, onlyUser: "ada" })).toMatchObject(UNAVAILABLE);
    expect(await run.stub().explain({ tenant: "other" })).toMatchObject({ ok: false, code: "not_found" });
    await bringBack();
    pass(60_000);
    expect(await view(run)).toEqual(before);
    expect(
      (await run.stub().command(VIEWER, { t: "signal", id: "1", name: "go", payload: 1, by: "key:test" })).ok,
    ).toBe(true);
    expect(await ended(run)).toMatchObject({ status: "succeeded" });
  });

  it("is unavailable likewise where a newer build has left a schema of its own", async () => {
    const run = await start("t-wait");
    const before = await view(run);
    const replace = (schema: unknown): Promise<unknown> =>
      runInDurableObject(run.stub(), (_object, { storage: { kv } }) => {
        const stored = kv.get("schema");
        kv.put("schema", schema);
        return stored;
      });
    const schema = await replace({ version: 99, checksum: 1 });
    await abortAllDurableObjects();
    expect(await run.stub().view(VIEWER)).toMatchObject(UNAVAILABLE);
    await replace(schema);
    pass(30_000);
    expect(await view(run)).toEqual(before);
  });

  it("is tried again by its alarm alone, less and less often, and each time the alarm stands (K3)", async () => {
    const run = await start("t-sleep", { ms: 1_000 });
    const bringBack = await makeUnreadable(run);
    const waits: number[] = [];
    for (let life = 0; life < 9; life++) {
      expect(await runDurableObjectAlarm(run.stub())).toBe(true);
      const alarm = (await alarmOf(run)) ?? Number.NaN;
      waits.push(Math.round((alarm - Date.now()) / 1_000));
      // Early, and it only stands again.
      await runDurableObjectAlarm(run.stub());
      expect(await alarmOf(run)).toBe(alarm);
      vi.setSystemTime(alarm);
    }
    expect(waits).toEqual([30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600]);
    await bringBack();
    await runDurableObjectAlarm(run.stub());
    expect(await ended(run)).toMatchObject({ status: "succeeded" });
  });

  it("is sealed after three days: it ends as failed, says why, and keeps its alarm for its retention (R4)", async () => {
    const run = await start("t-wait");
    await runInDurableObject(run.stub(), (_object, state) => {
      state.storage.sql.exec(
        "INSERT INTO turns (seq, at, facts, vals) VALUES (1000, 1, ?, NULL)",
        JSON.stringify([{ t: "started", at: 1, step: "nobody", attempt: 1, deadline: 2, version: "x" }]),
      );
    });
    await abortAllDurableObjects();
    await failForDays(run, 3);
    expect(await run.stub().view(VIEWER)).toMatchObject(UNAVAILABLE);
    await failForDays(run, 2);
    const seen = await view(run);
    expect(seen).toMatchObject({
      id: run.id,
      workflow: "t-wait",
      status: "failed",
      seq: 1_001,
      failure: { code: "run_unreadable" },
    });
    expect(await run.stub().command(VIEWER, { t: "pause", by: "key:test" })).toMatchObject({
      ok: false,
      code: "run_ended",
    });
    expect(await run.stub().step(VIEWER, "ask")).toMatchObject({ ok: false, code: "run_ended" });
    expect(await run.stub().explain(VIEWER)).toMatchObject({
      ...{ ok: true, value: { status: "failed", limit_at: null, reasons: [{ code: "sealed" }] } },
    });
    const page = await run.stub().events(VIEWER, { after: 0, limit: 100 });
    expect(page).toMatchObject({
      ok: true,
      value: { ended: true, events: [{ seq: 1, type: "run_started" }, { type: "waiting" }, { seq: 1_000 }] },
    });
    const alarm = await alarmOf(run);
    expect(alarm).toBe((seen.ended_at ?? 0) + 30 * DAY_MS);
    // Early, and it only stands again; likewise if the platform is about to drop it.
    await runDurableObjectAlarm(run.stub());
    expect(await alarmOf(run)).toBe(alarm);
    await runInDurableObject(run.stub(), (_object, state) => state.storage.deleteAlarm());
    await abortAllDurableObjects();
    await lastTryOfAlarm(run);
    expect(await alarmOf(run)).toBe(alarm);
  });

  it("stays with its tenant and sealed, also under a build that could read it (R2, R5)", async () => {
    const run = await start("t-wait");
    const bringBack = await makeUnreadable(run);
    await failForDays(run, 5);
    await bringBack();
    await abortAllDurableObjects();
    pass(HOUR_MS);
    expect(await run.stub().view({ tenant: "other" })).toMatchObject({ ok: false, code: "not_found" });
    expect(await view(run)).toMatchObject({ status: "failed", failure: { code: "run_unreadable" } });
  });

  it("is unavailable over HTTP with Retry-After, and once sealed has another ETag than before", async () => {
    const key = await newTenant("failing");
    const made = await send("POST", "/v1/runs", { key, body: { workflow: "t-wait" } });
    const { id } = await expectAnswer<{ id: string }>(made, "startRun", 202);
    const path = `/v1/runs/${id}`;
    const known = (await send("GET", path, { key })).headers.get("etag") ?? "";
    const run = { stub: () => stubIn("failing", id) };
    await makeUnreadable(run);
    const unavailable = await send("GET", path, { key });
    expect(unavailable.headers.get("retry-after")).toBe("30");
    await expectProblem(unavailable, 503, "unavailable");
    await failForDays(run, 5);
    const seen = await send("GET", path, { key, headers: { "if-none-match": known } });
    expect(seen.headers.get("etag")).not.toBe(known);
    expect(await expectAnswer(seen, "getRun", 200)).toMatchObject({ status: "failed" });
  });
});

describe("a run whose turns keep failing", () => {
  /** From now on the object's storage refuses every turn, as a full disk would; what it holds can be read. */
  async function refuseTurns(run: Started): Promise<void> {
    await runInDurableObject(run.stub(), (_object, state) => {
      state.storage.sql.exec(
        "CREATE TRIGGER refuse BEFORE INSERT ON turns BEGIN SELECT RAISE(ABORT, 'no more turns'); END",
      );
    });
  }

  /** Fires the alarm, and waits until the life that failed under it is over: its last words come before its end. */
  async function failUnderAlarm(run: Started): Promise<void> {
    const before = await instanceOf(run);
    await runDurableObjectAlarm(run.stub()).catch(expectItsEnd);
    await vi.waitUntil(async () => ![before, undefined].includes(await instanceOf(run).catch(expectItsEnd)), {
      timeout: 5_000,
      interval: 10,
    });
  }

  async function metaOf(run: Started): Promise<unknown> {
    return runInDurableObject(run.stub(), (_object, state) => state.storage.kv.get("meta"));
  }

  async function instanceOf(run: Started): Promise<unknown> {
    return runInDurableObject(run.stub(), (object) => object);
  }

  /** What calls are told that meet a life at its end. Answers the same as before: nothing new is there yet. */
  function expectItsEnd(error: unknown): void {
    expect(String(error)).toMatch(/a turn failed|could not be loaded/);
  }

  it("is tried again by its next lives, and sealed after three days of them: no run hangs (R3, R4)", async () => {
    const run = await start("t-sleep", { ms: 1_000_000 });
    await refuseTurns(run);
    for (let life = 1; life <= 4; life++) {
      pass(DAY_MS);
      await failUnderAlarm(run);
      expect(await alarmOf(run)).toBeGreaterThan(Date.now());
    }
    pass(DAY_MS);
    await failUnderAlarm(run);
    expect(await view(run)).toMatchObject({ status: "failed", failure: { code: "run_unreadable" } });
  });

  it("is not sealed by callers, who are told that it is unavailable without another life being tried", async () => {
    const run = await start("t-sleep", { ms: 1_000_000 });
    await refuseTurns(run);
    pass(2_000_000);
    await failUnderAlarm(run);
    const before = await metaOf(run);
    const alarm = await alarmOf(run);
    for (let look = 0; look < 20; look++) expect(await run.stub().view(VIEWER)).toMatchObject(UNAVAILABLE);
    expect(await metaOf(run)).toEqual(before);
    expect(before).toMatchObject({ failedLives: 1 });
    expect(await alarmOf(run)).toBe(alarm);
  });

  it("is unavailable over HTTP also to the caller whose look ends a life", async () => {
    const key = await newTenant("failing-turns");
    const body = { workflow: "t-sleep", input: { ms: 1_000_000 } };
    const made = await send("POST", "/v1/runs", { key, body });
    const { id } = await expectAnswer<{ id: string }>(made, "startRun", 202);
    await refuseTurns({ id, stub: () => stubIn("failing-turns", id) });
    await abortAllDurableObjects();
    pass(2_000_000);
    await expectProblem(await send("GET", `/v1/runs/${id}`, { key }), 503, "unavailable");
    await expectProblem(await send("GET", `/v1/runs/${id}`, { key }), 503, "unavailable");
  });

  it("is sealed also if its lives die without a word: the platform's count of the alarm's tries tells (R4)", async () => {
    const run = await start("t-sleep", { ms: 1_000_000 });
    for (let chain = 1; chain <= 5; chain++) {
      await abortAllDurableObjects();
      pass(DAY_MS);
      await lastTryOfAlarm(run);
    }
    expect(await view(run)).toMatchObject({ status: "failed", failure: { code: "run_unreadable" } });
  });

  it("goes on if a later life can write again", async () => {
    const run = await start("t-sleep", { ms: 1_000_000 });
    await refuseTurns(run);
    vi.setSystemTime(Date.now() + 2_000_000);
    await failUnderAlarm(run);
    await runInDurableObject(run.stub(), (_object, state) => {
      state.storage.sql.exec("DROP TRIGGER refuse");
    });
    pass(30_000);
    await runDurableObjectAlarm(run.stub());
    expect(await ended(run)).toMatchObject({ status: "succeeded" });
    expect(await metaOf(run)).not.toHaveProperty("failedLives");
  });
});
