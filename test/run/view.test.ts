/** How units are shown where what the journal holds is not what its reader needs. */

import { describe, expect, test } from "vitest";
import type { UnitView } from "../../src/run/rpc.ts";
import { viewRun, viewStep } from "../../src/run/view.ts";
import { call, ends, performance, retry, SECOND, verify } from "../kernel/support/build.ts";
import { Play, ref } from "../kernel/support/play.ts";

const showing = { read: () => null, reveal: true };

function shown(play: Play, name: string): UnitView & { readonly items?: readonly UnitView[] } {
  const found = viewRun(play.state, 1, showing).steps.find((step) => step.name === name);
  if (found === undefined) throw new Error(name);
  return found;
}

describe("a step whose outcome is unknown", () => {
  const resolve = "POST /v1/runs/run_1/steps/pay/resolve with";

  test("says how it is resolved, and that the same again would not help", () => {
    const play = new Play([call("pay", "once")]);
    play.attempt("pay", ends.unclear());
    const { failure } = shown(play, "pay");
    expect(failure).toMatchObject({ code: "http_500", retryable: false });
    expect(failure?.hint).toContain(`${resolve} {"as": "succeeded", "output": …}`);
    expect(failure?.hint).toContain('{"as": "retry"}');
    expect(failure?.hint).toContain('{"as": "failed"}');
    const { def, unit } = { def: play.state.graph.steps[0], unit: play.unit("pay") };
    expect(def && viewStep(play.state, def, unit, showing).failure).toEqual(failure);
  });

  test("says that it is being asked about, as long as it is", () => {
    const play = new Play([call("pay", "once", { verify: verify() })]);
    play.attempt("pay", ends.unclear());
    expect(shown(play, "pay").failure?.hint).toContain("is being asked (`check`)");
    play.wake();
    play.attempt("pay/verify", ends.happened(null));
    expect(shown(play, "pay")).toMatchObject({
      check: { status: "failed", failure: { code: "verify_inconclusive" } },
    });
    expect(shown(play, "pay").failure?.hint).toContain("Nobody knows");
  });

  test("names the item, and the undoing, that is meant", () => {
    const forEach = { list: null, concurrency: 1, tolerate: 0 };
    const play = new Play([
      call("pay", "once", { forEach, compensate: performance("once") }),
      call("after", "safe", { needs: ["pay"] }),
    ]);
    play.prepare("pay", { kind: "list", list: { v: [1] }, count: 1 });
    play.attempt("pay[0]", ends.unclear());
    expect(shown(play, "pay").items?.[0]?.failure?.hint).toContain(
      `${resolve} {"as": "succeeded", "output": …, "item": 0}`,
    );
    play.take({ t: "resolve", unit: ref("pay[0]"), as: { as: "succeeded", output: { v: 1 } }, by: "ada" });
    play.attempt("after", ends.cannot());
    play.attempt("pay[0]/undo", ends.unclear());
    expect(shown(play, "pay").items?.[0]?.compensation?.failure?.hint).toContain(
      '{"as": "retry", "item": 0, "undo": true}',
    );
  });

  test("that was settled has its own failure again", () => {
    const play = new Play([call("pay", "once")]);
    play.attempt("pay", ends.unclear());
    play.take({ t: "resolve", unit: ref("pay"), as: { as: "failed", note: "no card" }, by: "ada" });
    expect(shown(play, "pay").failure).toMatchObject({ code: "resolved_as_failed", message: "no card" });
  });
});

describe("a check", () => {
  function checked(): Play {
    const play = new Play([call("pay", "keyed", { retry: retry({ attempts: 1 }), verify: verify() })]);
    play.attempt("pay", ends.unclear());
    play.wake();
    return play;
  }

  test.for([true, false])("whose answer settled the step succeeded (happened: %s)", (happened) => {
    const play = checked();
    play.attempt("pay/verify", ends.happened(happened));
    expect(shown(play, "pay").check).toEqual({ status: "succeeded", failure: null });
  });

  test("whose answer settled a step of a run that was lost succeeded as well", () => {
    const play = checked();
    play.take({ t: "cancel", mode: "graceful", by: "ada" });
    play.attempt("pay/verify", ends.happened(false));
    expect(shown(play, "pay")).toMatchObject({ status: "cancelled", check: { status: "succeeded" } });
  });

  test("that was overtaken is cancelled", () => {
    const play = checked();
    play.take({ t: "resolve", unit: ref("pay"), as: { as: "succeeded", output: { v: 1 } }, by: "ada" });
    expect(shown(play, "pay").check?.status).toBe("cancelled");
  });
});

describe("steps that never came to their turn", () => {
  const steps = [call("a"), call("tell", "keyed", { part: "on_failure" })];

  test("are pending while the run goes on, and skipped, not done, once it has succeeded", () => {
    const play = new Play(steps);
    expect(shown(play, "tell")).toMatchObject({ status: "pending", outcome: null });
    play.succeed("a");
    play.finish();
    expect(shown(play, "tell")).toMatchObject({ status: "skipped", outcome: "not_done", attempts: 0 });
  });
});

describe("a failure", () => {
  test("counts the attempts that the step counts, over all rounds", () => {
    const repeat = { until: null, everyMs: SECOND, max: 2, withinMs: 60 * SECOND };
    const play = new Play([call("poll", "safe", { repeat })]);
    play.attempt("poll", ends.again());
    play.wake();
    play.attempt("poll", ends.again());
    expect(shown(play, "poll")).toMatchObject({
      attempts: 2,
      failure: { code: "repeat_exhausted", attempt: 2, attempts: 2 },
    });
  });
});
