import { beforeAll, describe, expect, test } from "vitest";
import type { Answer, RunRpc, RunView } from "../../src/run/index.ts";
import { client, expectAnswer, expectProblem, makeKey } from "./api-support.ts";

/** What the calls of runs do in turn: throw, or answer. Runs of their own cannot be made to fail like the platform does. */
const script: (Error | Answer<RunView>)[] = [];
let calls = 0;

async function next(): Promise<Answer<RunView>> {
  calls += 1;
  const step = script.shift();
  if (step === undefined) throw new Error("The script has ended.");
  if (step instanceof Error) throw step;
  return step;
}

const api = client({
  runs: (): RunRpc => ({
    start: async () => {
      const answer = await next();
      return answer.ok ? { ok: true, value: { created: true, view: answer.value } } : answer;
    },
    view: next,
    command: next,
    graphPart: unused,
    step: unused,
    explain: unused,
    exportStart: unused,
    exportMore: unused,
    events: unused,
    approvals: unused,
    approval: unused,
    decide: unused,
    mayLink: unused,
    childEnded: unused,
    recall: unused,
    connectionChanged: unused,
    hear: unused,
    rebind: unused,
    admit: unused,
    admitted: unused,
    superseded: unused,
    poke: unused,
    startedBefore: unused,
    relist: unused,
    renewKey: unused,
    erase: unused,
  }),
  runIdOf: unused,
  workflows: { list: () => [], get: () => null },
});

async function unused(): Promise<never> {
  throw new Error("No test asks for this.");
}

const RUN = `run_${"0".repeat(26)}`;
const VIEW: RunView = {
  id: RUN,
  tenant: "default",
  workflow: "inline",
  version: "1",
  user: null,
  started_by: "key:key_1",
  tags: [],
  status: "failed",
  paused: false,
  open: true,
  closed: true,
  generation: 1,
  revision: 1,
  seq: 3,
  started_at: 1,
  ended_at: 2,
  deadline_at: 3,
  output: null,
  failure: null,
  steps: [],
};
const LOST = new Error("Network connection lost.");
const RESET = new Error("Durable Object reset because its code was updated.");
const OVERLOADED = new Error("Durable Object is overloaded. Too many requests queued.");
let key = "";

beforeAll(async () => {
  key = (await makeKey(api, "default")).text;
});

function scripted(...steps: (Error | Answer<RunView>)[]): void {
  script.splice(0, script.length, ...steps);
  calls = 0;
}

describe("when the platform loses a run's object in the middle of a call", () => {
  test.each([
    ["a look", "getRun", "GET", `/v1/runs/${RUN}`, undefined, 200],
    ["a start", "startRun", "POST", "/v1/runs", { open: true }, 202],
    ["a pause", "pauseRun", "POST", `/v1/runs/${RUN}/pause`, undefined, 200],
    ["a cancel", "cancelRun", "POST", `/v1/runs/${RUN}/cancel`, undefined, 202],
  ] as const)("%s is asked once more, of a fresh stub", async (_, id, method, path, body, status) => {
    scripted(RESET, { ok: true, value: VIEW });
    await expectAnswer(await api.send(method, path, { key, body }), id, status);
    expect(calls).toBe(2);
  });

  test("what would not be the same if it happened twice is not asked again", async () => {
    scripted(LOST, { ok: true, value: VIEW });
    await expectProblem(await api.send("POST", `/v1/runs/${RUN}/redrive`, { key }), 503, "unavailable");
    expect(calls).toBe(1);
  });

  test("twice, the answer says when to come back", async () => {
    scripted(LOST, LOST);
    const response = await api.send("GET", `/v1/runs/${RUN}`, { key });
    await expectProblem(response, 503, "unavailable");
    expect(response.headers.get("retry-after")).toMatch(/^\d+$/);
    expect(calls).toBe(2);
  });

  test("an overloaded object is left alone", async () => {
    scripted(OVERLOADED, { ok: true, value: VIEW });
    await expectProblem(await api.send("GET", `/v1/runs/${RUN}`, { key }), 503, "unavailable");
    expect(calls).toBe(1);
  });

  test("a bug is no fault of the platform: it is not asked again and not shown", async () => {
    scripted(new TypeError("secret detail"), { ok: true, value: VIEW });
    const { detail } = await expectProblem(
      await api.send("GET", `/v1/runs/${RUN}`, { key }),
      500,
      "internal_error",
    );
    expect(detail).not.toContain("secret detail");
    expect(calls).toBe(1);
  });
});
