/**
 * When a message is sent again, and when an endpoint is given up. The plan of the Standard Webhooks specification. Pure.
 *
 * - T1 nothing is sent before the plan's time, nor before the time that the receiver asked for.
 * - T2 every message ends: delivered, given up after the last try of the plan, or its endpoint is gone.
 * - T3 only 2xx is a success. A redirect is not followed: it is a failure.
 */

const MINUTE_S = 60;
const HOUR_S = 60 * MINUTE_S;

/** Seconds before each try, after the one before it. Together 75 h 35 min 5 s. */
export const PLAN_S = [
  0,
  5,
  5 * MINUTE_S,
  30 * MINUTE_S,
  2 * HOUR_S,
  5 * HOUR_S,
  10 * HOUR_S,
  14 * HOUR_S,
  20 * HOUR_S,
  24 * HOUR_S,
] as const;

/** A part of the wait that is added at most, so that what failed together does not come back together. */
const JITTER = 0.2;
/** The longest wait that a receiver can ask for. */
const MAX_ASKED_MS = 24 * HOUR_S * 1_000;
/** Answers that say "not now": only of them a `Retry-After` is heard. */
const LATER: ReadonlySet<number> = new Set([429, 502, 503, 504]);
const GONE = 410;

/** An endpoint that took nothing for so long is disabled. Longer than the plan: what was sent first had all its tries. */
export const DEAD_AFTER_MS = 5 * 24 * HOUR_S * 1_000;

/** What came of a try. `retryAfterMs`: what the answer asked for; null: nothing. */
export type Tried =
  | { readonly status: number; readonly retryAfterMs: number | null }
  /** No answer: refused by egress, no connection, too late. */
  | { readonly status: null };

export type Next =
  | { readonly kind: "delivered" }
  /** Milliseconds since 1970. */
  | { readonly kind: "again"; readonly at: number }
  | { readonly kind: "given_up" }
  /** The receiver wants nothing any more: the endpoint is disabled. */
  | { readonly kind: "gone" };

/**
 * @param tries of this message, with the one that has just ended
 * @param random from 0 to below 1
 */
export function nextTry(tries: number, tried: Tried, nowMs: number, random: number): Next {
  const { status } = tried;
  if (status !== null && status >= 200 && status < 300) return { kind: "delivered" };
  if (status === GONE) return { kind: "gone" };
  const planned = PLAN_S[tries];
  if (planned === undefined) return { kind: "given_up" };
  const asked = status !== null && LATER.has(status) ? Math.min(tried.retryAfterMs ?? 0, MAX_ASKED_MS) : 0;
  const waitMs = Math.max(planned * 1_000, asked);
  return { kind: "again", at: nowMs + Math.ceil(waitMs * (1 + JITTER * random)) };
}

/** What an endpoint is known by. */
export interface Health {
  /** Since when nothing was delivered, milliseconds since 1970; null: the last try was a success, or there was none. */
  readonly failingSince: number | null;
}

export type Judgement = {
  readonly health: Health;
  /** Why the endpoint is to be disabled; null: it is not. */
  readonly disable: "gone" | "failing" | null;
};

/** What an endpoint is after a try. */
export function afterTry({ failingSince }: Health, next: Next, nowMs: number): Judgement {
  if (next.kind === "delivered") return { health: { failingSince: null }, disable: null };
  const since = failingSince ?? nowMs;
  const dead = next.kind === "gone" ? "gone" : nowMs - since >= DEAD_AFTER_MS ? "failing" : null;
  return { health: { failingSince: since }, disable: dead };
}
