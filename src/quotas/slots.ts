/**
 * How many runs of a tenant have not ended, as its quota object knows it without being told of any end: a number that is never too
 * low. The directory is asked only when it seems that there is no room. Pure and total; times are arguments.
 *
 * A start takes a slot out of a batch. From then on it counts as lent (nobody has told what became of it), as settled (its run is
 * known to the directory), or in the directory's own count.
 *
 * - L1 `counted`, what was settled since that count, and what is lent are never fewer than the runs that have not ended: a slot leaves
 *      `settled` only for a count that began after its run was known to the directory.
 * - L2 what nobody tells of (its isolate has died, the directory has not answered it) stays lent until SETTLE_MS after its batch was
 *      over, and leaves only for a count that began after that: a run tells the directory of itself by then.
 * - L3 every slot comes back: with a count, once its run has ended, or if it never began. Nothing but that count is needed for it, so
 *      nothing can be lost.
 */
import type { Lent } from "./bucket.ts";
import { sum } from "./bucket.ts";

/** A run tells the directory of itself within half a minute (`UNSETTLED_MS` of the run room); an alarm can be late. */
export const SETTLE_MS = 120_000;

/** PERSISTED CONTRACT: only gains optional fields. */
export interface Slots {
  /** Of the directory, when it was asked last. */
  readonly counted: number;
  /** Told to be known to the directory since that began. */
  readonly settled: number;
  readonly lent: readonly Lent[];
}

export interface SlotsTold {
  readonly until: number;
  /** What will not be used any more. */
  readonly unused: number;
  /** Starts that began nothing. */
  readonly freed: number;
  /** Starts whose runs the directory knows. */
  readonly settled: number;
}

export const NO_SLOTS: Slots = { counted: 0, settled: 0, lent: [] };

/** How many runs may be under way, at most. */
export function taken({ counted, settled, lent }: Slots): number {
  return counted + settled + sum(lent);
}

export function tell(slots: Slots, { until, unused, freed, settled }: SlotsTold): Slots {
  const out = slots.lent.find(([at]) => at === until)?.[1] ?? 0;
  const free = Math.min(unused + freed, out);
  const known = Math.min(settled, out - free);
  return { ...slots, settled: slots.settled + known, lent: lentNow(slots.lent, until, out - free - known) };
}

export function takeSlots(slots: Slots, permits: number, until: number): Slots {
  const out = slots.lent.find(([at]) => at === until)?.[1] ?? 0;
  return permits === 0 ? slots : { ...slots, lent: lentNow(slots.lent, until, out + permits) };
}

/** What a count, begun now, will cover. */
export interface Covered {
  readonly settled: number;
  readonly before: number;
}

export function coveredBy(slots: Slots, now: number): Covered {
  return { settled: slots.settled, before: now - SETTLE_MS };
}

/** @param live runs that had not ended, as the directory knew when it was asked */
export function counted(slots: Slots, { settled, before }: Covered, live: number): Slots {
  return {
    counted: live,
    settled: slots.settled - settled,
    lent: slots.lent.filter(([until]) => until > before),
  };
}

function lentNow(lent: readonly Lent[], until: number, permits: number): readonly Lent[] {
  const others = lent.filter(([at]) => at !== until);
  return permits > 0 ? [...others, [until, permits]] : others;
}
