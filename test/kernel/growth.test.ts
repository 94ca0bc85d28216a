/** Growth: a run gains steps, and nothing that is there changes (K11). */

import { describe, expect, test } from "vitest";
import { limits, type Input, type StepDef } from "../../src/kernel/index.ts";
import { call, DAY, ends, HOUR, sleep } from "./support/build.ts";
import { Play } from "./support/play.ts";

function open(...steps: StepDef[]): Play {
  return new Play(steps, { run: { open: true } });
}

function append(steps: readonly StepDef[], ifRevision?: number): Input {
  return { t: "append", steps, by: "ada", ...(ifRevision === undefined ? {} : { ifRevision }) };
}

describe("an open run", () => {
  test("waits for its owner when it has nothing to do", () => {
    const play = open();
    expect([play.run, play.jobs()]).toEqual(["waiting", []]);
  });

  test("takes steps, which may need any that are there, and raises its revision (K11)", () => {
    const play = open(call("a"));
    play.succeed("a");
    play.take(append([call("b", "safe", { needs: ["a"] })]));
    expect([play.state.revision, play.jobs()]).toEqual([2, ["prepare b"]]);
    play.succeed("b");
    expect([play.run, play.jobs()]).toEqual(["waiting", []]);
  });

  test("takes steps in any order", () => {
    const play = open();
    play.take(append([call("b", "safe", { needs: ["a"] }), call("a")]));
    expect(play.jobs()).toEqual(["prepare a"]);
  });

  test("takes steps while paused, and while it runs", () => {
    const play = open(call("a"));
    play.begin("a");
    play.take(append([call("b")]));
    play.take({ t: "pause", by: "ada" });
    play.take(append([call("c")]));
    play.take({ t: "resume", by: "ada" });
    expect(play.jobs()).toEqual(["prepare b", "prepare c"]);
  });

  test("a step that needs one that failed is skipped at once", () => {
    const play = open(call("a"));
    play.attempt("a", ends.cannot());
    play.take(append([call("b", "safe", { needs: ["a"] })]));
    expect(play.status("b")).toBe("skipped");
  });

  test("what the door pins to a step is not its content: sent again, it is the same step, bound as it was", () => {
    const play = open();
    const policies = [{ inline: false }];
    play.take(append([{ ...call("a"), policies, approval: { limitMs: HOUR } }]));
    expect(play.take(append([call("a")]))).toEqual([]);
    expect(play.take(append([{ ...call("a"), policies: [] }]))).toEqual([]);
    expect(play.take(append([{ ...call("a"), grown: true }]))).toEqual([]);
    expect(play.state.graph.steps[0]).toMatchObject({ policies, approval: { limitMs: HOUR } });
    expect(play.refusal(append([call("a", "once")]))).toBe("step_exists");
  });

  test("an append of what is there changes nothing, at whatever revision", () => {
    const play = open();
    play.take(append([call("a")]));
    expect(play.take(append([call("a")]))).toEqual([]);
    expect(play.take(append([call("a")], 1))).toEqual([]);
    expect(play.state.revision).toBe(2);
  });

  test("an append of the same name with other content is refused", () => {
    const play = open(call("a"));
    expect(play.refusal(append([call("a", "keyed")]))).toBe("step_exists");
    expect(play.refusal(append([call("b"), call("a", "keyed")]))).toBe("step_exists");
    expect(play.statuses()).toEqual({ a: "pending" });
  });

  test("If-Match on another revision is refused, and nothing is added", () => {
    const play = open();
    play.take(append([call("a")], 1));
    expect(play.refusal(append([call("b")], 1))).toBe("revision_mismatch");
    play.take(append([call("b")], 2));
    expect(play.state.revision).toBe(3);
  });

  test.for([
    ["a cycle", [call("b", "safe", { needs: ["c"] }), call("c", "safe", { needs: ["b"] })]],
    ["an unknown need", [call("b", "safe", { needs: ["nothing"] })]],
    ["two of one name", [call("b"), call("b")]],
    ["a bad name", [call("B!")]],
    ["an onFailure step", [call("b", "safe", { part: "on_failure" })]],
  ] as const)("refuses %s, with a pointer, and adds nothing", ([, steps]) => {
    const play = open(call("a"));
    const decision = play.send(append(steps));
    expect(decision).toMatchObject({ ok: false, refusal: { code: "bad_graph" } });
    expect(decision.ok ? [] : decision.refusal.details?.map(({ pointer }) => pointer.slice(0, 8))).toEqual(
      expect.arrayContaining([expect.stringMatching(/^\/steps\/[bB]/)]),
    );
    expect(play.state.revision).toBe(1);
  });

  test("closed by its owner ends when its steps have; closing twice is closing once", () => {
    const play = open(call("a"));
    play.take({ t: "close" });
    expect(play.take({ t: "close" })).toEqual([]);
    play.succeed("a");
    expect(play.jobs()).toEqual(["output"]);
    play.finish("over");
    expect(play.run).toBe("succeeded");
  });

  test("that is closed, or that ended, takes nothing new; what it has it still answers for", () => {
    const play = open(call("a"));
    play.take({ t: "close" });
    expect(play.refusal(append([call("b")]))).toBe("not_open");
    expect(play.take(append([call("a")]))).toEqual([]);
    expect(play.refusal(append([call("a", "keyed")]))).toBe("step_exists");
    play.succeed("a");
    play.finish();
    expect(play.refusal(append([call("b")]))).toBe("not_open");
  });

  test("idle for its limit closes itself and ends", () => {
    const play = open(call("a"));
    play.succeed("a");
    play.pass(limits.IDLE_LIMIT_MS - 1);
    expect(play.state.closed).toBe(false);
    play.pass(1);
    expect([play.state.closed, play.last("closed").by, play.jobs()]).toEqual([true, "idle", ["output"]]);
  });

  test("is not idle while a step works or waits, and counts from its last step or append", () => {
    const play = open(sleep("a"));
    play.prepare("a", { kind: "timer", ms: 2 * DAY });
    play.pass(2 * DAY);
    expect([play.status("a"), play.state.closed]).toEqual(["succeeded", false]);
    play.pass(HOUR);
    play.take(append([call("b")]));
    play.succeed("b");
    play.pass(limits.IDLE_LIMIT_MS - 1);
    expect(play.state.closed).toBe(false);
  });
});

describe("a run that is not open", () => {
  test("cannot be appended to, nor closed", () => {
    const play = new Play([call("a")]);
    expect(play.refusal(append([call("b")]))).toBe("not_open");
    expect(play.refusal({ t: "close" })).toBe("not_open");
  });
});

describe("a step that returns more steps", () => {
  test("grows the run, open or not; they may need it", () => {
    const play = new Play([call("a")]);
    play.attempt("a", ends.success("plan", [call("b", "safe", { needs: ["a"] }), call("c")]));
    expect([play.state.revision, play.jobs()]).toEqual([2, ["prepare b", "prepare c"]]);
    expect(play.last("grew").by).toBe("a");
  });

  test("fails with growth_refused if they do not fit; what it did stays done", () => {
    const play = new Play([call("a", "keyed")]);
    play.attempt("a", ends.success("plan", [call("b", "safe", { needs: ["nothing"] })]));
    expect(play.unit("a")).toMatchObject({
      status: "failed",
      outcome: "done",
      failure: { code: "growth_refused" },
    });
    expect(play.statuses()).not.toHaveProperty("b");
  });

  test("does not grow a run that is lost", () => {
    const play = new Play([call("a"), call("bomb")]);
    play.begin("a");
    play.attempt("bomb", ends.cannot());
    play.end("a", ends.success("plan", [call("b")]));
    expect([play.status("a"), Object.keys(play.statuses())]).toEqual(["succeeded", ["a", "bomb"]]);
  });

  test("grows nothing from an undoing", () => {
    const play = new Play([call("a", "keyed", { compensate: { ...call("x", "idempotent") } }), call("bomb")]);
    play.succeed("a");
    play.attempt("bomb", ends.cannot());
    play.attempt("a/undo", ends.success("plan", [call("b")]));
    expect(play.state.revision).toBe(1);
  });
});
