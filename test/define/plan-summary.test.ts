/** What the check of a plan promises of an unclear end is what the kernel does: every effect, with a verify and without. */

import { describe, expect, test } from "vitest";
import { compileSteps } from "../../src/define/index.ts";
import { summarise } from "../../src/define/plan-summary.ts";
import { EFFECTS, type Effect, type Json } from "../../src/kernel/index.ts";
import { ends, graph } from "../kernel/support/build.ts";
import { Play } from "../kernel/support/play.ts";

const VERIFY = { action: "http", with: { method: "GET", url: "https://a.example/charges" } };
const SHAPES: Readonly<Record<string, Json>> = {
  plain: {},
  "for each": { forEach: "[1]" },
  repeated: { repeat: { until: "true", every: "1s" } },
  "not retried": { retry: { attempts: 1 } },
};

const cases = EFFECTS.flatMap((effect) =>
  Object.keys(SHAPES).flatMap((shape) => [true, false].map((verified) => ({ effect, shape, verified }))),
)
  // Refused by the check itself: `verify_on_safe`, `repeat_once`.
  .filter(
    ({ effect, shape, verified }) =>
      !(effect === "safe" && verified) && !(effect === "once" && shape === "repeated"),
  );

/** Unclear ends until nothing is tried any more. */
function toTheEnd(effect: Effect, shape: string, verified: boolean) {
  const compiled = compileSteps({
    pay: {
      action: "http",
      effect,
      with: { method: "POST", url: "https://a.example/charges" },
      ...(SHAPES[shape] as object),
      ...(verified ? { verify: VERIFY } : {}),
    } as Json,
  });
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.errors));
  const [promised] = summarise(graph(compiled.steps)).steps;
  const play = new Play(compiled.steps);
  const unit = shape === "for each" ? "pay[0]" : "pay";
  if (shape === "for each") play.prepare("pay", { kind: "list", list: { v: [1] }, count: 1 });
  let tries = 0;
  do {
    if (tries++ > 0) play.wake();
    play.attempt(unit, ends.unclear());
  } while (play.status(unit) === "backing_off");
  const first = { status: play.status(unit), tries };
  if (first.status === "unknown") play.wake();
  return { promised: promised?.when_unclear, ...first, asks: play.jobs().includes(`prepare ${unit}/verify`) };
}

describe("`when_unclear`", () => {
  test.for(cases)(
    "of $effect, $shape, with a verify: $verified, is what happens",
    ({ effect, shape, verified }) => {
      const { promised, status, tries, asks } = toTheEnd(effect, shape, verified);
      expect([promised, status, asks]).toEqual(
        verified
          ? ["asks_the_service", "unknown", true]
          : effect === "once"
            ? ["waits_for_a_person", "unknown", false]
            : ["tried_again", "failed", false],
      );
      expect(tries).toBe(effect === "once" || shape === "not retried" ? 1 : 5);
    },
  );
});
