/** The state of a run: the fold of its journal (K8). Plain data, never changed in place. */

import type { Failure, RunFailure } from "./failures.ts";
import type { Graph, StepDef } from "./graph.ts";
import type { RunInfo } from "./facts.ts";
import type { Tally } from "./tally.ts";
import type { Unit, UnitRef } from "./units.ts";
import type { Json, Value } from "./values.ts";

/**
 * Where a run stands as a whole; every legal move, as in `UNIT_MOVES`.
 * `forward`: working, or waiting to be admitted. `draining`: lost or cancelled, attempts in flight end. `undoing`: compensation.
 * `handling`: the `onFailure` steps.
 */
export const RUN_MOVES = {
  forward: { admitted: "forward", lost: "draining", ended: "ended" },
  draining: { undoing: "undoing", ended: "ended" },
  undoing: { handling: "handling", ended: "ended" },
  handling: { ended: "ended" },
  ended: { redriven: "forward" },
} as const;

export type Phase = keyof typeof RUN_MOVES;
export type RunFact = { [P in Phase]: keyof (typeof RUN_MOVES)[P] }[Phase];

export function movePhase(phase: Phase, fact: RunFact): Phase | null {
  const moves: Partial<Record<RunFact, Phase>> = RUN_MOVES[phase];
  return moves[fact] ?? null;
}

/** What callers see. `paused` is a flag beside the status, shown in its place. */
export const RUN_STATUSES = [
  "queued",
  "running",
  "waiting",
  "compensating",
  "succeeded",
  "failed",
  "cancelled",
] as const;
export type RunStatus = (typeof RUN_STATUSES)[number];

export interface Buffered {
  readonly id: string;
  readonly name: string;
  readonly payload: Value;
}

/** PERSISTED CONTRACT (in snapshots), version 1. `dependents` and `indexOf` are derived from `graph`. */
export interface RunState {
  readonly run: RunInfo;
  readonly input: Value;
  readonly graph: Graph;
  /** Raised by every growth (K11). */
  readonly revision: number;
  readonly generation: number;
  readonly phase: Phase;
  readonly startedAt: number;
  readonly deadlineAt: number;
  /**
   * Until when this generation may wait to be admitted. Null once it was, absent where there is no queue; what is lost before
   * that keeps it.
   */
  readonly queuedUntil?: number | null;
  /** When the budget of undoing ends; set when the run is lost. */
  readonly budgetAt: number | null;
  readonly endedAt: number | null;
  readonly status: "succeeded" | "failed" | "cancelled" | null;
  readonly output: Value | null;
  readonly lost: { readonly why: "failure" | "cancel" | "deadline"; readonly failure: Failure } | null;
  readonly failure: RunFailure | null;
  readonly pausedSince: number | null;
  readonly closed: boolean;
  /** Which connection each name means in this run, for good; opaque. */
  readonly bound?: Readonly<Record<string, Json>>;
  /** Keys that appended steps. */
  readonly extendedBy?: readonly string[];
  /** When work last ended or was added; an open run counts its idle time from here. */
  readonly activeAt: number;
  readonly units: readonly Unit[];
  /** Steps whose join is decided and that are not terminal, in graph order. */
  readonly live: readonly number[];
  /** Main steps that are not terminal. */
  readonly unsettled: number;
  readonly buffered: readonly Buffered[];
  /** Ids of every signal taken, to recognise a second delivery. */
  readonly signalIds: readonly string[];
  /** Their names, in the same order. Absent, or empty: not known, of signals taken before names were kept. */
  readonly signalNames?: readonly string[];
  /** Bytes of values journaled. */
  readonly bytes: number;
  /** What was done so far, in numbers. Missing: nothing, or it was begun by a build that did not count. */
  readonly tally?: Tally;
  readonly dependents: readonly (readonly number[])[];
  readonly indexOf: ReadonlyMap<string, number>;
}

/** Whether a signal was taken already: an id counts once per name. */
export function hasSignal({ signalIds, signalNames }: RunState, name: string, id: string): boolean {
  return signalIds.some((known, i) => {
    const its = signalNames?.[i] ?? "";
    return known === id && (its === "" || its === name);
  });
}

export function stepOf(state: RunState, name: string): { def: StepDef; unit: Unit; index: number } | null {
  const index = state.indexOf.get(name);
  if (index === undefined) return null;
  const def = state.graph.steps[index];
  const unit = state.units[index];
  return def === undefined || unit === undefined ? null : { def, unit, index };
}

/** The unit that a reference names, or null where there is none (yet). */
export function unitOf(state: RunState, ref: UnitRef): Unit | null {
  const step = stepOf(state, ref.step);
  if (step === null) return null;
  const unit = ref.item === undefined ? step.unit : (step.unit.items?.[ref.item] ?? null);
  return ref.role === undefined ? unit : (unit?.[ref.role] ?? null);
}

/** Whether the run waits to be admitted: nothing of it is done yet in this generation (U1). */
export function isQueued(state: RunState): state is RunState & { readonly queuedUntil: number } {
  return state.phase === "forward" && (state.queuedUntil ?? null) !== null;
}

/** An open run that has nothing to do until its owner appends a step or closes it. */
export function isIdle(state: RunState): boolean {
  return state.phase === "forward" && !isQueued(state) && !state.closed && state.unsettled === 0;
}

/** What callers see of the run as a whole. */
export function statusOf(state: RunState): RunStatus {
  if (state.status !== null) return state.status;
  if (state.phase !== "forward") return "compensating";
  if (isQueued(state)) return "queued";
  // Nothing live and nothing to come: an open run waits for its owner, any other is about to end.
  if (state.live.length === 0) return state.closed ? "running" : "waiting";
  return state.live.some((i) => inFlight(state.units[i])) ? "running" : "waiting";
}

/** Whether an attempt of the unit, or of one of its items, is in flight or about to be. */
function inFlight(unit: Unit | undefined): boolean {
  if (unit === undefined) return false;
  if (unit.items?.some((item) => inFlight(item)) === true) return true;
  if (unit.verify?.status === "running" || unit.undo?.status === "running") return true;
  return unit.status === "pending" || (unit.status === "running" && unit.items === null);
}
