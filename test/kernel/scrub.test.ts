/** What erasing leaves of a run: nothing of its data, and all of how it went. */

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  createScrub,
  evolveAll,
  FACT_TYPES,
  illegal,
  evolve,
  statusOf,
  type Fact,
  type RunInfo,
  type RunState,
  type Unit,
} from "../../src/kernel/index.ts";
import { graphs } from "./support/random-graph.ts";
import { moves, Walk } from "./support/walk.ts";

const MARK = "Alice-7f3a";
const walks = [
  graphs,
  fc.boolean(),
  fc.boolean(),
  fc.array(moves, { minLength: 20, maxLength: 80 }),
] as const;

/** Fields that hold data, or what tells of them. */
const DATA = new Set(
  "with when list until happened v message hint reason detail text note digest about user tags traceparent credentials hears place policies to query connections reads expressions misfits id input signal name account connection scopes fallback".split(
    " ",
  ),
);
/** The same facts with the mark in every text of data, and in a field that no version knows, of every object. */
function marked(value: unknown, path: readonly string[] = []): unknown {
  const field = path.at(-1) ?? "";
  if (typeof value === "string") {
    const isData = path.some((name) => DATA.has(name));
    const isName = ["id", "name", "signal", "fallback"].some((name) => path.includes(name));
    return isData && !(isName && !path.includes("v") && !path.includes("with")) && field !== "reason"
      ? `${MARK} ${value}`
      : value;
  }
  if (value === null && DATA.has(field)) return MARK;
  if (field === "tags") return [MARK];
  if (Array.isArray(value)) return value.map((one: unknown) => marked(one, path));
  if (typeof value !== "object" || value === null) return value;
  const members = Object.entries(value).map(([name, member]) => [name, marked(member, [...path, name])]);
  return { ...Object.fromEntries(members), later: MARK };
}

const SELDOM: readonly Fact[] = [
  { t: "recalled", at: 1, step: "a", run: "run_2", generation: 1, mode: "graceful" },
  { t: "used", at: 1, step: "a", attempt: 1, as: "success", credentials: [{ connection: "conn_1" }] },
];

const scrubAll = (facts: readonly Fact[], keepNames: boolean): Fact[] =>
  facts.map(createScrub({ keepNames }));

/** With all that a run can have. */
function whole(run: RunInfo): RunInfo {
  return {
    ...{ ...run, user: MARK, tags: [MARK], traceparent: MARK, policies: [{ users: [MARK] }] },
    origins: ["key:key_1", `identity:${MARK}`],
    startedBy: `identity:${MARK}`,
    parent: { run: "run_0", unit: "mark-of-a-step[3]", depth: 1 },
    ...(run.flow === undefined ? {} : { flow: { ...run.flow, place: { rate: { key: MARK } } } }),
  };
}

/** How a run and its units went. */
function standing(state: RunState | null): unknown {
  if (state === null) return null;
  const of = (unit: Unit): unknown => ({
    ...{ status: unit.status, outcome: unit.outcome, attempt: unit.attempt, undone: unit.undone },
    ...{ startedAt: unit.startedAt, endedAt: unit.endedAt, gen: unit.gen, code: unit.failure?.code ?? null },
    ...{ items: unit.items?.map(of) ?? null, undo: unit.undo === null ? null : of(unit.undo) },
    ...{ verify: unit.verify === null ? null : of(unit.verify) },
  });
  return {
    ...{ status: statusOf(state), phase: state.phase, generation: state.generation, live: state.live },
    ...{ startedAt: state.startedAt, endedAt: state.endedAt, code: state.failure?.code ?? null },
    ...{ left: state.failure?.left_behind.length ?? 0, units: state.units.map(of) },
  };
}

function check(facts: readonly Fact[], keepNames: boolean): void {
  const given = facts.map(
    (fact) => marked(fact.t === "run_started" ? { ...fact, run: whole(fact.run) } : fact) as Fact,
  );
  const scrubbed = scrubAll(given, keepNames);
  expect(JSON.stringify(given)).toContain(MARK);
  expect(JSON.stringify(scrubbed)).not.toContain(MARK);
  expect(JSON.stringify(scrubbed)).not.toContain("mark-of-a-step");
  expect(scrubAll(scrubbed, keepNames)).toEqual(scrubbed);
  let state: RunState | null = null;
  for (const fact of scrubbed) {
    expect(illegal(state, fact)).toBeNull();
    state = evolve(state, fact);
  }
  expect(standing(state)).toEqual(standing(evolveAll(null, facts)));
}

describe("the facts of a run, scrubbed", { timeout: 120_000 }, () => {
  test("fold to the same standing, hold nothing of its data, and do not change when they are scrubbed again", () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(...walks, fc.boolean(), (graph, open, queued, plan, keepNames) => {
        const walk = new Walk(graph, open, null, queued);
        for (const move of plan) walk.play(move);
        for (const { t } of walk.facts) seen.add(t);
        check(walk.facts, keepNames);
      }),
      { numRuns: Number(process.env["RUNS"] ?? 300), seed: 7 },
    );
    // What walks do not come to: below.
    expect(FACT_TYPES.filter((type) => !seen.has(type))).toEqual(SELDOM.map(({ t }) => t));
  });

  test("hold nothing of its data, also of those that walks seldom come to", () => {
    const [scrubbed, ...others] = SELDOM.map((fact) =>
      createScrub({ keepNames: false })(marked(fact) as Fact),
    );
    expect(JSON.stringify([scrubbed, ...others])).not.toContain(MARK);
    expect(scrubbed).toMatchObject({ t: "recalled", run: "run_2", generation: 1, mode: "graceful" });
    expect(others).toEqual([
      { t: "used", at: 1, attempt: 1, as: "success", credentials: [], step: "erased" },
    ]);
  });

  test("keep the names of a workflow's own steps, and number those that came as data", () => {
    const names = (facts: readonly Fact[]): string[] =>
      facts.flatMap((fact) =>
        fact.t === "run_started"
          ? fact.graph.steps.map(({ name }) => name)
          : fact.t === "grew"
            ? fact.steps.map(({ name }) => name)
            : [],
      );
    fc.assert(
      fc.property(...walks, (graph, _open, queued, plan) => {
        const walk = new Walk(graph, true, null, queued);
        for (const move of plan) walk.play(move);
        const own = graph.steps.map(({ name }) => name);
        const all = names(walk.facts);
        expect(names(scrubAll(walk.facts, true))).toEqual(
          all.map((name, index) => (index < own.length ? name : `erased-${index}`)),
        );
        expect(names(scrubAll(walk.facts, false))).toEqual(all.map((_, index) => `erased-${index}`));
      }),
      { numRuns: 50, seed: 8 },
    );
  });
});
