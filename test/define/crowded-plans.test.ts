/** Plans that hold far more than any plan has: each is refused in words, and not looked at to its end. */

import { describe, expect, it } from "vitest";
import { checkChildren, compilePlan, compileSteps } from "../../src/define/index.ts";
import { surveyStep } from "../../src/define/places.ts";
import type { StepDef } from "../../src/kernel/index.ts";
import { get, say } from "./bad-plans.ts";

const MANY = 80_000;
const many = <T>(one: T): T[] => Array.from({ length: MANY }, () => one);
const URL = "https://a.example/";

describe("a list with more elements than anything takes", () => {
  it.each<[string, object]>([
    ["/retry/only", get({}, { retry: { only: many(0) } })],
    ["/retry/never", get({}, { retry: { never: many(0) } })],
    ["/with/success", { action: "http", with: { method: "GET", url: URL, success: many(0) } }],
    ["/with/query/q", { action: "http", with: { method: "GET", url: URL, query: { q: many({}) } } }],
    ["/needs", { ...say(1), needs: many(0) }],
    ["/with/tags", { action: "run", with: { workflow: "x", tags: many(0) } }],
    ["/verify/retry/only", get({}, { effect: "once", verify: get({}, { retry: { only: many(0) } }) })],
  ])("at %s is refused there, and breaks nothing", (pointer, step) => {
    const compiled = compilePlan({ steps: { a: step } });
    expect(compiled.ok ? [] : compiled.errors).toContainEqual(
      expect.objectContaining({ pointer: `/steps/a${pointer}`, code: "invalid" }),
    );
  });

  it.each(["form", "headers", "query"])(
    "or an object of so many members, at %s, is refused as a whole",
    (field) => {
      const members = Object.fromEntries(
        Array.from({ length: 20_000 }, (_, i) => [`y ${i.toString(36)}`, {}]),
      );
      const compiled = compilePlan({ steps: { a: get({ [field]: members }) } });
      expect(compiled.ok ? [] : compiled.errors).toMatchObject([
        { pointer: `/steps/a/with/${field}`, code: "invalid" },
      ]);
    },
  );

  it("is as good as any where it is data", () => {
    expect(compilePlan({ steps: { a: say(many(0)) } }).ok).toBe(true);
  });

  it("has a limit of its own in the schema where it is no larger than that", () => {
    const steps = { a: get({}, { retry: { only: Array.from({ length: 101 }, () => "network") } }) };
    const compiled = compilePlan({ steps });
    expect(compiled.ok ? [] : compiled.errors).toMatchObject([{ pointer: "/steps/a/retry/only" }]);
  });
});

describe("what is wrong in one step", () => {
  it("is told a hundred times at most, and what is behind that is not looked at", () => {
    const texts = Array.from({ length: 6_000 }, (_, i) => `\${{ zz${i} + yy${i} + ww${i}(q${i}) }}`);
    const compiled = compilePlan({ steps: { a: say(texts) } });
    expect(compiled.ok ? 0 : compiled.errors.length).toBe(100);
    expect(surveyStep("a", say(texts), "main").places.length).toBeLessThanOrEqual(100);
  });

  it("is no more where nothing but literal fields hold expressions", () => {
    const success = Array.from({ length: 1_900 }, () => "${{ 1 }}");
    const compiled = compilePlan({
      steps: { a: { action: "http", with: { method: "GET", url: URL, success } } },
    });
    expect(compiled.ok ? 0 : compiled.errors.length).toBe(100);
  });
});

describe("steps that are sent without a plan", () => {
  it("have the size of a plan at most", () => {
    const steps = { a: say("x".repeat(262_144)) };
    expect(compileSteps(steps)).toMatchObject({
      ok: false,
      errors: [{ pointer: "/steps", code: "plan_too_large" }],
    });
    expect(compileSteps({ a: say("x".repeat(262_000)) }).ok).toBe(true);
  });
});

describe("workflows that are not there", () => {
  /** Counts how often somebody goes through the names. */
  class Names extends Array<string> {
    looks = 0;
    override slice(from?: number, to?: number): string[] {
      this.looks += 1;
      return [...super.slice(from, to)];
    }
  }

  const run = (workflow: string) => ({ action: "run", with: { workflow } });

  it("are compared with those that are once for each name", async () => {
    const steps = Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`s${i}`, run(`absent${i % 3}`)]));
    const compiled = compileSteps(steps);
    const defs: readonly StepDef[] = compiled.ok ? compiled.steps : [];
    const names = Names.from(["absent", "order"]) as Names;
    names.looks = 0;
    const { missing } = await checkChildren(defs, {
      find: async () => ({ kind: "no_such_name" }),
      names: async () => names,
      denies: () => null,
      seesInside: true,
    });
    expect(missing).toHaveLength(400);
    expect(missing.every(({ allowed }) => allowed?.[0] === "absent")).toBe(true);
    expect(names.looks).toBe(3);
  });
});
