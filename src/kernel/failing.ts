/** What the failure of a unit leads to, and how a run is lost. */

import { asksFirst } from "./asking.ts";
import type { CancelMode, SettledBy } from "./facts.ts";
import type { Failure, FailureCode } from "./failures.ts";
import type { FailureSeed } from "./inputs.ts";
import { isQueued, stepOf, unitOf } from "./state.ts";
import { emit, type Turn } from "./turn.ts";
import { hasChild, isParked, isTerminal, refOf, type Outcome, type Unit, type UnitRef } from "./units.ts";
import { performanceOf } from "./due.ts";

/** Adds to a failure where it happened. */
export function located(seed: FailureSeed, ref: UnitRef, unit: Unit | null): Failure {
  return {
    ...seed,
    step: ref.step,
    ...(ref.item === undefined ? {} : { item: ref.item }),
    ...(unit === null || unit.attempt === 0 ? {} : { attempt: unit.attempt, attempts: unit.attempt }),
  };
}

export function seed(code: FailureCode, message: string, hint: string, retryable = false): FailureSeed {
  return { code, message, hint, retryable };
}

interface Cause {
  readonly attempt?: number;
  readonly by?: SettledBy;
  /** The attempt timed out, and a late answer of it would still count where the outcome is asked about. */
  readonly listening?: boolean;
}

/**
 * Settles a unit as failed, and does what its step says of failures. One of which nobody knows whether it happened is
 * asked about first, if it has a `verify`.
 */
export function fail(
  turn: Turn,
  ref: UnitRef,
  failure: Failure,
  outcome: Outcome,
  { listening, ...cause }: Cause = {},
): void {
  if (outcome === "unknown" && asksFirst(turn, ref, failure, listening)) return;
  const at = turn.now;
  const step = stepOf(turn.state, ref.step);
  if (step === null) return;
  const { def } = step;
  stopItems(turn, ref);
  recall(turn, ref, "graceful");
  const whole = ref.item === undefined && ref.role === undefined;
  const main = def.part === "main";
  if (!whole || turn.state.phase !== (main ? "forward" : "handling")) {
    emit(turn, { t: "failed", at, ...ref, failure, outcome, ...cause });
    return;
  }
  const then = def.onFailure ?? (turn.state.run.open ? "continue" : "fail");
  if (typeof then === "object") {
    emit(turn, {
      t: "succeeded",
      at,
      ...ref,
      output: { v: then.fallback },
      ...cause,
      by: "fallback",
      fallback: { failure, outcome },
    });
    return;
  }
  emit(turn, { t: "failed", at, ...ref, failure, outcome, ...cause });
  if (then === "fail" && main) lose(turn, "failure", failure, "graceful");
}

/** The outcome of a unit that stops where it is. */
export function outcomeNow(turn: Turn, ref: UnitRef, unit: Unit): Outcome {
  const def = stepOf(turn.state, ref.step)?.def;
  const effect = def === undefined ? "safe" : (performanceOf(def, ref)?.effect ?? "safe");
  if (effect === "safe") return "not_done";
  if (unit.maybe || unit.status === "running" || unit.status === "unknown" || hasChild(unit))
    return "unknown";
  // Earlier rounds of a `repeat` that answered did happen.
  return unit.iteration > 0 ? "done" : "not_done";
}

/**
 * Ends a pause. Time that a run was paused does not count against its budget of undoing: a person who stops the undoing
 * to look at something does not lose it.
 */
export function endPause(turn: Turn, by: string): void {
  const { pausedSince, phase, budgetAt, graph } = turn.state;
  if (pausedSince === null) return;
  if (budgetAt === null) return emit(turn, { t: "resumed", at: turn.now, by });
  // A pause may be older than the loss of the run, with which the budget began.
  const from = phase === "handling" ? pausedSince : Math.max(pausedSince, budgetAt - graph.undoBudgetMs);
  const later = budgetAt + Math.max(0, turn.now - from);
  emit(turn, { t: "resumed", at: turn.now, by, budgetAt: later });
}

/** The run is lost: the forward part ends; `immediate` aborts the attempts in flight, else they drain. */
export function lose(
  turn: Turn,
  why: "failure" | "cancel" | "deadline",
  failure: Failure,
  mode: CancelMode,
  by?: string,
): void {
  const queued = isQueued(turn.state);
  emit(turn, {
    t: "lost",
    at: turn.now,
    why,
    failure,
    budgetAt: turn.now + turn.state.graph.undoBudgetMs,
    ...(by === undefined ? {} : { by }),
  });
  for (const def of turn.state.graph.steps)
    // U3
    if (def.part === "main" || queued) stop(turn, refOf(def.name), mode);
}

/** Passes a step over: by its condition, or because its join can no longer be met. */
export function skip(turn: Turn, step: string, why: "when" | "needs"): void {
  stopItems(turn, refOf(step));
  emit(turn, { t: "skipped", at: turn.now, step, why });
}

/** A redriven `forEach` that ends before it has begun again takes the items that it kept with it. */
function stopItems(turn: Turn, ref: UnitRef): void {
  if (ref.item !== undefined || ref.role !== undefined) return;
  const items = unitOf(turn.state, ref)?.items ?? [];
  items.forEach((_, i) => {
    stop(turn, refOf(ref.step, i), "graceful");
  });
}

/** Ends what has not started, waits or backs off; with `immediate` also what is in flight. Unknown outcomes stay open. */
export function stop(turn: Turn, ref: UnitRef, mode: CancelMode | "budget"): void {
  const unit = unitOf(turn.state, ref);
  if (unit === null || isTerminal(unit.status)) return;
  if (unit.items !== null && ref.item === undefined && ref.role === undefined) {
    unit.items.forEach((_, i) => {
      stop(turn, refOf(ref.step, i), mode);
    });
    // A redriven `forEach` that has not begun again has items, but is itself still pending.
    if (unit.status !== "pending") return;
  }
  if (hasChild(unit)) recall(turn, ref, mode === "graceful" ? "graceful" : "immediate");
  if ((unit.status === "running" || hasChild(unit)) && mode === "graceful") return;
  if (unit.status === "unknown" && mode !== "budget") return;
  const outcome = outcomeNow(turn, ref, unit);
  // What is in flight is aborted, and nothing more is asked; what waits for another attempt may be asked about.
  const rests = (unit.status === "backing_off" || isParked(unit)) && mode !== "budget";
  if (rests && outcome === "unknown" && asksFirst(turn, ref, unit.failure)) return;
  emit(turn, { t: "cancelled", at: turn.now, ...ref, outcome });
}

/** Tells a child to end, unless it was told so already. The unit may go on waiting for that. */
export function recall(turn: Turn, ref: UnitRef, mode: CancelMode): void {
  const unit = unitOf(turn.state, ref);
  if (unit === null || !hasChild(unit)) return;
  const { run, generation, recalled } = unit.child;
  if (recalled === "immediate" || recalled === mode) return;
  emit(turn, { t: "recalled", at: turn.now, ...ref, run, generation, mode });
}
