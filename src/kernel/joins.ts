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

/** Puts those of the steps whose join is decided on the live list. */
export function joined(state: RunState, candidates: Iterable<number>): RunState {
  const ready: number[] = [];
  for (const index of candidates) {
    const def = state.graph.steps[index];
    const unit = state.units[index];
    if (def === undefined || unit === undefined || unit.status !== "pending" || state.live.includes(index))
      continue;
    if ((def.part === "on_failure") !== (state.phase === "handling")) continue;
    if (joinOf(state, def) !== "undecided") ready.push(index);
  }
  return ready.length === 0 ? state : { ...state, live: [...state.live, ...ready].sort((a, b) => a - b) };
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
