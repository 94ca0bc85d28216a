/**
 * Approvals: a person's decision that a unit waits for, be it a step that only waits, or a call that is held back until
 * it is released. A decision is for one asking; an approval of a call is for the payload that was asked about.
 *
 * No signal can decide, and neither can whoever made the run do what is to be approved.
 */

import { awaitsDecision } from "./due.ts";
import type { Input, Refusal } from "./inputs.ts";
import { fail, located, outcomeNow, seed } from "./failing.ts";
import { unitOf, type RunState } from "./state.ts";
import { emit, type Turn } from "./turn.ts";
import { approvalIdOf, unitName, type Unit, type UnitRef } from "./units.ts";
import type { Json } from "./values.ts";

/** What is shown to whoever decides. */
interface Asking {
  readonly digest?: string;
  readonly about?: Json;
  readonly text?: string;
}

/** The unit waits for a decision from here on. */
export function ask(turn: Turn, ref: UnitRef, unit: Unit | null, limitMs: number, asking: Asking): void {
  const { run, generation } = turn.state;
  const id = approvalIdOf(run.id, ref, unit?.iteration ?? 0, generation);
  emit(turn, { t: "asked", at: turn.now, ...ref, id, limitAt: turn.now + limitMs, ...asking });
}

/** Whether this payload was approved already: later rounds of a `repeat` that send the same need not ask again. */
export function releases(unit: Unit | null, digest: string): boolean {
  const approval = unit?.approval ?? null;
  return approval?.decided?.as === "approved" && approval.digest === digest;
}

/** Who made the run what it is: whoever started it or appended to it, or to a run above it. */
export function makersOf({ run, extendedBy }: RunState): readonly string[] {
  return [...new Set([run.startedBy, ...(extendedBy ?? []), ...(run.origins ?? [])])];
}

/** Whether somebody may decide who is, or acts for, all of these: nobody who made the run may. */
export function mayDecide(state: RunState, actors: readonly string[]): boolean {
  const makers = new Set(makersOf(state));
  return !actors.some((actor) => makers.has(actor));
}

const STARTER: Refusal = {
  code: "approver_is_starter",
  message: "Whoever started or extended the run cannot decide what it may do, nor can a key that they made.",
};

const NOT_WAITING: Refusal = {
  code: "not_waiting_for_approval",
  message: "Nothing waits for this decision any more: it has expired, or the step has ended otherwise.",
};

/** The first decision counts. A second one changes nothing: the state says what was decided. */
export function decideApproval(turn: Turn, input: Extract<Input, { t: "decide" }>): Refusal | null {
  const { unit: ref, id, as, by, via, behind = [], note } = input;
  const unit = unitOf(turn.state, ref);
  if (unit === null) return { code: "no_such_step", message: `There is no ${unitName(ref)} in this run.` };
  if (!mayDecide(turn.state, [by, ...(via === undefined ? [] : [via]), ...behind])) return STARTER;
  const { approval } = unit;
  if (approval?.id !== id) return NOT_WAITING;
  if (approval.decided !== null) return null;
  // The limit counts from the clock, not from when somebody looks at it.
  if (!awaitsDecision(unit) || turn.now >= approval.limitAt) return NOT_WAITING;
  const changed = unit.digest !== null && unit.digest !== approval.digest;
  emit(turn, {
    t: "decided",
    at: turn.now,
    ...ref,
    as,
    by,
    ...(via === undefined ? {} : { via }),
    ...(note === undefined ? {} : { note }),
    ...(as === "approved" && changed ? { newKey: true } : {}),
  });
  if (as === "denied") {
    const denied = seed(
      "denied",
      note === undefined ? "The approval was denied." : `The approval was denied: ${note}`,
      "Ask whoever denied it. A redrive asks anew.",
    );
    fail(turn, ref, located(denied, ref, unit), outcomeNow(turn, ref, unit), { by: "approval" });
  } else if (approval.digest === null) {
    const output = { decision: as, by, at: turn.now, ...(note === undefined ? {} : { note }) };
    emit(turn, { t: "succeeded", at: turn.now, ...ref, output: { v: output }, by: "approval" });
  }
  return null;
}
