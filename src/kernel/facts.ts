/** PERSISTED CONTRACT. The facts of the journal: what happened, never what should. Version 1. */

import type { Failure, RunFailure } from "./failures.ts";
import type { Graph, StepDef } from "./graph.ts";
import type { Outcome, UnitRef } from "./units.ts";
import type { Need } from "./needs.ts";
import type { Json, Value } from "./values.ts";

/** Who and what a run is. Fixed at its start. */
export interface RunInfo {
  readonly id: string;
  readonly tenant: string;
  readonly workflow: string;
  readonly version: string;
  /** The end user on whose behalf the run acts. Never changes. */
  readonly user: string | null;
  /** Who started it: an API key's id, a hook, a schedule, a parent run. */
  readonly startedBy: string;
  readonly open: boolean;
  readonly tags: readonly string[];
  readonly traceparent: string | null;
  /** The policies of the key that started it, pinned; opaque to the kernel. All of them must allow what a step sends. */
  readonly policies?: readonly Json[];
  /**
   * Of a child: which unit of which run started it, and how deep it stands. The first child has depth 1. `root`: the run at
   * the top, that counts all runs below it; missing in what was started before there was that count.
   */
  readonly parent?: {
    readonly run: string;
    readonly unit: string;
    readonly depth: number;
    readonly root?: string;
  };
  /**
   * Of a child: who started or extended the runs above it. Of what a trigger started: who answers for that. They decide nothing
   * here either.
   */
  readonly origins?: readonly string[];
  /**
   * In each generation it waits until it is admitted, before it works: at most `limitMs`. `place`: where in the queue, and what
   * the queue admits by; opaque to the kernel.
   */
  readonly flow?: { readonly limitMs: number; readonly place: Json };
  /** The data of the run were erased: what its facts say is what `scrub.ts` leaves. */
  readonly erased?: true;
}

export type CancelMode = "graceful" | "immediate";
export type Resolution = "succeeded" | "failed" | "retry";
export type ApprovalDecision = "approved" | "denied";

/** Who settled a unit, where it was not an attempt of its own. */
export type SettledBy =
  | "late"
  | "verify"
  | "resolve"
  | "timer"
  | "signal"
  | "fallback"
  | "items"
  | "approval"
  | "child";

export type Fact =
  | {
      readonly t: "run_started";
      readonly at: number;
      readonly run: RunInfo;
      readonly graph: Graph;
      readonly input: Value;
      readonly deadlineAt: number;
    }
  | {
      /** The run has waited in its queue for long enough, and works from here on. */
      readonly t: "admitted";
      readonly at: number;
      /** Time in the queue does not count. */
      readonly deadlineAt: number;
    }
  | ({
      readonly t: "ready";
      readonly at: number;
      readonly digest: string;
      readonly newKey?: boolean;
    } & UnitRef)
  | ({ readonly t: "expanded"; readonly at: number; readonly list: Value; readonly count: number } & UnitRef)
  | ({
      readonly t: "started";
      readonly at: number;
      readonly attempt: number;
      readonly deadline: number;
      readonly version: string;
      /** Which credentials the attempt was lent: opaque to the kernel, and never one itself. */
      readonly credentials?: Json;
    } & UnitRef)
  | ({
      readonly t: "succeeded";
      readonly at: number;
      readonly output: Value;
      readonly attempt?: number;
      readonly by?: SettledBy;
      readonly signal?: string;
      readonly fallback?: { readonly failure: Failure; readonly outcome: Outcome };
    } & UnitRef)
  | ({
      readonly t: "failed";
      readonly at: number;
      readonly failure: Failure;
      readonly outcome: Outcome;
      readonly attempt?: number;
      readonly by?: SettledBy;
    } & UnitRef)
  | ({
      readonly t: "retrying";
      readonly at: number;
      readonly wakeAt: number;
      readonly failure: Failure;
      readonly maybe: boolean;
      readonly attempt?: number;
      readonly strike?: boolean;
      readonly by?: SettledBy;
    } & UnitRef)
  | ({
      readonly t: "unknown";
      readonly at: number;
      readonly limitAt: number;
      readonly failure: Failure;
      readonly attempt?: number;
      readonly verifyAt?: number;
      readonly listening?: boolean;
      /** No attempt follows, should it turn out that it did not happen. */
      readonly last?: boolean;
    } & UnitRef)
  | ({
      readonly t: "waiting";
      readonly at: number;
      readonly wakeAt?: number;
      readonly limitAt?: number;
      /** Ids of signals that were kept for the step and do not fit its schema: they stay where they are. */
      readonly misfits?: readonly string[];
      /** Of a step that hears an event: which ones. Opaque to the kernel. */
      readonly hears?: Json;
    } & UnitRef)
  | ({
      /** An approval is required: from here on the unit waits for a decision, until `limitAt`. */
      readonly t: "asked";
      readonly at: number;
      /** Name of the approval, for whoever decides. */
      readonly id: string;
      readonly limitAt: number;
      /** Of a call: digest of the parameters that an approval releases. */
      readonly digest?: string;
      /** Of a call: what the engine can say of it, as its action said it. */
      readonly about?: Json;
      /** Of a step that only waits for a decision: its author's words. */
      readonly text?: string;
    } & UnitRef)
  | ({
      readonly t: "decided";
      readonly at: number;
      readonly as: ApprovalDecision;
      readonly by: string;
      /** Who vouches for `by`: the key that made the link by which it was decided. */
      readonly via?: string;
      readonly note?: string;
      readonly newKey?: boolean;
    } & UnitRef)
  | ({
      /** The unit has a child run, and waits for its end; `ended`: it is over already. */
      readonly t: "delegated";
      readonly at: number;
      readonly run: string;
      /** Of the child. */
      readonly generation: number;
      readonly limitAt: number;
      /** When to look after the child, if it has not told of its end by then. */
      readonly wakeAt: number;
      readonly attempt: number;
      readonly ended?: boolean;
    } & UnitRef)
  | ({
      /** The child told that it has ended: it is looked after at once. */
      readonly t: "child_ended";
      readonly at: number;
      readonly generation: number;
    } & UnitRef)
  | ({
      /** The child is told to end; `graceful`: the unit goes on waiting for that. */
      readonly t: "recalled";
      readonly at: number;
      readonly run: string;
      readonly generation: number;
      readonly mode: CancelMode;
    } & UnitRef)
  | ({
      /** What the unit needs to go on is not at hand: it waits until somebody says so, or looks again at `wakeAt`. */
      readonly t: "parked";
      readonly at: number;
      readonly need: Need;
      /** When it first parked for this reason, and until when it waits. */
      readonly since: number;
      readonly limitAt: number;
      readonly wakeAt: number;
      /** Looks in a row that found the same. */
      readonly looks: number;
      /** It parked in the middle of this attempt, which does not count: nothing happened. */
      readonly attempt?: number;
      /** But what it had sent before that may have happened. */
      readonly maybe?: true;
    } & UnitRef)
  /** Somebody says that what the unit waits for has changed: it looks at once. */
  | ({ readonly t: "unparked"; readonly at: number } & UnitRef)
  | {
      /** The run has settled which connection a name means. `to` is opaque to the kernel. */
      readonly t: "bound";
      readonly at: number;
      readonly name: string;
      readonly to: Json;
      /** A person who said so, where it was another one before. */
      readonly by?: string;
    }
  | ({
      readonly t: "iterated";
      readonly at: number;
      readonly output: Value;
      readonly wakeAt: number;
      readonly attempt: number;
    } & UnitRef)
  | ({ readonly t: "giving_up"; readonly at: number; readonly failure: Failure } & UnitRef)
  | ({ readonly t: "skipped"; readonly at: number; readonly why: "when" | "needs" } & UnitRef)
  | ({
      readonly t: "cancelled";
      readonly at: number;
      readonly outcome: Outcome;
      readonly by?: SettledBy;
    } & UnitRef)
  | ({
      readonly t: "late";
      readonly at: number;
      readonly attempt: number;
      readonly kind: string;
      /** The attempt is not listened to any more. What checks the unit is to be asked again, then. */
      readonly over?: true;
      readonly verifyAt?: number;
      /** A child that it started, and that nobody waits for. */
      readonly child?: { readonly run: string; readonly generation: number };
    } & UnitRef)
  | ({
      /** An attempt that was lent credentials is over. Whether it counted, other facts say. */
      readonly t: "used";
      readonly at: number;
      readonly attempt: number;
      /** How it ended: the kind of its end. */
      readonly as: string;
      /** What it was lent, and where that was sent: opaque to the kernel, and never a credential itself. */
      readonly credentials: Json;
    } & UnitRef)
  | ({
      readonly t: "reset";
      readonly at: number;
      readonly newKey: boolean;
      readonly maybe?: boolean;
    } & UnitRef)
  | ({
      readonly t: "resolved";
      readonly at: number;
      readonly as: Resolution;
      readonly by: string;
      readonly note?: string;
    } & UnitRef)
  | {
      readonly t: "signalled";
      readonly at: number;
      readonly id: string;
      readonly name: string;
      readonly payload: Value;
    }
  | {
      readonly t: "grew";
      readonly at: number;
      readonly steps: readonly StepDef[];
      readonly revision: number;
      readonly by: string;
    }
  | { readonly t: "closed"; readonly at: number; readonly by: "owner" | "idle" }
  | { readonly t: "paused"; readonly at: number; readonly by: string }
  | {
      readonly t: "resumed";
      readonly at: number;
      readonly by: string;
      /** Of a run that is lost: the end of its budget, later by the time that it was paused. */
      readonly budgetAt?: number;
    }
  | {
      readonly t: "lost";
      readonly at: number;
      readonly why: "failure" | "cancel" | "deadline";
      readonly failure: Failure;
      readonly budgetAt: number;
      readonly by?: string;
    }
  | { readonly t: "undoing"; readonly at: number }
  | {
      readonly t: "handling";
      readonly at: number;
      /** The budget of undoing is over: the `onFailure` steps have one of their own. */
      readonly budgetAt?: number;
    }
  | { readonly t: "ended"; readonly at: number; readonly status: "succeeded"; readonly output: Value }
  | {
      readonly t: "ended";
      readonly at: number;
      readonly status: "failed" | "cancelled";
      readonly failure: RunFailure;
    }
  | {
      readonly t: "redriven";
      readonly at: number;
      readonly generation: number;
      readonly deadlineAt: number;
      readonly by: string;
    };

export type FactOf<T extends Fact["t"]> = Extract<Fact, { readonly t: T }>;

/** Every type of fact, for coverage: a compile error tells when one is missing. */
export const FACT_TYPES = Object.keys({
  run_started: 0,
  admitted: 0,
  ready: 0,
  expanded: 0,
  started: 0,
  succeeded: 0,
  failed: 0,
  retrying: 0,
  unknown: 0,
  waiting: 0,
  asked: 0,
  decided: 0,
  delegated: 0,
  child_ended: 0,
  recalled: 0,
  parked: 0,
  unparked: 0,
  bound: 0,
  iterated: 0,
  giving_up: 0,
  skipped: 0,
  cancelled: 0,
  late: 0,
  used: 0,
  reset: 0,
  resolved: 0,
  signalled: 0,
  grew: 0,
  closed: 0,
  paused: 0,
  resumed: 0,
  lost: 0,
  undoing: 0,
  handling: 0,
  ended: 0,
  redriven: 0,
} satisfies Record<Fact["t"], 0>) as readonly Fact["t"][];
