/**
 * How a unit becomes `unknown`: it waits for a late answer, for its `verify`, for a person, or for its limit.
 *
 * Owns: which units are asked about before they end. Does not own what an answer leads to (`judge.ts`).
 *
 * A1 what may have happened, and is not tried again, does not end while its `verify` could still tell.
 */

import type { Failure } from "./failures.ts";
import type { StepDef } from "./graph.ts";
import { stepOf, unitOf } from "./state.ts";
import { emit, type Turn } from "./turn.ts";
import { hasChild, isParked, type UnitRef } from "./units.ts";

interface Unclear {
  readonly attempt: number;
  readonly failure: Failure;
  /** The attempt timed out: a late answer of it would still count. */
  readonly listening?: boolean | undefined;
  /** No attempt follows, should it turn out that it did not happen. */
  readonly last?: boolean;
}

export function toUnknown(
  turn: Turn,
  ref: UnitRef,
  def: StepDef,
  { attempt, failure, listening = false, last = false }: Unclear,
): void {
  const verify = ref.role === undefined ? def.verify : undefined;
  emit(turn, {
    t: "unknown",
    at: turn.now,
    ...ref,
    attempt,
    limitAt: turn.now + def.unknownLimitMs,
    failure,
    ...(verify === undefined ? {} : { verifyAt: turn.now + verify.afterMs }),
    ...(listening ? { listening } : {}),
    ...(last ? { last } : {}),
  });
}

/**
 * For a unit that would end with its outcome unknown: asks its `verify` first (A1). A child is looked after instead, and
 * a `forEach` is what its items are. What may have happened under an earlier key, a check cannot rule out.
 * @returns false: there is nothing to ask, it ends
 */
export function asksFirst(turn: Turn, ref: UnitRef, failure: Failure | null, listening?: boolean): boolean {
  const def = stepOf(turn.state, ref.step)?.def;
  const unit = unitOf(turn.state, ref);
  if (def?.verify === undefined || ref.role !== undefined || unit === null || failure === null) return false;
  // One that has not begun in this generation has no attempt to ask about.
  const tried = unit.status === "running" || unit.status === "backing_off" || isParked(unit);
  if (!tried || unit.maybeBefore || unit.items !== null || hasChild(unit)) return false;
  toUnknown(turn, ref, def, { attempt: unit.attempt, failure, listening, last: true });
  return true;
}
