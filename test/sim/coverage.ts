/** What the simulator has exercised, so that a corpus that never came somewhere cannot pass. */

import { RUN_MOVES, UNIT_MOVES } from "../../src/kernel/index.ts";

/** Every legal move of a unit and of a run. */
export const TRANSITIONS: readonly string[] = [
  ...Object.entries(UNIT_MOVES).flatMap(([status, moves]) =>
    Object.keys(moves).map((fact) => `${status}.${fact}`),
  ),
  ...Object.entries(RUN_MOVES).flatMap(([phase, moves]) =>
    Object.keys(moves).map((fact) => `run ${phase}.${fact}`),
  ),
];

/** Everything that goes wrong. Counted where it takes effect, not where it is drawn. */
export const FAULTS = [
  // the outside
  "refused",
  "refused with Retry-After",
  "unclear, happened",
  "unclear, not happened",
  "request lost",
  "answer lost",
  "answer late, the attempt still listened to",
  "answer late, after the next attempt began",
  "answer late, after the run ended",
  "effect lands after the life that sent it",
  "effect lands after the attempt was given up",
  "slow",
  "garbage",
  "too large",
  "cannot work",
  "duplicate absorbed by its key",
  "key forgotten",
  "threw before it was sent",
  "threw after it was sent",
  "refused before it was sent",
  "sent too late",
  "abort ignored",
  "platform limit met",
  "verify cannot tell",
  // credentials
  "credential not at hand",
  "credential unavailable",
  "credential rate limited",
  "cloud role not at hand",
  "credential slow",
  "credential never comes",
  "credential cannot be had",
  "credential for nobody",
  "credential refused by the service",
  "credential dead when it was sent",
  "asking for a credential threw",
  "asking met a platform limit",
  "connection replaced",
  "connection change lost",
  "connection change told twice",
  "connection change told too early",
  "lost change found by looking",
  "another connection accepted",
  // the queue
  "queue not told",
  "queue told twice",
  "queue does not answer",
  "answer of the queue lost",
  "answer of the queue late",
  "queue forgot the run",
  "queue full",
  "admitted at once",
  "admitted later",
  "admitted twice",
  "admitted too late",
  "superseded in the queue",
  "word of the queue for nobody",
  "waited in the queue for too long",
  // storage
  "append refused",
  "snapshot refused",
  "alarm refused",
  "read refused",
  "flush failed, writes lost",
  "flush failed, writes kept",
  // alarms
  "alarm late",
  "alarm twice",
  "alarm lost",
  "alarm stuck in the past",
  "alarm retried by the platform",
  "poked by the sweeper",
  // lives
  "killed",
  "evicted",
  "new version",
  "code that fills in changed",
  "replaced, and went on",
  "a dead life tried to write",
  "a dead life sent",
  "clock differs",
  // callers
  "command sent twice",
  "command refused",
  "child recalled",
  "child recalled too late",
  "child redriven",
  "end of a child not told",
  "end of a child told twice",
  "end of a child told too early",
  "decided twice",
  "decided by whoever started the run",
  "decided too late",
  "caller got no answer",
] as const;
export type Fault = (typeof FAULTS)[number];

/** What made the life take a turn. */
export const ENTRIES = ["birth", "start", "command", "alarm", "poke", "timer", "answer"] as const;
export type Entry = (typeof ENTRIES)[number];

/** Every call of the driver to a port that writes or starts something, and the moment after it. */
export const POINTS = [
  "append",
  "appended",
  "append with snapshot",
  "appended with snapshot",
  "arm",
  "armed",
  "turned",
  "acquire",
  "perform",
  "performed",
  "set timer",
] as const;
export type Point = (typeof POINTS)[number];

/** Everything that a life can be waiting for when it is taken. */
export const AWAITS = [
  "flush",
  "acquire",
  "credentials",
  "gate",
  "request on its way",
  "request landed",
  "answer on its way",
  "answer that never comes",
  "timer",
  "alarm alone",
  "hop",
  "alarm handler",
  "answer to a caller",
] as const;
export type Await = (typeof AWAITS)[number];

/** Reads, whatever made the life take a turn. */
export const READS = ["load", "loaded", "value"] as const;
export type Read = (typeof READS)[number];

/** The first row is too early for a snapshot. */
const UNREACHABLE = new Set(["start: append with snapshot", "start: appended with snapshot"]);

export const SITES: readonly string[] = [
  ...ENTRIES.flatMap((entry) => POINTS.map((point) => `${entry}: ${point}`)),
  ...READS.map((read) => `reading: ${read}`),
  ...AWAITS.map((what) => `awaiting ${what}`),
].filter((site) => !UNREACHABLE.has(site));

export interface Counts {
  readonly transitions: Record<string, number>;
  readonly faults: Record<string, number>;
  /** Crashes per site. */
  readonly sites: Record<string, number>;
}

export class Coverage {
  readonly counts: Counts = { transitions: {}, faults: {}, sites: {} };

  transition(name: string): void {
    bump(this.counts.transitions, name, 1);
  }

  fault(name: Fault): void {
    bump(this.counts.faults, name, 1);
  }

  crash(site: string): void {
    bump(this.counts.sites, site, 1);
  }

  add(other: Counts): void {
    for (const part of ["transitions", "faults", "sites"] as const)
      for (const [name, count] of Object.entries(other[part])) bump(this.counts[part], name, count);
  }
}

function bump(counts: Record<string, number>, name: string, by: number): void {
  counts[name] = (counts[name] ?? 0) + by;
}

/** Names of the list that were never counted. */
export function missing(all: readonly string[], counts: Record<string, number>): string[] {
  return all.filter((name) => (counts[name] ?? 0) === 0);
}
