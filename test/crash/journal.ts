/**
 * What a run says of itself, unit by unit, and what the referee's ledger says of the same attempts.
 * The two are joined by the trace context that every attempt sends: it is computed from run, unit and attempt.
 */
import { spanIdOf } from "../../src/platform/index.ts";
import type { Entry } from "../world/index.ts";
import type { RunEvent } from "./client.ts";

export interface Attempt {
  readonly unit: string;
  readonly attempt: number;
  readonly startedAt: number;
  /** The fact that settled it, if any did. */
  readonly end: RunEvent | null;
  /** Requests of this attempt that reached a service. */
  readonly entries: readonly Entry[];
}

/** Facts by which an attempt is over. A unit has at most one attempt at a time. */
const ENDS: ReadonlySet<string> = new Set([
  "succeeded",
  "failed",
  "retrying",
  "unknown",
  "iterated",
  "cancelled",
]);

export function entriesBySpan(entries: readonly Entry[]): Map<string, Entry[]> {
  const bySpan = new Map<string, Entry[]>();
  for (const entry of entries) {
    const span = entry.traceparent?.split("-")[2];
    if (span !== undefined) bySpan.set(span, [...(bySpan.get(span) ?? []), entry]);
  }
  return bySpan;
}

export function attemptsOf(
  run: string,
  events: readonly RunEvent[],
  bySpan: ReadonlyMap<string, Entry[]>,
): Attempt[] {
  return events.flatMap((event, i) => {
    const { unit, attempt } = event.data;
    if (event.type !== "started" || unit === undefined || attempt === undefined) return [];
    const end = events.slice(i + 1).find((later) => later.data.unit === unit && ENDS.has(later.type));
    return [
      {
        unit,
        attempt,
        startedAt: event.at,
        end: end ?? null,
        entries: bySpan.get(spanIdOf(run, `g1.${unit}`, attempt)) ?? [],
      },
    ];
  });
}
