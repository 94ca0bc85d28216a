/**
 * What templates and step functions can see of a run: the input, the ancestors, the item, the run itself. All attempts of
 * a unit see the same, in whatever life and phase of the run: one key, one payload (K6).
 */

import {
  keyOf,
  refOf,
  stepOf,
  unitOf,
  type Failure,
  type Json,
  type RunState,
  type StepDef,
  type Unit,
  type UnitRef,
  type UnitStatus,
  type Value,
} from "../kernel/index.ts";

/** A step as others see it. The output of one that did not succeed is null. */
export interface StepView {
  readonly status: UnitStatus;
  readonly output: Json;
  readonly failure: Failure | null;
  readonly attempts: number;
  readonly startedAt: number | null;
  readonly endedAt: number | null;
}

export interface Scope {
  /** Values are loaded when they are asked for: a run can hold far more than a template names. */
  readonly input: () => Json;
  /**
   * An ancestor; for `onFailure` steps: any main step; for a compensation or verify: the step itself, too, or the item
   * that it is about.
   */
  readonly step: (name: string) => StepView | null;
  /** Names that `step` answers. */
  readonly visible: () => readonly string[];
  /** Main steps that nothing needs, but for sensitive ones: what a run without an output of its own answers. */
  readonly leaves: () => readonly string[];
  /** Element and index of a `forEach`; null and -1 elsewhere. */
  readonly item: () => Json;
  readonly index: number;
  /** Output of the unit itself, for its compensation; null elsewhere. */
  readonly own: () => Json;
  /** Round of a `repeat`, from 0. */
  readonly iteration: number;
  /**
   * The unit's idempotency key; for a compensation or verify: that of the step that it belongs to. For actions: what
   * fills in parameters must not read it, as a payload that changed since an earlier generation changes the key.
   */
  readonly key: string;
  /** Why the run was lost, for `onFailure` steps and the compensation of whole steps; null elsewhere. */
  readonly failure: Failure | null;
  /** `now` is the moment when the unit became due, the same for all of its attempts. */
  readonly run: { readonly id: string; readonly user: string | null; readonly now: number };
}

/**
 * @param load turns a value of the state into JSON
 * @param now used where the unit is only just becoming due
 */
export function scopeOf(
  state: RunState,
  ref: UnitRef | null,
  load: (value: Value) => Json,
  now: number,
): Scope {
  const owner = ref === null ? null : unitOf(state, refOf(ref.step, ref.item));
  const unit = ref === null ? null : unitOf(state, ref);
  const visible = (): string[] => visibleSteps(state, ref);
  const def = ref === null ? undefined : stepOf(state, ref.step)?.def;
  const needs = def?.needs ?? [];
  let names: ReadonlySet<string> | null = null;
  return {
    input: () => load(state.input),
    visible,
    leaves: () => leavesOf(state),
    step: (name) => {
      const step = stepOf(state, name);
      if (step === null) return null;
      // A `forEach` may not have ended yet when its items are checked or undone; the item itself has.
      if (ref?.role !== undefined && name === ref.step) return owner === null ? null : viewOf(owner, load);
      // Mostly a direct need is asked for; only else is it worth to walk up the graph.
      if (!needs.includes(name)) {
        names ??= new Set(visible());
        if (!names.has(name)) return null;
      }
      return viewOf(step.unit, load);
    },
    item: () => itemOf(state, ref, load),
    index: ref?.item ?? -1,
    own: () => (owner === null || owner.output === null ? null : load(owner.output)),
    iteration: owner?.iteration ?? 0,
    key: ref === null || owner === null ? "" : keyOf(state.run.id, refOf(ref.step, ref.item), owner),
    failure: failureSeen(state, ref, def),
    run: { id: state.run.id, user: state.run.user, now: unit?.readyAt ?? now },
  };
}

/** Not of an item: a `forEach` that gives up undoes its items in a run that may be lost only later. */
function failureSeen({ lost }: RunState, ref: UnitRef | null, def: StepDef | undefined): Failure | null {
  const undoes = ref?.role === "undo" && ref.item === undefined;
  return lost !== null && (undoes || def?.part === "on_failure") ? lost.failure : null;
}

function viewOf(unit: Unit, load: (value: Value) => Json): StepView {
  const { output } = unit;
  return {
    status: unit.status,
    get output(): Json {
      return unit.status === "succeeded" && output !== null ? load(output) : null;
    },
    failure: unit.failure,
    attempts: unit.attempt,
    startedAt: unit.startedAt,
    endedAt: unit.endedAt,
  };
}

function itemOf(state: RunState, ref: UnitRef | null, load: (value: Value) => Json): Json {
  if (ref?.item === undefined) return null;
  const list = stepOf(state, ref.step)?.unit.list ?? null;
  const items = list === null ? null : load(list);
  return Array.isArray(items) ? ((items as readonly Json[])[ref.item] ?? null) : null;
}

function leavesOf(state: RunState): string[] {
  return state.graph.steps.flatMap((step, index) =>
    step.part === "main" && step.sensitive !== true && (state.dependents[index] ?? []).length === 0
      ? [step.name]
      : [],
  );
}

/** Ancestors of a step; every main step for the run's output and for `onFailure` steps, beside their own ancestors. */
function visibleSteps(state: RunState, ref: UnitRef | null): string[] {
  const { steps } = state.graph;
  const main = steps.filter((step) => step.part === "main").map((step) => step.name);
  const step = ref === null ? null : stepOf(state, ref.step);
  if (step === null) return main;
  const found = new Set<string>();
  const open = [...step.def.needs];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (found.has(name)) continue;
    found.add(name);
    open.push(...(stepOf(state, name)?.def.needs ?? []));
  }
  if (ref?.role !== undefined) found.add(step.def.name);
  return step.def.part === "main" ? [...found] : [...main, ...found];
}
