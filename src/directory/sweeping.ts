/**
 * What the sweeper does in one directory object: asks runs that broke their lease, drops runs that are not kept any more,
 * brings runs to the shard that they belong to. Each pass is bounded and goes on where the last one ended.
 *
 * W1 a run is taken out of the list only if it said itself that it is not there, or its retention is long over.
 * W2 a run that cannot be asked is asked again later, and does not keep others from being asked.
 * W3 a run is removed here only after the other shard has taken it over.
 */
import type { Logger } from "../platform/index.ts";
import { shardOf } from "./shards.ts";
import type { Place, Report } from "./report.ts";
import type { Swept } from "./rpc.ts";
import type { Measured } from "./measured.ts";
import type { RunsStore } from "./runs-store.ts";

/** Runs asked in one pass; every one is a call to an object. Fewer where an event may make fewer calls. */
const MAX_ASKED = 200;
const ASKED_AT_ONCE = 20;
/** A run that could not be asked. */
const ASK_AGAIN_MS = 30 * 60_000;
/** Runs looked at for their age, or for their shard, in one pass. */
const MAX_LOOKED_AT = 10_000;
const BATCH = 500;
/** A run deletes itself when its retention is over; it leaves the list a little later. */
const AFTER_RETENTION_MS = 60 * 60_000;

export interface SweepPorts {
  /** Asks a run how it stands, and sets its alarm anew; null: there is no such run any more. */
  readonly ask: (tenant: string, run: string) => Promise<Report | null>;
  readonly takeOver: (tenant: string, shard: number, reports: readonly Report[]) => Promise<void>;
  /** Calls to other objects that one event of the platform may make; half of them are for asking. */
  readonly calls: number;
  readonly retention: {
    /** How long a run is kept after its end that has not said. */
    readonly defaultMs: number;
    /** How long the tenant's runs are kept after their end, as it is now; null: that cannot be known just now. Never rejects. */
    readonly of: (tenant: string) => Promise<number | null>;
  };
  readonly log: Logger;
  /** Notes what was counted, where that is wanted. Must not throw. */
  readonly measure?: (measured: Measured) => void;
}

/** The object that is swept. */
export interface Broom {
  readonly tenant: string;
  readonly shard: number;
  readonly shards: number;
  readonly store: RunsStore;
  /** Applies a report, and tells watchers. */
  readonly apply: (report: Report) => void;
  /** Takes runs out of the list, all or none. */
  readonly remove: (runs: readonly Place[]) => void;
  readonly now: () => number;
}

const OLDEST: Place = { startedAt: -1, id: "" };

/** Asks runs past their lease. */
export async function askOverdue(
  { tenant, store, apply, remove, now }: Broom,
  { ask, calls, log }: SweepPorts,
): Promise<Pick<Swept, "asked" | "gone" | "failed">> {
  const overdue = store.overdue(now(), Math.min(MAX_ASKED, Math.max(1, Math.floor(calls / 2))));
  let gone = 0;
  let failed = 0;
  const askOne = async (place: Place): Promise<void> => {
    try {
      const report = await ask(tenant, place.id);
      if (report === null) {
        gone += 1;
        // W1. Meanwhile it may have reported that it goes on.
        if (isOverdue(store.get(place), now())) remove([place]);
      } else {
        // What a run is does not change; one that is sealed may not know that any more, nor its last number.
        const known = store.get(place);
        if (known !== null && isOverdue(known, now())) apply(withStanding(known, report));
      }
    } catch (error) {
      failed += 1;
      log.warn("sweep_run_not_asked", { tenant, run: place.id, error });
      if (isOverdue(store.get(place), now())) store.postpone(place, now() + ASK_AGAIN_MS);
    }
  };
  for (let i = 0; i < overdue.length; i += ASKED_AT_ONCE)
    await Promise.all(overdue.slice(i, i + ASKED_AT_ONCE).map(askOne));
  return { asked: overdue.length, gone, failed };
}

function isOverdue(known: Report | null, now: number): boolean {
  return known !== null && known.leaseAt !== null && known.leaseAt < now;
}

function withStanding(known: Report, report: Report): Report {
  const {
    tally: _tally,
    parked: _parked,
    untoldSince: _untold,
    saidAt: _said,
    keptUntil: _kept,
    ...of
  } = known;
  const { status, paused, generation, endedAt, failure, leaseAt } = report;
  const { tally, parked, untoldSince, saidAt, keptUntil } = report;
  return {
    ...of,
    ...{ status, paused, generation, endedAt, failure, leaseAt },
    version: Math.max(known.version, report.version),
    ...(keptUntil === undefined ? {} : { keptUntil }),
    ...(tally === undefined ? {} : { tally }),
    ...(parked === undefined ? {} : { parked }),
    ...(untoldSince === undefined ? {} : { untoldSince }),
    saidAt: saidAt ?? 0,
  };
}

/** Those that are not there any more, by their own word. */
async function goneOf(
  runs: readonly Report[],
  tenant: string,
  { ask, log }: SweepPorts,
): Promise<readonly Report[]> {
  const gone: Report[] = [];
  for (let i = 0; i < runs.length; i += ASKED_AT_ONCE) {
    const some = runs.slice(i, i + ASKED_AT_ONCE);
    const answers = await Promise.allSettled(some.map(async ({ id }) => ask(tenant, id)));
    for (const [j, answer] of answers.entries()) {
      const run = some[j];
      if (run === undefined) continue;
      if (answer.status === "rejected")
        log.warn("sweep_run_not_asked", { tenant, run: run.id, error: answer.reason });
      else if (answer.value === null) gone.push(run);
    }
  }
  return gone;
}

/** Goes through runs from the oldest on, a part of them in each pass. */
export class Passes {
  #droppedTo = OLDEST;
  #movedTo = OLDEST;

  /**
   * Drops runs whose retention is over (W1). One that meant to be there still, as its tenant's retention was longer when it ended,
   * is asked, which makes it look; so many of them in one pass.
   */
  async drop({ tenant, store, remove, now }: Broom, ports: SweepPorts): Promise<number> {
    const keptMs = await ports.retention.of(tenant);
    if (keptMs === null) return 0;
    const endedBefore = now() - keptMs - AFTER_RETENTION_MS;
    const overBefore = now() - AFTER_RETENTION_MS;
    const isOver = ({ endedAt, keptUntil }: Report): boolean =>
      (keptUntil ?? (endedAt ?? 0) + ports.retention.defaultMs) < overBefore;
    let asks = Math.min(MAX_ASKED, Math.max(1, Math.floor(ports.calls / 4)));
    let dropped = 0;
    for (let seen = 0; seen < MAX_LOOKED_AT; seen += BATCH) {
      const runs = store.oldest(this.#droppedTo, endedBefore, BATCH);
      const old = runs.filter(({ endedAt }) => endedAt !== null && endedAt < endedBefore);
      const over = old.filter(isOver);
      remove(over);
      const asked = old.filter((run) => !isOver(run)).slice(0, asks);
      asks -= asked.length;
      const gone = await goneOf(asked, tenant, ports);
      remove(gone);
      dropped += over.length + gone.length;
      this.#droppedTo = runs.length < BATCH ? OLDEST : (runs.at(-1) ?? OLDEST);
      if (runs.length < BATCH) break;
    }
    return dropped;
  }

  /** Brings runs to their shard (W3). `done`: every run was looked at. */
  async move(broom: Broom, { takeOver }: SweepPorts): Promise<{ moved: number; done: boolean }> {
    const { tenant, shard, shards, store, remove } = broom;
    let moved = 0;
    for (let seen = 0; seen < MAX_LOOKED_AT; seen += BATCH) {
      const runs = store.oldest(this.#movedTo, Number.MAX_SAFE_INTEGER, BATCH);
      const strays = Map.groupBy(
        runs.filter((run) => shardOf(run.id, shards) !== shard),
        (run) => shardOf(run.id, shards),
      );
      for (const [target, reports] of strays) {
        await takeOver(tenant, target, reports);
        // One that has reported here in between is taken next time.
        remove(reports.filter((run) => store.get(run)?.version === run.version));
        moved += reports.length;
      }
      const last = runs.at(-1);
      if (runs.length < BATCH || last === undefined) {
        this.#movedTo = OLDEST;
        return { moved, done: true };
      }
      this.#movedTo = { startedAt: last.startedAt, id: last.id };
    }
    return { moved, done: false };
  }
}
