/** What a driver needs from its host. The Durable Object and the simulator each provide it; the driver is the same. */

import type {
  AttemptEnd,
  Binding,
  Child,
  Fact,
  FailureSeed,
  Json,
  Need,
  Prepared,
  RunInfo,
  Snapshot,
  StepDef,
  UnitRef,
  Effect,
  RunState,
} from "../kernel/index.ts";
import type { Scope } from "./scope.ts";

/** PERSISTED CONTRACT. One turn. `seq` is the number of its first fact; `values` are JSON texts that facts refer to. */
export interface Row {
  readonly seq: number;
  readonly at: number;
  readonly facts: readonly Fact[];
  readonly values: readonly string[];
}

export interface Loaded {
  /** The newest snapshot: the state before the row `seq`. */
  readonly snapshot: { readonly seq: number; readonly state: Snapshot } | null;
  /** Every row from the snapshot on, in order. */
  readonly rows: Iterable<Row>;
}

/** All calls are synchronous: a turn is never interleaved with another. */
export interface JournalPort {
  load(): Loaded;
  /** Appends the row, and the snapshot of the state after it if one is given, in one transaction. Throws if it cannot. */
  append(row: Row, after: RunState, snapshot: Snapshot | null): void;
  /** The JSON text of a value that an earlier row holds. */
  value(seq: number, slot: number): string;
}

export interface AlarmPort {
  /** When the one alarm is set, or null. Read once, when a life begins. */
  armedAt(): number | null;
  set(at: number): void;
  /** When something beside the run needs the alarm (its outbox, its retention), or null. */
  others(state: RunState): number | null;
}

export interface ClockPort {
  now(): number;
  /** Calls `wake` after `ms`, unless the returned function was called before. Lost when the life ends. */
  after(ms: number, wake: () => void): () => void;
}

/** One attempt, ready to be performed: parameters filled in, key at hand. */
export interface Call {
  readonly run: RunInfo;
  readonly generation: number;
  readonly unit: UnitRef;
  readonly attempt: number;
  readonly def: StepDef;
  readonly action: string;
  readonly effect: Effect;
  /** Filled in; null for TypeScript functions. */
  readonly with: Json;
  /** Idempotency key of a `keyed` unit, else null. Every attempt of the unit has the same. */
  readonly key: string | null;
  /** Milliseconds since the epoch. */
  readonly deadline: number;
  readonly timeoutMs: number;
  /** An earlier attempt may have happened: a DELETE that answers 404 now is a success. */
  readonly maybe: boolean;
  /** The child run of the unit, if it has had one; one that has not `ended` is only to be looked after. */
  readonly child: Pick<Child, "run" | "generation" | "ended"> | null;
  /** Who made the run what it is, for the children that it starts. */
  readonly makers: readonly string[];
  readonly scope: Scope;
  /** What the run has pinned under a name, or null. */
  readonly bound: (name: string) => Json;
  /** What `acquire` gave for this attempt; absent where it needs no credential. */
  readonly lease?: unknown;
  /** Said by the host: what this run stores is sealed, so what it starts has to be, too. */
  readonly confidential?: true;
  readonly signal: AbortSignal;
  /** To be called just before something leaves for the outside: from here on the attempt may have happened. */
  readonly sent: () => void;
}

/** A call that is due and has not begun: what it would be, for whoever has its credential. */
export interface Wanted extends Omit<Call, "signal" | "sent" | "deadline" | "lease"> {
  /** What the unit was parked for, if that is why it looks now. */
  readonly parked: Need | null;
}

/**
 * What came of asking for the credential of a call.
 * - `ready`: it can begin. `bound`: what names were found to mean, to be pinned with it. `about`: which credentials these
 *   are, for the journal; no secret is in it.
 * - `needs`: it has to wait for a person, or for time.
 * - `cannot`: it never will.
 * - `hop`: a per-event limit of the platform was met: to be asked again in a fresh event.
 */
export type Acquired =
  | {
      readonly kind: "ready";
      readonly lease: unknown;
      readonly bound?: readonly Binding[];
      readonly about?: Json;
    }
  | { readonly kind: "needs"; readonly need: Need }
  | { readonly kind: "cannot"; readonly failure: FailureSeed }
  | { readonly kind: "hop" };

/**
 * How an attempt ended; outputs are still plain JSON here. `bound`: what names were found to mean in the middle of it.
 * `credentials`: which it was lent, and where they were sent, for the journal; no secret is in it.
 */
export type Performed = PerformedEnd & { readonly bound?: readonly Binding[]; readonly credentials?: Json };

type PerformedEnd =
  | { readonly kind: "success"; readonly output: Json; readonly more?: readonly StepDef[] }
  | Exclude<AttemptEnd, { readonly kind: "success" }>
  /** A per-event limit of the platform was met before anything was sent: go on in a fresh event, no attempt is lost. */
  | { readonly kind: "hop" };

/** What filling in the templates of a unit gave; values are still plain JSON here. `call.with` is what is performed. */
export type Filled =
  | Exclude<Prepared, { readonly kind: "call" | "list" | "done" }>
  | {
      readonly kind: "call";
      readonly digest: string;
      readonly with: Json;
      /** What can be said of the call to whoever is asked to approve it: no secrets, and small. */
      readonly about?: Json;
    }
  | { readonly kind: "list"; readonly list: readonly Json[] }
  | { readonly kind: "done"; readonly output: Json };

export type Evaluated<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly failure: FailureSeed };

/** How a step takes the payloads of signals. */
export interface Taking {
  /** Steps of the same schema take alike. */
  readonly schema: string;
  /** How much work it would be to look at the payload, in checks, and what the step sees of it: undefined, it does not fit. */
  weigh(payload: Json): { readonly checks: number; readonly see: () => Json | undefined };
}

/** What is due: a unit, or the output of the run as its graph has it. */
export type Wants = { readonly def: StepDef; readonly unit: UnitRef } | { readonly output: Json | undefined };

/** Synchronous, and pure but for `spent`: the same scope gives the same answer, in this life and the next. Never throws. */
export interface EvaluatePort {
  /** Condition, list and parameters of a unit that is due. */
  fill(run: RunInfo, def: StepDef, unit: UnitRef, scope: Scope): Filled;
  /**
   * Whether this build has no code for what is due: an older one, or one that a workflow was taken from. It is left for a build
   * that has it. Missing: this build has code for everything.
   */
  lacks?(run: RunInfo, wants: Wants): boolean;
  /** For a step that waits for a signal. Null: it takes any. */
  taking(def: StepDef): Taking | null;
  /** Whether a `repeat` goes on after this output. */
  again(run: RunInfo, def: StepDef, output: Json, scope: Scope): Evaluated<boolean>;
  /** What the output of a `verify` says: happened (with the step's output), not happened, or cannot tell (null). */
  happened(
    run: RunInfo,
    def: StepDef,
    output: Json,
    scope: Scope,
  ): Evaluated<{ readonly happened: boolean | null; readonly output: Json }>;
  /** The run's output; `template` is `graph.output`. */
  output(run: RunInfo, template: Json | undefined, scope: Scope): Evaluated<Json>;
  /** Operations that everything asked of it so far has taken, of this run and of others: only differences mean something. */
  spent(): number;
}

export interface Ports {
  readonly journal: JournalPort;
  readonly alarm: AlarmPort;
  readonly clock: ClockPort;
  readonly evaluate: EvaluatePort;
  random(): number;
  /**
   * Asks for the credential of a call that is due. Null, at once: it needs none. What it asks must change nothing that a
   * run has to know of: the answer may be dropped, and asked for again. To be answered within a minute, with a need of its
   * own where nothing was to be had; what it throws, or does not answer, is a need that nobody can name.
   */
  acquire?(wanted: Wanted): Promise<Acquired> | null;
  /** Performs one attempt. What it throws is taken as unclear if something was sent, else as refused. */
  perform(call: Call): Promise<Performed>;
  /** Keeps the host alive until the work has ended. */
  background(work: Promise<void>): void;
  /** Ends this life at once; the next one folds the journal. */
  giveUp(reason: string, cause: unknown): void;
  /** A turn was appended: what the host shows and wakes. */
  turned(state: RunState, row: Row): void;
  /** The Worker's version: a death between two versions is a deploy, not a strike. */
  readonly version: string;
}
