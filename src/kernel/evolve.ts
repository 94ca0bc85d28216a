/** `evolve(state, fact) -> state`: what each fact means. Pure; it decides nothing (K8). */

import { FACT_TYPES, type Fact, type FactOf, type RunInfo } from "./facts.ts";
import type { StepDef } from "./graph.ts";
import { joined, placeOf, withDependents } from "./joins.ts";
import { isQueued, movePhase, stepOf, unitOf, type RunFact, type RunState } from "./state.ts";
import { isTerminal, moveUnit, newUnit, refOf, type Outcome, type Unit } from "./units.ts";
import { tallied } from "./tally.ts";
import { applied, type UnitFactRecord } from "./unit-facts.ts";
import type { Value } from "./values.ts";

const KNOWN: ReadonlySet<string> = new Set(FACT_TYPES);

/** Whether the fact may follow in this state; null if so, else why not. The fold and the tests ask, `evolve` does not. */
export function illegal(state: RunState | null, fact: Fact): string | null {
  if (fact.t === "run_started") return state === null ? null : "a run starts once";
  // A build that was rolled back must not fold what a newer one wrote as if it was nothing.
  if (!KNOWN.has(fact.t)) return `${fact.t} is not a fact that this version knows`;
  if (state === null) return `${fact.t} before run_started`;
  if ("step" in fact && fact.t !== "resolved" && fact.t !== "used") {
    const owner = unitOf(state, refOf(fact.step, fact.item));
    // The first fact of an undoing makes its unit.
    const unit = unitOf(state, fact) ?? (owner !== null && fact.role === "undo" ? newUnit() : null);
    if (unit === null) return `${fact.t} for a unit that does not exist`;
    return moveUnit(unit.status, fact.t) === null ? `${unit.status} -> ${fact.t} is not a legal move` : null;
  }
  if (fact.t === "admitted" && !isQueued(state)) return "admitted without waiting for it is not a legal move";
  if (
    fact.t === "lost" ||
    fact.t === "ended" ||
    fact.t === "undoing" ||
    fact.t === "handling" ||
    fact.t === "redriven"
  ) {
    return movePhase(state.phase, fact.t) === null ? `${state.phase} -> ${fact.t} is not a legal move` : null;
  }
  return null;
}

export function evolve(state: RunState | null, fact: Fact): RunState | null {
  if (fact.t === "run_started") return started(fact);
  if (state === null) return null;
  switch (fact.t) {
    case "admitted":
      return {
        ...moved(state, "admitted"),
        deadlineAt: fact.deadlineAt,
        queuedUntil: null,
        activeAt: fact.at,
      };
    case "signalled":
      return {
        ...state,
        buffered: [...state.buffered, { id: fact.id, name: fact.name, payload: fact.payload }],
        signalIds: [...state.signalIds, fact.id],
        signalNames: [...(state.signalNames ?? state.signalIds.map(() => "")), fact.name],
        bytes: state.bytes + bytesOf(fact.payload),
      };
    case "grew":
      return grown({ ...extended(state, fact.by), revision: fact.revision, activeAt: fact.at }, fact.steps);
    case "closed":
      return { ...state, closed: true };
    case "paused":
      return { ...state, pausedSince: fact.at };
    case "resumed":
      return { ...state, pausedSince: null, budgetAt: fact.budgetAt ?? state.budgetAt };
    case "bound":
      return { ...state, bound: { ...state.bound, [fact.name]: fact.to } };
    case "lost":
      return {
        ...moved(state, "lost"),
        lost: { why: fact.why, failure: fact.failure },
        budgetAt: fact.budgetAt,
      };
    case "undoing":
      return moved(state, "undoing");
    case "handling":
      return joined(
        { ...moved(state, "handling"), budgetAt: fact.budgetAt ?? state.budgetAt },
        state.graph.steps.keys(),
      );
    case "ended": {
      const ended = {
        ...moved(state, "ended"),
        endedAt: fact.at,
        status: fact.status,
        // What has ended is not paused: a redrive starts.
        pausedSince: null,
        ...counted(state, fact, null, null),
      };
      return fact.status === "succeeded"
        ? { ...ended, output: fact.output, bytes: state.bytes + bytesOf(fact.output) }
        : { ...ended, failure: fact.failure };
    }
    case "redriven":
      return {
        ...moved(state, "redriven"),
        generation: fact.generation,
        deadlineAt: fact.deadlineAt,
        ...queuedFrom(fact.at, state.run),
        budgetAt: null,
        endedAt: null,
        status: null,
        lost: null,
        failure: null,
        activeAt: fact.at,
      };
    case "resolved":
    case "used":
      return state;
    case "late":
      return fact.over === true && unitOf(state, fact) !== null ? unitFact(state, fact) : state;
    default:
      return KNOWN.has(fact.t) ? unitFact(state, fact) : state;
  }
}

export function evolveAll(state: RunState | null, facts: readonly Fact[]): RunState | null {
  return facts.reduce(evolve, state);
}

function moved(state: RunState, fact: RunFact): RunState {
  return { ...state, phase: movePhase(state.phase, fact) ?? state.phase };
}

function started(fact: FactOf<"run_started">): RunState {
  const empty: RunState = {
    run: fact.run,
    input: fact.input,
    graph: { ...fact.graph, steps: [] },
    revision: 1,
    generation: 1,
    phase: "forward",
    startedAt: fact.at,
    deadlineAt: fact.deadlineAt,
    ...queuedFrom(fact.at, fact.run),
    budgetAt: null,
    endedAt: null,
    status: null,
    output: null,
    lost: null,
    failure: null,
    pausedSince: null,
    closed: !fact.run.open,
    activeAt: fact.at,
    units: [],
    live: [],
    unsettled: 0,
    buffered: [],
    signalIds: [],
    bytes: bytesOf(fact.input),
    dependents: [],
    indexOf: new Map(),
  };
  return grown(empty, fact.graph.steps);
}

/** Of a generation that begins. */
function queuedFrom(at: number, { flow }: RunInfo): Pick<RunState, "queuedUntil"> {
  return flow === undefined ? {} : { queuedUntil: at + flow.limitMs };
}

/** Adds steps; what was there stays as it is (K11). */
function grown(state: RunState, steps: readonly StepDef[]): RunState {
  const { indexOf, dependents } = withDependents(state, steps);
  const first = state.units.length;
  const next: RunState = {
    ...state,
    graph: { ...state.graph, steps: [...state.graph.steps, ...steps] },
    units: [...state.units, ...steps.map(() => newUnit())],
    unsettled: state.unsettled + steps.filter((step) => step.part === "main").length,
    dependents,
    indexOf,
  };
  return joined(
    next,
    steps.map((_, i) => first + i),
  );
}

/** Who appended steps is remembered; steps that a step of the run returned are nobody else's. */
function extended(state: RunState, by: string): RunState {
  const known = state.extendedBy ?? [];
  return state.indexOf.has(by) || known.includes(by) ? state : { ...state, extendedBy: [...known, by] };
}

function bytesOf(value: Value | null): number {
  return value !== null && "bytes" in value ? value.bytes : 0;
}

function unitFact(state: RunState, fact: UnitFactRecord): RunState {
  const at = stepOf(state, fact.step);
  if (at === null) return state;
  const { index, def } = at;
  const step = fact.item === undefined ? at.unit : (at.unit.items?.[fact.item] ?? newUnit());
  const changed =
    fact.role === undefined
      ? applied(step, fact)
      : withRole(step, fact.role, appliedToRole(step, fact.role, fact));
  const unit =
    fact.item === undefined ? changed : { ...at.unit, items: (at.unit.items ?? []).with(fact.item, changed) };
  const units = state.units.with(index, unit);
  const next: RunState = {
    ...state,
    units,
    bytes: state.bytes + bytesOf("output" in fact ? fact.output : "list" in fact ? fact.list : null),
    ...counted(state, fact, step, changed),
  };
  const consumed =
    fact.t === "succeeded" && fact.signal !== undefined ? unbuffered(next, fact.signal, def.signal) : next;
  return settledStep(consumed, def, index, at.unit, unit, fact.at);
}

function counted(
  state: RunState,
  fact: Fact,
  before: Unit | null,
  after: Unit | null,
): Pick<RunState, "tally"> {
  const tally = tallied(state.tally, fact, before, after);
  return tally === undefined ? {} : { tally };
}

/** Keeps the live list, the count of unsettled steps and the dependents' joins true when a step itself settles or is reset. */
function settledStep(
  state: RunState,
  def: StepDef,
  index: number,
  before: Unit,
  after: Unit,
  now: number,
): RunState {
  const was = isTerminal(before.status);
  const is = isTerminal(after.status);
  if (was === is) return state;
  const step = def.part === "main" ? 1 : 0;
  if (was) return joined({ ...state, unsettled: state.unsettled + step }, [index]);
  const next = {
    ...state,
    unsettled: state.unsettled - step,
    live: without(state.live, index),
    activeAt: now,
  };
  return joined(next, state.dependents[index] ?? []);
}

function without(live: readonly number[], index: number): readonly number[] {
  const at = placeOf(live, index);
  return live[at] === index ? live.toSpliced(at, 1) : live;
}

function unbuffered(state: RunState, id: string, name: string | undefined): RunState {
  return {
    ...state,
    buffered: state.buffered.filter((signal) => signal.id !== id || signal.name !== name),
  };
}

function appliedToRole(owner: Unit, role: "undo" | "verify", fact: UnitFactRecord): Unit {
  const sub = applied(owner[role] ?? newUnit(), fact);
  return role === "verify" && fact.t === "started" ? { ...sub, listening: owner.listening } : sub;
}

function withRole(unit: Unit, role: "undo" | "verify", sub: Unit): Unit {
  if (role === "verify") return { ...unit, verify: sub };
  // An undoing that happened but answered with rubbish has undone the unit all the same.
  return { ...unit, undo: sub, undone: unit.undone || sub.outcome === "done" };
}

/** Outcome of a `forEach` from its items. */
export function itemsOutcome(items: readonly Unit[]): Outcome {
  if (items.some((item) => item.outcome === "unknown" && !item.undone)) return "unknown";
  return items.some((item) => item.outcome === "done" && !item.undone) ? "done" : "not_done";
}
