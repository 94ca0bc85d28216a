/**
 * When a token is good enough, and when a refresh token may be sent. Pure: the one place that decides both.
 *
 * F1 a token that lives long enough is used; one that does not is renewed if it can be; one that still lives is used while it
 *    cannot be renewed for a passing reason.
 * F2 a token is never renewed only for length while over half of its life is left: short-lived ones would be renewed always.
 * F3 a refresh token that rotates is sent a second time only if the answer to the first was lost: within the provider's
 *    leeway at once; where the provider has none, or it is over, only when the access token has ended, because a strict
 *    provider answers a second use by ending all.
 * F5 a service that refuses a token has it renewed, and one that refuses the next one as well does not, for a while: it would
 *    have the provider asked for ever.
 * F4 what a provider says after such a second use does not mean that the user took anything back.
 */
import type { ConnectionRecord, DeathReason, Grant, PairTimes } from "./grant.ts";

/** A token with less life left is not sent: it could end on the way. */
export const LAST_MS = 30_000;
/** A token is wanted for the whole of a step, and a while longer. */
const BEYOND_STEP_MS = 30_000;
/** No provider gives more than it issues: a step longer than the token's life is served by a fresh one. */
const BELOW_ISSUED_MS = 60_000;
/** Clocks differ: a leeway of the provider is used only so far. */
const LEEWAY_MARGIN_MS = 30_000;
/** F5. At most one renewal in so long because a service refused the token. */
export const FORCED_REST_MS = 30_000;
const FIRST_BACKOFF_MS = 1_000;
const LAST_BACKOFF_MS = 60_000;
/** A refresh token that ends unless it is used is used when so much of its life is over. */
const KEEP_ALIVE_AT = 0.75;
/** One that ends sooner belongs to a session that somebody wants to end: it is not kept alive. */
const LEAST_IDLE_MS = 10 * 60_000;

/** How a provider renews: by a refresh token that stays or rotates, by asking as itself, or not at all. */
export interface Renewal {
  readonly kind: "static" | "rotating" | "client" | "none";
  /** How long a rotated refresh token is taken again. */
  readonly reuseLeewayMs: number;
}

export type TokenChoice =
  /** As it is. */
  | { readonly kind: "use" }
  /** `living`: if it cannot be renewed for a passing reason, the old one is used. */
  | { readonly kind: "renew"; readonly living: boolean }
  /** It has ended, and a renewal may not be tried before `at`. */
  | { readonly kind: "wait"; readonly at: number }
  /** The service does not take it, and there is no other, or no better one: the user may have taken it back, or the service errs. */
  | { readonly kind: "refused" }
  /** It has ended, and there is nothing to renew it with. */
  | { readonly kind: "ended" };

/** The life that a step wants of a token. */
export function neededLifeMs(stepTimeoutMs: number, { issuedAt, expiresAt }: PairTimes): number {
  const wanted = stepTimeoutMs + BEYOND_STEP_MS;
  return expiresAt === null ? wanted : Math.min(wanted, expiresAt - issuedAt - BELOW_ISSUED_MS);
}

export function isLiving(times: PairTimes, now: number): boolean {
  const { expiresAt } = times;
  return expiresAt === null || expiresAt - now > lastMs(times);
}

/** Of a token that is issued for less than a minute, half of its life can be used. */
function lastMs({ issuedAt, expiresAt }: PairTimes): number {
  if (expiresAt === null) return LAST_MS;
  return Math.max(0, Math.min(LAST_MS, Math.floor((expiresAt - issuedAt) / 2)));
}

/**
 * @param hasRefreshToken whether there is something to renew with; of no meaning where the client asks as itself
 * @param forced the service refused this very token: only a new one helps
 * @param fresh it was fetched for whoever asks: there is no better one
 */
export function chooseToken(
  record: ConnectionRecord,
  how: {
    renewal: Renewal;
    hasRefreshToken: boolean;
    stepTimeoutMs: number;
    forced?: boolean;
    fresh?: boolean;
  },
  now: number,
): TokenChoice {
  const { grant } = record;
  const { renewal, hasRefreshToken, stepTimeoutMs, forced = false, fresh = false } = how;
  if (fresh && !forced) return { kind: "use" };
  const living = isLiving(grant, now);
  const renewable = renewal.kind === "client" || (renewal.kind !== "none" && hasRefreshToken);
  if (!renewable) {
    if (forced) return { kind: "refused" };
    return living ? { kind: "use" } : { kind: "ended" };
  }
  if (forced && living && now < (record.forcedAt ?? -Infinity) + FORCED_REST_MS) return { kind: "refused" };
  if (!forced && isLongEnough(grant, stepTimeoutMs, now)) return { kind: "use" };
  if (living && !forced && maySend(record, renewal, now) === "later") return { kind: "use" };
  if (now < record.retryAt) return living && !forced ? { kind: "use" } : { kind: "wait", at: record.retryAt };
  if (maySend(record, renewal, now) === "later") return { kind: "wait", at: sendableAt(record) };
  return { kind: "renew", living: living && !forced };
}

function isLongEnough(grant: Grant, stepTimeoutMs: number, now: number): boolean {
  const { expiresAt, issuedAt } = grant;
  if (expiresAt === null) return true;
  const left = expiresAt - now;
  if (left <= lastMs(grant)) return false;
  return left >= neededLifeMs(stepTimeoutMs, grant) || left > (expiresAt - issuedAt) / 2;
}

/** F3 */
function maySend({ sending, grant }: ConnectionRecord, renewal: Renewal, now: number): "now" | "later" {
  if (renewal.kind !== "rotating" || sending === null || sending.version !== grant.version) return "now";
  if (now < sending.since + renewal.reuseLeewayMs - LEEWAY_MARGIN_MS) return "now";
  return now >= sendableAt({ grant }) ? "now" : "later";
}

/** When nothing can be lost any more by a second use. A token that does not say when it ends was refused, else nobody asks. */
function sendableAt({ grant }: Pick<ConnectionRecord, "grant">): number {
  return grant.expiresAt ?? 0;
}

/** F4. Why a grant is dead whose renewal the provider has refused for good. */
export function deathOf({ sending, grant }: ConnectionRecord, wasLost: boolean, now: number): DeathReason {
  if (wasLost && sending !== null && sending.version === grant.version) return "refresh_lost";
  const { idleEndsAt, endsAt } = grant;
  const over = (idleEndsAt !== null && idleEndsAt <= now) || (endsAt !== null && endsAt <= now);
  return over ? "expired" : "revoked";
}

/** When to try again after the nth failure in a row for a passing reason. */
export function backOffMs(failures: number, retryAfterMs = 0): number {
  return Math.max(retryAfterMs, Math.min(LAST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(failures, 16)));
}

/** When the refresh token must be used so that it does not end; null: it does not end by itself, or soon in any case. */
export function keepAliveAt({ idleEndsAt, issuedAt }: PairTimes): number | null {
  if (idleEndsAt === null || idleEndsAt - issuedAt < LEAST_IDLE_MS) return null;
  return issuedAt + Math.floor((idleEndsAt - issuedAt) * KEEP_ALIVE_AT);
}

/** When that is done: not while a refresh rests, and not against F3. */
export function keepAliveDueAt(record: ConnectionRecord, renewal: Renewal, now: number): number | null {
  const wanted = keepAliveAt(record.grant);
  if (wanted === null || (renewal.kind !== "rotating" && renewal.kind !== "static")) return null;
  const at = Math.max(wanted, record.retryAt);
  const then = Math.max(at, now);
  return maySend(record, renewal, then) === "now" ? at : Math.max(at, sendableAt(record));
}
