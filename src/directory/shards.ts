/** Which object of a tenant's directory lists a run, and how the answers of several become one. Pure. */
import { crc32 } from "../platform/index.ts";
import { comparePlaces, type Listed, type Place } from "./report.ts";
import type { ShardPage } from "./rpc.ts";

/** Each page asks every shard. */
export const MAX_SHARDS = 64;

/**
 * PERSISTED CONTRACT: with another rule a run is looked for where it is not. The number of shards can be raised: the
 * sweeper brings runs to where they belong then. It must not be lowered: shards beyond it are not asked any more.
 */
export function shardOf(run: string, shards: number): number {
  return shards === 1 ? 0 : crc32(run) % shards;
}

/** The number of shards as configured; 1 if it is not. Throws a TypeError for anything but 1 to MAX_SHARDS. */
export function parseShards(variable: string | undefined): number {
  if (variable === undefined || variable === "") return 1;
  const shards = /^\d{1,3}$/.test(variable) ? Number(variable) : 0;
  if (shards < 1 || shards > MAX_SHARDS)
    throw new TypeError(`DIRECTORY_SHARDS must be a whole number from 1 to ${MAX_SHARDS}.`);
  return shards;
}

export interface Page {
  readonly runs: readonly Listed[];
  /** Where the next page begins; null: this was the last one. */
  readonly next: Place | null;
}

/**
 * One page from those of all shards. A run counts only up to where every shard has looked, so that none is passed over.
 * While runs move to another shard one can be in both: the newer report counts.
 */
export function mergePages(pages: readonly ShardPage[], limit: number): Page {
  const looked = pages.flatMap(({ lookedTo }) => (lookedTo === null ? [] : [lookedTo]));
  const frontier = looked.toSorted(comparePlaces)[0] ?? null;
  const runs = withoutTwins(
    pages.flatMap((page) => page.runs).toSorted((a, b) => comparePlaces(placeOf(a), placeOf(b))),
  );
  const within = runs.filter((run) => frontier === null || comparePlaces(placeOf(run), frontier) <= 0);
  const page = within.slice(0, limit);
  const last = page.at(-1);
  if (within.length > limit && last !== undefined) return { runs: page, next: placeOf(last) };
  return { runs: page, next: frontier };
}

export function placeOf(run: Listed): Place {
  return { startedAt: run.started_at, id: run.id };
}

function withoutTwins(runs: readonly Listed[]): Listed[] {
  const kept: Listed[] = [];
  for (const run of runs) {
    const before = kept.at(-1);
    if (before?.id !== run.id || before.started_at !== run.started_at) kept.push(run);
    else if (run.seq > before.seq) kept[kept.length - 1] = run;
  }
  return kept;
}
