/** What a schedule may be: the limits of everything that is wished of one. */

import { canonicalJson, err, ok, type Result } from "../platform/index.ts";
import type { Rules } from "./schedule-state.ts";
import type { ScheduleWish, WishRefusal } from "./schedule-rpc.ts";
import { readTiming, type Ticks } from "./schedule-timing.ts";

const MINUTE_MS = 60_000;
/** An alarm of the platform may come a minute late: a shorter window would lose ticks without any fault of theirs. */
export const MIN_CATCH_UP_MS = MINUTE_MS;
export const MAX_CATCH_UP_MS = 30 * 24 * 60 * MINUTE_MS;
export const MAX_JITTER_MS = 60 * MINUTE_MS;
/** In canonical JSON. It is copied into every revision that a start is pending for. */
export const MAX_TARGET_CHARS = 64 * 1024;

export interface ReadWish {
  readonly rules: Rules;
  readonly ticks: Ticks;
  /** What a start needs of it, as text: the same text is the same target and maker. */
  readonly target: string;
}

export function readWish(wish: ScheduleWish, now: number): Result<ReadWish, WishRefusal> {
  const { timing, overlap, catchUpMs, jitterMs, target, maker } = wish;
  const ticks = readTiming(timing, now);
  if (!ticks.ok) return ticks;
  if (!isWithin(catchUpMs, MIN_CATCH_UP_MS, MAX_CATCH_UP_MS))
    return refuse("catchUpMs", "window_out_of_range", "From one minute to 30 days.");
  if (!isWithin(jitterMs, 0, MAX_JITTER_MS))
    return refuse("jitterMs", "jitter_out_of_range", "From nothing to one hour.");
  const text = canonicalJson({ target, maker });
  if (text.length > MAX_TARGET_CHARS)
    return refuse("target", "target_too_large", `At most ${MAX_TARGET_CHARS} characters of JSON.`);
  return ok({ rules: { timing, overlap, catchUpMs, jitterMs }, ticks: ticks.value, target: text });
}

function isWithin(value: number, least: number, most: number): boolean {
  return Number.isSafeInteger(value) && value >= least && value <= most;
}

function refuse(
  part: WishRefusal["part"],
  code: WishRefusal["code"],
  message: string,
): Result<never, WishRefusal> {
  return err({ part, code, message });
}
