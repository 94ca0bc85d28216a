/**
 * The driver of one run: takes inputs, asks the kernel, appends what it decided, performs what is due.
 *
 * Owns: the order of a turn (D1), the attempts in flight of this life, the one alarm, the short timers.
 * Does not own: what facts mean (kernel), how they are stored, what an attempt does (ports).
 *
 * D1 a turn decides on a copy, appends once, only then takes over the new state, only then performs.
 * D2 an append that fails ends this life: memory never runs ahead of the journal.
 * D3 `started` is appended in the turn in which the attempt is performed; work that is only due leaves no trace.
 * D4 after every turn the alarm stands no later than the next deadline (K3).
 * D5 what the state shows as running, and no flight of this life performs, is handed to the kernel as lost.
 */

import {
  decide,
  due,
  evolve,
  evolveAll,
  fromSnapshot,
  illegal,
  keyOf,
  nextDeadline,
  nextWake,
  NULL_VALUE,
  performanceOf,
  stepOf,
  toSnapshot,
  unitName,
  unitOf,
  type AttemptEnd,
  type Fact,
  type FailureSeed,
  type Graph,
  type Input,
  type Job,
  type Json,
  type Refusal,
  type ResolveAs,
  type RunInfo,
  type RunState,
  type StepDef,
  type UnitRef,
} from "../kernel/index.ts";
import { Flights, type Flight } from "./flights.ts";
import { inFlightUnits } from "./lost.ts";
import type { Call, Filled, Performed, Ports, Row } from "./ports.ts";
import { scopeOf, type Scope } from "./scope.ts";
import { Keeper, Reader, tooLarge } from "./values.ts";

/** The platform opens at most six connections per event; one more would only wait inside it. */
const SLOTS = 6;
/** A turn loop that goes on longer than this is a bug in the kernel, not work. */
const MAX_ROUNDS = 100_000;
/** Rows after which a snapshot is written: waking reads one snapshot and at most this many rows. */
const SNAPSHOT_ROWS = 256;
/** Waits shorter than this use a timer of the process, with the alarm standing behind it. */
const SHORT_WAIT_MS = 10_000;
/** How much later than a short wait the alarm may stand. */
const WATCHDOG_MS = 30_000;

export interface DriverLimits {
  /** Calls to the outside per platform event, before the driver hops to a fresh one. */
  readonly callsPerEvent: number;
  /** Time per platform event, likewise: an alarm may last 15 min, an attempt 10. */
  readonly eventMs: number;
}

/** Below the 10,000 subrequests of a paid plan; a free plan sets 40. */
export const DEFAULT_LIMITS: DriverLimits = { callsPerEvent: 1_000, eventMs: 5 * 60_000 };

/** A journal that does not fold: a fact of a version that this code does not know, or a bug. */
export class UnreadableJournal extends Error {
  readonly seq: number;
  constructor(seq: number, why: string) {
    super(`The journal does not fold at ${seq}: ${why}`);
    this.name = "UnreadableJournal";
    this.seq = seq;
  }
}

export type Outcome = { readonly ok: true } | { readonly ok: false; readonly refusal: Refusal };

/** An input whose values are still plain JSON: they get their place when the row is made. */
type Asked = (keep: (json: Json) => ReturnType<Keeper["keep"]>, state: RunState | null) => Input | null;

/** One turn in the making. */
interface Turn {
  readonly now: number;
  readonly keeper: Keeper;
  readonly facts: Fact[];
  readonly starting: Flight[];
  readonly landed: { readonly flight: Flight; readonly performed: Performed }[];
  state: RunState | null;
}

export class RunDriver {
  readonly #ports: Ports;
  readonly #limits: DriverLimits;
  readonly #flights = new Flights();
  readonly #reader: Reader;
  readonly #filled = new Map<string, Extract<Filled, { kind: "call" }>>();
  #state: RunState | null = null;
  #seq = 1;
  #rows = 0;
  #armedAt: number | null = null;
  #cancelTimer: (() => void) | null = null;
  #event: { calls: number; since: number };
  #busy = 0;
  #over = false;

  constructor(ports: Ports, limits: DriverLimits = DEFAULT_LIMITS) {
    this.#ports = ports;
    this.#limits = limits;
    this.#reader = new Reader((seq, slot) => ports.journal.value(seq, slot));
    this.#event = { calls: 0, since: ports.clock.now() };
  }

  /** Null: nothing was started here. */
  get state(): RunState | null {
    return this.#state;
  }

  /** Number of the last fact. */
  get seq(): number {
    return this.#seq - 1;
  }

  /** Folds the journal (K8). To be called once, before anything else. Throws `UnreadableJournal`. */
  load(): void {
    const { snapshot, rows } = this.#ports.journal.load();
    let state = snapshot === null ? null : fromSnapshot(snapshot.state);
    let seq = snapshot?.seq ?? 1;
    for (const row of rows) {
      for (const fact of row.facts) {
        const why = illegal(state, fact);
        if (why !== null) throw new UnreadableJournal(row.seq, why);
        state = evolve(state, fact);
      }
      seq = row.seq + row.facts.length;
      this.#rows++;
    }
    this.#state = state;
    this.#seq = seq;
    this.#armedAt = this.#ports.alarm.armedAt();
  }

  start(run: RunInfo, graph: Graph, input: Json): Outcome {
    return this.#command((keep) => ({ t: "start", run, graph, input: keep(input) }));
  }

  signal(id: string, name: string, payload: Json): Outcome {
    return this.#command((keep) => ({ t: "signal", id, name, payload: keep(payload) }));
  }

  resolve(unit: UnitRef, as: ResolveAsJson, by: string): Outcome {
    return this.#command((keep) => ({ t: "resolve", unit, as: kept(as, keep), by }));
  }

  redrive(by: string, resolve: readonly { readonly unit: UnitRef; readonly as: ResolveAsJson }[]): Outcome {
    return this.#command((keep) => ({
      t: "redrive",
      by,
      resolve: resolve.map(({ unit, as }) => ({ unit, as: kept(as, keep) })),
    }));
  }

  command(input: Extract<Input, { t: "pause" | "resume" | "cancel" | "append" | "close" }>): Outcome {
    return this.#command(() => input);
  }

  #command(asked: Asked): Outcome {
    if (this.#over) throw new Error("this life of the run is over");
    this.#freshEvent();
    return this.#turn([asked]);
  }

  /** The alarm fired, or somebody poked the run: a fresh event. Nothing it does throws for an application's error. */
  wake(): void {
    if (this.#over || this.#state === null) return;
    this.#freshEvent();
    this.#turn(this.#whatTimeBrings());
    for (const flight of this.#flights.all()) if (flight.hopping) this.#perform(flight);
  }

  /** The alarm that was armed has fired and is used up. */
  alarmFired(): void {
    this.#armedAt = null;
    this.wake();
  }

  /** Arms the alarm as it must stand now, without a turn: for a host whose own needs changed. */
  arm(): void {
    if (!this.#over) this.#arm();
  }

  /** The JSON of a value in the state. */
  read(value: Parameters<Reader["load"]>[0]): Json {
    return this.#reader.load(value);
  }

  #freshEvent(): void {
    this.#event = { calls: 0, since: this.#ports.clock.now() };
  }

  /** Lost attempts (D5), attempts whose time is up before anything was sent, and the clock. */
  #whatTimeBrings(): Asked[] {
    const state = this.#state;
    if (state === null) return [];
    const now = this.#ports.clock.now();
    const lost = inFlightUnits(state)
      .filter(({ ref, unit }) => !this.#flights.has(ref, unit.attempt))
      .map(({ ref, unit }): Asked => () => ({
        t: "attempt_lost",
        unit: ref,
        attempt: unit.attempt,
        strike: unit.version === this.#ports.version,
      }));
    const unsent = this.#flights
      .all()
      .filter((flight) => !flight.sent && flight.call.deadline <= now)
      .map(
        (flight): Asked =>
          () =>
            endedOf(flight.call, { kind: "refused", failure: UNSENT }),
      );
    return [...lost, ...unsent, () => ({ t: "tick" })];
  }

  /** One turn (D1). The first input may be refused; the rest is the driver's own and is passed over if it no longer fits. */
  #turn(inputs: readonly Asked[]): Outcome {
    const turn: Turn = {
      now: this.#ports.clock.now(),
      keeper: new Keeper(this.#seq),
      facts: [],
      starting: [],
      landed: [],
      state: this.#state,
    };
    for (const [i, asked] of inputs.entries()) {
      const input = asked((json) => turn.keeper.keep(json), turn.state);
      const refusal = input === null ? null : this.#decide(turn, input);
      if (refusal !== null && i === 0 && inputs.length === 1) return { ok: false, refusal };
    }
    this.#goOn(turn);
    this.#commit(turn);
    return { ok: true };
  }

  #decide(turn: Turn, input: Input): Refusal | null {
    const decision = decide(turn.state, input, turn.now, this.#ports.random());
    if (!decision.ok) return decision.refusal;
    turn.facts.push(...decision.facts);
    turn.state = evolveAll(turn.state, decision.facts);
    return null;
  }

  /** Fills in what became due, and starts what has a slot, until nothing more follows in this turn. */
  #goOn(turn: Turn): void {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const { state } = turn;
      if (state === null) return;
      const before = turn.facts.length;
      const jobs = due(state, turn.now);
      const fills = jobs.filter((job) => job.kind !== "attempt");
      for (const job of fills) this.#fill(turn, job);
      if (fills.length === 0)
        for (const job of jobs) if (job.kind === "attempt" && this.#hasSlot(turn)) this.#begin(turn, job);
      if (turn.facts.length === before) return;
    }
    throw new Error("a turn did not come to rest");
  }

  #scope(turn: Turn, state: RunState, ref: UnitRef | null): Scope {
    return scopeOf(state, ref, (value) => this.#reader.load(value, turn.keeper), turn.now);
  }

  #fill(turn: Turn, job: Exclude<Job, { kind: "attempt" }>): void {
    const { state } = turn;
    if (state === null) return;
    if (job.kind === "output") {
      const result = this.#ports.evaluate.output(
        state.run,
        state.graph.output,
        this.#scope(turn, state, null),
      );
      const failure = result.ok ? tooLarge(result.value, state.bytes) : result.failure;
      this.#decide(turn, {
        t: "output",
        result:
          failure === null && result.ok
            ? { output: turn.keeper.keep(result.value) }
            : { failure: failure ?? UNSENT },
      });
      return;
    }
    const def = stepOf(state, job.unit.step)?.def;
    if (def === undefined) return;
    const filled = this.#ports.evaluate.fill(state.run, def, job.unit, this.#scope(turn, state, job.unit));
    this.#decide(turn, {
      t: "prepared",
      unit: job.unit,
      prepared: this.#prepared(turn, state, job.unit, filled),
    });
  }

  #prepared(
    turn: Turn,
    state: RunState,
    ref: UnitRef,
    filled: Filled,
  ): Extract<Input, { t: "prepared" }>["prepared"] {
    switch (filled.kind) {
      case "call":
        this.#filled.set(unitName(ref), filled);
        return { kind: "call", digest: filled.digest };
      case "list": {
        const failure = tooLarge(filled.list, state.bytes);
        return failure === null
          ? { kind: "list", list: turn.keeper.keep(filled.list), count: filled.list.length }
          : { kind: "error", failure };
      }
      case "done": {
        const failure = tooLarge(filled.output, state.bytes);
        return failure === null
          ? { kind: "done", output: turn.keeper.keep(filled.output) }
          : { kind: "error", failure };
      }
      default:
        return filled;
    }
  }

  /** Whether one more attempt may start now: a slot, and room in this event of the platform. */
  #hasSlot(turn: Turn): boolean {
    return this.#busy + turn.starting.length < SLOTS && !this.#eventIsFull(turn.now, turn.starting.length);
  }

  #eventIsFull(now: number, starting = 0): boolean {
    return (
      this.#event.calls + starting >= this.#limits.callsPerEvent ||
      now - this.#event.since >= this.#limits.eventMs
    );
  }

  #begin(turn: Turn, job: Extract<Job, { kind: "attempt" }>): void {
    const { unit: ref, attempt } = job;
    this.#decide(turn, { t: "begin", unit: ref, attempt, version: this.#ports.version });
    const { state } = turn;
    const unit = state === null ? null : unitOf(state, ref);
    const def = state === null ? undefined : stepOf(state, ref.step)?.def;
    // The kernel may have answered otherwise: an unclear attempt whose key has been forgotten becomes unknown.
    if (state === null || unit?.status !== "running" || unit.attempt !== attempt || def === undefined) return;
    const scope = this.#scope(turn, state, ref);
    const filled = this.#refill(state, def, ref, scope);
    if (filled.kind !== "call" || filled.digest !== unit.digest) {
      this.#decide(
        turn,
        endedOf(
          { unit: ref, attempt, generation: state.generation },
          { kind: "cannot", failure: filled.kind === "error" ? filled.failure : CHANGED },
        ),
      );
      return;
    }
    const performance = performanceOf(def, ref) ?? def;
    const owner = unitOf(state, ref) ?? unit;
    const controller = new AbortController();
    const flight: Flight = {
      controller,
      sent: false,
      hopping: false,
      call: {
        run: state.run,
        generation: state.generation,
        unit: ref,
        attempt,
        def,
        action: performance.action,
        effect: performance.effect,
        with: filled.with,
        key: performance.effect === "keyed" ? keyOf(state.run.id, ref, owner) : null,
        deadline: unit.deadline ?? turn.now + performance.timeoutMs,
        timeoutMs: performance.timeoutMs,
        maybe: unit.maybe,
        scope,
        signal: controller.signal,
        sent: () => {
          flight.sent = true;
        },
      },
    };
    turn.starting.push(flight);
  }

  /** The parameters of a unit that is ready: from this life's memory, else filled in again from the same scope. */
  #refill(state: RunState, def: StepDef, ref: UnitRef, scope: Scope): Filled {
    const name = unitName(ref);
    const kept = this.#filled.get(name);
    this.#filled.delete(name);
    if (kept !== undefined && kept.digest === unitOf(state, ref)?.digest) return kept;
    // The condition was read once, when the step became due.
    const { when: _when, ...unconditional } = def;
    return this.#ports.evaluate.fill(state.run, unconditional, ref, scope);
  }

  /** Appends the turn, takes over its state, performs, arms (D1 to D4). */
  #commit(turn: Turn): void {
    const { facts, keeper, state } = turn;
    if (facts.length > 0 && state !== null) {
      const row: Row = { seq: this.#seq, at: turn.now, facts, values: keeper.values };
      const snapshot = this.#rows + 1 >= SNAPSHOT_ROWS ? toSnapshot(state) : null;
      try {
        this.#ports.journal.append(row, state, snapshot);
      } catch (error) {
        this.#giveUp("the journal refused a turn", error);
        throw error;
      }
      this.#rows = snapshot === null ? this.#rows + 1 : 0;
      this.#seq += facts.length;
      this.#state = state;
      this.#reader.remember(row.seq, row.values);
      for (const flight of turn.starting) this.#flights.add(flight);
      this.#busy = this.#flights.reconcile(state);
      this.#ports.turned(state, row);
      for (const flight of turn.starting) this.#perform(flight);
    }
    this.#arm();
  }

  #perform(flight: Flight): void {
    flight.hopping = false;
    this.#event.calls++;
    const performed = this.#ports
      .perform(flight.call)
      .catch((error: unknown): Performed => thrown(flight, error));
    this.#ports.background(performed.then((end) => this.#land(flight, end)));
  }

  /** Whether the attempt's end still counts: else it is only recorded, and its output is not kept. */
  #counts(call: Call): boolean {
    const unit = this.#state === null ? null : unitOf(this.#state, call.unit);
    if (unit === null || unit.attempt !== call.attempt || call.generation !== this.#state?.generation)
      return false;
    return unit.status === "running" || (unit.status === "unknown" && unit.listening);
  }

  #land(flight: Flight, performed: Performed): void {
    if (this.#over) return;
    if (performed.kind === "hop") {
      flight.hopping = true;
      this.#hop();
      return;
    }
    this.#flights.remove(flight);
    this.#busy = this.#state === null ? 0 : this.#flights.reconcile(this.#state);
    const counts = this.#counts(flight.call);
    try {
      this.#turn([
        (keep, state) => {
          if (state === null) return null;
          return endedOf(
            flight.call,
            counts ? this.#endOf(flight.call, performed, state, keep) : late(performed),
          );
        },
      ]);
    } catch (error) {
      // Nobody waits for this turn, so its error would vanish; the next life finds the attempt lost.
      if (!this.#over) this.#giveUp("a turn failed", error);
    }
  }

  /** The attempt's end as the kernel takes it: sizes checked, conditions of `repeat` and `verify` read. */
  #endOf(
    call: Call,
    performed: Exclude<Performed, { kind: "hop" }>,
    state: RunState,
    keep: Keeper["keep"],
  ): AttemptEnd {
    if (performed.kind !== "success") return performed;
    const { evaluate } = this.#ports;
    const more = performed.more === undefined || performed.more.length === 0 ? {} : { more: performed.more };
    // Steps are plain data; only their optional fields keep the compiler from seeing JSON in them.
    const steps = (performed.more ?? []) as unknown as Json;
    const failure = tooLarge(performed.output, state.bytes) ?? tooLarge(steps, state.bytes);
    if (failure !== null) return { kind: "unusable", failure };
    if (call.unit.role === "verify") {
      const said = evaluate.happened(call.run, call.def, performed.output, call.scope);
      return said.ok
        ? { kind: "success", output: keep(said.value.output), happened: said.value.happened }
        : { kind: "cannot", failure: said.failure };
    }
    if (call.unit.role === undefined && call.def.repeat !== undefined) {
      const again = evaluate.again(call.run, call.def, performed.output, call.scope);
      return again.ok
        ? { kind: "success", output: keep(performed.output), again: again.value, ...more }
        : { kind: "unusable", failure: again.failure };
    }
    return { kind: "success", output: keep(performed.output), ...more };
  }

  /** Goes on in a fresh event of the platform, before its limits are met. */
  #hop(): void {
    const at = this.#ports.clock.now() + 1;
    if (this.#armedAt === null || this.#armedAt > at) this.#set(at);
  }

  #set(at: number): void {
    this.#armedAt = at;
    this.#ports.alarm.set(at);
  }

  /** D4. Setting an alarm costs a row, so one that stands early enough is left where it is. */
  #arm(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    const state = this.#state;
    if (state === null) return;
    const now = this.#ports.clock.now();
    const others = this.#ports.alarm.others(state) ?? Infinity;
    const wakeAt = nextWake(state, now);
    if (wakeAt === null) {
      // The end: nothing but the host's own needs (its outbox, its retention) wakes the object again.
      if (others !== Infinity && this.#armedAt !== others) this.#set(Math.max(others, now + 1));
      return;
    }
    const short = wakeAt - now < SHORT_WAIT_MS;
    const want = Math.min(nextDeadline(state), short ? wakeAt + WATCHDOG_MS : wakeAt, others);
    const full = this.#eventIsFull(now) && due(state, now).length > 0;
    if (full) this.#hop();
    else if (this.#armedAt === null || this.#armedAt > want) this.#set(Math.max(want, now + 1));
    if (short && !full)
      this.#cancelTimer = this.#ports.clock.after(Math.max(0, wakeAt - now), () => this.#tick());
  }

  /** A short wait is over: the same as an alarm, but within the event that is going on. */
  #tick(): void {
    if (!this.#over && this.#state !== null) this.#turn(this.#whatTimeBrings());
  }

  #giveUp(reason: string, cause: unknown): void {
    this.#over = true;
    this.#cancelTimer?.();
    this.#ports.giveUp(reason, cause);
  }
}

export type ResolveAsJson =
  | { readonly as: "succeeded"; readonly output: Json }
  | Exclude<ResolveAs, { as: "succeeded" }>;

function kept(as: ResolveAsJson, keep: Keeper["keep"]): ResolveAs {
  return as.as === "succeeded" ? { as: "succeeded", output: keep(as.output) } : as;
}

const UNSENT: FailureSeed = {
  code: "not_sent",
  message: "The attempt's time was up before anything was sent.",
  hint: "Raise the step's timeout.",
  retryable: true,
};

const CHANGED: FailureSeed = {
  code: "payload_changed",
  message:
    "The step's parameters are not what its first attempt was given: the code that fills them in has changed.",
  hint: "Redrive the run: the step then gets a new idempotency key.",
  retryable: false,
};

function endedOf(
  call: Pick<Call, "unit" | "attempt" | "generation">,
  end: AttemptEnd,
): Extract<Input, { t: "ended" }> {
  return { t: "ended", generation: call.generation, unit: call.unit, attempt: call.attempt, end };
}

/** An end that came too late to count: what kind it was is recorded, and nothing of what it brought. */
function late(performed: Exclude<Performed, { kind: "hop" }>): AttemptEnd {
  return performed.kind === "success" ? { kind: "success", output: NULL_VALUE } : performed;
}

/** A throw is unclear once something was sent, else nothing happened. */
function thrown(flight: Flight, error: unknown): Performed {
  const message = error instanceof Error ? error.message : "Something was thrown that is not an error.";
  const failure: FailureSeed = {
    code: flight.sent ? "network" : "not_sent",
    message: message.slice(0, 500),
    hint: "Look at the step's code and at the service.",
    retryable: true,
  };
  return { kind: flight.sent ? "unclear" : "refused", failure };
}
