/** `forEach`: a status, attempts, key and compensation for each item; a cap; a tolerated number of failures. */

import { describe, expect, test } from "vitest";
import { keyOf, limits, type Effect, type StepDef } from "../../src/kernel/index.ts";
import { call, ends, HOUR, performance, verify } from "./support/build.ts";
import { leftBehind, Play, ref } from "./support/play.ts";

function each(
  over: Partial<NonNullable<StepDef["forEach"]>> = {},
  effect: Effect = "keyed",
  step: Partial<StepDef> = {},
): StepDef {
  return call("mails", effect, { forEach: { list: "to", concurrency: 2, tolerate: 0, ...over }, ...step });
}

/** Fills in the list of `mails`. */
function expand(play: Play, count = 3): Play {
  play.prepare("mails", { kind: "list", list: { v: Array.from({ length: count }, (_, i) => i) }, count });
  return play;
}

describe("forEach", () => {
  test("gives the outputs in order, whatever the order of the answers", () => {
    const play = expand(new Play([each({ concurrency: 3 })]));
    for (const item of ["mails[2]", "mails[0]", "mails[1]"]) play.begin(item);
    for (const i of [1, 2, 0]) play.end(`mails[${i}]`, ends.success(`to ${i}`));
    expect(play.unit("mails")).toMatchObject({
      status: "succeeded",
      output: { list: [{ v: "to 0" }, { v: "to 1" }, { v: "to 2" }] },
    });
  });

  test("whose outputs are too large together fails with outcome done, and its items are undone with the run", () => {
    const play = expand(
      new Play([each({ concurrency: 2 }, "keyed", { compensate: performance("keyed") })]),
      2,
    );
    for (const i of [0, 1]) {
      play.begin(`mails[${i}]`);
      play.end(`mails[${i}]`, {
        kind: "success",
        output: { ref: [1, i], bytes: limits.MAX_LIST_BYTES / 2 + 1 },
      });
    }
    expect(play.unit("mails")).toMatchObject({ status: "failed", outcome: "done" });
    expect(play.unit("mails").failure?.code).toBe("output_too_large");
    expect(play.jobs()).toEqual(["prepare mails[0]/undo", "prepare mails[1]/undo"]);
  });

  test("an empty list succeeds at once", () => {
    const play = expand(new Play([each()]), 0);
    expect(play.unit("mails")).toMatchObject({ status: "succeeded", output: { list: [] } });
  });

  test("a list longer than the limit fails with invalid_list, and nothing has begun", () => {
    const play = expand(new Play([each()]), limits.MAX_ITEMS + 1);
    expect(play.unit("mails")).toMatchObject({ status: "failed", outcome: "not_done", items: null });
    expect(play.unit("mails").failure?.code).toBe("invalid_list");
  });

  test("has at most its concurrency in work, an item that backs off included", () => {
    const play = expand(new Play([each({ concurrency: 2 })]), 4);
    play.begin("mails[0]");
    play.begin("mails[1]");
    expect(play.jobs()).toEqual([]);
    expect(play.refusal({ t: "begin", unit: ref("mails[2]"), attempt: 1, version: "v1" })).toBe("not_due");
    play.end("mails[0]", ends.refused());
    expect(play.jobs()).toEqual([]);
    play.end("mails[1]", ends.success());
    expect(play.jobs()).toEqual(["prepare mails[2]"]);
  });

  test("keeps its cap when an item that was unknown is to be tried again", () => {
    const play = expand(new Play([each({ concurrency: 1 }, "once")]), 2);
    play.attempt("mails[0]", ends.unclear());
    play.begin("mails[1]");
    play.take({ t: "resolve", unit: ref("mails[0]"), as: { as: "retry" }, by: "ada" });
    expect([play.status("mails[0]"), play.jobs()]).toEqual(["backing_off", []]);
    play.end("mails[1]", ends.success());
    expect(play.jobs()).toEqual(["attempt mails[0]"]);
  });

  test("gives each item a key of its own (K6)", () => {
    const play = expand(new Play([each()]));
    const keys = [0, 1, 2].map((i) => keyOf("run_1", ref(`mails[${i}]`), play.unit(`mails[${i}]`)));
    expect(new Set(keys).size).toBe(3);
  });

  test("tolerates as many failures as it says; the output of a failed item is null", () => {
    const play = expand(new Play([each({ concurrency: 3, tolerate: 1 })]));
    play.attempt("mails[0]");
    play.attempt("mails[1]", ends.cannot());
    play.attempt("mails[2]");
    expect(play.unit("mails")).toMatchObject({
      status: "succeeded",
      output: { list: [{ v: "ok" }, null, { v: "ok" }] },
    });
  });

  test("beyond that: nothing new begins, running items drain, succeeded ones are undone, then it fails", () => {
    const compensate = performance("idempotent");
    const play = expand(new Play([each({ concurrency: 3 }, "keyed", { compensate })]), 4);
    play.attempt("mails[0]");
    play.begin("mails[1]");
    play.attempt("mails[2]", ends.cannot());
    expect(play.unit("mails[3]").status).toBe("cancelled");
    expect([play.status("mails"), play.jobs(), play.run]).toEqual(["running", [], "running"]);
    play.end("mails[1]", ends.success());
    expect(play.jobs()).toEqual(["prepare mails[0]/undo", "prepare mails[1]/undo"]);
    play.succeed("mails[0]/undo", "mails[1]/undo");
    expect(play.unit("mails")).toMatchObject({ status: "failed", outcome: "not_done" });
    expect(play.state.failure).toMatchObject({
      code: "too_many_failures",
      left_behind: [],
      undone: [{ item: 0 }, { item: 1 }],
    });
  });

  test("an item that would be retried is not, once its forEach gives up, also not in a step of onFailure", () => {
    const handler = each({ concurrency: 2 }, "idempotent", { part: "on_failure" });
    const play = new Play([call("a"), handler]);
    play.attempt("a", ends.cannot());
    expand(play, 2);
    play.begin("mails[0]");
    play.attempt("mails[1]", ends.cannot());
    play.end("mails[0]", ends.unclear());
    expect([play.status("mails[0]"), play.status("mails"), play.run]).toEqual([
      "cancelled",
      "failed",
      "failed",
    ]);
  });

  test("an item that would be retried is not, once its forEach gives up", () => {
    const play = expand(new Play([each({ concurrency: 2 })]), 2);
    play.begin("mails[0]");
    play.attempt("mails[1]", ends.cannot());
    play.end("mails[0]", ends.unclear());
    expect(play.unit("mails[0]")).toMatchObject({ status: "cancelled", outcome: "unknown" });
    expect(leftBehind(play)).toEqual(["mails[0]: unknown, outcome_unknown"]);
  });

  test("an item may be unknown, is asked about by itself, and resolved by itself", () => {
    const play = expand(new Play([each({ concurrency: 3 }, "once", { verify: verify() })]));
    play.succeed("mails[0]");
    play.attempt("mails[1]", ends.unclear());
    play.attempt("mails[2]", ends.unclear());
    expect(play.run).toBe("waiting");
    play.wake();
    expect(play.jobs()).toEqual(["prepare mails[1]/verify", "prepare mails[2]/verify"]);
    play.attempt("mails[1]/verify", ends.happened(true, "sent"));
    play.take({
      t: "resolve",
      unit: ref("mails[2]"),
      as: { as: "succeeded", output: { v: "seen" } },
      by: "ada",
    });
    expect(play.unit("mails").output).toEqual({ list: [{ v: "ok" }, { v: "sent" }, { v: "seen" }] });
  });

  test("a failed item names itself in the failure", () => {
    const play = expand(new Play([each({ concurrency: 3 })]));
    play.attempt("mails[1]", ends.cannot());
    expect(play.unit("mails[1]").failure).toMatchObject({ step: "mails", item: 1, attempt: 1, attempts: 1 });
  });

  test("an undoing that nobody could tell about ends the forEach, and does not grow the run", () => {
    const compensate = performance("once");
    const play = expand(
      new Play([
        each({ concurrency: 3 }, "keyed", { compensate, unknownLimitMs: HOUR, onFailure: "continue" }),
      ]),
    );
    play.succeed("mails[0]", "mails[1]");
    play.attempt("mails[2]", ends.cannot());
    play.attempt("mails[0]/undo", ends.success("undone", [call("more")]));
    play.attempt("mails[1]/undo", ends.unclear());
    expect(play.status("mails")).toBe("running");
    play.pass(HOUR);
    expect([play.unit("mails").status, play.unit("mails").outcome]).toEqual(["failed", "done"]);
    expect([play.state.phase, play.state.revision, play.jobs()]).toEqual(["forward", 1, ["output"]]);
  });

  test("onFailure: continue keeps the run going after the items are undone", () => {
    const play = expand(
      new Play([each({}, "keyed", { onFailure: "continue", compensate: performance("keyed") })]),
      2,
    );
    play.succeed("mails[0]");
    play.attempt("mails[1]", ends.cannot());
    play.succeed("mails[0]/undo");
    expect([play.status("mails"), play.jobs()]).toEqual(["failed", ["output"]]);
  });

  test("a run that is lost while a forEach runs cancels what has not begun, and undoes the rest", () => {
    const play = expand(
      new Play([each({ concurrency: 1 }, "keyed", { compensate: performance("idempotent") }), call("other")]),
    );
    play.succeed("mails[0]");
    play.begin("mails[1]");
    play.attempt("other", ends.cannot());
    expect([play.status("mails[2]"), play.state.phase]).toEqual(["cancelled", "draining"]);
    play.end("mails[1]", ends.success());
    expect([play.status("mails"), play.jobs()]).toEqual([
      "cancelled",
      ["prepare mails[0]/undo", "prepare mails[1]/undo"],
    ]);
    play.succeed("mails[0]/undo", "mails[1]/undo");
    expect(play.run).toBe("failed");
  });

  test("items that all ended well while the run drained make a step that succeeded", () => {
    const play = expand(new Play([each({ concurrency: 2, tolerate: 1 }), call("other")]), 2);
    play.begin("mails[0]");
    play.begin("mails[1]");
    play.attempt("other", ends.cannot());
    play.end("mails[0]", ends.cannot());
    play.end("mails[1]", ends.success());
    expect(play.status("mails")).toBe("succeeded");
  });
});
