/** PERSISTED CONTRACT. A golden journal: what a version of the kernel wrote, and what it must always be read as. */

import { join } from "node:path";
import {
  fromSnapshot,
  illegal,
  evolve,
  keyOf,
  refOf,
  statusOf,
  type Fact,
  type Json,
  type RunState,
  type Snapshot,
  type Unit,
} from "../../src/kernel/index.ts";

export const JOURNALS = join(import.meta.dirname, "journals");

export interface Golden {
  /** Version of the facts and of the snapshot. */
  readonly v: 1;
  readonly title: string;
  readonly facts: readonly Fact[];
  /** The state after the first `after` facts, as it was stored. */
  readonly snapshot: { readonly after: number; readonly state: Snapshot };
  /** What the journal comes to. */
  readonly view: Json;
}

/** Folds facts onto a state. Throws on one that is not legal: such a journal could not be read. */
export function fold(state: RunState | null, facts: readonly Fact[]): RunState {
  let next = state;
  for (const [i, fact] of facts.entries()) {
    const why = illegal(next, fact);
    if (why !== null) throw new Error(`fact ${i} (${fact.t}): ${why}`);
    next = evolve(next, fact);
  }
  if (next === null) throw new Error("the journal is empty");
  return next;
}

/** Folds from the snapshot on. */
export function foldFromSnapshot({ snapshot, facts }: Golden): RunState {
  return fold(fromSnapshot(snapshot.state), facts.slice(snapshot.after));
}

/**
 * What a state says, spelled out field by field: fields that later versions add do not change it. Keys are in it,
 * because a key that changed would let a provider repeat what it did.
 */
export function viewOf(state: RunState): Json {
  const view = {
    status: statusOf(state),
    phase: state.phase,
    generation: state.generation,
    revision: state.revision,
    startedAt: state.startedAt,
    endedAt: state.endedAt,
    deadlineAt: state.deadlineAt,
    budgetAt: state.budgetAt,
    pausedSince: state.pausedSince,
    closed: state.closed,
    bytes: state.bytes,
    output: state.output,
    failure: state.failure,
    buffered: state.buffered,
    signalIds: state.signalIds,
    live: state.live,
    steps: Object.fromEntries(
      state.graph.steps.map((def, i) => {
        const unit = state.units[i];
        return [def.name, unit === undefined ? null : viewOfStep(state.run.id, def.name, unit)];
      }),
    ),
  };
  return JSON.parse(JSON.stringify(view)) as Json;
}

function viewOfStep(run: string, step: string, unit: Unit): object {
  return {
    ...viewOfUnit(run, step, undefined, unit),
    ...(unit.items === null ? {} : { items: unit.items.map((item, i) => viewOfUnit(run, step, i, item)) }),
  };
}

function viewOfUnit(run: string, step: string, item: number | undefined, unit: Unit): object {
  return {
    key: keyOf(run, refOf(step, item), unit),
    ...viewOfAttempts(unit),
    ...(unit.undo === null
      ? {}
      : { undo: { key: keyOf(run, refOf(step, item, "undo"), unit.undo), ...viewOfAttempts(unit.undo) } }),
    ...(unit.verify === null ? {} : { verify: viewOfAttempts(unit.verify) }),
  };
}

function viewOfAttempts(unit: Unit): object {
  const { status, outcome, undone, attempt, tries, maybe, listening, strikes, digest } = unit;
  const { startedAt, endedAt, deadline, wakeAt, output, failure, givingUp, list } = unit;
  return {
    ...{ status, outcome, undone, attempt, tries, maybe, listening, strikes, digest },
    ...{ startedAt, endedAt, deadline, wakeAt, output, failure, givingUp, list },
  };
}
