/** Attempts that were lost with the object that made them: strikes, running alone, giving up. */

import { describe, expect, test } from "vitest";
import { limits, type Effect } from "../../src/kernel/index.ts";
import { call, ends, MINUTE, retry, SECOND } from "./support/build.ts";
import { Play } from "./support/play.ts";

function heavy(effect: Effect = "safe"): Play {
  return new Play([
    call("heavy", effect, { retry: retry({ attempts: 9 }) }),
    call("light"),
    call("later", "safe", { retry: retry({ attempts: 9 }) }),
  ]);
}

/** The object dies under the unit, and time passes until it may be tried again. */
function die(play: Play, times: number, strike = true): void {
  for (let i = 0; i < times; i++) {
    play.begin("heavy");
    play.lose("heavy", strike);
    if (play.status("heavy") === "backing_off") play.pass(5 * MINUTE);
  }
}

describe("a lost attempt", () => {
  test("counts like any unclear end: it is retried as the effect allows", () => {
    for (const effect of ["safe", "idempotent", "keyed"] as const) {
      const play = heavy(effect);
      die(play, 1);
      expect(play.unit("heavy")).toMatchObject({ status: "backing_off", tries: 1, maybe: effect !== "safe" });
    }
    const play = heavy("once");
    die(play, 1);
    expect(play.status("heavy")).toBe("unknown");
  });

  test("uses up the attempts", () => {
    const play = new Play([call("heavy", "keyed", { retry: retry({ attempts: 1 }) })]);
    die(play, 1);
    expect(play.unit("heavy")).toMatchObject({
      status: "failed",
      outcome: "unknown",
      failure: { code: "attempt_lost" },
    });
  });

  test("that is not in flight any more is refused", () => {
    const play = heavy();
    const lost = { t: "attempt_lost", unit: { step: "heavy" }, attempt: 1, strike: true } as const;
    expect(play.refusal(lost)).toBe("not_due");
    play.attempt("heavy");
    expect(play.refusal(lost)).toBe("not_due");
  });
});

describe("strikes", () => {
  test("after two the step runs alone: it waits for the others, and then they wait for it", () => {
    const play = heavy();
    die(play, 1);
    play.begin("heavy");
    play.lose("heavy");
    play.begin("light");
    play.prepare("later");
    expect(play.jobs()).toEqual(["attempt later"]);
    play.pass(5 * SECOND);
    expect(play.jobs()).toEqual([]);
    expect(play.refusal({ t: "begin", unit: { step: "later" }, attempt: 1, version: "v1" })).toBe("not_due");
    play.end("light", ends.success());
    expect(play.jobs()).toEqual(["attempt heavy"]);
    play.begin("heavy");
    expect(play.jobs()).toEqual([]);
    play.end("heavy", ends.success());
    expect(play.jobs()).toEqual(["attempt later"]);
  });

  test("while it backs off the others go on", () => {
    const play = heavy();
    die(play, 1);
    play.begin("heavy");
    play.lose("heavy");
    expect(play.jobs()).toEqual(["prepare light", "prepare later"]);
    play.begin("light");
    expect(play.status("light")).toBe("running");
  });

  test("one more fails it with attempt_lost, and says what to do", () => {
    const play = heavy("keyed");
    die(play, limits.STRIKES_BEFORE_ALONE + 1);
    expect(play.unit("heavy")).toMatchObject({ status: "failed", outcome: "unknown" });
    expect(play.unit("heavy").failure).toMatchObject({ code: "attempt_lost", retryable: false });
  });

  test("a deploy is none: the step is retried beside the others, however many there are", () => {
    const play = heavy();
    die(play, 5, false);
    expect(play.unit("heavy")).toMatchObject({ status: "backing_off", strikes: 0 });
    expect(play.jobs()).toEqual(["attempt heavy", "prepare light", "prepare later"]);
  });

  test("a safe step that killed the object three times did nothing", () => {
    const play = heavy("safe");
    die(play, limits.STRIKES_BEFORE_ALONE + 1);
    expect(play.unit("heavy")).toMatchObject({ status: "failed", outcome: "not_done" });
  });
});
