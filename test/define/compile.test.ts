import { describe, expect, it } from "vitest";
import * as z from "zod";
import { compile, createRegistry, workflow, type Definition } from "../../src/define/index.ts";
import { limits, type StepDef } from "../../src/kernel/index.ts";
import { workflows } from "../../src/workflows/index.ts";

function stepsOf(definition: Definition): Map<string, StepDef> {
  return new Map(compile(definition).graph.steps.map((step) => [step.name, step]));
}

function lintsOf(definition: Definition): string[] {
  return compile(definition).lints.map(({ pointer, code }) => `${pointer} ${code}`);
}

const start = () => workflow("w", { version: "1" });

describe("the graph of a workflow", () => {
  it("holds markers for functions, and data where there is no function", () => {
    const steps = stepsOf(
      start()
        .step("code", { effect: "once", run: () => 1, verify: { run: () => ({ happened: null }) } })
        .step("http", {
          http: { method: "POST", url: "https://a.example/" },
          compensate: { http: { method: "DELETE", url: "https://a.example/" } },
        })
        .step("nap", { sleep: "5m" })
        .step("long", { sleep: ({ run }) => run.now })
        .step("go", {
          needs: ["nap"],
          join: "settled",
          when: () => true,
          wait: { signal: "go", timeout: "1h" },
        })
        .step("ok", { wait: { approval: "Go on?" } })
        .step("asks", { wait: { approval: () => "Go on?", timeout: "1d" } })
        .step("sum", { transform: () => 1, sensitive: true })
        .step("end", { when: () => false, fail: "No." })
        .step("each", { forEach: () => [1, 2], effect: "safe", run: ({ item }) => item })
        .step("poll", {
          http: { method: "GET", url: "https://a.example/" },
          repeat: { every: "1s", until: () => true },
        }),
    );
    expect(steps.get("code")).toMatchObject({
      kind: "call",
      action: "code",
      with: null,
      verify: { action: "code", effect: "safe", with: null, afterMs: limits.VERIFY_AFTER_MS },
    });
    expect(steps.get("http")).toMatchObject({
      action: "http",
      with: null,
      effect: "once",
      compensate: { effect: "idempotent", with: null },
    });
    expect(steps.get("nap")).toMatchObject({ kind: "timer", with: { for: "5m" } });
    expect(steps.get("long")).toMatchObject({ kind: "timer", with: null });
    expect(steps.get("go")).toMatchObject({
      kind: "signal",
      signal: "go",
      when: true,
      join: "settled",
      with: { signal: "go", timeout: "1h" },
    });
    expect(steps.get("ok")).toMatchObject({ kind: "approval", with: { approval: "Go on?" } });
    expect(steps.get("asks")).toMatchObject({ kind: "approval", action: "wait", with: null });
    expect(steps.get("sum")).toMatchObject({
      kind: "instant",
      action: "transform",
      with: null,
      sensitive: true,
    });
    expect(steps.get("end")).toMatchObject({ kind: "instant", action: "fail", with: { message: "No." } });
    expect(steps.get("each")).toMatchObject({
      forEach: { list: true, concurrency: limits.ITEM_CONCURRENCY, tolerate: 0 },
    });
    expect(steps.get("poll")).toMatchObject({
      effect: "safe",
      repeat: { until: true, everyMs: 1_000, max: 100 },
    });
    for (const step of steps.values()) expect(JSON.parse(JSON.stringify(step))).toEqual(step);
  });

  it("is the same each time it is made", () => {
    for (const definition of workflows) expect(compile(definition)).toEqual(compile(definition));
  });

  it("says in a step that its failure fails the run, unless the workflow is open", () => {
    expect(stepsOf(start().step("a", { transform: () => 1 })).get("a")?.onFailure).toBe("fail");
    const open = workflow("w", { version: "1", open: true }).step("a", { transform: () => 1 });
    expect(stepsOf(open).get("a")?.onFailure).toBe("continue");
    const fallback = start().step("a", { transform: () => 1, onFailure: { fallback: { x: 1 } } });
    expect(stepsOf(fallback).get("a")?.onFailure).toEqual({ fallback: { x: 1 } });
  });

  it("has the workflow's own limits", () => {
    const definition = workflow("w", { version: "1", deadline: "2h", undoBudget: "1h", idleLimit: 5 });
    expect(compile(definition).graph).toMatchObject({
      deadlineMs: 7_200_000,
      undoBudgetMs: 3_600_000,
      idleLimitMs: 5,
    });
  });
});

describe("lints of a workflow", () => {
  it("find nothing in the workflows of this deployment", () => {
    for (const definition of workflows)
      expect([definition.name, lintsOf(definition)]).toEqual([definition.name, []]);
  });

  it("name what is wrong, and where", () => {
    expect(lintsOf(start().step("Bad", { transform: () => 1 }))).toEqual(["/steps/Bad bad_name"]);
    expect(lintsOf(start().step("a", { effect: "safe", run: () => 1, timeout: "11m" }))).toEqual([
      "/steps/a/timeout timeout_too_long",
    ]);
    expect(
      lintsOf(
        start()
          .step("a", { sleep: "1s" })
          .step("b", { http: { method: "POST", url: "https://a.example/" }, retry: { only: ["timeout"] } }),
      ),
    ).toEqual(["/steps/b/retry/only once_blind_retry"]);
    expect(lintsOf(start().step("a", { wait: { signal: "Bad Name" } }))).toEqual([
      "/steps/a/wait/signal invalid",
      "/steps/a/with/signal missing_signal_name",
    ]);
    expect(lintsOf(start().step("a", { wait: { approval: "x".repeat(2_001) } }))).toEqual([
      "/steps/a/wait/approval invalid",
    ]);
    expect(
      lintsOf(workflow("w", { version: "1", deadline: "1m" }).step("a", { effect: "safe", run: () => 1 })),
    ).toEqual(["/steps/a/retry retry_window_exceeds_deadline"]);
    const look = { method: "POST", url: "https://a.example/" } as const;
    const verify = { http: look, happened: () => ({ happened: null }) };
    // As a workflow that the compiler did not check.
    const asks = (more: object): unknown => ({ http: look, verify: { ...verify, ...more } });
    expect(lintsOf(start().step("a", asks({}) as { transform: () => 1 }))).toEqual([
      "/steps/a/verify/http/method verify_not_safe",
    ]);
    expect(lintsOf(start().step("a", asks({ effect: "safe" }) as { transform: () => 1 }))).toEqual([]);
    expect(lintsOf(start().step("a", { transform: () => 1, onFailure: { fallback: () => 1 } }))).toEqual([
      "/steps/a/onFailure/fallback invalid",
    ]);
  });

  it("also find what the compiler would have refused, in a workflow that it did not check", () => {
    const unchecked = start() as unknown as {
      step(name: string, spec: object): typeof unchecked;
    } & Definition;
    expect(lintsOf(unchecked.step("a", {}))).toEqual(["/steps/a no_action"]);
    expect(lintsOf(unchecked.step("a", { run: () => 1 }))).toEqual(["/steps/a/effect effect_missing"]);
    expect(lintsOf(unchecked.step("a", { sleep: 1, effect: "keyed" }))).toContain(
      "/steps/a/effect keyed_not_carried",
    );
    expect(lintsOf(unchecked.step("a", { transform: () => 1, needs: ["b"] }))).toEqual([
      "/steps/a/needs/0 unknown_need",
    ]);
    expect(
      lintsOf(
        unchecked
          .step("a", { transform: () => 1, needs: ["b"] })
          .step("b", { transform: () => 1, needs: ["a"] }),
      ),
    ).toContain("/steps/a/needs/0 cycle");
    expect(lintsOf(unchecked.step("a", { transform: () => 1 }).step("a", { transform: () => 1 }))).toEqual([
      "/steps/a duplicate_step",
    ]);
  });
});

describe("the registry", () => {
  const v = (version: string) =>
    workflow("w", { version, input: z.object({ n: z.int().default(3), s: z.string().optional() }) });

  it("finds a version, or the one registered last", () => {
    const registry = createRegistry([v("1"), v("2"), workflow("x", { version: "1", open: true })]);
    expect(registry.get("w")?.version).toBe("2");
    expect(registry.get("w", "1")?.version).toBe("1");
    expect(registry.get("w", "3")).toBeNull();
    expect(registry.get("y")).toBeNull();
    expect(registry.list().map(({ name, version, open }) => [name, version, open])).toEqual([
      ["w", "1", false],
      ["w", "2", false],
      ["x", "1", true],
    ]);
  });

  it("refuses two workflows of one name and version, and bad names, when the Worker starts", () => {
    expect(() => createRegistry([v("1"), v("1")])).toThrow(TypeError);
    expect(() => createRegistry([workflow("Bad", { version: "1" })])).toThrow(TypeError);
    expect(() => createRegistry([workflow("w", { version: "" })])).toThrow(TypeError);
  });

  it("makes no schema before it is asked for one", () => {
    let made = 0;
    const input = () => {
      made += 1;
      return z.object({ n: z.int() });
    };
    const registered = createRegistry([workflow("w", { version: "1", input })]).get("w");
    expect(made).toBe(0);
    expect(registered?.parseInput({ n: 1 })).toEqual({ ok: true, value: { n: 1 } });
    expect(made).toBe(1);
  });

  it("parses an input with defaults, and says where it does not fit", () => {
    const registered = createRegistry([v("1")]).get("w");
    expect(registered?.parseInput({})).toEqual({ ok: true, value: { n: 3 } });
    expect(registered?.parseInput({ n: "x", s: 1 })).toMatchObject({
      ok: false,
      errors: [{ pointer: "/input/n" }, { pointer: "/input/s" }],
    });
    expect(registered?.inputSchema()).toMatchObject({
      type: "object",
      properties: { n: { type: "integer" } },
    });
    expect(
      createRegistry([workflow("any", { version: "1" })])
        .get("any")
        ?.inputSchema(),
    ).toEqual({});
  });
});
