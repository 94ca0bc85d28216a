/**
 * Schema of a Durable Object's SQLite: a list of migrations that only ever grows.
 *
 * - M1 a migration that was applied never changes: the checksum of all applied ones is stored, and a mismatch throws.
 * - M2 all that is missing is applied in one transaction, together with the new version.
 * - M3 looking at the version writes nothing, so an object that holds nothing stays without storage.
 * - M4 a database that a newer build has written is not touched.
 *
 * Rows are money: version and checksum are one entry of the object's key-value part, which costs one row and no table.
 * A database can have several schemas, each with an entry of its own, so that tables that few objects need are made only
 * there: a table costs two rows.
 */
import { crc32 } from "./digest.ts";

export interface Migration {
  /** 1, 2, 3, ... */
  readonly id: number;
  /** One or more statements. */
  readonly sql: string;
}

export interface Schema {
  /** Of its entry. */
  readonly key: string;
  readonly migrations: readonly Migration[];
  /** Of the first n migrations, at n. */
  readonly checksums: readonly number[];
}

/** The parts of a Durable Object's storage that are needed here. */
export type SqlStore = Pick<DurableObjectStorage, "sql" | "kv" | "transactionSync">;

/** The stored schema and the one in the code do not go together. */
export class SchemaError extends Error {
  override readonly name = "SchemaError";
  /** `schema_changed`: an applied migration was edited (M1). `schema_newer`: written by a newer build (M4). */
  readonly code: "schema_changed" | "schema_newer";

  constructor(code: SchemaError["code"], message: string) {
    super(message);
    this.code = code;
  }
}

/** PERSISTED CONTRACT. Entries of schemas begin with this; the schema without a name has nothing behind it. */
const SCHEMA_KEY = "schema";
interface Stored {
  readonly version: number;
  readonly checksum: number;
}

/**
 * Throws a TypeError if the ids are not 1, 2, 3, ...
 * @param name tells several schemas of one database apart
 */
export function defineSchema(migrations: readonly Migration[], name?: string): Schema {
  const checksums = [0];
  let text = "";
  for (const [index, { id, sql }] of migrations.entries()) {
    if (id !== index + 1) throw new TypeError(`Migration ${id} stands at place ${index + 1}.`);
    text += `${id}\n${sql}\n`;
    checksums.push(crc32(text));
  }
  return { key: name === undefined ? SCHEMA_KEY : `${SCHEMA_KEY}:${name}`, migrations, checksums };
}

/** Whether the schema was ever applied. Writes nothing (M3). */
export function hasSchema(storage: SqlStore, schema: Schema): boolean {
  return readStored(storage, schema) !== undefined;
}

/** Brings the database to the schema of the code, from nothing if need be. May stand inside a transaction of the caller. */
export function migrate(storage: SqlStore, schema: Schema): void {
  const stored = readStored(storage, schema);
  if (stored !== undefined) check(stored, schema);
  const latest = schema.migrations.length;
  if (stored?.version === latest) return;
  storage.transactionSync(() => {
    for (const { sql } of schema.migrations.slice(stored?.version ?? 0)) storage.sql.exec(sql);
    storage.kv.put<Stored>(schema.key, { version: latest, checksum: schema.checksums[latest] ?? 0 });
  });
}

/** Takes all tables away, of every schema, as if nothing had ever been applied. Dropping a table writes no rows, however many it holds. */
export function dropSchema(storage: SqlStore): void {
  storage.transactionSync(() => {
    const tables = storage.sql
      .exec("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\'")
      .toArray();
    for (const table of tables) storage.sql.exec(`DROP TABLE "${text(table, "name")}"`);
    for (const [key] of [...storage.kv.list({ prefix: SCHEMA_KEY })]) storage.kv.delete(key);
  });
}

/** The DDL of all tables and indexes, by name: what a test compares with the schema it expects. */
export function describeSchema(sql: SqlStorage): string[] {
  return sql
    .exec(
      "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\' ORDER BY name",
    )
    .toArray()
    .map((row) => text(row, "sql").replace(/\s+/g, " "));
}

function readStored(storage: SqlStore, schema: Schema): Stored | undefined {
  return storage.kv.get<Stored>(schema.key);
}

function check(stored: Stored, schema: Schema): void {
  const expected = schema.checksums[stored.version];
  if (expected === undefined) {
    throw new SchemaError(
      "schema_newer",
      `The database has schema ${stored.version}, this build knows ${schema.migrations.length}.`,
    );
  }
  if (expected !== stored.checksum) {
    throw new SchemaError(
      "schema_changed",
      `One of the first ${stored.version} migrations was changed after it had been applied.`,
    );
  }
}

/** A row as SQLite or D1 gives it. */
export type Row = Readonly<Record<string, unknown>>;

/** The text in a column. Throws a TypeError if something else is there: the query and its reader do not fit. */
export function text(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== "string") throw unexpected(column, "text", value);
  return value;
}

export function textOrNull(row: Row, column: string): string | null {
  return row[column] === null ? null : text(row, column);
}

export function integer(row: Row, column: string): number {
  const value = row[column];
  if (typeof value !== "number" || !Number.isSafeInteger(value))
    throw unexpected(column, "an integer", value);
  return value;
}

export function integerOrNull(row: Row, column: string): number | null {
  return row[column] === null ? null : integer(row, column);
}

function unexpected(column: string, wanted: string, value: unknown): TypeError {
  return new TypeError(
    `Column ${column} should hold ${wanted}, not ${value === undefined ? "nothing" : typeof value}.`,
  );
}
