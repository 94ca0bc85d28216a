/** What may have happened, and is not tried again, is asked about before it ends: every effect, every way there. */

import { describe, expect, test } from "vitest";
import {
  due,
  limits,
  type AttemptEnd,
  type Effect,
  type Outcome,
  type StepDef,
  type UnitStatus,
} from "../../src/kernel/index.ts";
import { call, ends, MINUTE, performance, retry, SECOND, verify } from "./support/build.ts";
import { leftBehind, Play, ref } from "./support/play.ts";

const REPEATABLE = ["idempotent", "keyed"] as const;
const asked = verify({ afterMs: 30 * SECOND });

/** Two attempts, the second of which is the last. */
function twice(effect: Effect, over: Partial<StepDef> = {}): StepDef {
  return call("pay", effect, { retry: retry({ attempts: 2 }), verify: asked, ...over });
}

/** Both attempts ended unclear. */
function usedUp(effect: Effect = "keyed", over: Partial<StepDef> = {}): Play {
  const play = new Play([twice(effect, over), call("after", "safe", { needs: ["pay"] })]);
  play.attempt("pay", ends.unclear());
  play.wake();
  play.attempt("pay", ends.unclear());
  return play;
}

function answer(play: Play, happened: boolean | null, unit = "pay"): void {
  play.pass(30 * SECOND);
  play.attempt(`${unit}/verify`, ends.happened(happened, "receipt"));
}

describe("an end that leaves nothing to try, of a step that can be asked about", () => {
  interface Row {
    readonly what: string;
    readonly ends: readonly AttemptEnd[];
    readonly over?: Partial<StepDef>;
    /** With a `verify`, and without one. */
    readonly asked: UnitStatus;
    readonly else: readonly [UnitStatus, Outcome];
  }
  const ROWS: readonly Row[] = [
    {
      what: "the last attempt is unclear",
      ends: [ends.unclear(), ends.unclear()],
      asked: "unknown",
      else: ["failed", "unknown"],
    },
    {
      what: "the last is refused, an earlier one was unclear",
      ends: [ends.unclear(), ends.refused()],
      asked: "unknown",
      else: ["failed", "unknown"],
    },
    {
      what: "one cannot work, an earlier one was unclear",
      ends: [ends.unclear(), ends.cannot()],
      asked: "unknown",
      else: ["failed", "unknown"],
    },
    {
      what: "all were refused",
      ends: [ends.refused(), ends.refused()],
      asked: "failed",
      else: ["failed", "not_done"],
    },
    { what: "the first cannot work", ends: [ends.cannot()], asked: "failed", else: ["failed", "not_done"] },
    {
      what: "its answer is not usable",
      ends: [ends.unclear(), ends.unusable()],
      asked: "failed",
      else: ["failed", "done"],
    },
    {
      what: "the policy does not retry this failure",
      ends: [ends.unclear()],
      over: { retry: retry({ never: ["http_500"] }) },
      asked: "unknown",
      else: ["failed", "unknown"],
    },
    {
      what: "there is no time for another attempt",
      ends: [ends.unclear()],
      over: { retry: retry({ initialMs: MINUTE, maxElapsedMs: SECOND }) },
      asked: "unknown",
      else: ["failed", "unknown"],
    },
  ];
  const cases = ROWS.flatMap((row) => REPEATABLE.map((effect) => ({ ...row, effect })));

  function played(step: StepDef, how: readonly AttemptEnd[]): Play {
    const play = new Play([step]);
    how.forEach((end, i) => {
      if (i > 0) play.wake();
      play.attempt("pay", end);
    });
    return play;
  }

  test.for(cases)(
    "$effect: $what: with a verify it is $asked",
    ({ effect, ends: how, over, asked: then }) => {
      const play = played(twice(effect, over), how);
      expect(play.status("pay")).toBe(then);
      expect(play.count("unknown")).toBe(then === "unknown" ? 1 : 0);
    },
  );

  test.for(cases)("$effect: $what: without one it is $else", ({ effect, ends: how, over, else: then }) => {
    const { verify: _verify, ...step } = twice(effect, over);
    const play = played(step, how);
    expect([play.status("pay"), play.unit("pay").outcome]).toEqual(then);
  });

  test("a step that kills its object is asked about as well, and not sent again", () => {
    const play = new Play([call("pay", "keyed", { verify: asked })]);
    for (let death = 0; death < 3; death++) {
      if (death > 0) play.wake();
      play.begin("pay");
      play.lose("pay");
    }
    expect([play.status("pay"), play.unit("pay").failure?.code]).toEqual(["unknown", "attempt_lost"]);
    answer(play, false);
    expect([play.status("pay"), play.unit("pay").outcome]).toEqual(["failed", "not_done"]);
  });
});

describe("the answer, with no attempt left", () => {
  test.for(REPEATABLE)("%s: it happened: succeeded, with the answer's output", (effect) => {
    const play = usedUp(effect);
    answer(play, true);
    expect(play.unit("pay")).toMatchObject({
      status: "succeeded",
      outcome: "done",
      output: { v: "receipt" },
    });
    expect(play.jobs()).toEqual(["prepare after"]);
  });

  test.for(REPEATABLE)(
    "%s: it did not happen: failed, outcome not_done, with the failure of the attempt",
    (effect) => {
      const play = usedUp(effect);
      answer(play, false);
      expect(play.unit("pay")).toMatchObject({ status: "failed", outcome: "not_done", attempt: 2 });
      expect(play.state.failure).toMatchObject({ code: "http_500", left_behind: [] });
    },
  );

  test("it did not happen, and what cannot work is not tried again, though attempts are left", () => {
    const play = new Play([call("pay", "keyed", { retry: retry({ attempts: 5 }), verify: asked })]);
    play.attempt("pay", ends.unclear());
    play.wake();
    play.attempt("pay", ends.cannot());
    answer(play, false);
    expect(play.unit("pay")).toMatchObject({
      status: "failed",
      outcome: "not_done",
      failure: { code: "http_422" },
    });
  });

  test("it cannot tell: unknown, until a person says so or the limit fails the run", () => {
    const play = usedUp();
    answer(play, null);
    expect([play.status("pay"), play.jobs()]).toEqual(["unknown", []]);
    const resolved = usedUp();
    answer(resolved, null);
    resolved.take({
      t: "resolve",
      unit: ref("pay"),
      as: { as: "succeeded", output: { v: "seen" } },
      by: "ada",
    });
    expect(resolved.status("pay")).toBe("succeeded");
    play.pass(limits.UNKNOWN_LIMIT_MS);
    expect([play.run, play.state.failure?.code, leftBehind(play)]).toEqual([
      "failed",
      "outcome_unknown",
      ["pay: unknown, outcome_unknown"],
    ]);
  });

  test("a person's word gives another attempt, under the same key, after which it is asked about again", () => {
    const play = usedUp();
    play.take({ t: "resolve", unit: ref("pay"), as: { as: "retry" }, by: "ada" });
    play.attempt("pay", ends.unclear());
    expect([play.status("pay"), play.unit("pay").gen, play.unit("pay").attempt]).toEqual(["unknown", 0, 3]);
    answer(play, true);
    expect(play.status("pay")).toBe("succeeded");
  });

  test("a key that may be forgotten is asked about as before: it did not happen, so it is tried again", () => {
    const play = new Play([
      call("pay", "keyed", {
        keyTtlMs: SECOND,
        retry: retry({ attempts: 3, initialMs: MINUTE }),
        verify: asked,
      }),
    ]);
    play.attempt("pay", ends.unclear());
    expect(play.status("pay")).toBe("unknown");
    answer(play, false);
    expect(play.status("pay")).toBe("backing_off");
  });

  test.for([
    { happened: true, outcome: "done" },
    { happened: false, outcome: "not_done" },
  ])("onFailure is asked only then: happened $happened", ({ happened, outcome }) => {
    const play = usedUp("keyed", { onFailure: { fallback: "cash" } });
    expect(play.status("pay")).toBe("unknown");
    answer(play, happened);
    expect(play.unit("pay")).toMatchObject({
      status: "succeeded",
      outcome,
      output: { v: happened ? "receipt" : "cash" },
    });
  });
});

describe("a last attempt that timed out", () => {
  /** The first attempt was unclear, the last one is still open. */
  function open(): Play {
    const play = new Play([twice("keyed")]);
    play.attempt("pay", ends.unclear());
    play.wake();
    play.begin("pay");
    play.pass(MINUTE);
    return play;
  }

  test("is listened to: its late answer settles it", () => {
    const play = open();
    expect(play.unit("pay")).toMatchObject({ status: "unknown", listening: true });
    play.end("pay", ends.success("paid"));
    expect(play.unit("pay")).toMatchObject({ status: "succeeded", output: { v: "paid" } });
  });

  test("that it did not happen only means not yet, while its request is open", () => {
    const play = open();
    answer(play, false);
    expect(play.status("pay")).toBe("unknown");
    play.lose("pay");
    answer(play, false);
    expect([play.status("pay"), play.unit("pay").outcome]).toEqual(["failed", "not_done"]);
  });

  test.for(["refused", "cannot"] as const)(
    "and is %s late clears nothing: an earlier attempt may have happened",
    (how) => {
      const play = open();
      expect(play.end("pay", ends[how]()).map(({ t }) => t)).toEqual(["late"]);
      expect(play.unit("pay")).toMatchObject({ status: "unknown", listening: false });
      answer(play, true);
      expect(play.status("pay")).toBe("succeeded");
    },
  );
});

describe("in a run that is lost", () => {
  const undoable = { compensate: performance("keyed") };

  function lost(when: "in flight" | "backing off", mode: "graceful" | "immediate" = "graceful"): Play {
    const play = new Play([twice("keyed", undoable)]);
    if (when === "backing off") play.attempt("pay", ends.unclear());
    else play.begin("pay");
    play.take({ t: "cancel", mode, by: "ada" });
    if (when === "in flight" && mode === "graceful") play.end("pay", ends.unclear());
    return play;
  }

  test.for(["in flight", "backing off"] as const)(
    "what was %s is asked about before it is taken back",
    (when) => {
      const play = lost(when);
      expect([play.status("pay"), play.jobs()]).toEqual(["unknown", []]);
      answer(play, true);
      expect([play.status("pay"), play.unit("pay").output, play.jobs()]).toEqual([
        "succeeded",
        { v: "receipt" },
        ["prepare pay/undo"],
      ]);
      play.attempt("pay/undo");
      expect([play.run, play.state.failure?.undone]).toEqual(["cancelled", [{ step: "pay" }]]);
    },
  );

  test("what did not happen is not taken back", () => {
    const play = lost("backing off");
    answer(play, false);
    expect(play.unit("pay")).toMatchObject({ status: "cancelled", outcome: "not_done", undo: null });
    expect([play.run, leftBehind(play)]).toEqual(["cancelled", []]);
  });

  test("an immediate cancel aborts what is in flight, and asks about what waits for another attempt", () => {
    const flying = lost("in flight", "immediate");
    expect([flying.status("pay"), flying.unit("pay").outcome]).toEqual(["cancelled", "unknown"]);
    expect(lost("backing off", "immediate").status("pay")).toBe("unknown");
  });

  test("what nobody can tell about is left behind when the budget of undoing is over", () => {
    const play = lost("backing off");
    answer(play, null);
    play.pass(limits.UNDO_BUDGET_MS);
    expect([play.run, leftBehind(play)]).toEqual(["cancelled", ["pay: unknown, budget_exceeded"]]);
  });

  test("a redrive asks nobody about what did not happen, and sends it under the same key", () => {
    const play = usedUp();
    answer(play, false);
    play.take({ t: "redrive", by: "ada", resolve: [] });
    play.attempt("pay");
    expect(play.unit("pay")).toMatchObject({ status: "succeeded", gen: 0, last: false });
  });
});

describe("items and rounds", () => {
  test("each item is asked about on its own", () => {
    const forEach = { list: null, concurrency: 3, tolerate: 1 };
    const play = new Play([twice("keyed", { forEach, retry: retry({ attempts: 1 }) })]);
    play.prepare("pay");
    for (const item of [0, 1, 2]) play.begin(`pay[${item}]`);
    play.end("pay[0]", ends.success());
    play.end("pay[1]", ends.unclear());
    play.end("pay[2]", ends.unclear());
    play.pass(30 * SECOND);
    expect(play.jobs()).toEqual(["prepare pay[1]/verify", "prepare pay[2]/verify"]);
    play.attempt("pay[1]/verify", ends.happened(true));
    play.attempt("pay[2]/verify", ends.happened(false));
    expect(["pay[0]", "pay[1]", "pay[2]", "pay"].map((name) => play.status(name))).toEqual([
      "succeeded",
      "succeeded",
      "failed",
      "succeeded",
    ]);
  });

  test("a forEach that gives up asks about the items that waited for another attempt, before it undoes", () => {
    const forEach = { list: null, concurrency: 3, tolerate: 0 };
    const play = new Play([twice("keyed", { forEach, compensate: performance("keyed") })]);
    play.prepare("pay");
    play.attempt("pay[0]", ends.unclear());
    play.attempt("pay[1]", ends.cannot());
    expect([play.status("pay[0]"), play.status("pay")]).toEqual(["unknown", "running"]);
    play.pass(30 * SECOND);
    play.attempt("pay[0]/verify", ends.happened(true));
    expect(play.jobs()).toContain("prepare pay[0]/undo");
  });

  test("of a repeat one round is asked about: its condition decides whether that was the last", () => {
    const repeat = { until: "done", everyMs: 10 * SECOND, max: 3, withinMs: 60 * MINUTE };
    const play = new Play([twice("keyed", { repeat, retry: retry({ attempts: 1 }) })]);
    play.attempt("pay", ends.unclear());
    play.pass(30 * SECOND);
    play.begin("pay/verify");
    play.end("pay/verify", { ...ends.happened(true, "half"), again: true } as AttemptEnd);
    expect(play.unit("pay")).toMatchObject({
      status: "waiting",
      iteration: 1,
      maybe: false,
      output: { v: "half" },
    });
    play.wake();
    expect(due(play.state, play.now).map(({ kind }) => kind)).toEqual(["prepare"]);
    play.attempt("pay", ends.success("all"));
    expect(play.unit("pay")).toMatchObject({ status: "succeeded", output: { v: "all" } });
  });

  test("a round that did not happen fails a repeat whose earlier rounds did, outcome done", () => {
    const repeat = { until: "done", everyMs: 10 * SECOND, max: 3, withinMs: 60 * MINUTE };
    const play = new Play([twice("keyed", { repeat, retry: retry({ attempts: 1 }) })]);
    play.attempt("pay", ends.again());
    play.wake();
    play.attempt("pay", ends.unclear());
    answer(play, false);
    expect(play.unit("pay")).toMatchObject({ status: "failed", outcome: "done" });
  });
});

describe("what is not asked about", () => {
  test("what may have happened under an earlier key: rounds of the last generation", () => {
    const repeat = { until: "done", everyMs: 10 * SECOND, max: 3, withinMs: 60 * MINUTE };
    const play = new Play([twice("keyed", { repeat, retry: retry({ attempts: 1 }) })]);
    play.attempt("pay", ends.again());
    play.take({ t: "cancel", mode: "graceful", by: "ada" });
    play.take({ t: "redrive", by: "ada", resolve: [] });
    play.attempt("pay", ends.refused());
    expect([play.status("pay"), play.unit("pay").outcome, play.unit("pay").gen]).toEqual([
      "failed",
      "unknown",
      1,
    ]);
  });

  test("what may have happened with another payload", () => {
    const play = new Play([twice("idempotent", { retry: retry({ attempts: 1 }) })]);
    play.attempt("pay", ends.unusable());
    play.take({ t: "redrive", by: "ada", resolve: [] });
    play.prepare("pay", { kind: "call", digest: "another" });
    play.attempt("pay", ends.refused());
    expect([play.status("pay"), play.unit("pay").outcome]).toEqual(["failed", "unknown"]);
  });

  test("an undoing whose attempts are used up: it failed, and is left behind", () => {
    const compensate = performance("keyed", { retry: retry({ attempts: 1 }) });
    const play = new Play([twice("keyed", { compensate }), call("after", "safe", { needs: ["pay"] })]);
    play.succeed("pay");
    play.attempt("after", ends.cannot());
    play.attempt("pay/undo", ends.unclear());
    expect([play.status("pay/undo"), leftBehind(play)]).toEqual([
      "failed",
      ["pay: done, compensation_failed"],
    ]);
  });

  test("a step that waits for its child: the child is", () => {
    const play = new Play([twice("keyed")]);
    play.attempt("pay", ends.unclear());
    play.wake();
    play.attempt("pay", ends.child());
    play.wake();
    play.attempt("pay", ends.cannot());
    expect([play.status("pay"), play.unit("pay").outcome]).toEqual(["failed", "unknown"]);
  });
});

describe("a check that is over", () => {
  test.for([true, false])("says that its answer settled the step (happened: %s)", (happened) => {
    const play = usedUp();
    answer(play, happened);
    expect(play.unit("pay").verify).toMatchObject({ status: "cancelled", answered: true });
  });

  test("that was overtaken says that it was not", () => {
    const play = usedUp();
    play.take({ t: "resolve", unit: ref("pay"), as: { as: "failed" }, by: "ada" });
    expect(play.unit("pay").verify).toMatchObject({ status: "cancelled", answered: false });
  });
});
