/**
 * Counts what the platform bills of one object: rows written, requests, alarms. It stands between the object and its
 * storage, so it sees every way to write: SQL, key-value entries, alarms, deleting all.
 *
 * Rows written by SQL are what SQLite itself counts (`rowsWritten`: table rows, index entries, rows of the schema). An
 * entry of the key-value part is one row, and so is setting an alarm (Cloudflare, "Durable Objects: pricing").
 * What `deleteAll` counts for is not documented; here it is one row for every row that is there.
 */
import { runInDurableObject } from "cloudflare:test";
import { integer, text } from "../../src/platform/index.ts";

export interface Counts {
  rows: number;
  /** Of `rows`: tables of the schema, and its version. */
  schemaRows: number;
  /** Of `rows`: alarms that were set. */
  alarmRows: number;
  /** Calls from outside. */
  calls: number;
  /** Alarms that fired. */
  alarms: number;
}

interface Patched {
  readonly storage: DurableObjectStorage;
  readonly counts: Counts;
}

/** Puts the meter between an object and its storage. To be called before the object does anything. */
export async function meter(stub: DurableObjectStub): Promise<Counts> {
  const counts: Counts = { rows: 0, schemaRows: 0, alarmRows: 0, calls: 0, alarms: 0 };
  await runInDurableObject(stub, (object, state) => {
    const patched = { storage: state.storage, counts };
    countSql(patched);
    countEntries(patched);
    countAlarms(patched);
    const alarm = object.alarm?.bind(object);
    object.alarm = async (...args) => {
      counts.alarms += 1;
      await alarm?.(...args);
    };
  });
  return counts;
}

function countSql({ storage, counts }: Patched): void {
  const { sql } = storage;
  const exec = sql.exec.bind(sql);
  sql.exec = <T extends Record<string, SqlStorageValue>>(
    query: string,
    ...values: unknown[]
  ): SqlStorageCursor<T> => {
    const statements = query.split(";").filter((statement) => statement.trim() !== "");
    // The cursor of several statements knows of the last one only.
    const cursors = statements.map((statement) => exec<T>(statement, ...values));
    const last = cursors.at(-1);
    if (last === undefined) throw new TypeError("there is no statement");
    const written = cursors.reduce((sum, cursor) => sum + cursor.rowsWritten, 0);
    counts.rows += written;
    if (query.includes("CREATE TABLE")) counts.schemaRows += written;
    return last;
  };
}

function countEntries({ storage, counts }: Patched): void {
  const { kv } = storage;
  const put = kv.put.bind(kv);
  const remove = kv.delete.bind(kv);
  kv.put = (key, value) => {
    counts.rows += 1;
    if (key === "schema") counts.schemaRows += 1;
    put(key, value);
  };
  kv.delete = (key) => {
    counts.rows += 1;
    if (key === "schema") counts.schemaRows += 1;
    return remove(key);
  };
}

function countAlarms({ storage, counts }: Patched): void {
  const setAlarm = storage.setAlarm.bind(storage);
  const deleteAll = storage.deleteAll.bind(storage);
  storage.setAlarm = (...args) => {
    counts.rows += 1;
    counts.alarmRows += 1;
    return setAlarm(...args);
  };
  storage.deleteAll = (...args) => {
    counts.rows += rowsThere(storage);
    return deleteAll(...args);
  };
}

function rowsThere({ sql, kv }: DurableObjectStorage): number {
  const tables = sql
    .exec("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\'")
    .toArray();
  const rows = tables.map((table) =>
    integer(sql.exec(`SELECT count(*) AS n FROM "${text(table, "name")}"`).one(), "n"),
  );
  return rows.reduce((sum, n) => sum + n, 0) + [...kv.list()].length;
}

/** List prices in US dollars, above what a plan includes (Cloudflare, "Durable Objects: pricing", October 2026). */
const DOLLARS = { perRow: 1 / 1e6, perRequest: 0.15 / 1e6, perGbSecond: 12.5 / 1e6 } as const;
/** What an object is billed for while it is active, whatever it uses: 128 MB. */
const BILLED_GB = 0.125;

/** @param activeS how long the object was active */
export function dollars({ rows, calls, alarms }: Counts, activeS: number): number {
  return (
    rows * DOLLARS.perRow + (calls + alarms) * DOLLARS.perRequest + activeS * BILLED_GB * DOLLARS.perGbSecond
  );
}
