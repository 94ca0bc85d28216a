/**
 * The journal of one run in its object's SQLite. All SQL of the journal stands here.
 *
 * J1 a turn is one row in one transaction, together with its outbox rows and, now and then, a snapshot.
 * J2 a text longer than `CHUNK_FROM` never stands in a row, nor does a value for which the row has no room left: it is
 *    cut into parts of `chunks`. So no row comes near what the platform holds, however much one turn decides.
 * J3 no part ends between the halves of a surrogate pair.
 * J4 every text of facts, values and snapshots passes through `Texts`, which seals those of a confidential run. Limits are
 *    those of the text as it is stored. J5: what was scrubbed holds nothing that would have to be sealed.
 */

import type { JournalPort, Loaded, Row } from "../driver/index.ts";
import { evolveAll, toSnapshot, type Fact, type RunState, type Snapshot } from "../kernel/index.ts";
import { crashPoint, hasSchema, integer, migrate, text, textOrNull } from "../platform/index.ts";
import { piecesOf } from "./pieces.ts";
import { LONG_SCHEMA } from "./schema.ts";
import type { Texts } from "./texts.ts";

/** UTF-16 units; short rows keep the fold fast. */
const CHUNK_FROM = 65_536;
/**
 * Facts and values of one row in UTF-8. A row of an object holds 2 MB (Durable Objects: limits), and to read one value
 * all values of its row are parsed.
 */
const ROW_BYTES = 524_288;
/** At most 1 MiB in UTF-8, whatever the characters. */
const CHUNK_CHARS = 349_525;
/** Where the facts of a turn stand in `chunks`. */
const FACTS_SLOT = -1;
/** Of `null,`: what a value costs its row that does not stand in it. */
const NULL_BYTES = 5;
/** Rows that are in memory at a time. */
const REWRITTEN_AT_ONCE = 64;
const UTF8 = new TextEncoder();

export interface JournalStore extends JournalPort {
  /** Rows that begin at or before `after + 1` and later ones, so that every fact after `after` is among them. */
  after(after: number, limit: number): Row[];
  /**
   * Rewrites every fact, in order; all values go, and nothing that is left is sealed (J5). To be called in a transaction; whoever has
   * read from the journal before has to read anew.
   */
  rewrite(change: (fact: Fact) => Fact): void;
}

/**
 * @param alongside what else must be written with the facts, in the same transaction; null: nothing
 */
export function createJournalStore(
  storage: DurableObjectStorage,
  texts: Texts,
  alongside: (row: Row, after: RunState) => (() => void) | null,
): JournalStore {
  const { sql } = storage;

  const putParts = (seq: number, slot: number, body: string): void => {
    migrate(storage, LONG_SCHEMA);
    let part = 0;
    for (const piece of piecesOf(body, CHUNK_CHARS))
      sql.exec("INSERT INTO chunks (seq, slot, part, body) VALUES (?, ?, ?, ?)", seq, slot, part++, piece);
  };

  const getParts = (seq: number, slot: number): string =>
    sql
      .exec("SELECT body FROM chunks WHERE seq = ? AND slot = ? ORDER BY part", seq, slot)
      .toArray()
      .map((row) => text(row, "body"))
      .join("");

  const factsOf = (seq: number, inline: string | null): Fact[] =>
    JSON.parse(texts.read(["facts", seq], inline ?? getParts(seq, FACTS_SLOT))) as Fact[];

  /** Those of the row that was read last: a list of steps asks for one value of a row after the other. */
  let lately: { readonly seq: number; readonly values: readonly (string | null)[] } | null = null;

  const valuesOf = (seq: number): readonly (string | null)[] => {
    if (lately?.seq !== seq) {
      const [row] = sql.exec("SELECT vals FROM turns WHERE seq = ?", seq).toArray();
      const vals = row === undefined ? null : textOrNull(row, "vals");
      lately = { seq, values: vals === null ? [] : (JSON.parse(vals) as (string | null)[]) };
    }
    return lately.values;
  };

  const readSnapshot = (seq: number, body: string): Loaded["snapshot"] => ({
    seq,
    state: JSON.parse(texts.read(["snapshot", seq], body)) as Snapshot,
  });

  const readRow = (row: Record<string, SqlStorageValue>): Row => {
    const seq = integer(row, "seq");
    return { seq, at: integer(row, "at"), facts: factsOf(seq, textOrNull(row, "facts")), values: [] };
  };

  return {
    load(): Loaded {
      const parts = hasSchema(storage, LONG_SCHEMA)
        ? sql.exec("SELECT seq, body FROM snapshots ORDER BY part").toArray()
        : [];
      const [first] = parts;
      const snapshot =
        first === undefined
          ? null
          : readSnapshot(integer(first, "seq"), parts.map((part) => text(part, "body")).join(""));
      const rows = sql
        .exec("SELECT seq, at, facts FROM turns WHERE seq >= ? ORDER BY seq", snapshot?.seq ?? 0)
        .toArray();
      return { snapshot, rows: rows.map(readRow) };
    },

    append(row: Row, after: RunState, snapshot: Snapshot | null): void {
      const facts = texts.write(["facts", row.seq], JSON.stringify(row.facts));
      const values = row.values.map((value, slot) => texts.write(["value", row.seq, slot], value));
      const long = facts.length > CHUNK_FROM;
      const inline = inlineValues(values, ROW_BYTES - (long ? 0 : byteLength(facts)));
      const more = alongside(row, after);
      const insert = (): void => {
        sql.exec(
          "INSERT INTO turns (seq, at, facts, vals) VALUES (?, ?, ?, ?)",
          row.seq,
          row.at,
          long ? null : facts,
          values.length === 0 ? null : `[${inline.map((value) => value ?? "null").join(",")}]`,
        );
      };
      if (CRASH_POINTS) crashPoint("crash-point:turn-decided");
      // Mostly there is one row to write, and a statement is a transaction by itself.
      if (!long && !inline.includes(null) && snapshot === null && more === null) insert();
      else
        storage.transactionSync(() => {
          insert();
          if (long) putParts(row.seq, FACTS_SLOT, facts);
          values.forEach((value, slot) => {
            if (inline[slot] === null) putParts(row.seq, slot, value);
          });
          if (snapshot !== null) {
            const seq = row.seq + row.facts.length;
            replaceSnapshot(storage, seq, texts.write(["snapshot", seq], JSON.stringify(snapshot)));
          }
          more?.();
        });
      if (CRASH_POINTS) {
        crashPoint("crash-point:turn-appended");
        void storage.sync().then(() => {
          crashPoint("crash-point:turn-durable");
        });
      }
    },

    value(seq: number, slot: number): string {
      return texts.read(["value", seq, slot], valuesOf(seq)[slot] ?? getParts(seq, slot));
    },

    after(after: number, limit: number): Row[] {
      const [start] = sql.exec("SELECT max(seq) AS seq FROM turns WHERE seq <= ?", after + 1).toArray();
      const from = start === undefined || start["seq"] === null ? 0 : integer(start, "seq");
      return sql
        .exec("SELECT seq, at, facts FROM turns WHERE seq >= ? ORDER BY seq LIMIT ?", from, limit)
        .toArray()
        .map(readRow);
    },

    rewrite(change): void {
      const hasLong = hasSchema(storage, LONG_SCHEMA);
      const hadSnapshot = hasLong && sql.exec("SELECT 1 FROM snapshots LIMIT 1").toArray().length > 0;
      let state: RunState | null = null;
      let next = 0;
      for (;;) {
        const rows = sql
          .exec(
            "SELECT seq, at, facts FROM turns WHERE seq >= ? ORDER BY seq LIMIT ?",
            next,
            REWRITTEN_AT_ONCE,
          )
          .toArray()
          .map(readRow);
        for (const row of rows) {
          const facts = row.facts.map(change);
          state = evolveAll(state, facts);
          next = row.seq + facts.length;
          const body = JSON.stringify(facts);
          const long = body.length > CHUNK_FROM;
          if (hasLong) sql.exec("DELETE FROM chunks WHERE seq = ?", row.seq);
          sql.exec("UPDATE turns SET facts = ?, vals = NULL WHERE seq = ?", long ? null : body, row.seq);
          if (long) putParts(row.seq, FACTS_SLOT, body);
        }
        if (rows.length < REWRITTEN_AT_ONCE) break;
      }
      lately = null;
      if (hadSnapshot && state !== null) replaceSnapshot(storage, next, JSON.stringify(toSnapshot(state)));
    },
  };
}

function replaceSnapshot(storage: DurableObjectStorage, seq: number, body: string): void {
  const { sql } = storage;
  migrate(storage, LONG_SCHEMA);
  sql.exec("DELETE FROM snapshots");
  let part = 0;
  for (const piece of piecesOf(body, CHUNK_CHARS))
    sql.exec("INSERT INTO snapshots (part, seq, body) VALUES (?, ?, ?)", part++, seq, piece);
}

/** The JSON text of each value as it stands in `vals`, or null where it stands in `chunks` (J2). */
function inlineValues(values: readonly string[], room: number): (string | null)[] {
  let left = room - values.length * NULL_BYTES;
  return values.map((value) => {
    if (value.length > CHUNK_FROM) return null;
    const text = JSON.stringify(value);
    const bytes = byteLength(text);
    if (bytes > left) return null;
    left -= bytes;
    return text;
  });
}

/** Length in UTF-8. */
function byteLength(text: string): number {
  return UTF8.encode(text).length;
}
