/** Time: timeouts, limits, sleeps, the deadline of the run, the budget of undoing. */

import { activeUnits, workingSteps } from "./due.ts";
import { endPause, fail, located, lose, outcomeNow, seed, stop } from "./failing.ts";
import { giveUpUnknown, judge } from "./judge.ts";
import { HANDLING_BUDGET_MS } from "./limits.ts";
import { expirePark } from "./parking.ts";
import { passQueueLimit } from "./queue.ts";
import { endLost } from "./settle.ts";
import { isQueued, stepOf, unitOf } from "./state.ts";
import { emit, type Turn } from "./turn.ts";
import { NULL_VALUE } from "./values.ts";
import { hasChild, isParked, isTerminal, refOf, type UnitRef } from "./units.ts";

/** Everything that is due at `turn.now`. Asking again at the same moment changes nothing. */
export function tick(turn: Turn): void {
  if (turn.state.phase === "ended") return;
  // Nothing is at work, and no clock of the work runs (U4).
  if (isQueued(turn.state)) {
    if (turn.now >= turn.state.queuedUntil) passQueueLimit(turn);
    return;
  }
  for (const index of workingSteps(turn.state)) {
    const def = turn.state.graph.steps[index];
    const unit = turn.state.units[index];
    if (def === undefined || unit === undefined) continue;
    for (const { ref } of activeUnits(def, unit)) tickUnit(turn, ref);
  }
  if (turn.state.phase === "forward" && turn.now >= turn.state.deadlineAt) passDeadline(turn);
  if (turn.state.budgetAt !== null && turn.now >= turn.state.budgetAt) passBudget(turn);
  const idleAt = turn.state.activeAt + turn.state.graph.idleLimitMs;
  if (
    turn.state.phase === "forward" &&
    !turn.state.closed &&
    turn.state.unsettled === 0 &&
    turn.now >= idleAt
  )
    emit(turn, { t: "closed", at: turn.now, by: "idle" });
}

function tickUnit(turn: Turn, ref: UnitRef): void {
  const unit = unitOf(turn.state, ref);
  if (unit === null || isTerminal(unit.status)) return;
  const over = unit.deadline !== null && turn.now >= unit.deadline;
  if (unit.status === "running" && over) {
    const failure = seed(
      "timeout",
      "The attempt did not end within its timeout.",
      "Raise the step's timeout, or look at why the service is slow.",
      true,
    );
    judge(turn, ref, { kind: "unclear", failure }, { listening: true });
    // A look that lasted past the limit of its child: that is due at the same moment.
    const after = unitOf(turn.state, ref);
    if (after !== null && after.status === "waiting" && hasChild(after)) tickUnit(turn, ref);
  } else if (unit.status === "unknown" && over) {
    giveUpUnknown(turn, ref);
  } else if (unit.status === "waiting" && unit.readyAt !== null) {
    if (over && isParked(unit)) expirePark(turn, ref, unit);
    else if (over) {
      const failure = seed(
        "wait_expired",
        "What the step waited for did not come within its limit.",
        "Raise the limit, or give the step an onFailure.",
      );
      fail(turn, ref, located(failure, ref, unit), outcomeNow(turn, ref, unit));
    } else if (unit.wakeAt !== null && unit.digest === null && turn.now >= unit.wakeAt) {
      emit(turn, { t: "succeeded", at: turn.now, ...ref, output: NULL_VALUE, by: "timer" });
    }
  }
}

/** The deadline ends the forward part, and a pause with it. Attempts in flight are aborted, not drained. */
function passDeadline(turn: Turn): void {
  endPause(turn, "deadline");
  const failure = seed(
    "deadline_exceeded",
    "The run did not end before its deadline.",
    "Redrive it with a fresh deadline, or raise the workflow's deadline.",
    true,
  );
  lose(turn, "deadline", failure, "immediate");
}

/**
 * Undoing had its time. What is still undone about it is left behind; the `onFailure` steps have a budget of their own,
 * since what they tell is needed all the more now. A run that is paused until then goes on with what the pause has left.
 */
function passBudget(turn: Turn): void {
  if (turn.state.pausedSince !== null) endPause(turn, "budget");
  const { phase, graph, budgetAt } = turn.state;
  if (budgetAt !== null && turn.now < budgetAt) return;
  for (const def of graph.steps) {
    const unit = stepOf(turn.state, def.name)?.unit;
    if (unit === undefined || (def.part === "on_failure" && phase !== "handling")) continue;
    for (const { ref } of [...activeUnits(def, unit)].reverse()) stop(turn, ref, "budget");
    stop(turn, refOf(def.name), "budget");
    settleWhole(turn, def.name);
  }
  if (phase === "handling" || !graph.steps.some((def) => def.part === "on_failure")) return endLost(turn);
  if (phase === "draining") emit(turn, { t: "undoing", at: turn.now });
  emit(turn, { t: "handling", at: turn.now, budgetAt: turn.now + HANDLING_BUDGET_MS });
}

/** A `forEach` whose items were stopped stops with them. */
function settleWhole(turn: Turn, name: string): void {
  const unit = stepOf(turn.state, name)?.unit;
  if (unit === undefined || isTerminal(unit.status)) return;
  emit(turn, {
    t: "cancelled",
    at: turn.now,
    step: name,
    outcome: unit.items?.some((item) => item.outcome !== "not_done") === true ? "unknown" : "not_done",
  });
}
