/** When a service wants to be asked again. RFC 9110, section 10.2.3. */

import { limits } from "../kernel/index.ts";

/**
 * The wait that an answer asks for, in milliseconds, at most the longest wait of the engine; null if it asks for none.
 * A date is compared with the answer's own `Date`, so that a clock that is wrong, theirs or ours, does no harm.
 */
export function retryAfterMs(headers: Readonly<Record<string, string>>, now: number): number | null {
  const value = headers["retry-after"]?.trim();
  if (value === undefined || value === "") return null;
  if (/^\d{1,10}$/.test(value)) return Math.min(Number(value) * 1_000, limits.MAX_WAIT_MS);
  // `Date.parse` also reads forms that are no HTTP date; a lenient reading of a hint harms nobody.
  const at = Date.parse(value);
  if (Number.isNaN(at)) return null;
  const sent = Date.parse(headers["date"] ?? "");
  return Math.min(Math.max(0, at - (Number.isNaN(sent) ? now : sent)), limits.MAX_WAIT_MS);
}
