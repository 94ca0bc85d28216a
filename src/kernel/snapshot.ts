/** PERSISTED CONTRACT. A state as JSON, and back; what can be derived is left out. Version 1. */

import { withDependents } from "./joins.ts";
import type { RunState } from "./state.ts";
import { newUnit, type Unit } from "./units.ts";

/** A unit without the fields that hold what a new unit holds: most of a long run's units are sparse. */
type SparseUnit = Partial<Omit<Unit, "items" | "undo" | "verify">> & {
  readonly items?: readonly SparseUnit[];
  readonly undo?: SparseUnit;
  readonly verify?: SparseUnit;
};

export type Snapshot = { readonly v: 1; readonly units: readonly SparseUnit[] } & Omit<
  RunState,
  "units" | "dependents" | "indexOf"
>;

const EMPTY = Object.entries(newUnit()) as [keyof Unit, Unit[keyof Unit]][];

/** Whether this version can read the snapshot; null if so, else why not. The driver asks, `fromSnapshot` does not. */
export function unreadable(snapshot: { readonly v: number }): string | null {
  return snapshot.v === 1 ? null : `a snapshot of version ${snapshot.v}, which this version does not know`;
}

export function toSnapshot(state: RunState): Snapshot {
  const { dependents: _dependents, indexOf: _indexOf, units, ...rest } = state;
  return { v: 1, ...rest, units: units.map(sparse) };
}

export function fromSnapshot(snapshot: Snapshot): RunState {
  const { v: _v, units, ...rest } = snapshot;
  const derived = withDependents({ indexOf: new Map(), dependents: [] }, rest.graph.steps);
  return { ...rest, ...derived, units: units.map(full) };
}

function sparse(unit: Unit): SparseUnit {
  const changed = EMPTY.filter(([key, value]) => unit[key] !== value).map(([key]) => [key, unit[key]]);
  const { items, undo, verify, ...rest } = Object.fromEntries(changed) as Partial<Unit>;
  return {
    ...rest,
    ...(items === null || items === undefined ? {} : { items: items.map(sparse) }),
    ...(undo === null || undo === undefined ? {} : { undo: sparse(undo) }),
    ...(verify === null || verify === undefined ? {} : { verify: sparse(verify) }),
  };
}

function full(unit: SparseUnit): Unit {
  const { items, undo, verify, ...rest } = unit;
  return {
    ...newUnit(),
    ...rest,
    items: items === undefined ? null : items.map(full),
    undo: undo === undefined ? null : full(undo),
    verify: verify === undefined ? null : full(verify),
  };
}
