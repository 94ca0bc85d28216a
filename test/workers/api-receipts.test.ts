/** What a key that sees no runs is told where it starts or changes one: which run it is. */
import { beforeAll, describe, expect, test } from "vitest";
import type { RunView } from "../../src/run/index.ts";
import { expectAnswer, newKey, newTenant, send } from "./api-support.ts";

let admin = "";
let blind = "";
let other = "";

beforeAll(async () => {
  admin = await newTenant("receipts");
  // Whatever else it may see: without runs:read it is no run.
  blind = await newKey(admin, { scopes: ["runs:write", "outputs:read", "outputs:reveal"] });
  other = await newKey(admin, { scopes: ["runs:write"] });
});

async function start(key: string, name: string, workflow: string, wait = ""): Promise<Response> {
  const headers = { "idempotency-key": name, ...(wait === "" ? {} : { prefer: wait }) };
  return send("POST", "/v1/runs", { key, headers, body: { workflow } });
}

const HEADERS = ["etag", "retry-after", "preference-applied"] as const;

async function expectReceipt(response: Response, operation: string, status: number): Promise<string> {
  expect(HEADERS.map((name) => response.headers.get(name))).toEqual([null, null, null]);
  const receipt = await expectAnswer<{ id: string }>(response, operation, status);
  expect(receipt).toEqual({ id: receipt.id });
  return receipt.id;
}

describe("a start", () => {
  test("answers the same at first and again: after the run's end, to another key, and whoever wants to wait", async () => {
    const first = await start(blind, "chain", "t-chain-4");
    const id = await expectReceipt(first.clone(), "startRun", 202);
    const look = await send("GET", `/v1/runs/${id}`, { key: admin, headers: { prefer: "wait=30" } });
    expect((await expectAnswer<RunView>(look, "getRun", 200)).status).toBe("succeeded");
    for (const again of [
      await start(blind, "chain", "t-chain-4"),
      await start(blind, "chain", "t-chain-4", "wait=10"),
      await start(other, "chain", "t-chain-4", "wait=10"),
    ]) {
      expect(again.headers.get("idempotent-replayed")).toBe("true");
      expect(again.headers.get("location")).toBe(first.headers.get("location"));
      expect(await expectReceipt(again, "startRun", 202)).toBe(id);
    }
    expect(await expectReceipt(await start(other, "anew", "t-chain-4", "wait=10"), "startRun", 202)).not.toBe(
      id,
    );
  });

  test("shows the run to a key that sees runs, at first and again", async () => {
    const seeing = await newKey(admin, { scopes: ["runs:write", "runs:read"] });
    for (const replayed of [null, "true"]) {
      const response = await start(seeing, "seen", "t-chain-4", "wait=30");
      expect(response.headers.get("idempotent-replayed")).toBe(replayed);
      const run = await expectAnswer<RunView>(response, "startRun", 200);
      expect(run).toMatchObject({ status: "succeeded", output: { redacted: true } });
    }
  });
});

describe("a change", () => {
  test.each([
    ["pauseRun", "pause", 200, undefined],
    ["resumeRun", "resume", 200, undefined],
    ["sendSignal", "signals/hello", 200, { payload: 1 }],
    ["closeRun", "close", 200, undefined],
    ["cancelRun", "cancel", 202, { reason: "test" }],
    ["redriveRun", "redrive", 202, undefined],
  ])("by %s answers which run it is", async (operation, path, status, body) => {
    const plan = {
      steps: { wait: { action: "wait", with: { signal: operation === "sendSignal" ? "hello" : "never" } } },
    };
    const begun = await send("POST", "/v1/runs", { key: blind, body: { plan, open: true } });
    const id = await expectReceipt(begun, "startRun", 202);
    if (operation === "redriveRun")
      await send("POST", `/v1/runs/${id}/cancel`, { key: admin, headers: { prefer: "wait=30" } });
    const headers = { prefer: "wait=10" };
    const changed = await send("POST", `/v1/runs/${id}/${path}`, { key: blind, body, headers });
    expect(await expectReceipt(changed, operation, status)).toBe(id);
  });
});
