/**
 * When a run whose lives fail is tried again, and when it is given up. Pure.
 *
 * A life fails if a turn cannot be written, or if the journal cannot be read by this build. Both pass mostly: an outage
 * ends, a bad deploy is taken back. So a run is given up only after days, however many callers ask for it meanwhile.
 */

import type { Meta } from "./meta.ts";

const HOUR_MS = 60 * 60_000;
/** No new life is tried so long after one that failed, whoever asks. */
export const FAILED_LIFE_REST_MS = 30_000;
/** The alarm tries at last so often. */
const LAST_RETRY_MS = HOUR_MS;
/** How long lives must have failed, without one between that worked, before the run is sealed. */
export const SEAL_AFTER_MS = 3 * 24 * HOUR_MS;
/** And how many: an object whose alarm was late for days has not been tried for days. */
const MIN_FAILED_LIVES = 5;

/** Whether a life has just failed, so that none is tried now. */
export function isResting({ failedAt }: Meta, now: number): boolean {
  return failedAt !== undefined && now < failedAt + FAILED_LIFE_REST_MS;
}

/** After a life that failed. One that fails while the run rests is not counted: it only began before. */
export function withFailure(meta: Meta, now: number): Meta {
  if (isResting(meta, now)) return meta;
  const { failedLives = 0, failingSince = now } = meta;
  return { ...meta, failedLives: failedLives + 1, failingSince, failedAt: now };
}

/** After a life that works. */
export function withoutFailures(meta: Meta): Meta {
  const { failedLives: _failedLives, failingSince: _failingSince, failedAt: _failedAt, ...rest } = meta;
  return rest;
}

/** Whether what the run has stored was locked for so long that nobody will open it. */
export function isLockedForGood({ lockedSince }: Meta, now: number): boolean {
  return lockedSince !== undefined && now - lockedSince >= SEAL_AFTER_MS;
}

export function isBeyondHope({ failedLives = 0, failingSince }: Meta, now: number): boolean {
  return failedLives >= MIN_FAILED_LIVES && failingSince !== undefined && now - failingSince >= SEAL_AFTER_MS;
}

/** When the alarm tries again, if what the run has stored is locked just now: as long as it has been already, within bounds. */
function unlockAt(lockedSince: number, now: number): number {
  return now + Math.min(LAST_RETRY_MS, Math.max(FAILED_LIFE_REST_MS, now - lockedSince));
}

/** When the alarm tries again; always to come. */
export function retryAt({ failedLives = 1, failedAt, lockedSince }: Meta, now: number): number {
  if (lockedSince !== undefined) return unlockAt(lockedSince, now);
  const waitMs = Math.min(LAST_RETRY_MS, FAILED_LIFE_REST_MS * 2 ** Math.max(0, failedLives - 1));
  return Math.max((failedAt ?? now) + waitMs, now + 1);
}
