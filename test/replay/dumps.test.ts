/** Golden data of earlier versions is there, and what it says of its tables still holds. What is done with it: test/workers/golden.test.ts. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, test } from "vitest";
import type { Schema } from "../../src/platform/index.ts";
import { CHANGED_COLUMNS } from "./changed-columns.ts";
import type { Cell, Golden, Table } from "./stored.ts";

const ROOT = join(import.meta.dirname, "../..");
const MIGRATIONS = readdirSync(join(ROOT, "migrations"))
  .filter((name) => name.endsWith(".sql"))
  .toSorted();
const DUMPS = join(import.meta.dirname, "dumps");
const goldens = readdirSync(DUMPS)
  .map((name) => JSON.parse(readFileSync(join(DUMPS, name), "utf8")) as Golden)
  .toSorted((a, b) => (a.migration < b.migration ? -1 : 1));
const TODO = "Run `npm run golden`, and commit what it adds to test/replay/dumps.";

/** Schemas of objects, wherever they are defined: by file, with the key of their entry and their checksums. */
async function schemas(): Promise<(Pick<Schema, "key" | "checksums"> & { readonly file: string })[]> {
  const files = readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" }).filter(
    (file) => file.endsWith(".ts") && file !== join("platform", "sql.ts"),
  );
  const found: (Pick<Schema, "key" | "checksums"> & { readonly file: string })[] = [];
  for (const file of files) {
    if (!readFileSync(join(ROOT, "src", file), "utf8").includes("defineSchema(")) continue;
    const module = (await import(join(ROOT, "src", file))) as Readonly<Record<string, unknown>>;
    const here = Object.values(module).filter(isSchema);
    if (here.length === 0) throw new Error(`src/${file} defines a schema and does not export it: ${TODO}`);
    found.push(...here.map(({ key, checksums }) => ({ key, checksums, file })));
  }
  return found;
}

function isSchema(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && "migrations" in value && "checksums" in value;
}

/** The entries of schemas in what was stored: key, version, checksum. */
function entriesOf({ objects }: Golden) {
  return objects.flatMap(({ binding, kv }) =>
    Object.entries(kv).flatMap(([key, value]) => {
      if (!key.startsWith("schema") || typeof value !== "object" || value === null) return [];
      const { version, checksum } = value as unknown as { version: number; checksum: number };
      return [{ binding, key, version, checksum }];
    }),
  );
}

function migrated(database: DatabaseSync, names: readonly string[]): void {
  for (const name of names) database.exec(readFileSync(join(ROOT, "migrations", name), "utf8"));
}

function columnsOf(database: DatabaseSync, table: string): string[] {
  return database
    .prepare(`SELECT name FROM pragma_table_info('${table}')`)
    .all()
    .map(({ name }) => String(name));
}

/** Writes the rows that the database has a place for. */
function fill(database: DatabaseSync, tables: readonly Table[]): Table[] {
  const written: Table[] = [];
  database.exec("PRAGMA foreign_keys = off");
  for (const { name, ddl, columns, rows } of tables) {
    const has = columnsOf(database, name);
    const kept = columns.flatMap((column, at) => (has.includes(column) ? [{ column, at }] : []));
    if (kept.length === 0) continue;
    const names = kept.map(({ column }) => column);
    const insert = database.prepare(
      `INSERT OR REPLACE INTO "${name}" (${names.map((one) => `"${one}"`).join(", ")}) VALUES (${names.map(() => "?").join(", ")})`,
    );
    const cut = rows.map((row): Cell[] => kept.map(({ at }) => row[at] ?? null));
    for (const row of cut) insert.run(...row);
    written.push({ name, ddl, columns: names, rows: cut });
  }
  database.exec("PRAGMA foreign_keys = on");
  return written;
}

describe("golden data", () => {
  test("is there of every version of the database but the newest: a migration comes with data of what was before it", () => {
    const newest = goldens.at(-1)?.migration ?? "";
    const uncovered = MIGRATIONS.filter((name) => name > newest);
    expect({ uncovered: uncovered.slice(0, -1), TODO }).toEqual({ uncovered: [], TODO });
  });

  test("is there of every schema of an object, up to the one before its newest", async () => {
    const stored = goldens.flatMap(entriesOf);
    const missing = (await schemas()).filter(({ key, checksums }) => {
      const latest = checksums.length - 1;
      // One that has no predecessor has nothing to be read.
      return (
        latest > 1 &&
        !stored.some((entry) => entry.key === key && entry.checksum === checksums[latest - 1]) &&
        !stored.some((entry) => entry.key === key && entry.checksum === checksums[latest])
      );
    });
    expect({ missing, TODO }).toEqual({ missing: [], TODO });
  });

  test.for(goldens)(
    "of $version ($migration) has schemas that today's code has not changed behind their version",
    async (golden) => {
      const known = await schemas();
      const entries = entriesOf(golden);
      expect(entries.length).toBeGreaterThan(10);
      const changed = entries.filter(
        ({ key, version, checksum }) =>
          !known.some((one) => one.key === key && one.checksums[version] === checksum),
      );
      expect(changed).toEqual([]);
    },
  );

  test.for(MIGRATIONS.map((name, at) => [name, at] as const))(
    "at migration %s: every row is still there after the newest, and what was in it is as it was",
    ([name, at]) => {
      const golden = goldens.find(({ migration }) => migration >= name) ?? goldens.at(-1);
      if (golden === undefined) throw new Error(TODO);
      const database = new DatabaseSync(":memory:");
      migrated(database, MIGRATIONS.slice(0, at + 1));
      const written = fill(database, golden.database);
      expect(written.length).toBeGreaterThan(2);
      migrated(database, MIGRATIONS.slice(at + 1));
      expect(database.prepare("PRAGMA foreign_key_check").all()).toEqual([]);
      const changed = new Set(MIGRATIONS.slice(at + 1).flatMap((later) => CHANGED_COLUMNS[later] ?? []));
      for (const { name: table, columns, rows } of written) {
        const now = columnsOf(database, table);
        const same = columns.filter((column) => now.includes(column) && !changed.has(`${table}.${column}`));
        const gone = columns.filter((column) => !now.includes(column) && !changed.has(`${table}.${column}`));
        expect([table, gone]).toEqual([table, []]);
        const read = database
          .prepare(`SELECT ${same.map((one) => `"${one}"`).join(", ")} FROM "${table}"`)
          .all();
        const texts = read.map((row) => JSON.stringify(Object.values(row)));
        const wanted = rows.map((row) =>
          JSON.stringify(same.map((column) => row[columns.indexOf(column)] ?? null)),
        );
        expect(texts.toSorted()).toEqual(expect.arrayContaining(wanted));
      }
      database.close();
    },
  );
});
