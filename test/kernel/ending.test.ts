/** How a run ends: failures and what they lead to, draining, compensation, what is left behind, the budget, cancels. */

import { describe, expect, test } from "vitest";
import { limits, type Graph, type StepDef } from "../../src/kernel/index.ts";
import { call, DAY, ends, HOUR, instant, MINUTE, performance, retry, sleep, wait } from "./support/build.ts";
import { leftBehind, Play, ref, START } from "./support/play.ts";

const undoable = (over: Partial<StepDef> = {}): Partial<StepDef> => ({
  compensate: performance("idempotent", { retry: retry({ attempts: 2 }) }),
  ...over,
});

/** A step that fails its run when told to. */
const bomb = (needs: readonly string[] = []): StepDef => call("bomb", "safe", { needs });

describe("onFailure of a step", () => {
  test("fail, the default: the run is lost with the step's failure", () => {
    const play = new Play([call("a")]);
    play.attempt("a", ends.cannot());
    expect(play.state.failure).toMatchObject({
      code: "http_422",
      message: "it was http_422",
      hint: "look",
      step: "a",
      attempt: 1,
      attempts: 1,
      retryable: true,
      left_behind: [],
      undone: [],
    });
  });

  test("continue: the step failed, its dependents are skipped, the run goes on", () => {
    const play = new Play([
      call("a", "safe", { onFailure: "continue" }),
      call("b", "safe", { needs: ["a"] }),
      call("c"),
    ]);
    play.attempt("a", ends.cannot());
    expect(play.statuses()).toEqual({ a: "failed", b: "skipped", c: "pending" });
    play.succeed("c");
    play.finish();
    expect(play.run).toBe("succeeded");
  });

  test("fallback: counts as succeeded with the given output, keeps the failure and the outcome", () => {
    const play = new Play([
      call("a", "keyed", { onFailure: { fallback: { seats: 0 } } }),
      call("b", "safe", { needs: ["a"] }),
    ]);
    play.attempt("a", ends.unusable());
    expect(play.unit("a")).toMatchObject({
      status: "succeeded",
      outcome: "done",
      output: { v: { seats: 0 } },
      failure: { code: "output_invalid" },
    });
    expect(play.jobs()).toEqual(["prepare b"]);
  });

  test("in an open run the default is continue", () => {
    const play = new Play([call("a")], { run: { open: true } });
    play.attempt("a", ends.cannot());
    expect([play.status("a"), play.state.phase]).toEqual(["failed", "forward"]);
  });

  test("of a run whose output cannot be filled in: the run is lost, and undone", () => {
    const play = new Play([call("a", "keyed", undoable())]);
    play.succeed("a");
    const failure = { code: "template_failed", message: "no", hint: "look", retryable: false } as const;
    play.take({ t: "output", result: { failure } });
    expect(play.jobs()).toEqual(["prepare a/undo"]);
    play.succeed("a/undo");
    expect(play.state.failure).toMatchObject({ code: "template_failed", undone: [{ step: "a" }] });
  });

  test("a failure before the first attempt has no attempt in it", () => {
    const play = new Play([call("a", "once")]);
    play.prepare("a", {
      kind: "error",
      failure: { code: "template_failed", message: "no", hint: "look", retryable: false },
    });
    expect(play.unit("a")).toMatchObject({
      outcome: "not_done",
      failure: { code: "template_failed", step: "a" },
    });
    expect(play.unit("a").failure).not.toHaveProperty("attempt");
  });
});

describe("draining", () => {
  function draining(): Play {
    const play = new Play([
      bomb(),
      call("running", "keyed"),
      sleep("sleeping"),
      call("resting"),
      call("later", "safe", { needs: ["running"] }),
      wait("waiting", "go"),
    ]);
    play.begin("running");
    play.prepare("sleeping");
    play.prepare("waiting");
    play.attempt("resting", ends.refused());
    play.attempt("bomb", ends.cannot());
    return play;
  }

  test("nothing new starts; what has not started, waits or backs off is cancelled; what is in flight is not", () => {
    const play = draining();
    expect([play.run, play.statuses(), play.jobs()]).toEqual([
      "compensating",
      {
        bomb: "failed",
        running: "running",
        sleeping: "cancelled",
        resting: "cancelled",
        later: "cancelled",
        waiting: "cancelled",
      },
      [],
    ]);
  });

  test("the result of an attempt in flight counts", () => {
    const play = draining();
    play.end("running", ends.success("made it"));
    expect(play.unit("running")).toMatchObject({ status: "succeeded", output: { v: "made it" } });
    expect(leftBehind(play)).toEqual(["running: done, no_compensation"]);
  });

  test("an attempt in flight runs to its own deadline, and is not tried again", () => {
    const play = draining();
    play.wake();
    expect(play.unit("running")).toMatchObject({ status: "cancelled", outcome: "unknown" });
    expect([play.run, play.now - START]).toEqual(["failed", MINUTE]);
  });

  test("one that would be retried is cancelled: refused means not_done", () => {
    const play = draining();
    play.end("running", ends.refused());
    expect(play.unit("running")).toMatchObject({ status: "cancelled", outcome: "not_done" });
    expect(leftBehind(play)).toEqual([]);
  });

  test("a step that fails meanwhile does not change why the run was lost", () => {
    const play = draining();
    play.end("running", ends.cannot("http_404"));
    expect(play.state.failure).toMatchObject({ code: "http_422", step: "bomb" });
  });
});

describe("compensation (K10)", () => {
  test("runs in reverse order of the graph, side by side where the graph allows", () => {
    const play = new Play([
      call("a", "keyed", undoable()),
      call("b", "keyed", undoable({ needs: ["a"] })),
      call("c", "keyed", undoable({ needs: ["a"] })),
      call("d", "keyed", undoable({ needs: ["b", "c"] })),
      bomb(["d"]),
    ]);
    play.succeed("a", "b", "c", "d");
    play.attempt("bomb", ends.cannot());
    expect(play.jobs()).toEqual(["prepare d/undo"]);
    play.succeed("d/undo");
    expect(play.jobs()).toEqual(["prepare c/undo", "prepare b/undo"]);
    play.succeed("b/undo");
    expect(play.jobs()).toEqual(["prepare c/undo"]);
    play.succeed("c/undo", "a/undo");
    expect(play.state.failure?.undone.map(({ step }) => step)).toEqual(["a", "b", "c", "d"]);
    expect(play.run).toBe("failed");
  });

  test("is refused out of turn, also through a step that knows no undoing, and whatever a host asks for", () => {
    const play = new Play([
      call("a", "keyed", undoable()),
      call("b", "safe", { needs: ["a"] }),
      call("c", "keyed", undoable({ needs: ["b"] })),
      bomb(["c"]),
    ]);
    play.succeed("a", "b", "c");
    play.attempt("bomb", ends.cannot());
    const early = { t: "prepared", unit: ref("a/undo"), prepared: { kind: "call", digest: "d" } } as const;
    expect(play.refusal(early)).toBe("not_due");
    play.succeed("c/undo");
    expect(play.take(early).map(({ t }) => t)).toEqual(["ready"]);
  });

  test("a step in between that knows no undoing does not break the order", () => {
    const play = new Play([
      call("a", "keyed", undoable()),
      call("b", "safe", { needs: ["a"] }),
      call("c", "keyed", undoable({ needs: ["b"] })),
      bomb(["c"]),
    ]);
    play.succeed("a", "b", "c");
    play.attempt("bomb", ends.cannot());
    expect(play.jobs()).toEqual(["prepare c/undo"]);
  });

  test("undoes what is done or unknown, and nothing else", () => {
    const play = new Play([
      call("done", "keyed", undoable()),
      call("perhaps", "keyed", undoable({ retry: retry({ attempts: 1 }) })),
      call("refused", "keyed", undoable({ retry: retry({ attempts: 1 }), onFailure: "continue" })),
      call("never", "keyed", undoable({ needs: ["refused"] })),
    ]);
    play.succeed("done");
    play.attempt("refused", ends.refused());
    play.attempt("perhaps", ends.unclear());
    expect(play.jobs().toSorted()).toEqual(["prepare done/undo", "prepare perhaps/undo"]);
  });

  test("undoes a fallback by what the step did", () => {
    const play = new Play([call("a", "keyed", undoable({ onFailure: { fallback: null } })), bomb(["a"])]);
    play.attempt("a", ends.unusable());
    play.attempt("bomb", ends.cannot());
    expect(play.jobs()).toEqual(["prepare a/undo"]);
  });

  test("is retried by its own policy, with its own deadline, then left behind as compensation_failed", () => {
    const play = new Play([call("a", "keyed", undoable()), bomb(["a"])]);
    play.succeed("a");
    play.attempt("bomb", ends.cannot());
    play.begin("a/undo");
    play.wake();
    expect(play.status("a/undo")).toBe("backing_off");
    play.wake();
    play.attempt("a/undo", ends.unclear());
    expect(leftBehind(play)).toEqual(["a: done, compensation_failed"]);
    expect(play.state.failure?.left_behind).toMatchObject([{ code: "http_500" }]);
  });

  test("one that failed does not hold back its ancestors", () => {
    const play = new Play([
      call("a", "keyed", undoable()),
      call("b", "keyed", undoable({ needs: ["a"] })),
      bomb(["b"]),
    ]);
    play.succeed("a", "b");
    play.attempt("bomb", ends.cannot());
    play.attempt("b/undo", ends.cannot());
    expect(play.jobs()).toEqual(["prepare a/undo"]);
    play.succeed("a/undo");
    expect(leftBehind(play)).toEqual(["b: done, compensation_failed"]);
  });

  test("one whose template cannot be filled in is left behind, too", () => {
    const play = new Play([call("a", "keyed", undoable()), bomb(["a"])]);
    play.succeed("a");
    play.attempt("bomb", ends.cannot());
    play.prepare("a/undo", {
      kind: "error",
      failure: { code: "template_failed", message: "no", hint: "", retryable: false },
    });
    expect(leftBehind(play)).toEqual(["a: done, compensation_failed"]);
  });

  test("one that happened but answered with rubbish has undone its step", () => {
    const play = new Play([call("a", "keyed", undoable()), bomb(["a"])]);
    play.succeed("a");
    play.attempt("bomb", ends.cannot());
    play.attempt("a/undo", ends.unusable());
    expect(play.unit("a").undone).toBe(true);
    expect(leftBehind(play)).toEqual([]);
  });

  test("what a safe step did is not left behind", () => {
    const play = new Play([call("read"), instant("computed"), bomb(["read", "computed"])]);
    play.succeed("read");
    play.prepare("computed");
    play.attempt("bomb", ends.cannot());
    expect(leftBehind(play)).toEqual([]);
  });

  test("an unknown step holds back only its ancestors, until it is settled", () => {
    const play = new Play([
      call("before", "keyed", undoable()),
      call("beside", "keyed", undoable()),
      call("pay", "once", { needs: ["before"] }),
      bomb(["beside"]),
    ]);
    play.succeed("before", "beside");
    play.attempt("pay", ends.unclear());
    play.attempt("bomb", ends.cannot());
    expect(play.jobs()).toEqual(["prepare beside/undo"]);
    play.succeed("beside/undo");
    expect([play.jobs(), play.run]).toEqual([[], "compensating"]);
    play.take({ t: "resolve", unit: { step: "pay" }, as: { as: "failed" }, by: "ada" });
    expect(play.jobs()).toEqual(["prepare before/undo"]);
    play.succeed("before/undo");
    expect(play.run).toBe("failed");
  });

  test("a step that is found to have happened while the run undoes is undone itself", () => {
    const play = new Play([call("pay", "once", undoable()), bomb()]);
    play.attempt("pay", ends.unclear());
    play.attempt("bomb", ends.cannot());
    play.take({ t: "resolve", unit: { step: "pay" }, as: { as: "succeeded", output: { v: 1 } }, by: "ada" });
    expect(play.jobs()).toEqual(["prepare pay/undo"]);
  });
});

describe("the budget of undoing", () => {
  test("ends the run and lists what it leaves: never begun, in flight, unknown", () => {
    const play = new Play([
      call("a", "keyed", undoable()),
      call("b", "keyed", undoable({ needs: ["a"] })),
      call("c", "once", { needs: ["b"] }),
      bomb(["b"]),
    ]);
    play.succeed("a", "b");
    play.attempt("c", ends.unclear());
    play.attempt("bomb", ends.cannot());
    play.pass(limits.UNDO_BUDGET_MS - 1);
    expect(play.run).toBe("compensating");
    play.pass(1);
    expect(play.run).toBe("failed");
    expect(leftBehind(play)).toEqual([
      "a: done, budget_exceeded",
      "b: done, budget_exceeded",
      "c: unknown, outcome_unknown",
    ]);
  });

  /** Lost while it is paused, with something to undo. */
  function lostWhilePaused(graph: Partial<Graph> = {}): Play {
    const play = new Play([call("a", "keyed", undoable()), bomb(["a"])], { graph });
    play.succeed("a");
    play.begin("bomb");
    play.take({ t: "pause", by: "ada" });
    play.pass(30_000);
    play.end("bomb", ends.cannot());
    expect([play.run, play.state.phase, play.jobs()]).toEqual(["compensating", "undoing", []]);
    return play;
  }

  test("does not run out in a pause: its end ends the pause, and what was left of it is left", () => {
    const play = lostWhilePaused();
    const { budgetAt } = play.state;
    play.wake();
    expect(play.now).toBe(budgetAt);
    expect([play.run, play.state.pausedSince, play.state.budgetAt]).toEqual([
      "compensating",
      null,
      play.now + limits.UNDO_BUDGET_MS,
    ]);
    play.succeed("a/undo");
    expect(leftBehind(play)).toEqual([]);
  });

  test("is later by the time that the run was paused, counted from when it was lost", () => {
    const play = lostWhilePaused();
    play.pass(HOUR);
    play.take({ t: "resume", by: "ada" });
    expect(play.state.budgetAt).toBe(play.now + limits.UNDO_BUDGET_MS);
    play.pass(HOUR);
    play.take({ t: "pause", by: "ada" });
    play.pass(5 * HOUR);
    play.take({ t: "resume", by: "ada" });
    expect(play.state.budgetAt).toBe(play.now + limits.UNDO_BUDGET_MS - HOUR);
  });

  test("of an undoing that sticks costs nobody the onFailure steps: they have an hour of their own", () => {
    const voicemail = call("voicemail", "keyed", { part: "on_failure" });
    const once = { compensate: performance("once", { retry: retry({ attempts: 1 }) }) };
    const play = new Play([call("a", "keyed", once), bomb(["a"]), voicemail]);
    play.succeed("a");
    play.attempt("bomb", ends.cannot());
    play.attempt("a/undo", ends.unclear());
    play.pass(limits.UNDO_BUDGET_MS);
    expect([play.state.phase, play.jobs()]).toEqual(["handling", ["prepare voicemail"]]);
    expect(play.status("a/undo")).toBe("cancelled");
    expect(play.state.budgetAt).toBe(play.now + limits.HANDLING_BUDGET_MS);
    play.succeed("voicemail");
    expect([play.run, leftBehind(play)]).toEqual(["failed", ["a: done, budget_exceeded"]]);
  });

  test("of the onFailure steps ends the run, whatever they do", () => {
    const answer = wait("answer", "go", { part: "on_failure" });
    const play = new Play([call("a", "keyed", undoable()), bomb(["a"]), answer]);
    play.succeed("a");
    play.attempt("bomb", ends.cannot());
    play.pass(limits.UNDO_BUDGET_MS);
    play.prepare("answer", { kind: "signal", limitMs: limits.MAX_WAIT_MS });
    play.pass(limits.HANDLING_BUDGET_MS - 1);
    expect(play.run).toBe("compensating");
    play.pass(1);
    expect([play.run, play.status("answer")]).toEqual(["failed", "cancelled"]);
  });

  test("that is over while attempts still drain leads to the onFailure steps as well", () => {
    const voicemail = call("voicemail", "keyed", { part: "on_failure" });
    const play = new Play([call("child", "keyed"), bomb(), voicemail]);
    play.attempt("child", ends.child(1, 30 * DAY));
    play.attempt("bomb", ends.cannot());
    expect(play.state.phase).toBe("draining");
    play.pass(limits.UNDO_BUDGET_MS);
    expect([play.state.phase, play.jobs()]).toEqual(["handling", ["prepare voicemail"]]);
    expect(play.unit("child")).toMatchObject({ status: "cancelled", outcome: "unknown" });
  });
});

describe("onFailure of the workflow", () => {
  const voicemail = call("voicemail", "once", { part: "on_failure" });

  test("runs when the run is lost, after compensation", () => {
    const play = new Play([call("a", "keyed", undoable()), bomb(["a"]), voicemail]);
    play.succeed("a");
    expect(play.jobs()).not.toContain("prepare voicemail");
    play.attempt("bomb", ends.cannot());
    expect(play.jobs()).toEqual(["prepare a/undo"]);
    play.succeed("a/undo");
    expect([play.state.phase, play.jobs()]).toEqual(["handling", ["prepare voicemail"]]);
    play.succeed("voicemail");
    expect(play.run).toBe("failed");
  });

  test("does not run when the run succeeds", () => {
    const play = new Play([call("a"), voicemail]);
    play.succeed("a");
    play.finish();
    expect([play.run, play.status("voicemail")]).toEqual(["succeeded", "pending"]);
  });

  test("that fails leaves the run's failure as it is", () => {
    const play = new Play([bomb(), voicemail]);
    play.attempt("bomb", ends.cannot());
    play.attempt("voicemail", ends.cannot("http_404"));
    expect(play.state.failure?.code).toBe("http_422");
  });

  test("is a graph of its own: needs, joins and fallbacks hold", () => {
    const play = new Play([
      bomb(),
      call("first", "safe", { part: "on_failure", onFailure: { fallback: 0 } }),
      call("second", "safe", { part: "on_failure", needs: ["first"] }),
    ]);
    play.attempt("bomb", ends.cannot());
    play.attempt("first", ends.cannot());
    expect(play.jobs()).toEqual(["prepare second"]);
  });

  test("ends with the budget", () => {
    const play = new Play([bomb(), wait("answer", "go", { part: "on_failure" })]);
    play.attempt("bomb", ends.cannot());
    play.prepare("answer", { kind: "signal", limitMs: limits.MAX_WAIT_MS });
    play.wake();
    expect([play.run, play.now - START]).toEqual(["failed", limits.UNDO_BUDGET_MS]);
  });
});

describe("cancel", () => {
  function two(): Play {
    const play = new Play([
      call("a", "keyed", undoable()),
      call("b", "once"),
      call("c", "safe", { needs: ["b"] }),
    ]);
    play.succeed("a");
    play.begin("b");
    return play;
  }

  test("graceful: attempts in flight end, then what was done is undone; the run is cancelled", () => {
    const play = two();
    play.take({ t: "cancel", mode: "graceful", by: "ada", reason: "changed my mind" });
    expect([play.run, play.statuses()]).toEqual([
      "compensating",
      { a: "succeeded", b: "running", c: "cancelled" },
    ]);
    play.end("b", ends.success());
    play.succeed("a/undo");
    expect(play.run).toBe("cancelled");
    expect(play.state.failure).toMatchObject({
      code: "cancelled",
      message: "changed my mind",
      undone: [{ step: "a" }],
    });
    expect(leftBehind(play)).toEqual(["b: done, no_compensation"]);
  });

  test("immediate: attempts in flight are aborted; one that is not safe leaves its outcome unknown, and listed", () => {
    const play = two();
    play.take({ t: "cancel", mode: "immediate", by: "ada" });
    expect(play.unit("b")).toMatchObject({ status: "cancelled", outcome: "unknown" });
    play.succeed("a/undo");
    expect(leftBehind(play)).toEqual(["b: unknown, outcome_unknown"]);
  });

  test("immediate: a safe attempt that was aborted leaves nothing", () => {
    const play = new Play([call("a")]);
    play.begin("a");
    play.take({ t: "cancel", mode: "immediate", by: "ada" });
    expect([play.run, play.unit("a").outcome, leftBehind(play)]).toEqual(["cancelled", "not_done", []]);
  });

  test("immediate after graceful aborts what still drains", () => {
    const play = two();
    play.take({ t: "cancel", mode: "graceful", by: "ada" });
    play.take({ t: "cancel", mode: "immediate", by: "ada" });
    expect(play.status("b")).toBe("cancelled");
  });

  test("twice is once; of a run that failed it is refused, and of one that ended", () => {
    const play = two();
    play.take({ t: "cancel", mode: "graceful", by: "ada" });
    expect(play.take({ t: "cancel", mode: "graceful", by: "bob" })).toEqual([]);
    const failed = new Play([call("a", "keyed", undoable()), bomb(["a"])]);
    failed.succeed("a");
    failed.attempt("bomb", ends.cannot());
    expect(failed.refusal({ t: "cancel", mode: "graceful", by: "ada" })).toBe("already_ending");
    failed.succeed("a/undo");
    expect(failed.refusal({ t: "cancel", mode: "graceful", by: "ada" })).toBe("run_ended");
  });

  test.for(["graceful", "immediate"] as const)("%s, of a paused run: ends the pause, and undoes", (mode) => {
    const play = new Play([call("a", "keyed", undoable()), wait("w", "go", { needs: ["a"] })]);
    play.succeed("a");
    play.prepare("w");
    play.take({ t: "pause", by: "ada" });
    play.take({ t: "cancel", mode, by: "bob" });
    expect(play.last("resumed")).toMatchObject({ by: "bob" });
    expect([play.state.pausedSince, play.jobs()]).toEqual([null, ["prepare a/undo"]]);
    play.succeed("a/undo");
    expect([play.run, leftBehind(play)]).toEqual(["cancelled", []]);
  });

  test("immediate, of a run that failed while it was paused, ends the pause as well", () => {
    const play = new Play([call("a", "keyed", undoable()), call("b", "once"), bomb(["a"])]);
    play.succeed("a");
    play.begin("b");
    play.begin("bomb");
    play.take({ t: "pause", by: "ada" });
    play.end("bomb", ends.cannot());
    expect(play.state.phase).toBe("draining");
    play.take({ t: "cancel", mode: "immediate", by: "bob" });
    expect([play.state.pausedSince, play.jobs()]).toEqual([null, ["prepare a/undo"]]);
  });

  test("once more, of a run whose undoing was paused, goes on with it", () => {
    const play = two();
    play.take({ t: "cancel", mode: "immediate", by: "ada" });
    play.take({ t: "pause", by: "ada" });
    expect(play.jobs()).toEqual([]);
    play.take({ t: "cancel", mode: "graceful", by: "ada" });
    expect(play.jobs()).toEqual(["prepare a/undo"]);
  });

  test("of a run that succeeded: it cannot be redriven, and nobody says so", () => {
    const play = new Play([call("a")]);
    play.succeed("a");
    play.finish();
    const decision = play.send({ t: "cancel", mode: "graceful", by: "ada" });
    expect(decision).toMatchObject({ ok: false, refusal: { code: "run_ended" } });
    expect(decision.ok ? "" : decision.refusal.message).not.toMatch(/redrive/i);
    const resolve = { t: "resolve", unit: { step: "a" }, as: { as: "failed" }, by: "ada" } as const;
    const resolved = play.send(resolve);
    expect(resolved.ok ? "" : resolved.refusal.message).not.toMatch(/redrive/i);
  });

  test("the answer of an aborted attempt is recorded, never applied (K1, K7)", () => {
    const play = new Play([call("b", "once")]);
    play.begin("b");
    play.take({ t: "cancel", mode: "immediate", by: "ada" });
    expect(play.end("b", ends.success()).map((fact) => fact.t)).toEqual(["late"]);
    expect(play.unit("b").outcome).toBe("unknown");
  });
});

describe("the run deadline", () => {
  test("aborts what is in flight, cancels the rest, undoes, and fails the run", () => {
    const play = new Play(
      [
        call("a", "keyed", undoable()),
        call("b", "once", { needs: ["a"], timeoutMs: 10 * MINUTE }),
        wait("w", "go"),
      ],
      { graph: { deadlineMs: 2 * HOUR } },
    );
    play.prepare("w", { kind: "signal", limitMs: 3 * HOUR });
    play.succeed("a");
    play.pass(2 * HOUR - MINUTE);
    play.begin("b");
    play.pass(MINUTE);
    expect(play.statuses()).toEqual({ a: "succeeded", b: "cancelled", w: "cancelled" });
    play.succeed("a/undo");
    expect(play.state.failure).toMatchObject({ code: "deadline_exceeded", retryable: true });
    expect(leftBehind(play)).toEqual(["b: unknown, outcome_unknown"]);
  });

  test("ends a pause: the undoing begins", () => {
    const play = new Play([call("a", "keyed", undoable()), call("b", "safe", { needs: ["a"] })]);
    play.succeed("a");
    play.take({ t: "pause", by: "ada" });
    play.wake();
    expect([play.state.pausedSince, play.now - START]).toEqual([null, limits.RUN_DEADLINE_MS]);
    expect(play.jobs()).toEqual(["prepare a/undo"]);
  });

  test("does not end the undoing: that has its own budget", () => {
    const play = new Play([call("a", "keyed", undoable()), bomb(["a"])], { graph: { deadlineMs: 2 * HOUR } });
    play.succeed("a");
    play.attempt("bomb", ends.cannot());
    play.pass(3 * HOUR);
    expect(play.jobs()).toEqual(["prepare a/undo"]);
  });
});
