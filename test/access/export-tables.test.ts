/** Of every column of the database it is said whether it leaves with the export of a tenant. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { EXPORT_TABLES, NOT_EXPORTED } from "../../src/access/export-tables.ts";

const MIGRATIONS = join(import.meta.dirname, "../../migrations");
/** Names of what is sealed, a hash, a key's name, or makes one. */
const SECRET =
  /^(?:sealed|secret|secret_version|hash|.*_hash|verifier|kid|kids|account_mac|published|check_value)$/;

function columnsOf(): ReadonlyMap<string, readonly string[]> {
  const database = new DatabaseSync(":memory:");
  for (const file of readdirSync(MIGRATIONS).toSorted())
    database.exec(readFileSync(join(MIGRATIONS, file), "utf8"));
  const tables = database
    .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    .all() as { name: string }[];
  return new Map(
    tables.map(({ name }) => {
      const columns = database.prepare(`SELECT name FROM pragma_table_info('${name}')`).all();
      return [name, (columns as { name: string }[]).map((column) => column.name).toSorted()];
    }),
  );
}

const columns = columnsOf();

test("every table is exported, or it is said why not", () => {
  const said = [...EXPORT_TABLES.map(({ table }) => table), ...Object.keys(NOT_EXPORTED)];
  expect(said.toSorted()).toEqual([...columns.keys()].toSorted());
});

test.for(EXPORT_TABLES)("every column of $table is exported, or withheld", (spec) => {
  expect([...spec.columns, ...spec.withheld].toSorted()).toEqual(columns.get(spec.table));
  expect(spec.columns).toEqual(expect.arrayContaining([...spec.json]));
});

test.for(EXPORT_TABLES)(
  "nothing of $table that is sealed, a hash or of a key leaves",
  ({ table, columns }) => {
    // The thumbprint of a public key, which everybody may see.
    const allowed = table === "issuer_keys" ? ["kid"] : [];
    expect(columns.filter((column) => SECRET.test(column) && !allowed.includes(column))).toEqual([]);
  },
);
