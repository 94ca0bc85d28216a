/** The kernel against a naive model of a plain run: what becomes of every step, and what is left behind. */

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { due, EFFECTS, JOINS, refOf, unitName, type StepDef, type UnitRef } from "../../src/kernel/index.ts";
import { call, ends, performance, retry } from "./support/build.ts";
import { unitsOf } from "./support/laws.ts";
import {
  whatBecomesOf,
  type Answer,
  type Deed,
  type End,
  type Task,
  type Verdict,
} from "./support/oracle.ts";
import { leftBehind, Play } from "./support/play.ts";

const TIMEOUT_MS = 60_000;
/** More inputs than any of these runs needs. */
const MAX_INPUTS = 2_000;

const deed: fc.Arbitrary<Deed> = fc.record({
  effect: fc.constantFrom(...EFFECTS),
  attempts: fc.integer({ min: 1, max: 3 }),
  ends: fc.array(fc.constantFrom<End>("success", "refused", "unclear", "cannot", "unusable"), {
    maxLength: 4,
  }),
  answers: fc.array(fc.constantFrom<Answer>("succeeded", "failed", "retry"), { maxLength: 3 }),
});

const tasks: fc.Arbitrary<Task[]> = fc
  .array(
    fc.record({
      deed,
      undo: fc.option(deed, { freq: 2 }),
      part: fc.constantFrom("main", "main", "main", "on_failure"),
      pick: fc.array(fc.nat({ max: 7 }), { maxLength: 3 }),
      join: fc.constantFrom(...JOINS, "all" as const),
      when: fc.constantFrom(true, true, true, false),
      onFailure: fc.constantFrom("fail", "continue", "fallback"),
      gate: fc.constantFrom(null, null, "approved", "denied"),
    }),
    { minLength: 1, maxLength: 8 },
  )
  .map((made) => {
    const names = made.map((_, i) => `s${i}`);
    return made.map(({ deed: main, undo, part, pick, join, when, onFailure, gate }, i): Task => {
      const needs = [...new Set(pick.filter((at) => at < i && made[at]?.part === part))].map(
        (at) => names[at] ?? "",
      );
      const undoable = undo !== null && part === "main" && main.effect !== "safe";
      return {
        ...main,
        name: names[i] ?? "",
        part,
        needs,
        join,
        when,
        onFailure,
        undo: undoable ? undo : null,
        gate,
      };
    });
  });

/** Retries follow at once, so that attempts of different steps do not interleave. */
const atOnce = (attempts: number) => retry({ attempts, initialMs: 0 });

function stepOfTask(task: Task): StepDef {
  return call(task.name, task.effect, {
    part: task.part,
    needs: task.needs,
    join: task.join,
    retry: atOnce(task.attempts),
    onFailure: task.onFailure === "fallback" ? { fallback: "instead" } : task.onFailure,
    ...(task.when ? {} : { when: "never" }),
    ...(task.gate === null ? {} : { approval: { limitMs: 1 } }),
    ...(task.undo === null
      ? {}
      : { compensate: performance(task.undo.effect, { retry: atOnce(task.undo.attempts) }) }),
  });
}

interface Script {
  readonly ends: End[];
  readonly answers: Answer[];
}

function scriptOf(deed: Deed | null): Script {
  return { ends: [...(deed?.ends ?? [])], answers: [...(deed?.answers ?? [])] };
}

/** Plays the run by the same script: the first thing that is due, then a person for what is unknown. */
function playOut(all: readonly Task[]): Verdict {
  const play = new Play(all.map(stepOfTask));
  const scripts = new Map<string, Script>();
  for (const task of all) {
    scripts.set(task.name, scriptOf(task));
    scripts.set(`${task.name}/undo`, scriptOf(task.undo));
  }
  const script = (unit: UnitRef): Script => scripts.get(unitName(unit)) ?? scriptOf(null);
  for (let inputs = 0; play.state.phase !== "ended"; inputs++) {
    expect(inputs).toBeLessThan(MAX_INPUTS);
    const [job] = due(play.state, play.now);
    if (job === undefined) {
      const unknown = unitsOf(play.state).find(({ unit }) => unit.status === "unknown");
      if (unknown === undefined) throw new Error("nothing is due and nothing is unknown");
      const answer = script(unknown.ref).answers.shift() ?? "succeeded";
      const as =
        answer === "succeeded" ? ({ as: answer, output: { v: "seen" } } as const) : ({ as: answer } as const);
      play.take({ t: "resolve", unit: unknown.ref, as, by: "ada" });
    } else if (job.kind === "output") play.finish();
    else if (job.kind === "prepare") {
      const task = all.find(({ name }) => name === job.unit.step);
      play.prepare(
        unitName(job.unit),
        task?.when === false && job.unit.role === undefined ? { kind: "skip" } : undefined,
      );
      if (play.count("asked") > play.count("decided"))
        play.take(play.decide(unitName(job.unit), task?.gate ?? undefined));
    } else play.attempt(unitName(job.unit), ends[script(job.unit).ends.shift() ?? "success"]());
  }
  return {
    status: play.run === "succeeded" ? "succeeded" : "failed",
    steps: Object.fromEntries(
      all.map(({ name }) => {
        const { status, outcome, undone } = play.unit(unitName(refOf(name)));
        return [name, [status, outcome, undone] as const];
      }),
    ),
    leftBehind: leftBehind(play),
  };
}

describe("a plain run", { timeout: TIMEOUT_MS }, () => {
  test("comes to what the naive model says", () => {
    const met = { succeeded: 0, failed: 0 };
    fc.assert(
      fc.property(tasks, (all) => {
        const verdict = whatBecomesOf(all);
        met[verdict.status]++;
        expect(playOut(all)).toEqual(verdict);
      }),
      { numRuns: 1_000 },
    );
    console.log(`${met.succeeded} runs succeeded, ${met.failed} failed`);
    expect(Math.min(met.succeeded, met.failed)).toBeGreaterThan(0);
  });
});
