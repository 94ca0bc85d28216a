/** Child runs: a unit hands over, waits, looks, and lets nobody go on without it. */

import { describe, expect, test } from "vitest";
import { due, nextWake, type Unit } from "../../src/kernel/index.ts";
import { call, DAY, ends, HOUR, MINUTE, performance } from "./support/build.ts";
import { Play } from "./support/play.ts";

/** A run whose step `sub` has a child, and waits for it. */
function handedOver(over: Parameters<typeof call>[2] = {}): Play {
  const play = new Play([
    call("sub", "keyed", over),
    call("after", "safe", { needs: ["sub"], join: "settled" }),
  ]);
  play.attempt("sub", ends.child());
  return play;
}

const childOf = (play: Play): Unit["child"] => play.unit("sub").child;

describe("a unit with a child", () => {
  test("waits for it, with the child's limit as its own, and has nothing in flight", () => {
    const play = handedOver();
    expect(play.unit("sub")).toMatchObject({ status: "waiting", deadline: play.now + DAY, maybe: false });
    expect([play.run, play.jobs(), childOf(play)?.run]).toEqual(["waiting", [], "run_2"]);
  });

  test("looks at once when the child tells that it has ended, and what it sees then counts", () => {
    const play = handedOver();
    play.take(play.childEnded("sub"));
    expect(play.jobs()).toEqual(["attempt sub"]);
    play.attempt("sub", ends.success("of the child"));
    expect(play.unit("sub")).toMatchObject({
      status: "succeeded",
      outcome: "done",
      output: { v: "of the child" },
    });
  });

  test("looks by itself should the message be lost: after a minute, then less and less often (K3)", () => {
    const play = handedOver();
    const waits = [];
    for (let look = 0; look < 9; look++) {
      waits.push(((nextWake(play.state, play.now) ?? 0) - play.now) / MINUTE);
      play.wake();
      expect(play.jobs()).toEqual(["attempt sub"]);
      play.attempt("sub", ends.child());
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60]);
    expect(play.unit("sub")).toMatchObject({ tries: 0, attempt: 10 });
  });

  test.for(["refused", "unclear"] as const)(
    "is no wiser by a look that was %s, however often, and goes on",
    (how) => {
      const play = handedOver();
      for (let look = 0; look < 8; look++) {
        play.wake();
        play.attempt("sub", ends[how]());
        expect(play.status("sub")).toBe("waiting");
      }
      play.wake();
      play.begin("sub");
      play.lose("sub");
      expect(play.status("sub")).toBe("waiting");
    },
  );

  test("does not forget a message that comes while it looks", () => {
    const play = handedOver();
    play.wake();
    play.begin("sub");
    play.take(play.childEnded("sub"));
    play.end("sub", ends.child());
    expect(play.jobs()).toEqual(["attempt sub"]);
  });

  test("hears a message once, and only of the child and generation that it waits for", () => {
    const play = handedOver();
    for (const over of [{ generation: 2 }, { run: "run_3" }])
      expect(play.take(play.childEnded("sub", over))).toEqual([]);
    expect(play.take(play.childEnded("sub"))).toHaveLength(1);
    expect(play.take(play.childEnded("sub"))).toEqual([]);
  });

  test("asks to be told again, while the attempt that starts the child has not come back", () => {
    const play = new Play([call("sub", "keyed")]);
    play.begin("sub");
    expect(play.refusal(play.childEnded("sub"))).toBe("not_due");
    expect(play.refusal({ t: "child_ended", unit: { step: "no" }, run: "run_2", generation: 1 })).toBe(
      "no_such_step",
    );
  });

  test.for([
    ["not_done", "not_done"],
    ["done", "done"],
    ["unknown", "unknown"],
  ] as const)(
    "fails with child_failed if the child did, and what that left (%s) is its outcome",
    ([left, outcome]) => {
      const play = handedOver({ onFailure: "continue" });
      play.take(play.childEnded("sub"));
      play.attempt("sub", ends.childFailed(1, left));
      expect(play.unit("sub")).toMatchObject({
        status: "failed",
        outcome,
        failure: { code: "child_failed" },
      });
      expect(play.count("recalled")).toBe(0);
    },
  );

  test("fails with wait_expired when the child takes too long, and tells it to end", () => {
    const play = handedOver({ onFailure: "continue" });
    play.pass(DAY);
    expect(play.unit("sub")).toMatchObject({
      status: "failed",
      outcome: "unknown",
      failure: { code: "wait_expired" },
    });
    expect(play.last("recalled")).toMatchObject({ run: "run_2", generation: 1, mode: "graceful" });
  });

  test("expires at once when a look lasts past the child's limit: a second look at the clock brings nothing", () => {
    const play = new Play([call("sub", "keyed", { onFailure: "continue" }), call("other")]);
    play.attempt("sub", ends.child(1, MINUTE + 1));
    play.pass(MINUTE);
    play.begin("sub");
    play.pass(2 * MINUTE);
    expect(play.unit("sub").failure).toMatchObject({ code: "wait_expired" });
    expect(play.tick()).toEqual([]);
  });

  test("that cannot be looked after any more fails, and tells it to end", () => {
    const play = handedOver({ onFailure: "continue" });
    play.wake();
    play.attempt("sub", ends.cannot());
    expect([play.status("sub"), play.last("recalled").run]).toEqual(["failed", "run_2"]);
    expect(play.unit("sub").outcome).toBe("unknown");
  });

  test("waits on while the run is paused, and looks when it is resumed", () => {
    const play = handedOver();
    play.take({ t: "pause", by: "ada" });
    play.take(play.childEnded("sub"));
    expect([play.jobs(), play.count("recalled")]).toEqual([[], 0]);
    play.take({ t: "resume", by: "ada" });
    expect(play.jobs()).toEqual(["attempt sub"]);
  });

  test("keeps its place among the items of a list", () => {
    const forEach = { list: "of", concurrency: 1, tolerate: 0 };
    const play = new Play([call("sub", "keyed", { forEach })]);
    play.prepare("sub");
    play.attempt("sub[0]", ends.child());
    expect(play.jobs()).toEqual([]);
    play.wake();
    expect(play.jobs()).toEqual(["attempt sub[0]"]);
    play.attempt("sub[0]", ends.success());
    expect(play.jobs()).toEqual(["prepare sub[1]"]);
  });
});

describe("a run that ends while it has children", () => {
  test("tells them to end, and drains until they have, before it undoes anything (K10)", () => {
    const play = new Play([
      call("hold", "keyed", { compensate: performance("idempotent") }),
      call("sub", "keyed", { needs: ["hold"] }),
    ]);
    play.succeed("hold");
    play.attempt("sub", ends.child());
    play.take({ t: "cancel", mode: "graceful", by: "ada" });
    expect(play.last("recalled")).toMatchObject({ mode: "graceful", generation: 1 });
    expect([play.state.phase, play.status("sub"), play.jobs()]).toEqual(["draining", "waiting", []]);
    play.take(play.childEnded("sub"));
    play.attempt("sub", ends.childFailed());
    expect([play.status("sub"), play.unit("sub").outcome]).toEqual(["cancelled", "not_done"]);
    expect([play.state.phase, play.jobs()]).toEqual(["undoing", ["prepare hold/undo"]]);
  });

  test("counts what a child had done before it heard, and undoes it", () => {
    const play = handedOver({ compensate: performance("idempotent") });
    play.take({ t: "cancel", mode: "graceful", by: "ada" });
    play.wake();
    play.attempt("sub", ends.success());
    expect([play.status("sub"), play.jobs()]).toEqual(["succeeded", ["prepare sub/undo"]]);
  });

  test("tells a child of which it hears only while it drains", () => {
    const play = new Play([call("sub", "keyed"), call("bad")]);
    play.begin("sub");
    play.attempt("bad", ends.cannot());
    play.end("sub", ends.child());
    expect([play.status("sub"), play.last("recalled").run]).toEqual(["waiting", "run_2"]);
  });

  test.for(["immediate cancel", "deadline", "budget"] as const)(
    "by %s waits for none, and says that it does not know",
    (how) => {
      const play = handedOver();
      if (how === "immediate cancel") play.take({ t: "cancel", mode: "immediate", by: "ada" });
      else if (how === "deadline") {
        play.take({ t: "child_ended", unit: { step: "sub" }, run: "run_2", generation: 1 });
        play.attempt("sub", ends.child(1));
        play.now = play.state.deadlineAt;
        // The child's own limit would come first.
        play.state = { ...play.state, units: play.state.units.map((unit) => ({ ...unit, deadline: null })) };
        play.tick();
      } else {
        play.take({ t: "cancel", mode: "graceful", by: "ada" });
        play.pass(DAY - HOUR);
        play.state = { ...play.state, units: play.state.units.map((unit) => ({ ...unit, deadline: null })) };
        play.pass(HOUR);
      }
      expect(play.last("recalled").mode).toBe("immediate");
      expect(play.unit("sub")).toMatchObject({ status: "cancelled", outcome: "unknown" });
      expect(play.state.phase).toBe("ended");
    },
  );

  test("tells a child that an aborted attempt reports in the end", () => {
    const play = new Play([call("sub", "keyed")]);
    play.begin("sub");
    play.take({ t: "cancel", mode: "immediate", by: "ada" });
    play.end("sub", ends.child(), 1);
    expect(play.last("late")).toMatchObject({ child: { run: "run_2", generation: 1 } });
  });

  test("finds the same child again when it is redriven, in its next generation", () => {
    const play = handedOver();
    play.take(play.childEnded("sub"));
    play.attempt("sub", ends.childFailed());
    play.take({ t: "redrive", by: "ada", resolve: [] });
    expect(childOf(play)).toMatchObject({ run: "run_2", generation: 1, ended: true });
    expect(due(play.state, play.now).map((job) => job.kind)).toEqual(["prepare"]);
    play.attempt("sub", ends.child(2));
    expect(play.take(play.childEnded("sub", { generation: 1 }))).toEqual([]);
    play.take(play.childEnded("sub"));
    play.attempt("sub", ends.success());
    expect(play.status("sub")).toBe("succeeded");
  });
});
