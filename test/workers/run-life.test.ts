import { abortAllDurableObjects, evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import { arrival, arrived, deeds, ended, events, fault, start, step, until, view, type Started } from "./run-support.ts";
import { versions } from "./worker.ts";

const HOUR_MS = 3_600_000;

afterEach(() => {
  vi.useRealTimers();
  versions.current = "v1";
});

/** The alarm of the run's object, asked of its storage. */
async function alarmOf(run: Started): Promise<number | null> {
  return runInDurableObject(run.stub(), (_object, state) => state.storage.getAlarm());
}

describe("a run on workerd", () => {
  it("books once and says so", async () => {
    const run = await start("t-keyed");
    const seen = await ended(run);
    expect(seen).toMatchObject({ status: "succeeded", output: { value: 201 } });
    expect(await deeds(run.id)).toBe(1);
  });

  it("goes on after its memory was evicted", async () => {
    const run = await start("t-wait");
    await until(run, (seen) => step(seen, "ask").status === "waiting");
    await evictDurableObject(run.stub());
    await run.stub().command({ tenant: "default" }, { t: "signal", id: "1", name: "go", payload: { by: "ada" }, by: "key:test" });
    expect(await ended(run)).toMatchObject({ status: "succeeded", output: { value: { heard: { by: "ada" } } } });
  });
});

describe("an object that dies in the middle of an attempt", () => {
  it("sends a keyed step again with the same key, and the service absorbs the second (K6)", async () => {
    const request = { id: undefined };
    void request;
    const run = await startWithFault("t-keyed", { fault: { kind: "late", ms: 60_000 }, times: 1 });
    await arrival(run.id);
    await abortAllDurableObjects();
    // The first request is still at work, so the second is told 409 and comes again; the world forgets the first when its client is gone.
    const seen = await until(run, (now) => step(now, "book").attempts >= 2);
    expect(step(seen, "book").attempts).toBeGreaterThanOrEqual(2);
    const requests = await arrived(run.id);
    expect(new Set(requests.map((entry) => entry.key)).size).toBe(1);
    expect(new Set(requests.map((entry) => entry.digest)).size).toBe(1);
    expect(await deeds(run.id)).toBe(1);
  });
});

async function startWithFault(workflow: string, ...faults: Parameters<typeof fault>[1][]): Promise<Started> {
  const { randomId } = await import("../../src/platform/index.ts");
  const id = randomId("run");
  await fault(id, ...faults);
  return start(workflow, {}, { id });
}

void [HOUR_MS, alarmOf, events, view, runDurableObjectAlarm];
