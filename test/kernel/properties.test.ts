/** K1 to K11 on random graphs, in random order, with answers, silence, deaths, nonsense and jumps of the clock. */

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Coverage } from "./support/coverage.ts";
import { graphs } from "./support/random-graph.ts";
import { SCRIPTS } from "./support/scripts.ts";
import { moves, Walk } from "./support/walk.ts";

const RUNS = Number(process.env["RUNS"] ?? 600);
/** The corpus whose coverage is asserted is the same each time. */
const CORPUS = { seed: 1, numRuns: 1_500 } as const;
/** For a machine that has much else to do. */
const TIMEOUT_MS = 120_000;
/** Far more than any of these runs needs: a run that gets there hangs. */
const MAX_ROUNDS = 5_000;

const walks = [
  graphs,
  fc.boolean(),
  // Whether it waits in a queue first.
  fc.boolean(),
  fc.array(moves, { minLength: 20, maxLength: 80, size: "max" }),
] as const;

describe("whatever happens to a run", { timeout: TIMEOUT_MS }, () => {
  test("K1 to K11 hold after every fact and input", () => {
    fc.assert(
      fc.property(...walks, (graph, open, queued, plan) => {
        const walk = new Walk(graph, open, null, queued);
        for (const move of plan) walk.play(move);
        walk.checkFold();
      }),
      { numRuns: RUNS },
    );
  });

  test("K3: from any state, time alone ends it, however long it is left unattended", () => {
    fc.assert(
      fc.property(...walks, (graph, open, queued, plan) => {
        const walk = new Walk(graph, open, null, queued);
        for (const move of plan) walk.play(move);
        for (let round = 0; walk.state.phase !== "ended"; round++) {
          expect(round).toBeLessThan(MAX_ROUNDS);
          walk.wake();
        }
      }),
      { numRuns: RUNS / 4 },
    );
  });

  test("K3: from any state, doing what is due and waiting for what is not ends it", () => {
    fc.assert(
      fc.property(...walks, fc.infiniteStream(fc.nat({ max: 999 })), (graph, open, queued, plan, choices) => {
        const walk = new Walk(graph, open, null, queued);
        for (const move of plan) walk.play(move);
        walk.resume();
        for (let round = 0; walk.state.phase !== "ended"; round++) {
          expect(round).toBeLessThan(MAX_ROUNDS);
          walk.goOn(() => choices.next().value);
        }
        walk.checkFold();
      }),
      { numRuns: RUNS / 4 },
    );
  });

  test("the corpus makes every move of the tables, and meets every fact, input and refusal", () => {
    const coverage = new Coverage();
    fc.assert(
      fc.property(...walks, (graph, open, queued, plan) => {
        const walk = new Walk(graph, open, coverage, queued);
        for (const move of plan) walk.play(move);
      }),
      CORPUS,
    );
    for (const script of SCRIPTS) script(coverage);
    console.log(`rarest of the corpus: ${coverage.rarest(5).join(", ")}`);
    expect(coverage.missing()).toEqual([]);
  });
});
