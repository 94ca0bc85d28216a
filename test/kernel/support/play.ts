/**
 * One run, played by hand: each call is an input, and after each the state is what the facts fold to. Every fact is
 * checked against the tables of moves, so that no test can pass by an illegal one.
 */

import {
  decide,
  due,
  evolve,
  illegal,
  nextWake,
  refOf,
  statusOf,
  stepOf,
  unitName,
  unitOf,
  type ApprovalDecision,
  type AttemptEnd,
  type ConnectionChange,
  type Decision,
  type Fact,
  type FactOf,
  type Graph,
  type Input,
  type Json,
  type Need,
  type Prepared,
  type RefusalCode,
  type RunInfo,
  type RunState,
  type StepDef,
  type Unit,
  type UnitRef,
  type UnitStatus,
} from "../../../src/kernel/index.ts";
import { ends, graph as graphOf, need } from "./build.ts";

/** A moment far from zero, so that a forgotten `now` shows. */
export const START = 1_800_000_000_000;

export const RUN: RunInfo = {
  id: "run_1",
  tenant: "default",
  workflow: "test",
  version: "1",
  user: null,
  startedBy: "key_1",
  open: false,
  tags: [],
  traceparent: null,
};

type Decide = Extract<Input, { t: "decide" }>;

/** `flight`, `mails[3]`, `flight/undo`: as `unitName` writes it. */
export function ref(name: string): UnitRef {
  const match = /^([^[/]+)(?:\[(\d+)\])?(?:\/(undo|verify))?$/.exec(name);
  if (match?.[1] === undefined) throw new Error(`not a unit: ${name}`);
  const item = match[2] === undefined ? undefined : Number(match[2]);
  return refOf(match[1], item, match[3] as "undo" | "verify" | undefined);
}

export class Play {
  now = START;
  random = 0.5;
  state: RunState;
  readonly facts: Fact[] = [];

  constructor(steps: readonly StepDef[], over: { graph?: Partial<Graph>; run?: Partial<RunInfo> } = {}) {
    const input: Input = {
      t: "start",
      run: { ...RUN, ...over.run },
      graph: graphOf(steps, over.graph),
      input: { v: null },
    };
    const decision = decide(null, input, this.now, this.random);
    if (!decision.ok) throw new Error(`refused: ${JSON.stringify(decision.refusal)}`);
    const state = fold(null, decision.facts);
    if (state === null) throw new Error("a start made no run");
    this.facts.push(...decision.facts);
    this.state = state;
  }

  /** Gives an input, whatever the answer. */
  send(input: Input): Decision {
    const decision = decide(this.state, input, this.now, this.random);
    if (decision.ok) {
      this.state = fold(this.state, decision.facts) ?? this.state;
      this.facts.push(...decision.facts);
    }
    return decision;
  }

  /** Gives an input that must be taken; returns its facts. */
  take(input: Input): readonly Fact[] {
    const decision = this.send(input);
    if (!decision.ok) throw new Error(`${input.t} refused: ${JSON.stringify(decision.refusal)}`);
    return decision.facts;
  }

  /** Gives an input that must be refused; returns why. */
  refusal(input: Input): RefusalCode {
    const decision = this.send(input);
    if (decision.ok) throw new Error(`${input.t} was taken: ${JSON.stringify(decision.facts)}`);
    return decision.refusal.code;
  }

  /** Lets time pass, then looks at the clock. */
  pass(ms: number): readonly Fact[] {
    this.now += ms;
    return this.tick();
  }

  tick(): readonly Fact[] {
    return this.take({ t: "tick" });
  }

  /** Lets time pass up to the next wake, as an alarm would. */
  wake(): readonly Fact[] {
    const at = nextWake(this.state, this.now);
    if (at === null) throw new Error("the run has ended");
    return this.pass(at - this.now);
  }

  prepare(name: string, prepared?: Prepared): readonly Fact[] {
    return this.take({ t: "prepared", unit: ref(name), prepared: prepared ?? this.#prepared(ref(name)) });
  }

  /** Prepares the unit if need be, and starts its next attempt. */
  begin(name: string): number {
    const unit = ref(name);
    if (this.jobs().includes(`prepare ${name}`)) this.prepare(name);
    const attempt = (unitOf(this.state, unit)?.attempt ?? 0) + 1;
    this.take({ t: "begin", unit, attempt, version: "v1" });
    return attempt;
  }

  /** Prepares the unit if need be, and finds that its credential is not at hand. */
  hold(name: string, lacking: Need = need()): readonly Fact[] {
    const unit = ref(name);
    if (this.jobs().includes(`prepare ${name}`)) this.prepare(name);
    return this.take({ t: "hold", unit, attempt: this.unit(name).attempt + 1, need: lacking });
  }

  /** Somebody tells that a connection has changed. */
  changed(over: Partial<ConnectionChange> = {}): readonly Fact[] {
    return this.take({ t: "connection_changed", integration: "google", ...over });
  }

  /** Ends the last attempt of the unit, or the one named. */
  end(name: string, end: AttemptEnd, attempt = this.unit(name).attempt, generation = this.state.generation) {
    return this.take({ t: "ended", generation, unit: ref(name), attempt, end });
  }

  /** One attempt from start to end. */
  attempt(name: string, end: AttemptEnd = ends.success()): readonly Fact[] {
    this.begin(name);
    return this.end(name, end);
  }

  /** One attempt each, all successful. */
  succeed(...names: string[]): void {
    for (const name of names) this.attempt(name);
  }

  /** The object died while the unit's attempt was in flight. */
  lose(name: string, strike = true): readonly Fact[] {
    return this.take({
      t: "attempt_lost",
      unit: ref(name),
      attempt: this.unit(name).attempt,
      strike,
    });
  }

  /** The child of the unit tells that it has ended. */
  childEnded(name: string, over: { run?: string; generation?: number } = {}): Input {
    const { child } = this.unit(name);
    const { run = "run_2", generation = 1 } = child ?? {};
    return { t: "child_ended", unit: ref(name), run, generation, ...over };
  }

  /** A decision about what the unit was asked for last. */
  decide(name: string, as: ApprovalDecision = "approved", over: Partial<Decide> = {}): Decide {
    return {
      t: "decide",
      unit: ref(name),
      id: this.unit(name).approval?.id ?? "none",
      as,
      by: "bob",
      ...over,
    };
  }

  finish(output: Json = null): readonly Fact[] {
    return this.take({ t: "output", result: { output: { v: output } } });
  }

  /** What is due, as short texts: `prepare flight`, `attempt mails[3]`, `output`. */
  jobs(): string[] {
    return due(this.state, this.now).map((job) =>
      job.kind === "output" ? job.kind : `${job.kind} ${unitName(job.unit)}`,
    );
  }

  unit(name: string): Unit {
    const unit = unitOf(this.state, ref(name));
    if (unit === null) throw new Error(`there is no ${name}`);
    return unit;
  }

  status(name: string): UnitStatus {
    return this.unit(name).status;
  }

  statuses(): Record<string, UnitStatus> {
    return Object.fromEntries(this.state.graph.steps.map((step) => [step.name, this.status(step.name)]));
  }

  get run(): string {
    return statusOf(this.state);
  }

  /** The last fact of a type. */
  last<T extends Fact["t"]>(t: T): FactOf<T> {
    const fact = this.facts.findLast((one): one is FactOf<T> => one.t === t);
    if (fact === undefined) throw new Error(`there is no ${t}`);
    return fact;
  }

  count(t: Fact["t"]): number {
    return this.facts.filter((fact) => fact.t === t).length;
  }

  #prepared(unit: UnitRef): Prepared {
    const def = stepOf(this.state, unit.step)?.def;
    if (def === undefined) throw new Error(`there is no step ${unit.step}`);
    if (unit.role !== undefined || def.kind === "call")
      return def.forEach !== undefined && unit.item === undefined
        ? { kind: "list", list: { v: [1, 2, 3] }, count: 3 }
        : { kind: "call", digest: `d-${unitName(unit)}` };
    if (def.kind === "instant") return { kind: "done", output: { v: "computed" } };
    if (def.kind === "approval") return { kind: "approval", limitMs: 3_600_000, text: "May it?" };
    return def.kind === "timer" ? { kind: "timer", ms: 60_000 } : { kind: "signal", limitMs: 3_600_000 };
  }
}

function fold(state: RunState | null, facts: readonly Fact[]): RunState | null {
  let next = state;
  for (const fact of facts) {
    const why = illegal(next, fact);
    if (why !== null) throw new Error(`illegal fact ${JSON.stringify(fact)}: ${why}`);
    next = evolve(next, fact);
  }
  return next;
}

/** Codes of failures, and why something was left behind, as short texts. */
export function leftBehind(play: Play): string[] {
  return (play.state.failure?.left_behind ?? []).map(
    (left) => `${unitName(refOf(left.step, left.item))}: ${left.outcome}, ${left.reason}`,
  );
}
