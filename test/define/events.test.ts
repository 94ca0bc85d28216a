/** Subscriptions and waits for events: what they mean in a graph, and what is wrong with them. */
import { describe, expect, test } from "vitest";
import { actionNamed } from "../../src/actions/index.ts";
import {
  compile,
  compilePlan,
  compileSteps,
  createRegistry,
  eventExpressions,
  summarise,
  workflow,
} from "../../src/define/index.ts";
import type { Json } from "../../src/kernel/index.ts";
import { digestAt } from "../../src/triggers/events/event-rules.ts";

const say = { say: { action: "transform", with: { value: 1 } } };
const findings = (plan: unknown): (readonly [string, string])[] => {
  const compiled = compilePlan(plan);
  return compiled.ok ? [] : compiled.errors.map(({ pointer, code }) => [pointer, code] as const);
};

describe("a step that waits for an event", () => {
  test("takes a signal that only events can be, and hears by the digest that is made of an event's data", () => {
    const compiled = compileSteps({
      pay: { action: "wait", with: { event: "order.paid", where: { "/b/c": 1, a: "x" }, timeout: "1h" } },
    });
    const [step] = compiled.steps;
    expect(step).toMatchObject({ kind: "signal", signal: "event:pay", event: "order.paid" });
    const filled = actionNamed("wait")?.fill(step?.with ?? null, 0);
    if (filled?.kind !== "signal" || filled.hears === undefined) throw new TypeError("it hears an event");
    const { event, fields, digest } = filled.hears as { event: string; fields: string[]; digest: string };
    expect({ event, fields, limitMs: filled.limitMs }).toEqual({
      ...{ event: "order.paid", fields: ["/b/c", "a"], limitMs: 3_600_000 },
    });
    // Two rooms make it, each by itself: they have to agree.
    expect(digestAt({ a: "x", b: { c: 1 }, more: null }, fields)).toBe(digest);
    expect(digestAt({ a: "x", b: { c: 2 } }, fields)).not.toBe(digest);
    expect(
      summarise({ steps: compiled.steps, deadlineMs: 1, undoBudgetMs: 1, idleLimitMs: 1 }).steps,
    ).toMatchObject([{ waits_for: null, waits_for_event: "order.paid" }]);
  });

  test("may have expressions in what it compares, and nowhere else", () => {
    expect(
      findings({
        steps: { pay: { action: "wait", with: { event: "paid", where: { order: "${{ input.order }}" } } } },
      }),
    ).toEqual([]);
    expect(
      findings({ steps: { pay: { action: "wait", with: { event: "${{ input.name }}" } } } }),
    ).toContainEqual(["/steps/pay/with/event", "expression_not_allowed"]);
  });

  test.each<[string, Readonly<Record<string, Json>>]>([
    ["two things", { event: "paid", signal: "go" }],
    ["a person's decision", { event: "paid", approval: "Pay?" }],
    ["a signal's data", { signal: "go", where: { a: 1 } }],
    [
      "more fields than are compared",
      { event: "paid", where: Object.fromEntries("abcdefghi".split("").map((name) => [name, 1])) },
    ],
    ["a name that is none", { event: "Order Paid" }],
    ["no thing", { timeout: "1h" }],
  ])("is not for %s", (_, parameters) => {
    expect(findings({ steps: { pay: { action: "wait", with: parameters } } })).not.toEqual([]);
  });
});

describe("subscriptions", () => {
  test("are kept as they are written, of plans and of workflows in TypeScript", () => {
    const on = [{ event: "paid", filter: "event.data.sum > 0", input: { order: "${{ event.data.order }}" } }];
    const compiled = compilePlan({ on, steps: say });
    expect(compiled.ok && compiled.plan.on).toEqual(on);
    const one = workflow("one", { version: "1", on }).step("say", { transform: () => 1 });
    expect(compile(one).lints).toEqual([]);
    expect(createRegistry([one]).get("one")?.on).toEqual(on);
    expect(compilePlan({ steps: say })).toMatchObject({ ok: true, plan: { on: [] } });
  });

  test.each<[unknown, readonly (readonly [string, string])[]]>([
    [[{ event: "a" }, { event: "a" }], [["/on/1/event", "duplicate_subscription"]]],
    [[{ event: "a", filter: "event.data.x >" }], [["/on/0/filter", "expression_invalid"]]],
    [[{ event: "a", filter: "steps.a.output" }], [["/on/0/filter", "unknown_name"]]],
    [[{ event: "a", filter: "input.x == 1" }], [["/on/0/filter", "unknown_name"]]],
    [[{ event: "a", filter: "${{ event.id }}" }], [["/on/0/filter", "expression_wrapped"]]],
    [[{ event: "a", input: { x: ["${{ run.id }}"] } }], [["/on/0/input/x/0", "unknown_name"]]],
    [[{ event: "a", input: "x".repeat(9_000) }], [["/on/0/input", "invalid"]]],
    [[{ event: "a", when: "true" }], [["/on/0/when", "unknown_field"]]],
    [Array.from({ length: 17 }, (_, n) => ({ event: `e${n}` })), [["/on", "invalid"]]],
    ["a", [["/on", "invalid"]]],
  ])("%j has %j", (on, expected) => {
    expect(findings({ on, steps: say })).toEqual(expected);
    const bad = workflow("bad", { version: "1", on: on as never }).step("say", { transform: () => 1 });
    expect(compile(bad).lints.map(({ pointer, code }) => [pointer, code])).toEqual(expected);
  });

  test("see the event under its own name, and a variable cannot take it", () => {
    const { condition, check } = eventExpressions();
    expect(condition("event.data.list.exists(x, x == event.id)", { id: 2, data: { list: [1, 2] } })).toEqual({
      ok: true,
      value: true,
    });
    expect(check("event.data.list.exists(event, event == 1)")).toMatchObject([
      { code: "expression_refused" },
    ]);
    expect(check("events.id == 1")).toMatchObject([
      { code: "unknown_name", detail: expect.stringContaining("`event`") },
    ]);
    // In plans it is no root: they may call a variable so.
    expect(
      findings({
        steps: { a: { action: "transform", with: { value: "${{ input.list.exists(event, event == 1) }}" } } },
      }),
    ).toEqual([]);
  });
});
