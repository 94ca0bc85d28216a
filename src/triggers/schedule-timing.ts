/**
 * The times of a schedule: which moments are its ticks, and when each of them is to be started.
 *
 * Owns: the three kinds of timing, jitter. Does not own: cron (cron.ts), what becomes of a tick (schedule-rules.ts).
 *
 * - T1 the ticks are a function of the timing alone: whoever asks, and whenever, sees the same ones.
 * - T2 a tick starts at or after its time, and before the next tick: jitter changes no order. It is a function of the schedule
 *      and the tick, so that a second look finds the same moment.
 */
import { crc32, err, ok, type Result } from "../platform/index.ts";
import { type CronRefusal, parseCron } from "./cron.ts";

const SECOND_MS = 1_000;
const DAY_MS = 24 * 60 * 60_000;
const MIN_INTERVAL_MS = SECOND_MS;
const MAX_INTERVAL_MS = 366 * DAY_MS;
/** 9999-12-31: what every reader of a date can read. */
const LAST_MOMENT = 253_402_300_799_000;
const REMEMBERED = 4;
const CRC_VALUES = 2 ** 32;

/** PERSISTED CONTRACT. Only gains kinds and optional fields. Times are milliseconds since 1970. */
export type Timing =
  | { readonly kind: "cron"; readonly expression: string; readonly timezone: string }
  /** Ticks at `anchor` and every `everyMs` before and after it, so that an edit of anything else does not move them. */
  | { readonly kind: "interval"; readonly everyMs: number; readonly anchor: number }
  | { readonly kind: "once"; readonly at: number };

export interface Ticks {
  /** The first tick later than `after`; null: there is none any more. */
  next(after: number): number | null;
}

export interface TimingRefusal {
  readonly part: CronRefusal["part"] | "everyMs" | "anchor" | "at";
  readonly code: CronRefusal["code"] | "interval_out_of_range" | "time_out_of_range" | "time_in_the_past";
  readonly message: string;
}

/** @param now the timing must have a tick after it */
export function readTiming(timing: Timing, now: number): Result<Ticks, TimingRefusal> {
  switch (timing.kind) {
    case "cron": {
      const times = parseCron(timing.expression, timing.timezone, now);
      return times.ok ? ok(remembering(times.value)) : times;
    }
    case "interval":
      return readInterval(timing.everyMs, timing.anchor);
    case "once":
      return readOnce(timing.at, now);
  }
}

/** The same times. One decision asks about the same few ticks many times, and finding one in a time zone costs 0.1 ms. */
function remembering(ticks: Ticks): Ticks {
  let known: readonly { readonly after: number; readonly next: number | null }[] = [];
  return {
    next: (after) => {
      const found = known.find((one) => after >= one.after && (one.next === null || after < one.next));
      if (found !== undefined) return found.next;
      const next = ticks.next(after);
      known = [{ after, next }, ...known].slice(0, REMEMBERED);
      return next;
    },
  };
}

function readInterval(everyMs: number, anchor: number): Result<Ticks, TimingRefusal> {
  if (!Number.isSafeInteger(everyMs) || everyMs < MIN_INTERVAL_MS || everyMs > MAX_INTERVAL_MS)
    return refuse("everyMs", "interval_out_of_range", "From one second to 366 days.");
  if (!isMoment(anchor)) return refuse("anchor", "time_out_of_range", "A time from 1970 to 9999.");
  return ok({
    next: (after) => {
      const tick = anchor + (Math.floor((after - anchor) / everyMs) + 1) * everyMs;
      return tick <= LAST_MOMENT ? tick : null;
    },
  });
}

function readOnce(at: number, now: number): Result<Ticks, TimingRefusal> {
  if (!isMoment(at)) return refuse("at", "time_out_of_range", "A time from 1970 to 9999.");
  if (at <= now) return refuse("at", "time_in_the_past", "This time is over.");
  return ok({ next: (after) => (at > after ? at : null) });
}

function isMoment(at: number): boolean {
  return Number.isSafeInteger(at) && at >= 0 && at <= LAST_MOMENT;
}

function refuse(
  part: TimingRefusal["part"],
  code: TimingRefusal["code"],
  message: string,
): Result<never, TimingRefusal> {
  return err({ part, code, message });
}

/** When a tick is to be started (T2). @param jitterMs at most so much later; 0: at its time */
export function startOf(ticks: Ticks, schedule: string, tick: number, jitterMs: number): number {
  if (jitterMs === 0) return tick;
  const next = ticks.next(tick);
  const most = next === null ? jitterMs : Math.min(jitterMs, next - tick);
  return tick + Math.floor((crc32(`${schedule}\n${tick}`) / CRC_VALUES) * most);
}

/**
 * The last tick in (after, until]; null: there is none. By halving, so that it costs the same for a minute and for a year: ticks
 * stand on whole milliseconds, and "there is one later than x" ends being true at the last one.
 */
export function lastTick(ticks: Ticks, after: number, until: number): number | null {
  const inside = (tick: number | null): tick is number => tick !== null && tick <= until;
  let found = ticks.next(after);
  if (!inside(found)) return null;
  // Mostly there is no other, and halving is left out.
  if (!inside(ticks.next(found))) return found;
  let end = until;
  while (end > found) {
    const middle = Math.floor((found + end) / 2);
    const later = ticks.next(middle);
    if (inside(later)) found = later;
    else end = middle;
  }
  return found;
}

/** The next `count` ticks later than `after`. */
export function nextTicks(ticks: Ticks, after: number, count: number): number[] {
  const found: number[] = [];
  let at = ticks.next(after);
  while (at !== null && found.length < count) {
    found.push(at);
    at = ticks.next(at);
  }
  return found;
}
