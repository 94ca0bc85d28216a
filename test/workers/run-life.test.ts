import {
  abortAllDurableObjects,
  evictDurableObject,
  runDurableObjectAlarm,
  runInDurableObject,
} from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import { randomId } from "../../src/platform/index.ts";
import {
  arrival,
  arrived,
  deeds,
  ended,
  events,
  listed,
  fault,
  reported,
  requestOf,
  start,
  step,
  stubOf,
  TENANT,
  until,
  view,
  VIEWER,
  type Fault,
  type Started,
} from "./run-support.ts";
import type { RunRpc } from "../../src/run/index.ts";
import { versions } from "./worker.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

afterEach(() => {
  vi.useRealTimers();
  versions.current = "v1";
});

/** The alarm of the run's object, asked of its storage. */
async function alarmOf(run: Started): Promise<number | null> {
  return runInDurableObject(run.stub(), (_object, state) => state.storage.getAlarm());
}

/** A run whose first requests meet these faults. */
async function startInto(workflow: string, ...faults: Fault[]): Promise<Started> {
  const id = randomId("run");
  await fault(id, ...faults);
  return start(workflow, {}, { id });
}

/** Lets the object die while its request is at the service. */
async function dieInFlight(run: Started): Promise<void> {
  await arrival(run.id);
  await abortAllDurableObjects();
}

const attemptsLost = async (run: Started): Promise<unknown[]> =>
  (await events(run))
    .map(({ data }) => data)
    .filter((data) => JSON.stringify(data).includes('"attempt_lost"'));

describe("a run on workerd", () => {
  it("books once and says so", async () => {
    const run = await start("t-keyed");
    expect(await ended(run)).toMatchObject({ status: "succeeded", output: { value: 201 } });
    expect(await deeds(run.id)).toBe(1);
  });

  it("is the same run when it is started twice, and refuses another body", async () => {
    const run = await start("t-wait");
    const again = await run
      .stub()
      .start({ ...requestOf("t-wait", {}, { id: run.id }), bodyDigest: "digest" });
    expect(again).toMatchObject({ ok: true, value: { created: false, view: { id: run.id } } });
    const other = await run
      .stub()
      .start({ ...requestOf("t-wait", {}, { id: run.id }), bodyDigest: "another" });
    expect(other).toMatchObject({ ok: false, code: "idempotency_mismatch" });
  });

  it("does not exist for another tenant (R2)", async () => {
    const run = await start("t-wait");
    expect(await run.stub().view({ tenant: "other" })).toMatchObject({ ok: false, code: "not_found" });
    expect(await run.stub().command({ tenant: "other" }, { t: "pause", by: "key:x" })).toMatchObject({
      ok: false,
      code: "not_found",
    });
    expect(
      await run.stub().start({ ...requestOf("t-wait", {}, { id: run.id }), tenant: "other" }),
    ).toMatchObject({ ok: false, code: "not_found" });
  });

  it("goes on after its memory was evicted (K8)", async () => {
    const run = await start("t-wait");
    await until(run, (seen) => step(seen, "ask").status === "waiting");
    await evictDurableObject(run.stub());
    const told = await run
      .stub()
      .command(VIEWER, { t: "signal", id: "1", name: "go", payload: { by: "ada" }, by: "key:test" });
    expect(told.ok).toBe(true);
    expect(await ended(run)).toMatchObject({
      status: "succeeded",
      output: { value: { heard: { by: "ada" } } },
    });
  });

  it("writes nothing and arms nothing where no run was started (R1)", async () => {
    const empty = stubOf(randomId("run"));
    expect(await empty.view(VIEWER)).toMatchObject({ ok: false, code: "not_found" });
    expect(await empty.poke(TENANT)).toBeNull();
    await runInDurableObject(empty, async (_object, state) => {
      expect(await state.storage.getAlarm()).toBeNull();
      expect((await state.storage.list()).size).toBe(0);
      expect(
        state.storage.sql
          .exec("SELECT name FROM sqlite_master WHERE name NOT LIKE '\\_cf\\_%' ESCAPE '\\'")
          .toArray(),
      ).toEqual([]);
    });
  });
});

describe("an object that dies in the middle of an attempt", () => {
  it("sends a keyed step again with the same key and the same body, and the service absorbs the second (K6)", async () => {
    const run = await startInto("t-keyed", { fault: { kind: "accept_then_timeout" } });
    await dieInFlight(run);
    expect(await ended(run)).toMatchObject({ status: "succeeded" });
    const requests = await arrived(run.id);
    expect(requests).toHaveLength(2);
    expect(new Set(requests.map((entry) => entry.key)).size).toBe(1);
    expect(new Set(requests.map((entry) => entry.digest)).size).toBe(1);
    expect(requests.map((entry) => entry.absorbed)).toEqual([false, true]);
    expect(await deeds(run.id)).toBe(1);
  });

  it("never sends a once step again, and asks its verify instead (K5)", async () => {
    const run = await startInto("t-once", { fault: { kind: "accept_then_timeout" } });
    await dieInFlight(run);
    const seen = await ended(run);
    expect(seen).toMatchObject({ status: "succeeded" });
    expect(step(seen, "book")).toMatchObject({ attempts: 1, outcome: "done" });
    expect((await arrived(run.id)).filter((entry) => entry.method === "POST")).toHaveLength(1);
  });

  it("sends a once step a second time only after its verify said that the first did not happen (K5)", async () => {
    const run = await startInto("t-once", { fault: { kind: "reset" }, method: "POST" });
    const seen = await ended(run);
    expect(seen).toMatchObject({ status: "succeeded" });
    expect(step(seen, "book").attempts).toBe(2);
    const types = (await events(run)).map((event) => event.type);
    expect(types.indexOf("unknown")).toBeLessThan(types.lastIndexOf("retrying"));
    expect(await deeds(run.id)).toBe(1);
  });

  it("leaves a once step unknown where nothing can tell, until a person resolves it", async () => {
    const run = await startInto("t-once-blind", { fault: { kind: "accept_then_timeout" } });
    await dieInFlight(run);
    const open = await until(run, (seen) => step(seen, "book").status === "unknown");
    expect(open.status).toBe("waiting");
    const output = { status: 201, headers: {}, body: null };
    const resolved = await run.stub().command(VIEWER, {
      t: "resolve",
      unit: { step: "book" },
      as: { as: "succeeded", output },
      by: "key:test",
    });
    expect(resolved.ok).toBe(true);
    expect(await ended(run)).toMatchObject({ status: "succeeded", output: { value: 201 } });
    expect(await arrived(run.id)).toHaveLength(1);
  });

  it("hears the late answer of a once step that timed out, as long as it lives (K7)", async () => {
    const run = await startInto("t-once-blind", { fault: { kind: "late", ms: 2_500 } });
    await until(run, (seen) => step(seen, "book").status === "unknown");
    expect(await ended(run)).toMatchObject({ status: "succeeded", output: { value: 201 } });
    expect((await events(run)).find((event) => event.type === "succeeded")?.data).toMatchObject({
      by: "late",
      attempt: 1,
    });
  });

  it("counts a death between two versions as a deploy, and one between two equal ones as a strike", async () => {
    const run = await startInto(
      "t-keyed",
      { fault: { kind: "accept_then_timeout" } },
      { fault: { kind: "slow", ms: 60_000 } },
    );
    await arrival(run.id);
    versions.current = "v2";
    await abortAllDurableObjects();
    await until(run, (seen) => step(seen, "book").attempts === 2);
    expect(JSON.stringify(await attemptsLost(run))).not.toContain('"strike"');
    await abortAllDurableObjects();
    await until(run, (seen) => step(seen, "book").attempts === 3);
    expect(JSON.stringify(await attemptsLost(run))).toContain('"strike":true');
  });

  it("lets nothing of its old life reach the journal", async () => {
    const run = await startInto("t-keyed", { fault: { kind: "accept_then_timeout" } });
    await arrival(run.id);
    const old = await runInDurableObject(run.stub(), (object) => object);
    await abortAllDurableObjects();
    const seen = await ended(run);
    await expect((old as unknown as RunRpc).command(VIEWER, { t: "pause", by: "key:test" })).rejects.toThrow(
      /different Durable Object/,
    );
    expect(await view(run)).toEqual(seen);
  });
});

describe("the alarm", () => {
  it("stands no later than the deadline of the attempt in flight (K3, K4)", async () => {
    const run = await startInto("t-keyed", { fault: { kind: "slow", ms: 60_000 } });
    await arrival(run.id);
    const deadline = step(await view(run), "book").deadline_at;
    const alarm = await alarmOf(run);
    expect(alarm).not.toBeNull();
    expect(alarm).toBeLessThanOrEqual(deadline ?? 0);
  });

  it("may be late: what is due then is done then", async () => {
    const run = await start("t-sleep", { ms: HOUR_MS });
    expect(await alarmOf(run)).toBe((await view(run)).started_at + HOUR_MS);
    vi.setSystemTime(Date.now() + 3 * HOUR_MS);
    expect(await runDurableObjectAlarm(run.stub())).toBe(true);
    expect(await ended(run)).toMatchObject({ status: "succeeded", output: { value: "awake" } });
  });

  it("may fire early or twice: nothing happens, and it stands again", async () => {
    const run = await start("t-sleep", { ms: HOUR_MS });
    const before = await view(run);
    expect(await runDurableObjectAlarm(run.stub())).toBe(true);
    expect(await runDurableObjectAlarm(run.stub())).toBe(true);
    expect(await view(run)).toEqual(before);
    expect(await alarmOf(run)).toBe(before.started_at + HOUR_MS);
  });

  it("may be lost: a poke sets it again, and one after the time goes on with the run", async () => {
    const run = await start("t-sleep", { ms: HOUR_MS });
    const due = await alarmOf(run);
    const lose = async (): Promise<void> => {
      await runInDurableObject(run.stub(), (_object, state) => state.storage.deleteAlarm());
      await evictDurableObject(run.stub());
    };
    await lose();
    expect(await run.stub().poke(TENANT)).toMatchObject({ status: "waiting" });
    expect(await alarmOf(run)).toBe(due);
    await lose();
    vi.setSystemTime(Date.now() + 2 * HOUR_MS);
    expect(await run.stub().poke(TENANT)).toMatchObject({ status: "succeeded" });
    expect(await view(run)).toMatchObject({ status: "succeeded" });
  });

  it("stands while the run is paused, and the deadline of the run ends the pause (K3)", async () => {
    const run = await start("t-wait");
    await run.stub().command(VIEWER, { t: "pause", by: "key:test" });
    const paused = await view(run);
    expect(paused).toMatchObject({ paused: true });
    expect(await alarmOf(run)).toBeLessThanOrEqual(paused.deadline_at);
    vi.setSystemTime(paused.deadline_at + 1);
    await runDurableObjectAlarm(run.stub());
    expect(await view(run)).toMatchObject({ status: "failed", paused: false });
  });

  it("deletes the run after its retention, and its id stays taken", async () => {
    const run = await start("t-sleep", { ms: 0 });
    const seen = await ended(run);
    await listed(run);
    expect(await alarmOf(run)).toBe((seen.ended_at ?? 0) + 30 * 24 * HOUR_MS);
    vi.setSystemTime((seen.ended_at ?? 0) + 31 * 24 * HOUR_MS);
    await runDurableObjectAlarm(run.stub());
    expect(await run.stub().view(VIEWER)).toMatchObject({ ok: false, code: "run_deleted" });
    expect(await run.stub().start(requestOf("t-sleep", { ms: 0 }, { id: run.id }))).toMatchObject({
      ok: false,
      code: "run_deleted",
    });
    vi.setSystemTime(Date.now() + 91 * 24 * HOUR_MS);
    await runDurableObjectAlarm(run.stub());
    await evictDurableObject(run.stub());
    expect(await run.stub().view(VIEWER)).toMatchObject({ ok: false, code: "not_found" });
  });
});

describe("a call that takes 90 s", () => {
  it("ends, and the run goes on, with no client connected", { timeout: 150_000 }, async () => {
    const run = await startInto("t-slow", { fault: { kind: "late", ms: 90_000 } });
    await arrival(run.id);
    // From here on nobody asks the object anything: the referee tells when the run's next step has reported.
    expect(await reported(run.id, 140_000)).toBe(true);
    expect(await ended(run)).toMatchObject({ status: "succeeded", output: { value: 201 } });
    expect(step(await view(run), "call")).toMatchObject({ attempts: 1 });
    expect(await deeds(run.id)).toBe(1);
  });
});
