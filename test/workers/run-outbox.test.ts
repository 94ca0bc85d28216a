import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import { randomId } from "../../src/platform/index.ts";
import { ended, start, until, view, VIEWER, type Started } from "./run-support.ts";
import { heard, refuse } from "./worker.ts";

afterEach(() => {
  vi.useRealTimers();
});

const tagged = { tags: ["heard"] } as const;

async function outboxOf(run: Started): Promise<number> {
  return runInDurableObject(run.stub(), (_object, state) =>
    Number(state.storage.sql.exec("SELECT count(*) AS n FROM outbox").one()["n"]),
  );
}

/** What listeners were told, once the outbox is empty: delivery runs beside the run. */
async function told(run: Started): Promise<unknown[]> {
  await vi.waitUntil(async () => (await outboxOf(run)) === 0, { timeout: 5_000, interval: 20 });
  return (heard.get(run.id) ?? []).map((message) => message.body);
}

describe("the outbox of a run", () => {
  it("tells its listeners what they want to know, in order and with versions that rise", async () => {
    const run = await start("t-chain-4", {}, tagged);
    await ended(run);
    expect(await told(run)).toEqual([{ what: "run_started" }, { what: "ended" }]);
    const versions = (heard.get(run.id) ?? []).map((message) => message.version);
    expect(versions).toEqual(versions.toSorted((a, b) => a - b));
  });

  it("never slows a run: one whose listener is away ends as fast, and the message waits for the alarm", async () => {
    const id = randomId("run");
    refuse.set(id, 1);
    const run = await start("t-chain-4", {}, { ...tagged, id });
    const seen = await ended(run);
    expect(seen.status).toBe("succeeded");
    await vi.waitUntil(() => refuse.get(id) === 0, { timeout: 5_000, interval: 20 });
    expect(await outboxOf(run)).toBe(2);
    vi.setSystemTime(Date.now() + 2_000);
    await runDurableObjectAlarm(run.stub());
    expect(await told(run)).toEqual([{ what: "run_started" }, { what: "ended" }]);
  });

  it("delivers in the next life what the last one could not", async () => {
    const id = randomId("run");
    refuse.set(id, 1_000);
    const run = await start("t-wait", {}, { ...tagged, id });
    await until(run, (seen) => seen.status === "waiting");
    await abortAllDurableObjects();
    refuse.set(id, 0);
    vi.setSystemTime(Date.now() + 120_000);
    await view(run);
    expect(await told(run)).toEqual([{ what: "run_started" }]);
  });
});

describe("a run whose journal cannot be read", () => {
  it("is sealed: it ends as failed, says why, and keeps its alarm for its retention (R4)", async () => {
    const run = await start("t-wait");
    await runInDurableObject(run.stub(), (_object, state) => {
      state.storage.sql.exec(
        "INSERT INTO turns (seq, at, facts, vals) VALUES (1000, 1, ?, NULL)",
        JSON.stringify([{ t: "started", at: 1, step: "nobody", attempt: 1, deadline: 2, version: "x" }]),
      );
    });
    await abortAllDurableObjects();
    const seen = await view(run);
    expect(seen).toMatchObject({
      id: run.id,
      workflow: "t-wait",
      status: "failed",
      failure: { code: "run_unreadable" },
    });
    expect(await run.stub().command(VIEWER, { t: "pause", by: "key:test" })).toMatchObject({
      ok: false,
      code: "run_ended",
    });
    const page = await run.stub().events(VIEWER, { after: 0, limit: 100 });
    expect(page).toMatchObject({
      ok: true,
      value: { ended: true, events: [{ seq: 1, type: "run_started" }, { type: "waiting" }, { seq: 1_000 }] },
    });
    const alarm = await runInDurableObject(run.stub(), (_object, state) => state.storage.getAlarm());
    expect(alarm).toBeGreaterThan(seen.ended_at ?? 0);
  });

  it("stays with its tenant also when it is sealed (R2)", async () => {
    const run = await start("t-wait");
    await runInDurableObject(run.stub(), (_object, state) => {
      state.storage.sql.exec(
        "UPDATE turns SET facts = ? WHERE seq = 1",
        JSON.stringify([{ t: "from_the_future", at: 1 }]),
      );
    });
    await abortAllDurableObjects();
    expect(await run.stub().view({ tenant: "other" })).toMatchObject({ ok: false, code: "not_found" });
    expect(await view(run)).toMatchObject({ status: "failed", failure: { code: "run_unreadable" } });
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

  async function instanceOf(run: Started): Promise<unknown> {
    return runInDurableObject(run.stub(), (object) => object);
  }

  /** What calls are told that meet a life at its end. Answers the same as before: nothing new is there yet. */
  function expectItsEnd(error: unknown): void {
    expect(String(error)).toMatch(/a turn failed|could not be loaded/);
  }

  it("is tried again by its next lives, and sealed after five of them: no run hangs (R3, R4)", async () => {
    const run = await start("t-sleep", { ms: 1_000_000 });
    await refuseTurns(run);
    vi.setSystemTime(Date.now() + 2_000_000);
    for (let life = 1; life <= 4; life++) {
      await failUnderAlarm(run);
      const alarm = await runInDurableObject(run.stub(), (_object, state) => state.storage.getAlarm());
      expect(alarm).not.toBeNull();
    }
    await failUnderAlarm(run);
    expect(await view(run)).toMatchObject({ status: "failed", failure: { code: "run_unreadable" } });
  });

  it("is sealed also if its lives die without a word: the platform's count of the alarm's tries tells (R4)", async () => {
    const run = await start("t-sleep", { ms: 1_000_000 });
    for (let chain = 1; chain <= 5; chain++) {
      expect((await view(run)).status).toBe("waiting");
      await abortAllDurableObjects();
      // What the platform calls after five tries that killed the object: runDurableObjectAlarm cannot say so.
      await runInDurableObject(run.stub(), async (object) => {
        await (object as unknown as { alarm(info: AlarmInvocationInfo): Promise<void> }).alarm({
          retryCount: 5,
          isRetry: true,
          scheduledTime: Date.now(),
        });
      });
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
    await runDurableObjectAlarm(run.stub());
    expect(await ended(run)).toMatchObject({ status: "succeeded" });
  });
});
