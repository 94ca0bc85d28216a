import {
  abortAllDurableObjects,
  evictDurableObject,
  runDurableObjectAlarm,
  runInDurableObject,
} from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import { compileSteps } from "../../src/define/index.ts";
import { limits, type Json } from "../../src/kernel/index.ts";
import { randomId } from "../../src/platform/index.ts";
import { lending, need, READY, type Answer } from "./lending.ts";
import {
  arrived,
  ended,
  events,
  start,
  step,
  TENANT,
  until,
  view,
  VIEWER,
  type Started,
} from "./run-support.ts";

const MINUTE_MS = 60_000;

afterEach(() => {
  vi.useRealTimers();
});

/** A run that reads something, then books once, with a credential of which this is said. */
async function booking(answer: Answer, effect = "once"): Promise<Started> {
  const id = randomId("run");
  lending.says(id, "read", "none");
  lending.says(id, "book", answer);
  const steps: Record<string, Json> = {
    read: { action: "http", with: { method: "GET", url: "https://api.bench.example/echo?id=park" } },
    book: {
      action: "http",
      needs: ["read"],
      effect,
      with: {
        method: "POST",
        url: "https://api.skyline.example/bookings",
        auth: { bearer: "SKYLINE_TOKEN" },
        headers: { "x-reference": id },
        json: { from: "VIE", to: "LIS", date: "2026-12-01", traveller: "Ada" },
      },
    },
  };
  const compiled = compileSteps(steps);
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.errors));
  const graph = {
    steps: compiled.steps,
    deadlineMs: limits.RUN_DEADLINE_MS,
    undoBudgetMs: limits.UNDO_BUDGET_MS,
    idleLimitMs: limits.IDLE_LIMIT_MS,
  };
  return start("t-sleep", {}, { id, graph, tags: ["lent"] });
}

async function parked(run: Started) {
  const seen = await until(run, (now) => step(now, "book").waiting_for !== undefined);
  return { seen, waiting: step(seen, "book").waiting_for };
}

/** Waits until the credential was asked for so often. */
async function asked(run: Started, times: number): Promise<void> {
  await vi.waitUntil(() => lending.asked(run.id, "book") >= times, { timeout: 5_000, interval: 5 });
}

const alarmOf = (run: Started): Promise<number | null> =>
  runInDurableObject(run.stub(), (_object, { storage }) => storage.getAlarm());

const typesOf = async (run: Started): Promise<string[]> => (await events(run)).map(({ type }) => type);

describe("a step whose cloud role gives no credential just now", () => {
  it("parks its run, which shows the role and for how long, and goes on by itself", async () => {
    const lacking = { kind: "cloud", role: "writer", reason: "propagating", detail: "A new key." } as const;
    const times = { limitMs: 15 * MINUTE_MS, recheckMs: MINUTE_MS };
    const run = await booking({ kind: "needs", need: { ...lacking, ...times } });
    const { seen, waiting } = await parked(run);
    expect(seen.status).toBe("waiting");
    expect(waiting).toEqual({
      ...lacking,
      since: expect.any(Number),
      limit_at: (waiting?.since ?? 0) + 15 * MINUTE_MS,
      retry_at: (waiting?.since ?? 0) + MINUTE_MS,
    });
    await evictDurableObject(run.stub());
    expect(await view(run)).toEqual(seen);
    expect(await alarmOf(run)).toBeLessThanOrEqual(waiting?.retry_at ?? 0);
    const told = (await events(run)).find(({ type }) => type === "parked");
    expect(told?.data).toMatchObject({ need: { kind: "cloud", role: "writer", reason: "propagating" } });
  });
});

describe("a step whose connection is missing", () => {
  it("parks its run, which survives eviction and death, and goes on at exactly that step", async () => {
    const run = await booking({ kind: "needs", need: need({ connection: "conn_1", account: "work" }) });
    const { seen, waiting } = await parked(run);
    expect(seen.status).toBe("waiting");
    expect(waiting).toEqual({
      kind: "connection",
      integration: "google",
      account: "work",
      connection: "conn_1",
      reason: "missing",
      scopes: [],
      detail: null,
      since: expect.any(Number),
      limit_at: (waiting?.since ?? 0) + 24 * 60 * MINUTE_MS,
      retry_at: (waiting?.since ?? 0) + MINUTE_MS,
    });
    expect(step(seen, "book")).toMatchObject({ status: "waiting", attempts: 0, started_at: null });
    await evictDurableObject(run.stub());
    expect(await view(run)).toEqual(seen);
    await abortAllDurableObjects();
    expect(await view(run)).toEqual(seen);
    expect(await alarmOf(run)).toBeLessThanOrEqual(waiting?.retry_at ?? 0);
    const read = (await typesOf(run)).filter((type) => type === "started");
    expect(read).toHaveLength(1);

    lending.says(run.id, "book", READY);
    const changed = await run
      .stub()
      .connectionChanged(TENANT, { integration: "google", connection: "conn_1" });
    expect(changed).toEqual({ ok: true, value: null });
    const end = await ended(run);
    expect(end.status).toBe("succeeded");
    expect([step(end, "read").attempts, step(end, "book").attempts]).toEqual([1, 1]);
    expect(step(end, "book").waiting_for).toBeUndefined();
    expect(await arrived(run.id)).toHaveLength(1);
    expect(lending.lease(run.id, "book")).toBe("lent");
    expect(await typesOf(run)).toEqual([
      ...["run_started", "ready", "started", "succeeded", "ready", "parked", "unparked", "started"],
      ...["succeeded", "ended"],
    ]);
  });

  it("looks again by itself, should nobody tell it", async () => {
    const run = await booking({ kind: "needs", need: need() });
    const { waiting } = await parked(run);
    lending.says(run.id, "book", READY);
    vi.setSystemTime((waiting?.retry_at ?? 0) + 1);
    expect(await runDurableObjectAlarm(run.stub())).toBe(true);
    expect(await ended(run)).toMatchObject({ status: "succeeded" });
  });

  it("fails at its limit with what to do", async () => {
    const run = await booking({ kind: "needs", need: need({ limitMs: 60 * MINUTE_MS }) });
    const { waiting } = await parked(run);
    vi.setSystemTime(waiting?.limit_at ?? 0);
    await runDurableObjectAlarm(run.stub());
    expect(await ended(run)).toMatchObject({ status: "failed", failure: { code: "connection_required" } });
    expect(await arrived(run.id)).toEqual([]);
  });

  it("is not woken by another tenant, nor by another integration; twice is harmless", async () => {
    const run = await booking({ kind: "needs", need: need() });
    const { seen } = await parked(run);
    const stub = run.stub();
    expect(await stub.connectionChanged("other", { integration: "google" })).toMatchObject({
      ok: false,
      code: "not_found",
    });
    await stub.connectionChanged(TENANT, { integration: "slack" });
    expect(await view(run)).toEqual(seen);
    for (let times = 0; times < 2; times++) await stub.connectionChanged(TENANT, { integration: "google" });
    await asked(run, 2);
    await until(run, (now) => now.seq > seen.seq + 1);
    expect(step(await view(run), "book").waiting_for).toBeDefined();
    expect((await typesOf(run)).filter((type) => type === "started")).toHaveLength(1);
  });

  it("goes on with another account once a person says so", async () => {
    const run = await booking({ kind: "needs", need: need({ reason: "replaced" }) });
    await parked(run);
    lending.says(run.id, "book", READY);
    const to = { connection: "conn_1", epoch: 2 };
    expect(await run.stub().rebind({ tenant: "other" }, { name: "google", to, by: "key:ada" })).toMatchObject(
      {
        code: "not_found",
      },
    );
    expect(await run.stub().rebind(VIEWER, { name: "google", to, by: "key:ada" })).toMatchObject({
      ok: true,
    });
    expect(await ended(run)).toMatchObject({ status: "succeeded" });
  });
});

describe("a once step that waits for its credential", () => {
  it("is never unknown because its object died meanwhile: nothing has begun", async () => {
    const run = await booking("silence");
    for (let deaths = 1; deaths <= 3; deaths++) {
      await asked(run, deaths);
      await abortAllDurableObjects();
      expect(step(await view(run), "book")).toMatchObject({ status: "pending", attempts: 0 });
    }
    lending.says(run.id, "book", READY);
    await abortAllDurableObjects();
    const end = await ended(run);
    expect(end.status).toBe("succeeded");
    expect(step(end, "book").attempts).toBe(1);
    expect(await typesOf(run)).not.toContain("unknown");
    expect(await arrived(run.id)).toHaveLength(1);
  });

  it("is taken up by the alarm of a dead life, though the journal shows nothing in flight (K3)", async () => {
    const run = await booking("silence");
    await asked(run, 1);
    const alarm = await alarmOf(run);
    expect(alarm).toBeLessThanOrEqual(Date.now() + MINUTE_MS);
    await abortAllDurableObjects();
    lending.says(run.id, "book", READY);
    vi.setSystemTime((alarm ?? 0) + 1);
    expect(await runDurableObjectAlarm(run.stub())).toBe(true);
    expect(await ended(run)).toMatchObject({ status: "succeeded" });
  });

  it("parks when the service refuses the credential in mid-attempt, and the attempt does not count", async () => {
    const run = await booking("silence");
    await asked(run, 1);
    await abortAllDurableObjects();
    lending.says(run.id, "book", READY);
    lending.refuses(run.id, "book", need({ reason: "rejected", refused: true }));
    const { seen } = await parked(run);
    expect(step(seen, "book")).toMatchObject({ status: "waiting", outcome: null });
    expect((await events(run)).find(({ type }) => type === "parked")?.data).toMatchObject({
      unit: "book",
      attempt: 1,
      need: { reason: "rejected", refused: true, limit_ms: 24 * 60 * MINUTE_MS },
    });
    await run.stub().connectionChanged(TENANT, { integration: "google" });
    expect(await ended(run)).toMatchObject({ status: "succeeded" });
    expect(await arrived(run.id)).toHaveLength(1);
  });
});
