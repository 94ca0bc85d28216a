/**
 * Parking: a unit whose credential is not at hand waits for it, and goes on exactly there.
 *
 * Owns: when a unit parks, for how long, what wakes it, what a name means in this run.
 * Does not own what a need is (`needs.ts`), or how credentials are had (nobody here knows).
 *
 * N1 a park is no attempt: it counts nothing, and leaves what is known of the world as it was, but for what the attempt
 *    in which it parks says that it had sent before.
 * N2 a parked unit has a limit, and looks again by itself: a wake-up that is lost only costs time.
 * N3 what a name was found to mean is pinned: nothing but a person's word replaces it.
 * N4 the same refusal by the service after a resumption, of the same scopes, ends the unit: nobody is asked in a circle.
 */

import { activeUnits, isDue, workingSteps } from "./due.ts";
import { fail, located, outcomeNow, seed } from "./failing.ts";
import type { FailureSeed, Input, Refusal } from "./inputs.ts";
import {
  bindingOf,
  concerns,
  isCircle,
  keptNeed,
  mayBind,
  recheckMs,
  sameNeed,
  waitsForTime,
  type ConnectionNeed,
  type Need,
} from "./needs.ts";
import { unitOf } from "./state.ts";
import { emit, type Turn } from "./turn.ts";
import { hasChild, isParked, type Outcome, type Unit, type UnitRef } from "./units.ts";

type InputOf<T extends Input["t"]> = Extract<Input, { readonly t: T }>;

/**
 * The unit waits for what it needs; where it has waited long enough, or was refused once too often, it fails.
 * @param attempt in the middle of which it parks; absent: nothing was begun
 * @param outcome what it has done, should it fail
 */
export function park(
  turn: Turn,
  ref: UnitRef,
  unit: Unit,
  asked: Need,
  {
    attempt,
    outcome,
    maybe,
  }: { readonly attempt?: number; readonly outcome: Outcome; readonly maybe?: true },
): void {
  const need = keptNeed(asked, attempt !== undefined);
  const cause = attempt === undefined ? {} : { attempt };
  // N4
  if (isCircle(unit.refusals, need))
    return fail(turn, ref, located(refusedAgain(need), ref, unit), outcome, cause);
  const before = unit.parked !== null && sameNeed(unit.parked.need, need) ? unit.parked : null;
  const limitAt = before?.limitAt ?? turn.now + need.limitMs;
  if (turn.now >= limitAt) return fail(turn, ref, located(expiredNeed(need), ref, unit), outcome, cause);
  const looks = before?.looks ?? 0;
  emit(turn, {
    t: "parked",
    at: turn.now,
    ...ref,
    need,
    since: before?.since ?? turn.now,
    limitAt,
    wakeAt: turn.now + recheckMs(need, looks),
    looks: looks + 1,
    ...cause,
    ...(maybe === undefined ? {} : { maybe }),
  });
}

const NOT_DUE: Refusal = { code: "not_due", message: "The unit is not due." };

/** What is due lacks its credential. */
export function hold(turn: Turn, { unit: ref, attempt, need }: InputOf<"hold">): Refusal | null {
  const unit = unitOf(turn.state, ref);
  // To look after a child needs no credential.
  if (unit === null || hasChild(unit) || attempt !== unit.attempt + 1) return NOT_DUE;
  if (!isDue(turn.state, "attempt", ref, turn.now)) return NOT_DUE;
  park(turn, ref, unit, need, { outcome: outcomeNow(turn, ref, unit) });
  return null;
}

/** The limit of a parked unit has come. */
export function expirePark(turn: Turn, ref: UnitRef, unit: Unit): void {
  const { need } = unit.parked ?? {};
  if (need === undefined) return;
  fail(turn, ref, located(expiredNeed(need), ref, unit), outcomeNow(turn, ref, unit));
}

/** Units that may wait for the change look at once. Where nothing waits, nothing happens. */
export function connectionChanged(turn: Turn, change: InputOf<"connection_changed">): null {
  unpark(turn, (need) => concerns(change, need));
  return null;
}

/** A person's word: the name means something else from now on (N3). */
export function rebind(turn: Turn, { name, to, by }: InputOf<"rebind">): Refusal | null {
  if (turn.state.phase === "ended")
    return { code: "run_ended", message: "The run has ended. Redrive it, then accept the connection." };
  const { bound } = turn.state;
  if (bound === undefined || !Object.hasOwn(bound, name) || !mayBind(bound, { name, to }))
    emit(turn, { t: "bound", at: turn.now, name, to, by });
  unpark(
    turn,
    (need) => need.kind === "connection" && need.reason === "replaced" && bindingOf(need) === name,
  );
  return null;
}

function unpark(turn: Turn, may: (need: Need) => boolean): void {
  if (turn.state.phase === "ended") return;
  const refs: UnitRef[] = [];
  for (const index of workingSteps(turn.state)) {
    const def = turn.state.graph.steps[index];
    const unit = turn.state.units[index];
    if (def === undefined || unit === undefined) continue;
    for (const { ref, unit: active } of activeUnits(def, unit))
      if (isParked(active) && may(active.parked.need) && (active.wakeAt ?? 0) > turn.now) refs.push(ref);
  }
  for (const ref of refs) emit(turn, { t: "unparked", at: turn.now, ...ref });
}

/** The limit of a park. */
function expiredNeed(need: Need): FailureSeed {
  if (need.kind === "cloud")
    return seed(
      "cloud_unavailable",
      `The credential of the cloud role ${need.role} could not be had within its limit: ${need.reason}.`,
      "Look at the cloud's token service, or at what was changed there, then redrive the run.",
      true,
    );
  const of = need.integration === "" ? "The connection" : `The connection of ${bindingOf(need)}`;
  return waitsForTime(need.reason)
    ? seed(
        "connection_unavailable",
        `${of} could not be used within its limit: ${need.reason}.`,
        need.reason === "misconfigured"
          ? "Correct the integration, then redrive the run."
          : "Look at the provider, then redrive the run.",
        true,
      )
    : seed(
        "connection_required",
        `${of} was not made, renewed or widened within its limit: ${need.reason}.`,
        "Have it connected, then redrive the run.",
      );
}

/** The service refused a fresh credential, and after that was mended it did so again. */
function refusedAgain(need: ConnectionNeed): FailureSeed {
  return seed(
    "connection_rejected",
    `The service refused the credential of ${bindingOf(need)} again, after it was renewed: ${need.reason}.`,
    "Look at what the service lets this account do; reconnect with another account or more scopes, then redrive the run.",
  );
}

/** A credential was asked for in vain in the middle of an attempt that nobody waits for: nothing was done. */
export function needlessly(need: Need): FailureSeed {
  if (need.kind === "cloud")
    return seed(
      "cloud_unavailable",
      `The service did not take the credential of the cloud role ${need.role}, and there was no other: ${need.reason}.`,
      "Look at the cloud's token service.",
      true,
    );
  return seed(
    waitsForTime(need.reason) ? "connection_unavailable" : "connection_required",
    `The service did not take the credential of ${bindingOf(need)}: ${need.reason}.`,
    "Look at the connection.",
    true,
  );
}
