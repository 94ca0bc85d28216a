/** `repeat`: rounds of polling, each with a key of its own, bounded by count and by time. */

import { describe, expect, test } from "vitest";
import { keyOf, type Effect, type StepDef } from "../../src/kernel/index.ts";
import { call, ends, HOUR, MINUTE, retry, SECOND } from "./support/build.ts";
import { Play, ref } from "./support/play.ts";

function poll(
  effect: Effect = "safe",
  over: Partial<NonNullable<StepDef["repeat"]>> = {},
  step: Partial<StepDef> = {},
) {
  return call("poll", effect, {
    repeat: { until: "done", everyMs: 10 * SECOND, max: 5, withinMs: HOUR, ...over },
    ...step,
  });
}

describe("repeat", () => {
  test("goes on after its interval until the condition holds; only the last output is kept", () => {
    const play = new Play([poll()]);
    play.attempt("poll", ends.again("at work"));
    expect([play.status("poll"), play.run, play.jobs()]).toEqual(["waiting", "waiting", []]);
    play.pass(10 * SECOND - 1);
    expect(play.jobs()).toEqual([]);
    play.pass(1);
    expect(play.jobs()).toEqual(["prepare poll"]);
    play.attempt("poll", ends.success("ready"));
    expect(play.unit("poll")).toMatchObject({ status: "succeeded", output: { v: "ready" }, attempt: 2 });
  });

  test("each round has a key of its own, and all attempts of a round have the same (K6)", () => {
    const play = new Play([poll("keyed")]);
    const key = (): string => keyOf("run_1", ref("poll"), play.unit("poll"));
    const first = key();
    play.attempt("poll", ends.unclear());
    play.wake();
    expect(key()).toBe(first);
    play.attempt("poll", ends.again());
    expect(key()).not.toBe(first);
  });

  test("each round has all the attempts of the policy", () => {
    const play = new Play([poll("safe", {}, { retry: retry({ attempts: 2 }) })]);
    play.attempt("poll", ends.unclear());
    play.wake();
    play.attempt("poll", ends.again());
    play.wake();
    play.attempt("poll", ends.unclear());
    expect(play.status("poll")).toBe("backing_off");
    play.wake();
    play.attempt("poll", ends.unclear());
    expect(play.unit("poll").failure).toMatchObject({ code: "http_500", attempt: 4, attempts: 4 });
  });

  test("is bounded by count", () => {
    const play = new Play([poll("idempotent", { max: 2 })]);
    play.attempt("poll", ends.again());
    play.wake();
    play.attempt("poll", ends.again());
    expect(play.unit("poll")).toMatchObject({ status: "failed", outcome: "done" });
    expect(play.state.failure?.code).toBe("repeat_exhausted");
  });

  test("is bounded by time", () => {
    const play = new Play([poll("safe", { withinMs: 15 * SECOND })]);
    play.attempt("poll", ends.again());
    play.wake();
    play.attempt("poll", ends.again());
    expect(play.unit("poll")).toMatchObject({ status: "failed", outcome: "not_done" });
    expect(play.unit("poll").failure?.code).toBe("repeat_exhausted");
  });

  test("earlier rounds did happen: a later one that cannot work leaves the outcome done", () => {
    const play = new Play([poll("keyed")]);
    play.attempt("poll", ends.again());
    play.wake();
    play.attempt("poll", ends.cannot());
    expect(play.unit("poll")).toMatchObject({ status: "failed", outcome: "done" });
  });

  test("no new round begins in a run that is lost: the answer counts as the last", () => {
    const play = new Play([poll(), call("other")]);
    play.begin("poll");
    play.attempt("other", ends.cannot());
    play.end("poll", ends.again("last seen"));
    expect(play.unit("poll")).toMatchObject({ status: "succeeded", output: { v: "last seen" } });
  });

  test("no new round begins while paused, and none is lost by it", () => {
    const play = new Play([poll()]);
    play.attempt("poll", ends.again());
    play.take({ t: "pause", by: "ada" });
    play.pass(MINUTE);
    expect(play.jobs()).toEqual([]);
    play.take({ t: "resume", by: "ada" });
    expect(play.jobs()).toEqual(["prepare poll"]);
  });
});
