/** The effects table of the design, line by line: every effect, every end, with and without an earlier unclear attempt. */

import { describe, expect, test } from "vitest";
import {
  EFFECTS,
  type AttemptEnd,
  type Effect,
  type Outcome,
  type UnitStatus,
} from "../../src/kernel/index.ts";
import { call, ends, retry } from "./support/build.ts";
import { Play } from "./support/play.ts";

interface Row {
  readonly end: string;
  readonly how: AttemptEnd;
  /** An earlier attempt was unclear. A `once` step is then unknown and has no next attempt. */
  readonly afterUnclear: boolean;
  /** No attempt is left. */
  readonly last: boolean;
  readonly expect: Readonly<Record<Effect, readonly [UnitStatus, Outcome | null] | "no such case">>;
}

const SUCCEEDED = ["succeeded", "done"] as const;
const RETRY = ["backing_off", null] as const;
const UNKNOWN = ["unknown", null] as const;
const FAILED = ["failed", "not_done"] as const;
const FAILED_UNKNOWN = ["failed", "unknown"] as const;
const FAILED_DONE = ["failed", "done"] as const;
const NONE = "no such case";

function row(
  end: keyof typeof ends & ("success" | "refused" | "unclear" | "cannot" | "unusable"),
  when: { afterUnclear?: true; last?: true },
  [safe, idempotent, keyed, once]: readonly [
    Row["expect"][Effect],
    Row["expect"][Effect],
    Row["expect"][Effect],
    Row["expect"][Effect],
  ],
): Row {
  return {
    end,
    how: ends[end](),
    afterUnclear: when.afterUnclear ?? false,
    last: when.last ?? false,
    expect: { safe, idempotent, keyed, once },
  };
}

const TABLE: readonly Row[] = [
  row("success", {}, [SUCCEEDED, SUCCEEDED, SUCCEEDED, SUCCEEDED]),
  row("success", { afterUnclear: true }, [SUCCEEDED, SUCCEEDED, SUCCEEDED, NONE]),
  row("refused", {}, [RETRY, RETRY, RETRY, RETRY]),
  row("refused", { afterUnclear: true }, [RETRY, RETRY, RETRY, NONE]),
  row("refused", { last: true }, [FAILED, FAILED, FAILED, FAILED]),
  row("refused", { afterUnclear: true, last: true }, [FAILED, FAILED_UNKNOWN, FAILED_UNKNOWN, NONE]),
  row("unclear", {}, [RETRY, RETRY, RETRY, UNKNOWN]),
  row("unclear", { afterUnclear: true }, [RETRY, RETRY, RETRY, NONE]),
  row("unclear", { last: true }, [FAILED, FAILED_UNKNOWN, FAILED_UNKNOWN, UNKNOWN]),
  row("unclear", { afterUnclear: true, last: true }, [FAILED, FAILED_UNKNOWN, FAILED_UNKNOWN, NONE]),
  row("cannot", {}, [FAILED, FAILED, FAILED, FAILED]),
  row("cannot", { afterUnclear: true }, [FAILED, FAILED_UNKNOWN, FAILED_UNKNOWN, NONE]),
  row("unusable", {}, [RETRY, FAILED_DONE, FAILED_DONE, FAILED_DONE]),
  row("unusable", { afterUnclear: true }, [RETRY, FAILED_DONE, FAILED_DONE, NONE]),
  row("unusable", { last: true }, [FAILED, FAILED_DONE, FAILED_DONE, FAILED_DONE]),
];

const cases = TABLE.flatMap((line) =>
  EFFECTS.flatMap((effect) => {
    const expected = line.expect[effect];
    return expected === NONE ? [] : [{ ...line, effect, status: expected[0], outcome: expected[1] }];
  }),
);

describe("the effects table", () => {
  test.for(cases)(
    "$effect: an attempt that ends $end (after an unclear one: $afterUnclear, the last one: $last) leaves the step $status, outcome $outcome",
    ({ effect, how, afterUnclear, last, status, outcome }) => {
      const attempts = (last ? 1 : 5) + (last && afterUnclear ? 1 : 0);
      const play = new Play([call("a", effect, { retry: retry({ attempts }) })]);
      if (afterUnclear) {
        play.attempt("a", ends.unclear());
        play.wake();
      }
      play.attempt("a", how);
      expect([play.status("a"), play.unit("a").outcome]).toEqual([status, outcome]);
    },
  );

  test("every attempt of a keyed step is ready once: one key, one payload (K6)", () => {
    const play = new Play([call("a", "keyed")]);
    play.attempt("a", ends.unclear());
    play.wake();
    play.attempt("a", ends.refused());
    play.wake();
    play.attempt("a");
    expect(play.count("ready")).toBe(1);
    expect(play.count("started")).toBe(3);
    expect(play.unit("a").gen).toBe(0);
  });
});
