/** What the database knows of keys: never a key. The only SQL about them. */
import { integer, integerOrNull, type Row, text } from "../platform/index.ts";

export interface KeyRecord {
  readonly kid: string;
  /** Sealed under the key itself. */
  readonly checkValue: string;
  /** Milliseconds since 1970, as the others. */
  readonly createdAt: number;
  readonly sealedAt: number | null;
  readonly droppedAt: number | null;
}

const COLUMNS = "kid, check_value, created_at, sealed_at, dropped_at";
const SELECT = `SELECT ${COLUMNS} FROM vault_keys WHERE kid = ?`;

/** Keeps the known answer of a key that has none yet; answers the record as it then stands, which may be another's. */
export async function ensureKey(
  db: D1Database,
  kid: string,
  checkValue: string,
  now: number,
): Promise<KeyRecord> {
  const record = last(
    await db.batch([
      db
        .prepare(
          "INSERT INTO vault_keys (kid, check_value, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(kid, checkValue, now),
      db.prepare(SELECT).bind(kid),
    ]),
  );
  if (record === null) throw new Error("A key that was kept in this transaction is not there.");
  return record;
}

/** Notes that the key seals, unless that was noted after `unlessAfter`; answers the record as it then stands, null if it is gone. */
export async function noteSealing(
  db: D1Database,
  kid: string,
  now: number,
  unlessAfter: number,
): Promise<KeyRecord | null> {
  return last(
    await db.batch([
      db
        .prepare(
          `UPDATE vault_keys SET sealed_at = ?
           WHERE kid = ? AND dropped_at IS NULL AND (sealed_at IS NULL OR sealed_at <= ?)`,
        )
        .bind(now, kid, unlessAfter),
      db.prepare(SELECT).bind(kid),
    ]),
  );
}

export async function selectKeys(db: D1Database): Promise<KeyRecord[]> {
  const { results } = await db.prepare(`SELECT ${COLUMNS} FROM vault_keys ORDER BY created_at, kid`).all();
  return results.map(toRecord);
}

/** False, and nothing written: something was sealed under the key after `unlessAfter`, or it is dropped already. */
export async function markDropped(
  db: D1Database,
  kid: string,
  now: number,
  unlessAfter: number,
): Promise<boolean> {
  const { meta } = await db
    .prepare(
      `UPDATE vault_keys SET dropped_at = ?
       WHERE kid = ? AND dropped_at IS NULL AND (sealed_at IS NULL OR sealed_at <= ?)`,
    )
    .bind(now, kid, unlessAfter)
    .run();
  return meta.changes === 1;
}

/** Takes back a mark that `markDropped` made at that moment. */
export async function unmarkDropped(db: D1Database, kid: string, droppedAt: number): Promise<void> {
  await db
    .prepare("UPDATE vault_keys SET dropped_at = NULL WHERE kid = ? AND dropped_at = ?")
    .bind(kid, droppedAt)
    .run();
}

function last(results: readonly D1Result[]): KeyRecord | null {
  const row = results.at(-1)?.results[0];
  return row === undefined ? null : toRecord(row as Row);
}

function toRecord(row: Row): KeyRecord {
  return {
    kid: text(row, "kid"),
    checkValue: text(row, "check_value"),
    createdAt: integer(row, "created_at"),
    sealedAt: integerOrNull(row, "sealed_at"),
    droppedAt: integerOrNull(row, "dropped_at"),
  };
}
