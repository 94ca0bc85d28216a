/** What must hold between any two events. */

import { due, isTerminal, refOf, type RunState, type Unit, type UnitRef } from "../../src/kernel/index.ts";
import type { Host } from "./host.ts";
import { attemptName, type Life } from "./life.ts";
import { ACQUIRE_MS, RETENTION_MS, SKEW_MS } from "./limits.ts";
import type { Store } from "./store.ts";
import type { Findings } from "./verdict.ts";

/** How much later than a wait the alarm may stand while a timer of the process is the first to come. */
const BEHIND_TIMER_MS = 30_000;
/** Outside calls side by side. */
const SLOTS = 6;
/** Of them, so many are held at most by attempts that timed out and are listened to. */
const MAX_LISTENED = 4;

/**
 * K3, K4: a run has an alarm, no later than what comes next, be it the end of its retention; what is in flight has a
 * deadline.
 */
export function checkBetween(state: RunState | null, host: Host, now: number, findings: Findings): void {
  if (state === null) return;
  const next = comingUp(state);
  findings.expect(next.running.length <= SLOTS, () => `${next.running.length} attempts are in flight`);
  for (const name of next.withoutDeadline)
    findings.find("broken", `K4: ${name} is in flight without a deadline`);
  if (host.delivery.busy) return;
  const alarm = host.store.alarm;
  if (alarm === null) return findings.find("broken", "K3: no alarm is armed");
  // Of a life that dies while it asks for a credential, the journal shows nothing.
  const asked = host.life === null ? [] : host.credentials.pending(host.life);
  const asking = asked.find(({ at }) => now < at + ACQUIRE_MS);
  if (asking !== undefined && state.phase !== "ended")
    findings.expect(
      alarm.at <= Math.max(now + 1, asking.at + ACQUIRE_MS + BEHIND_TIMER_MS) + 2 * SKEW_MS,
      () => `K3: nobody looks after ${asking.name} for ${alarm.at - now} ms, should its life die`,
    );
  const latest = Math.max(now + 1, next.deadline) + 2 * SKEW_MS;
  findings.expect(
    alarm.at <= latest,
    () => `K3: the alarm stands ${alarm.at - next.deadline} ms after the next deadline`,
  );
  findings.expect(
    alarm.at <= Math.max(now + 1, host.queue.silentUntil(state, now)) + BEHIND_TIMER_MS + 2 * SKEW_MS,
    () => `W1, W2: the queue was not told of the run, and is not for ${alarm.at - now} ms`,
  );
  // What has waited long enough waits for a slot, or to run alone; a life's clock may be ahead.
  const behindMs = host.life === null || host.life.hasTimer ? BEHIND_TIMER_MS : 0;
  const wakeAt = next.wake > now + SKEW_MS ? next.wake : Infinity;
  findings.expect(
    alarm.at <= Math.max(now + 1, wakeAt) + behindMs + 2 * SKEW_MS,
    () => `K3: the alarm stands ${alarm.at - wakeAt} ms after the next wait ends`,
  );
}

/**
 * After a turn: nothing is due that has a slot, unless the driver goes on in a fresh event at once; and what is in
 * flight, this life performs (D5).
 */
export function checkProgress(life: Life, store: Store, findings: Findings): void {
  const { state } = life.driver;
  if (state === null || state.phase === "ended") return;
  const { running, listened } = comingUp(state);
  for (const name of [...running, ...listened])
    findings.expect(life.performed.has(name), `D5: ${name} is in flight, and this life does not perform it`);
  // Also what was asked in an earlier generation holds a slot, until it is answered.
  const asking = life.asking();
  const asked = new Set(asking);
  const busy = running.length + Math.min(listened.length, MAX_LISTENED) + asking.length;
  const jobs = due(state, life.now()).filter(
    (job) => job.kind !== "attempt" || (busy < SLOTS && !asked.has(attemptName(job.unit, job.attempt))),
  );
  for (const { givingUp, items } of state.units)
    findings.expect(
      givingUp === null || items?.some(({ status }) => status === "backing_off") !== true,
      "an item waits for another attempt, and its forEach gives up",
    );
  const hops = (store.alarm?.at ?? Infinity) <= life.now() + 1;
  findings.expect(jobs.length === 0 || hops, () => `work is due and nobody does it: ${JSON.stringify(jobs)}`);
}

interface ComingUp {
  deadline: number;
  wake: number;
  /** Attempts in flight. */
  readonly running: string[];
  /** Those that timed out and whose late answer would count. */
  readonly listened: string[];
  readonly withoutDeadline: string[];
}

function comingUp(state: RunState): ComingUp {
  const found: ComingUp = {
    deadline: endOfPhase(state),
    wake: Infinity,
    running: [],
    listened: [],
    withoutDeadline: [],
  };
  const look = (ref: UnitRef, unit: Unit | null): void => {
    if (unit === null || isTerminal(unit.status)) return;
    const name = attemptName(ref, unit.attempt);
    const flying = unit.status === "running" && unit.items === null;
    if (flying) found.running.push(name);
    if (unit.status === "unknown" && unit.listening) found.listened.push(name);
    if (flying && unit.deadline === null) found.withoutDeadline.push(name);
    found.deadline = Math.min(found.deadline, unit.deadline ?? Infinity);
    // A sleep that is over settles also while paused; a retry, a round or a look may not start.
    const sleeps = unit.status === "waiting" && unit.readyAt !== null && unit.digest === null;
    const mayWake = state.pausedSince === null || sleeps;
    if (mayWake) found.wake = Math.min(found.wake, unit.wakeAt ?? Infinity);
  };
  state.graph.steps.forEach((def, index) => {
    const whole = state.units[index];
    if (whole === undefined) return;
    const parts = whole.items?.map((unit, i) => ({ ref: refOf(def.name, i), unit })) ?? [
      { ref: refOf(def.name), unit: whole },
    ];
    for (const { ref, unit } of parts) {
      look(ref, unit);
      look(refOf(ref.step, ref.item, "undo"), unit.undo);
      look(refOf(ref.step, ref.item, "verify"), unit.verify);
    }
  });
  return found;
}

function endOfPhase(state: RunState): number {
  if (state.phase === "ended") return (state.endedAt ?? 0) + RETENTION_MS;
  if (state.phase !== "forward") return state.budgetAt ?? -Infinity;
  if ((state.queuedUntil ?? null) !== null) return state.queuedUntil ?? -Infinity;
  const idle =
    !state.closed &&
    state.units.every((unit, i) => isTerminal(unit.status) || state.graph.steps[i]?.part === "on_failure");
  return idle ? Math.min(state.deadlineAt, state.activeAt + state.graph.idleLimitMs) : state.deadlineAt;
}
