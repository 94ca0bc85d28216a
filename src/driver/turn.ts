/**
 * One turn in the making: what is decided, filled in and begun before anything is appended.
 *
 * Owns: the facts, values and flights of the turn, and the state that they lead to. Does not own the life: a turn that
 * is dropped has changed nothing.
 */

import {
  boundTo,
  decide,
  due,
  evolveAll,
  hasChild,
  keyOf,
  makersOf,
  performanceOf,
  stepOf,
  unitName,
  unitOf,
  type Fact,
  type Input,
  type Job,
  type Refusal,
  type RunState,
  type StepDef,
  type UnitRef,
} from "../kernel/index.ts";
import type { Asked, Asking } from "./acquiring.ts";
import { CHANGED, endedOf, UNCHECKED, UNSENT } from "./ends.ts";
import { newFlight, type Flight } from "./flights.ts";
import { SignalChecks, type Misfits } from "./kept-signals.ts";
import type { Acquired, Filled, Ports, Wanted } from "./ports.ts";
import { scopeOf, type Scope } from "./scope.ts";
import { Keeper, tooLarge, type Reader } from "./values.ts";

/** A turn loop that goes on longer than this is a bug in the kernel, not work. */
const MAX_ROUNDS = 100_000;

type PreparedInput = Extract<Input, { readonly t: "prepared" }>["prepared"];

/** What a turn takes from the life that it belongs to. */
export interface TurnParts {
  readonly ports: Ports;
  readonly reader: Reader;
  /** Parameters that this life has filled in, of units that have not begun yet. */
  readonly filled: Map<string, Extract<Filled, { readonly kind: "call" }>>;
  /** Signals that this life has seen not to fit. */
  readonly misfits: Misfits;
  /** Whether one more attempt may start, in this state and beside those that start already. */
  readonly hasRoom: (state: RunState, starting: number) => boolean;
  /** Whether the credential of this call is being asked for. */
  readonly isAsked: (asked: Asked) => boolean;
  /** Asks for it; false: it needs none, and may begin. */
  readonly ask: (asked: Asked, wanted: Wanted) => boolean;
  /** Whether this event of the platform still has time to fill in something. */
  readonly mayFill: () => boolean;
}

type Attempt = Extract<Job, { readonly kind: "attempt" }>;

export class Turn {
  readonly #parts: TurnParts;
  readonly now: number;
  readonly keeper: Keeper;
  readonly facts: Fact[] = [];
  readonly starting: Flight[] = [];
  /** Steps whose kept signals this turn has no time to look at. */
  readonly #later = new Set<string>();
  readonly #signals: SignalChecks;
  #lacksCode = false;
  #state: RunState | null;

  /** @param seq number that its first fact will have */
  constructor(parts: TurnParts, state: RunState | null, seq: number) {
    this.#parts = parts;
    this.#signals = new SignalChecks(parts.ports.evaluate, parts.misfits);
    this.#state = state;
    this.now = parts.ports.clock.now();
    this.keeper = new Keeper(seq);
  }

  get state(): RunState | null {
    return this.#state;
  }

  /** Whether something that is due was left to the next event. */
  get leavesWork(): boolean {
    return this.#later.size > 0;
  }

  /** Whether something that is due was left to another build (D8). */
  get lacksCode(): boolean {
    return this.#lacksCode;
  }

  decide(input: Input): Refusal | null {
    const decision = decide(this.#state, input, this.now, this.#parts.ports.random());
    if (!decision.ok) return decision.refusal;
    this.facts.push(...decision.facts);
    this.#state = evolveAll(this.#state, decision.facts);
    return null;
  }

  /**
   * Fills in what became due, and starts what has a slot, until nothing more follows in this turn. Where the event has
   * computed enough, it ends before that: the rest stays due.
   */
  goOn(): void {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const state = this.#state;
      if (state === null) return;
      const before = this.facts.length + this.#later.size;
      const jobs = due(state, this.now).filter((job) => !this.#leaves(state, job));
      const fills = jobs
        .filter((job) => job.kind !== "attempt")
        .filter((job) => job.kind === "output" || !this.#later.has(unitName(job.unit)));
      for (const job of fills) {
        if (!this.#parts.mayFill()) return;
        this.#fill(job);
      }
      if (fills.length === 0) for (const job of jobs) if (job.kind === "attempt") this.#beginOrAsk(job);
      if (this.facts.length + this.#later.size === before) return;
    }
    throw new Error("a turn did not come to rest");
  }

  #leaves(state: RunState, job: Job): boolean {
    const leaves = lacksCode(this.#parts.ports, state, job);
    if (leaves) this.#lacksCode = true;
    return leaves;
  }

  #scope(state: RunState, ref: UnitRef | null): Scope {
    return scopeOf(state, ref, (value) => this.#parts.reader.load(value, this.keeper), this.now);
  }

  #fill(job: Exclude<Job, { readonly kind: "attempt" }>): void {
    const state = this.#state;
    if (state === null) return;
    const { evaluate } = this.#parts.ports;
    if (job.kind === "output") {
      const result = evaluate.output(state.run, state.graph.output, this.#scope(state, null));
      const failure = result.ok ? tooLarge(result.value, state.bytes) : result.failure;
      this.decide({
        t: "output",
        result:
          failure === null && result.ok
            ? { output: this.keeper.keep(result.value) }
            : { failure: failure ?? UNSENT },
      });
      return;
    }
    const def = stepOf(state, job.unit.step)?.def;
    if (def === undefined) return;
    const filled = evaluate.fill(state.run, def, job.unit, this.#scope(state, job.unit));
    const prepared = this.#prepared(state, job.unit, filled);
    if (prepared === null) this.#later.add(unitName(job.unit));
    else this.decide({ t: "prepared", unit: job.unit, prepared });
  }

  /** Null: the turn has no time left for it. */
  #prepared(state: RunState, ref: UnitRef, filled: Filled): PreparedInput | null {
    switch (filled.kind) {
      case "call":
        this.#parts.filled.set(unitName(ref), filled);
        return {
          kind: "call",
          digest: filled.digest,
          ...(filled.about === undefined ? {} : { about: filled.about }),
        };
      case "list": {
        const failure = tooLarge(filled.list, state.bytes);
        return failure === null
          ? { kind: "list", list: this.keeper.keep(filled.list), count: filled.list.length }
          : { kind: "error", failure };
      }
      case "signal":
        return this.#waiting(state, ref, filled);
      case "done": {
        const failure = tooLarge(filled.output, state.bytes);
        return failure === null
          ? { kind: "done", output: this.keeper.keep(filled.output) }
          : { kind: "error", failure };
      }
      default:
        return filled;
    }
  }

  /** A signal may have been kept before there was a schema that it has to fit: it is checked when it would be taken. */
  #waiting(
    state: RunState,
    ref: UnitRef,
    filled: Extract<Filled, { readonly kind: "signal" }>,
  ): PreparedInput | null {
    const def = stepOf(state, ref.step)?.def;
    const kept = state.buffered.filter(({ name }) => name === def?.signal);
    if (def === undefined || kept.length === 0) return filled;
    const choice = this.#signals.choose(def, kept, (value) => this.#parts.reader.load(value, this.keeper));
    if (choice === null) return filled;
    if (choice.kind === "later") return null;
    if (choice.kind === "unusable") return { kind: "error", failure: UNCHECKED };
    const { misfits } = choice;
    if (choice.kind === "none") return { ...filled, take: null, misfits };
    const { id, sent, seen } = choice;
    if (JSON.stringify(seen) === JSON.stringify(sent)) return { ...filled, take: { id }, misfits };
    const failure = tooLarge(seen, state.bytes);
    if (failure !== null) return { kind: "error", failure };
    return { ...filled, take: { id, payload: this.keeper.keep(seen) }, misfits };
  }

  /** The answer to what was asked for a call, which has kept its slot. Where that is not due any more it is dropped. */
  use({ unit, attempt, generation, digest }: Asked, answer: NonNullable<Asking["answer"]>["acquired"]): void {
    const state = this.#state;
    if (state === null || generation !== state.generation || unitOf(state, unit)?.digest !== digest) return;
    if (answer.kind === "needs") {
      this.#parts.filled.delete(unitName(unit));
      this.decide({ t: "hold", unit, attempt, need: answer.need });
      return;
    }
    this.#begin({ kind: "attempt", unit, attempt }, answer);
  }

  #beginOrAsk(job: Attempt): void {
    const state = this.#state;
    if (state === null || !this.#parts.hasRoom(state, this.starting.length)) return;
    if (!this.#asks(state, job)) this.#begin(job, null);
  }

  /** Whether the call has to wait for its credential. What looks after a child needs none. */
  #asks(state: RunState, { unit: ref, attempt }: Attempt): boolean {
    const { ask, isAsked, filled, ports } = this.#parts;
    if (ports.acquire === undefined) return false;
    const unit = unitOf(state, ref);
    const def = stepOf(state, ref.step)?.def;
    if (unit === null || unit.digest === null || def === undefined || hasChild(unit)) return false;
    const asked = { unit: ref, attempt, generation: state.generation, digest: unit.digest };
    if (isAsked(asked)) return true;
    const scope = this.#scope(state, ref);
    const call = this.#refill(state, def, ref, scope);
    // That its parameters have changed is found when it begins.
    if (call.kind !== "call" || call.digest !== unit.digest) return false;
    filled.set(unitName(ref), call);
    return ask(asked, {
      ...this.#callOf(state, def, ref, { attempt, scope, with: call.with }),
      parked: unit.parked?.need ?? null,
    });
  }

  #begin(job: Attempt, acquired: Extract<Acquired, { readonly kind: "ready" | "cannot" }> | null): void {
    const { unit: ref, attempt } = job;
    const { version } = this.#parts.ports;
    this.decide({ t: "begin", unit: ref, attempt, version, ...lentWith(acquired) });
    const state = this.#state;
    const unit = state === null ? null : unitOf(state, ref);
    const def = state === null ? undefined : stepOf(state, ref.step)?.def;
    // The kernel may have answered otherwise: an unclear attempt whose key has been forgotten becomes unknown.
    if (state === null || unit?.status !== "running" || unit.attempt !== attempt || def === undefined) return;
    const scope = this.#scope(state, ref);
    const { generation } = state;
    if (acquired?.kind === "cannot") {
      this.#parts.filled.delete(unitName(ref));
      this.decide(endedOf({ unit: ref, attempt, generation }, { kind: "cannot", failure: acquired.failure }));
      return;
    }
    // To look after a child needs no parameters: they may have changed since it was started, and it is what it is.
    const filled: Filled = hasChild(unit)
      ? { kind: "call", digest: unit.digest ?? "", with: null }
      : this.#refill(state, def, ref, scope);
    if (filled.kind !== "call" || filled.digest !== unit.digest) {
      const failure = filled.kind === "error" ? filled.failure : CHANGED;
      this.decide(endedOf({ unit: ref, attempt, generation }, { kind: "cannot", failure }));
      return;
    }
    const call = this.#callOf(state, def, ref, { attempt, scope, with: filled.with });
    this.starting.push(
      newFlight({
        ...call,
        deadline: unit.deadline ?? this.now + call.timeoutMs,
        ...(acquired === null ? {} : { lease: acquired.lease }),
      }),
    );
  }

  #callOf(
    state: RunState,
    def: StepDef,
    ref: UnitRef,
    over: Pick<Wanted, "attempt" | "scope" | "with">,
  ): Omit<Wanted, "parked"> {
    const { generation, run } = state;
    const unit = unitOf(state, ref);
    const { action, effect, timeoutMs } = performanceOf(def, ref) ?? def;
    return {
      run,
      generation,
      unit: ref,
      def,
      action,
      effect,
      key: effect === "keyed" && unit !== null ? keyOf(run.id, ref, unit) : null,
      timeoutMs,
      maybe: unit?.maybe ?? false,
      child: unit?.child ?? null,
      makers: makersOf(state),
      bound: (name) => boundTo(state.bound, name),
      ...over,
    };
  }

  /** The parameters of a unit that is ready: from this life's memory, else filled in again from the same scope. */
  #refill(state: RunState, def: StepDef, ref: UnitRef, scope: Scope): Filled {
    const { filled, ports } = this.#parts;
    const name = unitName(ref);
    const kept = filled.get(name);
    filled.delete(name);
    if (kept !== undefined && kept.digest === unitOf(state, ref)?.digest) return kept;
    // The condition was read once, when the step became due.
    const { when: _when, ...unconditional } = def;
    return ports.evaluate.fill(state.run, unconditional, ref, scope);
  }
}

/** D8. What looks after a child needs no code. */
export function lacksCode({ evaluate }: Pick<Ports, "evaluate">, state: RunState, job: Job): boolean {
  if (evaluate.lacks === undefined) return false;
  if (job.kind === "output") return evaluate.lacks(state.run, { output: state.graph.output });
  const { unit: ref } = job;
  const def = stepOf(state, ref.step)?.def;
  const unit = unitOf(state, ref);
  if (def === undefined || unit === null || hasChild(unit)) return false;
  return evaluate.lacks(state.run, { def, unit: ref });
}

/** What the journal keeps of an answer. */
function lentWith(acquired: Acquired | null): Pick<Extract<Input, { t: "begin" }>, "bound" | "credentials"> {
  if (acquired?.kind !== "ready") return {};
  const { bound, about } = acquired;
  return {
    ...(bound === undefined ? {} : { bound }),
    ...(about === undefined ? {} : { credentials: about }),
  };
}
