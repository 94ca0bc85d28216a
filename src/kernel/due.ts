/** Two readings of a state: what should be in flight now, and when to look again. */

import { joinOf, placeOf } from "./joins.ts";
import type { Performance, StepDef } from "./graph.ts";
import { STRIKES_BEFORE_ALONE } from "./limits.ts";
import { isQueued, stepOf, unitOf, type RunState } from "./state.ts";
import { hasChild, isTerminal, refOf, type Unit, type UnitRef } from "./units.ts";

export type Job =
  /** Fill in the templates of the unit and say what came of it (input `prepared`). */
  | { readonly kind: "prepare"; readonly unit: UnitRef }
  /** Once a slot is at hand: input `begin`, then perform. */
  | { readonly kind: "attempt"; readonly unit: UnitRef; readonly attempt: number }
  /** Every step is settled: fill in the run's output (input `output`). */
  | { readonly kind: "output" };

/** What a unit performs, by its role. */
export function performanceOf(def: StepDef, ref: UnitRef): Performance | null {
  if (ref.role === "undo") return def.compensate ?? null;
  if (ref.role === "verify") return def.verify ?? null;
  return def;
}

/** Whether compensation must still take care of the unit (K10). */
export function needsUndo(def: StepDef, unit: Unit): boolean {
  if (def.compensate === undefined || unit.undone || !isTerminal(unit.status)) return false;
  if (unit.outcome !== "done" && unit.outcome !== "unknown") return false;
  return unit.undo === null || !isTerminal(unit.undo.status);
}

/** The units of a step that have attempts: its items, or itself. */
export function partsOf(def: StepDef, unit: Unit): { ref: UnitRef; unit: Unit }[] {
  if (unit.items === null) return [{ ref: refOf(def.name), unit }];
  return unit.items.map((item, i) => ({ ref: refOf(def.name, i), unit: item }));
}

/** Every unit of a step that can hold an attempt, a timer or a limit. */
export function* activeUnits(def: StepDef, unit: Unit): Generator<{ ref: UnitRef; unit: Unit }> {
  for (const part of partsOf(def, unit)) {
    yield part;
    const { step, item } = part.ref;
    if (part.unit.verify !== null) yield { ref: refOf(step, item, "verify"), unit: part.unit.verify };
    if (part.unit.undo !== null) yield { ref: refOf(step, item, "undo"), unit: part.unit.undo };
  }
}

/** Steps whose units may be at work: the live ones; all of them while the run undoes. */
export function workingSteps(state: RunState): Iterable<number> {
  return state.phase === "forward" || state.phase === "handling" ? state.live : state.graph.steps.keys();
}

/** What should be in flight now and is not. Nothing while paused or queued, nothing at the end. */
export function due(state: RunState, now: number): Job[] {
  if (state.pausedSince !== null || state.phase === "ended") return [];
  // U1
  if (isQueued(state)) return [];
  const jobs: Job[] = [];
  for (const index of workingSteps(state)) {
    const def = state.graph.steps[index];
    const unit = state.units[index];
    if (def !== undefined && unit !== undefined) stepJobs(state, def, unit, now, jobs);
  }
  if (state.phase === "undoing") jobs.push(...undoJobs(state, now));
  if (state.phase === "forward" && state.unsettled === 0 && state.closed) jobs.push({ kind: "output" });
  return aloneRule(state, jobs);
}

/**
 * Whether `due` asks for this: nothing is prepared or begun that is not (K2, K10, the concurrency of a `forEach`).
 * Looks at the one step, not at all of them: a wide run asks this of each of its steps.
 */
export function isDue(state: RunState, kind: "prepare" | "attempt", ref: UnitRef, now: number): boolean {
  if (state.pausedSince !== null || state.phase === "ended" || isQueued(state)) return false;
  const step = stepOf(state, ref.step);
  if (step === null) return false;
  const { def, unit, index } = step;
  let jobs: Job[] = [];
  if (kind === "attempt" && hasSuspects(state)) jobs = due(state, now);
  else {
    if (isWorking(state, index)) stepJobs(state, def, unit, now, jobs);
    if (ref.role === "undo" && state.phase === "undoing" && def.part === "main" && !isHeld(state, index))
      for (const part of partsOf(def, unit))
        undoJob(def, refOf(part.ref.step, part.ref.item, "undo"), part.unit, now, jobs);
  }
  return jobs.some(
    (job) =>
      job.kind === kind &&
      job.unit.step === ref.step &&
      job.unit.item === ref.item &&
      job.unit.role === ref.role,
  );
}

/** Whether the step is one of `workingSteps`. */
function isWorking(state: RunState, index: number): boolean {
  if (state.phase !== "forward" && state.phase !== "handling") return true;
  return state.live[placeOf(state.live, index)] === index;
}

function stepJobs(state: RunState, def: StepDef, unit: Unit, now: number, jobs: Job[]): void {
  const starting =
    state.phase === "forward" ? def.part === "main" : state.phase === "handling" && def.part === "on_failure";
  if (unit.items !== null && !isTerminal(unit.status) && unit.status !== "pending")
    itemJobs(def, unit, starting, now, jobs);
  else if (starting) unitJobs(refOf(def.name), unit, joinOf(state, def) === "run", now, jobs);
  for (const part of partsOf(def, unit)) {
    if (part.unit.status !== "unknown" || part.unit.verify === null) continue;
    unitJobs(refOf(def.name, part.ref.item, "verify"), part.unit.verify, true, now, jobs);
  }
  for (const part of partsOf(def, unit)) lookJob(part.ref, part.unit, now, jobs);
}

/** A child is looked after whatever phase its parent is in: one that drains waits for it. */
function lookJob(ref: UnitRef, unit: Unit, now: number, jobs: Job[]): void {
  if (unit.status === "waiting" && hasChild(unit) && (unit.wakeAt ?? 0) <= now)
    jobs.push({ kind: "attempt", unit: ref, attempt: unit.attempt + 1 });
}

/** The items of a `forEach`, up to its concurrency; when it gives up, the undoing of those that succeeded. */
function itemJobs(def: StepDef, unit: Unit, starting: boolean, now: number, jobs: Job[]): void {
  const items = unit.items ?? [];
  if (unit.givingUp !== null) {
    if (starting && items.every((item) => isTerminal(item.status))) {
      items.forEach((item, i) => undoJob(def, refOf(def.name, i, "undo"), item, now, jobs));
    }
    return;
  }
  if (!starting) return;
  const running = items.filter((item) => item.status === "running" || hasChild(item)).length;
  const resting = items.filter((item) => item.status === "backing_off").length;
  // An item that backs off keeps its place; one that was unknown in the meantime may have lost it.
  let room = (def.forEach?.concurrency ?? 1) - running;
  let free = room - resting;
  items.forEach((item, i) => {
    const ref = refOf(def.name, i);
    if (item.status === "backing_off" && room > 0 && (item.wakeAt ?? now) <= now) {
      room--;
      unitJobs(ref, item, true, now, jobs);
    } else if ((item.status === "pending" || item.status === "waiting") && free > 0) {
      // One that waits for a decision takes no place: all are asked about at once.
      if (awaitsDecision(item) || hasChild(item)) return;
      // Nor does one that is parked: it looks for a place when it wakes.
      if (item.wakeAt !== null && item.wakeAt > now) return;
      free--;
      unitJobs(ref, item, true, now, jobs);
    }
  });
}

function unitJobs(ref: UnitRef, unit: Unit, mayStart: boolean, now: number, jobs: Job[]): void {
  const asleep = unit.wakeAt !== null && unit.wakeAt > now;
  if (asleep || !mayStart || awaitsDecision(unit) || hasChild(unit)) return;
  const resting = unit.status === "pending" || (unit.status === "waiting" && unit.readyAt === null);
  if (resting && unit.readyAt === null) jobs.push({ kind: "prepare", unit: ref });
  else if (
    unit.status === "backing_off" ||
    unit.status === "pending" ||
    (unit.status === "waiting" && unit.digest !== null)
  ) {
    jobs.push({ kind: "attempt", unit: ref, attempt: unit.attempt + 1 });
  }
}

/** Whether somebody was asked to approve the unit, and has not answered. */
export function awaitsDecision(unit: Unit): boolean {
  return unit.status === "waiting" && unit.approval !== null && unit.approval.decided === null;
}

function undoJob(def: StepDef, ref: UnitRef, unit: Unit, now: number, jobs: Job[]): void {
  if (!needsUndo(def, unit)) return;
  if (unit.undo === null) jobs.push({ kind: "prepare", unit: ref });
  else unitJobs(ref, unit.undo, true, now, jobs);
}

/**
 * Reverse dependency order (K10): a unit is undone when everything downstream is settled and undone, or could not be.
 * Steps stand in an order in which needs come first, so one pass from the end sees dependents before what they need.
 */
function undoJobs(state: RunState, now: number): Job[] {
  const jobs: Job[] = [];
  const holds = state.units.map(() => false);
  for (let index = state.units.length - 1; index >= 0; index--) {
    const def = state.graph.steps[index];
    const unit = state.units[index];
    if (def === undefined || unit === undefined || def.part !== "main") continue;
    const held = (state.dependents[index] ?? []).some((dependent) => holds[dependent]);
    const parts = partsOf(def, unit);
    if (!held) {
      for (const { ref, unit: part } of parts)
        undoJob(def, refOf(ref.step, ref.item, "undo"), part, now, jobs);
    }
    holds[index] = held || isOpen(def, unit);
  }
  return jobs;
}

/** Whether the step itself holds back the undoing of what it needs. */
function isOpen(def: StepDef, unit: Unit): boolean {
  return partsOf(def, unit).some((part) => !isTerminal(part.unit.status) || needsUndo(def, part.unit));
}

/** The same order, asked of one step: whether something downstream is open. */
function isHeld(state: RunState, index: number): boolean {
  const seen = new Set<number>();
  const open = [...(state.dependents[index] ?? [])];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    const def = state.graph.steps[at];
    const unit = state.units[at];
    if (seen.has(at) || def === undefined || unit === undefined || def.part !== "main") continue;
    if (isOpen(def, unit)) return true;
    seen.add(at);
    open.push(...(state.dependents[at] ?? []));
  }
  return false;
}

/** Whether any unit that may be at work is a suspect: else nothing runs alone. */
function hasSuspects(state: RunState): boolean {
  for (const index of workingSteps(state)) {
    const unit = state.units[index];
    if (unit !== undefined && isSuspect(unit)) return true;
  }
  return false;
}

function isSuspect(unit: Unit): boolean {
  if (unit.strikes >= STRIKES_BEFORE_ALONE) return true;
  if (unit.undo !== null && unit.undo.strikes >= STRIKES_BEFORE_ALONE) return true;
  if (unit.verify !== null && unit.verify.strikes >= STRIKES_BEFORE_ALONE) return true;
  return unit.items?.some(isSuspect) ?? false;
}

/** A unit under which the object died twice runs alone, so that a third death is surely its own. */
function aloneRule(state: RunState, jobs: Job[]): Job[] {
  if (!hasSuspects(state)) return jobs;
  const busy: Unit[] = [];
  for (const index of workingSteps(state)) {
    const def = state.graph.steps[index];
    const unit = state.units[index];
    if (def === undefined || unit === undefined) continue;
    for (const active of activeUnits(def, unit)) if (active.unit.status === "running") busy.push(active.unit);
  }
  const suspects = jobs.filter(
    (job) => job.kind === "attempt" && (unitOf(state, job.unit)?.strikes ?? 0) >= STRIKES_BEFORE_ALONE,
  );
  const [suspect] = suspects;
  const isolated = busy.some((unit) => unit.strikes >= STRIKES_BEFORE_ALONE);
  if (suspect === undefined && !isolated) return jobs;
  const others = jobs.filter((job) => job.kind !== "attempt");
  return busy.length === 0 && suspect !== undefined ? [...others, suspect] : others;
}

/**
 * When to look again at the latest (K3). Null only for a run that has ended.
 * While paused, what may not start does not wake anybody.
 * @param after ends of waits up to here are passed over if something can start then: it is due already, and waits for
 *   a slot. The end of a sleep is never passed over, as only a `tick` can settle it.
 */
export function nextWake(state: RunState, after = -Infinity): number | null {
  if (state.phase === "ended") return null;
  let at = endOfPhase(state);
  for (const unit of workingUnits(state)) {
    at = Math.min(at, unit.deadline ?? Infinity, wakeOf(unit, state.pausedSince !== null, after));
  }
  return at;
}

/** The next moment at which a limit falls due: the alarm never stands later (K3, K4). Infinity for a run that has ended. */
export function nextDeadline(state: RunState): number {
  if (state.phase === "ended") return Infinity;
  let at = endOfPhase(state);
  for (const unit of workingUnits(state)) at = Math.min(at, unit.deadline ?? Infinity);
  return at;
}

/** The limit of the queue, the deadline of the forward part, the budget of undoing, the idle limit of an open run. */
function endOfPhase(state: RunState): number {
  if (isQueued(state)) return state.queuedUntil;
  if (state.phase !== "forward") return state.budgetAt ?? state.deadlineAt;
  const idle = !state.closed && state.unsettled === 0;
  return idle ? Math.min(state.deadlineAt, state.activeAt + state.graph.idleLimitMs) : state.deadlineAt;
}

/** Every unit that can hold a deadline or a wait, and is not terminal. */
function* workingUnits(state: RunState): Generator<Unit> {
  for (const index of workingSteps(state)) {
    const def = state.graph.steps[index];
    const unit = state.units[index];
    if (def === undefined || unit === undefined) continue;
    for (const active of activeUnits(def, unit)) if (!isTerminal(active.unit.status)) yield active.unit;
  }
}

function wakeOf(unit: Unit, paused: boolean, after: number): number {
  if (unit.wakeAt === null) return Infinity;
  // A sleep that is over settles also while paused; a retry or a new round may not start.
  const sleeping = unit.status === "waiting" && unit.readyAt !== null && unit.digest === null;
  return sleeping || (!paused && unit.wakeAt > after) ? unit.wakeAt : Infinity;
}
