/**
 * What a run has done so far, in numbers: of all its generations, from its start. Part of the fold, so that it is told again
 * and again and yet counts once. Decides nothing. Pure.
 */

import type { Fact } from "./facts.ts";
import { isTerminal, type Unit } from "./units.ts";

/**
 * PERSISTED CONTRACT (in snapshots, and in what the directory keeps). None of them ever falls. Missing: 0. There may be more.
 * - `attempts`, `retries`, `unknowns`: of all units, undoing and checking included.
 * - `succeeded`, `failed`, `cancelled`: ends of generations of the run.
 * - `steps`, `step_ms`: steps and items that made an attempt and have succeeded or failed, and how long they took in all.
 * - `le0` and so on: of these, those that took at most `STEP_BOUNDS_MS[0]`, and longer than the bound before. The last: longer than all.
 */
export type Tally = Readonly<Record<string, number>>;

/** Longest times of a step, one bucket of the histogram each. The list never changes: counts are kept by place. */
export const STEP_BOUNDS_MS = [
  50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 3_600_000,
] as const;

/** With a fact more. */
export function tallied(
  tally: Tally | undefined,
  fact: Fact,
  before: Unit | null,
  after: Unit | null,
): Tally | undefined {
  switch (fact.t) {
    case "started":
      return plus(tally, "attempts");
    case "retrying":
      return plus(tally, "retries");
    case "unknown":
      return plus(tally, "unknowns");
    case "ended":
      return plus(tally, fact.status);
    case "succeeded":
    case "failed":
      return fact.role === undefined && after !== null ? withStep(tally, fact.at, before, after) : tally;
    default:
      return tally;
  }
}

/** From when it was due until it was settled, waits included. What never made an attempt, as a sleep, is none. */
function withStep(tally: Tally | undefined, at: number, before: Unit | null, after: Unit): Tally | undefined {
  if (after.attempt === 0 || !isTerminal(after.status)) return tally;
  const since = before?.readyAt ?? after.startedAt ?? at;
  const ms = Math.max(0, at - since);
  const bound = STEP_BOUNDS_MS.findIndex((most) => ms <= most);
  return plus(plus(plus(tally, "steps"), "step_ms", ms), `le${bound < 0 ? STEP_BOUNDS_MS.length : bound}`);
}

function plus(tally: Tally | undefined, key: string, n = 1): Tally {
  return { ...tally, [key]: (tally?.[key] ?? 0) + n };
}
