/**
 * The driver of one run: takes inputs, asks the kernel, appends what it decided, performs what is due.
 *
 * Owns: the life of a run: its state, the order of a turn (D1), the attempts in flight.
 * Does not own: what facts mean (kernel), what goes into a turn (`turn.ts`), how facts are stored, what an attempt
 * does (ports), when it is woken (`alarm.ts`).
 *
 * D1 a turn decides on a copy, appends once, only then takes over the new state, only then performs.
 * D2 a turn that fails, in its append or anywhere, ends this life: memory never runs ahead of the journal, and nothing
 *    that is due is left to nobody.
 * D3 `started` is appended in the turn in which the attempt is performed; work that is only due leaves no trace.
 * D4 after every turn the alarm stands no later than the next deadline (K3).
 * D5 what the state shows as running, or as listened to, and no flight of this life performs, is handed to the kernel
 *    as lost.
 * D6 an attempt that was judged over sends nothing any more.
 * D7 an event of the platform computes at most `operationsPerEvent`, and one unit more; each fills in one at least.
 * D8 what this build has no code for is left as it is, and looked at again: nothing is journaled of it, as it says something
 *    of the build and nothing of the run.
 */

import {
  evolve,
  fromSnapshot,
  hasSignal,
  illegal,
  due,
  toSnapshot,
  unitName,
  unreadable,
  type Graph,
  type Input,
  type Json,
  type Refusal,
  type ResolveAs,
  type RunInfo,
  type RunState,
  type UnitRef,
} from "../kernel/index.ts";
import { Acquiring, type Asked, type Asking } from "./acquiring.ts";
import { Alarm } from "./alarm.ts";
import { endedOf, endOf, lateEnd, thrown, UNSENT } from "./ends.ts";
import { Flights, wantedBy, type Flight } from "./flights.ts";
import { Misfits } from "./kept-signals.ts";
import { inFlightUnits } from "./lost.ts";
import type { Acquired, Performed, Ports, Row, Wanted } from "./ports.ts";
import { lacksCode, Turn, type TurnParts } from "./turn.ts";
import { Reader, tooLarge, type Keeper } from "./values.ts";

/** The platform opens at most six connections per event; one more would only wait inside it. */
const SLOTS = 6;

/** How soon a run goes on once a build has its code again (D8). Each look costs an alarm. */
const CODE_RECHECK_MS = 2 * 60_000;

export interface DriverLimits {
  /** Calls to the outside per platform event, before the driver hops to a fresh one. */
  readonly callsPerEvent: number;
  /**
   * Operations of the evaluator per platform event, likewise. A turn that has taken so many ends, and what is left to be
   * filled in is done in the next event: together with the last one, which may take a full meter, it is far below the
   * 30 s of CPU that an event has.
   */
  readonly operationsPerEvent: number;
  /** Time per platform event, likewise: an alarm may last 15 min, an attempt 10. */
  readonly eventMs: number;
  /** Rows after which a snapshot is written: waking reads one snapshot and at most this many rows. */
  readonly snapshotRows: number;
}

/** Below the 10,000 subrequests of a paid plan; a free plan sets 40. */
export const DEFAULT_LIMITS: DriverLimits = {
  callsPerEvent: 1_000,
  // Four steps that take all that one may take; of ordinary ones, thousands.
  operationsPerEvent: 1_000_000,
  eventMs: 5 * 60_000,
  snapshotRows: 256,
};

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

export type ResolveAsJson =
  | { readonly as: "succeeded"; readonly output: Json; readonly note?: string }
  | Exclude<ResolveAs, { as: "succeeded" }>;

const NO_ROOM: Refusal = {
  code: "signal_buffer_full",
  message: "The values of the run leave no room for this payload: send the address of the data instead.",
};

/** An input whose values are still plain JSON: they get their place when the row is made. */
type Said = (keep: Keeper["keep"]) => Input;

export class RunDriver {
  readonly #ports: Ports;
  readonly #limits: DriverLimits;
  readonly #flights = new Flights();
  readonly #acquiring: Acquiring;
  readonly #reader: Reader;
  readonly #alarm: Alarm;
  readonly #parts: TurnParts;
  #state: RunState | null = null;
  #seq = 1;
  #rows = 0;
  #event: { calls: number; since: number; spentBefore: number };
  #over = false;

  constructor(ports: Ports, limits: DriverLimits = DEFAULT_LIMITS) {
    this.#ports = ports;
    this.#limits = limits;
    this.#acquiring = new Acquiring(ports.clock);
    this.#reader = new Reader((seq, slot) => ports.journal.value(seq, slot));
    this.#alarm = new Alarm(ports.alarm, ports.clock, () => {
      this.#shortWaitOver();
    });
    this.#parts = {
      ports,
      reader: this.#reader,
      filled: new Map(),
      misfits: new Misfits(),
      hasRoom: (state, starting) =>
        this.#flights.busy(state) + this.#acquiring.size + starting < SLOTS && !this.#eventIsFull(starting),
      isAsked: (asked) => this.#acquiring.has(asked),
      ask: (asked, wanted) => this.#ask(asked, wanted),
      mayFill: () => !this.#hasComputedEnough(),
    };
    this.#event = this.#newEvent();
  }

  /** Null: nothing was started here. */
  get state(): RunState | null {
    return this.#state;
  }

  /** Number of the last fact. */
  get seq(): number {
    return this.#seq - 1;
  }

  /**
   * Folds the journal (K8). To be called once, before anything else; then `wake`, which finds what an earlier life
   * lost. Throws `UnreadableJournal`.
   */
  load(): void {
    const { snapshot, rows } = this.#ports.journal.load();
    const newer = snapshot === null ? null : unreadable(snapshot.state);
    if (snapshot !== null && newer !== null) throw new UnreadableJournal(snapshot.seq, newer);
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
    this.#alarm.load();
  }

  start(run: RunInfo, graph: Graph, input: Json): Outcome {
    return this.#command((keep) => ({ t: "start", run, graph, input: keep(input) }));
  }

  signal(id: string, name: string, payload: Json): Outcome {
    const { state } = this;
    // A payload is kept whether a step takes it or not.
    if (state !== null && !hasSignal(state, name, id) && tooLarge(payload, state.bytes) !== null)
      return { ok: false, refusal: NO_ROOM };
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

  command(
    input: Extract<
      Input,
      {
        t:
          | "pause"
          | "resume"
          | "cancel"
          | "append"
          | "close"
          | "decide"
          | "child_ended"
          | "connection_changed"
          | "rebind"
          | "admit"
          | "turn_away";
      }
    >,
  ): Outcome {
    if (input.t === "connection_changed" || input.t === "rebind") this.#acquiring.changed();
    return this.#command(() => input);
  }

  #command(asked: Said): Outcome {
    if (this.#over) throw new Error("this life of the run is over");
    this.#freshEvent();
    return this.#turn([asked]);
  }

  /** The alarm fired, or somebody poked the run: a fresh event. Nothing it does throws for an application's error. */
  wake(): void {
    if (this.#over || this.#state === null) return;
    this.#freshEvent();
    this.#turn(this.#whatTimeBrings(), "fresh event");
  }

  /** The alarm that was armed has fired and is used up. */
  alarmFired(): void {
    this.#alarm.fired();
    this.wake();
  }

  /** Names of the units that are due and that this build has no code for (D8); empty: the run's output. */
  lacking(): ReadonlySet<string> {
    const state = this.#state;
    if (state === null) return new Set();
    const left = due(state, this.#ports.clock.now()).filter((job) => lacksCode(this.#ports, state, job));
    return new Set(left.map((job) => (job.kind === "output" ? "" : unitName(job.unit))));
  }

  /** Arms the alarm as it must stand now, without a turn: for a host whose own needs changed. */
  arm(): void {
    if (this.#over) return;
    this.#orGiveUp(() => {
      this.#arm();
    });
  }

  /** This life of the run is over, and what it knows counts no more: nothing that is still under way comes to anything. */
  stop(): void {
    this.#over = true;
    this.#alarm.stopTimer();
    this.#flights.abortUnsent();
    this.#acquiring.stop();
  }

  /** The JSON of a value in the state. */
  read(value: Parameters<Reader["load"]>[0]): Json {
    return this.#reader.load(value);
  }

  #freshEvent(): void {
    this.#event = this.#newEvent();
    this.#acquiring.freshEvent();
  }

  #newEvent(): { calls: number; since: number; spentBefore: number } {
    return { calls: 0, since: this.#ports.clock.now(), spentBefore: this.#ports.evaluate.spent() };
  }

  #hasComputedEnough(): boolean {
    return this.#ports.evaluate.spent() - this.#event.spentBefore >= this.#limits.operationsPerEvent;
  }

  #eventIsFull(starting = 0): boolean {
    const { calls, since } = this.#event;
    return (
      this.#hasComputedEnough() ||
      calls + starting >= this.#limits.callsPerEvent ||
      this.#ports.clock.now() - since >= this.#limits.eventMs
    );
  }

  /** A short wait is over: the same as an alarm, but within the event that is going on. */
  #shortWaitOver(): void {
    if (!this.#over && this.#state !== null) this.#turn(this.#whatTimeBrings());
  }

  /** Lost attempts (D5), attempts whose time is up before anything was sent, and the clock. */
  #whatTimeBrings(): Said[] {
    const state = this.#state;
    if (state === null) return [];
    const now = this.#ports.clock.now();
    const lost = inFlightUnits(state)
      .filter(({ ref, unit }) => !this.#flights.has(ref, unit.attempt))
      .map(({ ref, unit }): Said => () => ({
        t: "attempt_lost",
        unit: ref,
        attempt: unit.attempt,
        strike: unit.version === this.#ports.version,
      }));
    const unsent = this.#flights
      .all()
      .filter(({ call, sent }) => !sent && call.deadline <= now && wantedBy(state, call) === "running")
      .map(
        ({ call }): Said =>
          () =>
            endedOf(call, { kind: "refused", failure: UNSENT }),
      );
    return [...lost, ...unsent, () => ({ t: "tick" })];
  }

  /**
   * One turn (D1). A single input may be refused; of several, which are the driver's own, one that no longer fits is
   * passed over. What is thrown ends this life (D2).
   */
  #turn(inputs: readonly Said[], within: "this event" | "fresh event" = "this event"): Outcome {
    return this.#orGiveUp(() => {
      const turn = new Turn(this.#parts, this.#state, this.#seq);
      for (const asked of inputs) {
        const refusal = turn.decide(asked((json) => turn.keeper.keep(json)));
        if (refusal !== null && inputs.length === 1) return { ok: false, refusal };
      }
      this.#useAnswers(turn);
      turn.goOn();
      this.#commit(turn);
      if (within === "fresh event") this.#resumeHopping();
      this.#arm(turn.leavesWork, turn.lacksCode);
      return { ok: true };
    });
  }

  /** Asks for the credential of a call that is due (Q1). Its slot is taken from here on. */
  #ask(asked: Asked, wanted: Wanted): boolean {
    const promise = this.#ports.acquire?.(wanted) ?? null;
    if (promise === null) return false;
    this.#event.calls++;
    const { asking, answer } = this.#acquiring.ask(asked, wanted.timeoutMs, promise);
    const landed = answer.then((acquired) => {
      this.#orGiveUp(() => {
        if (!this.#over) this.#answered(asking, acquired);
      });
    });
    this.#ports.background(landed.catch(() => {}));
    return true;
  }

  #answered(asking: Asking, acquired: Acquired): void {
    if (acquired.kind === "hop") {
      asking.hopping = true;
      return this.#arm();
    }
    // Q4: what is due is asked about anew.
    if (acquired.kind === "needs" && asking.changed) this.#acquiring.remove(asking);
    else asking.answer = { acquired, at: this.#ports.clock.now() };
    this.#turn([]);
  }

  /** What was asked for and is here begins first: it has a slot. */
  #useAnswers(turn: Turn): void {
    for (const asking of this.#acquiring.answered(turn.now)) {
      if (asking.answer === null || this.#eventIsFull(turn.starting.length)) continue;
      this.#acquiring.remove(asking);
      turn.use(asking, asking.answer.acquired);
    }
  }

  /** Appends the turn, takes over its state, performs (D1 to D3). */
  #commit({ facts, keeper, now, starting, state }: Turn): void {
    if (facts.length === 0 || state === null) return;
    const row: Row = { seq: this.#seq, at: now, facts, values: keeper.values };
    const snapshot = this.#rows + 1 >= this.#limits.snapshotRows ? toSnapshot(state) : null;
    this.#ports.journal.append(row, state, snapshot);
    this.#rows = snapshot === null ? this.#rows + 1 : 0;
    this.#seq += facts.length;
    this.#state = state;
    this.#reader.remember(row.seq, row.values);
    for (const flight of starting) this.#flights.add(flight);
    this.#flights.reconcile(state);
    this.#ports.turned(state, row);
    for (const flight of starting) this.#perform(flight);
  }

  /** Attempts that met a limit of an earlier event of the platform. */
  #resumeHopping(): void {
    for (const flight of this.#flights.all())
      if (flight.hopping && !this.#eventIsFull()) this.#perform(flight);
  }

  /**
   * @param left work that is due was left to a fresh event
   * @param lacking work that is due was left to another build
   */
  #arm(left = false, lacking = false): void {
    const state = this.#state;
    if (state === null) return;
    const full =
      left ||
      this.#acquiring.hopping ||
      (this.#eventIsFull() && (this.#flights.hopping() || due(state, this.#ports.clock.now()).length > 0));
    const { generation } = state;
    // Q1: of a life that dies while it asks, the journal shows nothing in flight.
    const now = this.#ports.clock.now();
    const by = Math.min(this.#acquiring.lookAt(now), lacking ? now + CODE_RECHECK_MS : Infinity);
    this.#alarm.arm(state, full, by, () =>
      due(state, this.#ports.clock.now()).some(
        (job) =>
          !lacksCode(this.#ports, state, job) &&
          (job.kind !== "attempt" ||
            (this.#parts.hasRoom(state, 0) && !this.#acquiring.hasUnit({ ...job, generation }))),
      ),
    );
  }

  #perform(flight: Flight): void {
    flight.hopping = false;
    this.#event.calls++;
    const performed = this.#ports
      .perform(flight.call)
      .catch((error: unknown): Performed => thrown(flight.sent, error));
    const landed = performed.then((end) => {
      this.#orGiveUp(() => {
        this.#land(flight, end);
      });
    });
    // What a turn throws was said when the life was given up, and nobody else waits for it.
    this.#ports.background(landed.catch(() => {}));
  }

  #land(flight: Flight, performed: Performed): void {
    const state = this.#state;
    if (this.#over || state === null) return;
    const { call } = flight;
    const wanted = wantedBy(state, call);
    if (performed.kind === "hop" && wanted === "running") {
      // It was about to leave, and did not.
      flight.sent = false;
      flight.hopping = true;
      return this.#alarm.hop();
    }
    this.#flights.remove(flight);
    // That an attempt which is over met a limit of the platform tells nothing.
    if (performed.kind === "hop" && wanted === null) return;
    // Of one that is listened to it tells that nothing has left.
    const end = performed.kind === "hop" ? ({ kind: "refused", failure: UNSENT } as const) : performed;
    this.#turn([
      (keep) =>
        endedOf(
          call,
          wanted === null ? lateEnd(end) : endOf(call, end, state, this.#ports.evaluate, keep),
          performed,
        ),
    ]);
  }

  #orGiveUp<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (!this.#over) this.#giveUp("a turn failed", error);
      throw error;
    }
  }

  #giveUp(reason: string, cause: unknown): void {
    this.stop();
    this.#ports.giveUp(reason, cause);
  }
}

function kept(as: ResolveAsJson, keep: Keeper["keep"]): ResolveAs {
  return as.as === "succeeded" ? { ...as, output: keep(as.output) } : as;
}
