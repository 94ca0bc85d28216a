/**
 * All that a deployment has stored, as text: the database and every object, as they stand on disk. The server must be dead.
 * Dumps of earlier versions stand in test/replay/dumps, and are read for ever.
 */
import { createHash, createHmac } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { deserialize } from "node:v8";
import type { Json } from "../../src/kernel/index.ts";
import { OBJECT_KINDS } from "../../src/platform/ids.ts";
import type { ObjectDump, StateDump, Table } from "../replay/stored.ts";
import { BINDINGS, CLASSES, DEPLOYMENT, type Binding } from "./mixed.ts";

/** Ids by which objects are named, wherever they stand in what was stored. */
const IDS = /(?:run|conn|hook|ep)_[0-9a-hjkmnp-tv-z]{26}/g;

/** @param names of objects that are not named by an id: of workflows, events, schedules */
export function dumpState(state: string, tenant: string, names: readonly string[]): StateDump {
  const database = dumpDatabase(state);
  const raw = BINDINGS.flatMap((binding) => dumpClass(state, binding));
  const known = new Set([...names, ...(JSON.stringify([database, raw]).match(IDS) ?? [])]);
  const objects = raw.map(({ id, ...object }): ObjectDump => {
    const kind = OBJECT_KINDS.find((one) => one === object.binding.toLowerCase()) ?? "";
    const name = [...known]
      .map((one) => `${kind}:${tenant}:${one}`)
      .find((one) => idOf(object.binding, one) === id);
    if (name === undefined) throw new Error(`There is a ${kind} object whose name is not known: ${id}`);
    return { ...object, name };
  });
  return {
    database,
    objects: objects.toSorted((a, b) => (a.binding + a.name < b.binding + b.name ? -1 : 1)),
  };
}

function dumpDatabase(state: string): Table[] {
  const folder = join(state, "v3/d1/miniflare-D1DatabaseObject");
  const [file, ...more] = idsIn(folder);
  if (file === undefined || more.length > 0) throw new Error(`There is no one database in ${folder}.`);
  return opened(join(folder, `${file}.sqlite`), (database) => tablesOf(database));
}

function dumpClass(
  state: string,
  binding: Binding,
): (Omit<ObjectDump, "name" | "binding"> & { readonly id: string; readonly binding: Binding })[] {
  const folder = join(state, "v3/do", `${DEPLOYMENT}-${CLASSES[binding]}`);
  const alarms = existsSync(join(folder, "metadata.sqlite"))
    ? opened(join(folder, "metadata.sqlite"), (database) =>
        rowsOf(database, "SELECT * FROM _cf_ALARM").map(
          ([id, ns]) => [String(id), Number(BigInt(ns ?? 0) / 1_000_000n)] as const,
        ),
      )
    : [];
  const at = new Map(alarms);
  return idsIn(folder)
    .map((id) =>
      opened(join(folder, `${id}.sqlite`), (database) => ({
        ...{ id, binding, tables: tablesOf(database), kv: kvOf(database), alarm: at.get(id) ?? null },
      })),
    )
    .filter(({ tables, kv }) => tables.length > 0 || Object.keys(kv).length > 0);
}

function idsIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((name) =>
    /^[0-9a-f]{64}\.sqlite$/.test(name) ? [name.slice(0, 64)] : [],
  );
}

function opened<T>(file: string, work: (database: DatabaseSync) => T): T {
  const database = new DatabaseSync(file);
  try {
    return work(database);
  } finally {
    database.close();
  }
}

function tablesOf(database: DatabaseSync): Table[] {
  const made = rowsOf(
    database,
    "SELECT name, tbl_name, sql, type FROM sqlite_master WHERE sql IS NOT NULL AND name NOT GLOB '_cf_*' AND name NOT GLOB 'sqlite_*' AND tbl_name NOT GLOB '_cf_*' ORDER BY rowid",
  );
  return made
    .filter(([, , , type]) => type === "table")
    .map(([name]) => {
      const columns = rowsOf(database, `SELECT name FROM pragma_table_info('${String(name)}')`).map(([one]) =>
        String(one),
      );
      return {
        name: String(name),
        ddl: made.filter(([, table]) => table === name).map(([, , sql]) => String(sql)),
        columns,
        rows: rowsOf(
          database,
          `SELECT ${columns.map((one) => `"${one}"`).join(", ")} FROM "${String(name)}"`,
        ).map((row) => row.map((cell) => (typeof cell === "bigint" ? Number(cell) : cell))),
      };
    });
}

function rowsOf(database: DatabaseSync, sql: string): (string | number | bigint | null)[][] {
  const statement = database.prepare(sql);
  statement.setReadBigInts(true);
  return statement.all().map((row) =>
    Object.values(row).map((cell) => {
      if (cell instanceof Uint8Array)
        throw new TypeError(`There are bytes in ${sql}: this has no text form.`);
      return typeof cell === "bigint" && Number.isSafeInteger(Number(cell)) ? Number(cell) : cell;
    }),
  );
}

function kvOf(database: DatabaseSync): Record<string, Json> {
  const has = database.prepare("SELECT 1 FROM sqlite_master WHERE name = '_cf_KV'").all();
  if (has.length === 0) return {};
  const rows = database.prepare("SELECT key, value FROM _cf_KV ORDER BY key").all();
  return Object.fromEntries(
    rows.map(({ key, value }) => {
      const read: unknown = value instanceof Uint8Array ? deserialize(value) : value;
      const text = JSON.stringify(read);
      return [String(key), JSON.parse(text) as Json];
    }),
  );
}

/** As the platform derives the id of an object from its name, locally. */
function idOf(binding: Binding, name: string): string {
  const key = createHash("sha256").update(`${DEPLOYMENT}-${CLASSES[binding]}`).digest();
  const hmac = (data: string | Buffer): Buffer =>
    createHmac("sha256", key).update(data).digest().subarray(0, 16);
  const first = hmac(name);
  return Buffer.concat([first, hmac(first)]).toString("hex");
}
