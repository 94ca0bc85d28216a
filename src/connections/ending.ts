/**
 * When somebody is to be told that a grant ends soon, whatever happens: refreshing does not help then, only a new consent does.
 * Pure.
 */
import type { ConnectionRecord } from "./grant.ts";

const DAY_MS = 24 * 60 * 60_000;
/** So long before the end. */
const WARNINGS_MS = [7 * DAY_MS, DAY_MS];

/** Of a grant that never lives as long as that, no warning says anything. */
function warningsOf({ grantedAt, endsAt }: Ending): readonly number[] {
  return endsAt === null ? [] : WARNINGS_MS.filter((before) => before < endsAt - grantedAt);
}

interface Ending {
  readonly grantedAt: number;
  readonly endsAt: number | null;
}

/** Whether it is to be shown that a grant ends soon. */
export function endsSoon(grant: Ending, now: number): boolean {
  const { endsAt } = grant;
  return endsAt !== null && warningsOf(grant).some((before) => endsAt - before <= now);
}

/** The warning that is due, as the milliseconds before the end; null: none is. Of several, the last one says it all. */
export function dueWarning(record: ConnectionRecord, now: number): number | null {
  const { endsAt } = record.grant;
  if (endsAt === null || now >= endsAt) return null;
  const due = leftOf(record).filter((before) => endsAt - before <= now);
  return due.length === 0 ? null : Math.min(...due);
}

/** When the next one is due; null: none will be. */
export function warningDueAt(record: ConnectionRecord, now: number): number | null {
  const { endsAt } = record.grant;
  if (record.standing.status !== "active" || endsAt === null || now >= endsAt) return null;
  const times = leftOf(record).map((before) => endsAt - before);
  return times.length === 0 ? null : Math.min(...times);
}

/** Those that were not given yet. An end that was put off by a day or more is another one. */
function leftOf({ grant, warned }: ConnectionRecord): readonly number[] {
  const isSame = warned !== undefined && (grant.endsAt ?? 0) - warned.endsAt < DAY_MS;
  return warningsOf(grant).filter((before) => !isSame || before < warned.beforeMs);
}

/** What is to be said of a connection that works: that it ends soon, whatever is done; null: nothing of the kind. */
export function warningOf(one: Ending & { readonly status: string }, now: number): "ends_soon" | null {
  return one.status === "active" && endsSoon(one, now) ? "ends_soon" : null;
}
