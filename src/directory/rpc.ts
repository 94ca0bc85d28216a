/**
 * What can be asked of one directory object, over RPC. Every call carries the caller's tenant. Plain data in both
 * directions, which only ever gains optional fields: after a deploy, old and new code talk to each other for minutes.
 */
import type { Filter } from "./filters.ts";
import type { Listed, Place, Report } from "./report.ts";

export interface PageQuery {
  readonly tenant: string;
  readonly filter: Filter;
  /** Where the page before ended; null: the beginning. */
  readonly after: Place | null;
  readonly limit: number;
}

export interface ShardPage {
  readonly runs: readonly Listed[];
  /** Up to where was looked; null: to the end. A page may be short, or empty, and yet not the last. */
  readonly lookedTo: Place | null;
}

export interface CountQuery {
  readonly tenant: string;
  readonly onlyUser: string | null;
  readonly from: number;
  readonly to: number;
  readonly bucketMs: number;
}

export interface Bucket {
  /** Its beginning. */
  readonly at: number;
  /** Number of runs that started in it, by how they stand now. */
  readonly counts: Readonly<Record<string, number>>;
}

export interface ShardCounts {
  /** Only those that hold any run. */
  readonly buckets: readonly Bucket[];
  /** Up to where was counted; null: all of it. */
  readonly countedTo: number | null;
}

export interface ChangesQuery {
  readonly tenant: string;
  readonly onlyUser: string | null;
  /** The number of the last change that was seen; null: begin now. */
  readonly after: number | null;
  readonly limit: number;
  readonly waitMs: number;
}

export interface ChangedRun {
  /** When the directory heard of it. */
  readonly at: number;
  readonly run: Listed;
}

export interface ShardChanges {
  /** How runs stand that have changed, each once. */
  readonly changes: readonly ChangedRun[];
  /** Pass it as `after` to go on. */
  readonly next: number;
  /** Changes in between are not kept any more: what the list says now is all there is. */
  readonly gap: boolean;
}

export interface Swept {
  /** Runs past their lease that were asked. */
  readonly asked: number;
  /** Of them: not there any more. */
  readonly gone: number;
  /** Of them: could not be asked; asked again later. */
  readonly failed: number;
  /** Runs whose retention is over, taken out of the list. */
  readonly dropped: number;
  /** Runs that belong to another shard, and were brought there. */
  readonly moved: number;
}

/** Numbers of one directory object. */
export interface ShardMetrics {
  readonly workflows: readonly {
    readonly workflow: string;
    readonly done: Readonly<Record<string, number>>;
    readonly now: Readonly<Record<string, number>>;
  }[];
  /** How often what belongs to no run has happened, by `<event>:<reason>`. */
  readonly events: Readonly<Record<string, number>>;
  /** Runs that should have reported by now; 10,000: so many, or more. */
  readonly overdue: number;
  /** Runs with a message that nobody takes, likewise, and since when the first of them waits. */
  readonly untold: { readonly runs: number; readonly since: number | null };
}

export interface DirectoryRpc {
  report(report: Report): Promise<void>;
  /** Something has happened that belongs to no run. Counted as often as it is told. */
  count(tenant: string, event: string, reason: string): Promise<void>;
  /** Reads no row of a run that has nothing to complain of. */
  metrics(tenant: string): Promise<ShardMetrics>;
  /** Reports that another shard has kept until now; nobody hears of them. */
  takeOver(tenant: string, reports: readonly Report[]): Promise<void>;
  page(query: PageQuery): Promise<ShardPage>;
  counts(query: CountQuery): Promise<ShardCounts>;
  changes(query: ChangesQuery): Promise<ShardChanges>;
  /**
   * Erases from the list whose runs these were: user, tags, and what failures say. Without `runs`: of all that are listed as this
   * user's. At most `limit`; answers how many.
   */
  erase(
    tenant: string,
    which: { readonly runs: readonly Place[] } | { readonly user: string; readonly limit: number },
  ): Promise<number>;
  /** How many runs have not ended. */
  live(tenant: string): Promise<number>;
  /** What the sweeper has done here; bounded, so that a tick ends. */
  sweep(tenant: string, shards: number): Promise<Swept>;
}
