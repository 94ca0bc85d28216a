/**
 * Looks over the driver's shoulder: folds what is appended, fact by fact, and holds each against the invariants.
 * Its own reading of the rules, beside the kernel's: it shares the move tables and `evolve`, and nothing of what decides.
 *
 * Owns: the state after every row. Does not own the rows.
 */

import type { Row } from "../../src/driver/index.ts";
import {
  evolve,
  fromSnapshot,
  hasSignal,
  illegal,
  isTerminal,
  performanceOf,
  refOf,
  stepOf,
  unitName,
  unitOf,
  type Fact,
  type RunState,
  type Snapshot,
  type StepDef,
  type Unit,
  type UnitRef,
} from "../../src/kernel/index.ts";
import type { Coverage } from "./coverage.ts";
import type { Referee } from "./referee.ts";
import type { Findings } from "./verdict.ts";

type UnitFact = Extract<Fact, UnitRef>;

/** One output, in the characters that the simulator uses. */
const MAX_VALUE_BYTES = 1_048_576;
/** Version of the first life. */
export const FIRST_VERSION = "v1";

/** What was seen in rows that may still be lost with a life. */
class Noted<T> {
  readonly #notes = new Map<string, { readonly value: T; readonly row: number }>();

  get(key: string): T | undefined {
    return this.#notes.get(key)?.value;
  }

  note(key: string, value: T, row: number): void {
    this.#notes.set(key, { value, row });
  }

  truncate(rows: number): void {
    for (const [key, { row }] of this.#notes) if (row > rows) this.#notes.delete(key);
  }
}

export class Audit {
  readonly #findings: Findings;
  readonly #coverage: Coverage;
  readonly #referee: Referee;
  readonly #states: (RunState | null)[] = [null];
  readonly #facts: (readonly Fact[])[] = [];
  /** Number that the next fact has, after each row. */
  readonly #seqs: number[] = [1];
  /** Payload of each keyed unit, by its key (K6). */
  readonly #digests = new Noted<string>();
  /** The last attempt of each unit (K7), and the step that took each signal. */
  readonly #attempts = new Noted<number>();
  readonly #takers = new Noted<string>();
  /** Approved payloads, by the unit and the generation of the run. */
  readonly #released = new Noted<true>();
  /** Generations that were admitted. */
  readonly #admitted = new Noted<true>();
  /** Code of another version has been at work. */
  #deployed = false;
  /** Whether the queue has let a generation work. */
  mayBeAdmitted: (generation: number) => boolean = () => true;
  onFact: (fact: Fact) => void = () => {};

  constructor(findings: Findings, coverage: Coverage, referee: Referee) {
    this.#findings = findings;
    this.#coverage = coverage;
    this.#referee = referee;
  }

  /** The state after so many rows; null before the first. */
  state(rows: number): RunState | null {
    return this.#states[rows] ?? null;
  }

  /** The facts of a row, counted from 0. */
  facts(row: number): readonly Fact[] {
    return this.#facts[row] ?? [];
  }

  /** Of a fact that is being appended. */
  isKeyed(ref: UnitRef): boolean {
    const state = this.#states.at(-1) ?? null;
    const def = state === null ? undefined : stepOf(state, ref.step)?.def;
    return def !== undefined && performanceOf(def, ref)?.effect === "keyed";
  }

  /** @param version of the life that appended it */
  appended(row: Row, after: RunState, snapshot: Snapshot | null, version: string): void {
    let state = this.#states.at(-1) ?? null;
    this.#findings.expect(row.seq === this.#seqs.at(-1), "K8: the facts are not numbered one by one");
    this.#findings.expect(row.facts.length > 0, "a row without facts");
    this.#findings.expect(
      row.values.every((text) => text.length <= MAX_VALUE_BYTES),
      "a value is too large to store",
    );
    this.#seqs.push(row.seq + row.facts.length);
    this.#deployed ||= version !== FIRST_VERSION;
    for (const fact of row.facts) {
      const next = evolve(state, fact);
      this.#check(state, fact, next);
      if ("step" in fact && fact.t !== "resolved" && state !== null) this.#checkAttempt(state, fact, version);
      this.onFact(fact);
      state = next;
    }
    this.#states.push(state);
    this.#facts.push(row.facts);
    this.#findings.expect(
      state !== null && sameState(state, after),
      "K8: the state taken over is not the fold of its journal",
    );
    if (snapshot !== null && state !== null) {
      const back = fromSnapshot(JSON.parse(JSON.stringify(snapshot)) as Snapshot);
      this.#findings.expect(same(back, state), "K8: a snapshot does not give the state back");
    }
  }

  truncated(rows: number): void {
    this.#states.length = rows + 1;
    this.#facts.length = rows;
    this.#seqs.length = rows + 1;
    for (const noted of [this.#digests, this.#attempts, this.#takers, this.#released, this.#admitted])
      noted.truncate(rows);
  }

  #check(state: RunState | null, fact: Fact, next: RunState | null): void {
    const why = illegal(state, fact);
    this.#findings.expect(why === null, () => `K9: an illegal fact: ${why}: ${JSON.stringify(fact)}`);
    if (state === null || next === null) return;
    if ("step" in fact && fact.t !== "resolved") {
      const unit = unitOf(state, fact);
      this.#coverage.transition(`${unit?.status ?? "pending"}.${fact.t}`);
      this.#checkUnit(state, fact, unit, next);
    } else if (next.phase !== state.phase || fact.t === "admitted")
      this.#coverage.transition(`run ${state.phase}.${fact.t}`);
    if (state.phase === "ended")
      this.#findings.expect(
        fact.t === "late" || fact.t === "used" || fact.t === "redriven",
        `K1: ${fact.t} after the end`,
      );
    if (fact.t === "admitted") {
      this.#findings.expect(
        this.mayBeAdmitted(state.generation) && !this.#isAdmitted(state),
        `U1: generation ${state.generation} is admitted, and nobody has let it, or twice`,
      );
      this.#admitted.note(`${state.generation}`, true, this.#states.length);
    }
    if (fact.t === "ended" && fact.status === "succeeded")
      this.#findings.expect(this.#isAdmitted(state), "U1: a run succeeded that was not admitted");
    if (fact.t === "lost" && fact.failure.code === "queue_timeout")
      this.#coverage.fault("waited in the queue for too long");
    if (fact.t === "grew") this.#checkGrowth(state, fact, next);
    if (fact.t === "signalled")
      this.#findings.expect(!hasSignal(state, fact.name, fact.id), `signal ${fact.id} is taken twice`);
  }

  #isAdmitted({ run, generation }: RunState): boolean {
    return run.flow === undefined || this.#admitted.get(`${generation}`) === true;
  }

  #checkUnit(state: RunState, fact: UnitFact, unit: Unit | null, next: RunState): void {
    const name = unitName(fact);
    const step = stepOf(state, fact.step);
    if (step === null) return;
    const starts =
      fact.t === "ready" ||
      fact.t === "expanded" ||
      fact.t === "started" ||
      fact.t === "waiting" ||
      fact.t === "asked";
    // A child is looked after in every phase.
    const looks = fact.t === "started" && unit?.status === "waiting" && unit.child?.ended === false;
    if (looks) this.#findings.expect(state.pausedSince === null, `${name} is looked after while paused`);
    if (starts && !looks) {
      this.#findings.expect(state.pausedSince === null, `${fact.t} of ${name} while paused`);
      this.#findings.expect(mayStart(state, step.def, fact), `K2: ${fact.t} of ${name}, which may not start`);
      this.#findings.expect(
        fact.role === "undo" || this.#isAdmitted(state),
        `U1: ${fact.t} of ${name} before it was admitted`,
      );
      this.#findings.expect(
        fact.role !== "undo" || dependentsAreDone(state, step.def, fact),
        `K10: ${name} is undone before what needs it`,
      );
    }
    if (fact.t === "ready" || (fact.t === "decided" && fact.as === "approved"))
      this.#checkPayload(state, fact, next);
    this.#checkApproval(state, fact, step.def, unit);
    if (fact.t === "parked") {
      const then = unitOf(next, fact);
      this.#findings.expect(
        then?.maybe === unit?.maybe &&
          then?.attempt === unit?.attempt &&
          (then?.tries ?? 0) <= (unit?.tries ?? 0),
        `N1: the park of ${name} is more than a wait`,
      );
    }
    if (fact.t === "giving_up") {
      const failed = unit?.items?.filter((item) => item.status === "failed").length ?? 0;
      this.#findings.expect(
        failed > (step.def.forEach?.tolerate ?? 0),
        `${name} gives up within its tolerance`,
      );
    }
    if (fact.t === "succeeded" && fact.signal !== undefined) {
      const taken = `${step.def.signal} ${fact.signal}`;
      const taker = this.#takers.get(taken);
      this.#findings.expect(taker === undefined, `signal ${fact.signal} goes to ${taker} and to ${name}`);
      this.#takers.note(taken, name, this.#states.length);
    }
    if (fact.t === "started") {
      const performance = performanceOf(step.def, fact);
      this.#findings.expect(fact.attempt === (unit?.attempt ?? 0) + 1, `K7: ${name} skips an attempt number`);
      this.#findings.expect(
        fact.attempt > (this.#attempts.get(name) ?? 0),
        `K7: attempt ${fact.attempt} of ${name} has had that number before`,
      );
      this.#attempts.note(name, fact.attempt, this.#states.length);
      this.#findings.expect(
        fact.deadline > fact.at && fact.deadline <= fact.at + (performance?.timeoutMs ?? 0),
        `K4: ${name} has no proper deadline`,
      );
      if (performance?.effect === "once")
        this.#findings.expect(
          !this.#referee.mayHaveHappened(state.run.id, fact, state),
          `K5: ${name} starts again and may have happened`,
          "duplicated",
        );
    }
    if (fact.t === "retrying" && fact.by === "verify")
      this.#findings.expect(
        unit?.listening === false && unit.verify?.listening === false,
        `K5: ${name} is tried again while its attempt is still open`,
      );
    if ("attempt" in fact && fact.attempt !== undefined && fact.t !== "started" && fact.t !== "late")
      this.#findings.expect(
        fact.attempt === unit?.attempt,
        `K7: ${fact.t} of ${name} by an attempt that is not current`,
      );
    if (fact.t === "late" && fact.over !== true)
      this.#findings.expect(unitOf(next, fact) === unit, `K7: a late answer changed ${name}`);
    if (fact.t === "late" && fact.over === true)
      this.#findings.expect(
        unit?.listening === true && unitOf(next, fact)?.status === "unknown",
        `K7: what nobody listens to any more changed ${name}`,
      );
  }

  /** What the driver says about an attempt, of which the kernel knows nothing. */
  #checkAttempt(state: RunState, fact: UnitFact, version: string): void {
    const name = unitName(fact);
    const unit = unitOf(state, fact);
    if (fact.t === "retrying" && fact.strike === true)
      this.#findings.expect(unit?.version === version, `a deploy counts as a strike against ${name}`);
    if (fact.t === "failed" && fact.failure.code === "payload_changed" && fact.attempt !== undefined)
      this.#findings.expect(this.#deployed, `K6: the payload of ${name} changed, and no code did`);
    if (fact.t === "succeeded" && fact.attempt !== undefined && fact.by !== "fallback")
      this.#findings.expect(
        !("v" in fact.output && fact.output.v === null),
        `K7: the answer of ${name} counts, and its output is gone`,
      );
  }

  /** Nothing that needs an approval begins without one for just this payload; whoever started the run gives none. */
  #checkApproval(state: RunState, fact: UnitFact, def: StepDef, unit: Unit | null): void {
    const released = (digest: string | null): string => `${state.generation} ${unitName(fact)} ${digest}`;
    if (fact.t === "decided") {
      const { approval = null } = unit ?? {};
      this.#findings.expect(
        approval !== null && approval.decided === null && fact.at < approval.limitAt,
        `${unitName(fact)} is decided twice, or too late`,
      );
      this.#findings.expect(fact.by !== state.run.startedBy, `${fact.by} approves its own run`);
      if (fact.as === "approved" && approval !== null)
        this.#released.note(released(approval.digest), true, this.#states.length);
    }
    const begins = fact.t === "started" && fact.role === undefined && def.approval !== undefined;
    const passes = fact.t === "succeeded" && def.kind === "approval" && fact.by !== "fallback";
    if (begins || passes)
      this.#findings.expect(
        this.#released.get(released(begins ? (unit?.digest ?? null) : null)) === true,
        `${unitName(fact)} goes on without an approval`,
        "broken",
      );
  }

  #checkPayload(state: RunState, fact: Extract<Fact, { t: "ready" | "decided" }>, next: RunState): void {
    const { def } = stepOf(state, fact.step)!;
    const unit = unitOf(next, fact);
    if (unit === null || performanceOf(def, fact)?.effect !== "keyed") return;
    const key = `${unitName(fact)} ${unit.gen} ${unit.iteration}`;
    const earlier = this.#digests.get(key);
    const digest = unit.digest ?? "none";
    this.#findings.expect(earlier === undefined || earlier === digest, `K6: ${key} has two payloads`);
    this.#digests.note(key, digest, this.#states.length);
  }

  #checkGrowth(state: RunState, fact: Extract<Fact, { t: "grew" }>, next: RunState): void {
    this.#findings.expect(next.revision > state.revision, "K11: growth does not raise the revision");
    this.#findings.expect(
      state.units.every((unit, i) => next.units[i] === unit && next.graph.steps[i] === state.graph.steps[i]),
      "K11: growth changed what was there",
    );
    const known = new Set(state.graph.steps.map((step) => step.name));
    for (const step of fact.steps) {
      this.#findings.expect(!known.has(step.name), `K11: ${step.name} is there twice`);
      this.#findings.expect(
        step.needs.every((need) => known.has(need)),
        `K11: ${step.name} needs what is not there`,
      );
      known.add(step.name);
    }
  }
}

/** Whether the unit may begin anything: its part's turn, its join (K2). */
function mayStart(state: RunState, def: StepDef, ref: UnitRef): boolean {
  if (ref.role === "verify") return unitOf(state, refOf(ref.step, ref.item))?.status === "unknown";
  const whole = stepOf(state, ref.step)?.unit;
  if (ref.role === "undo") return state.phase === "undoing" || (whole?.givingUp ?? null) !== null;
  if (state.phase !== (def.part === "main" ? "forward" : "handling")) return false;
  if (ref.item !== undefined) return whole?.status === "running" && whole.givingUp === null;
  const needs = def.needs.map((need) => stepOf(state, need)?.unit.status ?? "pending");
  const succeeded = needs.filter((status) => status === "succeeded").length;
  if (def.join === "all") return succeeded === needs.length;
  return needs.every(isTerminal) && (def.join === "settled" || succeeded > 0 || needs.length === 0);
}

/** Reverse dependency order (K10): everything downstream is settled, and undone where it can be. */
function dependentsAreDone(state: RunState, def: StepDef, ref: UnitRef): boolean {
  if (state.phase !== "undoing") return ref.item !== undefined;
  const downstream = new Set([def.name]);
  for (const step of state.graph.steps) {
    if (step.part !== "main" || !step.needs.some((need) => downstream.has(need))) continue;
    downstream.add(step.name);
    const unit = stepOf(state, step.name)?.unit;
    for (const part of unit?.items ?? [unit]) {
      if (part === undefined || !isTerminal(part.status)) return false;
      const open = step.compensate !== undefined && !part.undone && part.outcome !== "not_done";
      if (open && (part.undo === null || !isTerminal(part.undo.status))) return false;
    }
  }
  return true;
}

/** Deep equality, the graph's steps by length only: they are compared where they are added. */
function sameState(a: RunState, b: RunState): boolean {
  return (
    a.graph.steps.length === b.graph.steps.length &&
    same({ ...a, graph: null, indexOf: null }, { ...b, graph: null, indexOf: null })
  );
}

/** As JSON sees it: an absent field and an undefined one are the same. */
function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (a instanceof Map) return b instanceof Map && same([...a], [...b]);
  const left = a as Record<string, unknown>;
  const right = b as Record<string, unknown>;
  for (const key of Object.keys(left)) if (!same(left[key], right[key])) return false;
  for (const key of Object.keys(right)) if (right[key] !== undefined && !(key in left)) return false;
  return true;
}
