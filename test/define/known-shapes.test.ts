/** What a plan is told of its expressions and texts before it runs, and what it is not. */
import { describe, expect, it } from "vitest";
import { compilePlan, compileSteps } from "../../src/define/index.ts";
import { get, post, say } from "./bad-plans.ts";

function findings(plan: object): { errors: string[]; advice: string[]; details: string[] } {
  const compiled = compilePlan(plan);
  const errors = compiled.ok ? [] : compiled.errors;
  const advice = compiled.ok ? compiled.plan.advice : compiled.advice;
  return {
    errors: errors.map(({ pointer, code }) => `${pointer} ${code}`),
    advice: advice.map(({ pointer, code }) => `${pointer} ${code}`),
    details: [...errors, ...advice].map(({ detail }) => detail),
  };
}

describe("a field that an output does not have", () => {
  it("is told with the path that was meant, the expression and the place in it", () => {
    const compiled = compilePlan({
      steps: { "a-1": get(), b: say("n: ${{ 1 + steps['a-1'].output.id }}", { needs: ["a-1"] }) },
    });
    expect(compiled.ok ? null : compiled.errors).toEqual([
      {
        pointer: "/steps/b/with/value",
        code: "unknown_output_field",
        detail:
          "There is no `steps['a-1'].output.id`. What the service answered is in its `body`: write `steps['a-1'].output.body.id`.",
        expression: " 1 + steps['a-1'].output.id ",
        offset: 11,
        allowed: ["status", "headers", "body"],
      },
    ]);
  });

  it.each<[string, object, string[]]>([
    ["a field of the parameters", get({ nonsense: 1 }), ["/steps/a/with/nonsense unknown_field"]],
    ["a field of the step", get({}, { retries: 3 }), ["/steps/a/retries unknown_field"]],
    ["a number that does not fit", get({}, { retry: { attempts: 0 } }), ["/steps/a/retry/attempts invalid"]],
    ["an address", get({ url: "http://a.example/" }), ["/steps/a/with/url url_refused"]],
    ["a need", get({}, { needs: ["z"] }), ["/steps/a/needs/0 unknown_need"]],
    [
      "an expression in a value",
      say({ x: "${{ 1 + }}", y: 1 }),
      ["/steps/a/with/value/x expression_invalid"],
    ],
    [
      "the time to wait for a decision",
      { action: "wait", with: { approval: "Go?", timeout: "x" } },
      ["/steps/a/with/timeout invalid"],
    ],
  ])("is told although %s is wrong in the step that is read", (_, a, errors) => {
    const plan = { steps: { a, b: say("${{ steps.a.output.id }}", { needs: ["a"] }) } };
    expect(findings(plan).errors).toEqual([...errors, "/steps/b/with/value unknown_output_field"]);
  });

  it.each<[string, object, string]>([
    ["pages", get({ paginat: { by: "link", max: 1 } }), "more"],
    ["an action", { action: "shell", with: {} }, "id"],
    ["a list", get({}, { foreach: "input.l" }), "id"],
    ["a fallback", get({}, { onfailure: { fallback: { id: 1 } } }), "id"],
    ["a value", { action: "transform", with: { vale: { id: 1 } } }, "id"],
    ["a payload", { action: "wait", with: { signal: "x", schem: { type: "string" } } }, "id"],
    [
      "a verify",
      post({}, { verify: { ...get(), happend: "{'happened': true, 'output': {'id': 1}}" } }),
      "id",
    ],
  ])("is not guessed where %s may have been meant", (_, a, field) => {
    const plan = { steps: { a, b: say(`\${{ steps.a.output.${field} }}`, { needs: ["a"] }) } };
    expect(findings(plan).errors).toHaveLength(1);
  });

  it("is told of the input too where its schema is wrong elsewhere", () => {
    const input = { type: "object", properties: { to: { type: "string", pattern: "x" } } };
    const { errors, advice } = findings({ input, steps: { a: say("${{ [input.too, input.to.x] }}") } });
    expect(errors).toEqual([
      "/input/properties/to/pattern input_schema_refused",
      "/steps/a/with/value unknown_input_field",
    ]);
    expect(advice).toEqual(["/steps/a/with/value undeclared_field"]);
  });

  it("is told of steps that are appended, of which earlier ones are not known", () => {
    const steps = {
      b: get(),
      c: say("${{ [steps.before.output.id, steps.b.output.id] }}", { needs: ["b", "before"] }),
    };
    const compiled = compileSteps(steps);
    expect(compiled.ok ? [] : compiled.errors.map(({ offset, code }) => [offset, code])).toEqual([
      [29, "unknown_output_field"],
    ]);
  });

  it.each<[string, object]>([
    [
      "the answer of a service has",
      { a: get(), b: say("${{ steps.a.output.body.id.x[0].y }}", { needs: ["a"] }) },
    ],
    [
      "pages have",
      {
        a: get({ paginate: { by: "link", max: 2 } }),
        b: say("${{ [steps.a.output.more, steps.a.output.pages, steps.a.output.body[0].id] }}", {
          needs: ["a"],
        }),
      },
    ],
    [
      "headers have",
      {
        a: get({ keep: { headers: ["ETag"] } }),
        b: say("${{ steps.a.output.headers.etag }}", { needs: ["a"] }),
      },
    ],
    [
      "elements have",
      {
        a: get({}, { forEach: "input.x" }),
        b: say("${{ steps.a.output.filter(x, x.status == 200).map(x, x.body.id) }}", { needs: ["a"] }),
      },
    ],
    [
      "a fallback has",
      {
        a: get({}, { onFailure: { fallback: { id: 1 } } }),
        b: say("${{ has(steps.a.output.id) ? steps.a.output.id : steps.a.output.body.id }}", {
          needs: ["a"],
        }),
      },
    ],
    [
      "a fallback of a sleep has",
      {
        a: { action: "sleep", with: { for: 1 }, onFailure: { fallback: { id: 1 } } },
        b: say("${{ steps.a.output.id }}", { needs: ["a"] }),
      },
    ],
    [
      "a verify says",
      {
        a: post({}, { verify: { ...get(), happened: "{'happened': true, 'output': output.body.items[0]}" } }),
        b: say("${{ steps.a.output.id }}", { needs: ["a"] }),
      },
    ],
    [
      "a payload has that nobody declared",
      {
        a: { action: "wait", with: { signal: "go" } },
        b: say("${{ steps.a.output.anything }}", { needs: ["a"] }),
      },
    ],
    [
      "a child run has",
      {
        a: { action: "run", with: { workflow: "x" } },
        b: say("${{ steps.a.output.anything }}", { needs: ["a"] }),
      },
    ],
    [
      "a decision has",
      {
        a: { action: "wait", with: { approval: "Go?" } },
        b: say("${{ [steps.a.output.by, steps.a.output.note] }}", { needs: ["a"] }),
      },
    ],
    [
      "was computed by whatever way",
      {
        a: say("${{ input.x > 1 ? {'a': 1} : {'b': 2} }}"),
        b: say("${{ steps.a.output.b }}", { needs: ["a"] }),
      },
    ],
    [
      "was passed on",
      { a: say({ all: "${{ input }}" }), b: say("${{ steps.a.output.all.x.y }}", { needs: ["a"] }) },
    ],
  ])("is none that %s", (_, steps) => {
    expect(findings({ steps })).toEqual({ errors: [], advice: [], details: [] });
  });
});

describe("a field of the input", () => {
  const schema = { type: "object", required: ["also"], properties: { to: { properties: { city: {} } } } };
  const reads = (expression: string, input: object = schema): string[] => {
    const { errors, advice } = findings({ input, steps: { a: say(`\${{ ${expression} }}`) } });
    expect(errors).toEqual([]);
    return advice;
  };

  it("that was not declared is advice, at every depth, and never keeps a plan from running", () => {
    expect(reads("input.too")).toEqual(["/steps/a/with/value undeclared_field"]);
    expect(reads("input.to.citty")).toEqual(["/steps/a/with/value undeclared_field"]);
    expect(reads("has(input.note) ? input.note : ''")).toHaveLength(2);
  });

  it("that was declared, required, or left open is not spoken of", () => {
    expect(reads("input.to.city.x")).toEqual([]);
    expect(reads("input.also")).toEqual([]);
    expect(reads("input.x", { properties: { y: {} }, additionalProperties: true })).toEqual([]);
    expect(
      reads("input.x", { properties: { y: {} }, anyOf: [{ required: ["x"] }, { required: ["y"] }] }),
    ).toEqual([]);
    expect(reads("input.x", { type: "object" })).toEqual([]);
    expect(reads("input.x", { type: ["object", "array"], properties: { y: {} } })).toEqual([]);
  });
});

describe("advice on what may not be meant", () => {
  const charge = (verify: object, rest: object = {}): object =>
    post({}, { verify: { ...get(), ...verify }, ...rest });
  const reading = "https://a.example/${{ own.body.id }}";
  const undo = (url: string): object => ({ action: "http", with: { method: "DELETE", url } });
  const branches = (b: string, c: string, join = "all"): object => ({
    b: say(1, { when: b }),
    c: say(1, { when: c }),
    b2: say(1, { needs: ["b"] }),
    d: say(1, { needs: ["b2", "c"], join }),
  });
  it.each<[string, object, string[]]>([
    [
      "compares a status with none",
      { a: get(), b: say("${{ steps.a.status == 'success' }}", { needs: ["a"] }) },
      ["/steps/b/with/value never_equal"],
    ],
    [
      "compares a number with a text",
      { a: get(), b: say("${{ '200' != steps.a.output.status }}", { needs: ["a"] }) },
      ["/steps/b/with/value never_equal"],
    ],
    [
      "looks for a decision that fails the step",
      {
        a: { action: "wait", with: { approval: "Go?" } },
        b: say("${{ steps.a.output.decision in ['approved', 'denied'] }}", { needs: ["a"] }),
      },
      ["/steps/b/with/value never_equal"],
    ],
    [
      "compares with null, and with what it can be",
      {
        a: get(),
        b: say(
          "${{ steps.a.output.status == null || steps.a.status == 'failed' || steps.a.output.body == 1 }}",
          { needs: ["a"] },
        ),
      },
      [],
    ],
    [
      "divides as elsewhere",
      { a: say("${{ input.a // 2 }}") },
      ["/steps/a/with/value comment_in_expression"],
    ],
    ["has slashes in a text", { a: say("${{ 'https://' + input.a }}") }, []],
    [
      "takes back by its output",
      { a: post({}, { effect: "keyed", compensate: undo(reading) }) },
      ["/steps/a/compensate undo_reads_output"],
    ],
    [
      "takes back by its output by name",
      { a: post({}, { compensate: undo("https://a.example/${{ steps.a.output.body.id }}") }) },
      ["/steps/a/compensate undo_reads_output"],
    ],
    [
      "takes back by a reference, or asks first",
      {
        a: post(
          {},
          { compensate: undo("https://a.example/${{ run.id }}/${{ own == null ? stepKey : own.body.id }}") },
        ),
      },
      [],
    ],
    [
      "verifies by another answer than is read",
      {
        a: charge({ happened: "size(output.body.items) > 0" }),
        b: say("${{ steps['a'].output.body.id }}", { needs: ["a"] }),
      },
      ["/steps/a/verify/happened verify_is_output"],
    ],
    [
      "verifies by another answer than is taken back",
      { a: charge({ happened: "true" }, { compensate: undo(reading) }) },
      ["/steps/a/verify/happened verify_is_output"],
    ],
    [
      "verifies and says the output",
      {
        a: charge({ happened: "{'happened': true, 'output': {'body': output.body.items[0]}}" }),
        b: say("${{ steps.a.output.body.id }}", { needs: ["a"] }),
      },
      [],
    ],
    ["verifies what nobody reads", { a: charge({ happened: "size(output.body.items) > 0" }) }, []],
    ["joins both sides of a branch", branches("input.x", "!input.x"), ["/steps/d/needs never_runs"]],
    [
      "joins both sides of a comparison",
      branches("input.x == 1", "input.x  != 1"),
      ["/steps/d/needs never_runs"],
    ],
    ["joins both sides in words", branches("(input.x)", "!(input.x)"), ["/steps/d/needs never_runs"]],
    ["joins any side of a branch", branches("input.x", "!input.x", "any"), []],
    ["joins other branches", branches("input.x < 1", "input.x > 1"), []],
    [
      "sends a key of its own",
      { a: post({ headers: { "idempotency-key": "x" } }, { effect: "keyed" }) },
      ["/steps/a/with/headers/idempotency-key key_replaced"],
    ],
    [
      "sends a key of its own beside the engine's",
      {
        a: post(
          { headers: { "Idempotency-Key": "x" }, idempotencyHeader: "X-Idempotency-Key" },
          { effect: "keyed" },
        ),
      },
      [],
    ],
  ])("is told of a plan that %s", (_, steps, advice) => {
    expect(findings({ steps })).toMatchObject({ errors: [], advice });
    // The same of steps that are appended.
    const compiled = compileSteps(steps);
    expect(compiled.ok).toBe(true);
    expect(compiled.advice.map(({ pointer, code }) => `${pointer} ${code}`)).toEqual(advice);
  });
});

describe("a text that is written like an expression", () => {
  it.each<[string, unknown, string]>([
    ["double braces", "Hello {{ input.name }}", "${{ input.name }}"],
    ["a dollar and one brace", "Hello ${input.name}", "${{ input.name }}"],
    ["angle brackets", "Hello <%= name %>", "${{ name }}"],
    ["a bare path", "steps.a.output.body.id", "${{ steps.a.output.body.id }}"],
    ["a bare input", "input.name", "${{ input.name }}"],
    ["braces beside a real one", "${{ input.a }} and {{ b }}", "${{ b }}"],
  ])("as %s is advice that says how to write it", (_, value, meant) => {
    const compiled = compilePlan({ steps: { a: say({ deep: [value] }) }, output: value });
    expect(compiled.ok ? compiled.plan.advice : compiled.errors).toMatchObject([
      { pointer: "/steps/a/with/value/deep/0", code: "looks_like_expression", allowed: [meant] },
      { pointer: "/output", code: "looks_like_expression", allowed: [meant] },
    ]);
  });

  it.each([
    "{ }",
    "a {{}} b",
    "input.json",
    "See input.name in the form.",
    "$5 {x}",
    "${{ '{{ x }}' }}",
    "100 <% of",
  ])("is not: %s", (value) => {
    expect(findings({ steps: { a: say(value) } }).advice).toEqual([]);
  });

  it("is told of a plan that cannot run as well", () => {
    const { errors, advice } = findings({ steps: { a: say("{{ x }}", { needs: ["z"] }) } });
    expect([errors, advice]).toEqual([
      ["/steps/a/needs/0 unknown_need"],
      ["/steps/a/with/value looks_like_expression"],
    ]);
  });
});

describe("a credential in a plan", () => {
  const JWT = `eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.${"x".repeat(20)}`;

  it("is never repeated, wherever it stands", () => {
    for (const key of [JWT, `sk_live_${"a1".repeat(12)}`, `sck_${"a1".repeat(19)}`]) {
      const step = post({
        url: `https://a.example/?token=${key}`,
        json: { [key]: key, k: `\${{ nothing('${key}') }}` },
      });
      const compiled = compilePlan({
        description: key,
        deadline: `\${{ ${key} }}`,
        steps: { a: step, b: say(`{{ ${key} }}`) },
        output: key,
      });
      expect(compiled.ok).toBe(false);
      expect(JSON.stringify(compiled.ok ? compiled : [compiled.errors, compiled.advice])).not.toContain(key);
    }
  });

  it("is told once for one place, also where it is a header", () => {
    const { errors } = findings({ steps: { a: get({ headers: { "X-Thing": `ghp_${"a1".repeat(18)}` } }) } });
    expect(errors).toEqual(["/steps/a/with/headers/X-Thing secret_in_plan"]);
  });

  it("is refused in steps that are appended, and is none that code of the deployment was given", () => {
    const steps = { a: say(JWT) };
    const written = compileSteps(steps);
    expect(written.ok ? [] : written.errors.map(({ pointer, code }) => `${pointer} ${code}`)).toEqual([
      "/steps/a/with/value secret_in_plan",
    ]);
    expect(compileSteps(steps, "", "code").ok).toBe(true);
  });

  it.each<[string, Readonly<Record<string, unknown>>]>([
    [
      "a key that is computed",
      { query: { api_key: "${{ input.key }}" }, url: "https://a.example/?api_key=${{ input.key }}" },
    ],
    ["a word named key", { query: { key: "name", token: "next-page" } }],
    ["a name of a token", { auth: { bearer: "SKYLINE_TOKEN" } }],
    [
      "a long word",
      { query: { q: "secret_santa_gift_exchange_list", r: "sk-learn-2024-what-is-new-in-it" } },
    ],
    [
      "an identifier",
      { query: { id: "9b2f7c1e-5a44-4b0e-8a53-0c1a2b3c4d5e", cursor: "a8Kd93hfA02mdkeP40dk" } },
    ],
  ])("is not %s", (_, more) => {
    expect(findings({ steps: { a: get(more) } }).errors).toEqual([]);
  });
});
