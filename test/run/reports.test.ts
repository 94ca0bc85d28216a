import { describe, expect, test } from "vitest";
import { evolveAll, type Fact, type RunState } from "../../src/kernel/index.ts";
import { createLogger } from "../../src/platform/index.ts";
import type { RunReport } from "../../src/run/index.ts";
import { Reports } from "../../src/run/reports.ts";
import { call, graph, sleep } from "../kernel/support/build.ts";

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const T0 = 1_000_000_000_000;

const RUN = {
  ...{ id: "run_1", tenant: "acme", workflow: "w", version: "2", user: "ada", startedBy: "key:k" },
  ...{ open: false, tags: ["t"], traceparent: null },
};

/** A run of a call and a sleep behind it, with what has happened, at moments after its start. */
function stateOf(...facts: readonly Fact[]): RunState {
  const started: Fact = {
    ...{ t: "run_started", at: T0, run: RUN, input: { v: null }, deadlineAt: T0 + 30 * DAY_MS },
    graph: graph([call("a"), sleep("nap", { needs: ["a"] })]),
  };
  const state = evolveAll(null, [started, ...facts]);
  if (state === null) throw new TypeError("the run has not started");
  return state;
}

const inFlight = (at: number, deadline: number): Fact[] => [
  { t: "ready", at, step: "a", digest: "d" },
  { t: "started", at, step: "a", attempt: 1, deadline, version: "v" },
];
const answered = (at: number): Fact => ({ t: "succeeded", at, step: "a", attempt: 1, output: { v: 1 } });
const sleeps = (at: number, wakeAt: number): Fact => ({ t: "waiting", at, step: "nap", wakeAt });
const over = (at: number): Fact => ({ t: "ended", at, status: "succeeded", output: { v: null } });

const RUNNING = inFlight(T0, T0 + MINUTE_MS);

/** A directory that can be away, and a clock. */
function desk() {
  const told: RunReport[] = [];
  const desk_ = { now: T0, away: false, told, confidential: false, reports: null as unknown as Reports };
  const port = {
    report: async (report: RunReport) => {
      if (desk_.away) throw new Error("away");
      told.push(report);
    },
  };
  desk_.reports = new Reports(
    port,
    () => desk_.now,
    createLogger("error", () => {}),
    () => desk_.confidential,
  );
  return desk_;
}

async function look(
  desk_: ReturnType<typeof desk>,
  at: number,
  state: RunState,
  seq = 3,
): Promise<RunReport[]> {
  desk_.now = at;
  const before = desk_.told.length;
  desk_.reports.look(state, seq);
  await desk_.reports.deliver();
  return desk_.told.slice(before);
}

describe("what a run reports", () => {
  test("is nothing while it runs and nobody knows whether that lasts, and its end at once", async () => {
    const it = desk();
    expect(await look(it, T0, stateOf(...RUNNING))).toEqual([]);
    const end = stateOf(...RUNNING, answered(T0 + 300), sleeps(T0 + 300, T0 + 301), over(T0 + 400));
    expect(await look(it, T0 + 400, end, 9)).toMatchObject([
      {
        ...{ tenant: "acme", id: "run_1", version: 9, workflow: "w", workflowVersion: "2", user: "ada" },
        ...{
          tags: ["t"],
          parent: null,
          status: "succeeded",
          startedAt: T0,
          endedAt: T0 + 400,
          leaseAt: null,
        },
      },
    ]);
  });

  test("is that it runs, by its first turn after a second, or by the alarm where none comes (P2)", async () => {
    const it = desk();
    await look(it, T0, stateOf(...RUNNING));
    expect(it.reports.alarmAt).toBe(T0 + 30 * SECOND_MS);
    expect(await look(it, T0 + SECOND_MS - 1, stateOf(...RUNNING))).toEqual([]);
    expect(await look(it, T0 + SECOND_MS, stateOf(...RUNNING))).toMatchObject([{ status: "running" }]);
    expect(await look(it, T0 + 2 * SECOND_MS, stateOf(...RUNNING))).toEqual([]);
  });

  test("is a long wait at once, and not a short one", async () => {
    const it = desk();
    const waits = (ms: number) => stateOf(...RUNNING, answered(T0 + 9), sleeps(T0 + 9, T0 + 9 + ms));
    expect(await look(it, T0 + 9, waits(9 * SECOND_MS))).toEqual([]);
    expect(await look(it, T0 + 9, waits(11 * SECOND_MS))).toMatchObject([{ status: "waiting" }]);
  });

  test("is that it is paused", async () => {
    const it = desk();
    const paused = stateOf(...RUNNING, { t: "paused", at: T0 + 5, by: "key:k" });
    expect(await look(it, T0 + 5, paused)).toMatchObject([{ paused: true }]);
  });
});

describe("the lease of a report", () => {
  test("ends 10 min after the run's next wake, and a day from now at the latest (P2)", async () => {
    const waits = (ms: number) => stateOf(...RUNNING, answered(T0), sleeps(T0, T0 + ms));
    const lease = async (ms: number) => (await look(desk(), T0, waits(ms)))[0]?.leaseAt;
    expect(await lease(HOUR_MS)).toBe(T0 + HOUR_MS + 10 * MINUTE_MS);
    expect(await lease(9 * DAY_MS)).toBe(T0 + DAY_MS);
  });

  test("is renewed 5 min before it ends, by a turn or by the alarm, and not earlier", async () => {
    const it = desk();
    const waits = stateOf(...RUNNING, answered(T0), sleeps(T0, T0 + 9 * DAY_MS));
    await look(it, T0, waits);
    const renewal = T0 + DAY_MS - 5 * MINUTE_MS;
    expect(it.reports.alarmAt).toBe(renewal);
    expect(await look(it, renewal - 1, waits)).toEqual([]);
    expect(await look(it, renewal, waits)).toMatchObject([{ version: 3, leaseAt: renewal + DAY_MS }]);
  });

  test("counts as given when the directory itself has asked", async () => {
    const it = desk();
    const waits = stateOf(...RUNNING, answered(T0), sleeps(T0, T0 + HOUR_MS));
    it.reports.taken(it.reports.report(waits, 3));
    expect(await look(it, T0 + 1, waits)).toEqual([]);
    expect(it.reports.alarmAt).toBe(T0 + HOUR_MS + 5 * MINUTE_MS);
  });
});

describe("a report that is not taken", () => {
  const end = stateOf(...RUNNING, answered(T0), sleeps(T0, T0 + 1), over(T0 + 9));

  test("while it is under way, has an alarm that is to come, however late it is", async () => {
    const it = desk();
    it.now = T0 + 9;
    it.reports.look(end, 9);
    expect(it.reports.alarmAt).toBe(T0 + 9 + 30 * SECOND_MS);
    it.now = T0 + HOUR_MS;
    expect(it.reports.alarmAt).toBe(it.now + 30 * SECOND_MS);
  });

  test("is tried again, later and later, and the alarm stands for it", async () => {
    const it = desk();
    it.away = true;
    await look(it, T0 + 9, end);
    const waits: number[] = [];
    for (let i = 0; i < 15; i++) {
      const due = it.reports.alarmAt ?? 0;
      waits.push(due - it.now);
      it.now = due - 1;
      expect(it.reports.isDue).toBe(false);
      it.now = due;
      expect(it.reports.isDue).toBe(true);
      await it.reports.deliver();
    }
    expect(waits.slice(0, 4)).toEqual([1_000, 2_000, 4_000, 8_000]);
    expect(waits.at(-1)).toBe(HOUR_MS);
    it.away = false;
    it.now = it.reports.alarmAt ?? 0;
    await it.reports.deliver();
    expect(it.told).toHaveLength(1);
    expect(it.reports.alarmAt).toBeNull();
  });

  test("gives way to a newer one", async () => {
    const it = desk();
    it.away = true;
    await look(it, T0 + 5, stateOf(...RUNNING, { t: "paused", at: T0 + 5, by: "key:k" }), 4);
    it.away = false;
    expect(await look(it, T0 + 5 * SECOND_MS, end, 9)).toMatchObject([{ version: 9, status: "succeeded" }]);
    expect(it.reports.isDue).toBe(false);
  });

  test("of the end keeps the alarm near until it is taken, not at the retention (P3)", async () => {
    const it = desk();
    it.now = T0 + 9;
    it.reports.look(end, 9);
    expect(it.reports.alarmAt).toBe(T0 + 9 + 30 * SECOND_MS);
    await it.reports.deliver();
    expect(it.reports.alarmAt).toBeNull();
  });
});

describe("a life that is not the first", () => {
  test("tells a run that goes on anew, and an end only if that was not told", async () => {
    const running = desk();
    running.reports.load(stateOf(...RUNNING), 3, false);
    await running.reports.deliver();
    expect(running.told).toMatchObject([{ status: "running" }]);
    const end = stateOf(...RUNNING, answered(T0), sleeps(T0, T0 + 1), over(T0 + 9));
    for (const told of [true, false]) {
      const it = desk();
      it.reports.load(end, 9, told);
      await it.reports.deliver();
      expect(it.told).toHaveLength(told ? 0 : 1);
    }
  });

  test("of a confidential run, tells the code of its failure alone (P5)", async () => {
    const it = desk();
    it.confidential = true;
    const failure = {
      code: "child_failed",
      message: "There is no Ada.",
      hint: "",
      retryable: false,
    } as const;
    const failed: Fact = {
      t: "ended",
      at: T0,
      status: "failed",
      failure: { ...failure, left_behind: [], undone: [] },
    };
    await look(it, T0, stateOf(...RUNNING, failed), 9);
    expect(it.told.at(-1)?.failure).toEqual({ code: "child_failed", message: "[REDACTED]" });
  });

  test("says nothing where there is no directory", () => {
    const reports = new Reports(
      null,
      () => T0,
      createLogger("error", () => {}),
      () => false,
    );
    reports.load(stateOf(...RUNNING), 3, false);
    reports.look(stateOf(...RUNNING), 3);
    expect([reports.isDue, reports.alarmAt]).toEqual([false, null]);
  });
});
