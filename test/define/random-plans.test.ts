/** Plans by chance: each runs to an end, or is refused at a place that is in it. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compilePlan } from "../../src/define/index.ts";
import { PLAN_INPUT, pointsInto, randomPlan } from "./random-plan.ts";
import { runPlanInMemory } from "./run-in-memory.ts";
import { answered, outside } from "./support.ts";

describe("a plan by chance", () => {
  it("runs to an end, or is refused at a place that is in it", { timeout: 120_000 }, async () => {
    const counts = { ran: 0, refused: 0, succeeded: 0 };
    await fc.assert(
      fc.asyncProperty(randomPlan, fc.integer({ min: 0, max: 3 }), async (document, mood) => {
        const whole = JSON.parse(JSON.stringify(document)) as unknown;
        const compiled = compilePlan(whole);
        if (!compiled.ok) {
          counts.refused += 1;
          expect(compiled.errors.length).toBeGreaterThan(0);
          for (const { pointer, code } of compiled.errors)
            expect([pointer, pointsInto(whole, pointer, code === "missing")]).toEqual([pointer, true]);
          return;
        }
        const statuses = [200, 500, 404, 429];
        let calls = mood;
        const surroundings = outside(() =>
          answered(mood === 0 ? 200 : (statuses[calls++ % 4] ?? 200), { id: 1 }, { "retry-after": "0" }),
        );
        const ended = await runPlanInMemory(compiled.plan, PLAN_INPUT, {
          ...surroundings,
          now: () => Date.now(),
        });
        counts.ran += 1;
        if (ended.status === "succeeded") counts.succeeded += 1;
        expect(["succeeded", "failed"]).toContain(ended.status);
        // What fills in is the author's, and so are its faults: none is ours.
        expect(ended.journal).not.toContain("step_code_missing");
      }),
      { numRuns: 300 },
    );
    // Proof that both happen, and that what runs can go well.
    expect(counts.ran).toBeGreaterThan(100);
    expect(counts.refused).toBeGreaterThan(30);
    expect(counts.succeeded).toBeGreaterThan(20);
  });

  it("or any JSON at all, never throws", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), fc.jsonValue({ maxDepth: 3 }), (steps, rest) => {
        for (const document of [
          steps,
          { steps },
          { steps: { a: steps } },
          {
            steps: { a: { action: "http", with: steps, when: rest } },
            input: rest,
            output: rest,
            onFailure: steps,
          },
        ]) {
          const compiled = compilePlan(document);
          if (compiled.ok) continue;
          for (const { pointer, code } of compiled.errors)
            expect(pointsInto(document, pointer, code === "missing")).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });
});
