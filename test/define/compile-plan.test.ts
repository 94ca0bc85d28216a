import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { compilePlan, literal, planSchema, requestsOf, summarise } from "../../src/define/index.ts";
import { BAD_PLANS, get, post, say } from "./bad-plans.ts";

describe("a plan", () => {
  it("there are at least 60 ways to get one wrong, each told once", () => {
    expect(BAD_PLANS.length).toBeGreaterThanOrEqual(60);
    expect(new Set(BAD_PLANS.map(([what]) => what)).size).toBe(BAD_PLANS.length);
  });

  it.each(BAD_PLANS)("that %s is refused", (_, plan, pointer, code) => {
    const compiled = compilePlan(plan);
    const findings = compiled.ok ? [] : compiled.errors.map((one) => `${one.pointer} ${one.code}`);
    expect(findings).toContain(`${pointer} ${code}`);
  });

  it("is refused with every finding below the place where the caller has it", () => {
    const compiled = compilePlan({ steps: { a: say(1, { needs: ["z"] }), "b c": 1 } }, "/plan");
    expect(compiled.ok ? [] : compiled.errors.map(({ pointer }) => pointer)).toEqual([
      "/plan/steps/b c",
      "/plan/steps/b c",
      "/plan/steps/a/needs/0",
    ]);
  });

  it("compiles the same twice, so that a start that is sent again is the same", async () => {
    const text = await readFile(join(import.meta.dirname, "../plans/process-order.json"), "utf8");
    const [once, again] = [compilePlan(JSON.parse(text)), compilePlan(JSON.parse(text))];
    if (!once.ok || !again.ok) throw new Error(JSON.stringify([once, again]));
    expect(again.plan.graph).toEqual(once.plan.graph);
    expect(planSchema().safeParse(JSON.parse(text)).success).toBe(true);
  });

  it("says of each step what its expressions read, and whether there are any", () => {
    const compiled = compilePlan({
      steps: {
        a: say(1),
        b: post(
          { json: { x: "${{ steps.a.output + size(steps.a.failure) }}" } },
          {
            needs: ["a"],
            when: "steps.a.status == 'succeeded'",
            compensate: get({ url: "https://a.example/${{ steps.b.output.body.id }}" }),
          },
        ),
      },
    });
    if (!compiled.ok) throw new Error(JSON.stringify(compiled.errors));
    const [a, b] = compiled.plan.graph.steps;
    expect(a).not.toHaveProperty("expressions");
    expect(b).toMatchObject({
      expressions: 1,
      reads: { "/when": ["a"], "/with/json/x": ["a"], "/compensate/with/url": ["b"] },
    });
  });

  it("tells what it calls, with everything that is not known yet as a star", () => {
    const compiled = compilePlan({
      steps: {
        a: post(
          {
            url: "https://api.skyline.example/x/${{ {'a': {'b': 1}}.a.b }}/y?z=${{ input.z }}",
            auth: { bearer: "T" },
          },
          {
            verify: get({ url: "https://look.example/" }),
            compensate: get({ url: "https://undo.example/z" }),
          },
        ),
      },
    });
    if (!compiled.ok) throw new Error(JSON.stringify(compiled.errors));
    const [a] = compiled.plan.graph.steps;
    expect(a === undefined ? [] : requestsOf(a)).toMatchObject([
      {
        role: "step",
        method: "POST",
        host: "api.skyline.example",
        path: "/x/*/y",
        token: "T",
        effect: "once",
      },
      { role: "verify", host: "look.example", effect: "safe" },
      { role: "compensate", host: "undo.example", path: "/z" },
    ]);
    const asked = summarise(compiled.plan.graph, ({ host }) => ({ host }));
    expect(asked.hosts).toEqual(["api.skyline.example", "look.example", "undo.example"]);
    expect(asked.steps[0]?.requests[1]?.policy).toEqual({ host: "look.example" });
  });

  it("can hold a text that would begin an expression, if it is written as one", () => {
    const compiled = compilePlan({ steps: { a: say(literal("a ${{ b }} c")) } });
    expect(compiled.ok).toBe(true);
  });

  it("never shows in an error what looks like a credential", () => {
    const token = "sk_live_0123456789abcdefghij";
    const compiled = compilePlan({ steps: { a: say(`\${{ nothing + 'Bearer ${token}' }}`) } });
    expect(compiled.ok).toBe(false);
    expect(JSON.stringify(compiled.ok ? compiled : [compiled.errors, compiled.advice])).not.toContain(token);
  });
});

describe("a credential that is written as an expression", () => {
  const placesOf = (parameters: Readonly<Record<string, unknown>>): string[] => {
    const compiled = compilePlan({ steps: { a: get(parameters) } });
    return compiled.ok ? [] : compiled.errors.map(({ pointer, code }) => `${pointer} ${code}`);
  };
  const url = "https://api.skyline.example/";
  const random = "a1b2c3d4e5f6a7b8c9d0";

  it.each([
    ["in the address", { url: `${url}?access_token=\${{ 'hunter2' }}` }, "url"],
    ["as a sum", { url: `${url}?access_token=\${{ 'hun' + "ter2" }}` }, "url"],
    ["in the query", { url, query: { access_token: "${{ 'hunter2' }}" } }, "query/access_token"],
    ["in a list", { url, query: { api_key: ["${{ 'hunter2' }}"] } }, "query/api_key"],
    ["that looks random", { url: `${url}?token=\${{ '${random}' }}` }, "url"],
  ])("is refused: %s", (_, parameters, at) => {
    expect(placesOf(parameters)).toEqual([`/steps/a/with/${at} secret_in_plan`]);
  });

  it.each([
    ["what is read", { url: `${url}?access_token=\${{ input.token }}` }],
    ["what is made of what is read", { url: `${url}?access_token=\${{ 'a' + input.token }}` }],
    ["a word", { url: `${url}?token=\${{ 'next' }}` }],
  ])("is not %s", (_, parameters) => {
    expect(placesOf(parameters)).toEqual([]);
  });
});

describe("the input of a plan", () => {
  const parse = (schema: object, input: unknown): unknown => {
    const compiled = compilePlan({ input: schema, steps: { a: say(1) } });
    if (!compiled.ok) throw new Error(JSON.stringify(compiled.errors));
    const parsed = compiled.plan.parseInput(JSON.parse(JSON.stringify(input)));
    return parsed.ok ? parsed.value : parsed.errors.map(({ pointer, code }) => `${pointer} ${code}`);
  };

  it.each<[string, object, unknown, unknown]>([
    ["a missing field", { required: ["a"] }, {}, ["/input/a missing"]],
    ["another type", { properties: { a: { type: "integer" } } }, { a: "1" }, ["/input/a invalid"]],
    [
      "an element",
      { properties: { a: { items: { type: "number" } } } },
      { a: [1, "2"] },
      ["/input/a/1 invalid"],
    ],
    [
      "a stray field",
      { properties: { a: {} }, additionalProperties: false },
      { b: 1 },
      ["/input/b unknown_field"],
    ],
    [
      "one field, and not for those behind it that fit",
      {
        properties: { "a/b": { required: ["x"] }, c: {}, "d/e": {} },
        additionalProperties: false,
      },
      { "a/b": {}, c: 1, "d/e": 1, f: 1 },
      ["/input/a~1b/x missing", "/input/f unknown_field"],
    ],
    ["a form", { properties: { a: { format: "date" } } }, { a: "2027-13-01" }, ["/input/a invalid"]],
    ["a name with a slash", { required: ["a/b"] }, {}, ["/input/a~1b missing"]],
    [
      "defaults that multiply",
      { properties: { l: { items: { properties: { a: { default: "x".repeat(10_000) } } } } } },
      { l: Array.from({ length: 100 }, () => ({})) },
      ["/input invalid"],
    ],
    [
      "parts that come with defaults",
      {
        properties: {
          l: { items: { properties: { a: { default: Array.from({ length: 5_000 }, () => 0) } } } },
        },
      },
      { l: Array.from({ length: 500 }, () => ({})) },
      ["/input invalid"],
    ],
    [
      "more errors than anybody could read, by the first",
      { items: { allOf: Array.from({ length: 400 }, () => false) } },
      Array.from({ length: 2_000 }, () => 0),
      ["/input/0 invalid"],
    ],
    [
      "too many parts",
      { enum: Array.from({ length: 500 }, (_, i) => `value ${i}`) },
      Array.from({ length: 20_000 }, () => 1),
      ["/input invalid"],
    ],
  ])("is refused for %s", (_, schema, input, findings) => {
    expect(parse(schema, input)).toEqual(findings);
  });

  it("gets the defaults of what is missing, at every depth", () => {
    const schema = {
      properties: {
        a: { default: 1 },
        b: { properties: { c: { default: [] } } },
        d: { items: { properties: { e: { default: "x" } } } },
      },
    };
    expect(parse(schema, { b: {}, d: [{}, { e: "y" }] })).toEqual({
      a: 1,
      b: { c: [] },
      d: [{ e: "x" }, { e: "y" }],
    });
  });

  it("is never repeated in an error", () => {
    const compiled = compilePlan({ input: { properties: { a: { const: 1 } } }, steps: { a: say(1) } });
    if (!compiled.ok) throw new Error(JSON.stringify(compiled.errors));
    expect(JSON.stringify(compiled.plan.parseInput({ a: "top-secret" }))).not.toContain("top-secret");
  });
});
