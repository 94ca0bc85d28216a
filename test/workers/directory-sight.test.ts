/** What one who may see only a user's runs learns of the others: nothing, neither from places nor from what is counted. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { createDirectory, type Filter, type Place, type Report, shardOf } from "../../src/directory/index.ts";
import { objectName } from "../../src/platform/index.ts";
import { expectAnswer, newKey, newTenant, send } from "./api-support.ts";
import { HOUR_MS, idsOf, many, readMeter, reportOf, T0 } from "./directory-support.ts";
import { directoryOf } from "./run-support.ts";

const NOW = T0 + 3 * HOUR_MS;
const MINUTE_MS = 60_000;

beforeEach(() => {
  vi.setSystemTime(NOW);
});
afterEach(() => {
  vi.useRealTimers();
});

const FAILED = { status: "failed", leaseAt: null, failure: { code: "denied", message: "No." } } as const;

async function takeOver(tenant: string, shard: number, runs: readonly Report[]): Promise<void> {
  for (let i = 0; i < runs.length; i += 500) {
    const part = runs.slice(i, i + 500).map((run) => ({ ...run, tenant }));
    await directoryOf(tenant, shard).takeOver(tenant, part);
  }
}

describe("where a page of a user's runs ends", () => {
  const parent = reportOf({ tenant: "s" }).id;
  // Newest are those of others, more than a page looks at in each shard; below them stand ada's, others between them.
  const shared = { tags: ["blue"], parent, workflow: "book-trip", ...FAILED };
  const runs = many("s-pages", 4_800, (i) => ({
    ...shared,
    user: i < 60 && i % 3 === 0 ? "ada" : i % 2 === 0 ? "bob" : null,
    endedAt: T0 + i * 1_000 + 5,
  }));
  const hers = idsOf(runs.filter(({ user }) => user === "ada").toReversed());
  const filters: [string, Filter][] = [
    ["nothing else", {}],
    ["a tag", { tag: "blue" }],
    ["a parent", { parent }],
    ["a failure", { failureCode: "denied" }],
    ["a status", { status: "failed" }],
    ["a workflow", { workflow: "book-trip" }],
    ["a text", { failureText: "no" }],
    ["all of it", { tag: "blue", parent, failureCode: "denied", workflow: "book-trip" }],
  ];

  describe.each([1, 4])("in a directory of %i shards", (shards) => {
    const tenant = `s-pages-${shards}`;
    const directory = createDirectory((of, shard) => directoryOf(of, shard), shards);

    beforeAll(async () => {
      for (let shard = 0; shard < shards; shard++)
        await takeOver(
          tenant,
          shard,
          runs.filter(({ id }) => shardOf(id, shards) === shard),
        );
    });

    it.each(filters)(
      "is at a run of that user, also when looked for by %s",
      async (_, filter) => {
        const seen: string[] = [];
        const places: string[] = [];
        let after: Place | null = null;
        do {
          const page = await directory.page(tenant, { filter: { ...filter, user: "ada" }, after, limit: 6 });
          seen.push(...idsOf(page.runs));
          if (page.next !== null) places.push(page.next.id);
          after = page.next;
        } while (after !== null);
        expect(seen).toEqual(hers);
        expect(places.length).toBeGreaterThan(2);
        expect(hers).toEqual(expect.arrayContaining(places));
      },
      60_000,
    );
  });

  it("is so in the cursor that a key bound to the user is given", async () => {
    const tenant = "s-cursor";
    const admin = await newTenant(tenant);
    const key = await newKey(admin, {
      scopes: ["runs:read"],
      expires_at: Date.now() + 600_000,
      user: "ada",
    });
    await takeOver(tenant, 0, runs);
    const response = await send("GET", "/v1/runs?tag=blue&limit=5", { key });
    const page = await expectAnswer<{ data: { id: string }[]; next_cursor: string }>(
      response,
      "listRuns",
      200,
    );
    expect(idsOf(page.data)).toEqual(hers.slice(0, 5));
    const named = atob(page.next_cursor.replaceAll("-", "+").replaceAll("_", "/")).match(/run_\w+/g);
    expect(named).toEqual([hers[4]]);
  });
});

describe("the feed of a user's runs", () => {
  const directory = createDirectory((tenant, shard) => directoryOf(tenant, shard), 1);
  const hers = { onlyUser: "ada", limit: 100, waitMs: 0 } as const;
  const run = (tenant: string, user: string | null): Report => reportOf({ tenant, user });

  /** Changes of others: `count` of them now. */
  async function bustle(tenant: string, count: number): Promise<void> {
    const report = run(tenant, "bob");
    // Within the object: as calls from outside they would take their time.
    await runInDurableObject(
      env.DIRECTORY.getByName(objectName("directory", tenant, "0")),
      async (object) => {
        for (let i = 0; i < count; i++) {
          const status = i % 2 === 0 ? "waiting" : "running";
          await object.report({ ...report, version: 10 + i, status });
        }
      },
    );
  }

  it("is the same, its places too, whether others do nothing or much (F1)", async () => {
    const first = run("", "ada");
    const second = run("", "ada");
    const told = async (tenant: string, others: number): Promise<unknown[]> => {
      vi.setSystemTime(NOW);
      const answers: unknown[] = [];
      let after: readonly number[] | null = null;
      const ask = async (limit = 100): Promise<void> => {
        const answer = await directory.changes(tenant, { ...hers, after, limit });
        answers.push(answer);
        after = answer.next;
      };
      const later = async (ms: number, report: Report | null): Promise<void> => {
        vi.setSystemTime(Date.now() + ms);
        await bustle(tenant, others);
        vi.setSystemTime(Date.now() + 1_000);
        if (report !== null) await directory.report({ ...report, tenant });
      };
      await ask();
      await later(10, null);
      await ask();
      await later(8_000, first);
      await later(8_000, second);
      await ask(1);
      await ask();
      await ask();
      await later(MINUTE_MS, { ...first, version: 9, status: "waiting" });
      await ask();
      await later(20 * MINUTE_MS, { ...second, version: 9, status: "waiting" });
      await ask();
      return answers;
    };
    const quiet = await told("s-quiet", 0);
    expect(quiet.map((answer) => (answer as { changes: unknown[] }).changes.length)).toEqual([
      0, 0, 1, 1, 0, 1, 0,
    ]);
    expect(quiet.map((answer) => (answer as { gap: boolean }).gap)).toEqual([
      ...Array.from({ length: 6 }, () => false),
      true,
    ]);
    expect(await told("s-busy", 40)).toEqual(quiet);
  });

  it("does not wake its reader for a change of another user's run", async () => {
    const tenant = "s-wake";
    vi.useRealTimers();
    await directory.report(run(tenant, "bob"));
    const { next } = await directory.changes(tenant, { ...hers, after: null });
    const waits = directory.changes(tenant, { ...hers, after: next, waitMs: 30_000 });
    await bustle(tenant, 20);
    const own = run(tenant, "ada");
    await directory.report(own);
    expect(idsOf((await waits).changes.map(({ run: { id } }) => ({ id })))).toEqual([own.id]);
  });

  it("misses nothing of these runs (F2), whatever is between them and however small the pages", async () => {
    const tenant = "s-whole";
    const begin = await directory.changes(tenant, { ...hers, after: null });
    const own: string[] = [];
    for (let i = 0; i < 30; i++) {
      // Some in one millisecond, and the clock goes back once, as it can when an object moves.
      vi.setSystemTime(NOW + (i < 15 ? Math.floor(i / 4) : Math.floor(i / 4) - 3));
      const report = run(tenant, i % 3 === 0 ? "ada" : "bob");
      await directory.report(report);
      if (report.user === "ada") own.push(report.id);
    }
    const seen: string[] = [];
    for (let after = begin.next; ;) {
      const page = await directory.changes(tenant, { ...hers, after, limit: 2 });
      expect(page.gap).toBe(false);
      seen.push(...idsOf(page.changes.map(({ run: one }) => one)));
      if (page.changes.length === 0) break;
      after = page.next;
    }
    expect(seen).toEqual(own);
  });

  it("reads two rows for each change since its place, and hardly any for a reader who keeps up", async () => {
    const tenant = "s-cost";
    await directory.report(run(tenant, "ada"));
    const { next } = await directory.changes(tenant, { ...hers, after: null });
    vi.setSystemTime(NOW + MINUTE_MS);
    await bustle(tenant, 1_000);
    const read = await readMeter(directoryOf(tenant));
    vi.setSystemTime(NOW + 2 * MINUTE_MS);
    const page = await directory.changes(tenant, { ...hers, after: next });
    expect(await read()).toBeLessThanOrEqual(2 * 1_000 + 2);
    await directory.changes(tenant, { ...hers, after: page.next });
    expect(await read()).toBeLessThanOrEqual(2);
  });

  it("says that it may have missed some where others have written over them", async () => {
    const tenant = "s-over";
    const { next } = await directory.changes(tenant, { ...hers, after: null });
    vi.setSystemTime(NOW + MINUTE_MS);
    await directory.report(run(tenant, "ada"));
    await bustle(tenant, 4_100);
    vi.setSystemTime(NOW + 2 * MINUTE_MS);
    const page = await directory.changes(tenant, { ...hers, after: next });
    expect(page).toMatchObject({ changes: [], gap: true });
    expect(await directory.changes(tenant, { ...hers, after: page.next })).toMatchObject({ gap: false });
  }, 30_000);
});
