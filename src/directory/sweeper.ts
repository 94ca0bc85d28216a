/**
 * The sweeper: visits the directories of all tenants, a part of them in each tick, and lets each ask the runs that broke
 * their lease. It holds no state: which part it is follows from the time, so every directory is visited in turn.
 */
import type { Logger } from "../platform/index.ts";
import type { Directory } from "./directory.ts";
import type { Swept } from "./rpc.ts";

/** How often it comes: `[triggers]` of wrangler.toml. */
export const TICK_MS = 5 * 60_000;
const VISITED_AT_ONCE = 20;

export interface SweeperPorts {
  readonly directory: Directory;
  /** How many tenants there are. */
  readonly countTenants: () => Promise<number>;
  /** Ids of tenants in a stable order. */
  readonly tenants: (offset: number, limit: number) => Promise<readonly string[]>;
  /** Directory objects that one tick may visit. */
  readonly visits: number;
  readonly log: Logger;
}

/** Answers what was done in all. A directory that cannot be visited is logged, and visited again in its turn. */
export async function sweepAll(ports: SweeperPorts, now: number): Promise<Swept & { visited: number }> {
  const { directory, log } = ports;
  const perTick = Math.max(1, Math.floor(ports.visits / directory.shards));
  const parts = Math.ceil((await ports.countTenants()) / perTick);
  const part = parts === 0 ? 0 : Math.floor(now / TICK_MS) % parts;
  const tenants = await ports.tenants(part * perTick, perTick);
  const places = tenants.flatMap((tenant) =>
    Array.from({ length: directory.shards }, (_, shard) => ({ tenant, shard })),
  );
  const sum = { asked: 0, gone: 0, failed: 0, dropped: 0, moved: 0, visited: 0 };
  const visit = async ({ tenant, shard }: (typeof places)[number]): Promise<void> => {
    try {
      const swept = await directory.sweep(tenant, shard);
      sum.visited += 1;
      for (const key of ["asked", "gone", "failed", "dropped", "moved"] as const) sum[key] += swept[key];
    } catch (error) {
      log.error("directory_not_swept", { tenant, shard, error });
    }
  };
  for (let i = 0; i < places.length; i += VISITED_AT_ONCE)
    await Promise.all(places.slice(i, i + VISITED_AT_ONCE).map(visit));
  if (sum.asked + sum.dropped + sum.moved > 0) log.info("swept", sum);
  return sum;
}
