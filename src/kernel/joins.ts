/** The graph as it is run: who needs whom, and whose join rule is decided (K2). */

import type { StepDef } from "./graph.ts";
import { stepOf, type RunState } from "./state.ts";
import { isTerminal } from "./units.ts";

/** Which step stands where, and which steps need it: derived from the graph. */
export function withDependents(
  before: Pick<RunState, "indexOf" | "dependents">,
  steps: readonly StepDef[],
): Pick<RunState, "indexOf" | "dependents"> {
  const indexOf = new Map(before.indexOf);
  const dependents = before.dependents.map((list) => [...list]);
  for (const step of steps) {
    const index = dependents.length;
    indexOf.set(step.name, index);
    dependents.push([]);
    for (const need of new Set(step.needs)) {
      const from = indexOf.get(need);
      if (from !== undefined) dependents[from]?.push(index);
    }
  }
  return { indexOf, dependents };
}

/** Where a number stands in an ordered list, or would stand. */
export function placeOf(list: readonly number[], number: number): number {
  let from = 0;
  let to = list.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if ((list[middle] ?? Infinity) < number) from = middle + 1;
    else to = middle;
  }
  return from;
}

/** Puts those of the steps whose join is decided on the live list. */
export function joined(state: RunState, candidates: Iterable<number>): RunState {
  const ready: number[] = [];
  for (const index of candidates) {
    const def = state.graph.steps[index];
    const unit = state.units[index];
    if (def === undefined || unit === undefined || unit.status !== "pending") continue;
    if (state.live[placeOf(state.live, index)] === index) continue;
    if ((def.part === "on_failure") !== (state.phase === "handling")) continue;
    if (joinOf(state, def) !== "undecided") ready.push(index);
  }
  const [only] = ready;
  if (only === undefined) return state;
  const live =
    ready.length === 1
      ? state.live.toSpliced(placeOf(state.live, only), 0, only)
      : [...state.live, ...ready].sort((a, b) => a - b);
  return { ...state, live };
}

/** Whether a step's join rule lets it run (K2). */
export function joinOf(state: RunState, def: StepDef): "run" | "skip" | "undecided" {
  let settled = 0;
  let succeeded = 0;
  for (const need of def.needs) {
    const unit = stepOf(state, need)?.unit;
    if (unit === undefined || !isTerminal(unit.status)) continue;
    settled++;
    if (unit.status === "succeeded") succeeded++;
  }
  const all = def.needs.length;
  switch (def.join) {
    case "all":
      // Skipped as soon as one settles otherwise: nobody waits for a sibling that no longer matters.
      return succeeded === all ? "run" : settled > succeeded ? "skip" : "undecided";
    case "any":
      return settled < all ? "undecided" : succeeded > 0 || all === 0 ? "run" : "skip";
    case "settled":
      return settled < all ? "undecided" : "run";
  }
}
