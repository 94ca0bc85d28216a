/** What follows from the facts so far without anything new from outside: skips, ends of `forEach`, phases, the end. */

import { needsUndo } from "./due.ts";
import { itemsOutcome } from "./evolve.ts";
import { joinOf, placeOf } from "./joins.ts";
import type { LeftBehind, LeftBehindReason, RunFailure } from "./failures.ts";
import { fail, located, seed, skip, stop } from "./failing.ts";
import type { StepDef } from "./graph.ts";
import { MAX_LIST_BYTES } from "./limits.ts";
import type { RunState } from "./state.ts";
import { emit, type Turn } from "./turn.ts";
import { hasChild, isTerminal, refOf, type Unit } from "./units.ts";

/**
 * Goes on until nothing follows any more. Every round adds a fact, and the moves are finite, so it ends.
 * Something can follow only for the steps that the turn's facts are about, and for those that need them: what a wide run
 * holds besides was settled in earlier turns.
 */
export function settle(turn: Turn): void {
  let seen = 0;
  let before = -1;
  while (turn.facts.length !== before) {
    before = turn.facts.length;
    if (turn.state.phase === "ended") return;
    skipUnreachable(turn, touched(turn, seen));
    settleItems(turn, touched(turn, seen));
    advancePhase(turn);
    seen = before;
  }
}

/** Steps that the facts from number `seen` on are about, and those that need them, in the order of the graph. */
function touched(turn: Turn, seen: number): Iterable<number> {
  const { state, facts } = turn;
  const found = new Set<number>();
  for (const fact of facts.slice(seen)) {
    if (fact.t === "bound") continue;
    // What these do to a step depends on more than on the step.
    if (!("step" in fact)) return state.graph.steps.keys();
    const index = state.indexOf.get(fact.step);
    if (index === undefined) continue;
    found.add(index);
    for (const dependent of state.dependents[index] ?? []) found.add(dependent);
  }
  return [...found].sort((a, b) => a - b);
}

/** Steps whose join can no longer be met. */
function skipUnreachable(turn: Turn, steps: Iterable<number>): void {
  const { phase, live } = turn.state;
  if (phase !== "forward" && phase !== "handling") return;
  for (const index of steps) {
    const def = turn.state.graph.steps[index];
    const unit = turn.state.units[index];
    if (def === undefined || unit === undefined || unit.status !== "pending" || unit.readyAt !== null)
      continue;
    if (live[placeOf(live, index)] !== index) continue;
    if ((def.part === "main") === (phase === "forward") && joinOf(turn.state, def) === "skip")
      skip(turn, def.name, "needs");
  }
}

/** A `forEach` ends when its items have: succeeded, or given up on and undone. */
function settleItems(turn: Turn, steps: Iterable<number>): void {
  const { phase } = turn.state;
  const working = phase === "forward" || phase === "handling" ? turn.state.live : null;
  for (const index of steps) {
    const def = turn.state.graph.steps[index];
    const unit = turn.state.units[index];
    if (working !== null && working[placeOf(working, index)] !== index) continue;
    if (def !== undefined && unit?.status === "running" && unit.items !== null)
      settleForEach(turn, def, unit, unit.items);
  }
}

function settleForEach(turn: Turn, def: StepDef, unit: Unit, items: readonly Unit[]): void {
  const ref = refOf(def.name);
  const going = def.part === "main" ? turn.state.phase === "forward" : turn.state.phase === "handling";
  const failed = items.filter((item) => item.status === "failed");
  if (unit.givingUp === null && failed.length > (def.forEach?.tolerate ?? 0)) {
    const last = failed.at(-1)?.failure;
    const many = seed(
      "too_many_failures",
      `${failed.length} of ${items.length} items failed: ${last?.message ?? "no reason given"}`,
      last?.hint ?? "Look at the items.",
    );
    emit(turn, { t: "giving_up", at: turn.now, ...ref, failure: located(many, ref, null) });
    stop(turn, ref, "graceful");
    return;
  }
  if (!items.every((item) => isTerminal(item.status))) return;
  if (unit.givingUp !== null) {
    // In a run that is lost, the undoing of the run takes care of the items.
    if (going && items.some((item) => needsUndo(def, item))) return;
    fail(turn, ref, unit.givingUp, def.effect === "safe" ? "not_done" : itemsOutcome(items));
  } else if (bytesOf(items) > MAX_LIST_BYTES) {
    const large = seed(
      "output_too_large",
      `The items' outputs have ${bytesOf(items)} bytes together; at most ${MAX_LIST_BYTES} are kept.`,
      "Keep only what later steps need of each item, or split the list over several steps.",
    );
    fail(turn, ref, located(large, ref, null), def.effect === "safe" ? "not_done" : itemsOutcome(items));
  } else if (!items.some((item) => item.status === "cancelled")) {
    emit(turn, {
      t: "succeeded",
      at: turn.now,
      ...ref,
      output: { list: items.map((item) => item.output) },
      by: "items",
    });
  } else {
    emit(turn, {
      t: "cancelled",
      at: turn.now,
      ...ref,
      outcome: def.effect === "safe" ? "not_done" : itemsOutcome(items),
    });
  }
}

/** Of the outputs that are kept by reference; the others are small. */
function bytesOf(items: readonly Unit[]): number {
  return items.reduce(
    (sum, { output }) => sum + (output !== null && "bytes" in output ? output.bytes : 0),
    0,
  );
}

function advancePhase(turn: Turn): void {
  const { state } = turn;
  const { phase } = state;
  if (phase === "draining" && !someMainUnit(state, (_, unit) => unit.status === "running" || hasChild(unit)))
    emit(turn, { t: "undoing", at: turn.now });
  else if (
    phase === "undoing" &&
    state.graph.steps.every(
      (def, i) => def.part !== "main" || isTerminal(state.units[i]?.status ?? "skipped"),
    ) &&
    !someMainUnit(state, needsUndo)
  ) {
    if (state.graph.steps.some((step) => step.part === "on_failure"))
      emit(turn, { t: "handling", at: turn.now });
    else endLost(turn);
  } else if (
    phase === "handling" &&
    state.graph.steps.every(
      (step, i) => step.part === "main" || isTerminal(state.units[i]?.status ?? "skipped"),
    )
  )
    endLost(turn);
}

/** Whether it holds of a main step, or of an item where there are some. */
function someMainUnit(state: RunState, holds: (def: StepDef, unit: Unit) => boolean): boolean {
  return state.graph.steps.some((def, index) => {
    const unit = state.units[index];
    if (unit === undefined || def.part !== "main") return false;
    return unit.items === null ? holds(def, unit) : unit.items.some((item) => holds(def, item));
  });
}

/** Main steps, or their items where there are some. */
function mainUnits(state: RunState): { def: StepDef; unit: Unit; item?: number }[] {
  return state.graph.steps.flatMap((def, index) => {
    const unit = state.units[index];
    if (unit === undefined || def.part !== "main") return [];
    return unit.items === null
      ? [{ def, unit }]
      : unit.items.map((item, i) => ({ def, unit: item, item: i }));
  });
}

/** Ends a run that is lost, with a record of why and of what stands in the world. */
export function endLost(turn: Turn): void {
  const { lost } = turn.state;
  if (lost === null) return;
  const failure: RunFailure = {
    ...lost.failure,
    left_behind: leftBehind(turn.state),
    undone: undone(turn.state),
  };
  emit(turn, { t: "ended", at: turn.now, status: lost.why === "cancel" ? "cancelled" : "failed", failure });
}

function undone(state: RunState): RunFailure["undone"] {
  return mainUnits(state).flatMap(({ def, unit, item }) => (unit.undone ? [refOf(def.name, item)] : []));
}

function leftBehind(state: RunState): LeftBehind[] {
  return mainUnits(state).flatMap(({ def, unit, item }) => {
    if (def.effect === "safe" || unit.undone) return [];
    const outcome = isTerminal(unit.status) ? unit.outcome : "unknown";
    if (outcome !== "done" && outcome !== "unknown") return [];
    const code = unit.undo?.failure?.code ?? unit.failure?.code;
    return [
      {
        ...refOf(def.name, item),
        outcome,
        reason: reasonOf(def, unit, outcome),
        ...(code === undefined ? {} : { code }),
      },
    ];
  });
}

function reasonOf(def: StepDef, unit: Unit, outcome: "done" | "unknown"): LeftBehindReason {
  if (unit.undo?.status === "failed") return "compensation_failed";
  if (def.compensate === undefined) return outcome === "unknown" ? "outcome_unknown" : "no_compensation";
  return "budget_exceeded";
}
