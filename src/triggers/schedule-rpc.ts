/**
 * What doors can ask of a schedule, over RPC. Every call carries the caller's tenant; a mismatch is `not_found`. Plain data, which
 * only gains optional fields.
 */
import type { Overlap, ScheduleState, TickRecord } from "./schedule-state.ts";
import type { ScheduleTarget } from "./schedule-ports.ts";
import type { Maker } from "./start-port.ts";
import type { Timing, TimingRefusal } from "./schedule-timing.ts";

export interface ScheduleWish {
  readonly timing: Timing;
  readonly overlap: Overlap;
  readonly catchUpMs: number;
  readonly jitterMs: number;
  readonly target: ScheduleTarget;
  readonly maker: Maker;
}

export interface ScheduleView {
  readonly tenant: string;
  readonly name: string;
  readonly timing: Timing;
  readonly overlap: Overlap;
  readonly catchUpMs: number;
  readonly jitterMs: number;
  readonly target: ScheduleTarget;
  readonly maker: string;
  readonly revision: number;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly paused: ScheduleState["paused"];
  /** The next ten ticks, without their jitter; of a paused one, those that it would have. Fewer: it ends. */
  readonly next: readonly number[];
  /** Starts that were decided, and of which it is not known yet whether they began. */
  readonly pending: readonly { readonly tick: number; readonly byHand: boolean; readonly tries: number }[];
}

/** `n` counts all records of the schedule, from 1. */
export interface LoggedTick {
  readonly n: number;
  /** When it was written. */
  readonly at: number;
  readonly record: TickRecord;
}

export type ScheduleAnswer<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly code: ScheduleErrorCode; readonly message: string };

/** `busy`: too many starts are pending. */
export type ScheduleErrorCode = "not_found" | "maker_revoked" | "busy";

export interface WishRefusal {
  readonly part: TimingRefusal["part"] | "catchUpMs" | "jitterMs" | "target";
  readonly code: TimingRefusal["code"] | "window_out_of_range" | "jitter_out_of_range" | "target_too_large";
  readonly message: string;
}

export type PutAnswer =
  | { readonly ok: true; readonly created: boolean; readonly view: ScheduleView }
  /** `too_many`: the tenant has as many as it may have. `unavailable`: its list cannot be written just now, and nothing was done. */
  | { readonly ok: false; readonly code: "not_found" | "too_many" | "unavailable" }
  | { readonly ok: false; readonly code: "invalid"; readonly refusal: WishRefusal };

export type Triggered =
  | { readonly kind: "started"; readonly run: string }
  | { readonly kind: "refused"; readonly code: string; readonly message: string }
  /** It is tried until it is known what becomes of it; the run will have this id. */
  | { readonly kind: "pending"; readonly run: string };

export interface ScheduleRpc {
  /** Makes the schedule, or changes it: what is wished replaces all but its pause and its log. The maker is who wishes. */
  put(tenant: string, wish: ScheduleWish): Promise<PutAnswer>;
  view(tenant: string): Promise<ScheduleAnswer<ScheduleView>>;
  /** The newest records first, at most `LOG_KEPT` are there. */
  log(tenant: string, limit: number): Promise<ScheduleAnswer<readonly LoggedTick[]>>;
  pause(tenant: string, by: string, reason: string | null): Promise<ScheduleAnswer<ScheduleView>>;
  /** `maker_revoked`: somebody else must put it anew. */
  resume(tenant: string): Promise<ScheduleAnswer<ScheduleView>>;
  /** One start now, that `by` asks for. The same key is one run. */
  trigger(tenant: string, key: string, by?: Maker): Promise<ScheduleAnswer<Triggered>>;
  /** Runs that it started go on. Answers whether there was one. */
  remove(tenant: string): Promise<boolean>;
  /**
   * Somebody from outside thinks that the alarm was lost: what is due is done, the alarm set anew, and the list told again. Answers
   * whether there is a schedule.
   */
  poke(tenant: string): Promise<boolean>;
  /** Whether any start of it is on behalf of this user. */
  isFor(tenant: string, user: string): Promise<boolean>;
}
