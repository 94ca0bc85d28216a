/** What can reach a run, and what it answers when it refuses. */

import type { ApprovalDecision, CancelMode, Fact, RunInfo } from "./facts.ts";
import type { Failure } from "./failures.ts";
import type { Graph, StepDef } from "./graph.ts";
import type { Binding, ConnectionChange, Need } from "./needs.ts";
import type { Outcome, UnitRef } from "./units.ts";
import type { Json, Value } from "./values.ts";

/** A failure before the kernel adds where it happened. */
export type FailureSeed = Omit<Failure, "step" | "item" | "attempt" | "attempts">;

/**
 * How an attempt ended, sorted by what is known about the world (design: the effects table).
 * - `success`: it answered. `more`: steps that the run grows by. `again`: a `repeat` goes on.
 *   `happened` is the answer of a `verify` (null: it cannot tell).
 * - `refused`: nothing happened, surely.
 * - `unclear`: it may or may not have happened.
 * - `cannot`: it did not happen now and would not if asked again.
 * - `unusable`: it happened, but the result cannot be used.
 * - `needs`: it was refused for want of a credential: nothing happened, and it does not count.
 * - `child`: it has started a child run, or has seen that the one it had goes on; the unit waits for that one's end.
 * - `child_failed`: the child has ended otherwise than well; `left` says what it did to the world and did not take back.
 */
export type AttemptEnd =
  | {
      readonly kind: "success";
      readonly output: Value;
      readonly more?: readonly StepDef[];
      readonly again?: boolean;
      readonly happened?: boolean | null;
    }
  | { readonly kind: "refused"; readonly failure: FailureSeed; readonly retryAfterMs?: number }
  | { readonly kind: "unclear"; readonly failure: FailureSeed; readonly retryAfterMs?: number }
  | { readonly kind: "cannot"; readonly failure: FailureSeed }
  | { readonly kind: "unusable"; readonly failure: FailureSeed }
  /** `maybe`: what the attempt had sent before that may have happened; only for what may be repeated. */
  | { readonly kind: "needs"; readonly need: Need; readonly maybe?: true }
  | { readonly kind: "child"; readonly run: string; readonly generation: number; readonly limitMs: number }
  | {
      readonly kind: "child_failed";
      readonly run: string;
      readonly generation: number;
      readonly failure: FailureSeed;
      readonly left: Outcome;
    };

/** What of the signals kept for a step its schema lets it take. */
export interface Kept {
  /** The oldest that fits; `payload`: as the step is to see it, if that is not as it was sent. Null: none fits. */
  readonly take: { readonly id: string; readonly payload?: Value } | null;
  /** Those that came before it and do not fit. */
  readonly misfits: readonly string[];
}

/** What filling in the templates of a due unit gave. Of a `signal` without `take`: the oldest that is kept fits. */
export type Prepared =
  | { readonly kind: "skip" }
  /** `about`: what the engine can say of the call to whoever is asked to approve it. */
  | { readonly kind: "call"; readonly digest: string; readonly about?: Json }
  | { readonly kind: "list"; readonly list: Value; readonly count: number }
  | { readonly kind: "timer"; readonly ms: number }
  | ({ readonly kind: "signal"; readonly limitMs: number; readonly hears?: Json } & Partial<Kept>)
  | { readonly kind: "approval"; readonly limitMs: number; readonly text: string }
  | { readonly kind: "done"; readonly output: Value }
  | { readonly kind: "error"; readonly failure: FailureSeed };

export type ResolveAs =
  | { readonly as: "succeeded"; readonly output: Value; readonly note?: string }
  | { readonly as: "failed"; readonly note?: string }
  | { readonly as: "retry"; readonly note?: string };

export type Input =
  | { readonly t: "start"; readonly run: RunInfo; readonly graph: Graph; readonly input: Value }
  | { readonly t: "prepared"; readonly unit: UnitRef; readonly prepared: Prepared }
  | {
      readonly t: "begin";
      readonly unit: UnitRef;
      readonly attempt: number;
      readonly version: string;
      /** What names were found to mean when the credentials were asked for: pinned from here on. */
      readonly bound?: readonly Binding[];
      /** Which credentials it is lent: what can be told of them, never one itself. */
      readonly credentials?: Json;
    }
  /** What is due lacks its credential. Nothing was begun. */
  | { readonly t: "hold"; readonly unit: UnitRef; readonly attempt: number; readonly need: Need }
  /** Told at least once, perhaps late, perhaps to a run that waits for nothing. */
  | ({ readonly t: "connection_changed" } & ConnectionChange)
  /** A person says that the run goes on with what the name means now. */
  | { readonly t: "rebind"; readonly name: string; readonly to: Json; readonly by: string }
  | {
      readonly t: "ended";
      readonly generation: number;
      readonly unit: UnitRef;
      readonly attempt: number;
      readonly end: AttemptEnd;
      /** What names were found to mean in the middle of the attempt. */
      readonly bound?: readonly Binding[];
      /** Which credentials it was lent, and where they were sent: never one itself. */
      readonly credentials?: Json;
    }
  /** A child tells that it has ended. Sent at least once, so it may come twice, and late. */
  | {
      readonly t: "child_ended";
      readonly unit: UnitRef;
      readonly run: string;
      /** Of the child. */
      readonly generation: number;
    }
  | { readonly t: "attempt_lost"; readonly unit: UnitRef; readonly attempt: number; readonly strike: boolean }
  | { readonly t: "output"; readonly result: { readonly output: Value } | { readonly failure: FailureSeed } }
  | { readonly t: "tick" }
  | { readonly t: "signal"; readonly id: string; readonly name: string; readonly payload: Value }
  | {
      readonly t: "decide";
      readonly unit: UnitRef;
      /** The approval that is meant: a decision is for one asking, and for nothing that is asked later. */
      readonly id: string;
      readonly as: ApprovalDecision;
      readonly by: string;
      readonly via?: string;
      /** Who made the key that decides or vouches, and who made that: none of them may have made the run. */
      readonly behind?: readonly string[];
      readonly note?: string;
    }
  | { readonly t: "pause"; readonly by: string }
  | { readonly t: "resume"; readonly by: string }
  | { readonly t: "cancel"; readonly mode: CancelMode; readonly by: string; readonly reason?: string }
  | {
      readonly t: "redrive";
      readonly by: string;
      readonly resolve: readonly { readonly unit: UnitRef; readonly as: ResolveAs }[];
    }
  | { readonly t: "resolve"; readonly unit: UnitRef; readonly as: ResolveAs; readonly by: string }
  | {
      readonly t: "append";
      readonly steps: readonly StepDef[];
      readonly ifRevision?: number;
      readonly by: string;
    }
  | { readonly t: "close" }
  /** The queue lets the run work. Told at least once, perhaps to a run that has left the queue. */
  | { readonly t: "admit"; readonly generation: number }
  /** The queue lets the run go: there is no place for it, or another run took its place. Told likewise. */
  | { readonly t: "turn_away"; readonly generation: number; readonly why: TurnedAway };

export type TurnedAway = { readonly as: "full" } | { readonly as: "superseded"; readonly by: string };

export const INPUT_TYPES = Object.keys({
  start: 0,
  prepared: 0,
  begin: 0,
  hold: 0,
  connection_changed: 0,
  rebind: 0,
  ended: 0,
  child_ended: 0,
  attempt_lost: 0,
  output: 0,
  tick: 0,
  signal: 0,
  decide: 0,
  pause: 0,
  resume: 0,
  cancel: 0,
  redrive: 0,
  resolve: 0,
  append: 0,
  close: 0,
  admit: 0,
  turn_away: 0,
} satisfies Record<Input["t"], 0>) as readonly Input["t"][];

/** Why an input was refused. One documented union; the API maps each to a status. */
export const REFUSAL_CODES = [
  "not_started",
  "already_started",
  "run_ended",
  "not_due",
  "already_ending",
  "nothing_to_redrive",
  "resolve_first",
  "no_such_step",
  "not_unknown",
  "not_open",
  "step_exists",
  "revision_mismatch",
  "bad_graph",
  "signal_not_expected",
  "signal_buffer_full",
  "not_waiting_for_approval",
  "approver_is_starter",
  "not_queued",
] as const;
export type RefusalCode = (typeof REFUSAL_CODES)[number];

export interface Refusal {
  readonly code: RefusalCode;
  readonly message: string;
  /** What the refusal is about: steps that must be resolved first, lints of a graph. */
  readonly details?: readonly { readonly pointer: string; readonly code?: string; readonly detail: string }[];
}

/** Facts to append (none: the input was known already, or came too late to matter), or a refusal. */
export type Decision =
  | { readonly ok: true; readonly facts: readonly Fact[] }
  | { readonly ok: false; readonly refusal: Refusal };
