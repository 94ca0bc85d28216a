/**
 * What other objects and doors can ask of a run, over RPC. Every call carries the caller's tenant; a mismatch is
 * `not_found`. Plain data in both directions: after a deploy, old and new code talk to each other for minutes, so
 * shapes only ever gain optional fields.
 */

import type {
  CancelMode,
  Fact,
  Graph,
  Json,
  Outcome,
  RefusalCode,
  RunFailure,
  RunStatus,
  StepDef,
  UnitStatus,
  Failure,
} from "../kernel/index.ts";

export interface StartRequest {
  readonly tenant: string;
  readonly id: string;
  readonly workflow: string;
  readonly version: string;
  readonly graph: Graph;
  readonly input: Json;
  readonly user: string | null;
  /** `key:<id>`, `hook:<name>`, `schedule:<name>`, `run:<id>`. */
  readonly startedBy: string;
  readonly open: boolean;
  readonly tags: readonly string[];
  readonly traceparent: string | null;
  /** Digest of the canonical body: the same key with another body is refused with `idempotency_mismatch`. */
  readonly bodyDigest: string;
  /** The policies that its starter stands under; pinned, for good. Missing: none. */
  readonly policies?: readonly Json[];
}

/** `unavailable`: the run cannot go on just now, and is tried again by itself. */
export type RunErrorCode = RefusalCode | "not_found" | "idempotency_mismatch" | "run_deleted" | "unavailable";

export type Answer<T> =
  | { readonly ok: true; readonly value: T }
  | {
      readonly ok: false;
      readonly code: RunErrorCode;
      readonly message: string;
      readonly details?: readonly { readonly pointer: string; readonly detail: string }[];
    };

/** An output as shown: inline while small; else its size, and `GET .../steps/{step}` gives it whole. */
export type OutputView = { readonly value: Json } | { readonly bytes: number } | { readonly redacted: true };

export interface UnitView {
  readonly status: UnitStatus;
  readonly outcome: Outcome | null;
  readonly undone: boolean;
  readonly attempts: number;
  readonly started_at: number | null;
  readonly ended_at: number | null;
  /** When the next attempt starts, a sleep ends or the next round begins. */
  readonly next_at: number | null;
  /** When the attempt in flight, the wait or the unknown outcome reaches its limit. */
  readonly deadline_at: number | null;
  readonly output: OutputView | null;
  readonly failure: Failure | null;
}

export interface StepView extends UnitView {
  readonly name: string;
  readonly action: string;
  readonly effect: string;
  readonly part: "main" | "on_failure";
  readonly needs: readonly string[];
  readonly items?: readonly UnitView[];
  readonly compensation?: { readonly status: UnitStatus; readonly failure: Failure | null };
  readonly waits_for?: string;
}

export interface RunView {
  readonly id: string;
  readonly tenant: string;
  readonly workflow: string;
  readonly version: string;
  readonly user: string | null;
  readonly started_by: string;
  readonly tags: readonly string[];
  /** `paused` is a flag beside the status. */
  readonly status: RunStatus;
  readonly paused: boolean;
  readonly open: boolean;
  readonly closed: boolean;
  readonly generation: number;
  readonly revision: number;
  /** Number of the last fact: the ETag is `"r-<seq>"`. */
  readonly seq: number;
  readonly started_at: number;
  readonly ended_at: number | null;
  readonly deadline_at: number;
  readonly output: OutputView | null;
  readonly failure: RunFailure | Failure | null;
  readonly steps: readonly StepView[];
}

/** One fact of the journal as shown: references to values are replaced by the value while small, or by its size. */
export interface EventView {
  readonly seq: number;
  readonly at: number;
  readonly type: Fact["t"];
  readonly data: Json;
}

export interface EventsPage {
  readonly events: readonly EventView[];
  /** Pass it as `after` to go on. */
  readonly next: number;
  /** The run has ended and there is nothing after this page. */
  readonly ended: boolean;
}

export type ResolveRequest =
  | { readonly as: "succeeded"; readonly output: Json }
  | { readonly as: "failed"; readonly note?: string }
  | { readonly as: "retry" };

/** A unit by step, item and whether its compensation is meant. */
export interface UnitAddress {
  readonly step: string;
  readonly item?: number;
  readonly undo?: boolean;
}

/** `by` says who asks, as in `startedBy`. */
export type Command =
  | { readonly t: "cancel"; readonly mode: CancelMode; readonly by: string; readonly reason?: string }
  | { readonly t: "pause"; readonly by: string }
  | { readonly t: "resume"; readonly by: string }
  | {
      readonly t: "redrive";
      readonly by: string;
      readonly resolve: readonly { readonly unit: UnitAddress; readonly as: ResolveRequest }[];
    }
  | { readonly t: "resolve"; readonly unit: UnitAddress; readonly as: ResolveRequest; readonly by: string }
  | {
      readonly t: "signal";
      readonly id: string;
      readonly name: string;
      readonly payload: Json;
      readonly by: string;
    }
  | {
      readonly t: "append";
      readonly steps: readonly StepDef[];
      readonly ifRevision?: number;
      readonly by: string;
      /** The policies that the appender stands under. Missing: none. */
      readonly policies?: readonly Json[];
    }
  | { readonly t: "close"; readonly by: string };

/** Who asks: a key bound to a user sees only runs of its user; append, signal and close ask for the run's own starter. */
export interface Viewer {
  readonly tenant: string;
  /** Only runs of this user; undefined: every run of the tenant. */
  readonly onlyUser?: string;
  /** Only runs started by this; checked by `command` for append, signal and close. */
  readonly onlyStartedBy?: string;
  /** Whether sensitive outputs are shown. */
  readonly reveal?: boolean;
}

export interface RunRpc {
  /** Idempotent: the same id and body again gives the same run, `created: false`. */
  start(request: StartRequest): Promise<Answer<{ readonly created: boolean; readonly view: RunView }>>;
  /**
   * The run as it stands. With `waitMs`: once it is terminal, or has facts after `afterSeq`, or the time is up
   * (at most 60 s).
   */
  view(
    viewer: Viewer,
    options?: { readonly waitMs?: number; readonly afterSeq?: number },
  ): Promise<Answer<RunView>>;
  /** One step with its whole output (or that of one item). */
  step(viewer: Viewer, name: string, item?: number): Promise<Answer<StepView>>;
  /** Facts after `after`, oldest first, at most `limit`; with `waitMs` it waits for the first one. */
  events(
    viewer: Viewer,
    options: { readonly after: number; readonly limit: number; readonly waitMs?: number },
  ): Promise<Answer<EventsPage>>;
  command(viewer: Viewer, command: Command): Promise<Answer<RunView>>;
}
