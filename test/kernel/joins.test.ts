/** Join rules and conditions (K2). */

import { describe, expect, test } from "vitest";
import type { Join, StepDef, UnitStatus } from "../../src/kernel/index.ts";
import { call, ends, instant } from "./support/build.ts";
import { Play } from "./support/play.ts";

const NEEDS: Readonly<Record<string, Partial<StepDef>>> = {
  succeeded: {},
  fallback: { onFailure: { fallback: "instead" } },
  failed: { onFailure: "continue" },
  skipped: { when: "never" },
};

/** Settles the need `name` as its first word says. */
function settle(play: Play, name: string): void {
  const how = name.split("-")[0];
  if (how === "skipped") play.prepare(name, { kind: "skip" });
  else play.attempt(name, how === "succeeded" ? ends.success() : ends.cannot());
}

function start(join: Join, needs: readonly string[]): Play {
  const steps = needs.map((name) => call(name, "safe", NEEDS[name.split("-")[0] ?? ""]));
  return new Play([...steps, call("after", "safe", { needs, join })]);
}

const TABLE: readonly (readonly [Join, readonly string[], UnitStatus])[] = [
  ["all", [], "pending"],
  ["all", ["succeeded-1", "succeeded-2"], "pending"],
  ["all", ["succeeded-1", "fallback-2"], "pending"],
  ["all", ["succeeded-1", "failed-2"], "skipped"],
  ["all", ["succeeded-1", "skipped-2"], "skipped"],
  ["any", [], "pending"],
  ["any", ["failed-1", "succeeded-2"], "pending"],
  ["any", ["skipped-1", "fallback-2"], "pending"],
  ["any", ["skipped-1", "failed-2"], "skipped"],
  ["settled", [], "pending"],
  ["settled", ["failed-1", "skipped-2"], "pending"],
  ["settled", ["succeeded-1", "failed-2"], "pending"],
];

describe("joins (K2)", () => {
  test.for(TABLE)("%s of %j: the step is then %s", ([join, needs, status]) => {
    const play = start(join, needs);
    for (const need of needs) {
      expect(play.jobs()).not.toContain("prepare after");
      settle(play, need);
    }
    expect(play.status("after")).toBe(status);
    expect(play.jobs().includes("prepare after")).toBe(status === "pending");
  });

  test("all: skipped as soon as one settles otherwise, while a sibling still runs", () => {
    const play = start("all", ["succeeded-1", "failed-2"]);
    play.begin("succeeded-1");
    settle(play, "failed-2");
    expect(play.statuses()).toMatchObject({ "succeeded-1": "running", after: "skipped" });
  });

  test.for(["any", "settled"] as const)("%s waits until every need is settled", (join) => {
    const play = start(join, ["succeeded-1", "failed-2"]);
    settle(play, "succeeded-1");
    expect([play.status("after"), play.jobs().includes("prepare after")]).toEqual(["pending", false]);
    settle(play, "failed-2");
    expect(play.jobs()).toContain("prepare after");
  });

  test("a skip goes on down the graph in one turn", () => {
    const play = new Play([
      call("a", "safe", { onFailure: "continue" }),
      call("b", "safe", { needs: ["a"] }),
      call("c", "safe", { needs: ["b"] }),
      call("d", "safe", { needs: ["c"], join: "settled" }),
    ]);
    const facts = play.attempt("a", ends.cannot());
    expect(facts.map((fact) => fact.t)).toEqual(["failed", "skipped", "skipped"]);
    expect(play.jobs()).toEqual(["prepare d"]);
  });

  test("steps whose needs are met run side by side", () => {
    const play = new Play([
      call("a"),
      call("b", "safe", { needs: ["a"] }),
      call("c", "safe", { needs: ["a"] }),
      call("d", "safe", { needs: ["b", "c"] }),
    ]);
    play.succeed("a");
    expect(play.jobs()).toEqual(["prepare b", "prepare c"]);
    play.begin("b");
    play.begin("c");
    expect(play.statuses()).toMatchObject({ b: "running", c: "running" });
    play.end("c", ends.success());
    play.end("b", ends.success());
    play.succeed("d");
    expect(play.jobs()).toEqual(["output"]);
    play.finish("over");
    expect([play.run, play.state.output]).toEqual(["succeeded", { v: "over" }]);
  });

  test("a need named twice is one need", () => {
    const play = new Play([call("a"), call("b", "safe", { needs: ["a", "a"] })]);
    play.succeed("a");
    expect(play.jobs()).toEqual(["prepare b"]);
    expect(play.state.live).toEqual([1]);
  });

  test("a step that is not due is neither prepared nor begun", () => {
    const play = new Play([call("a"), call("b", "safe", { needs: ["a"] })]);
    const unit = { step: "b" };
    expect(play.refusal({ t: "prepared", unit, prepared: { kind: "call", digest: "d" } })).toBe("not_due");
    expect(play.refusal({ t: "begin", unit, attempt: 1, version: "v1" })).toBe("not_due");
  });
});

describe("when", () => {
  test("false skips the step: its outcome is not_done, and nothing was attempted", () => {
    const play = new Play([call("a", "once", { when: "no" })]);
    play.prepare("a", { kind: "skip" });
    expect(play.unit("a")).toMatchObject({ status: "skipped", outcome: "not_done", attempt: 0 });
  });

  test("is read once: a retry does not ask again", () => {
    const play = new Play([call("a", "safe", { when: "yes" })]);
    play.attempt("a", ends.refused());
    play.wake();
    expect(play.jobs()).toEqual(["attempt a"]);
  });

  test("is read when the join is met, not before", () => {
    const play = new Play([call("a"), call("b", "safe", { needs: ["a"], when: "yes" })]);
    expect(play.refusal({ t: "prepared", unit: { step: "b" }, prepared: { kind: "skip" } })).toBe("not_due");
  });
});

describe("steps that are computed", () => {
  test("succeed in the turn that prepares them", () => {
    const play = new Play([instant("a"), call("b", "safe", { needs: ["a"] })]);
    play.prepare("a", { kind: "done", output: { v: 7 } });
    expect(play.unit("a")).toMatchObject({ status: "succeeded", output: { v: 7 }, attempt: 0 });
    expect(play.jobs()).toEqual(["prepare b"]);
  });

  test("what does not fit the kind of the step fails it, so that it is not due for ever", () => {
    for (const prepared of [
      { kind: "done", output: { v: 1 } },
      { kind: "timer", ms: 1 },
      { kind: "signal", limitMs: 1 },
      { kind: "list", list: { v: [] }, count: 0 },
    ] as const) {
      const play = new Play([call("a")]);
      play.prepare("a", prepared);
      expect(play.unit("a").failure?.code).toBe("template_failed");
    }
  });
});
