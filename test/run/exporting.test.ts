/** An export is whole: what is folded from it alone is the state of the run. And what is withheld is nowhere in it. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Row } from "../../src/driver/index.ts";
import { toSnapshot, type Fact, type Json, type Value } from "../../src/kernel/index.ts";
import { exportBatch, type ExportSource } from "../../src/run/exporting.ts";
import type { ExportBatch } from "../../src/run/rpc.ts";
import { fold, JOURNALS, viewOf, type Golden } from "../replay/golden.ts";
import { readExport } from "./read-export.ts";

const goldens = readdirSync(JOURNALS)
  .filter((name) => name.endsWith(".json"))
  .map((name) => JSON.parse(readFileSync(join(JOURNALS, name), "utf8")) as Golden);

const ALL = { outputs: true, reveal: true } as const;
const SECRET = "mark-of-what-is-withheld";

/** A journal in memory: rows of three facts, so that batches end within rows, too. */
function journalOf(
  facts: readonly Fact[],
  values: Readonly<Record<string, string>> = {},
): ExportSource["journal"] {
  const rows: Row[] = [];
  for (let i = 0; i < facts.length; i += 3)
    rows.push({ seq: i + 1, at: 0, facts: facts.slice(i, i + 3), values: [] });
  return {
    after: (after, limit) => {
      const from = rows.findLast((row) => row.seq <= after + 1)?.seq ?? 0;
      return rows.filter((row) => row.seq >= from).slice(0, limit);
    },
    value: (seq, slot) => values[`${seq}.${slot}`] ?? '"a value"',
  };
}

function exported(source: ExportSource, through: number): { text: string; batches: ExportBatch[] } {
  const batches: ExportBatch[] = [];
  for (let from: ExportBatch["next"] = null; ;) {
    const batch: ExportBatch = exportBatch(source, from, through);
    batches.push(batch);
    from = batch.next;
    if (from === null) return { text: batches.map(({ text }) => text).join(""), batches };
  }
}

describe("an export of which nothing is withheld", () => {
  test.for(goldens)("of $title folds to the state of the run", ({ facts, view }) => {
    const state = fold(null, facts);
    const { text } = exported({ journal: journalOf(facts), state, hiding: ALL }, facts.length);
    const read = readExport(text);
    expect(read.facts).toHaveLength(facts.length);
    const folded = fold(null, read.facts);
    expect(viewOf(folded)).toEqual(view);
    expect(toSnapshot(folded)).toEqual(JSON.parse(JSON.stringify(toSnapshot(state))));
  });

  test.for(goldens)("of $title has every value that its facts name, each once", ({ facts }) => {
    const state = fold(null, facts);
    const refs = new Set(JSON.stringify(facts).match(/"ref":\[\d+,\d+\]/g));
    const { text } = exported({ journal: journalOf(facts), state, hiding: ALL }, facts.length);
    // Rows of these journals were cut anew, so only values whose row begins where it did are looked at.
    const named = [...refs].filter((ref) => (Number(/\d+/.exec(ref)?.[0]) - 1) % 3 === 0);
    const { values } = readExport(text);
    for (const ref of named)
      expect(values.filter((value) => `"ref":${JSON.stringify(value.ref)}` === ref)).toHaveLength(1);
  });

  test("ends at the fact that was the last when it began", () => {
    const [golden] = goldens;
    const facts = golden?.facts ?? [];
    const source = { journal: journalOf(facts), state: fold(null, facts), hiding: ALL };
    expect(readExport(exported(source, 3).text).facts).toEqual(JSON.parse(JSON.stringify(facts.slice(0, 3))));
  });
});

/** A run whose one step gave `values` in one row. */
function wide(values: readonly string[], marks: { readonly sensitive?: true; readonly input?: Json } = {}) {
  const { graph, ...start } = first();
  const step = { ...stepOf("read"), ...(marks.sensitive === undefined ? {} : { sensitive: true }) };
  const list: Value = {
    list: values.map((value, slot) => ({ ref: [4, slot], bytes: value.length }) as const),
  };
  const facts: Fact[] = [
    { ...start, graph: { ...graph, steps: [step], sensitive: ["input"] }, input: { v: marks.input ?? null } },
    { t: "ready", at: 1, step: "read", digest: "d" },
    { t: "started", at: 1, step: "read", attempt: 1, deadline: 99, version: "v" },
    { t: "succeeded", at: 2, step: "read", attempt: 1, output: list },
    { t: "ended", at: 2, status: "succeeded", output: { v: null } },
  ];
  const kept = Object.fromEntries(values.map((value, slot) => [`4.${slot}`, value]));
  return { facts, journal: journalOf(facts, kept), state: fold(null, facts) };
}

function first(): Extract<Fact, { t: "run_started" }> {
  const fact = goldens.find(({ title }) => title === "trip-booked")?.facts[0];
  if (fact?.t !== "run_started") throw new Error("a journal begins with its start");
  return fact;
}

function stepOf(name: string) {
  const [def] = first().graph.steps;
  if (def === undefined) throw new Error("there is no step");
  return { ...def, name, needs: [], reads: {} };
}

describe("batches", () => {
  test("hold about a megabyte, also of one turn that kept twelve, and together all of it", () => {
    const value = JSON.stringify("x".repeat(1_000_000));
    const run = wide(Array.from({ length: 12 }, () => value));
    const { batches, text } = exported({ ...run, hiding: ALL }, run.facts.length);
    expect(batches.length).toBeGreaterThan(5);
    expect(Math.max(...batches.map((batch) => batch.text.length))).toBeLessThan(2_200_000);
    expect(readExport(text).values.map(({ value }) => JSON.stringify(value).length)).toEqual(
      Array.from({ length: 12 }, () => value.length),
    );
    expect(batches.reduce((sum, { facts, values }) => sum + facts + values, 0)).toBe(run.facts.length + 12);
  });
});

describe("what is withheld", () => {
  const value = JSON.stringify({ token: SECRET });
  const run = wide([value], { sensitive: true, input: { asked: SECRET } });

  test("of a sensitive step is neither in its facts nor among the values, nor is a sensitive input", () => {
    const hiding = { outputs: true, reveal: false };
    const { text, batches } = exported({ ...run, hiding }, run.facts.length);
    expect(text).not.toContain(SECRET);
    expect(readExport(text).values).toEqual([]);
    expect(text).toContain('"output":{"redacted":true}');
    expect(batches[0]?.withheld).toBe(2);
  });

  test("is shown to who may see it", () => {
    const { text, batches } = exported({ ...run, hiding: ALL }, run.facts.length);
    expect(text.split(SECRET)).toHaveLength(3);
    expect(batches[0]?.withheld).toBe(0);
  });

  test("without outputs:read is every value, and what the graph was written with", () => {
    const plain = wide([value], { input: { asked: SECRET } });
    const hiding = { outputs: false, reveal: true };
    const { text } = exported({ ...plain, hiding }, plain.facts.length);
    expect(text).not.toContain(SECRET);
    expect(text).not.toContain('"with"');
    for (const golden of goldens) {
      const state = fold(null, golden.facts);
      const hidden = exported({ journal: journalOf(golden.facts), state, hiding }, golden.facts.length).text;
      expect(hidden).not.toMatch(/"(?:output|input|list|payload)":\{"(?:v|ref|list)"/);
      expect(readExport(hidden).values).toEqual([]);
    }
  });
});
