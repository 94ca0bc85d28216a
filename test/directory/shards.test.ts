import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { comparePlaces, isNewer, type Listed } from "../../src/directory/report.ts";
import type { ShardPage } from "../../src/directory/rpc.ts";
import { MAX_SHARDS, mergePages, parseShards, placeOf, shardOf } from "../../src/directory/shards.ts";
import { randomId } from "../../src/platform/index.ts";

function listedRun(startedAt: number, id: string, seq = 1): Listed {
  return {
    ...{ id, workflow: "w", version: "1", user: null, started_by: "key:k", status: "running", paused: false },
    ...{ tags: [], parent: null, generation: 1, started_at: startedAt, ended_at: null, failure: null, seq },
  };
}

const byPlace = (a: Listed, b: Listed): number => comparePlaces(placeOf(a), placeOf(b));

/** A shard as the object answers: at most `limit` runs after a place, and at most `scan` looked at. */
function pageOf(runs: readonly Listed[], after: Listed | null, limit: number, scan: number): ShardPage {
  const rest = runs.filter((run) => after === null || byPlace(after, run) < 0).slice(0, scan);
  const page = rest.filter(({ status }) => status === "running").slice(0, limit);
  const full = page.length === limit ? page.at(-1) : rest.length === scan ? rest.at(-1) : undefined;
  return { runs: page, lookedTo: full === undefined ? null : placeOf(full) };
}

/** Few starts, so that many runs start at the same moment; some are passed over; some stand in two shards. */
const arbitraryRuns = fc.uniqueArray(
  fc.record({
    at: fc.nat(20),
    id: fc.stringMatching(/^[a-z]{1,3}$/),
    shard: fc.nat(3),
    fits: fc.boolean(),
    twin: fc.option(fc.nat(3), { nil: null }),
  }),
  { selector: ({ at, id }) => `${at} ${id}`, maxLength: 80 },
);

describe("pages of several shards", () => {
  test("are the whole list in its order, each run once, whatever shards, page sizes and scans", () => {
    fc.assert(
      fc.property(
        arbitraryRuns,
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 9 }),
        (made, limit, scan) => {
          const shards: Listed[][] = [[], [], [], []];
          const expected: Listed[] = [];
          for (const { at, id, shard, fits, twin } of made) {
            const run = { ...listedRun(at, id, 2), status: fits ? "running" : "failed" };
            shards[shard]?.push(run);
            // What is left in the shard where it was before: older, and its status may be as well.
            if (twin !== null && twin !== shard && fits) shards[twin]?.push(listedRun(at, id, 1));
            if (fits) expected.push(run);
          }
          for (const shard of shards) shard.sort(byPlace);
          const seen: Listed[] = [];
          let after: Listed | null = null;
          for (let pages = 0; ; pages++) {
            expect(pages).toBeLessThan(400);
            const page = mergePages(
              shards.map((runs) => pageOf(runs, after, limit, scan)),
              limit,
            );
            expect(page.runs.length).toBeLessThanOrEqual(limit);
            seen.push(...page.runs);
            if (page.next === null) break;
            after = listedRun(page.next.startedAt, page.next.id);
          }
          expect(seen).toEqual(expected.toSorted(byPlace));
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe("shards", () => {
  test("share runs evenly, and one holds all", () => {
    const ids = Array.from({ length: 8_000 }, () => randomId("run"));
    expect(new Set(ids.map((id) => shardOf(id, 1)))).toEqual(new Set([0]));
    const sizes = Object.values(Object.groupBy(ids, (id) => shardOf(id, 8))).map(
      (group) => group?.length ?? 0,
    );
    expect(sizes).toHaveLength(8);
    expect(Math.min(...sizes)).toBeGreaterThan(800);
    expect(Math.max(...sizes)).toBeLessThan(1_200);
  });

  test("stay where they are: ids that are stored are looked for by the same rule for ever", () => {
    expect(["run_a", "run_b", "run_c", "run_d"].map((id) => shardOf(id, 16))).toEqual([3, 9, 15, 12]);
  });

  test.each([["0"], ["65"], ["-1"], ["1.5"], ["many"], ["1e1"]])("are not %s", (variable) => {
    expect(() => parseShards(variable)).toThrow(TypeError);
  });

  test("are one unless said otherwise, and at most 64", () => {
    expect([undefined, "", "1", "64"].map(parseShards)).toEqual([1, 1, 1, MAX_SHARDS]);
  });
});

describe("of two reports", () => {
  test.each([
    [{ version: 4, leaseAt: 5 }, { version: 3, leaseAt: 9 }, true],
    [{ version: 3, leaseAt: 9 }, { version: 4, leaseAt: 5 }, false],
    [{ version: 3, leaseAt: 9 }, { version: 3, leaseAt: 5 }, true],
    [{ version: 3, leaseAt: 5 }, { version: 3, leaseAt: 5 }, false],
    [{ version: 3, leaseAt: null }, { version: 3, leaseAt: 5 }, true],
    [{ version: 3, leaseAt: 5 }, { version: 3, leaseAt: null }, false],
    [{ version: 3, leaseAt: null }, { version: 3, leaseAt: null }, false],
  ])("%o is newer than %o: %s", (report, known, newer) => {
    expect(isNewer(report, known)).toBe(newer);
  });
});
