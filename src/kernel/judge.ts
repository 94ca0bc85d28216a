/**
 * The effects table: what the end of an attempt means for a unit, by what repeating it means (K5, K6).
 * Nothing here guesses: an end that is unclear is retried only where repeating is harmless.
 */

import { asksFirst, toUnknown } from "./asking.ts";
import { performanceOf } from "./due.ts";
import { fail, located, lose, outcomeNow, recall, seed } from "./failing.ts";
import { spentMs } from "./unit-facts.ts";
import type { SettledBy } from "./facts.ts";
import type { Failure } from "./failures.ts";
import type { Effect, Performance, StepDef } from "./graph.ts";
import { grow } from "./growth.ts";
import type { AttemptEnd, FailureSeed } from "./inputs.ts";
import { FIRST_LOOK_MS, MAX_LOOK_MS, STRIKES_BEFORE_ALONE, VERIFY_AGAIN_MS } from "./limits.ts";
import type { Need } from "./needs.ts";
import { delayMs, retries } from "./policy.ts";
import { stepOf, unitOf, type RunState } from "./state.ts";
import { needlessly, park } from "./parking.ts";
import { emit, type Turn } from "./turn.ts";
import { hasChild, refOf, type Outcome, type Unit, type UnitRef } from "./units.ts";
import { NULL_VALUE } from "./values.ts";

interface Judged {
  readonly turn: Turn;
  readonly ref: UnitRef;
  readonly def: StepDef;
  readonly performance: Performance;
  readonly unit: Unit;
  readonly attempt: number;
  /** Its time is up, and a late answer of it would still count. */
  readonly listening: boolean;
}

/** An attempt ended, or its time is up (`listening`: a late answer of it would still count). */
export function judge(
  turn: Turn,
  ref: UnitRef,
  end: AttemptEnd,
  how: { listening?: boolean; strike?: boolean; by?: SettledBy } = {},
): void {
  const step = stepOf(turn.state, ref.step);
  const unit = unitOf(turn.state, ref);
  const performance = step === null ? null : performanceOf(step.def, ref);
  if (step === null || unit === null || performance === null) return;
  if (hasChild(unit) && (end.kind === "refused" || end.kind === "unclear" || end.kind === "needs")) {
    // Nobody knows more than before: the child is looked after again, a while later.
    const { run, generation, limitAt } = unit.child;
    return delegate(turn, ref, unit, { run, generation, limitAt });
  }
  const listening = how.listening === true;
  const j: Judged = { turn, ref, def: step.def, performance, unit, attempt: unit.attempt, listening };
  const cause = { attempt: j.attempt, ...(how.by === undefined ? {} : { by: how.by }) };
  switch (end.kind) {
    case "success":
      return succeeded(j, end, cause);
    case "cannot":
      // That it cannot be looked after any more says nothing about what a child does.
      return fail(
        turn,
        ref,
        located(end.failure, ref, unit),
        hasChild(unit) ? outcomeNow(turn, ref, unit) : notNow(j),
        cause,
      );
    case "unusable":
      if (performance.effect === "safe") return again(j, end.failure, 0, false, how.strike);
      return fail(turn, ref, located(end.failure, ref, unit), "done", cause);
    case "refused":
      // The late refusal of the one attempt that was unclear clears it: nothing happened.
      return again(j, end.failure, end.retryAfterMs ?? 0, how.by === "late" ? false : unit.maybe, how.strike);
    case "needs":
      return lacking(j, end, how.by === "late");
    case "unclear":
      return unclear(j, end.failure, end.retryAfterMs ?? 0, how.strike);
    case "child":
    case "child_failed":
      return childSeen(j, end);
  }
}

/** It was refused for want of a credential: nothing happened, and it goes on from here once there is one. */
function lacking(j: Judged, end: Extract<AttemptEnd, { kind: "needs" }>, late: boolean): void {
  const { turn, ref, def, unit, attempt } = j;
  const { need } = end;
  if (end.maybe === true && j.performance.effect !== "safe") return lackingMidway(j, need);
  // It was given up before: like any late refusal it clears the doubt. The next attempt finds out what is missing.
  if (late) return again(j, needlessly(need), 0, false);
  if (!mayRetry(turn.state, def, ref)) return standStill(j, located(needlessly(need), ref, unit), unit.maybe);
  park(turn, ref, unit, need, { attempt, outcome: notNow(j) });
}

/** It was refused after the attempt had sent something else: that may have happened, and may be sent again. */
function lackingMidway(j: Judged, need: Need): void {
  const { turn, ref, def, performance, attempt } = j;
  if (performance.effect === "once") return unclear(j, needlessly(need), 0);
  if (!mayRetry(turn.state, def, ref)) return standStill(j, located(needlessly(need), ref, j.unit), true);
  const doubted = { ...j, unit: { ...j.unit, maybe: true } };
  park(turn, ref, j.unit, need, { attempt, outcome: notNow(doubted), maybe: true });
}

/** The attempt has a child. Where nothing new may start any more, the child is told to end, and waited for. */
function childSeen(j: Judged, end: Extract<AttemptEnd, { kind: "child" | "child_failed" }>): void {
  const { turn, ref, def, unit, attempt } = j;
  if (ref.role !== undefined) {
    const failure = seed("template_failed", "An undoing or a check cannot start a run.", "Correct the step.");
    return fail(turn, ref, located(failure, ref, unit), notNow(j), { attempt });
  }
  const { run, generation } = end;
  if (end.kind === "child") {
    const same = unit.child?.run === run && unit.child.generation === generation && !unit.child.ended;
    const limitAt = same ? (unit.child?.limitAt ?? 0) : turn.now + end.limitMs;
    delegate(turn, ref, unit, { run, generation, limitAt });
    if (!mayRetry(turn.state, def, ref)) recall(turn, ref, "graceful");
    return;
  }
  const recalled = hasChild(unit) && unit.child.recalled !== null;
  const over = { t: "delegated", at: turn.now, ...ref, run, generation, attempt, ended: true } as const;
  emit(turn, { ...over, limitAt: turn.now, wakeAt: turn.now });
  const outcome = outcomeOfChild(j, end.left);
  if (recalled) emit(turn, { t: "cancelled", at: turn.now, ...ref, outcome });
  else fail(turn, ref, located(end.failure, ref, unit), outcome, { by: "child" });
}

function outcomeOfChild({ performance, unit }: Judged, left: Outcome): Outcome {
  if (performance.effect === "safe") return "not_done";
  return left === "not_done" ? outcomeOfRounds(unit) : left;
}

/** Waits for the child, and looks after it less and less often: its own message is what is counted on. */
function delegate(
  turn: Turn,
  ref: UnitRef,
  unit: Unit,
  child: { readonly run: string; readonly generation: number; readonly limitAt: number },
): void {
  const known =
    unit.child?.run === child.run && unit.child.generation === child.generation ? unit.child : null;
  const looks = known?.looks ?? 0;
  const wait = known?.told === true ? 0 : Math.min(MAX_LOOK_MS, FIRST_LOOK_MS * 2 ** Math.min(looks, 16));
  const { attempt } = unit;
  emit(turn, { t: "delegated", at: turn.now, ...ref, ...child, wakeAt: turn.now + wait, attempt });
}

function succeeded(
  j: Judged,
  end: Extract<AttemptEnd, { kind: "success" }>,
  cause: { attempt: number; by?: SettledBy },
): void {
  const { turn, ref, def, unit } = j;
  const at = turn.now;
  if (ref.role === "verify") return verified(j, end);
  if (
    end.again === true &&
    ref.role === undefined &&
    def.repeat !== undefined &&
    turn.state.phase === "forward"
  )
    return nextRound(j, end);
  const grows = ref.role === undefined && turn.state.phase === "forward";
  if (grows && end.more !== undefined && end.more.length > 0) {
    const refusal = grow(turn, end.more, ref.step, at);
    if (refusal !== null) {
      const failure = seed(
        "growth_refused",
        `The step returned more steps, and they were refused: ${refusal.message}`,
        "Return steps with new names whose needs exist.",
      );
      return fail(
        turn,
        ref,
        located(failure, ref, unit),
        j.performance.effect === "safe" ? "not_done" : "done",
        cause,
      );
    }
  }
  emit(turn, { t: "succeeded", at, ...ref, output: end.output, ...cause });
}

/** A `repeat` that goes on, within its bounds of count and time. */
function nextRound(j: Judged, end: Extract<AttemptEnd, { kind: "success" }>): void {
  const { turn, ref, def, unit, attempt } = j;
  const repeat = def.repeat;
  if (repeat === undefined) return;
  const wakeAt = turn.now + repeat.everyMs;
  if (unit.iteration + 1 < repeat.max && wakeAt - (unit.repeatedSince ?? turn.now) <= repeat.withinMs) {
    emit(turn, { t: "iterated", at: turn.now, ...ref, output: end.output, wakeAt, attempt });
    return;
  }
  const failure = seed(
    "repeat_exhausted",
    `The condition did not hold after ${unit.iteration + 1} rounds.`,
    "Raise `repeat.max` or `repeat.within`, or look at why what is polled does not get there.",
    true,
  );
  fail(turn, ref, located(failure, ref, unit), j.performance.effect === "safe" ? "not_done" : "done", {
    attempt,
  });
}

/** What did not happen now may have happened in an earlier attempt. */
function notNow(j: Judged): Outcome {
  if (j.performance.effect === "safe") return "not_done";
  if (j.unit.maybe && j.performance.effect !== "once") return "unknown";
  return j.unit.iteration > 0 ? "done" : "not_done";
}

function unclear(j: Judged, failure: FailureSeed, retryAfterMs: number, strike?: boolean): void {
  const { turn, ref, performance } = j;
  if (performance.effect === "once") return becomeUnknown(j, failure, j.listening);
  const strikes = j.unit.strikes + (strike === true ? 1 : 0);
  if (strike === true && strikes > STRIKES_BEFORE_ALONE) {
    const poison = seed(
      "attempt_lost",
      "The object died three times under this step, the last time with nothing else at work.",
      "The step needs more memory or CPU than an object has: make its input or output smaller.",
    );
    return fail(
      turn,
      ref,
      located(poison, ref, j.unit),
      performance.effect === "safe" ? "not_done" : "unknown",
      { attempt: j.attempt },
    );
  }
  again(j, failure, retryAfterMs, performance.effect !== "safe", strike);
}

export function becomeUnknown(
  j: Pick<Judged, "turn" | "ref" | "def" | "unit" | "attempt">,
  failure: FailureSeed,
  listening: boolean,
): void {
  const { turn, ref, def, unit, attempt } = j;
  toUnknown(turn, ref, def, { attempt, failure: located(failure, ref, unit), listening });
}

/** Retry where the policy still allows it and the run goes forward; else the unit ends here. */
function again(
  j: Judged,
  failure: FailureSeed,
  retryAfterMs: number,
  maybe: boolean,
  strike?: boolean,
): void {
  const { turn, ref, performance, unit, attempt } = j;
  const policy = performance.retry;
  const wait = delayMs(policy, Math.max(1, unit.tries), turn.random(), retryAfterMs);
  const wakeAt = turn.now + wait;
  const located_ = located(failure, ref, unit);
  if (!mayRetry(turn.state, j.def, ref)) return standStill(j, located_, maybe);
  const allowed =
    unit.tries < policy.attempts &&
    retries(policy, failure.code) &&
    spentMs(unit, turn.now) + wait <= policy.maxElapsedMs;
  if (!allowed)
    return fail(
      turn,
      ref,
      located_,
      performance.effect === "safe" ? "not_done" : maybe ? "unknown" : outcomeOfRounds(unit),
      { attempt, listening: j.listening },
    );
  if (keyForgotten(performance, maybe, unit, wakeAt)) return becomeUnknown(j, failure, false);
  emit(turn, {
    t: "retrying",
    at: turn.now,
    ...ref,
    wakeAt,
    failure: located_,
    maybe,
    attempt,
    ...(strike === true ? { strike } : {}),
  });
}

/** Of a unit whose present round did not happen: earlier rounds of a `repeat` did. */
export function outcomeOfRounds(unit: Unit): Outcome {
  return unit.iteration > 0 ? "done" : "not_done";
}

/** Past the life of a key the provider may take the same request for a new one (K6). */
export function keyForgotten(
  performance: { readonly effect: Effect; readonly keyTtlMs: number },
  maybe: boolean,
  unit: Unit,
  startAt: number,
): boolean {
  return (
    performance.effect === "keyed" &&
    maybe &&
    unit.keySince !== null &&
    startAt > unit.keySince + performance.keyTtlMs
  );
}

/** Nothing new starts in a run that drains; undoing, checking and the voicemail go on. */
function mayRetry(state: RunState, def: StepDef, ref: UnitRef): boolean {
  if (ref.role !== undefined) return state.phase !== "ended";
  // Nothing starts any more in a `forEach` that gives up: what waited for another attempt would wait for ever.
  if (ref.item !== undefined && (stepOf(state, ref.step)?.unit.givingUp ?? null) !== null) return false;
  return state.phase === (def.part === "on_failure" ? "handling" : "forward");
}

/** A unit that would have been tried again, in a run that is lost. */
function standStill(j: Judged, failure: Failure, maybe: boolean): void {
  const { turn, ref, performance, unit } = j;
  const outcome: Outcome =
    performance.effect === "safe" ? "not_done" : maybe ? "unknown" : outcomeOfRounds(unit);
  if (outcome === "unknown" && asksFirst(turn, ref, failure, j.listening)) return;
  emit(turn, { t: "cancelled", at: turn.now, ...ref, outcome });
}

/** The answer of a `verify`: it settles the unit that it was asked about, unless that was settled first (K7). */
function verified(j: Judged, end: Extract<AttemptEnd, { kind: "success" }>): void {
  const { turn, ref } = j;
  const main = refOf(ref.step, ref.item);
  const unit = unitOf(turn.state, main);
  if (end.happened === true) {
    // Of a `repeat` it was one round that happened: the condition decides whether that was the last.
    if (end.again === true && unit !== null && turn.state.phase === "forward")
      return nextRound({ ...j, ref: main, unit, performance: j.def, attempt: unit.attempt }, end);
    emit(turn, { t: "succeeded", at: turn.now, ...main, output: end.output, by: "verify" });
  } else if (end.happened === false) {
    // While the request is still open, "it did not happen" only means "not yet" (K5): it is asked again later.
    const open = j.unit.listening || unit?.listening === true;
    if (open) askAgain(j);
    else notHappened(turn, main, "verify");
  } else {
    const failure = seed(
      "verify_inconclusive",
      "The check could not tell whether the step happened.",
      "Resolve the step: say whether it happened.",
    );
    emit(turn, {
      t: "failed",
      at: turn.now,
      ...ref,
      failure: located(failure, ref, j.unit),
      outcome: "not_done",
      attempt: j.attempt,
    });
  }
}

/** A new round of the check. The flight that it waits for ends by itself, and then somebody says so (`unheard`). */
function askAgain({ turn, ref, def, attempt }: Judged): void {
  const wait = Math.max(def.verify?.afterMs ?? 0, VERIFY_AGAIN_MS);
  emit(turn, { t: "iterated", at: turn.now, ...ref, output: NULL_VALUE, wakeAt: turn.now + wait, attempt });
}

/** The request of an unknown unit's last attempt is not open any more, and nothing clear came of it. */
export function unheard(turn: Turn, ref: UnitRef, unit: Unit, kind: string): void {
  const verify = ref.role === undefined ? stepOf(turn.state, ref.step)?.def.verify : undefined;
  const then = verify === undefined ? {} : { verifyAt: turn.now + verify.afterMs };
  emit(turn, { t: "late", at: turn.now, ...ref, attempt: unit.attempt, kind, over: true, ...then });
}

/** Somebody who knows said that an unknown unit did not happen: try again if the policy allows, else it failed. */
export function notHappened(turn: Turn, ref: UnitRef, by: "verify" | "resolve"): void {
  const step = stepOf(turn.state, ref.step);
  const unit = unitOf(turn.state, ref);
  const performance = step === null ? null : performanceOf(step.def, ref);
  if (step === null || unit === null || performance === null) return;
  if (!mayRetry(turn.state, step.def, ref)) {
    emit(turn, { t: "cancelled", at: turn.now, ...ref, outcome: outcomeOfRounds(unit), by });
    return;
  }
  const failure =
    unit.failure ??
    located(seed("outcome_unknown", "The attempt was lost.", "Look at the service."), ref, unit);
  // A person who says "try again" gets a try, whatever the policy counted.
  if (by === "verify" && (unit.last || unit.tries >= performance.retry.attempts))
    return fail(turn, ref, failure, outcomeOfRounds(unit), { by });
  const wait = by === "resolve" ? 0 : delayMs(performance.retry, Math.max(1, unit.tries), turn.random());
  emit(turn, { t: "retrying", at: turn.now, ...ref, wakeAt: turn.now + wait, failure, maybe: false, by });
}

/** The limit of an unknown outcome: nobody could tell, so the run fails. */
export function giveUpUnknown(turn: Turn, ref: UnitRef): void {
  const unit = unitOf(turn.state, ref);
  if (unit === null) return;
  const failure = located(
    seed(
      "outcome_unknown",
      "Whether the step happened could not be found out within its limit.",
      "Look at the service, then redrive the run and resolve the step in the same call.",
    ),
    ref,
    unit,
  );
  emit(turn, { t: "failed", at: turn.now, ...ref, failure, outcome: outcomeNow(turn, ref, unit) });
  // An undoing that nobody could tell about is left behind, as one that failed.
  if (turn.state.phase === "forward" && ref.role === undefined) lose(turn, "failure", failure, "graceful");
}
