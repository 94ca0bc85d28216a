import { beforeAll, describe, expect, test } from "vitest";
import { randomId } from "../../src/platform/index.ts";
import type { RunView } from "../../src/run/index.ts";
import { expectAnswer, newTenant, send } from "./api-support.ts";
import { PLAN_CASES, type PlanCase } from "./plan-cases.ts";
import { fault, referee } from "./run-support.ts";

let admin = "";
beforeAll(async () => {
  admin = await newTenant("plan-cases");
});

/** Starts the plan over HTTP, sends its signals, and waits for its end. */
async function run({ plan, input = {}, signals = {} }: PlanCase, ref: string): Promise<RunView> {
  const body = { plan, input: { ...input, ref } };
  const started = await send("POST", "/v1/runs", { key: admin, body });
  const { id } = await expectAnswer<RunView>(started, "startRun", 202);
  for (const [name, payload] of Object.entries(signals)) {
    const sent = await send("POST", `/v1/runs/${id}/signals/${name}`, { key: admin, body: { payload } });
    expect(sent.status).toBeLessThan(300);
  }
  for (;;) {
    const looked = await send("GET", `/v1/runs/${id}`, { key: admin, headers: { prefer: "wait=30" } });
    const seen = JSON.parse(await looked.text()) as RunView;
    if (seen.ended_at !== null) return seen;
  }
}

async function standing(ref: string): Promise<number> {
  const { items } = await referee<{ items: unknown[] }>("GET", `/deeds?reference=${ref}&standing=true`);
  return items.length;
}

describe("a plan", () => {
  test.for(Object.entries(PLAN_CASES))("%s", async ([, one]) => {
    const ref = randomId("run");
    if (one.faults !== undefined) await fault(ref, ...one.faults);
    const seen = await run(one, ref);
    expect(`${seen.status} ${JSON.stringify(seen.failure)}`).toMatch(
      new RegExp(`^${one.status ?? "succeeded"} `),
    );
    expect(seen).toMatchObject({ workflow: "inline", version: "1" });
    if (one.failure !== undefined) expect(seen.failure).toMatchObject(one.failure as object);
    if (one.output !== undefined) expectOutput(seen, one.output);
    const steps = Object.fromEntries(seen.steps.map(({ name, status }) => [name, status]));
    if (one.steps !== undefined) expect(steps).toMatchObject(one.steps);
    if (one.standing !== undefined) expect(await standing(ref)).toBe(one.standing);
  });
});

function expectOutput({ output }: RunView, wanted: unknown): void {
  const text = JSON.stringify(wanted);
  const given = (output as { readonly value: unknown } | null)?.value;
  if (text.includes('{"any":"text"}')) expect(given).toMatchObject({ id: expect.stringMatching(/^bk_/) });
  else expect(given).toEqual(wanted);
}
