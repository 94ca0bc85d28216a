/**
 * The newest changes of one directory object in its SQLite, a ring. All SQL about them stands here.
 *
 * C1 numbers are dense and rise; moments rise with them, each later than the one before, also where the clock went back.
 */
import { integer, type Row, text } from "../platform/index.ts";
import type { Place } from "./report.ts";

/** Changes that can still be read; a reader who was away for more is told to read the list. */
export const CHANGES_KEPT = 4_096;

export interface Change {
  readonly n: number;
  /** When it was heard of. */
  readonly at: number;
  readonly place: Place;
}

export interface Kept {
  /** The numbers of the oldest and the newest change that are kept. */
  readonly first: number;
  readonly last: number;
  /** When the newest was heard of. */
  readonly lastAt: number;
}

export class ChangesStore {
  readonly #sql: SqlStorage;
  /** Null until it was read. */
  #kept: Kept | null = null;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /**
   * Must stand in the transaction of what has changed. Answers its number.
   * @param sums of the workflow, which the row carries
   * @param overwrites what the ring forgets for it
   */
  add(
    { startedAt, id }: Place,
    now: number,
    sums: { readonly label: string; readonly body: string },
    overwrites: (n: number) => void,
  ): number {
    const { first, last, lastAt } = this.kept() ?? { first: now, last: now - 1, lastAt: now - 1 };
    const n = last + 1;
    const at = Math.max(now, lastAt + 1);
    overwrites(n - CHANGES_KEPT);
    this.#sql.exec(
      `INSERT INTO changes (slot, n, at, started_at, id, label, totals) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
       ON CONFLICT (slot) DO UPDATE SET n = ?2, at = ?3, started_at = ?4, id = ?5, label = ?6, totals = ?7`,
      n % CHANGES_KEPT,
      n,
      at,
      startedAt,
      id,
      sums.label,
      sums.body,
    );
    this.#kept = { first: Math.max(first, n - CHANGES_KEPT + 1), last: n, lastAt: at };
    return n;
  }

  /** Number of the newest change; 0: there was none. */
  get last(): number {
    return this.kept()?.last ?? 0;
  }

  /**
   * What is kept; null: nothing. The number of the first change ever is the time, so that a directory that was wiped does
   * not give out the same numbers again.
   */
  kept(): Kept | null {
    if (this.#kept !== null) return this.#kept;
    const row = this.#sql.exec("SELECT min(n) AS first, max(n) AS last, max(at) AS at FROM changes").one();
    if (row["first"] === null) return null;
    this.#kept = { first: integer(row, "first"), last: integer(row, "last"), lastAt: integer(row, "at") };
    return this.#kept;
  }

  /** To be called where a transaction was rolled back: memory may be ahead of it. */
  rolledBack(): void {
    this.#kept = null;
  }

  /** Changes after `n`, oldest first. */
  after(n: number, limit: number): Change[] {
    const kept = this.kept();
    const changes: Change[] = [];
    if (kept === null) return changes;
    for (let next = Math.max(n + 1, kept.first); next <= kept.last && changes.length < limit; next++) {
      const change = this.#get(next);
      if (change !== null) changes.push(change);
    }
    return changes;
  }

  /** Changes after `n` and later than a moment, oldest first. Reads one row for each, and one more. */
  later(moment: number, n: number): Change[] {
    const kept = this.kept();
    const changes: Change[] = [];
    if (kept === null) return changes;
    for (let next = kept.last; next >= Math.max(n + 1, kept.first); next--) {
      const change = this.#get(next);
      if (change === null) continue;
      if (change.at <= moment) break;
      changes.push(change);
    }
    return changes.toReversed();
  }

  #get(n: number): Change | null {
    const [row] = this.#sql
      .exec("SELECT n, at, started_at, id FROM changes WHERE slot = ?", n % CHANGES_KEPT)
      .toArray();
    return row === undefined || integer(row, "n") !== n ? null : toChange(row);
  }
}

function toChange(row: Row): Change {
  const place = { startedAt: integer(row, "started_at"), id: text(row, "id") };
  return { n: integer(row, "n"), at: integer(row, "at"), place };
}
