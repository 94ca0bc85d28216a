/** The directory of a tenant as one, over all its shards. */
import type { Filter } from "./filters.ts";
import type { Place, Report } from "./report.ts";
import type {
  Bucket,
  ChangedRun,
  CountQuery,
  DirectoryRpc,
  ShardChanges,
  ShardMetrics,
  Swept,
} from "./rpc.ts";
import { mergePages, type Page, shardOf } from "./shards.ts";

/** Calls to one shard for one answer of counts; each counts some 100,000 runs that nobody had counted lately. */
const MAX_COUNT_CALLS = 100;

export interface Changes {
  readonly changes: readonly ChangedRun[];
  /** Where every shard stands. Pass it as `after` to go on. */
  readonly next: readonly number[];
  /** Changes in between are lost: read the list. */
  readonly gap: boolean;
}

export interface Directory {
  /** Number of its shards. */
  readonly shards: number;
  report(report: Report): Promise<void>;
  page(
    tenant: string,
    query: { readonly filter: Filter; readonly after: Place | null; readonly limit: number },
  ): Promise<Page>;
  /** Buckets that hold any run, oldest first; null: there is too much to count in one answer. */
  counts(query: CountQuery): Promise<readonly Bucket[] | null>;
  changes(
    tenant: string,
    query: {
      readonly onlyUser: string | null;
      /** From an earlier answer; null: begin now. */
      readonly after: readonly number[] | null;
      readonly limit: number;
      readonly waitMs: number;
    },
  ): Promise<Changes>;
  /** Erases from the list whose these runs were. */
  erase(tenant: string, runs: readonly Place[]): Promise<void>;
  /** How many runs have not ended. */
  live(tenant: string): Promise<number>;
  sweep(tenant: string, shard: number): Promise<Swept>;
  /** Numbers of the tenant's runs, of each shard. */
  metrics(tenant: string): Promise<readonly ShardMetrics[]>;
  /** Something has happened that belongs to no run. */
  count(tenant: string, event: string, reason: string): Promise<void>;
}

/** @param object a fresh stub each time: one that has seen its object die stays broken */
export function createDirectory(
  object: (tenant: string, shard: number) => DirectoryRpc,
  shards: number,
): Directory {
  const all = Array.from({ length: shards }, (_, shard) => shard);
  return {
    shards,
    report: (report) => object(report.tenant, shardOf(report.id, shards)).report(report),
    async page(tenant, { filter, after, limit }) {
      const pages = await Promise.all(
        all.map((shard) => object(tenant, shard).page({ tenant, filter, after, limit })),
      );
      return mergePages(pages, limit);
    },
    async counts(query) {
      const parts = await Promise.all(all.map((shard) => countAll(object(query.tenant, shard), query)));
      if (parts.some((part) => part === null)) return null;
      return sumUp(parts.flatMap((part) => part ?? []));
    },
    async changes(tenant, { onlyUser, after, limit, waitMs }) {
      const ask = (shard: number, since: number | null, ms: number): Promise<ShardChanges> =>
        object(tenant, shard).changes({ tenant, onlyUser, after: since, limit, waitMs: ms });
      const begin = (shard: number): number | null => (after === null ? null : (after[shard] ?? 0));
      const now = await Promise.all(all.map((shard) => ask(shard, begin(shard), shards === 1 ? waitMs : 0)));
      const quiet = now.every(({ changes, gap }) => changes.length === 0 && !gap);
      if (!quiet || waitMs === 0 || shards === 1) return together(now);
      // The first shard that has something answers for all; what the others wait for is asked again.
      const first = await firstToMove(all, (shard) => ask(shard, now[shard]?.next ?? null, waitMs));
      return together(now.map((one, shard) => (shard === first.shard ? first.answer : one)));
    },
    async erase(tenant, runs) {
      // Of all shards: a run may be listed where it belonged when there were fewer.
      if (runs.length > 0)
        await Promise.all(all.map((shard) => object(tenant, shard).erase(tenant, { runs })));
    },
    async live(tenant) {
      const parts = await Promise.all(all.map((shard) => object(tenant, shard).live(tenant)));
      return parts.reduce((sum, part) => sum + part, 0);
    },
    sweep: (tenant, shard) => object(tenant, shard).sweep(tenant, shards),
    metrics: async (tenant) => Promise.all(all.map((shard) => object(tenant, shard).metrics(tenant))),
    count: async (tenant, event, reason) => object(tenant, 0).count(tenant, event, reason),
  };
}

async function firstToMove(
  all: readonly number[],
  ask: (shard: number) => Promise<ShardChanges>,
): Promise<{ shard: number; answer: ShardChanges }> {
  const asked = all.map(async (shard) => ({ shard, answer: await ask(shard) }));
  const moved = asked.map(async (one) => {
    const { answer } = await one;
    if (answer.changes.length === 0 && !answer.gap) throw new Error("nothing has changed");
    return one;
  });
  try {
    return await Promise.any(moved);
  } catch {
    // None did: the first one's answer is as good as any, unless it failed.
    return (await Promise.all(asked))[0] ?? { shard: 0, answer: { changes: [], next: 0, gap: false } };
  }
}

function together(parts: readonly ShardChanges[]): Changes {
  return {
    changes: parts.flatMap(({ changes }) => changes).toSorted((a, b) => a.at - b.at),
    next: parts.map(({ next }) => next),
    gap: parts.some(({ gap }) => gap),
  };
}

async function countAll(object: DirectoryRpc, query: CountQuery): Promise<Bucket[] | null> {
  const buckets: Bucket[] = [];
  let { from } = query;
  for (let call = 0; call < MAX_COUNT_CALLS; call++) {
    const part = await object.counts({ ...query, from });
    buckets.push(...part.buckets);
    if (part.countedTo === null) return buckets;
    from = part.countedTo;
  }
  return null;
}

function sumUp(buckets: readonly Bucket[]): Bucket[] {
  const sums = new Map<number, Record<string, number>>();
  for (const { at, counts } of buckets) {
    const sum = sums.get(at) ?? {};
    for (const [status, n] of Object.entries(counts)) sum[status] = (sum[status] ?? 0) + n;
    sums.set(at, sum);
  }
  return [...sums].toSorted(([a], [b]) => a - b).map(([at, counts]) => ({ at, counts }));
}
