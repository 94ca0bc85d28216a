import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import parse from "parse-prometheus-text-format";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { createDirectory, type Report, type ShardMetrics } from "../../src/directory/index.ts";
import { expectAnswer, expectProblem, send } from "./api-support.ts";
import { randomId } from "../../src/platform/index.ts";
import { HOUR_MS, reportOf, T0 } from "./directory-support.ts";
import { REGION, Tenancy } from "./cloud-support.ts";
import { directoryOf, ended, fault, listed, start, TENANT, until } from "./run-support.ts";
import { points, refuse } from "./worker.ts";

const DAY_MS = 24 * HOUR_MS;
const PATIENCE = { timeout: 5_000, interval: 20 } as const;
const ROOT = env.ROOT_API_KEY ?? "";
const one = createDirectory((tenant, shard) => directoryOf(tenant, shard), 1);

afterEach(() => {
  vi.useRealTimers();
});

/** Numbers in a fixed order, as from a seed. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

interface Sums {
  done: Record<string, number>;
  now: Record<string, number>;
}

/** What the shards say together, by workflow. */
function sumsOf(shards: readonly ShardMetrics[]): Record<string, Sums> {
  const sums: Record<string, Sums> = {};
  for (const { workflow, done, now } of shards.flatMap(({ workflows }) => workflows)) {
    const of = (sums[workflow] ??= { done: {}, now: {} });
    for (const [key, n] of Object.entries(done)) of.done[key] = (of.done[key] ?? 0) + n;
    for (const [key, n] of Object.entries(now)) of.now[key] = (of.now[key] ?? 0) + n;
    for (const [key, n] of Object.entries(of.now)) if (n === 0) delete of.now[key];
  }
  return sums;
}

/** The naive model: the newest report of each run, added up. */
function expected(runs: readonly (readonly Report[])[]): Record<string, Sums> {
  const sums: Record<string, Sums> = {};
  for (const reports of runs) {
    const last = reports.at(-1);
    if (last === undefined) continue;
    const of = (sums[last.workflow] ??= { done: {}, now: {} });
    const count = (to: Record<string, number>, key: string, n: number): void => {
      if (n > 0) to[key] = (to[key] ?? 0) + n;
    };
    count(of.done, "started", 1);
    for (const [key, n] of Object.entries(last.tally ?? {})) count(of.done, key, n);
    if (last.endedAt !== null) continue;
    count(of.now, last.status, 1);
    if (last.paused) count(of.now, "paused", 1);
    for (const what of last.parked ?? []) count(of.now, `parked:${what}`, 1);
  }
  return sums;
}

/** What a run tells in its life: each time more than before, and it stands otherwise each time. */
function lifeOf(tenant: string, at: number, random: (below: number) => number): Report[] {
  const first = reportOf({ tenant, startedAt: T0 + at, workflow: `flow-${random(3)}` });
  const tally: Record<string, number> = {};
  return Array.from({ length: 1 + random(5) }, (_, i) => {
    for (const key of ["attempts", "retries", "le3", "steps"]) tally[key] = (tally[key] ?? 0) + random(4);
    const ends = i > 0 && random(4) === 0;
    if (ends) tally["succeeded"] = (tally["succeeded"] ?? 0) + 1;
    return {
      ...first,
      ...{ version: 3 + i, saidAt: T0 + i, generation: 1 + i, tally: { ...tally } },
      status: ends ? "succeeded" : random(2) === 0 ? "waiting" : "running",
      paused: !ends && random(5) === 0,
      ...(ends || random(3) > 0 ? {} : { parked: ["approval"] }),
      endedAt: ends ? T0 + at + i : null,
      leaseAt: ends ? null : Date.now() + HOUR_MS,
    };
  });
}

function shuffled<T>(list: readonly T[], random: (below: number) => number): T[] {
  return list
    .map((value) => ({ value, place: random(1_000_000) }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ value }) => value);
}

describe("numbers of a directory", () => {
  it.each([1, 2, 3, 4])(
    "are those of the newest word of each run, in whatever order, however often and over however many lives they come (%i)",
    async (seed) => {
      const tenant = `m-order-${seed}`;
      const random = randomFrom(seed);
      const runs = Array.from({ length: 30 }, (_, i) => lifeOf(tenant, i, random));
      const told = runs.flat();
      let i = 0;
      for (const report of shuffled([...told, ...told.filter(() => random(2) === 0)], random)) {
        await one.report(report);
        if (++i % 40 === 0) await abortAllDurableObjects();
      }
      expect(sumsOf(await one.metrics(tenant))).toEqual(expected(runs));
    },
  );

  it("stay when runs leave the list, and when the ring of changes was written over by another workflow", async () => {
    const tenant = "m-kept";
    const old = reportOf({
      ...{ tenant, workflow: "once", tally: { attempts: 7, succeeded: 1 }, saidAt: T0 },
      endedAt: T0 + 1,
    });
    await one.report(old);
    // As if 4,096 changes had been heard of since.
    await runInDurableObject(directoryOf(tenant), (_object, { storage }) => {
      storage.sql.exec("UPDATE changes SET n = n - 4096, slot = (n - 4096) % 4096");
      storage.sql.exec(
        "INSERT INTO changes SELECT (n + 4095) % 4096, n + 4095, at, started_at, id, NULL, NULL FROM changes",
      );
    });
    await abortAllDurableObjects();
    await one.report(reportOf({ tenant, workflow: "often", saidAt: T0, leaseAt: Date.now() + 60 * DAY_MS }));
    await abortAllDurableObjects();
    vi.setSystemTime(Date.now() + 40 * DAY_MS);
    expect(await one.sweep(tenant, 0)).toMatchObject({ dropped: 1 });
    expect(sumsOf(await one.metrics(tenant))).toEqual({
      once: { done: { started: 1, attempts: 7, succeeded: 1 }, now: {} },
      often: { done: { started: 1 }, now: { running: 1 } },
    });
  });

  it("never fall and end up right when the number of shards is raised, also where a run reports to the new one first", async () => {
    const tenant = "m-shards";
    const random = randomFrom(11);
    const runs = Array.from({ length: 60 }, (_, i) => lifeOf(tenant, i, random));
    for (const reports of runs) for (const report of reports) await one.report(report);
    const four = createDirectory((of, shard) => directoryOf(of, shard), 4);
    const going = runs
      .map((reports) => reports.at(-1))
      .filter((last) => last !== undefined && last.endedAt === null);
    const more = (last: Report, n: number): Report => ({
      ...{ ...last, version: last.version + n, generation: last.generation + n },
      tally: { ...last.tally, attempts: (last.tally?.["attempts"] ?? 0) + n },
    });
    const before = sumsOf(await one.metrics(tenant));
    for (const last of going.slice(0, 10)) if (last !== undefined) await four.report(more(last, 1));
    const attempts = (sums: Record<string, Sums>): number =>
      Object.values(sums).reduce((sum, { done }) => sum + (done["attempts"] ?? 0), 0);
    let seen = attempts(before);
    // Told again and again, as after a pass that broke off.
    for (let pass = 0; pass < 3; pass++) {
      for (let shard = 0; shard < 4; shard++) await four.sweep(tenant, shard);
      const now = attempts(sumsOf(await four.metrics(tenant)));
      expect(now).toBeGreaterThanOrEqual(seen);
      seen = now;
    }
    // What was counted by both is made up for as runs go on.
    const last = going.filter((report) => report !== undefined).map((report) => more(report, 20));
    for (const report of last) await four.report(report);
    const model = expected([
      ...runs.filter((reports) => reports.at(-1)?.endedAt !== null),
      ...last.map((report) => [report]),
    ]);
    const sums = sumsOf(await four.metrics(tenant));
    for (const [workflow, { done, now }] of Object.entries(model)) {
      expect([workflow, sums[workflow]?.done["attempts"]]).toEqual([workflow, done["attempts"]]);
      expect([workflow, sums[workflow]?.now]).toEqual([workflow, now]);
    }
  });

  it("tell at most 100 workflows apart, and the others together", async () => {
    const tenant = "m-many";
    for (let i = 0; i < 105; i++) await one.report(reportOf({ tenant, workflow: `w${i}`, saidAt: T0 }));
    await one.report(reportOf({ tenant, workflow: "w104", saidAt: T0 }));
    const sums = sumsOf(await one.metrics(tenant));
    expect(Object.keys(sums)).toHaveLength(101);
    expect(sums["_other"]).toEqual({ done: { started: 6 }, now: { running: 6 } });
  });

  it("count a run of a build that did not count once it changes", async () => {
    const tenant = "m-before";
    const report = reportOf({ tenant });
    await one.report(report);
    await runInDurableObject(directoryOf(tenant), (_object, { storage }) => {
      storage.sql.exec("UPDATE runs SET tally = NULL, said_at = NULL");
      storage.sql.exec("UPDATE changes SET label = NULL, totals = NULL");
    });
    await abortAllDurableObjects();
    expect(sumsOf(await one.metrics(tenant))).toEqual({});
    await one.report({ ...report, version: 9, endedAt: T0 + 9, leaseAt: null, status: "failed" });
    expect(sumsOf(await one.metrics(tenant))).toEqual({
      "book-trip": { done: { started: 1, failed: 1 }, now: {} },
    });
  });

  it("say how many leases are overdue, and since when a message waits that nobody takes, also of a run that has ended", async () => {
    const tenant = "m-stuck";
    await one.report(reportOf({ tenant, leaseAt: Date.now() - HOUR_MS }));
    const run = reportOf({ tenant, endedAt: T0 + 1, saidAt: T0 + 1 });
    await one.report(run);
    const stuck = { ...run, saidAt: T0 + 2, untoldSince: T0 };
    await one.report(stuck);
    const [seen] = await one.metrics(tenant);
    expect(seen).toMatchObject({ overdue: 1, untold: { runs: 1, since: T0 } });
    await one.report({ ...run, saidAt: T0 + 3 });
    await one.report(stuck);
    const [after] = await one.metrics(tenant);
    expect(after).toMatchObject({ overdue: 1, untold: { runs: 0, since: null } });
  });
});

/** How many rows the object reads from now on. */
async function rowsRead(tenant: string): Promise<() => number> {
  const cursors: SqlStorageCursor<Record<string, SqlStorageValue>>[] = [];
  await runInDurableObject(directoryOf(tenant), (_object, { storage: { sql } }) => {
    const exec = sql.exec.bind(sql);
    sql.exec = <T extends Record<string, SqlStorageValue>>(...asked: Parameters<typeof exec>) => {
      const cursor = exec<T>(...asked);
      cursors.push(cursor);
      return cursor;
    };
  });
  return () => cursors.reduce((sum, cursor) => sum + cursor.rowsRead, 0);
}

/** As if so many runs had been heard of: half of them have ended, the others go on and report in time. */
async function fill(tenant: string, runs: number): Promise<void> {
  await one.report(reportOf({ tenant, saidAt: T0, tally: { attempts: 3 }, leaseAt: Date.now() + HOUR_MS }));
  await runInDurableObject(directoryOf(tenant), (_object, { storage: { sql } }) => {
    const counted = (upTo: number): string =>
      `WITH RECURSIVE i(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM i WHERE k < ${upTo})`;
    sql.exec(
      `${counted(runs - 1)} INSERT INTO runs (started_at, id, version, workflow, workflow_version, user, started_by, tags,
           status, paused, generation, ended_at, lease_at, said_at, tally)
         SELECT started_at + k, 'run_' || k, version, workflow, workflow_version, 'user-' || (k % 1000), started_by, '[]',
           iif(k % 2, 'succeeded', 'running'), 0, 1, iif(k % 2, started_at + k, NULL), iif(k % 2, NULL, lease_at + k), said_at, tally
         FROM i, (SELECT * FROM runs LIMIT 1)`,
    );
    // The ring is full, of as many workflows as are told apart.
    sql.exec(
      `${counted(4_095)} INSERT INTO changes (slot, n, at, started_at, id, label, totals)
         SELECT (slot + k) % 4096, n + k, at, started_at, id, 'flow-' || (k % 99), totals
         FROM i, (SELECT * FROM changes LIMIT 1)`,
    );
  });
  await abortAllDurableObjects();
}

it("what is read for the numbers is the same whether there are 100 healthy runs or 20,000, and next to nothing after the first time", async () => {
  const seen: number[][] = [];
  for (const runs of [100, 20_000]) {
    const tenant = `m-of-${runs}`;
    await fill(tenant, runs);
    const read = await rowsRead(tenant);
    const [first] = await one.metrics(tenant);
    expect(first?.workflows).toHaveLength(100);
    const cold = read();
    await one.metrics(tenant);
    seen.push([cold, read() - cold]);
  }
  expect(seen[1]).toEqual(seen[0]);
  // The ring once in a life; then nothing but the ends of two indexes.
  expect(seen[0]?.[0]).toBeLessThan(3 * 4_096);
  expect(seen[0]?.[1]).toBeLessThan(10);
});

async function scrape(query: string): Promise<ReturnType<typeof parse>> {
  const answer = await send("GET", `/v1/metrics${query}`, { key: ROOT });
  expect(answer.status).toBe(200);
  expect(answer.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  // The parser passes over the labels of a histogram: without its type, each of its lines is a sample.
  return parse((await answer.text()).replaceAll(/^# HELP .*\n# TYPE \S+ histogram\n/gm, ""));
}

function valueOf(
  families: ReturnType<typeof parse>,
  name: string,
  labels: Readonly<Record<string, string>>,
): number | undefined {
  const metric = families
    .find((family) => family.name === name)
    ?.metrics.find((one_) =>
      Object.entries(labels).every(([label, value]) => one_.labels?.[label] === value),
    );
  return metric?.value === undefined ? undefined : Number(metric.value);
}

async function adminKey(tenant: string): Promise<string> {
  const sent = { key: ROOT, body: { name: "admin" } };
  const answer = await send("POST", `/v1/tenants/${tenant}/keys`, sent);
  return (await expectAnswer<{ key: string }>(answer, "createAdminKey", 201)).key;
}

describe("GET /v1/metrics", () => {
  let key = "";

  beforeAll(async () => {
    const made = await send("POST", "/v1/tenants", { key: ROOT, body: { id: "acme" } });
    await expectAnswer(made, "createTenant", 201);
    key = await adminKey("acme");
  });

  it("shows what a run did that was retried: exactly, and as one point of data when it ended", async () => {
    const id = randomId("run");
    await fault(id, { fault: { kind: "status", status: 503 } });
    points.length = 0;
    const run = await start("t-keyed", {}, { id });
    expect((await ended(run)).status).toBe("succeeded");
    await listed(run);
    const families = await scrape(`?tenant=${TENANT}`);
    const labels = { tenant: TENANT, workflow: "t-keyed" };
    const seen = Object.fromEntries(
      [
        ...["showcaller_runs_started_total", "showcaller_attempts_total", "showcaller_retries_total"],
        ...["showcaller_unknown_outcomes_total", "showcaller_step_duration_seconds_count"],
      ].map((name) => [name, valueOf(families, name, labels)]),
    );
    expect(seen).toEqual({
      showcaller_runs_started_total: 1,
      showcaller_attempts_total: 2,
      showcaller_retries_total: 1,
      showcaller_unknown_outcomes_total: 0,
      showcaller_step_duration_seconds_count: 1,
    });
    const ends = { ...labels, status: "succeeded" };
    expect(valueOf(families, "showcaller_run_ends_total", ends)).toBe(1);
    // One that was told of in the middle is several points, which add up.
    const noted = points.filter(({ blobs }) => blobs?.[1] === "t-keyed");
    expect(noted.at(-1)).toMatchObject({
      indexes: [TENANT],
      blobs: ["run", "t-keyed", "succeeded", ""],
    });
    const summed = (at: number): number => noted.reduce((sum, { doubles }) => sum + (doubles?.[at] ?? 0), 0);
    expect([0, 2, 3, 4, 5].map(summed)).toEqual([1, 2, 1, 0, 1]);
  });

  it("counts what belongs to no run, and notes it", async () => {
    const tenant = "m-events";
    points.length = 0;
    await one.count(tenant, "refresh_failed", "dead");
    await one.count(tenant, "refresh_failed", "dead");
    await one.count(tenant, "exchange_failed", "configuration");
    await abortAllDurableObjects();
    const families = await scrape(`?tenant=${tenant}`);
    expect(valueOf(families, "showcaller_refresh_failures_total", { tenant, reason: "dead" })).toBe(2);
    expect(valueOf(families, "showcaller_exchange_failures_total", { reason: "configuration" })).toBe(1);
    expect(points).toEqual([
      { indexes: [tenant], blobs: ["event", "refresh_failed", "dead"], doubles: [1] },
      { indexes: [tenant], blobs: ["event", "refresh_failed", "dead"], doubles: [1] },
      { indexes: [tenant], blobs: ["event", "exchange_failed", "configuration"], doubles: [1] },
    ]);
  });

  it("counts an exchange that a real cloud refuses", async () => {
    const house = await Tenancy.begin("m-cloud");
    await house.role({
      ...{ name: "writer", provider: "aws", role_arn: house.arn(), region: REGION },
      ...{ hosts: ["invoices.s3.eu-central-1.amazonaws.com"], workflows: ["code:nightly"] },
    });
    await house.publish();
    const tried = await house.call("POST", "/v1/cloud-roles/writer/test", {});
    const { works } = await expectAnswer<{ works: boolean }>(tried, "testCloudRole", 200);
    expect(works).toBe(false);
    // It is told beside the answer.
    const told = async (): Promise<boolean> =>
      Object.keys((await one.metrics("m-cloud"))[0]?.events ?? {}).length > 0;
    await vi.waitUntil(told, { timeout: 5_000, interval: 20 });
    const families = await scrape("?tenant=m-cloud");
    const failures = families.find(({ name }) => name === "showcaller_exchange_failures_total");
    // The role is new: the cloud may not have heard of it yet.
    expect(failures?.metrics).toEqual([{ labels: { tenant: "m-cloud", reason: "propagating" }, value: "1" }]);
  });

  it("shows a real run that waits for a decision, and one with a message that nobody takes, for as long as it is so", async () => {
    const gauge = async (name: string, more: Readonly<Record<string, string>> = {}) => {
      // Past the time for which an answer is kept.
      vi.setSystemTime(Date.now() + 6_000);
      return valueOf(await scrape(`?tenant=${TENANT}`), name, { tenant: TENANT, ...more });
    };
    const parked = { workflow: "t-approval", awaits: "approval" };
    const asked = await start("t-approval", { price: 3 });
    await until(asked, ({ status }) => status === "waiting");
    await vi.waitUntil(async () => (await gauge("showcaller_runs_parked", parked)) === 1, PATIENCE);
    expect(await gauge("showcaller_outbox_stuck_runs")).toBe(0);

    const id = randomId("run");
    refuse.set(id, 1_000);
    const stuck = await start("t-wait", {}, { tags: ["heard"], id });
    await until(stuck, ({ status }) => status === "waiting");
    vi.setSystemTime(Date.now() + 6 * 60_000);
    await runDurableObjectAlarm(stuck.stub());
    await vi.waitUntil(async () => (await gauge("showcaller_outbox_stuck_runs")) === 1, PATIENCE);
    const age = await gauge("showcaller_outbox_age_seconds");
    expect(age).toBeGreaterThan(6 * 60 - 1);
    expect(age).toBeLessThan(20 * 60);

    refuse.set(id, 0);
    vi.setSystemTime(Date.now() + HOUR_MS / 2);
    await runDurableObjectAlarm(stuck.stub());
    await vi.waitUntil(async () => (await gauge("showcaller_outbox_stuck_runs")) === 0, PATIENCE);
    expect(await gauge("showcaller_outbox_age_seconds")).toBe(0);
    // Nobody decides in time.
    vi.setSystemTime(Date.now() + HOUR_MS);
    await runDurableObjectAlarm(asked.stub());
    await vi.waitUntil(async () => (await gauge("showcaller_runs_parked", parked)) === 0, PATIENCE);
  });

  it("gives each tenant in exactly one part, and answers OpenMetrics to who asks for it", async () => {
    const of = async (query: string): Promise<string[]> => {
      const up = (await scrape(query)).find(({ name }) => name === "showcaller_directory_up");
      return (up?.metrics ?? []).map(({ labels }) => labels?.["tenant"] ?? "");
    };
    const all = await of("");
    const parts = await Promise.all([0, 1, 2].map(async (part) => of(`?part=${part}&parts=3`)));
    expect(all).toContain("acme");
    expect(parts.flat().toSorted()).toEqual(all.toSorted());
    const headers = { accept: "application/openmetrics-text; version=1.0.0" };
    const answer = await send("GET", "/v1/metrics", { key: ROOT, headers });
    expect(answer.headers.get("content-type")).toBe(
      "application/openmetrics-text; version=1.0.0; charset=utf-8",
    );
    expect(await answer.text()).toMatch(/\n# EOF\n$/);
  });

  it("is for the root key, and for questions that have an answer", async () => {
    await expectProblem(await send("GET", "/v1/metrics", { key }), 403, "insufficient_scope");
    await expectProblem(await send("GET", "/v1/metrics", {}), 401, "credentials_missing");
    for (const query of ["?part=1", "?parts=0", "?parts=1001", "?tenant=acme&part=0", "?part=x"])
      await expectProblem(await send("GET", `/v1/metrics${query}`, { key: ROOT }), 400, "invalid_request");
  });
});
