/**
 * The directory object: lists the runs of one tenant, or of one shard of them. One SQLite Durable Object each.
 *
 * Owns: what was reported last of every run, and its changes.
 * Does not own: runs. What stands here is what they said; a run is never held up by it, and a directory that was wiped
 * fills again as runs report.
 *
 * T1 a report is applied only if it tells more than what is known: order and repetition of reports do not matter.
 * T2 every call carries the caller's tenant, which is part of the object's name; another is answered as if nothing were here.
 * T3 an object that was told nothing writes nothing.
 * T4 what one who may see only a user's runs is told follows from these runs: where a page ended, too (filters.ts, feed.ts).
 */
import { DurableObject } from "cloudflare:workers";
import { hasSchema, migrate, objectName } from "../platform/index.ts";
import { ChangesStore } from "./changes-store.ts";
import { Counting } from "./counting.ts";
import { Feed } from "./feed.ts";
import { accessOf, completed, fits } from "./filters.ts";
import { measuredOf } from "./measured.ts";
import { listed, type Listed, type Place, type Report } from "./report.ts";
import type {
  ChangesQuery,
  CountQuery,
  DirectoryRpc,
  PageQuery,
  ShardChanges,
  ShardCounts,
  ShardMetrics,
  ShardPage,
  Swept,
} from "./rpc.ts";
import { type Applied, RunsStore } from "./runs-store.ts";
import { DIRECTORY_KEPT, DIRECTORY_SCHEMA, DIRECTORY_SUMS } from "./schema.ts";
import { askOverdue, type Broom, Passes, type SweepPorts } from "./sweeping.ts";
import { type Delta, deltaOf, moved, tallyOf, Totals } from "./totals.ts";

/** Runs that one page looks at, at most. A filter that few runs fit gives short pages, and says where to go on. */
export const MAX_LOOKED_AT = 1_000;
const MAX_RUNS_PER_PAGE = 100;
/** Points of data that one event of the platform notes. */
const MAX_POINTS = 25;
/** PERSISTED CONTRACT. For how many shards all runs here were looked at; missing: for one. */
const BALANCED_KEY = "balanced";

export abstract class WiredDirectoryObject extends DurableObject<Env> implements DirectoryRpc {
  readonly #ports: SweepPorts;
  readonly #store: RunsStore;
  readonly #changes: ChangesStore;
  readonly #counting: Counting;
  readonly #totals: Totals;
  readonly #passes = new Passes();
  readonly #feed: Feed;
  #ready: boolean;

  protected constructor(ctx: DurableObjectState, env: Env, ports: SweepPorts) {
    super(ctx, env);
    this.#ports = ports;
    this.#store = new RunsStore(ctx.storage.sql);
    this.#changes = new ChangesStore(ctx.storage.sql);
    this.#counting = new Counting(this.#store);
    this.#totals = new Totals(ctx.storage.sql);
    this.#feed = new Feed(this.#store, this.#changes, () => this.#ready);
    this.#ready = hasSchema(ctx.storage, DIRECTORY_SCHEMA);
    if (this.#ready) migrateAll(ctx.storage);
  }

  async report(report: Report): Promise<void> {
    if (this.#shardFor(report.tenant) !== null) this.#apply(report);
  }

  async count(tenant: string, event: string, reason: string): Promise<void> {
    if (this.#shardFor(tenant) === null) return;
    this.#make();
    this.#totals.event(`${event}:${reason}`, this.#changes.last);
    this.#ports.measure?.({ kind: "event", tenant, event, reason });
  }

  async metrics(tenant: string): Promise<ShardMetrics> {
    if (!this.#isKnownTo(tenant))
      return { workflows: [], events: {}, overdue: 0, untold: { runs: 0, since: null } };
    return {
      workflows: [...this.#totals.all()].map(([workflow, { done, now }]) => ({ workflow, done, now })),
      events: this.#totals.events(),
      overdue: this.#store.countOverdue(Date.now()),
      untold: this.#store.untold(),
    };
  }

  async takeOver(tenant: string, reports: readonly Report[]): Promise<void> {
    if (this.#shardFor(tenant) === null) return;
    for (const report of reports) this.#takeOver({ ...report, tenant });
  }

  async page({ tenant, filter, after, limit }: PageQuery): Promise<ShardPage> {
    const runs: Listed[] = [];
    if (!this.#isKnownTo(tenant)) return { runs, lookedTo: null };
    const most = Math.min(limit, MAX_RUNS_PER_PAGE);
    const wanted = completed(filter);
    const latest = { startedAt: wanted.startedTo ?? Number.MAX_SAFE_INTEGER, id: "" };
    const start = after !== null && after.startedAt < latest.startedAt ? after : latest;
    let seen = 0;
    for (const report of this.#store.after(accessOf(wanted), start, wanted.startedFrom ?? 0, MAX_LOOKED_AT)) {
      seen += 1;
      const run = listed(report);
      if (fits(wanted, run)) runs.push(run);
      if (runs.length === most || seen === MAX_LOOKED_AT)
        return { runs, lookedTo: { startedAt: report.startedAt, id: report.id } };
    }
    return { runs, lookedTo: null };
  }

  async counts({ tenant, onlyUser, from, to, bucketMs }: CountQuery): Promise<ShardCounts> {
    if (!this.#isKnownTo(tenant)) return { buckets: [], countedTo: null };
    return this.#counting.count(from, to, bucketMs, onlyUser);
  }

  async changes({ tenant, onlyUser, ...asked }: ChangesQuery): Promise<ShardChanges> {
    if (this.#shardFor(tenant) === null) return { changes: [], next: 0, gap: false };
    return onlyUser === null ? this.#feed.ofAll(asked) : this.#feed.ofUser(onlyUser, asked);
  }

  async erase(tenant: string, which: Parameters<DirectoryRpc["erase"]>[1]): Promise<number> {
    if (!this.#isKnownTo(tenant)) return 0;
    const latest = { startedAt: Number.MAX_SAFE_INTEGER, id: "" };
    const runs =
      "runs" in which
        ? which.runs
        : [...this.#store.after({ by: "user", value: which.user }, latest, 0, which.limit)];
    const erased = this.ctx.storage.transactionSync(
      () => runs.filter((run) => this.#store.erase(run)).length,
    );
    for (const { startedAt } of runs) this.#counting.changed(startedAt);
    return erased;
  }

  async live(tenant: string): Promise<number> {
    return this.#isKnownTo(tenant) ? this.#store.countLive() : 0;
  }

  async sweep(tenant: string, shards: number): Promise<Swept> {
    const shard = this.#shardFor(tenant);
    let points = MAX_POINTS;
    const none: Swept = { asked: 0, gone: 0, failed: 0, dropped: 0, moved: 0 };
    if (shard === null || !this.#ready) return none;
    const broom: Broom = {
      ...{ tenant, shard, shards, store: this.#store },
      apply: (report) => {
        this.#apply(report, points > 0);
        points -= 1;
      },
      remove: (runs) => {
        this.#remove(runs);
      },
      now: () => Date.now(),
    };
    const asked = await askOverdue(broom, this.#ports);
    const dropped = await this.#passes.drop(broom, this.#ports);
    return { ...none, ...asked, dropped, moved: await this.#balance(broom) };
  }

  async #balance(broom: Broom): Promise<number> {
    const { kv } = this.ctx.storage;
    if ((kv.get<number>(BALANCED_KEY) ?? 1) === broom.shards) return 0;
    const { moved, done } = await this.#passes.move(broom, this.#ports);
    if (done) kv.put<number>(BALANCED_KEY, broom.shards);
    return moved;
  }

  #remove(runs: readonly Place[]): void {
    this.#written(() => {
      for (const place of runs) {
        const run = this.#store.get(place);
        if (run !== null) this.#totals.leaves(run, this.#changes.last);
        this.#store.remove(place);
      }
    });
    for (const { startedAt } of runs) this.#counting.changed(startedAt);
  }

  #make(): void {
    if (!this.#ready) migrateAll(this.ctx.storage);
    this.#ready = true;
  }

  #apply(said: Report, measures = true): void {
    this.#make();
    // Also what a build says that does not count is counted as far as can be.
    const report = { ...said, saidAt: said.saidAt ?? 0 };
    const { told, known, delta } = this.#written(() => this.#write(report));
    if (told !== "nothing") this.#counting.changed(report.startedAt);
    if (told === "changed") this.#feed.changed(report.user);
    const measured = delta === null || !measures ? null : measuredOf(report, known, delta);
    if (measured !== null) this.#ports.measure?.(measured);
  }

  #write(report: Report): Applied & { readonly delta: Delta | null } {
    const applied = this.#store.apply(report);
    if (applied.told !== "changed") return { ...applied, delta: null };
    const delta = deltaOf(report, applied.known);
    const sums = this.#totals.add(report.workflow, delta);
    const n = this.#changes.add(report, Date.now(), sums, (old) => {
      this.#totals.overwrites(old, sums.label);
    });
    this.#totals.standsAt(sums.label, n);
    return { ...applied, delta };
  }

  /** Nobody hears of it. */
  #takeOver(report: Report): void {
    this.#make();
    const changed = this.#written(() => {
      const { told, known } = this.#store.apply(moved(report));
      this.#totals.takeOver(report, known, told !== "nothing", this.#changes.last);
      // Also where the row says more already: it is counted by both, once (`Totals.takeOver`).
      if (known !== null) this.#store.keepTally(report, tallyOf(moved(report), known));
      return told;
    });
    if (changed !== "nothing") this.#counting.changed(report.startedAt);
  }

  /** All of it, or nothing. */
  #written<T>(write: () => T): T {
    try {
      return this.ctx.storage.transactionSync(write);
    } catch (error) {
      this.#changes.rolledBack();
      this.#totals.rolledBack();
      throw error;
    }
  }

  /** Whether there is anything that this tenant may be told. */
  #isKnownTo(tenant: string): boolean {
    return this.#ready && this.#shardFor(tenant) !== null;
  }

  /** The number of this shard of the tenant's directory; null if it is another tenant's (T2). */
  #shardFor(tenant: string): number | null {
    const name = this.ctx.id.name ?? "";
    const shard = name.slice(name.lastIndexOf(":") + 1);
    if (name === objectName("directory", tenant, shard)) return Number(shard);
    this.#ports.log.error("directory_of_another_tenant", { tenant });
    return null;
  }
}

function migrateAll(storage: DurableObjectStorage): void {
  for (const schema of [DIRECTORY_SCHEMA, DIRECTORY_KEPT, DIRECTORY_SUMS]) migrate(storage, schema);
}
