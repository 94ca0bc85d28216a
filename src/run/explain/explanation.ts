/** What is said of a run to whoever asks why it stands where it stands. Plain data, which only gains optional fields. */
import type { Json, RunStatus } from "../../kernel/index.ts";

/** Why a run, or one of its units, stands where it stands. Documented in docs/explain.md, one line each. */
export const REASON_CODES = [
  // Of the run as a whole.
  "queued",
  "paused",
  "open",
  "finishing",
  "draining",
  "undoing",
  "handling",
  "failing",
  "run_succeeded",
  "run_failed",
  "run_cancelled",
  "sealed",
  // Of a unit that is at work, or about to be.
  "starting",
  "code_missing",
  "attempt",
  "child_look",
  "items",
  "giving_up",
  // Of one that waits for time.
  "backing_off",
  "sleeping",
  "next_round",
  "check_later",
  "cloud",
  // Of one that waits for somebody.
  "decision",
  "connection",
  "signal",
  "child",
  "unknown",
  // Of one whose turn has not come.
  "needs",
  "turn",
  "never_started",
  // Of one that is over.
  "done",
  "skipped",
  "failed",
  "cancelled",
] as const;
export type ReasonCode = (typeof REASON_CODES)[number];

/** A call that can be made now, and what it would do. */
export interface Remedy {
  readonly what: string;
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body?: Json;
  /** The scope that the key must have. */
  readonly scope: string;
}

export interface Reason {
  /** The step, item, undoing or check, as the kernel names it; null: the run as a whole. */
  readonly unit: string | null;
  readonly code: ReasonCode;
  /** In plain words. */
  readonly sentence: string;
  /** Milliseconds since 1970, as all times here. */
  readonly since: number | null;
  /** When something happens by itself; null: not before somebody does something, or not at a time that is known. */
  readonly next_at: number | null;
  /** Until when it stands so at the latest; null: it is over. */
  readonly limit_at: number | null;
  /** What was tried, of what has attempts. */
  readonly tried: {
    readonly attempts: number;
    readonly failure: { readonly code: string; readonly message: string } | null;
  } | null;
  readonly remedies: readonly Remedy[];
}

export interface Explanation {
  readonly run: string;
  /** The data of the run were erased. */
  readonly erased?: true;
  /** Null: it cannot be told just now. */
  readonly status: RunStatus | null;
  readonly paused: boolean;
  readonly generation: number;
  /** All in two sentences. */
  readonly summary: string;
  readonly next_at: number | null;
  readonly limit_at: number | null;
  /** What stands for the run first, then its units, those that somebody can do something about before the others. */
  readonly reasons: readonly Reason[];
  /** Units at work, or waiting, that are left out here; each can be asked for by its step. */
  readonly more: number;
}
