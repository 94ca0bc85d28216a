/** An unknown outcome is never guessed at: how it comes about, and the four ways in which it ends (K5, K7). */

import { describe, expect, test } from "vitest";
import { limits } from "../../src/kernel/index.ts";
import { call, ends, HOUR, MINUTE, performance, retry, SECOND, verify } from "./support/build.ts";
import { leftBehind, Play, ref } from "./support/play.ts";

/** A `once` step whose first attempt was unclear. */
function unknown(step: Parameters<typeof call>[2] = {}): Play {
  const play = new Play([call("pay", "once", step), call("after", "safe", { needs: ["pay"] })]);
  play.attempt("pay", ends.unclear());
  return play;
}

function resolve(play: Play, as: "succeeded" | "failed" | "retry", unit = "pay"): void {
  const how = as === "succeeded" ? ({ as, output: { v: "seen" } } as const) : ({ as } as const);
  play.take({ t: "resolve", unit: ref(unit), as: how, by: "ada" });
}

describe("a once step that may have happened", () => {
  test("is unknown, and nothing of it is due (K5)", () => {
    const play = unknown();
    expect([play.status("pay"), play.run, play.jobs()]).toEqual(["unknown", "waiting", []]);
    const attempt = play.unit("pay").attempt + 1;
    expect(play.refusal({ t: "begin", unit: ref("pay"), attempt, version: "v1" })).toBe("not_due");
  });

  test("is unknown also when its object died under it", () => {
    const play = new Play([call("pay", "once")]);
    play.begin("pay");
    play.lose("pay");
    expect(play.unit("pay")).toMatchObject({ status: "unknown", failure: { code: "attempt_lost" } });
  });

  test("at its timeout is unknown, and listened to", () => {
    const play = new Play([call("pay", "once")]);
    play.begin("pay");
    play.wake();
    expect(play.unit("pay")).toMatchObject({
      status: "unknown",
      listening: true,
      failure: { code: "timeout" },
    });
  });
});

describe("the late answer of its last attempt", () => {
  function timedOut(): Play {
    const play = new Play([call("pay", "once"), call("after", "safe", { needs: ["pay"] })]);
    play.begin("pay");
    play.wake();
    return play;
  }

  test("that it worked settles it", () => {
    const play = timedOut();
    play.end("pay", ends.success("paid"));
    expect(play.unit("pay")).toMatchObject({ status: "succeeded", outcome: "done", output: { v: "paid" } });
    expect(play.last("succeeded").by).toBe("late");
    expect(play.jobs()).toEqual(["prepare after"]);
  });

  test("that it was refused clears it: it is tried again", () => {
    const play = timedOut();
    play.end("pay", ends.refused());
    expect(play.unit("pay")).toMatchObject({ status: "backing_off", maybe: false });
  });

  test("that it cannot work fails it, outcome not_done", () => {
    const play = timedOut();
    play.end("pay", ends.cannot());
    expect(play.unit("pay")).toMatchObject({ status: "failed", outcome: "not_done" });
  });

  test("that its result is not usable fails it, outcome done", () => {
    const play = timedOut();
    play.end("pay", ends.unusable());
    expect(play.unit("pay")).toMatchObject({ status: "failed", outcome: "done" });
  });

  test("that says nothing new is recorded, and leaves it unknown", () => {
    const play = timedOut();
    expect(play.end("pay", ends.unclear()).map((fact) => fact.t)).toEqual(["late"]);
    expect(play.status("pay")).toBe("unknown");
  });

  test("after somebody else settled it is recorded, never applied (K7)", () => {
    for (const as of ["succeeded", "failed", "retry"] as const) {
      const play = timedOut();
      resolve(play, as);
      const before = play.state;
      expect(play.end("pay", ends.success("late"), 1).map((fact) => fact.t)).toEqual(["late"]);
      expect(play.state).toEqual(before);
    }
  });

  test("of an attempt before the last is recorded, never applied (K7)", () => {
    const play = timedOut();
    resolve(play, "retry");
    play.begin("pay");
    play.wake();
    expect(play.end("pay", ends.success("of the first"), 1).map((fact) => fact.t)).toEqual(["late"]);
    play.end("pay", ends.success("of the second"), 2);
    expect(play.unit("pay").output).toEqual({ v: "of the second" });
  });
});

describe("verify", () => {
  const checked = { verify: verify({ afterMs: 30 * SECOND, retry: retry({ attempts: 2 }) }) };

  test("asks after its delay, not before", () => {
    const play = unknown(checked);
    play.pass(30 * SECOND - 1);
    expect(play.jobs()).toEqual([]);
    play.pass(1);
    expect(play.jobs()).toEqual(["prepare pay/verify"]);
  });

  test("that it happened settles it with the output", () => {
    const play = unknown(checked);
    play.wake();
    play.attempt("pay/verify", ends.happened(true, "receipt"));
    expect(play.unit("pay")).toMatchObject({ status: "succeeded", output: { v: "receipt" }, attempt: 1 });
    expect(play.last("succeeded").by).toBe("verify");
  });

  test("that it did not happen lets it be tried again", () => {
    const play = unknown(checked);
    play.wake();
    play.attempt("pay/verify", ends.happened(false));
    expect(play.unit("pay")).toMatchObject({ status: "backing_off", maybe: false });
    play.wake();
    play.attempt("pay");
    expect(play.unit("pay")).toMatchObject({ status: "succeeded", attempt: 2 });
  });

  test("that it did not happen, with no attempt left, fails it, outcome not_done", () => {
    const play = unknown({ ...checked, retry: retry({ attempts: 1 }) });
    play.wake();
    play.attempt("pay/verify", ends.happened(false));
    expect(play.unit("pay")).toMatchObject({ status: "failed", outcome: "not_done" });
    expect(play.state.failure).toMatchObject({ code: "http_500", left_behind: [] });
  });

  test("that cannot tell leaves it to a person, and is not asked again", () => {
    const play = unknown(checked);
    play.wake();
    play.attempt("pay/verify", ends.happened(null));
    expect(play.unit("pay/verify")).toMatchObject({
      status: "failed",
      failure: { code: "verify_inconclusive" },
    });
    play.pass(HOUR);
    expect([play.status("pay"), play.jobs()]).toEqual(["unknown", []]);
    resolve(play, "succeeded");
    expect(play.status("pay")).toBe("succeeded");
  });

  test("that fails is retried by its own policy, then left to a person", () => {
    const play = unknown(checked);
    play.wake();
    play.attempt("pay/verify", ends.unclear());
    expect(play.status("pay/verify")).toBe("backing_off");
    play.wake();
    play.attempt("pay/verify", ends.unclear());
    expect([play.status("pay/verify"), play.status("pay"), play.jobs()]).toEqual(["failed", "unknown", []]);
  });

  test("has a deadline of its own in flight (K4)", () => {
    const play = unknown(checked);
    play.wake();
    play.begin("pay/verify");
    expect(play.run).toBe("running");
    play.wake();
    expect(play.unit("pay/verify")).toMatchObject({ status: "backing_off", failure: { code: "timeout" } });
  });

  test("that was overtaken is recorded, never applied (K7)", () => {
    const play = unknown(checked);
    play.wake();
    play.begin("pay/verify");
    resolve(play, "succeeded");
    expect(play.end("pay/verify", ends.happened(false), 1).map((fact) => fact.t)).toEqual(["late"]);
    expect(play.unit("pay").output).toEqual({ v: "seen" });
  });

  test("of an earlier attempt does not speak for a later one: its attempts count on (K5, K7)", () => {
    const play = unknown(checked);
    play.wake();
    play.begin("pay/verify");
    resolve(play, "retry");
    play.attempt("pay", ends.unclear());
    play.wake();
    expect(play.begin("pay/verify")).toBe(2);
    expect(play.end("pay/verify", ends.happened(false), 1).map((fact) => fact.t)).toEqual(["late"]);
    expect(play.status("pay")).toBe("unknown");
  });

  test("goes on while the run drains, and does not start while it is paused", () => {
    const play = new Play([call("pay", "once", checked), call("other")]);
    play.attempt("pay", ends.unclear());
    play.take({ t: "pause", by: "ada" });
    play.pass(MINUTE);
    expect(play.jobs()).toEqual([]);
    play.take({ t: "resume", by: "ada" });
    play.attempt("other", ends.cannot());
    expect(play.jobs()).toEqual(["prepare pay/verify"]);
    play.attempt("pay/verify", ends.happened(false));
    expect(play.unit("pay")).toMatchObject({ status: "cancelled", outcome: "not_done" });
    expect(play.run).toBe("failed");
  });
});

describe("verify, while the attempt that timed out is still open", () => {
  const after = { verify: verify({ afterMs: 30 * SECOND }) };

  /** Timed out, listened to, and its check has just been begun. */
  function asked(): Play {
    const play = new Play([call("pay", "once", after)]);
    play.begin("pay");
    play.wake();
    play.pass(30 * SECOND);
    play.begin("pay/verify");
    return play;
  }

  test("that it did not happen is asked again, and nothing is sent a second time (K5)", () => {
    const play = asked();
    play.end("pay/verify", ends.happened(false));
    expect([play.status("pay"), play.unit("pay").listening, play.jobs()]).toEqual(["unknown", true, []]);
    play.pass(30 * SECOND - 1);
    expect(play.jobs()).toEqual([]);
    play.pass(1);
    expect(play.jobs()).toEqual(["prepare pay/verify"]);
  });

  test("that it happened counts at once", () => {
    const play = asked();
    play.end("pay/verify", ends.happened(true, "receipt"));
    expect(play.unit("pay")).toMatchObject({ status: "succeeded", output: { v: "receipt" } });
  });

  test("its late success settles it, between two checks", () => {
    const play = asked();
    play.end("pay/verify", ends.happened(false));
    play.end("pay", ends.success("paid"), 1);
    expect(play.unit("pay")).toMatchObject({ status: "succeeded", attempt: 1, output: { v: "paid" } });
  });

  test("a check has all its attempts each time that it asks, however often", () => {
    const play = asked();
    for (let asks = 1; asks < 20; asks++) {
      play.end("pay/verify", ends.happened(false));
      play.pass(30 * SECOND);
      play.begin("pay/verify");
    }
    expect(play.unit("pay/verify")).toMatchObject({ status: "running", tries: 1, attempt: 20 });
  });

  test("a check without a delay does not spin", () => {
    const play = new Play([call("pay", "once", { verify: verify({ afterMs: 0 }) })]);
    play.begin("pay");
    play.wake();
    play.attempt("pay/verify", ends.happened(false));
    expect(play.unit("pay/verify").wakeAt).toBe(play.now + limits.VERIFY_AGAIN_MS);
  });

  test.for(["an unclear end", "the loss of its life"])("%s ends it: the next no counts", (how) => {
    const play = asked();
    play.end("pay/verify", ends.happened(false));
    play.pass(SECOND);
    if (how === "an unclear end") play.end("pay", ends.unclear(), 1);
    else play.lose("pay");
    expect(play.last("late")).toMatchObject({ over: true, verifyAt: play.now + 30 * SECOND });
    expect(play.unit("pay").listening).toBe(false);
    play.pass(30 * SECOND);
    play.attempt("pay/verify", ends.happened(false));
    expect([play.status("pay"), play.jobs()]).toEqual(["backing_off", []]);
    play.wake();
    expect(play.begin("pay")).toBe(2);
  });

  test("a no to a check that was begun before the attempt had ended does not count (K5)", () => {
    const play = asked();
    play.end("pay", ends.unclear(), 1);
    play.end("pay/verify", ends.happened(false));
    expect([play.status("pay"), play.status("pay/verify")]).toEqual(["unknown", "waiting"]);
    play.pass(30 * SECOND);
    play.attempt("pay/verify", ends.happened(false));
    expect(play.status("pay")).toBe("backing_off");
  });

  test("a life that was lost is told once, and an attempt that nobody listens to not at all", () => {
    const play = asked();
    play.lose("pay");
    expect(play.refusal({ t: "attempt_lost", unit: ref("pay"), attempt: 1, strike: true })).toBe("not_due");
  });
});

describe("resolve", () => {
  test("succeeded: with the output that the person gives", () => {
    const play = unknown();
    resolve(play, "succeeded");
    expect(play.unit("pay")).toMatchObject({ status: "succeeded", outcome: "done", output: { v: "seen" } });
    expect(play.last("resolved")).toMatchObject({ as: "succeeded", by: "ada" });
  });

  test("failed: it did not happen and will not", () => {
    const play = unknown();
    play.take({ t: "resolve", unit: ref("pay"), as: { as: "failed", note: "card expired" }, by: "ada" });
    expect(play.unit("pay")).toMatchObject({ status: "failed", outcome: "not_done" });
    expect(play.state.failure).toMatchObject({ code: "resolved_as_failed", message: "card expired" });
  });

  test("failed: onFailure decides what follows", () => {
    const play = unknown({ onFailure: { fallback: "cash" } });
    resolve(play, "failed");
    expect(play.unit("pay")).toMatchObject({
      status: "succeeded",
      outcome: "not_done",
      output: { v: "cash" },
    });
  });

  test("retry: at once, whatever the policy has counted", () => {
    const play = unknown({ retry: retry({ attempts: 1 }) });
    resolve(play, "retry");
    expect(play.jobs()).toEqual(["attempt pay"]);
    play.attempt("pay");
    expect(play.status("pay")).toBe("succeeded");
  });

  test("a step that is not unknown is refused", () => {
    const play = new Play([call("pay", "once")]);
    const as = { as: "retry" } as const;
    expect(play.refusal({ t: "resolve", unit: ref("pay"), as, by: "ada" })).toBe("not_unknown");
    expect(play.refusal({ t: "resolve", unit: ref("nothing"), as, by: "ada" })).toBe("no_such_step");
    expect(play.refusal({ t: "resolve", unit: ref("pay[3]"), as, by: "ada" })).toBe("no_such_step");
  });

  test("of a second person is refused: the first one won (K7)", () => {
    const play = unknown();
    resolve(play, "succeeded");
    expect(play.refusal({ t: "resolve", unit: ref("pay"), as: { as: "failed" }, by: "bob" })).toBe(
      "not_unknown",
    );
  });

  test("an undoing can be unknown, and resolved, too", () => {
    const play = new Play([
      call("pay", "once", { compensate: performance("once") }),
      call("after", "safe", { needs: ["pay"] }),
    ]);
    play.succeed("pay");
    play.attempt("after", ends.cannot());
    play.attempt("pay/undo", ends.unclear());
    expect([play.status("pay/undo"), play.run]).toEqual(["unknown", "compensating"]);
    resolve(play, "succeeded", "pay/undo");
    expect(play.state.failure).toMatchObject({ left_behind: [], undone: [{ step: "pay" }] });
  });
});

describe("the limit of an unknown outcome", () => {
  test("fails the run with outcome_unknown, and lists the step", () => {
    const play = unknown();
    play.pass(limits.UNKNOWN_LIMIT_MS - 1);
    expect(play.status("pay")).toBe("unknown");
    play.pass(1);
    expect(play.unit("pay")).toMatchObject({ status: "failed", outcome: "unknown" });
    expect(play.state.failure?.code).toBe("outcome_unknown");
    expect(leftBehind(play)).toEqual(["pay: unknown, outcome_unknown"]);
  });

  test("fails the run even where the step's failure would be passed over", () => {
    const play = unknown({ onFailure: "continue" });
    play.pass(limits.UNKNOWN_LIMIT_MS);
    expect(play.run).toBe("failed");
  });

  test("is when the run wakes at the latest (K3)", () => {
    const play = unknown();
    play.wake();
    expect(play.run).toBe("failed");
  });
});
