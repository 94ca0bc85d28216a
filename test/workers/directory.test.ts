import { abortAllDurableObjects, evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import {
  createDirectory,
  type DirectoryRpc,
  type Filter,
  type Place,
  type Report,
  shardOf,
} from "../../src/directory/index.ts";
import { objectName } from "../../src/platform/index.ts";
import { HOUR_MS, idsOf, many, readMeter, reportOf, T0 } from "./directory-support.ts";
import { directoryOf } from "./run-support.ts";

afterEach(() => {
  vi.useRealTimers();
});

const object = (tenant: string, shard: number): DirectoryRpc => directoryOf(tenant, shard);
const directory = createDirectory(object, 1);

const all = async (tenant: string, filter: Filter = {}, of = directory, limit = 100): Promise<string[]> => {
  const ids: string[] = [];
  let after: Place | null = null;
  do {
    const page = await of.page(tenant, { filter, after, limit });
    ids.push(...idsOf(page.runs));
    after = page.next;
  } while (after !== null);
  return ids;
};

const newestFirst = (reports: readonly Report[]): string[] =>
  idsOf(reports.toSorted((a, b) => b.startedAt - a.startedAt || (a.id > b.id ? -1 : 1)));

describe("what is reported to a directory", () => {
  it("is applied whatever the order and however often it comes: the newest counts (T1)", async () => {
    const tenant = "d-order";
    const first = reportOf({ tenant, version: 3 });
    const waiting = { ...first, version: 7, status: "waiting" };
    const ended = {
      ...first,
      version: 9,
      status: "failed",
      endedAt: T0 + 5,
      leaseAt: null,
      failure: { code: "denied", message: "No." },
    };
    for (const report of [waiting, ended, first, waiting, ended]) await directory.report(report);
    const page = await directory.page(tenant, { filter: {}, after: null, limit: 10 });
    expect(page.runs).toMatchObject([
      { id: first.id, status: "failed", seq: 9, failure: { code: "denied" } },
    ]);
  });

  it("may be a longer lease alone, and a shorter one of the same standing is older", async () => {
    const tenant = "d-lease";
    const report = reportOf({ tenant, leaseAt: Date.now() - 2 * HOUR_MS });
    const renewed = { ...report, leaseAt: Date.now() + HOUR_MS };
    for (const one of [report, renewed, report]) await directory.report(one);
    expect(await directory.sweep(tenant, 0)).toMatchObject({ asked: 0 });
  });

  it("of a redrive brings a run that has ended back among those that go on", async () => {
    const tenant = "d-redrive";
    const failed = reportOf({
      tenant,
      version: 5,
      status: "failed",
      endedAt: T0 + 5,
      failure: { code: "denied", message: "" },
    });
    await directory.report(failed);
    await directory.report(
      reportOf({
        ...failed,
        version: 7,
        status: "running",
        generation: 2,
        endedAt: null,
        leaseAt: T0,
        failure: null,
      }),
    );
    expect(await all(tenant, { status: "failed" })).toEqual([]);
    expect(await all(tenant, { failureCode: "denied" })).toEqual([]);
    expect(await all(tenant, { status: "running" })).toEqual([failed.id]);
  });

  it("is not taken by an object of another tenant (T2), which tells nothing and writes nothing (T3)", async () => {
    const stub = directoryOf("d-mine");
    const mine = reportOf({ tenant: "d-mine", leaseAt: 1 });
    await stub.report(reportOf({ tenant: "d-theirs" }));
    await stub.takeOver("d-theirs", [reportOf({ tenant: "d-theirs" })]);
    expect(await all("d-mine")).toEqual([]);
    await stub.report(mine);
    const theirs = { tenant: "d-theirs", onlyUser: null } as const;
    expect(await stub.page({ ...theirs, filter: {}, after: null, limit: 9 })).toEqual({
      runs: [],
      lookedTo: null,
    });
    expect(await stub.counts({ ...theirs, from: 0, to: T0 + HOUR_MS, bucketMs: HOUR_MS })).toEqual({
      buckets: [],
      countedTo: null,
    });
    expect(await stub.changes({ ...theirs, after: 0, limit: 9, waitMs: 0 })).toMatchObject({ changes: [] });
    expect(await stub.sweep("d-theirs", 1)).toMatchObject({ asked: 0 });
    expect(await all("d-mine")).toEqual([mine.id]);
  });
});

describe("every filter", () => {
  const tenant = "d-filters";
  const parent = reportOf({ tenant }).id;
  const runs = many(tenant, 240, (i) => ({
    workflow: i % 3 === 0 ? "process-order" : "book-trip",
    workflowVersion: String(i % 2),
    user: i % 4 === 0 ? "ada" : i % 4 === 1 ? "bob" : null,
    tags: i % 5 === 0 ? ["blue", "new"] : i % 5 === 1 ? ["blue"] : [],
    parent: i % 7 === 0 ? parent : null,
    ...(i % 6 === 0
      ? { status: "waiting" }
      : i % 6 === 1
        ? {
            status: "failed",
            endedAt: T0 + i * 1_000 + 50,
            leaseAt: null,
            failure: { code: i % 12 === 1 ? "denied" : "timed_out", message: `Seat ${i} is GONE.` },
          }
        : i % 6 === 2
          ? { status: "cancelled", endedAt: T0 + i * 1_000 + 50, leaseAt: null }
          : { status: "succeeded", endedAt: T0 + i * 1_000 + 50, leaseAt: null }),
  }));
  const at = (i: number): number => T0 + i * 1_000;

  beforeAll(async () => {
    await directoryOf(tenant).takeOver(tenant, runs);
  });

  const cases: [string, Filter, (run: Report) => boolean][] = [
    ["nothing", {}, () => true],
    ["a status that is common", { status: "succeeded" }, (run) => run.status === "succeeded"],
    ["a status of runs that go on", { status: "waiting" }, (run) => run.status === "waiting"],
    ["a workflow", { workflow: "process-order" }, (run) => run.workflow === "process-order"],
    ["a version", { version: "1" }, (run) => run.workflowVersion === "1"],
    ["a user", { user: "ada" }, (run) => run.user === "ada"],
    ["a tag", { tag: "new" }, (run) => run.tags.includes("new")],
    ["a parent", { parent }, (run) => run.parent === parent],
    ["a failure's code", { failureCode: "denied" }, (run) => run.failure?.code === "denied"],
    ["a failure's text", { failureText: "is gone" }, (run) => run.status === "failed"],
    [
      "a span of starts",
      { startedFrom: at(10), startedTo: at(20) },
      ({ startedAt }) => startedAt >= at(10) && startedAt < at(20),
    ],
    [
      "a span of ends",
      { endedFrom: at(10), endedTo: at(90) },
      ({ endedAt }) => endedAt !== null && endedAt >= at(10) && endedAt < at(90),
    ],
    [
      "user, status and span",
      { user: "bob", status: "failed", startedFrom: at(40) },
      (run) => run.user === "bob" && run.status === "failed" && run.startedAt >= at(40),
    ],
    [
      "tag, workflow and version",
      { tag: "blue", workflow: "book-trip", version: "0" },
      (run) => run.tags.includes("blue") && run.workflow === "book-trip" && run.workflowVersion === "0",
    ],
    [
      "parent and status",
      { parent, status: "cancelled" },
      (run) => run.parent === parent && run.status === "cancelled",
    ],
    [
      "code, user and text",
      { failureCode: "timed_out", user: "bob", failureText: "SEAT 9" },
      (run) =>
        run.failure?.code === "timed_out" && run.user === "bob" && run.failure.message.includes("Seat 9"),
    ],
    ["something that no run has", { tag: "red" }, () => false],
  ];

  it.each(cases)(
    "finds %s, in the order of the list, whatever the size of a page",
    async (_, filter, fits) => {
      const expected = newestFirst(runs.filter(fits));
      expect(await all(tenant, filter)).toEqual(expected);
      expect(await all(tenant, filter, directory, 7)).toEqual(expected);
    },
  );
});

describe("10,000 runs of one tenant", () => {
  const tenant = "d-many";
  const COUNT = 10_000;
  const runs = many(tenant, COUNT, (i) => ({
    user: i % 100 === 0 ? "ada" : "everybody",
    tags: i % 50 === 0 ? ["rare"] : [],
    workflow: i % 20 === 0 ? "seldom" : "often",
    ...(i % 25 === 0
      ? {
          status: "failed",
          endedAt: T0 + i * 1_000,
          leaseAt: null,
          failure: { code: i % 50 === 0 ? "denied" : "timed_out", message: "" },
        }
      : { status: "succeeded", endedAt: T0 + i * 1_000, leaseAt: null }),
  }));
  const stub = () => directoryOf(tenant);
  let read: () => Promise<number>;
  const filters: [string, Filter][] = [
    ["all", {}],
    ["by status", { status: "failed" }],
    ["by user", { user: "ada" }],
    ["by user and tag", { user: "ada", tag: "rare" }],
    ["by user and workflow", { user: "ada", workflow: "seldom" }],
    ["by tag", { tag: "rare" }],
    ["by workflow", { workflow: "seldom" }],
    ["by failure", { failureCode: "denied" }],
    ["of those that succeeded", { status: "succeeded" }],
    ["by user and status", { user: "everybody", status: "succeeded" }],
  ];
  /** Rows read for the first page, when there were 1,000 runs and when there were all. */
  const reads = new Map<string, number[]>();

  beforeAll(async () => {
    read = await readMeter(stub());
    for (const [from, to] of [
      [0, 1_000],
      [1_000, COUNT],
    ] as const) {
      for (let i = from; i < to; i += 500)
        await stub().takeOver(tenant, runs.slice(i, Math.min(i + 500, to)));
      for (const [name, filter] of filters) {
        await read();
        await stub().page({ tenant, filter, after: null, limit: 5 });
        reads.set(name, [...(reads.get(name) ?? []), await read()]);
      }
    }
  }, 60_000);

  it.each(filters)(
    "cost a page of them %s no more than 1,000 did: at most 3 rows read for each run that is shown or passed over",
    (name) => {
      const [thousand = 0, everything = Infinity] = reads.get(name) ?? [];
      expect(everything).toBe(thousand);
      expect(everything).toBeLessThanOrEqual(3 * 6);
    },
  );

  it("take at most 300 bytes each, indexes included, where they have no tags and short names", async () => {
    const bytes = await runInDurableObject(stub(), (_object, { storage }) => storage.sql.databaseSize);
    expect(bytes / COUNT).toBeLessThanOrEqual(300);
  });

  it("bound a page that hardly any run fits: 1,000 are looked at, and it says where to go on", async () => {
    await read();
    const page = await stub().page({
      tenant,
      filter: { status: "succeeded", version: "none" },
      after: null,
      limit: 10,
    });
    expect(page).toMatchObject({ runs: [], lookedTo: { startedAt: T0 + (COUNT - 1_000) * 1_000 } });
    expect(await read()).toBeLessThanOrEqual(1_001);
  });

  it("stay where they are in pages while others start: nothing is missed, nothing comes twice", async () => {
    const seen: string[] = [];
    let after: Place | null = null;
    let late = 0;
    do {
      const page = await directory.page(tenant, { filter: {}, after, limit: 100 });
      seen.push(...idsOf(page.runs));
      after = page.next;
      // Later ones start at the top, and some of those that were passed report anew.
      await stub().report(reportOf({ tenant, startedAt: T0 + (COUNT + late++) * 1_000 }));
      const passed = runs[COUNT - 1 - late];
      if (passed !== undefined) await stub().report({ ...passed, version: passed.version + 1 });
    } while (after !== null);
    expect(seen).toEqual(newestFirst(runs));
    expect(late).toBe(COUNT / 100 + 1);
  }, 60_000);
});

describe("counts", () => {
  const tenant = "d-counts";
  const start = T0;
  const at = (minutes: number): number => start + minutes * 60_000;
  const query = { tenant, onlyUser: null, from: start, to: at(180), bucketMs: HOUR_MS };
  const runs = [0, 10, 59, 60, 170].map((minutes, i) =>
    reportOf({ tenant, startedAt: at(minutes), user: i === 0 ? "ada" : null }),
  );

  it("say of each bucket how its runs stand now, also after one has changed", async () => {
    for (const run of runs) await directory.report(run);
    expect(await directory.counts(query)).toEqual([
      { at: at(0), counts: { running: 3 } },
      { at: at(60), counts: { running: 1 } },
      { at: at(120), counts: { running: 1 } },
    ]);
    await directory.report({ ...runs[1]!, version: 9, status: "succeeded", endedAt: at(11), leaseAt: null });
    expect((await directory.counts(query))?.[0]).toEqual({ at: at(0), counts: { running: 2, succeeded: 1 } });
  });

  it("read nothing twice: a span that was counted is remembered", async () => {
    await directory.counts(query);
    const read = await readMeter(directoryOf(tenant));
    await directory.counts(query);
    expect(await read()).toBe(0);
  });

  it("count only what lies within the span, and only a user's runs for a user", async () => {
    const narrow = { ...query, from: at(5), to: at(61) };
    expect(await directory.counts(narrow)).toEqual([
      { at: at(0), counts: { running: 1, succeeded: 1 } },
      { at: at(60), counts: { running: 1 } },
    ]);
    expect(await directory.counts({ ...query, onlyUser: "ada" })).toEqual([
      { at: at(0), counts: { running: 1 } },
    ]);
  });
});

describe("the feed of changes", () => {
  const ask = { onlyUser: null, limit: 100, waitMs: 0 };

  it("gives what has changed since a place, each run once and as it stands, also in the object's next life", async () => {
    const tenant = "d-feed";
    const [a, b] = many(tenant, 2) as [Report, Report];
    await directory.report(a);
    const { next: begin } = await directory.changes(tenant, { ...ask, after: null });
    await directory.report(b);
    await directory.report({ ...a, version: 5, status: "waiting" });
    await directory.report({ ...b, version: 6, status: "waiting" });
    // A longer lease alone is no change.
    await directory.report({ ...b, version: 7, status: "waiting", leaseAt: Date.now() + 9 * HOUR_MS });
    await evictDurableObject(directoryOf(tenant));
    const page = await directory.changes(tenant, { ...ask, after: begin });
    expect(page.changes.map(({ run }) => [run.id, run.status])).toEqual([
      [a.id, "waiting"],
      [b.id, "waiting"],
    ]);
    expect(await directory.changes(tenant, { ...ask, after: page.next })).toMatchObject({
      changes: [],
      gap: false,
    });
  });

  it("wakes a reader that waits", async () => {
    const tenant = "d-feed-wait";
    const begin = (await directory.changes(tenant, { ...ask, after: null })).next;
    const waits = directory.changes(tenant, { ...ask, after: begin, waitMs: 60_000 });
    const report = reportOf({ tenant });
    await directory.report(report);
    expect(idsOf((await waits).changes.map(({ run }) => run))).toEqual([report.id]);
  });

  it("tells one who was away for too long that there is a gap, and one whose directory was wiped", async () => {
    const tenant = "d-feed-gap";
    const report = reportOf({ tenant });
    await directory.report(report);
    const { next: begin } = await directory.changes(tenant, { ...ask, after: null });
    for (let i = 0; i < 4_100; i++)
      await directoryOf(tenant).report({
        ...report,
        version: 10 + i,
        status: i % 2 === 0 ? "waiting" : "running",
      });
    expect(await directory.changes(tenant, { ...ask, after: begin })).toMatchObject({
      gap: true,
      changes: [],
    });
    await runInDurableObject(directoryOf(tenant), async (_object, { storage }) => storage.deleteAll());
    await abortAllDurableObjects();
    vi.setSystemTime(Date.now() + HOUR_MS);
    await directory.report(report);
    expect(await directory.changes(tenant, { ...ask, after: begin })).toMatchObject({
      gap: true,
      changes: [],
    });
  }, 30_000);
});

describe("a directory of several shards", () => {
  const SHARDS = 4;
  const sharded = createDirectory(object, SHARDS);

  it("reads as one: the same list, counts and changes", async () => {
    const tenant = "d-shards";
    const runs = many(tenant, 300, (i) => ({ user: i % 2 === 0 ? "ada" : null }));
    const begin = (await sharded.changes(tenant, { onlyUser: null, after: null, limit: 100, waitMs: 0 }))
      .next;
    for (const run of runs) await sharded.report(run);
    expect(new Set(runs.map(({ id }) => shardOf(id, SHARDS))).size).toBe(SHARDS);
    expect(await all(tenant, {}, sharded, 17)).toEqual(newestFirst(runs));
    expect(await all(tenant, { user: "ada" }, sharded, 17)).toEqual(
      newestFirst(runs.filter(({ user }) => user === "ada")),
    );
    const counts = await sharded.counts({
      tenant,
      onlyUser: null,
      from: T0,
      to: T0 + HOUR_MS,
      bucketMs: HOUR_MS,
    });
    expect(counts?.reduce((sum, { counts: { running = 0 } }) => sum + running, 0)).toBe(300);
    const seen = new Set<string>();
    for (let after: readonly number[] = begin; ;) {
      const page = await sharded.changes(tenant, { onlyUser: null, after, limit: 50, waitMs: 0 });
      for (const id of idsOf(page.changes.map(({ run }) => run))) seen.add(id);
      if (page.changes.length === 0) break;
      after = page.next;
    }
    expect(seen.size).toBe(300);
  });

  it("wakes a reader when any shard has a change", async () => {
    const tenant = "d-shards-wait";
    const ask = { onlyUser: null, limit: 10 };
    const begin = (await sharded.changes(tenant, { ...ask, after: null, waitMs: 0 })).next;
    const report = many(tenant, 50).find(({ id }) => shardOf(id, SHARDS) === 3)!;
    const waits = sharded.changes(tenant, { ...ask, after: begin, waitMs: 2_000 });
    await sharded.report(report);
    expect(idsOf((await waits).changes.map(({ run }) => run))).toEqual([report.id]);
  });

  it("loses no run when the number of shards is raised: the list is whole before, while and after they are moved", async () => {
    const tenant = "d-raise";
    const runs = many(tenant, 200, (i) => (i % 2 === 0 ? { endedAt: T0 + i * 1_000 } : {}));
    for (const run of runs) await directory.report(run);
    const expected = newestFirst(runs);
    expect(await all(tenant, {}, sharded, 30)).toEqual(expected);
    // Some report anew, to where they belong now, before the sweeper has come: both shards know them.
    for (const run of runs.slice(0, 40)) await sharded.report({ ...run, version: 50 });
    expect(await all(tenant, {}, sharded, 30)).toEqual(expected);
    const { moved } = await sharded.sweep(tenant, 0);
    expect(moved).toBe(runs.filter(({ id }) => shardOf(id, SHARDS) !== 0).length);
    expect(await all(tenant, {}, sharded, 30)).toEqual(expected);
    const anew = await sharded.page(tenant, {
      filter: { startedTo: T0 + 40 * 1_000 },
      after: null,
      limit: 100,
    });
    expect(anew.runs.map(({ seq }) => seq)).toEqual(Array.from({ length: 40 }, () => 50));
    const held = await Promise.all(
      Array.from({ length: SHARDS }, async (_, shard) => {
        const own = await directoryOf(tenant, shard).page({ tenant, filter: {}, after: null, limit: 100 });
        return own.runs.filter(({ id }) => shardOf(id, SHARDS) !== shard).length;
      }),
    );
    expect(held).toEqual([0, 0, 0, 0]);
    expect(await sharded.sweep(tenant, 0)).toMatchObject({ moved: 0 });
  });
});

describe("what a sweep drops", () => {
  it("is what ended longer ago than its retention, and nothing else", async () => {
    const tenant = "d-drop";
    const day = 24 * HOUR_MS;
    const now = Date.now();
    const old = reportOf({ tenant, startedAt: now - 40 * day, endedAt: now - 31 * day, tags: ["x"] });
    const kept = reportOf({ tenant, startedAt: now - 40 * day, endedAt: now - 29 * day });
    const live = reportOf({ tenant, startedAt: now - 50 * day });
    for (const run of [old, kept, live]) await directory.report(run);
    const span = { tenant, onlyUser: null, from: now - 60 * day, to: now, bucketMs: day };
    const counted = async (): Promise<number> =>
      ((await directory.counts(span)) ?? [])
        .flatMap(({ counts }) => Object.values(counts))
        .reduce((a, b) => a + b, 0);
    expect(await counted()).toBe(3);
    expect(await directory.sweep(tenant, 0)).toMatchObject({ dropped: 1, asked: 0 });
    expect(await counted()).toBe(2);
    expect(await all(tenant)).toEqual(newestFirst([kept, live]));
    expect(await all(tenant, { tag: "x" })).toEqual([]);
  });

  it("is a run that says that it is not there; one that cannot be asked stays", async () => {
    const tenant = "d-gone";
    const gone = reportOf({ tenant, leaseAt: Date.now() - 1 });
    await directory.report(gone);
    expect(await directory.sweep(tenant, 0)).toMatchObject({ asked: 1, gone: 1, failed: 0 });
    expect(await all(tenant)).toEqual([]);
    // Not the id of any run: the object cannot even be named.
    await directory.report(reportOf({ tenant, id: "NOT A RUN", leaseAt: Date.now() - 1 }));
    expect(await directory.sweep(tenant, 0)).toMatchObject({ asked: 1, gone: 0, failed: 1 });
    expect(await directory.sweep(tenant, 0)).toMatchObject({ asked: 0 });
    expect(await all(tenant)).toEqual(["NOT A RUN"]);
  });

  it("is nothing where nothing was ever reported, and nothing is written there (T3)", async () => {
    const stub = env.DIRECTORY.getByName(objectName("directory", "d-empty", "0"));
    expect(await directory.sweep("d-empty", 0)).toEqual({
      asked: 0,
      gone: 0,
      failed: 0,
      dropped: 0,
      moved: 0,
    });
    const kept = await runInDurableObject(stub, (_object, { storage }) => [
      [...storage.kv.list()].length,
      storage.sql
        .exec("SELECT count(*) AS n FROM sqlite_master WHERE name NOT LIKE '\\_cf%' ESCAPE '\\'")
        .one()["n"],
    ]);
    expect(kept).toEqual([0, 0]);
  });
});
