/** docs/storage.md says what is stored: a table that is not on it is one that nobody was told of. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

const TABLES = readdirSync(join(ROOT, "migrations")).flatMap((file) =>
  [...read(`migrations/${file}`).matchAll(/^CREATE TABLE (\w+)/gm)].map(([, table]) => table ?? ""),
);
const ROWS = new Set([...read("docs/storage.md").matchAll(/^\| `(\w+)` \|/gm)].map(([, table]) => table));

test("the newest migration is the one that the check of the deployment asks for", () => {
  const [newest] = readdirSync(join(ROOT, "migrations")).toSorted().toReversed();
  expect(read("src/api/routes-health.ts")).toContain(`LAST_MIGRATION = "${newest ?? ""}"`);
});

test("every table of the database stands on the page of what a restore brings back", () => {
  const [, after = ""] = read("docs/data.md").split("### After a restore");
  expect(TABLES.filter((table) => !after.includes(`\`${table}\``))).toEqual([]);
});

test("every table of the database stands on the page of what is stored", () => {
  expect(TABLES).toContain("tenants");
  expect(TABLES.filter((table) => !ROWS.has(table))).toEqual([]);
});
