/** Journals that earlier versions wrote fold to what they always did (K8). Files are only ever added: see `add.ts`. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  evolve,
  FACT_TYPES,
  fromSnapshot,
  toSnapshot,
  type RunState,
  type Snapshot,
} from "../../src/kernel/index.ts";
import { fold, foldFromSnapshot, JOURNALS, viewOf, type Golden } from "./golden.ts";

const goldens = readdirSync(JOURNALS)
  .filter((name) => name.endsWith(".json"))
  .map((name) => JSON.parse(readFileSync(join(JOURNALS, name), "utf8")) as Golden);

describe("golden journals", () => {
  test("are there, and every type of fact is in one of them", () => {
    const seen = new Set(goldens.flatMap(({ facts }) => facts.map((fact) => fact.t)));
    expect(FACT_TYPES.filter((type) => !seen.has(type))).toEqual([]);
    expect(goldens.length).toBeGreaterThanOrEqual(10);
  });

  test.for(goldens)("$title folds to what it always did", (golden) => {
    expect(viewOf(fold(null, golden.facts))).toEqual(golden.view);
  });

  test.for(goldens)("$title folds to the same from the snapshot that was stored then", (golden) => {
    expect(viewOf(foldFromSnapshot(golden))).toEqual(golden.view);
  });

  test.for(goldens)("$title folds to the same by way of a snapshot after every fact", (golden) => {
    let state: RunState | null = null;
    for (const fact of golden.facts) {
      const next: RunState | null = evolve(state, fact);
      state = next === null ? null : fromSnapshot(JSON.parse(JSON.stringify(toSnapshot(next))) as Snapshot);
    }
    expect(state === null ? null : viewOf(state)).toEqual(golden.view);
  });
});
