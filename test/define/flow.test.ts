/** `flow`: what a start makes of it, for plans and for TypeScript, and that the queue reads what is written here. */
import { describe, expect, it } from "vitest";
import {
  compile,
  compilePlan,
  createRegistry,
  type FlowSpec,
  startableOf,
  summarise,
  viewFlow,
  workflow,
} from "../../src/define/index.ts";
import type { Json } from "../../src/kernel/index.ts";
import { readPlace } from "../../src/triggers/flow/place.ts";
import { say } from "./bad-plans.ts";

const FLOW = {
  concurrency: [{ limit: 10 }, { limit: 2, key: "input.customer" }],
  rate: { limit: 100, per: "1h", key: "run.user" },
  debounce: { for: "30s", key: "input.doc.id" },
  priority: "input.plan == 'paid' ? 10 : 0",
  queue: { limit: 500, timeout: "2h" },
} as const;
const INPUT = { customer: "ada@example.com", doc: { id: 7 }, plan: "paid" };

interface Worked {
  readonly limitMs: number;
  readonly place: Json;
}

function placeOf(flow: unknown, input: Json, user: string | null = "u1"): Worked {
  const compiled = compilePlan({ flow, steps: { a: say(1) } });
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.errors));
  const worked = startableOf(compiled.plan, "p", "1").flow(input, user);
  if (!worked.ok) throw new Error(worked.error.map(({ code, pointer }) => `${pointer} ${code}`).join());
  if (worked.value === undefined) throw new Error("It waits nowhere.");
  return worked.value;
}

describe("a start of a workflow with a queue", () => {
  it("works out a place that the queue reads, with limits, periods and priority", () => {
    const { limitMs, place } = placeOf(FLOW, INPUT);
    expect(limitMs).toBe(7_200_000);
    expect(readPlace(place)).toMatchObject({
      concurrency: [{ limit: 10, key: "" }, { limit: 2 }],
      rate: { limit: 100, perMs: 3_600_000 },
      // Ten times as long at the most, where nothing else is said.
      debounce: { forMs: 30_000, maxMs: 300_000 },
      priority: 10,
      maxQueued: 500,
    });
  });

  it("has the same key for the same value, another for another, and none of the value in it", () => {
    const keyOf = (customer: Json) =>
      JSON.stringify(placeOf({ concurrency: { limit: 1, key: "input.customer" } }, { customer }));
    expect(keyOf("ada@example.com")).toBe(keyOf("ada@example.com"));
    expect(new Set(["ada", "bob", "1", 1, null, true, ["ada"], { a: 1 }, ""].map(keyOf)).size).toBe(9);
    expect(keyOf("ada@example.com")).not.toContain("ada");
    expect(keyOf({ a: 1, b: 2 })).toBe(keyOf({ b: 2, a: 1 }));
  });

  it("is refused at the input if a key or the priority cannot be worked out", () => {
    const refused = (flow: unknown, input: Json) => () => placeOf(flow, input);
    const keyed = { concurrency: { limit: 1, key: "input.a.b" } };
    expect(refused(keyed, {})).toThrow("/input flow_misfit");
    expect(refused(keyed, { a: { b: 1 } })).not.toThrow();
    const ordered = { concurrency: { limit: 1 }, priority: "input.p" };
    for (const p of ["high", 1_001, null]) expect(refused(ordered, { p })).toThrow("/input flow_misfit");
    // Half of a surrogate pair.
    expect(refused(keyed, { a: { b: "\ud800" } })).toThrow("/input flow_misfit");
  });

  it("waits nowhere without `flow`", () => {
    const compiled = compilePlan({ steps: { a: say(1) } });
    if (!compiled.ok) throw new Error("not compiled");
    expect(startableOf(compiled.plan, "p", "1").flow({}, null)).toEqual({ ok: true, value: undefined });
  });
});

describe("a workflow in TypeScript", () => {
  const of = (flow: FlowSpec) =>
    workflow("w", { version: "1", flow })
      .step("a", { transform: () => 1 })
      .output(() => 1);

  it("says `flow` as a plan does, and has the same place for the same input", () => {
    const registered = createRegistry([of(FLOW)]).get("w");
    expect(registered?.lints()).toEqual([]);
    expect(registered?.flow()).toEqual({ ...FLOW });
  });

  it("with a flow that cannot be has lints that point to it", () => {
    const { lints } = compile(
      of({ concurrency: { limit: 1, key: "steps.a.output" }, rate: { limit: 1, per: "1ms" } }),
    );
    expect(lints.map(({ pointer, code }) => `${pointer} ${code}`)).toEqual([
      "/flow/concurrency/key unknown_name",
      "/flow/rate/per bad_duration",
    ]);
  });
});

describe("the summary of a plan", () => {
  it("has its flow with every default", () => {
    const compiled = compilePlan({ flow: { concurrency: { limit: 3 } }, steps: { a: say(1) } });
    if (!compiled.ok || compiled.plan.flow === null) throw new Error("not compiled");
    expect(summarise(compiled.plan.graph, undefined, viewFlow(compiled.plan.flow)).flow).toEqual({
      concurrency: [{ limit: 3, key: null }],
      rate: null,
      debounce: null,
      priority: 0,
      queue: { limit: 10_000, timeout_ms: 86_400_000 },
    });
  });
});
