/** Plans by chance: each runs to an end, or is refused at a place that is in it. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkAuth, checkChildren, compilePlan, notFollowing, startableOf } from "../../src/define/index.ts";
import { AIRLINE, look, PLAN_INPUT, pointsInto, randomPlan } from "./random-plan.ts";
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

  it(
    "that is wrong in two places is refused for both, and for nothing else",
    { timeout: 120_000 },
    async () => {
      const slips = fc
        .uniqueArray(fc.nat({ max: SLIPS.length - 1 }), { minLength: 2, maxLength: 2 })
        .filter(([a = 0, b = 0]) => !related(SLIPS[a]?.[0] ?? "", SLIPS[b]?.[0] ?? ""));
      await fc.assert(
        fc.asyncProperty(slips, async (chosen) => {
          const document = JSON.parse(JSON.stringify(RIGHT)) as unknown;
          const wanted = chosen.map((i) => {
            const [place, value, code, told = place] = SLIPS[i] ?? ["", null, ""];
            put(document, place, value);
            return `${told} ${code}`;
          });
          const found = await everythingWrongWith(document);
          expect([...new Set(found)].toSorted()).toEqual(wanted.toSorted());
        }),
        // Pairs are few: nearly all of them are seen.
        { numRuns: 2_000 },
      );
      expect(await everythingWrongWith(RIGHT)).toEqual([]);
    },
  );
});

/** By the plan itself, and by the credentials and workflows around it. */
async function everythingWrongWith(document: unknown): Promise<string[]> {
  const compiled = compilePlan(document);
  const own = compiled.ok ? [] : compiled.errors;
  const steps = compiled.ok ? compiled.plan.graph.steps : compiled.steps;
  const auth = await checkAuth(steps, async (reference, host) => {
    const bearer = "bearer" in reference ? reference.bearer : null;
    if (bearer === "SKYLINE" && host === "api.skyline.example") return undefined;
    const code = bearer === "SKYLINE" ? "token_not_for_host" : "unknown_token";
    return { at: "/bearer", code, detail: "No.", allowed: ["SKYLINE"] };
  });
  const children = await checkChildren(steps, {
    find: async (name, version) => {
      if (name !== "other") return { kind: "no_such_name" };
      return version === undefined ? { kind: "found", startable: OTHER } : { kind: "no_such_version" };
    },
    names: async () => ["other"],
    denies: () => null,
    seesInside: true,
  });
  const around = notFollowing([...auth, ...children.missing, ...children.unfit], own);
  return [...own, ...around].map(({ pointer, code }) => `${pointer} ${code}`);
}

const OTHER = (() => {
  const input = {
    type: "object",
    required: ["n"],
    properties: { n: { type: "number" }, m: { type: "string" } },
    additionalProperties: false,
  };
  const compiled = compilePlan({ input, steps: { a: { action: "transform", with: { value: 1 } } } });
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.errors));
  return startableOf(compiled.plan, "other", "1");
})();

/** A plan that is right, with everything that a plan can have. */
const RIGHT = {
  input: { type: "object", properties: { day: { type: "string" }, list: { type: "array" } } },
  deadline: "2d",
  steps: {
    seen: {
      ...{
        action: "http",
        with: {
          method: "GET",
          url: AIRLINE,
          query: { day: "${{ input.day }}" },
          auth: { bearer: "SKYLINE" },
        },
      },
      ...{ repeat: { until: "output.status == 200", every: "1s", max: 3 }, timeout: "10s" },
    },
    pages: {
      action: "http",
      with: { method: "GET", url: AIRLINE, paginate: { by: "cursor", cursor: "/next", param: "c", max: 2 } },
    },
    booked: {
      ...{ action: "http", needs: ["seen"], when: "steps.seen.output.status == 200" },
      with: { method: "POST", url: AIRLINE, json: { of: "${{ steps.seen.output.body }}" }, keep: {} },
      retry: { attempts: 2, only: ["http_429"] },
      verify: { action: "http", with: { method: "GET", url: AIRLINE }, after: "5s", happened: "true" },
      compensate: { action: "http", with: { method: "DELETE", url: AIRLINE, auth: { bearer: "SKYLINE" } } },
    },
    each: {
      action: "transform",
      forEach: "input.list",
      with: { value: "${{ item }}" },
      onFailure: "continue",
    },
    nap: { action: "sleep", needs: ["booked", "each"], with: { for: "1s" } },
    asked: { action: "wait", with: { signal: "go", timeout: "1h" } },
    child: {
      action: "run",
      needs: ["asked"],
      with: { workflow: "other", input: { n: 1, m: "${{ input.day }}" } },
    },
    made: {
      ...{ action: "transform", needs: ["seen", "pages", "each", "asked"] },
      with: {
        value: {
          seen: "${{ steps.seen.output.body.id }}",
          pages: "${{ steps.pages.output.more }}",
          each: "${{ steps.each.output[0] }}",
          asked: "${{ steps.asked.output.x }}",
        },
      },
    },
  },
  onFailure: {
    mail: { action: "http", effect: "keyed", with: { method: "POST", url: AIRLINE, json: "${{ failure }}" } },
  },
  output: { all: "${{ steps.booked.output }}" },
} as const;

/** One slip in it each: the place, what is put there (undefined: it is taken away), the code, and where that is told. */
const SLIPS: readonly (readonly [place: string, value: unknown, code: string, told?: string])[] = [
  ["/input", { type: "text" }, "input_schema_invalid", "/input/type"],
  ["/deadline", "soon", "invalid"],
  ["/deadlin", 1, "unknown_field"],
  ["/undoBudget", 0, "bad_duration"],
  ["/output/all", "${{ steps.nobody.output }}", "unknown_step"],
  ["/output/more", "${{ 1 + }}", "expression_invalid"],
  ["/steps/seen/with/method", "FETCH", "invalid"],
  ["/steps/seen/with/method", undefined, "missing"],
  ["/steps/seen/with/url", undefined, "missing"],
  ["/steps/seen/with/url", "http://a.example/", "url_refused"],
  ["/steps/seen/with/query/day", "${{ inputs }}", "unknown_name"],
  ["/steps/seen/with/headers", { "X-Api-Key": "x" }, "secret_in_plan", "/steps/seen/with/headers/X-Api-Key"],
  ["/steps/seen/with/auth", { bearer: "NONE" }, "unknown_token", "/steps/seen/with/auth/bearer"],
  ["/steps/seen/with/auth", "SKYLINE", "invalid"],
  ["/steps/seen/repeat/every", undefined, "missing"],
  ["/steps/seen/repeat/max", 0, "invalid"],
  ["/steps/seen/repeat/until", "output is None", "expression_invalid"],
  ["/steps/seen/forEach", "input.list", "repeat_and_for_each", "/steps/seen/repeat"],
  ["/steps/seen/timeout", "11m", "timeout_too_long"],
  ["/steps/seen/retries", 1, "unknown_field"],
  ["/steps/pages/with/paginate/by", undefined, "missing"],
  ["/steps/pages/with/paginate/by", "page", "invalid"],
  ["/steps/pages/with/paginate/max", undefined, "missing"],
  ["/steps/pages/with/paginate/param", "", "invalid"],
  ["/steps/pages/with/paginate/cursor", "next", "invalid"],
  ["/steps/pages/with/paginate/items", "items", "invalid"],
  ["/steps/pages/with/text", "x", "invalid"],
  ["/steps/pages/effect", "idempotent", "paginate_not_safe"],
  ["/steps/booked/when", "${{ steps.seen.output }}", "expression_wrapped"],
  ["/steps/booked/when", "not steps.seen.output", "expression_invalid"],
  ["/steps/booked/when", true, "invalid"],
  ["/steps/booked/when", "steps.asked.output", "not_an_ancestor"],
  ["/steps/booked/needs/1", "nobody", "unknown_need"],
  ["/steps/booked/needs/1", 5, "invalid"],
  ["/steps/booked/join", "first", "invalid"],
  ["/steps/booked/with/json/more", "${{ len(input) }}", "expression_refused"],
  ["/steps/booked/with/keep/header", [], "unknown_field"],
  ["/steps/booked/with/text", "x", "invalid"],
  ["/steps/booked/retry/attempts", 0, "invalid"],
  ["/steps/booked/retry/only/1", "oops", "invalid"],
  ["/steps/booked/retry/only", ["timeout"], "once_blind_retry"],
  ["/steps/booked/verify/after", "x", "invalid"],
  ["/steps/booked/verify/happened", "True", "unknown_name"],
  ["/steps/booked/verify/with/method", "POST", "verify_not_safe"],
  ["/steps/booked/verify/with/url", undefined, "missing"],
  ["/steps/booked/compensate/action", "run", "invalid"],
  ["/steps/booked/compensate/with", undefined, "missing"],
  ["/steps/booked/compensate/keyTtl", "366d", "bad_duration"],
  ["/steps/booked/onFailure", "ignore", "invalid"],
  ["/steps/booked/sensitive", 1, "invalid"],
  ["/steps/each/forEach", "${{ input.list }}", "expression_wrapped"],
  ["/steps/each/forEach", 5, "invalid"],
  ["/steps/each/with/value", undefined, "missing"],
  ["/steps/each/with/value", "${{ item + }}", "expression_invalid"],
  ["/steps/each/effect", "keyed", "keyed_not_carried"],
  ["/steps/nap/with/until", "2027-03-14T09:00:00Z", "invalid", "/steps/nap/with"],
  ["/steps/nap/with/for", "soon", "invalid"],
  ["/steps/nap/retry", {}, "unknown_field"],
  ["/steps/nap/action", "snooze", "invalid"],
  ["/steps/nap/action", undefined, "missing"],
  ["/steps/asked/with/signal", "A B", "invalid"],
  ["/steps/asked/with/timeout", true, "invalid"],
  ["/steps/asked/with/schema", { pattern: "x" }, "input_schema_refused", "/steps/asked/with/schema/pattern"],
  ["/steps/child/with/workflow", undefined, "missing"],
  ["/steps/child/with/tags", ["a", 1], "invalid", "/steps/child/with/tags/1"],
  ["/steps/child/effect", "once", "child_is_keyed"],
  [
    "/steps/child/compensate",
    { action: "http", with: { method: "PUT" } },
    "missing",
    "/steps/child/compensate/with/url",
  ],
  ["/steps/booked/compensate/with/auth/bearer", "NONE", "unknown_token"],
  ["/steps/booked/compensate", [], "invalid"],
  ["/steps/child/with/workflow", "othr", "unknown_workflow"],
  ["/steps/child/with/version", "7", "unknown_workflow"],
  ["/steps/child/with/input/n", "many", "invalid"],
  ["/steps/child/with/input/n", undefined, "missing"],
  ["/steps/child/with/input/x", 1, "unknown_field"],
  ["/steps/child/with/inputs", 1, "unknown_field"],
  ["/steps/made/with/value/seen", "${{ steps.seen.output.id }}", "unknown_output_field"],
  ["/steps/made/with/value/pages", "${{ steps.pages.output.mroe }}", "unknown_output_field"],
  ["/steps/made/with/value/each", "${{ steps.each.output.id }}", "unknown_output_field"],
  ["/onFailure/mail/with/json", "${{ own }}", "unknown_name"],
  ["/onFailure/mail/onFailure", "fail", "unknown_field"],
  [
    "/onFailure/mail/compensate",
    { ...look, with: { method: "DELETE", url: AIRLINE } },
    "compensate_on_failure_step",
  ],
  ["/onFailure/mail/needs", ["seen"], "need_across_parts", "/onFailure/mail/needs/0"],
  ["/onFailure/nap", { action: "fail", with: { message: "x" } }, "duplicate_step"],
];

/** Slips of which one leaves open whether the other is one. */
const LEFT_OPEN: readonly (readonly [string, string])[] = [
  // Which workflow was meant, and so what it takes.
  ["/steps/child/with/workflow", "/steps/child/with/input/n"],
  ["/steps/child/with/workflow", "/steps/child/with/input/x"],
  ["/steps/child/with/version", "/steps/child/with/workflow"],
  ["/steps/child/with/version", "/steps/child/with/input/n"],
  ["/steps/child/with/version", "/steps/child/with/input/x"],
  // What a step puts out that polls and goes through a list, or that says nothing of it.
  ["/steps/seen/forEach", "/steps/made/with/value/seen"],
  ["/steps/each/with/value", "/steps/made/with/value/each"],
  // What is read of a list, if it is one.
  ["/steps/each/forEach", "/steps/made/with/value/each"],
  // What is no name may have meant the step that is read.
  ["/steps/booked/needs/1", "/steps/booked/when"],
  // Another action may have had the field.
  ["/steps/nap/action", "/steps/nap/retry"],
];

function related(a: string, b: string): boolean {
  if (LEFT_OPEN.some((pair) => pair.includes(a) && pair.includes(b))) return true;
  return `${a}/`.startsWith(`${b}/`) || `${b}/`.startsWith(`${a}/`);
}

function put(document: unknown, place: string, value: unknown): void {
  const tokens = place.slice(1).split("/");
  const key = tokens.pop() ?? "";
  let at = document;
  for (const token of tokens) {
    const next: unknown = Reflect.get(Object(at) as object, token);
    if (next === undefined) Reflect.set(Object(at) as object, token, {});
    at = Reflect.get(Object(at) as object, token) as unknown;
  }
  if (value === undefined) Reflect.deleteProperty(Object(at) as object, key);
  else Reflect.set(Object(at) as object, key, value);
}
