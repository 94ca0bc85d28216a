/**
 * When a credential lives long enough. Pure: the one place that decides it.
 *
 * - F1 a step gets one that outlives it, as far as the service issues such.
 * - F2 none is exchanged only for length while over half of its life is left: short-lived ones would be exchanged always.
 * - F3 one that is about to end is given to nobody.
 */

export interface Life {
  /** Milliseconds since 1970. */
  readonly issuedAt: number;
  readonly expiresAt: number;
}

/** A credential with less life left could end on the way. */
export const LAST_MS = 30_000;
/** It is wanted for the whole of a step, and a while longer. */
export const BEYOND_STEP_MS = 30_000;
/** No service gives more than it issues: a longer step is served by a fresh one. */
export const BELOW_ISSUED_MS = 60_000;

/** The life that a step wants of its credential. */
export function wantedLifeMs(stepTimeoutMs: number): number {
  return stepTimeoutMs + BEYOND_STEP_MS;
}

/** What it can have of that. */
export function neededLifeMs(wantedMs: number, { issuedAt, expiresAt }: Life): number {
  return Math.min(wantedMs, expiresAt - issuedAt - BELOW_ISSUED_MS);
}

/** F3. Of one that is issued for less than a minute, half of its life can be used. */
export function isLiving({ issuedAt, expiresAt }: Life, now: number): boolean {
  return expiresAt - now > Math.max(0, Math.min(LAST_MS, Math.floor((expiresAt - issuedAt) / 2)));
}

/** F1, F2. Whether it is given to whoever wants one of that much life. */
export function serves(life: Life, wantedMs: number, now: number): boolean {
  if (!isLiving(life, now)) return false;
  const left = life.expiresAt - now;
  return left >= neededLifeMs(wantedMs, life) || left > (life.expiresAt - life.issuedAt) / 2;
}
