/** PERSISTED CONTRACT. The facts of the journal: what happened, never what should. Version 1. */

import type { Failure, RunFailure } from "./failures.ts";
import type { Graph, StepDef } from "./graph.ts";
import type { Outcome, UnitRef } from "./units.ts";
import type { Value } from "./values.ts";

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
  /** Of a child run: the unit that started it, and how many runs stand above it. */
  readonly parent?: { readonly run: string; readonly unit: string; readonly depth: number };
}

export type CancelMode = "graceful" | "immediate";
export type Resolution = "succeeded" | "failed" | "retry";

/** Who settled a unit, where it was not an attempt of its own. */
export type SettledBy = "late" | "verify" | "resolve" | "timer" | "signal" | "fallback" | "items";

export type Fact =
  | {
      readonly t: "run_started";
      readonly at: number;
      readonly run: RunInfo;
      readonly graph: Graph;
      readonly input: Value;
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
    } & UnitRef)
  | ({
      readonly t: "waiting";
      readonly at: number;
      readonly wakeAt?: number;
      readonly limitAt?: number;
    } & UnitRef)
  | ({
      readonly t: "iterated";
      readonly at: number;
      readonly output: Value;
      readonly wakeAt: number;
      readonly attempt: number;
    } & UnitRef)
  | ({ readonly t: "giving_up"; readonly at: number; readonly failure: Failure } & UnitRef)
  | ({ readonly t: "skipped"; readonly at: number; readonly why: "when" | "needs" } & UnitRef)
  | ({ readonly t: "cancelled"; readonly at: number; readonly outcome: Outcome } & UnitRef)
  | ({ readonly t: "late"; readonly at: number; readonly attempt: number; readonly kind: string } & UnitRef)
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
  | { readonly t: "resumed"; readonly at: number; readonly by: string }
  | {
      readonly t: "lost";
      readonly at: number;
      readonly why: "failure" | "cancel" | "deadline";
      readonly failure: Failure;
      readonly budgetAt: number;
      readonly by?: string;
    }
  | { readonly t: "undoing"; readonly at: number }
  | { readonly t: "handling"; readonly at: number }
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
  ready: 0,
  expanded: 0,
  started: 0,
  succeeded: 0,
  failed: 0,
  retrying: 0,
  unknown: 0,
  waiting: 0,
  iterated: 0,
  giving_up: 0,
  skipped: 0,
  cancelled: 0,
  late: 0,
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
