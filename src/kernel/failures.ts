/** Why something did not work: one documented union of codes, for a program and for a person. */

/** Every code that a failure of a step or of a run can carry. `docs/failures.md` lists each with what to do. */
export const FAILURE_CODES = [
  "timeout",
  "network",
  "not_sent",
  "egress_blocked",
  "policy_denied",
  "approval_required",
  "connection_required",
  "connection_rejected",
  "connection_unavailable",
  "connection_ambiguous",
  "connection_unknown",
  "connection_refused",
  "cloud_unavailable",
  "cloud_role_unknown",
  "cloud_role_refused",
  "cloud_role_misconfigured",
  "cloud_role_replaced",
  "timeout_exceeds_credential",
  "identity_not_configured",
  "service_refused",
  "attempt_lost",
  "outcome_unknown",
  "output_too_large",
  "output_invalid",
  "run_too_large",
  "template_failed",
  "payload_changed",
  "step_code_missing",
  "step_threw",
  "step_failed",
  "growth_refused",
  "invalid_list",
  "too_many_failures",
  "repeat_exhausted",
  "wait_expired",
  "denied",
  "child_failed",
  "child_too_deep",
  "child_limit",
  "verify_inconclusive",
  "resolved_as_failed",
  "cancelled",
  "deadline_exceeded",
  "queue_timeout",
  "queue_full",
  "debounced",
  "undo_budget_exceeded",
  "run_unreadable",
] as const;

/** `http_503` and the like name the status of an answer. */
export type FailureCode = (typeof FAILURE_CODES)[number] | `http_${number}`;

/** PERSISTED CONTRACT. What went wrong in one attempt, step or run. */
export interface Failure {
  readonly code: FailureCode;
  /** What happened, in a sentence. */
  readonly message: string;
  /** What to do next. */
  readonly hint: string;
  /** Whether the same thing, asked again later, may work. */
  readonly retryable: boolean;
  readonly step?: string;
  readonly item?: number;
  /** The attempt that failed last, and how many were made by then, over all rounds and generations: looks at a child too. */
  readonly attempt?: number;
  readonly attempts?: number;
  /** HTTP status of the answer, where there was one. */
  readonly status?: number;
  /** The author's own word for it, from `fail` or `Fatal`. */
  readonly reason?: string;
  /** Of `child_failed`: which run, and with which code. */
  readonly child?: { readonly run: string; readonly code: FailureCode };
}

export type LeftBehindReason =
  | "no_compensation"
  | "compensation_failed"
  | "outcome_unknown"
  | "budget_exceeded";

/** PERSISTED CONTRACT. Something the run did, or may have done, to the world and did not take back. */
export interface LeftBehind {
  readonly step: string;
  readonly item?: number;
  readonly outcome: "done" | "unknown";
  readonly reason: LeftBehindReason;
  readonly code?: FailureCode;
}

/** PERSISTED CONTRACT. Why a run failed, and what stands in the world because of it. */
export interface RunFailure extends Failure {
  readonly left_behind: readonly LeftBehind[];
  readonly undone: readonly { readonly step: string; readonly item?: number }[];
}
