import { execFile } from "node:child_process";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { compilePlan } from "../../src/define/index.ts";
import { FAILURE_CODES, LINT_CODES, type Json } from "../../src/kernel/index.ts";
import { REASON_CODES } from "../../src/run/explain/explanation.ts";
import { BAD_PLANS } from "./bad-plans.ts";
import { runPlanInMemory } from "./run-in-memory.ts";
import { keeper, ready, roleReady } from "./lending.ts";
import { answered, outside } from "./support.ts";

const REPOSITORY = join(import.meta.dirname, "../..");
const run = promisify(execFile);

/** What the page imports once, at its top, and then takes as read. */
const PRELUDE = `import * as z from "zod";
import { Fatal, grow, Refused, RetryAfter, workflow } from "../define/index.ts";
void [Fatal, grow, Refused, RetryAfter, z];
`;

/** Proof that the check checks: the compiler would complain if this directive was not needed. */
const BAD = `// @ts-expect-error a function has to state its effect
workflow("w", { version: "1" }).step("a", { run: () => 1 });
`;

async function page(name: string): Promise<string> {
  return readFile(join(REPOSITORY, "docs", name), "utf8");
}

function blocks(markdown: string): string[] {
  return [...markdown.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, code]) => code ?? "");
}

/** What the compiler says about modules in a folder beside src/workflows/. */
async function compile(modules: readonly string[]): Promise<string> {
  const folder = join(REPOSITORY, ".tmp", `docs-${process.pid}`);
  await mkdir(folder, { recursive: true });
  try {
    const files = modules.map((code, i) => {
      const whole = code.includes("import ") ? code : PRELUDE + code;
      return writeFile(join(folder, `${i}.ts`), whole.replaceAll("../define/", "../../src/define/"));
    });
    const config = {
      extends: "../../tsconfig.base.json",
      compilerOptions: { types: ["@cloudflare/workers-types"] },
      include: [".", "../../worker-configuration.d.ts", "../../src/env.d.ts"],
    };
    await Promise.all([...files, writeFile(join(folder, "tsconfig.json"), JSON.stringify(config))]);
    const tsc = join(REPOSITORY, "node_modules/.bin/tsc");
    return await run(tsc, ["-p", folder], { cwd: REPOSITORY }).then(
      () => "",
      (error: { stdout: string }) => error.stdout,
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

describe("the page on workflows, and that on identity", () => {
  it("show code that compiles", { timeout: 60_000 }, async () => {
    const code = [...blocks(await page("workflows.md")), ...blocks(await page("identity.md"))];
    expect(code.length).toBeGreaterThan(9);
    expect(await compile([...code, BAD])).toBe("");
  });
});

describe("the page on failures", () => {
  it("explains every code, and no other", async () => {
    const rows = [...(await page("failures.md")).matchAll(/^\| `([a-zN_]+)` \|/gm)].map(
      ([, code]) => code ?? "",
    );
    expect(new Set(rows)).toEqual(new Set([...FAILURE_CODES, "http_NNN"]));
    expect(rows).toHaveLength(new Set(rows).size);
  });
});

describe("the page on explanations", () => {
  it("has a line for every reason, and for no other", async () => {
    const rows = [...(await page("explain.md")).matchAll(/^\| ((?:`[a-z_]+`(?:, )?)+) \|/gm)].flatMap(
      ([, codes = ""]) => codes.split(", ").map((code) => code.replaceAll("`", "")),
    );
    expect(rows.toSorted()).toEqual([...REASON_CODES].toSorted());
  });
});

describe("the page on plans", () => {
  const examples = async (): Promise<unknown[]> =>
    [...(await page("plans.md")).matchAll(/^```json plan\n([\s\S]*?)^```$/gm)].map(
      ([, text]) => JSON.parse(text ?? "") as unknown,
    );
  const INPUT: Json = {
    ...{
      traveller: "Ada",
      to: "Lisbon",
      date: "2027-03-14",
      sku: "TEA-1",
      customer: "Ada",
      amount: 1,
      email: "a@b.example",
    },
    items: [{ price: 2, count: 3 }],
  };

  it("shows plans that can run, and that do", async () => {
    const plans = await examples();
    expect(plans.length).toBeGreaterThanOrEqual(4);
    for (const plan of plans) {
      const compiled = compilePlan(plan);
      if (!compiled.ok) throw new Error(JSON.stringify(compiled.errors));
      // Nobody else is there: no one who sends or decides, no run beside this one.
      const alone = compiled.plan.graph.steps.every(
        ({ kind, action }) => kind !== "signal" && kind !== "approval" && action !== "run",
      );
      if (!alone) continue;
      const world = outside(() => answered(200, { id: "x1", in_stock: true, items: [] }));
      const credential: typeof world.credential = async () => ({
        ok: true,
        header: "authorization",
        value: "Bearer lent",
        secrets: [],
      });
      const ended = await runPlanInMemory(
        compiled.plan,
        INPUT,
        { ...world, credential, now: () => Date.now() },
        async () => ready(keeper().lease),
        async () => roleReady(),
      );
      expect([ended.status, ended.state.failure]).toEqual(["succeeded", null]);
    }
  });

  it("says what to do about every code that a plan can be refused with", async () => {
    const text = await page("plans.md");
    const [, told = ""] = text.split("## Errors, and what to do");
    const rows = new Set([...told.matchAll(/`([a-z_]+)`(?=[^|]*\|)/g)].map(([, code]) => code));
    // What only its surroundings say to a plan, and advice.
    const around = [
      "unknown_workflow",
      "unknown_token",
      "token_not_for_plans",
      "token_not_for_host",
      "unknown_integration",
      "connection_without_user",
      "connection_not_for_host",
      "scope_not_allowed",
      "scopes_not_taken",
      "unknown_cloud_role",
      "cloud_role_refused",
      "cloud_role_not_for_host",
      "timeout_exceeds_credential",
      "identity_not_configured",
    ];
    const advice = [
      "starts_itself",
      ...["looks_like_expression", "undeclared_field", "once_without_verify", "not_undone", "never_equal"],
      ...["undo_reads_output", "verify_is_output", "never_runs", "comment_in_expression", "key_replaced"],
      "field_named_as_size",
    ];
    const codes = new Set([...LINT_CODES, ...BAD_PLANS.map(([, , , code]) => code), ...around, ...advice]);
    expect([...codes].filter((code) => !rows.has(code))).toEqual([]);
  });
});
