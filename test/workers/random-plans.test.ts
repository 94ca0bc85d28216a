/** Plans by chance, over HTTP, against the world: each runs to an end, or is refused at a place that is in it. */
import * as fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import type { RunView } from "../../src/run/index.ts";
import { PLAN_INPUT, pointsInto, randomPlan } from "../define/random-plan.ts";
import { expectAnswer, expectProblem, newTenant, send } from "./api-support.ts";

/** After this no further plan is begun, nor a shorter one looked for; one that was begun must still come to its end. */
const TIME_LIMIT_MS = 20_000;
const MAX_PLANS = 100;

interface Finding {
  readonly pointer?: string;
  readonly code?: string;
}

interface Report {
  readonly valid: boolean;
  readonly errors: readonly Finding[];
  readonly advice: readonly Finding[];
}

let key = "";
beforeAll(async () => {
  key = await newTenant("random-plans");
});

function expectPlaces(body: unknown, findings: readonly Finding[]): void {
  for (const { pointer = "", code } of findings)
    expect([pointer, pointsInto(body, pointer, code === "missing")]).toEqual([pointer, true]);
}

describe("a plan by chance, sent to the API", () => {
  // Fails with the seed and the path of the plan: `fc.assert(..., { seed, path })` runs it again.
  it(
    "runs to an end, or is refused at a place that is in it; the check says which, and nothing is a fault of ours",
    { timeout: TIME_LIMIT_MS * 2 },
    async () => {
      const until = Date.now() + TIME_LIMIT_MS;
      const counts = { ran: 0, refused: 0, succeeded: 0 };
      await fc.assert(
        fc.asyncProperty(randomPlan, async (document) => {
          if (Date.now() > until) return;
          const body = JSON.parse(JSON.stringify({ plan: document, input: PLAN_INPUT })) as unknown;
          const checked = await send("POST", "/v1/plans/validate", { key, body });
          const report = await expectAnswer<Report>(checked, "validatePlan", 200);
          expectPlaces(body, [...report.errors, ...report.advice]);
          const headers = { prefer: "wait=10" };
          const started = await send("POST", "/v1/runs", { key, body, headers });
          if (!report.valid) {
            const { errors = [] } = await expectProblem(started, 422, "bad_plan");
            expect(errors).toEqual(report.errors.slice(0, errors.length));
            expect(errors.length).toBeGreaterThan(0);
            counts.refused += 1;
            return;
          }
          const run = await expectAnswer<RunView>(started, "startRun", 200);
          expect(["succeeded", "failed"]).toContain(run.status);
          // What fills in is the author's, and so are its faults.
          expect(JSON.stringify(run)).not.toMatch(/"code":"(?:step_code_missing|internal_error)"/);
          counts.ran += 1;
          if (run.status === "succeeded") counts.succeeded += 1;
        }),
        { numRuns: MAX_PLANS },
      );
      // Proof that both happen, and that what runs can go well.
      expect(counts.ran).toBeGreaterThan(20);
      expect(counts.refused).toBeGreaterThan(5);
      expect(counts.succeeded).toBeGreaterThan(2);
    },
  );
});
