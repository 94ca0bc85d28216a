import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import { randomId } from "../../src/platform/index.ts";
import { queues, type Answer } from "./queue-double.ts";
import {
  directoryOf,
  ended,
  events,
  listed,
  start,
  type Started,
  TENANT,
  until,
  view,
  VIEWER,
} from "./run-support.ts";

const HOUR_MS = 60 * 60_000;
const FLOW = { flow: { limitMs: HOUR_MS, place: { v: 1 } } };

afterEach(() => {
  vi.useRealTimers();
});

async function queued(workflow: string, ...answers: Answer[]): Promise<Started> {
  const id = randomId("run");
  queues.holds(id, ...answers);
  return start(workflow, { ms: 1 }, { id, ...FLOW });
}

/** Telling goes on beside the run. */
async function untilTold({ id }: Started, ...words: string[]): Promise<void> {
  await vi.waitUntil(() => words.every((word) => queues.told(id).includes(word)), {
    timeout: 5_000,
    interval: 10,
  });
}

async function alarmOf({ stub }: Started): Promise<number | null> {
  return runInDurableObject(stub(), (_object, { storage }) => storage.getAlarm());
}

/** Until it stands so late, in ms from now. */
async function untilAlarm(run: Started, least: number, most: number): Promise<void> {
  await vi.waitUntil(
    async () => {
      const inMs = ((await alarmOf(run)) ?? 0) - Date.now();
      return inMs >= least && inMs <= most;
    },
    { timeout: 5_000, interval: 10 },
  );
}

describe("a run with a queue", () => {
  it("goes on at once where its queue admits it, and tells it of its end, each once", async () => {
    const run = await queued("t-sleep", "admitted");
    const seen = await ended(run);
    expect([seen.status, seen.queued]).toEqual(["succeeded", undefined]);
    await listed(run);
    expect(queues.told(run.id)).toEqual(["waits 1", "over 1"]);
    const types = (await events(run)).map(({ type }) => type);
    expect(types.slice(0, 2)).toEqual(["run_started", "admitted"]);
  });

  it("waits where its queue says so, shows until when, and begins when it is admitted, told twice or not", async () => {
    const run = await queued("t-sleep", "waits");
    await untilTold(run, "waits 1");
    const seen = await view(run);
    expect([seen.status, seen.queued, seen.steps[0]?.status]).toEqual([
      "queued",
      { since: seen.started_at, limit_at: seen.started_at + HOUR_MS },
      "pending",
    ]);
    const taken = { ok: true, value: null };
    expect(await run.stub().admitted(TENANT, { generation: 1 })).toEqual(taken);
    expect(await run.stub().admitted(TENANT, { generation: 1 })).toEqual(taken);
    expect((await ended(run)).status).toBe("succeeded");
    expect(await run.stub().admitted(TENANT, { generation: 1 })).toMatchObject({ code: "run_ended" });
    expect((await events(run)).filter(({ type }) => type === "admitted")).toHaveLength(1);
  });

  it("is not admitted by another tenant, nor in another generation, and not superseded once it works", async () => {
    const run = await queued("t-sleep", "waits");
    const by = "run_other";
    expect(await run.stub().admitted("other", { generation: 1 })).toMatchObject({ code: "not_found" });
    expect(await run.stub().superseded("other", { generation: 1, by })).toMatchObject({ code: "not_found" });
    expect(await run.stub().admitted(TENANT, { generation: 2 })).toMatchObject({ code: "not_queued" });
    expect((await view(run)).status).toBe("queued");
    await run.stub().command(VIEWER, { t: "pause", by: "key:test" });
    await run.stub().admitted(TENANT, { generation: 1 });
    expect(await run.stub().superseded(TENANT, { generation: 1, by })).toMatchObject({ code: "not_queued" });
  });

  it("whose place is taken by another ends as cancelled, and one without a place fails", async () => {
    const debounced = await queued("t-sleep", "waits");
    await debounced.stub().superseded(TENANT, { generation: 1, by: "run_other" });
    const full = await queued("t-sleep", "full");
    const codes = await Promise.all(
      [debounced, full].map(async (run) => {
        const { status, failure } = await ended(run);
        return [status, failure?.code];
      }),
    );
    expect(codes).toEqual([
      ["cancelled", "debounced"],
      ["failed", "queue_full"],
    ]);
    await untilTold(debounced, "over 1");
    await untilTold(full, "over 1");
  });

  it("that nobody admits fails at its limit, with its alarm standing there", async () => {
    const run = await queued("t-sleep", "waits");
    await untilTold(run, "waits 1");
    vi.setSystemTime(Date.now() + 30_000);
    await runDurableObjectAlarm(run.stub());
    expect(await alarmOf(run)).toBe((await view(run)).queued?.limit_at);
    // The alarm brings it up again.
    await vi.waitUntil(() => queues.told(run.id).length === 2, { timeout: 5_000, interval: 10 });
    vi.setSystemTime(Date.now() + HOUR_MS);
    await runDurableObjectAlarm(run.stub());
    expect((await ended(run)).failure?.code).toBe("queue_timeout");
  });

  it("queues again when it is redriven", async () => {
    const run = await queued("t-sleep", "waits");
    await run.stub().command(VIEWER, { t: "cancel", mode: "graceful", by: "key:test" });
    await untilTold(run, "over 1");
    await run.stub().command(VIEWER, { t: "redrive", by: "key:test", resolve: [] });
    await untilTold(run, "waits 2");
    expect((await view(run)).status).toBe("queued");
    await run.stub().admitted(TENANT, { generation: 2 });
    expect((await ended(run)).status).toBe("succeeded");
    await untilTold(run, "over 2");
  });

  it("is listed as queued, and the sweeper's question answers so", async () => {
    const run = await queued("t-sleep", "waits");
    expect(await run.stub().poke(TENANT)).toMatchObject({ status: "queued", endedAt: null });
    await run.stub().relist();
    const filter = { status: "queued" } as const;
    const { runs } = await directoryOf(TENANT).page({ tenant: TENANT, filter, after: null, limit: 100 });
    expect(runs.map(({ id }) => id)).toContain(run.id);
  });
});

describe("a queue that does not answer", () => {
  it("never loses a run: it waits, and is told again, at once in this life and by the alarm", async () => {
    const run = await queued("t-sleep", "away", "deaf", "admitted");
    expect((await view(run)).status).toBe("queued");
    await untilAlarm(run, 0, 1_000);
    for (const inMs of [2_000, 4_000]) {
      vi.setSystemTime(Date.now() + inMs);
      await runDurableObjectAlarm(run.stub());
      if (inMs === 2_000) await untilAlarm(run, 1_000, 2_000);
    }
    await until(run, ({ status }) => status !== "queued");
    vi.useRealTimers();
    expect((await ended(run)).status).toBe("succeeded");
    expect(queues.told(run.id).slice(0, 2)).toEqual(["waits 1", "waits 1"]);
  });

  it("is told by the next life that a run waits, if the first one ends before it was taken", async () => {
    const run = await queued("t-sleep", "away");
    await untilAlarm(run, 0, 30_000);
    await abortAllDurableObjects();
    queues.says(run.id, "admitted");
    vi.setSystemTime(Date.now() + 30_000);
    await runDurableObjectAlarm(run.stub());
    expect((await until(run, ({ status }) => status !== "queued")).id).toBe(run.id);
  });

  it("is told of an end until it has taken it, also by the next life", async () => {
    const run = await queued("t-sleep", "admitted", "away");
    await ended(run);
    await untilAlarm(run, 0, 30_000);
    await abortAllDurableObjects();
    queues.says(run.id, "waits");
    vi.setSystemTime(Date.now() + 30_000);
    await runDurableObjectAlarm(run.stub());
    await untilTold(run, "over 1");
    vi.useRealTimers();
    await listed(run);
    expect(queues.told(run.id)).toEqual(["waits 1", "over 1"]);
  });
});

describe("without a queue", () => {
  it("nobody is told anything", async () => {
    const id = randomId("run");
    queues.holds(id, "waits");
    const run = await start("t-sleep", { ms: 1 }, { id });
    await ended(run);
    await listed(run);
    expect(queues.told(id)).toEqual([]);
  });
});
