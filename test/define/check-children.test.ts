/** The runs that a plan would start: found, and given what they take; and whose credentials it names. */
import { describe, expect, it } from "vitest";
import {
  checkAuth,
  checkChildren,
  compilePlan,
  startableOf,
  type FoundStartable,
} from "../../src/define/index.ts";
import type { StepDef } from "../../src/kernel/index.ts";
import { get, post, say } from "./bad-plans.ts";

function stepsOf(steps: object, onFailure?: object): readonly StepDef[] {
  const compiled = compilePlan({ steps, ...(onFailure === undefined ? {} : { onFailure }) });
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.errors));
  return compiled.plan.graph.steps;
}

const ORDER = {
  type: "object",
  required: ["sku", "to", "currency"],
  additionalProperties: false,
  properties: {
    sku: { type: "string" },
    count: { type: "integer", maximum: 9 },
    currency: { type: "string", default: "EUR" },
    to: { type: "object", required: ["city"], properties: { city: { type: "string" } } },
    lines: { type: "array", items: { type: "object", required: ["no"] } },
  },
};

class Shelf {
  readonly asked: string[] = [];
  listed = 0;
  readonly sources = {
    find: async (name: string, version?: string): Promise<FoundStartable> => {
      this.asked.push(`${name}@${version ?? "newest"}`);
      if (name === "old") return { kind: "outdated", errors: [] };
      if (name !== "order") return { kind: "no_such_name" };
      if (version !== undefined && version !== "1") return { kind: "no_such_version" };
      const compiled = compilePlan({ input: ORDER, steps: { a: say(1) } });
      if (!compiled.ok) throw new Error(JSON.stringify(compiled.errors));
      return { kind: "found", startable: startableOf(compiled.plan, "order", "1") };
    },
    names: async () => {
      this.listed += 1;
      return ["order", "order-tea", "ordre", "nightly", "a"];
    },
    denies: (): string | null => null,
    seesInside: true,
  };
}

const run = (parameters: object): object => ({ action: "run", with: parameters });

async function check(steps: object, onFailure?: object): Promise<{ missing: string[]; unfit: string[] }> {
  const { missing, unfit } = await checkChildren(stepsOf(steps, onFailure), new Shelf().sources);
  const lines = (all: typeof missing): string[] => all.map(({ pointer, code }) => `${pointer} ${code}`);
  return { missing: lines(missing), unfit: lines(unfit) };
}

describe("a workflow that a plan starts", () => {
  it("and that is not there is told with the names that are near it", async () => {
    const shelf = new Shelf();
    const steps = stepsOf({ a: run({ workflow: "oder" }) }, { b: run({ workflow: "zzz" }) });
    const { missing } = await checkChildren(steps, shelf.sources);
    expect(missing).toEqual([
      {
        pointer: "/steps/a/with/workflow",
        code: "unknown_workflow",
        detail: "There is no workflow oder. Did you mean `order`? Its input has to have: sku, to.",
        allowed: ["order"],
      },
      {
        pointer: "/onFailure/b/with/workflow",
        code: "unknown_workflow",
        detail: "There is no workflow zzz.",
      },
    ]);
    expect(shelf.listed).toBe(1);
  });

  it("has the version that is named, and can still be started", async () => {
    const input = { sku: "x", to: { city: "Lisbon" } };
    expect(
      await check({
        a: run({ workflow: "order", version: "2", input }),
        b: run({ workflow: "old" }),
        c: run({ workflow: "order", version: "1", input }),
      }),
    ).toEqual({
      missing: ["/steps/a/with/version unknown_workflow", "/steps/b/with/workflow unknown_workflow"],
      unfit: [],
    });
  });

  it("is looked up once however often it is started, and names are listed only for one that is missing", async () => {
    const shelf = new Shelf();
    const one = run({ workflow: "order", input: "${{ input }}" });
    await checkChildren(stepsOf({ a: one, b: one, c: one }), shelf.sources);
    expect(shelf.asked).toEqual(["order@newest"]);
    expect(shelf.listed).toBe(0);
  });

  it("is not looked up where the policies deny it, and nothing else is said of it", async () => {
    const shelf = new Shelf();
    const steps = stepsOf({ a: run({ workflow: "order" }), b: run({ workflow: "zzz" }) });
    const found = await checkChildren(steps, { ...shelf.sources, denies: (name) => `not ${name}` });
    expect(shelf.asked).toEqual([]);
    expect(found).toEqual({
      missing: [],
      unfit: [],
      advice: [],
      denied: ["a", "b"].map((name, i) => ({
        pointer: `/steps/${name}/with/workflow`,
        code: "policy_denied",
        detail: `not ${["order", "zzz"][i]}`,
      })),
    });
  });

  it("and that comes to start itself, by whatever way, is advice", async () => {
    const kept: Readonly<Record<string, object>> = {
      ring: { a: run({ workflow: "ring-2" }) },
      "ring-2": { a: run({ workflow: "ring" }) },
      "to-mine": { a: run({ workflow: "mine" }) },
      line: { a: run({ workflow: "line-2" }) },
      "line-2": { a: say(1) },
      "to-ring": { a: run({ workflow: "ring" }) },
    };
    const sources = {
      ...new Shelf().sources,
      find: async (name: string): Promise<FoundStartable> => {
        const compiled = compilePlan({ steps: kept[name] });
        if (!compiled.ok) return { kind: "no_such_name" };
        return { kind: "found", startable: startableOf(compiled.plan, name, "1") };
      },
    };
    const names = ["mine", "to-mine", "ring", "line", "to-ring"];
    const steps = stepsOf(Object.fromEntries(names.map((name) => [name, run({ workflow: name })])));
    const told = async (itself?: string): Promise<string[]> => {
      const { advice } = await checkChildren(steps, { ...sources, itself });
      expect(advice.every(({ code }) => code === "starts_itself")).toBe(true);
      return advice.map(({ pointer }) => pointer.split("/")[2] ?? "");
    };
    expect(await told("mine")).toEqual(["mine", "to-mine", "ring"]);
    expect(await told()).toEqual(["ring"]);
  });

  it("is one of the first twenty: a plan cannot make the check read all that is stored", async () => {
    const shelf = new Shelf();
    const many = Array.from({ length: 40 }, (_, i) => [`s${i}`, run({ workflow: `w${i}` })] as const);
    const { missing } = await checkChildren(stepsOf(Object.fromEntries(many)), shelf.sources);
    expect(shelf.asked).toHaveLength(20);
    expect(missing).toHaveLength(20);
  });
});

describe("the input of a run that a plan starts", () => {
  it.each<[string, unknown, string[]]>([
    [
      "all that is wrong",
      { sku: 1, x: 2, count: 10 },
      ["/sku invalid", "/x unknown_field", "/count invalid", "/to missing"],
    ],
    ["what is missing inside", { sku: "x", to: {} }, ["/to/city missing"]],
  ])("is checked as a whole where it is literal: %s", async (_, input, lines) => {
    const { unfit } = await check({ a: run({ workflow: "order", input }) });
    expect(unfit.toSorted()).toEqual(lines.map((one) => `/steps/a/with/input${one}`).toSorted());
  });

  it("has to be there if the child asks for one", async () => {
    const { unfit } = await checkChildren(stepsOf({ a: run({ workflow: "order" }) }), new Shelf().sources);
    expect(unfit).toMatchObject([
      { pointer: "/steps/a/with/input", code: "missing", allowed: ["sku", "to", "currency"] },
    ]);
  });

  it.each<[string, unknown, string[]]>([
    ["a field that is missing", { sku: "${{ input.sku }}" }, ["/to missing"]],
    ["a stray field", { sku: "${{ input.sku }}", to: "${{ input.to }}", skuu: 1 }, ["/skuu unknown_field"]],
    ["a field inside", { sku: "${{ input.sku }}", to: { town: "x" } }, ["/to/city missing"]],
    ["a literal of another type", { sku: 1, to: "${{ input.to }}" }, ["/sku invalid"]],
    [
      "a text where a number is wanted",
      { sku: "x", to: "${{ input.to }}", count: "n: ${{ 1 }}" },
      ["/count invalid"],
    ],
    [
      "an element",
      { sku: "${{ input.sku }}", to: "${{ input.to }}", lines: [{ no: 1 }, {}] },
      ["/lines/1/no missing"],
    ],
    [
      "nothing that could be right",
      { sku: "${{ input.sku }}", to: "${{ input.to }}", count: "${{ 1 }}" },
      [],
    ],
  ])("is checked in its literal parts where others are computed: %s", async (_, input, lines) => {
    const { unfit } = await check({ a: run({ workflow: "order", input }) });
    expect(unfit).toEqual(lines.map((one) => `/steps/a/with/input${one}`));
  });

  it("is not known where all of it is computed", async () => {
    expect(await check({ a: run({ workflow: "order", input: "${{ input.order }}" }) })).toEqual({
      missing: [],
      unfit: [],
    });
  });

  it("is never repeated", async () => {
    const steps = stepsOf({
      a: run({ workflow: "order", input: { sku: { x: "top-secret" }, y: "top-secret" } }),
    });
    expect(JSON.stringify(await checkChildren(steps, new Shelf().sources))).not.toContain("top-secret");
  });
});

describe("a credential that a plan names", () => {
  const T = { bearer: "T" };

  it("is asked about once for each host, and refused at each place that names it", async () => {
    const asked: string[] = [];
    const steps = stepsOf(
      {
        a: post(
          { auth: T },
          {
            verify: get({ auth: T, url: "https://look.example/" }),
            compensate: get({ auth: T, url: "https://undo.example/${{ own.body.id }}" }),
          },
        ),
        b: get({ auth: T }),
        c: get(),
        d: run({ workflow: "order" }),
      },
      { e: get({ auth: T, url: "https://undo.example/" }) },
    );
    const findings = await checkAuth(steps, async (auth, host) => {
      const bearer = "bearer" in auth ? auth.bearer : "";
      asked.push(`${bearer} ${host}`);
      if (host === "look.example") return undefined;
      return { at: "/bearer", code: "token_not_for_host", detail: "No.", allowed: ["U"] };
    });
    expect(asked.toSorted()).toEqual(["T api.skyline.example", "T look.example", "T undo.example"]);
    expect(findings.map(({ pointer }) => pointer).toSorted()).toEqual([
      "/onFailure/e/with/auth/bearer",
      "/steps/a/compensate/with/auth/bearer",
      "/steps/a/with/auth/bearer",
      "/steps/b/with/auth/bearer",
    ]);
    expect(findings[0]).toMatchObject({ code: "token_not_for_host", detail: "No.", allowed: ["U"] });
  });
});
