/** What a schedule knows of itself, and what it writes down. Plain data. */

import type { Maker } from "./start-port.ts";
import type { Timing } from "./schedule-timing.ts";

/** What becomes of a tick while a run of an earlier one is under way. */
export const OVERLAPS = ["skip", "allow", "cancel_previous"] as const;
export type Overlap = (typeof OVERLAPS)[number];

export interface Rules {
  readonly timing: Timing;
  readonly overlap: Overlap;
  /** A tick that could not be started for so long is not started any more. */
  readonly catchUpMs: number;
  readonly jitterMs: number;
}

/** A start that was decided and is not settled: it may have happened already. */
export interface Pending {
  /** Names the start for good: the run's id derives from it. `tick:<ms>`, or `now:<key>` of one by hand. */
  readonly key: string;
  /** The time of the tick; of one by hand, when it was asked for. */
  readonly tick: number;
  /** Of the target that it starts: an edit changes no start that was decided. */
  readonly revision: number;
  readonly tries: number;
  /** When the try in flight was begun; null: none is. */
  readonly triedAt: number | null;
  readonly retryAt: number;
  /** When the last try was begun of which nobody knows what became; null: there is none. */
  readonly lostAt: number | null;
  /** Who asked for it by hand. Missing: the clock did. */
  readonly by?: Maker;
}

/** A run that was under way when it was last heard of. */
export interface Live {
  readonly run: string;
  /** It was certainly under way then; 0: nobody has asked. */
  readonly seenAt: number;
  readonly askedAt: number | null;
  /** Not to be asked before. */
  readonly askAt: number;
}

export interface Cancel {
  readonly run: string;
  readonly tries: number;
  readonly retryAt: number;
}

/** PERSISTED CONTRACT. Only gains optional fields. */
export interface ScheduleState {
  readonly id: string;
  readonly rules: Rules;
  /** When the timing was set. It had a tick after that. */
  readonly setAt: number;
  /** Of the target; raised by every edit. */
  readonly revision: number;
  /** Every tick up to here is settled, or pending (S1). */
  readonly cursor: number;
  readonly paused: { readonly since: number; readonly by: string; readonly reason: string | null } | null;
  readonly pending: readonly Pending[];
  readonly live: readonly Live[];
  readonly cancels: readonly Cancel[];
}

/**
 * - `overlap`: a run of an earlier tick was under way
 * - `superseded`: a newer tick was due as well, and would have cancelled it at once
 * - `outside_window`: it could not be started for as long as the window is
 * - `paused`, `edited`: the schedule was, before the tick was decided
 */
export type SkipReason = "overlap" | "superseded" | "outside_window" | "paused" | "edited";

/** PERSISTED CONTRACT. What became of one start, or of all ticks from one to another, both included. */
export type TickRecord =
  | { readonly t: "started"; readonly key: string; readonly tick: number; readonly run: string }
  | {
      readonly t: "refused";
      readonly key: string;
      readonly tick: number;
      readonly code: string;
      readonly message: string;
    }
  | { readonly t: "skipped"; readonly from: number; readonly to: number; readonly reason: SkipReason };

export type Todo =
  | { readonly t: "start"; readonly start: Pending }
  | { readonly t: "ask"; readonly run: string }
  | { readonly t: "cancel"; readonly run: string };

/** What came of it. */
export type Told =
  | { readonly t: "started"; readonly key: string; readonly run: string }
  /** There is no such run, as far as can be seen. `pause`: none will be started for this schedule until somebody acts. */
  | {
      readonly t: "refused";
      readonly key: string;
      readonly code: string;
      readonly message: string;
      readonly pause: boolean;
    }
  /** No answer: it may have been started. */
  | { readonly t: "lost"; readonly key: string }
  | { readonly t: "live"; readonly run: string }
  | { readonly t: "over"; readonly run: string }
  | { readonly t: "unsure"; readonly run: string }
  | { readonly t: "cancelled"; readonly run: string }
  | { readonly t: "not_cancelled"; readonly run: string };
