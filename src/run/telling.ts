/** When a run tells again who did not take its word: the directory, a queue, a listener, a follower of its journal. */

/** How long after there was something to tell the alarm looks whether it was told: a life may have ended in between. */
export const BACKSTOP_MS = 30_000;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 60 * 60_000;

/**
 * @param tries how many failed before
 * @param most the longest wait between two
 */
export function retryMs(tries: number, most = LAST_RETRY_MS): number {
  return Math.min(most, FIRST_RETRY_MS * 2 ** tries);
}
