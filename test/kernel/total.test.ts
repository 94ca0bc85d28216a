/** K9: the kernel is total. The tables of moves, and every kind of input in every kind of state. */

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type AttemptEnd,
  decide,
  evolve,
  FAILURE_CODES,
  illegal,
  INPUT_TYPES,
  isTerminal,
  NULL_VALUE,
  REFUSAL_CODES,
  refOf,
  UNIT_MOVES,
  UNIT_STATUSES,
  unitOf,
  type Fact,
  type Input,
  type Prepared,
  type RunState,
  type UnitRef,
} from "../../src/kernel/index.ts";
import { call, ends, graph, need, seed } from "./support/build.ts";
import { unitsOf } from "./support/laws.ts";
import { Play, RUN, START } from "./support/play.ts";
import { graphs } from "./support/random-graph.ts";
import { moves, Walk } from "./support/walk.ts";

const MIDWAY: AttemptEnd = { kind: "needs", need: need(), maybe: true };

const TIMEOUT_MS = 120_000;

describe("the table of moves", () => {
  test("every move leads to a status of the table", () => {
    for (const moves of Object.values(UNIT_MOVES))
      for (const next of Object.values(moves)) expect(UNIT_STATUSES).toContain(next);
  });

  test("a terminal status is left by a redrive alone (K1)", () => {
    for (const status of UNIT_STATUSES)
      expect([status, Object.keys(UNIT_MOVES[status])]).toEqual(
        isTerminal(status) ? [status, ["late", "reset"]] : [status, expect.not.arrayContaining(["reset"])],
      );
  });

  test("every status can be left, and every status but the first be reached", () => {
    const reached = new Set(Object.values(UNIT_MOVES).flatMap((moves) => Object.values(moves)));
    expect(UNIT_STATUSES.filter((status) => !reached.has(status))).toEqual([]);
    for (const status of UNIT_STATUSES)
      expect(Object.values(UNIT_MOVES[status]).some((next) => next !== status)).toBe(true);
  });

  test("a fact that is not legal is found: for no unit, for no move, before the start, a second start", () => {
    const { state } = new Play([call("a")]);
    const late: Fact = { t: "late", at: START, step: "a", attempt: 1, kind: "success" };
    const ended: Fact = { t: "succeeded", at: START, step: "a", output: NULL_VALUE };
    const wrong: readonly (readonly [RunState | null, Fact])[] = [
      [null, late],
      [
        state,
        { t: "run_started", at: START, run: RUN, graph: graph([]), input: NULL_VALUE, deadlineAt: START },
      ],
      [state, { ...late, step: "nothing" }],
      [state, { ...late, item: 3 }],
      [state, { ...late, item: 3, role: "undo" }],
      [state, { ...late, role: "verify" }],
      [evolve(state, ended), ended],
      [state, { t: "undoing", at: START }],
      [state, { t: "admitted", at: START, deadlineAt: START }],
      // Facts of a newer version: of the run, and of a step.
      [state, { t: "archived", at: START, until: START } as unknown as Fact],
      [state, { t: "annotated", at: START, step: "a" } as unknown as Fact],
      [null, { t: "run_begun", at: START } as unknown as Fact],
      [state, { t: "constructor", at: START } as unknown as Fact],
    ];
    for (const [before, fact] of wrong) expect(illegal(before, fact)).toEqual(expect.any(String));
    for (const [before, fact] of wrong) expect(() => evolve(before, fact)).not.toThrow();
    expect([illegal(state, late), illegal(state, ended)]).toEqual([null, null]);
  });

  test("codes are said once", () => {
    expect(new Set(FAILURE_CODES).size).toBe(FAILURE_CODES.length);
    expect(new Set(REFUSAL_CODES).size).toBe(REFUSAL_CODES.length);
  });
});

/** Inputs of every type about a unit, sensible or not. */
function inputsFor(state: RunState, unit: UnitRef, attempt: number): Input[] {
  const prepared: Prepared[] = [
    { kind: "skip" },
    { kind: "call", digest: "d" },
    { kind: "list", list: NULL_VALUE, count: 2 },
    { kind: "list", list: NULL_VALUE, count: Number.NaN },
    { kind: "timer", ms: -1 },
    { kind: "signal", limitMs: 1 },
    { kind: "approval", limitMs: 1, text: "May it?" },
    { kind: "approval", limitMs: Number.NaN, text: "" },
    { kind: "done", output: NULL_VALUE },
    { kind: "error", failure: seed("template_failed") },
  ];
  const { generation } = state;
  const everyEnd = [
    ends.success(),
    ends.success(1, [call("new")]),
    ends.again(),
    ends.happened(true),
    ends.happened(false),
    ends.happened(null),
    ends.refused(),
    ends.unclear(),
    ends.cannot(),
    ends.unusable(),
    ends.needs(),
    ends.needs("unavailable", { limitMs: Number.NaN, recheckMs: -1 }),
    ends.needs("scope_missing", { refused: true, integration: "" }),
    MIDWAY,
    ends.child(),
    ends.child(2, -1),
    ends.childFailed(),
    ends.childFailed(2, "unknown"),
  ];
  const resolutions = [{ as: "succeeded", output: NULL_VALUE }, { as: "failed" }, { as: "retry" }] as const;
  return [
    ...prepared.map((one): Input => ({ t: "prepared", unit, prepared: one })),
    { t: "begin", unit, attempt: attempt + 1, version: "v" },
    { t: "begin", unit, attempt, version: "v" },
    ...everyEnd.map((end): Input => ({ t: "ended", generation, unit, attempt, end })),
    { t: "ended", generation: generation - 1, unit, attempt, end: ends.success() },
    { t: "attempt_lost", unit, attempt, strike: true },
    { t: "hold", unit, attempt: attempt + 1, need: need() },
    { t: "hold", unit, attempt, need: need("rate_limited", { limitMs: Infinity, recheckMs: Number.NaN }) },
    { t: "begin", unit, attempt: attempt + 1, version: "v", bound: [{ name: "google", to: "another" }] },
    {
      t: "begin",
      unit,
      attempt: attempt + 1,
      version: "v",
      bound: [{ name: "__proto__", to: null }],
      credentials: [],
    },
    ...decisions(state, unit),
    { t: "child_ended", unit, run: unitOf(state, unit)?.child?.run ?? "run_2", generation: 1 },
    ...resolutions.map((as): Input => ({ t: "resolve", unit, as, by: "ada" })),
    ...resolutions.map((as): Input => ({ t: "redrive", by: "ada", resolve: [{ unit, as }] })),
  ];
}

/** Of what was asked, of something else, by whoever may and may not. */
function decisions(state: RunState, unit: UnitRef): Input[] {
  const id = unitOf(state, unit)?.approval?.id ?? "none";
  return (["approved", "denied"] as const).flatMap((as): Input[] => [
    { t: "decide", unit, id, as, by: "bob", note: "n" },
    { t: "decide", unit, id, as, by: RUN.startedBy },
    { t: "decide", unit, id, as, by: "bob", via: RUN.startedBy },
    { t: "decide", unit, id: "another", as, by: "bob" },
  ]);
}

/** Inputs of every type about the run as a whole. */
function inputsForRun(state: RunState): Input[] {
  return [
    { t: "start", run: RUN, graph: state.graph, input: NULL_VALUE },
    { t: "output", result: { output: NULL_VALUE } },
    { t: "output", result: { failure: seed("template_failed") } },
    { t: "tick" },
    { t: "signal", id: "x", name: "go", payload: NULL_VALUE },
    { t: "pause", by: "ada" },
    { t: "resume", by: "ada" },
    { t: "cancel", mode: "graceful", by: "ada" },
    { t: "cancel", mode: "immediate", by: "ada" },
    { t: "redrive", by: "ada", resolve: [] },
    { t: "append", steps: [call("new")], by: "ada" },
    { t: "append", steps: [], ifRevision: 99, by: "ada" },
    { t: "close" },
    ...[state.generation, state.generation - 1, Number.NaN].flatMap((generation): Input[] => [
      { t: "admit", generation },
      { t: "turn_away", generation, why: { as: "full" } },
      { t: "turn_away", generation, why: { as: "superseded", by: "run_2" } },
    ]),
    { t: "connection_changed", integration: "google" },
    { t: "connection_changed", integration: "google", account: "work", connection: "conn_1" },
    { t: "rebind", name: "google", to: { epoch: 2 }, by: "ada" },
    { t: "rebind", name: "toString", to: null, by: "ada" },
  ];
}

describe("every input in every state", { timeout: TIMEOUT_MS }, () => {
  test("is a legal move or a typed refusal, at whatever time", () => {
    let asked = 0;
    const types = new Set<string>();
    fc.assert(
      fc.property(
        graphs,
        fc.boolean(),
        fc.boolean(),
        fc.array(moves, { maxLength: 50, size: "max" }),
        fc.constantFrom(0, START, START + 1e9, Number.MAX_SAFE_INTEGER),
        (made, open, queued, plan, now) => {
          const walk = new Walk(made, open, null, queued);
          for (const move of plan) walk.play(move);
          const { state } = walk;
          const units = unitsOf(state).map(({ ref, unit }) => inputsFor(state, ref, unit.attempt));
          for (const input of [
            ...inputsForRun(state),
            ...units.flat(),
            ...inputsFor(state, refOf("nothing", 1, "undo"), 0),
          ]) {
            asked++;
            types.add(input.t);
            const decision = decide(state, input, now, 0.99);
            if (!decision.ok) {
              expect(REFUSAL_CODES).toContain(decision.refusal.code);
              continue;
            }
            let next: RunState | null = state;
            for (const fact of decision.facts) {
              expect(illegal(next, fact)).toBeNull();
              next = evolve(next, fact);
            }
          }
        },
      ),
      { numRuns: 100 },
    );
    console.log(`${asked} inputs asked`);
    expect(INPUT_TYPES.filter((type) => !types.has(type))).toEqual([]);
  });

  test("before the start is refused, and so is a second start", () => {
    const { state } = new Play([call("a")]);
    for (const input of [...inputsForRun(state), ...inputsFor(state, refOf("a"), 0)]) {
      if (input.t === "start") continue;
      expect(decide(null, input, START, 0)).toMatchObject({ ok: false, refusal: { code: "not_started" } });
    }
    const again: Input = { t: "start", run: RUN, graph: state.graph, input: NULL_VALUE };
    expect(decide(state, again, START, 0)).toMatchObject({ ok: false, refusal: { code: "already_started" } });
  });
});
