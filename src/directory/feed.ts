/**
 * The feed of one directory object: which runs have changed since a place, and waiting for the first that does.
 *
 * Owns: its readers, and what a place means. For one who may see all runs it is the number of the last change that was
 * seen. For one who may see only a user's runs it is a moment: numbers would count what others do.
 *
 * F1 what a reader of one user's runs is told, and when, follows from these runs and the clock: others' changes give it
 *    no place, no page, and no `gap` but where more than CHANGES_KEPT of them came within OWN_KEPT_MS.
 * F2 nothing is missed without a `gap`. A change can come twice.
 */
import { Watchers } from "../platform/index.ts";
import { type Change, CHANGES_KEPT, type ChangesStore, type Kept } from "./changes-store.ts";
import { listed, type Report } from "./report.ts";
import type { ChangedRun, ChangesQuery, ShardChanges } from "./rpc.ts";
import type { RunsStore } from "./runs-store.ts";

const MAX_CHANGES_PER_PAGE = 100;
/**
 * For how long a reader of one user's runs can be away. A directory that is within its scale (20 reports a second,
 * docs/scale.md) has written over nothing by then; so what is asked for later is always a `gap`, and none tells of others.
 */
export const OWN_KEPT_MS = 3 * 60_000;
/** How much behind the clock a place stays that follows from it: an object may wake where the clock is behind. */
const CLOCK_SLACK_MS = 5_000;

type Asked = Pick<ChangesQuery, "after" | "limit" | "waitMs">;

/** A change, with the run as it stands now. */
interface Found extends Change {
  readonly report: Report;
}

export class Feed {
  readonly #runs: RunsStore;
  readonly #changes: ChangesStore;
  readonly #isReady: () => boolean;
  readonly #watchers = new Watchers();
  /** The newest change of this life. */
  #newest: { readonly n: number; readonly user: string | null } | null = null;

  /** @param isReady whether the tables are there: a directory that was told nothing has none */
  constructor(runs: RunsStore, changes: ChangesStore, isReady: () => boolean) {
    this.#runs = runs;
    this.#changes = changes;
    this.#isReady = isReady;
  }

  /** To be called after a change was written. */
  changed(user: string | null): void {
    this.#newest = { n: this.#kept()?.last ?? 0, user };
    this.#watchers.notify();
  }

  async ofAll({ after, limit, waitMs }: Asked): Promise<ShardChanges> {
    const last = (): number => this.#kept()?.last ?? 0;
    const since = after ?? last();
    await this.#watchers.until(() => last() !== since, waitMs);
    const kept = this.#kept();
    if (kept === null) return { changes: [], next: 0, gap: since !== 0 };
    // 0: there was nothing when the reader began, so nothing is missed unless changes were written over.
    const missed = since === 0 ? isFull(kept) : since < kept.first - 1;
    if (missed || since > kept.last) return { changes: [], next: kept.last, gap: true };
    const found = this.#changes.after(since, most(limit));
    const changes = onceEach(found.flatMap((change) => this.#withRun(change)));
    return { changes, next: found.at(-1)?.n ?? since, gap: false };
  }

  async ofUser(user: string, { after, limit, waitMs }: Asked): Promise<ShardChanges> {
    const now = Date.now();
    // What changed in this very millisecond comes once too often rather than not at all.
    const begin = now - 1;
    const since = after ?? begin;
    const kept = this.#kept();
    if (since < now - OWN_KEPT_MS || since > now + CLOCK_SLACK_MS || this.#isLost(kept, since))
      return { changes: [], next: begin, gap: true };
    let found = this.#ownSince(user, since, -1);
    if (found.length === 0 && waitMs > 0) {
      const seen = kept?.last ?? -1;
      let moved = false;
      await this.#watchers.until(() => {
        moved ||= this.#newest !== null && this.#newest.n > seen && this.#newest.user === user;
        return moved;
      }, waitMs);
      if (moved) found = this.#ownSince(user, since, seen);
    }
    const page = found.slice(0, most(limit));
    const lastAt = page.at(-1)?.at ?? since;
    const next = page.length < found.length ? lastAt : Math.max(lastAt, Date.now() - CLOCK_SLACK_MS);
    return { changes: onceEach(page), next, gap: false };
  }

  #ownSince(user: string, since: number, n: number): Found[] {
    if (!this.#isReady()) return [];
    return this.#changes
      .later(since, n)
      .flatMap((change) => this.#withRun(change))
      .filter(({ report }) => report.user === user);
  }

  /** Nothing for a run that is not listed any more. */
  #withRun(change: Change): Found[] {
    const report = this.#runs.get(change.place);
    return report === null ? [] : [{ ...change, report }];
  }

  /** Whether changes later than this may have been written over. */
  #isLost(kept: Kept | null, since: number): boolean {
    return kept !== null && isFull(kept) && (this.#changes.after(kept.first - 1, 1)[0]?.at ?? 0) > since;
  }

  #kept(): Kept | null {
    return this.#isReady() ? this.#changes.kept() : null;
  }
}

function isFull({ first, last }: Kept): boolean {
  return last - first + 1 >= CHANGES_KEPT;
}

function most(limit: number): number {
  return Math.min(limit, MAX_CHANGES_PER_PAGE);
}

/** Each run once, where it changed last. */
function onceEach(found: readonly Found[]): ChangedRun[] {
  const byRun = new Map<string, ChangedRun>();
  for (const { at, report } of found) {
    byRun.delete(report.id);
    byRun.set(report.id, { at, run: listed(report) });
  }
  return [...byRun.values()];
}
