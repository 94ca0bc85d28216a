/** Trying again less and less often. */

const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 10 * 60_000;

/** @param tries how many failed before */
export function retryMs(tries: number): number {
  return Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(tries, 16));
}
