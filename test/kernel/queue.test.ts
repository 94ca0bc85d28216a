/** U1 to U4: how a run waits to be admitted, and how it leaves its queue. */

import { describe, expect, test } from "vitest";
import { decide, isQueued, limits, nextWake, type Input, type RunInfo } from "../../src/kernel/index.ts";
import { call, DAY, graph, HOUR, MINUTE, performance } from "./support/build.ts";
import { Play, RUN, START } from "./support/play.ts";

const FLOW = { flow: { limitMs: HOUR, place: { v: 1 } } };
const admit: Input = { t: "admit", generation: 1 };
const full: Input = { t: "turn_away", generation: 1, why: { as: "full" } };
const superseded: Input = { t: "turn_away", generation: 1, why: { as: "superseded", by: "run_2" } };

function queued(steps = [call("a")], run: Partial<RunInfo> = {}, deadlineMs = DAY): Play {
  return new Play(steps, { run: { ...FLOW, ...run }, graph: { deadlineMs } });
}

describe("a run with a queue", () => {
  test("is queued from its start, and nothing of it is due before it is admitted (U1)", () => {
    const play = queued();
    expect([play.run, play.jobs(), nextWake(play.state)]).toEqual(["queued", [], START + HOUR]);
    const unit = { step: "a" };
    const prepared = { kind: "call", digest: "d" } as const;
    expect(play.refusal({ t: "prepared", unit, prepared })).toBe("not_due");
    expect(play.refusal({ t: "begin", unit, attempt: 1, version: "v1" })).toBe("not_due");
    expect(play.refusal({ t: "output", result: { output: { v: 1 } } })).toBe("not_due");
    expect(play.take(admit)).toEqual([{ t: "admitted", at: START, deadlineAt: START + DAY }]);
    expect([play.run, play.jobs()]).toEqual(["running", ["prepare a"]]);
  });

  test("without a queue the same run is never queued, and its state has no place for it", () => {
    const play = new Play([call("a")]);
    expect([play.run, isQueued(play.state), "queuedUntil" in play.state]).toEqual(["running", false, false]);
    expect([play.take(admit), play.refusal(full)]).toEqual([[], "not_queued"]);
  });

  test("is admitted once: told again nothing happens, and what would turn it away is refused", () => {
    const play = queued();
    play.take(admit);
    expect([play.take(admit), play.refusal(superseded), play.refusal(full)]).toEqual([
      [],
      "not_queued",
      "not_queued",
    ]);
    play.attempt("a", { kind: "success", output: { v: 1 } });
    play.finish();
    expect([play.run, play.refusal(admit), play.refusal(full)]).toEqual([
      "succeeded",
      "run_ended",
      "run_ended",
    ]);
  });

  test("a word for another generation is for none (W4)", () => {
    const play = queued();
    for (const generation of [0, 2, Number.NaN]) {
      expect(play.refusal({ t: "admit", generation })).toBe("not_queued");
      expect(play.refusal({ t: "turn_away", generation, why: { as: "full" } })).toBe("not_queued");
    }
    expect(play.run).toBe("queued");
  });

  test("the deadline runs from admission (U4)", () => {
    const play = queued([call("a")], {}, 2 * HOUR);
    expect(play.state.deadlineAt).toBe(START + 3 * HOUR);
    play.now += HOUR - 1;
    play.take(admit);
    expect(play.state.deadlineAt).toBe(START + 3 * HOUR - 1);
    play.pass(2 * HOUR - 1);
    expect(play.run).toBe("running");
    play.pass(1);
    expect(play.state.failure?.code).toBe("deadline_exceeded");
  });

  test("waits no longer than its limit, paused or not (U2)", () => {
    for (const isPaused of [false, true]) {
      const play = queued();
      if (isPaused) play.take({ t: "pause", by: "ada" });
      play.pass(HOUR - 1);
      expect(play.run).toBe("queued");
      play.pass(1);
      expect([play.run, play.status("a")]).toEqual(["failed", "cancelled"]);
      expect(play.state.failure).toMatchObject({
        code: "queue_timeout",
        retryable: true,
        left_behind: [],
        undone: [],
      });
    }
  });

  test("where there is no place for it, it fails with queue_full", () => {
    const play = queued();
    play.take(full);
    expect([play.run, play.state.failure?.code]).toEqual(["failed", "queue_full"]);
    expect(play.refusal(full)).toBe("run_ended");
  });

  test("superseded it ends as cancelled, and says by which run, also while it was paused", () => {
    const play = queued();
    play.take({ t: "pause", by: "ada" });
    play.take(superseded);
    expect([play.run, play.state.failure?.code, play.state.pausedSince]).toEqual([
      "cancelled",
      "debounced",
      null,
    ]);
    expect(play.state.failure?.message).toContain("run_2");
  });

  test("cancelled it ends at once, and there is nothing to undo", () => {
    for (const mode of ["graceful", "immediate"] as const) {
      const play = queued([call("a", "once", { compensate: performance("idempotent") })]);
      play.take({ t: "cancel", mode, by: "ada" });
      expect([play.run, play.count("ready"), play.state.failure]).toEqual([
        "cancelled",
        0,
        expect.objectContaining({ code: "cancelled", left_behind: [], undone: [] }),
      ]);
    }
  });

  test("what is lost in the queue runs no onFailure step; what was admitted does (U3)", () => {
    const steps = [call("a"), call("tell", "safe", { part: "on_failure" })];
    for (const input of [full, superseded, { t: "cancel", mode: "graceful", by: "ada" } as const]) {
      const play = queued(steps);
      play.take(input);
      expect([play.state.phase, play.status("tell")]).toEqual(["ended", "cancelled"]);
    }
    const play = queued(steps);
    play.take(admit);
    play.take({ t: "cancel", mode: "graceful", by: "ada" });
    expect([play.state.phase, play.jobs()]).toEqual(["handling", ["prepare tell"]]);
  });

  test("a pause outlasts the admission: nothing starts before it ends", () => {
    const play = queued();
    play.take({ t: "pause", by: "ada" });
    play.take(admit);
    expect(play.jobs()).toEqual([]);
    play.take({ t: "resume", by: "ada" });
    expect(play.jobs()).toEqual(["prepare a"]);
  });

  test("signals are kept, and steps are appended, until it is admitted", () => {
    const wait = { ...call("w"), kind: "signal", signal: "go" } as const;
    const play = queued([wait], { open: true });
    play.take({ t: "signal", id: "s1", name: "go", payload: { v: "came" } });
    play.take({ t: "append", steps: [call("b")], by: "key_1" });
    expect([play.run, play.jobs(), play.state.buffered.length]).toEqual(["queued", [], 1]);
    play.take(admit);
    play.prepare("w", { kind: "signal", limitMs: MINUTE });
    expect([play.status("w"), play.jobs()]).toEqual(["succeeded", ["prepare b"]]);
  });

  test("an open run without steps is not idle while it waits, and has its whole idle time after it (U4)", () => {
    const play = new Play([], {
      run: { ...FLOW, open: true, flow: { limitMs: DAY, place: null } },
      graph: { idleLimitMs: HOUR, deadlineMs: DAY },
    });
    play.pass(2 * HOUR);
    expect([play.run, play.state.closed]).toEqual(["queued", false]);
    play.take(admit);
    play.pass(HOUR - 1);
    expect([play.run, play.state.closed]).toEqual(["waiting", false]);
    play.pass(1);
    expect(play.state.closed).toBe(true);
  });

  test("a closed run without work ends when it is admitted, not before", () => {
    const play = queued([], { open: true });
    play.take({ t: "close" });
    expect([play.run, play.jobs()]).toEqual(["queued", []]);
    play.take(admit);
    expect(play.jobs()).toEqual(["output"]);
  });
});

describe("a redrive", () => {
  test("queues again, and the last generation's admission does not count for it", () => {
    const play = queued();
    play.take(admit);
    play.attempt("a", {
      kind: "cannot",
      failure: { code: "http_422", message: "", hint: "", retryable: false },
    });
    play.now += MINUTE;
    play.take({ t: "redrive", by: "ada", resolve: [] });
    expect([play.run, play.jobs(), nextWake(play.state)]).toEqual(["queued", [], START + MINUTE + HOUR]);
    expect(play.refusal(admit)).toBe("not_queued");
    play.take({ t: "admit", generation: 2 });
    expect([play.run, play.jobs()]).toEqual(["running", ["prepare a"]]);
  });

  test("lost in its queue undoes what stands of the generation before, and refuses to be admitted meanwhile", () => {
    const play = queued([
      call("a", "keyed", { compensate: performance("keyed") }),
      call("b", "safe", { needs: ["a"] }),
    ]);
    play.take(admit);
    play.attempt("a", { kind: "success", output: { v: 1 } });
    play.attempt("b", {
      kind: "cannot",
      failure: { code: "http_422", message: "", hint: "", retryable: false },
    });
    play.attempt("a/undo", {
      kind: "cannot",
      failure: { code: "http_422", message: "", hint: "", retryable: false },
    });
    expect(play.state.failure?.left_behind).toHaveLength(1);
    play.take({ t: "redrive", by: "ada", resolve: [] });
    play.pass(HOUR);
    expect([play.run, play.jobs()]).toEqual(["compensating", ["prepare a/undo"]]);
    expect(play.refusal({ t: "admit", generation: 2 })).toBe("not_queued");
    expect(play.take({ t: "turn_away", generation: 2, why: { as: "full" } })).toEqual([]);
    play.attempt("a/undo", { kind: "success", output: { v: null } });
    expect(play.state.failure).toMatchObject({
      code: "queue_timeout",
      left_behind: [],
      undone: [{ step: "a" }],
    });
  });
});

describe("the limit of a queue", () => {
  test("is between 0 and 30 days, else the start is refused", () => {
    const start = (limitMs: number) =>
      decide(
        null,
        {
          t: "start",
          run: { ...RUN, flow: { limitMs, place: null } },
          graph: graph([call("a")]),
          input: { v: null },
        },
        START,
        0,
      );
    for (const limitMs of [-1, limits.MAX_QUEUE_MS + 1, Number.NaN, Infinity])
      expect(start(limitMs)).toMatchObject({
        ok: false,
        refusal: { code: "bad_graph", details: [{ pointer: "/flow/limitMs" }] },
      });
    for (const limitMs of [0, limits.MAX_QUEUE_MS]) expect(start(limitMs)).toMatchObject({ ok: true });
  });
});
