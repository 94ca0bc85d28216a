import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import { randomId } from "../../src/platform/index.ts";
import { ended, start, until, view, type Started } from "./run-support.ts";
import { heard, refuse } from "./worker.ts";

afterEach(() => {
  vi.useRealTimers();
});

const tagged = { tags: ["heard"] } as const;

async function outboxOf(run: Started): Promise<number> {
  return runInDurableObject(run.stub(), (_object, state) =>
    Number(state.storage.sql.exec("SELECT count(*) AS n FROM outbox").one()["n"]),
  );
}

/** What listeners were told, once the outbox is empty: delivery runs beside the run. */
async function told(run: Started): Promise<unknown[]> {
  await vi.waitUntil(async () => (await outboxOf(run)) === 0, { timeout: 5_000, interval: 20 });
  return (heard.get(run.id) ?? []).map((message) => message.body);
}

describe("the outbox of a run", () => {
  it("tells its listeners what they want to know, in order and with versions that rise", async () => {
    const run = await start("t-chain-4", {}, tagged);
    await ended(run);
    expect(await told(run)).toEqual([{ what: "run_started" }, { what: "ended" }]);
    const versions = (heard.get(run.id) ?? []).map((message) => message.version);
    expect(versions).toEqual(versions.toSorted((a, b) => a - b));
  });

  it("never slows a run: one whose listener is away ends as fast, and the message waits for the alarm", async () => {
    const id = randomId("run");
    refuse.set(id, 1);
    const run = await start("t-chain-4", {}, { ...tagged, id });
    const seen = await ended(run);
    expect(seen.status).toBe("succeeded");
    await vi.waitUntil(() => refuse.get(id) === 0, { timeout: 5_000, interval: 20 });
    expect(await outboxOf(run)).toBe(2);
    vi.setSystemTime(Date.now() + 2_000);
    await runDurableObjectAlarm(run.stub());
    expect(await told(run)).toEqual([{ what: "run_started" }, { what: "ended" }]);
  });

  it("delivers in the next life what the last one could not", async () => {
    const id = randomId("run");
    refuse.set(id, 1_000);
    const run = await start("t-wait", {}, { ...tagged, id });
    await until(run, (seen) => seen.status === "waiting");
    await abortAllDurableObjects();
    refuse.set(id, 0);
    vi.setSystemTime(Date.now() + 120_000);
    await view(run);
    expect(await told(run)).toEqual([{ what: "run_started" }]);
  });
});
