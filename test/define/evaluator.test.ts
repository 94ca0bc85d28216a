import { describe, expect, it } from "vitest";
import * as z from "zod";
import {
  compile,
  compileSteps,
  createCode,
  createEvaluator,
  createRegistry,
  grow,
  workflow,
  type Definition,
} from "../../src/define/index.ts";
import { limits, type RunInfo, type StepDef, type UnitRef } from "../../src/kernel/index.ts";
import type { ActionScope } from "../../src/actions/index.ts";
import { call, NOW, RUN, scope } from "./support.ts";

const RUN_W: RunInfo = { ...RUN, workflow: "w" };

function evaluatorOf(definition: Definition) {
  const registry = createRegistry([definition]);
  const evaluator = createEvaluator(registry);
  const { graph } = compile(definition);
  const def = (name: string): StepDef => {
    const found = graph.steps.find((step) => step.name === name);
    if (found === undefined) throw new Error(name);
    return found;
  };
  return {
    evaluator,
    registry,
    graph,
    def,
    fill: (name: string, given: ActionScope = scope(), unit: UnitRef = { step: name }, run = RUN_W) =>
      evaluator.fill(run, def(name), unit, given),
  };
}

const start = () => workflow("w", { version: "1", input: z.object({ n: z.number() }) });

describe("filling in a step", () => {
  it("gives the request with every function called, and a digest that depends on nothing else", () => {
    const { fill } = evaluatorOf(
      start().step("a", {
        http: {
          method: "POST",
          url: ({ input }) => `https://a.example/${input.n}`,
          json: ({ key, run }) => ({ key, at: run.now, none: undefined }),
          query: { x: 1 },
          answer: z.object({}),
        },
      }),
    );
    const first = fill("a", scope({ input: () => ({ n: 1 }) }));
    expect(first).toMatchObject({
      kind: "call",
      with: {
        method: "POST",
        url: "https://a.example/1",
        json: { key: "run_test.s.g0", at: NOW },
        query: { x: 1 },
      },
    });
    expect(fill("a", scope({ input: () => ({ n: 1 }) }))).toEqual(first);
    const other = fill("a", scope({ input: () => ({ n: 2 }) }));
    expect(first.kind === "call" && other.kind === "call" && first.digest !== other.digest).toBe(true);
  });

  it("reads the condition once, for the step as a whole and its first round", () => {
    const { fill } = evaluatorOf(
      start().step("a", { when: ({ input }) => input.n > 1, transform: () => "ran" }),
    );
    expect(fill("a", scope({ input: () => ({ n: 1 }) }))).toEqual({ kind: "skip" });
    expect(fill("a", scope({ input: () => ({ n: 2 }) }))).toEqual({ kind: "done", output: "ran" });
    expect(fill("a", scope({ input: () => ({ n: 1 }), iteration: 1 }))).toEqual({
      kind: "done",
      output: "ran",
    });
    expect(fill("a", scope({ input: () => ({ n: 1 }) }), { step: "a", item: 0 })).toEqual({
      kind: "done",
      output: "ran",
    });
  });

  it("gives the list of a forEach, then each item", () => {
    const { fill } = evaluatorOf(
      start().step("a", {
        forEach: () => [{ id: 1 }, { id: 2 }],
        transform: ({ item, index }) => item.id + index,
      }),
    );
    expect(fill("a")).toEqual({ kind: "list", list: [{ id: 1 }, { id: 2 }] });
    expect(fill("a", scope({ item: () => ({ id: 2 }), index: 1 }), { step: "a", item: 1 })).toEqual({
      kind: "done",
      output: 3,
    });
  });

  it("gives times, signals and failures", () => {
    const { fill } = evaluatorOf(
      start()
        .step("nap", { sleep: "1.5s" })
        .step("till", { sleep: ({ run }) => ({ until: new Date(run.now + 60_000).toISOString() }) })
        .step("past", { sleep: { until: "2020-01-01T00:00:00Z" } })
        .step("go", { wait: { signal: "go", timeout: ({ input }) => `${input.n}h` } })
        .step("ok", { wait: { approval: ({ input }) => `Pay ${input.n}?` } })
        .step("empty", { wait: { approval: () => "" } })
        .step("bad", { fail: ({ input }) => ({ message: `No ${input.n}.`, reason: "no" }) }),
    );
    const given = scope({ input: () => ({ n: 2 }) });
    expect(fill("nap")).toEqual({ kind: "timer", ms: 1_500 });
    expect(fill("till")).toEqual({ kind: "timer", ms: 60_000 });
    expect(fill("past")).toEqual({ kind: "timer", ms: 0 });
    expect(fill("go", given)).toEqual({ kind: "signal", limitMs: 7_200_000 });
    expect(fill("ok", given)).toEqual({ kind: "approval", limitMs: limits.WAIT_LIMIT_MS, text: "Pay 2?" });
    expect(fill("empty", given)).toMatchObject({ kind: "error", failure: { code: "template_failed" } });
    expect(fill("bad", given)).toMatchObject({
      kind: "error",
      failure: { code: "step_failed", message: "No 2.", reason: "no" },
    });
  });

  it("says of a call that somebody must approve what it is, and nothing of what it sends", () => {
    const {
      evaluator: { fill },
      def,
    } = evaluatorOf(
      start()
        .step("pay", {
          http: {
            method: "POST",
            url: ({ input }) => `https://bank.example/pay/${input.n}?to=7&token=secret`,
            json: { iban: "secret" },
          },
        })
        .step("code", { effect: "once", run: () => 1 }),
    );
    const held = (name: string): StepDef => ({ ...def(name), approval: { limitMs: 1 } });
    const given = scope({ input: () => ({ n: 7 }) });
    const filled = fill(RUN_W, held("pay"), { step: "pay" }, given);
    expect(filled).toMatchObject({
      about: {
        action: "http",
        method: "POST",
        host: "bank.example",
        path: "/pay/7",
        query: "?to=7&token=[REDACTED]",
      },
    });
    expect(JSON.stringify("about" in filled ? filled.about : null)).not.toContain("secret");
    expect(fill(RUN_W, held("code"), { step: "code" }, given)).toMatchObject({
      about: { action: "code" },
    });
    expect(fill(RUN_W, def("pay"), { step: "pay" }, given)).not.toHaveProperty("about");
  });

  it("gives a function nothing but a constant digest: its payload is made while it runs", () => {
    const { fill } = evaluatorOf(start().step("a", { effect: "safe", run: ({ input }) => input.n }));
    expect(fill("a")).toEqual({ kind: "call", digest: "code", with: null });
  });

  it("fails with template_failed, and never throws, whatever the functions do", () => {
    const unchecked = start() as unknown as {
      step(name: string, spec: object): typeof unchecked;
    } & Definition;
    const boom = (): never => {
      throw new Error("boom Bearer abcdefgh12345678");
    };
    const { fill } = evaluatorOf(
      unchecked
        .step("throws", { transform: boom })
        .step("when", { when: boom, transform: () => 1 })
        .step("truthy", { when: () => 1, transform: () => 1 })
        .step("async", { transform: async () => 1 })
        .step("list", { forEach: () => "abc", transform: () => 1 })
        .step("date", { transform: () => ({ a: [new Map()] }) })
        .step("url", { http: { method: "GET", url: () => "http://x" } })
        .step("secret", {
          http: { method: "GET", url: "https://a.example/", headers: () => ({ Authorization: "x" }) },
        })
        .step("surrogate", { http: { method: "POST", url: "https://a.example/", json: () => "\ud800" } })
        .step("unseen", { transform: ({ steps }: { steps: Record<string, unknown> }) => steps["nope"] })
        .step("sleep", { sleep: () => "soon" }),
    );
    for (const name of [
      "throws",
      "when",
      "truthy",
      "async",
      "date",
      "url",
      "secret",
      "surrogate",
      "unseen",
      "sleep",
    ])
      expect([name, fill(name)]).toMatchObject([
        name,
        { kind: "error", failure: { code: "template_failed" } },
      ]);
    expect(fill("list")).toMatchObject({ kind: "error", failure: { code: "invalid_list" } });
    expect(JSON.stringify(fill("throws"))).not.toContain("abcdefgh12345678");
  });

  it("fails with step_code_missing where this build has no code for the run's version", () => {
    const { fill, evaluator, def } = evaluatorOf(
      start()
        .step("a", { when: () => true, transform: () => 1 })
        .step("b", { transform: () => 1 }),
    );
    for (const name of ["a", "b"])
      expect(fill(name, scope(), { step: name }, { ...RUN_W, version: "0" })).toMatchObject({
        kind: "error",
        failure: { code: "step_code_missing" },
      });
    expect(evaluator.output({ ...RUN_W, version: "0" }, true, scope())).toMatchObject({
      ok: false,
      failure: { code: "step_code_missing" },
    });
    expect(
      evaluator.again(
        RUN_W,
        { ...def("b"), repeat: { until: true, everyMs: 1, max: 1, withinMs: 1 } },
        1,
        scope(),
      ),
    ).toMatchObject({ ok: false, failure: { code: "step_code_missing" } });
  });

  it("says of what is due whether this build has code for it, so that it is left for one that has", () => {
    const { evaluator, def } = evaluatorOf(
      start()
        .step("a", { when: () => true, transform: () => 1 })
        .step("b", { transform: () => 1 }),
    );
    const lacks = (name: string, version?: string, more: object = {}): boolean =>
      evaluator.lacks(version === undefined ? RUN_W : { ...RUN_W, version }, {
        def: { ...def(name), ...more },
        unit: { step: name },
      });
    expect([lacks("a"), lacks("b")]).toEqual([false, false]);
    expect([lacks("a", "0"), lacks("b", "0")]).toEqual([true, true]);
    // The step is there, and a part of it that the run wants is not.
    expect(lacks("b", undefined, { when: true })).toBe(true);
    expect(lacks("b", undefined, { name: "gone" })).toBe(true);
    // What is data needs nothing of ours.
    expect(lacks("b", "0", { expressions: 1 })).toBe(false);
    expect(evaluator.lacks({ ...RUN_W, version: "0" }, { output: true })).toBe(true);
    expect(evaluator.lacks({ ...RUN_W, version: "0" }, { output: { template: 1 } })).toBe(false);
    expect(evaluator.lacks({ ...RUN_W, version: "0" }, { output: undefined })).toBe(false);
  });

  it("needs no code for steps that are data", () => {
    const compiled = compileSteps({
      a: { action: "http", with: { method: "GET", url: "https://a.example/" } },
      b: { action: "transform", with: { value: [1] } },
    });
    if (!compiled.ok) throw new Error("does not compile");
    const { fill } = createEvaluator(createRegistry([]));
    const [a, b] = compiled.steps;
    expect(a && fill(RUN_W, a, { step: "a" }, scope())).toMatchObject({
      kind: "call",
      with: { method: "GET" },
    });
    expect(b && fill(RUN_W, b, { step: "b" }, scope())).toEqual({ kind: "done", output: [1] });
  });

  it("says of an undo that cannot be filled in that what the step did stands, and of the step itself to correct it", () => {
    const url = "https://a.example/${{ own.body.id }}";
    const compiled = compileSteps({
      a: {
        ...{ action: "http", with: { method: "PUT", url: "https://a.example/${{ input.none }}" } },
        compensate: { action: "http", with: { method: "DELETE", url } },
      },
    });
    const [a] = compiled.steps;
    if (!compiled.ok || a === undefined) throw new Error("does not compile");
    const { fill } = createEvaluator(createRegistry([]));
    const hintOf = (unit: UnitRef): string => {
      const filled = fill(RUN_W, a, unit, scope({ own: () => null }));
      if (filled.kind !== "error") throw new Error(filled.kind);
      expect(filled.failure.code).toBe("template_failed");
      return filled.failure.hint;
    };
    expect(hintOf({ step: "a", role: "undo" })).toMatch(/^Nothing was taken back/);
    expect(hintOf({ step: "a" })).toMatch(/^Correct the expression/);
  });

  it("gives compensation and verify what they see: the step's key and output", () => {
    const { fill } = evaluatorOf(
      start().step("a", {
        effect: "keyed",
        http: { method: "POST", url: "https://a.example/", answer: z.object({ id: z.string() }) },
        verify: {
          http: { method: "GET", url: ({ stepKey }) => `https://a.example/?reference=${stepKey}` },
          happened: () => ({ happened: null }),
        },
        compensate: {
          http: { method: "DELETE", url: ({ own }) => `https://a.example/${own?.body.id ?? "unknown"}` },
        },
      }),
    );
    const given = scope({ own: () => ({ body: { id: "b7" } }) });
    expect(fill("a", given, { step: "a", role: "verify" })).toMatchObject({
      with: { url: "https://a.example/?reference=run_test.s.g0" },
    });
    expect(fill("a", given, { step: "a", role: "undo" })).toMatchObject({
      with: { url: "https://a.example/b7" },
    });
  });
});

describe("reading what came back", () => {
  it("goes on with a repeat until its condition holds", () => {
    const { evaluator, def } = evaluatorOf(
      start().step("a", {
        effect: "safe",
        run: () => ({ done: true }),
        repeat: { every: "1s", until: (output) => output.done },
      }),
    );
    expect(evaluator.again(RUN_W, def("a"), { done: false }, scope())).toEqual({ ok: true, value: true });
    expect(evaluator.again(RUN_W, def("a"), { done: true }, scope())).toEqual({ ok: true, value: false });
    expect(evaluator.again(RUN_W, def("a"), {}, scope())).toMatchObject({
      ok: false,
      failure: { code: "template_failed" },
    });
  });

  it("asks the author whether an unknown step happened", () => {
    const { evaluator, def } = evaluatorOf(
      start()
        .step("http", {
          http: { method: "POST", url: "https://a.example/" },
          verify: {
            http: { method: "GET", url: "https://a.example/" },
            happened: ({ status, headers }) =>
              status === 200 ? { happened: true, output: { status, headers, body: 1 } } : { happened: false },
          },
        })
        .step("code", {
          effect: "once",
          run: () => 1,
          verify: { run: () => ({ happened: true, output: 2 }) },
        }),
    );
    const answer = (status: number) => ({ status, headers: {}, body: null });
    expect(evaluator.happened(RUN_W, def("http"), answer(200), scope())).toEqual({
      ok: true,
      value: { happened: true, output: { status: 200, headers: {}, body: 1 } },
    });
    expect(evaluator.happened(RUN_W, def("http"), answer(404), scope())).toEqual({
      ok: true,
      value: { happened: false, output: null },
    });
    expect(evaluator.happened(RUN_W, def("code"), { happened: true, output: 2 }, scope())).toEqual({
      ok: true,
      value: { happened: true, output: 2 },
    });
    expect(evaluator.happened(RUN_W, def("code"), { happened: null }, scope())).toEqual({
      ok: true,
      value: { happened: null, output: null },
    });
    expect(evaluator.happened(RUN_W, def("code"), { happened: "yes" }, scope())).toMatchObject({
      ok: false,
      failure: { code: "template_failed" },
    });
  });

  it("takes 404 and 410 for no, and any other answer for yes, where the verify is data", () => {
    const http = { action: "http", with: { method: "GET", url: "https://a.example/" } } as const;
    const compiled = compileSteps({ a: { ...http, with: { ...http.with, method: "POST" }, verify: http } });
    if (!compiled.ok) throw new Error("does not compile");
    const evaluator = createEvaluator(createRegistry([]));
    const [def] = compiled.steps;
    const said = (status: number) =>
      def && evaluator.happened(RUN_W, def, { status, headers: {}, body: null }, scope());
    expect(said(200)).toMatchObject({ value: { happened: true, output: { status: 200 } } });
    expect(said(404)).toMatchObject({ value: { happened: false } });
    expect(said(410)).toMatchObject({ value: { happened: false } });
  });
});

describe("a failed expression of a plan", () => {
  const GET = { action: "http", with: { method: "GET", url: "https://a.example/" } };
  const compiled = compileSteps({
    when: { ...GET, when: "null" },
    list: { ...GET, forEach: "'no list'" },
    poll: { ...GET, repeat: { until: "output.body", every: "1s" } },
    pay: {
      ...GET,
      with: { ...GET.with, method: "POST" },
      verify: { ...GET, happened: "'perhaps'" },
    },
  });
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.errors));
  const { fill, again, happened, output } = createEvaluator(createRegistry([]));
  const def = (name: string): StepDef => {
    const found = compiled.steps.find((step) => step.name === name);
    if (found === undefined) throw new Error(name);
    return found;
  };
  const answer = { status: 200, headers: {}, body: null };

  it.each<[string, () => unknown]>([
    ["when", () => fill(RUN_W, def("when"), { step: "when" }, scope())],
    ["forEach", () => fill(RUN_W, def("list"), { step: "list" }, scope())],
    ["repeat.until", () => again(RUN_W, def("poll"), answer, scope())],
    ["verify.happened", () => happened(RUN_W, def("pay"), answer, scope())],
    ["output", () => output(RUN_W, { template: "${{ steps.a.output.b }}" }, scope())],
  ])("is to be corrected in the plan, not by a deploy: %s", (_, fail) => {
    const { failure } = fail() as { readonly failure: { readonly code: string; readonly hint: string } };
    expect(failure.code).toBe(_ === "forEach" ? "invalid_list" : "template_failed");
    expect(failure.hint).toMatch(/expression.*start another run; to an open run, append another step/);
    expect(failure.hint).not.toMatch(/deploy|function|[Rr]eturn/);
  });
});

describe("what expressions took", () => {
  /** As many operations as a full meter has, and the most that one event of the platform may begin with. */
  const [METER, EVENT] = [250_000, 1_000_000];
  const compiled = compileSteps({
    dear: {
      action: "transform",
      with: { value: "${{ input.list.map(x, x * 2).filter(x, x > 1000000).size() }}" },
    },
    cheap: { action: "transform", with: { value: { n: "${{ input.n + 1 }}", to: "${{ input.name }}" } } },
    poll: {
      action: "http",
      with: { method: "GET", url: "https://a.example/" },
      repeat: { until: "output.status > 200", every: "1s" },
    },
  });
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.errors));
  const [dear, cheap, poll] = compiled.steps as [StepDef, StepDef, StepDef];

  it("is counted over all that is filled in and read, whether it came to an end or not", () => {
    const { fill, again, spent } = createEvaluator(createRegistry([]));
    expect(spent()).toBe(0);
    const list = Array.from({ length: 100_000 }, (_, i) => i);
    const ended = fill(RUN_W, dear, { step: "dear" }, scope({ input: () => ({ list }) }));
    expect(ended).toMatchObject({ kind: "error", failure: { code: "template_failed" } });
    const full = spent();
    expect(full).toBeGreaterThan(METER / 2);
    expect(full).toBeLessThanOrEqual(METER);
    again(RUN_W, poll, { status: 200 }, scope());
    expect(spent()).toBeGreaterThan(full);
  });

  it("of 8,000 ordinary steps is less than one event may take: they are filled in in one turn", () => {
    const { fill, spent } = createEvaluator(createRegistry([]));
    const given = scope({ input: () => ({ n: 1, name: "Ada" }) });
    for (let i = 0; i < 8_000; i++) expect(fill(RUN_W, cheap, { step: "cheap" }, given).kind).toBe("done");
    expect(spent()).toBeGreaterThan(0);
    expect(spent()).toBeLessThan(EVENT);
  });
});

describe("the output of a run", () => {
  it("is what the workflow makes of its steps, else the outputs of the steps that nothing needs", () => {
    const steps = start()
      .step("a", { transform: () => 1 })
      .step("b", { transform: () => 2 });
    const given = scope({ steps: { a: 1, b: 2 } });
    const own = evaluatorOf(steps.output(({ steps: { a, b } }) => a.output + b.output));
    expect(own.evaluator.output(RUN_W, own.graph.output, given)).toEqual({ ok: true, value: 3 });
    const { evaluator, graph } = evaluatorOf(steps);
    expect(evaluator.output(RUN_W, graph.output, given)).toEqual({ ok: true, value: { a: 1, b: 2 } });
  });
});

describe("code for attempts", () => {
  const definition = start()
    .step("a", {
      effect: "once",
      run: () => "main",
      verify: { run: () => ({ happened: null }) },
      compensate: { effect: "safe", run: () => "undo" },
    })
    .step("b", {
      http: { method: "GET", url: "https://a.example/", answer: z.object({ at: z.coerce.number() }) },
    });
  const { registry, def } = evaluatorOf(definition);
  const code = createCode(registry);

  it("is found by workflow, version, step and role", () => {
    const found = (role?: "undo" | "verify", run = RUN_W) =>
      code.step(call({ run, def: def("a"), unit: { step: "a", ...(role === undefined ? {} : { role }) } }));
    expect(found()?.(null as never)).toBe("main");
    expect(found("undo")?.(null as never)).toBe("undo");
    expect(found("verify")?.(null as never)).toEqual({ happened: null });
    expect(found(undefined, { ...RUN_W, version: "2" })).toBeNull();
  });

  it("is not found for a step that is data, though code has one of the same name", () => {
    const data = { ...def("b"), with: { method: "GET", url: "https://a.example/" } };
    expect(code.answer(call({ run: RUN_W, def: data, unit: { step: "b" } }))).toBeNull();
  });

  it("checks an answer against its declared shape", () => {
    const check = code.answer(call({ run: RUN_W, def: def("b"), unit: { step: "b" } }));
    expect(check?.({ at: "7" })).toEqual({ ok: true, body: { at: 7 } });
    expect(check?.({ at: "x" })).toMatchObject({ ok: false });
  });

  it("turns grown steps into definitions, or says what is wrong with them", () => {
    const grown = grow(1, { more: { action: "http", with: { method: "GET", url: "https://a.example/" } } });
    expect(code.growth(grown.steps, call())).toMatchObject({
      ok: true,
      // Marked as nobody's code.
      steps: [{ name: "more", kind: "call", grown: true }],
    });
    expect(code.growth({ more: { action: "nope" } }, call())).toMatchObject({ ok: false });
  });
});
