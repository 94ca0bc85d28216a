import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { rateOf, shardsFor, tables } from "./model.ts";

describe("docs/scale.md", () => {
  test("holds the tables as they are worked out now (`npm run -s scale` prints them)", async () => {
    const page = await readFile(join(import.meta.dirname, "../../docs/scale.md"), "utf8");
    for (const table of tables().split("\n\n")) expect(page).toContain(table.trim());
  });

  test("agrees with itself: so many shards as a rate needs can hold that rate, and one less cannot", () => {
    for (const rate of [1, 10, 100, 500, 10_000]) {
      const { reports, bytes } = shardsFor(rate);
      const needed = Math.max(reports, bytes);
      expect(rateOf(needed)).toBeGreaterThanOrEqual(rate);
      if (needed > 1) expect(rateOf(needed - 1)).toBeLessThan(rate);
    }
  });
});
