/** Timeouts, sleeps, limits of waits, and the pause. */

import { describe, expect, test } from "vitest";
import { nextDeadline, nextWake } from "../../src/kernel/index.ts";
import { call, DAY, ends, HOUR, MINUTE, performance, SECOND, sleep, wait } from "./support/build.ts";
import { Play, START } from "./support/play.ts";

describe("an attempt's timeout (K4)", () => {
  test("runs from its start, and is when the run wakes at the latest (K3)", () => {
    const play = new Play([call("a", "safe", { timeoutMs: 5 * SECOND })]);
    play.prepare("a");
    play.pass(HOUR);
    play.begin("a");
    expect([play.unit("a").deadline, nextWake(play.state), nextDeadline(play.state)]).toEqual(
      Array(3).fill(play.now + 5 * SECOND),
    );
    play.pass(5 * SECOND - 1);
    expect(play.status("a")).toBe("running");
    play.pass(1);
    expect(play.unit("a")).toMatchObject({ status: "backing_off", failure: { code: "timeout" } });
  });

  test("an answer after it is recorded, never applied (K7)", () => {
    const play = new Play([call("a", "idempotent")]);
    play.begin("a");
    play.wake();
    expect(play.end("a", ends.success(), 1).map((fact) => fact.t)).toEqual(["late"]);
    play.wake();
    play.begin("a");
    expect(play.end("a", ends.cannot(), 1).map((fact) => fact.t)).toEqual(["late"]);
    play.end("a", ends.success("second"), 2);
    expect(play.unit("a").output).toEqual({ v: "second" });
  });

  test("an answer of an attempt that was never made changes nothing", () => {
    const play = new Play([call("a")]);
    play.begin("a");
    expect(play.end("a", ends.success(), 7)).toEqual([]);
    expect(
      play.refusal({ t: "ended", generation: 1, unit: { step: "no" }, attempt: 1, end: ends.success() }),
    ).toBe("no_such_step");
  });
});

describe("a sleep", () => {
  test("is over when its time has come, and not before", () => {
    const play = new Play([sleep("a")]);
    play.prepare("a", { kind: "timer", ms: 10 * MINUTE });
    expect([play.run, nextWake(play.state)]).toEqual(["waiting", START + 10 * MINUTE]);
    play.pass(10 * MINUTE - 1);
    expect(play.status("a")).toBe("waiting");
    play.pass(1);
    expect(play.unit("a")).toMatchObject({ status: "succeeded", outcome: "done" });
  });

  test("that is over wakes the run until a look at the clock has settled it (K3)", () => {
    const play = new Play([sleep("a"), call("b")]);
    play.prepare("a", { kind: "timer", ms: SECOND });
    play.begin("b");
    play.now += SECOND;
    play.end("b", ends.success());
    expect([play.status("a"), nextWake(play.state, play.now)]).toEqual(["waiting", START + SECOND]);
    play.tick();
    expect(play.status("a")).toBe("succeeded");
  });

  test.for([Number.NaN, -1, Number.POSITIVE_INFINITY, 366 * DAY])("of %d ms fails its step", (ms) => {
    const play = new Play([sleep("a")]);
    play.prepare("a", { kind: "timer", ms });
    expect(play.unit("a").failure?.code).toBe("template_failed");
  });
});

describe("a wait for a signal", () => {
  test("expires at its limit with wait_expired", () => {
    const play = new Play([wait("a", "go")]);
    play.prepare("a", { kind: "signal", limitMs: HOUR });
    play.wake();
    expect([play.now - START, play.state.failure?.code]).toEqual([HOUR, "wait_expired"]);
  });

  test("that expires is a failure like any other: onFailure decides", () => {
    const play = new Play([wait("a", "go", { onFailure: { fallback: "nobody came" } })]);
    play.prepare("a", { kind: "signal", limitMs: HOUR });
    play.wake();
    expect(play.unit("a")).toMatchObject({ status: "succeeded", output: { v: "nobody came" } });
  });

  test("without a sensible limit fails its step", () => {
    const play = new Play([wait("a", "go")]);
    play.prepare("a", { kind: "signal", limitMs: Number.NaN });
    expect(play.unit("a").failure?.code).toBe("template_failed");
  });
});

describe("pause", () => {
  test("nothing starts: not what is due, not what becomes due", () => {
    const play = new Play([call("a"), call("b", "safe", { needs: ["a"] })]);
    play.begin("a");
    play.take({ t: "pause", by: "ada" });
    play.end("a", ends.success());
    expect([play.status("a"), play.jobs()]).toEqual(["succeeded", []]);
    const prepared = { kind: "call", digest: "d" } as const;
    expect(play.refusal({ t: "prepared", unit: { step: "b" }, prepared })).toBe("not_due");
    play.take({ t: "resume", by: "ada" });
    expect(play.jobs()).toEqual(["prepare b"]);
  });

  test("results, signals, sleeps and limits are recorded; their consequences start at resume", () => {
    const play = new Play([sleep("s"), wait("w", "go"), call("b", "safe", { needs: ["s", "w"] })]);
    play.prepare("s", { kind: "timer", ms: MINUTE });
    play.prepare("w");
    play.take({ t: "pause", by: "ada" });
    play.take({ t: "signal", id: "1", name: "go", payload: { v: "went" } });
    play.wake();
    expect([play.status("w"), play.status("s"), play.jobs()]).toEqual(["succeeded", "succeeded", []]);
    play.take({ t: "resume", by: "ada" });
    expect(play.jobs()).toEqual(["prepare b"]);
  });

  test("an attempt in flight still has its deadline, and its retry waits for the resume", () => {
    const play = new Play([call("a")]);
    play.begin("a");
    play.take({ t: "pause", by: "ada" });
    play.wake();
    expect([play.status("a"), play.now - START]).toEqual(["backing_off", MINUTE]);
    expect(nextWake(play.state)).toBe(play.state.deadlineAt);
    play.pass(HOUR);
    expect(play.jobs()).toEqual([]);
    play.take({ t: "resume", by: "ada" });
    expect(play.jobs()).toEqual(["attempt a"]);
  });

  test("a limit that falls due loses the run at once, and the undoing waits for the resume", () => {
    const play = new Play([call("a", "keyed", { compensate: performance("idempotent") }), wait("w", "go")]);
    play.succeed("a");
    play.prepare("w", { kind: "signal", limitMs: HOUR });
    play.take({ t: "pause", by: "ada" });
    play.wake();
    expect([play.status("w"), play.run, play.jobs()]).toEqual(["failed", "compensating", []]);
    play.take({ t: "resume", by: "ada" });
    expect(play.jobs()).toEqual(["prepare a/undo"]);
  });

  test("twice is once, and so is resume; of a run that ended both are refused", () => {
    const play = new Play([call("a")]);
    expect(play.take({ t: "resume", by: "ada" })).toEqual([]);
    play.take({ t: "pause", by: "ada" });
    expect(play.take({ t: "pause", by: "bob" })).toEqual([]);
    play.take({ t: "resume", by: "ada" });
    play.succeed("a");
    play.finish();
    expect(play.refusal({ t: "pause", by: "ada" })).toBe("run_ended");
    expect(play.refusal({ t: "resume", by: "ada" })).toBe("run_ended");
  });

  test("the output waits for the resume, too", () => {
    const play = new Play([call("a")]);
    play.begin("a");
    play.take({ t: "pause", by: "ada" });
    play.end("a", ends.success());
    expect(play.refusal({ t: "output", result: { output: { v: 1 } } })).toBe("not_due");
    play.take({ t: "resume", by: "ada" });
    expect(play.jobs()).toEqual(["output"]);
  });

  test("a run that ends while paused is not paused any more, nor is its next generation", () => {
    const play = new Play([call("a")]);
    play.begin("a");
    play.take({ t: "pause", by: "ada" });
    play.end("a", ends.cannot());
    expect([play.run, play.state.pausedSince]).toEqual(["failed", null]);
    play.take({ t: "redrive", by: "ada", resolve: [] });
    expect(play.jobs()).toEqual(["prepare a"]);
  });
});
