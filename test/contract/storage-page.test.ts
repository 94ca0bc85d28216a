/** docs/storage.md says what is stored: a table that is not on it is one that nobody was told of. */
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

const ROOT = new URL("../../", import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, ROOT), "utf8");

const TABLES = readdirSync(new URL("migrations/", ROOT)).flatMap((file) =>
  [...read(`migrations/${file}`).matchAll(/^CREATE TABLE (\w+)/gm)].map(([, table]) => table ?? ""),
);
const ROWS = new Set([...read("docs/storage.md").matchAll(/^\| `(\w+)` \|/gm)].map(([, table]) => table));

test("every table of the database stands on the page of what is stored", () => {
  expect(TABLES).toContain("tenants");
  expect(TABLES.filter((table) => !ROWS.has(table))).toEqual([]);
});
