/** A class of objects that an entry of the tests does not export lets every check that builds this entry fail before it begins. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

const CLASSES = [...read("wrangler.toml").matchAll(/^\[exports\.(\w+)\]/gm)].map(([, name]) => name ?? "");
/** Those that run under the configuration of the product. */
const ENTRIES = ["src", "test/crash", "test/gameday", "test/workers"].map((room) => `${room}/worker.ts`);

test.each(ENTRIES)("%s exports every class of objects", (entry) => {
  expect(CLASSES).toContain("RunObject");
  const text = read(entry);
  expect(CLASSES.filter((name) => !new RegExp(`export class ${name}\\b`).test(text))).toEqual([]);
});
