/** `evolve(state, fact) -> state`: what each fact means. Pure; it decides nothing (K8). */

import type { Fact, FactOf } from "./facts.ts";
import type { StepDef } from "./graph.ts";
import { movePhase, stepOf, unitOf, type RunFact, type RunState } from "./state.ts";
import {
  isTerminal,
  moveUnit,
  newUnit,
  type Outcome,
  type Unit,
  type UnitFact,
  type UnitRef,
} from "./units.ts";
import type { Value } from "./values.ts";

type UnitFactRecord = Extract<Fact, UnitRef>;

/** Whether the fact may follow in this state; null if so, else why not. The fold and the tests ask, `evolve` does not. */
export function illegal(state: RunState | null, fact: Fact): string | null {
  if (fact.t === "run_started") return state === null ? null : "a run starts once";
  if (state === null) return `${fact.t} before run_started`;
  if ("step" in fact && fact.t !== "resolved") {
    const role = fact.role;
    const unit = unitOf(state, fact) ?? (role === undefined ? null : newUnit());
    if (unit === null) return `${fact.t} for a unit that does not exist`;
    return moveUnit(unit.status, fact.t) === null ? `${unit.status} -> ${fact.t} is not a legal move` : null;
  }
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
    case "signalled":
      return {
        ...state,
        buffered: [...state.buffered, { id: fact.id, name: fact.name, payload: fact.payload }],
        signalIds: [...state.signalIds, fact.id],
        bytes: state.bytes + bytesOf(fact.payload),
      };
    case "grew":
      return grown({ ...state, revision: fact.revision, activeAt: fact.at }, fact.steps);
    case "closed":
      return { ...state, closed: true };
    case "paused":
      return { ...state, pausedSince: fact.at };
    case "resumed":
      return {
        ...state,
        pausedSince: null,
        pausedMs: state.pausedMs + (fact.at - (state.pausedSince ?? fact.at)),
      };
    case "lost":
      return {
        ...moved(state, "lost"),
        lost: { why: fact.why, failure: fact.failure },
        budgetAt: fact.budgetAt,
      };
    case "undoing":
      return moved(state, "undoing");
    case "handling":
      return joined(moved(state, "handling"), state.graph.steps.keys());
    case "ended": {
      const ended = { ...moved(state, "ended"), endedAt: fact.at, status: fact.status };
      return fact.status === "succeeded"
        ? { ...ended, output: fact.output, bytes: state.bytes + bytesOf(fact.output) }
        : { ...ended, failure: fact.failure };
    }
    case "redriven":
      return {
        ...moved(state, "redriven"),
        generation: fact.generation,
        deadlineAt: fact.deadlineAt,
        budgetAt: null,
        endedAt: null,
        status: null,
        lost: null,
        failure: null,
        activeAt: fact.at,
      };
    case "resolved":
      return state;
    default:
      return unitFact(state, fact);
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
    budgetAt: null,
    endedAt: null,
    status: null,
    output: null,
    lost: null,
    failure: null,
    pausedSince: null,
    pausedMs: 0,
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

/** Adds steps; what was there stays as it is (K11). */
function grown(state: RunState, steps: readonly StepDef[]): RunState {
  const indexOf = new Map(state.indexOf);
  const dependents = state.dependents.map((list) => [...list]);
  steps.forEach((step, i) => {
    const index = state.units.length + i;
    indexOf.set(step.name, index);
    dependents.push([]);
    for (const need of step.needs) {
      const from = indexOf.get(need);
      if (from !== undefined) dependents[from]?.push(index);
    }
  });
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

/** Puts those of the steps whose join is decided on the live list. */
function joined(state: RunState, candidates: Iterable<number>): RunState {
  const ready: number[] = [];
  for (const index of candidates) {
    const def = state.graph.steps[index];
    const unit = state.units[index];
    if (def === undefined || unit === undefined || unit.status !== "pending" || state.live.includes(index))
      continue;
    if ((def.part === "on_failure") !== (state.phase === "handling")) continue;
    if (joinOf(state, def) !== "undecided") ready.push(index);
  }
  return ready.length === 0 ? state : { ...state, live: [...state.live, ...ready].sort((a, b) => a - b) };
}

/** Whether a step's join rule lets it run (K2). */
export function joinOf(state: RunState, def: StepDef): "run" | "skip" | "undecided" {
  let settled = 0;
  let succeeded = 0;
  for (const need of def.needs) {
    const unit = stepOf(state, need)?.unit;
    if (unit === undefined || !isTerminal(unit.status)) continue;
    settled++;
    if (unit.status === "succeeded") succeeded++;
  }
  const all = def.needs.length;
  switch (def.join) {
    case "all":
      // Skipped as soon as one settles otherwise: nobody waits for a sibling that no longer matters.
      return succeeded === all ? "run" : settled > succeeded ? "skip" : "undecided";
    case "any":
      return settled < all ? "undecided" : succeeded > 0 || all === 0 ? "run" : "skip";
    case "settled":
      return settled < all ? "undecided" : "run";
  }
}

function bytesOf(value: Value | null): number {
  return value !== null && "bytes" in value ? value.bytes : 0;
}

function unitFact(state: RunState, fact: UnitFactRecord): RunState {
  const at = stepOf(state, fact.step);
  if (at === null || fact.t === "resolved") return state;
  const { index, def } = at;
  const step = fact.item === undefined ? at.unit : (at.unit.items?.[fact.item] ?? newUnit());
  const changed =
    fact.role === undefined
      ? applied(state, step, fact)
      : withRole(step, fact.role, applied(state, step[fact.role] ?? newUnit(), fact));
  const unit =
    fact.item === undefined ? changed : { ...at.unit, items: (at.unit.items ?? []).with(fact.item, changed) };
  const units = state.units.with(index, unit);
  const next: RunState = {
    ...state,
    units,
    bytes: state.bytes + ("output" in fact ? bytesOf(fact.output) : 0),
  };
  const consumed = fact.t === "succeeded" && fact.signal !== undefined ? unbuffered(next, fact.signal) : next;
  return settledStep(consumed, def, index, at.unit, unit, fact.at);
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
    live: state.live.filter((i) => i !== index),
    activeAt: now,
  };
  return joined(next, state.dependents[index] ?? []);
}

function unbuffered(state: RunState, id: string): RunState {
  return { ...state, buffered: state.buffered.filter((signal) => signal.id !== id) };
}

function withRole(unit: Unit, role: "undo" | "verify", sub: Unit): Unit {
  if (role === "verify") return { ...unit, verify: sub };
  return { ...unit, undo: sub, undone: unit.undone || sub.status === "succeeded" };
}

/** What a fact does to the unit that it names. */
function applied(state: RunState, unit: Unit, fact: UnitFactRecord): Unit {
  const status = moveUnit(unit.status, fact.t as UnitFact) ?? unit.status;
  switch (fact.t) {
    case "ready":
      return {
        ...unit,
        status,
        digest: fact.digest,
        readyAt: fact.at,
        wakeAt: null,
        gen: unit.gen + (fact.newKey === true ? 1 : 0),
      };
    case "expanded":
      return {
        ...unit,
        status,
        list: fact.list,
        startedAt: fact.at,
        readyAt: fact.at,
        items: unit.items ?? Array.from({ length: fact.count }, () => newUnit(unit.gen)),
      };
    case "started":
      return {
        ...unit,
        status,
        attempt: fact.attempt,
        version: fact.version,
        tries: unit.tries + 1,
        startedAt: unit.startedAt ?? fact.at,
        firstAt: unit.firstAt ?? fact.at,
        firstPausedMs: unit.firstAt === null ? pausedMs(state, fact.at) : unit.firstPausedMs,
        repeatedSince: unit.repeatedSince ?? fact.at,
        deadline: fact.deadline,
        wakeAt: null,
      };
    case "succeeded":
      return {
        ...ended(unit, fact.at),
        status,
        outcome: fact.fallback?.outcome ?? "done",
        failure: fact.fallback?.failure ?? null,
        output: fact.output,
        maybe: false,
      };
    case "failed":
      return { ...ended(unit, fact.at), status, outcome: fact.outcome, failure: fact.failure };
    case "retrying":
      return {
        ...unit,
        status,
        deadline: null,
        wakeAt: fact.wakeAt,
        failure: fact.failure,
        maybe: fact.maybe,
        listening: false,
        strikes: unit.strikes + (fact.strike === true ? 1 : 0),
        verify: null,
      };
    case "unknown":
      return {
        ...unit,
        status,
        deadline: fact.limitAt,
        wakeAt: null,
        failure: fact.failure,
        maybe: true,
        listening: fact.listening === true,
        verify:
          fact.verifyAt === undefined
            ? null
            : { ...newUnit(0, unit.verify?.attempt ?? 0), wakeAt: fact.verifyAt },
      };
    case "waiting":
      return {
        ...unit,
        status,
        startedAt: unit.startedAt ?? fact.at,
        readyAt: fact.at,
        wakeAt: fact.wakeAt ?? null,
        deadline: fact.limitAt ?? null,
      };
    case "iterated":
      // A new round has a new key, so nothing of the old one's attempts counts any more (K6).
      return {
        ...unit,
        status,
        output: fact.output,
        iteration: unit.iteration + 1,
        tries: 0,
        maybe: false,
        digest: null,
        readyAt: null,
        firstAt: null,
        deadline: null,
        wakeAt: fact.wakeAt,
      };
    case "giving_up":
      return { ...unit, status, givingUp: fact.failure };
    case "skipped":
      return { ...ended(unit, fact.at), status, outcome: "not_done" };
    case "cancelled":
      return { ...ended(unit, fact.at), status, outcome: fact.outcome };
    case "late":
      return unit;
    case "reset":
      return resetUnit(unit, fact.newKey);
    case "resolved":
      return unit;
  }
}

function ended(unit: Unit, at: number): Unit {
  return { ...unit, endedAt: at, deadline: null, wakeAt: null, listening: false, verify: null };
}

/** Time that the run has spent paused, up to now. */
export function pausedMs(state: RunState, now: number): number {
  return state.pausedMs + (state.pausedSince === null ? 0 : Math.max(0, now - state.pausedSince));
}

/**
 * A unit that a redrive runs again. Attempt numbers count on (K7). With the same key the digest stays, so that the
 * same payload is asked for (K6). A `forEach` keeps its list and its items, which are reset one by one.
 */
function resetUnit(unit: Unit, newKey: boolean): Unit {
  return {
    ...newUnit(unit.gen + (newKey ? 1 : 0), unit.attempt),
    digest: newKey ? null : unit.digest,
    list: unit.list,
    items: unit.items,
    undo: unit.undo,
  };
}

/** Outcome of a `forEach` from its items. */
export function itemsOutcome(items: readonly Unit[]): Outcome {
  if (items.some((item) => item.outcome === "unknown" && !item.undone)) return "unknown";
  return items.some((item) => item.outcome === "done" && !item.undone) ? "done" : "not_done";
}
