import {
  abortAllDurableObjects,
  createScheduledController,
  evictDurableObject,
  listDurableObjectIds,
  runDurableObjectAlarm,
  runInDurableObject,
} from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import type { Listed } from "../../src/directory/index.ts";
import { randomId } from "../../src/platform/index.ts";
import type { RunView } from "../../src/run/index.ts";
import { expectAnswer, expectProblem, newTenant, send } from "./api-support.ts";
import { HOUR_MS } from "./directory-support.ts";
import { directoryOf, ended, type Started, start, stubOf, TENANT, until, VIEWER } from "./run-support.ts";
import worker, { reports } from "./worker.ts";

const MINUTE_MS = 60_000;
let admin = "";

beforeAll(async () => {
  const root = env.ROOT_API_KEY ?? "";
  const made = await send("POST", `/v1/tenants/${TENANT}/keys`, { key: root, body: { name: "admin" } });
  admin = (await expectAnswer<{ key: string }>(made, "createAdminKey", 201)).key;
});

afterEach(() => {
  vi.useRealTimers();
  reports.fate = "taken";
});

async function shown(id: string): Promise<Listed | undefined> {
  const { runs } = await directoryOf(TENANT).page({ tenant: TENANT, filter: {}, after: null, limit: 100 });
  return runs.find((run) => run.id === id);
}

/** Delivery runs beside the run. */
async function untilShown(id: string, status: string): Promise<Listed> {
  return vi.waitUntil(
    async () => {
      const run = await shown(id);
      return run?.status === status ? run : undefined;
    },
    { timeout: 5_000, interval: 20 },
  );
}

/** As somebody from outside would. */
async function startByDoor(body: unknown): Promise<Started> {
  const answer = await send("POST", "/v1/runs", { key: admin, body });
  const { id } = await expectAnswer<RunView>(answer, "startRun", 202);
  return { id, stub: () => stubOf(id) };
}

/** What the cron trigger starts. */
async function tick(): Promise<void> {
  await worker.scheduled(createScheduledController({ scheduledTime: Date.now() }), env);
}

async function later(ms: number): Promise<void> {
  vi.setSystemTime(Date.now() + ms);
}

async function wipeDirectory(): Promise<void> {
  await runInDurableObject(directoryOf(TENANT), async (_object, { storage }) => storage.deleteAll());
  await abortAllDurableObjects();
}

async function alarmOf({ stub }: Started): Promise<number | null> {
  return runInDurableObject(stub(), (_object, { storage }) => storage.getAlarm());
}

/** A run that cannot be read is tried again for three days and five lives. */
const DAYS_UNTIL_SEALED = 6;

describe("a run that nobody tells of", () => {
  it("whose alarm was lost goes on, and is listed rightly: the sweeper asks it when its lease is over", async () => {
    const run = await start("t-sleep", { ms: HOUR_MS });
    await untilShown(run.id, "waiting");
    await runInDurableObject(run.stub(), (_object, { storage }) => storage.deleteAlarm());
    await evictDurableObject(run.stub());
    await later(HOUR_MS + 9 * MINUTE_MS);
    await tick();
    expect(await shown(run.id)).toMatchObject({ status: "waiting" });
    await later(2 * MINUTE_MS);
    await tick();
    expect(await alarmOf(run)).not.toBeNull();
    expect(await ended(run)).toMatchObject({ status: "succeeded" });
    await untilShown(run.id, "succeeded");
  });

  it("whose last report was lost is listed rightly once its lease is over", async () => {
    const run = await start("t-wait");
    await untilShown(run.id, "waiting");
    reports.fate = "lost";
    await run.stub().command(VIEWER, { t: "signal", id: "s", name: "go", payload: 1, by: "key:test" });
    await ended(run);
    expect(await shown(run.id)).toMatchObject({ status: "waiting" });
    await later(HOUR_MS + 11 * MINUTE_MS);
    await tick();
    expect(await shown(run.id)).toMatchObject({ status: "succeeded" });
  });

  it("is known by the door that started it, even if every word of its own is lost", async () => {
    reports.fate = "lost";
    const run = await startByDoor({ workflow: "t-wait", tags: ["by-door"] });
    expect(await untilShown(run.id, "waiting")).toMatchObject({ workflow: "t-wait", tags: ["by-door"] });
  });

  it("has ended although the directory was away, and tells it when the alarm comes", async () => {
    reports.fate = "refused";
    const run = await start("t-chain-4");
    const seen = await ended(run);
    expect(seen.status).toBe("succeeded");
    reports.fate = "taken";
    await later(MINUTE_MS);
    expect(await runDurableObjectAlarm(run.stub())).toBe(true);
    await untilShown(run.id, "succeeded");
  });

  it("lost its life between its end and the report: the alarm stands a while after the end, and the next life tells", async () => {
    reports.fate = "stuck";
    const run = await start("t-chain-4");
    const { ended_at } = await ended(run);
    expect(await alarmOf(run)).toBe((ended_at ?? 0) + 30_000);
    await abortAllDurableObjects();
    reports.fate = "taken";
    expect(await shown(run.id)).toBeUndefined();
    await later(MINUTE_MS);
    await runDurableObjectAlarm(run.stub());
    await untilShown(run.id, "succeeded");
  });

  it("was sealed: it is listed as failed", async () => {
    const run = await start("t-wait");
    await untilShown(run.id, "waiting");
    await runInDurableObject(run.stub(), (_object, { storage }) => {
      storage.sql.exec('UPDATE turns SET facts = \'[{"t":"from_the_future","at":1}]\' WHERE seq = 1');
    });
    await abortAllDurableObjects();
    for (let day = 0; day < DAYS_UNTIL_SEALED; day++) {
      await later(24 * HOUR_MS);
      await runDurableObjectAlarm(run.stub());
    }
    await later(HOUR_MS + 11 * MINUTE_MS);
    await tick();
    expect(await shown(run.id)).toMatchObject({
      status: "failed",
      workflow: "t-wait",
      failure: { code: "run_unreadable" },
    });
  });
});

describe("a directory that was wiped clean", () => {
  it("knows a run again when it ends", async () => {
    const run = await start("t-wait", {}, { user: "ada", tags: ["kept"] });
    await untilShown(run.id, "waiting");
    await wipeDirectory();
    expect(await shown(run.id)).toBeUndefined();
    await run.stub().command(VIEWER, { t: "signal", id: "s", name: "go", payload: 1, by: "key:test" });
    await ended(run);
    expect(await untilShown(run.id, "succeeded")).toMatchObject({
      workflow: "t-wait",
      user: "ada",
      tags: ["kept"],
    });
  });

  it("knows a run that sleeps when its lease has to be renewed, at the latest after a day", async () => {
    const run = await start("t-sleep", { ms: 20 * 24 * HOUR_MS });
    await untilShown(run.id, "waiting");
    expect(await alarmOf(run)).toBeLessThanOrEqual(Date.now() + 24 * HOUR_MS);
    await wipeDirectory();
    vi.setSystemTime((await alarmOf(run)) ?? 0);
    await runDurableObjectAlarm(run.stub());
    await untilShown(run.id, "waiting");
    expect(await alarmOf(run)).toBeGreaterThan(Date.now() + 23 * HOUR_MS);
  });

  it("knows every run again, also those that have ended, when the operator names their objects", async () => {
    const done = await start("t-chain-4");
    await untilShown(done.id, "succeeded");
    const waits = await start("t-wait");
    await untilShown(waits.id, "waiting");
    await wipeDirectory();
    expect(await shown(done.id)).toBeUndefined();
    const objects = (await listDurableObjectIds(env.RUN)).map(String);
    const root = env.ROOT_API_KEY ?? "";
    for (let i = 0; i < objects.length; i += 100) {
      const body = { objects: objects.slice(i, i + 100) };
      await expectAnswer(await send("POST", "/v1/directory/relist", { key: root, body }), "relistRuns", 200);
    }
    expect(await shown(done.id)).toMatchObject({ status: "succeeded" });
    expect(await shown(waits.id)).toMatchObject({ status: "waiting" });
  });

  it("is told nothing by objects without a run, and by ids that are none", async () => {
    const root = env.ROOT_API_KEY ?? "";
    const relist = async (objects: readonly string[]) =>
      send("POST", "/v1/directory/relist", { key: root, body: { objects } });
    const empty = env.RUN.idFromName(`run:${TENANT}:${randomId("run")}`).toString();
    const answer = await expectAnswer(await relist([empty]), "relistRuns", 200);
    expect(answer).toEqual({ listed: 0, without_run: 1 });
    const problem = await expectProblem(await relist([empty, "0".repeat(64)]), 400, "invalid_request");
    expect(problem.errors?.[0]?.pointer).toBe("/objects/1");
  });
});

describe("the sweeper", () => {
  it("visits the directories of all tenants, and asks each run of its own tenant", async () => {
    const key = await newTenant("swept");
    const made = await send("POST", "/v1/runs", {
      key,
      body: { workflow: "t-sleep", input: { ms: HOUR_MS } },
    });
    const { id } = await expectAnswer<RunView>(made, "startRun", 202);
    const stub = env.RUN.getByName(`run:swept:${id}`);
    await runInDurableObject(stub, (_object, { storage }) => storage.deleteAlarm());
    await evictDurableObject(stub);
    await later(HOUR_MS + 11 * MINUTE_MS);
    await tick();
    const list = await send("GET", "/v1/runs?status=succeeded", { key });
    expect(await expectAnswer<{ data: Listed[] }>(list, "listRuns", 200)).toMatchObject({ data: [{ id }] });
  });

  it("is told nothing of a run by asking as another tenant", async () => {
    const run = await start("t-wait");
    expect(await run.stub().poke("swept")).toBeNull();
    expect(await run.stub().poke(TENANT)).toMatchObject({ id: run.id, status: "waiting" });
  });

  it("leaves a run alone whose lease is not over", async () => {
    const run = await start("t-sleep", { ms: HOUR_MS });
    await untilShown(run.id, "waiting");
    expect(await directoryOf(TENANT).sweep(TENANT, 1)).toMatchObject({ asked: 0 });
  });
});

describe("a run that is paused, resumed, cancelled and redriven", () => {
  it("is listed as it stands after each of them", async () => {
    const run = await start("t-wait");
    const steer = async (t: "pause" | "resume"): Promise<void> => {
      await run.stub().command(VIEWER, { t, by: "key:test" });
    };
    await steer("pause");
    await vi.waitUntil(async () => (await shown(run.id))?.paused === true, { timeout: 5_000, interval: 20 });
    await steer("resume");
    await vi.waitUntil(async () => (await shown(run.id))?.paused === false, { timeout: 5_000, interval: 20 });
    await run.stub().command(VIEWER, { t: "cancel", mode: "graceful", by: "key:test" });
    await untilShown(run.id, "cancelled");
    await run.stub().command(VIEWER, { t: "redrive", by: "key:test", resolve: [] });
    await until(run, (seen) => seen.status === "waiting");
    expect(await untilShown(run.id, "waiting")).toMatchObject({
      generation: 2,
      ended_at: null,
      failure: null,
    });
  });
});
