import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { compileSteps } from "../../src/define/index.ts";
import { limits, type Graph, type Json } from "../../src/kernel/index.ts";
import { createLogger, randomId } from "../../src/platform/index.ts";
import type { StartRequest } from "../../src/run/index.ts";
import { createEndpoints } from "../../src/triggers/index.ts";
import { createVault, loadKeyring } from "../../src/vault/index.ts";
import { endpointHouse } from "./endpoint-house.ts";
import { lending } from "./lending.ts";
import { dollars, meter, type Counts } from "./meter.ts";
import { queues } from "./queue-double.ts";
import {
  directoryOf,
  ended,
  fault,
  listed,
  requestOf,
  start,
  stubOf,
  type Started,
  TENANT,
} from "./run-support.ts";

const DAY_MS = 24 * 60 * 60_000;
/** Rows per step without credentials to fetch, everything counted: alarms, schema, the start, the end. */
const ROWS_PER_STEP = 1.25;
const ROWS_PER_RETRY = 4;
/** Of a run without long waits: from the door, at its end, and its part of a sweep. */
const DIRECTORY_CALLS = 3;

/** What the directory of the tenant is billed for. */
let directory: Counts;

beforeAll(async () => {
  // The first run makes the tables of the directory, once for all, and finds out that the tenant has no endpoints.
  await forget(await start("t-chain-4"));
  directory = await meter(directoryOf(TENANT));
});

afterEach(() => {
  vi.useRealTimers();
});

/** Steps as data, one after the other, each a call of a service on loopback. */
function chain(steps: number, post?: string): Record<string, Json> {
  return Object.fromEntries(
    Array.from({ length: steps }, (_, i) => [
      `s${i}`,
      {
        action: "http",
        needs: i === 0 ? [] : [`s${i - 1}`],
        ...(post === undefined
          ? { with: { method: "GET", url: "https://api.bench.example/echo?id=rows" } }
          : {
              effect: "keyed",
              retry: { initial: "10ms" },
              with: {
                method: "POST",
                url: "https://api.skyline.example/bookings",
                auth: { bearer: "SKYLINE_TOKEN" },
                headers: { "x-reference": post },
                json: { from: "VIE", to: "LIS", date: "2026-12-01", traveller: "Ada" },
              },
            }),
      },
    ]),
  );
}

function graphOf(steps: Record<string, Json>): Graph {
  const compiled = compileSteps(steps);
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.errors));
  return {
    steps: compiled.steps,
    deadlineMs: limits.RUN_DEADLINE_MS,
    undoBudgetMs: limits.UNDO_BUDGET_MS,
    idleLimitMs: limits.IDLE_LIMIT_MS,
  };
}

/** A run of these steps under the meter; `counts` go on counting after the run has ended. */
async function run(
  steps: Record<string, Json>,
  more: Partial<StartRequest> = {},
): Promise<{ counts: Counts; started: Started }> {
  const request = requestOf("t-sleep", {}, { graph: graphOf(steps), id: randomId("run"), ...more });
  const stub = () => stubOf(request.id);
  const counts = await meter(stub());
  const answer = await stub().start(request);
  if (!answer.ok) throw new Error(answer.message);
  counts.calls += 1;
  // What the door does.
  if (answer.value.report !== undefined) await directoryOf(TENANT).report(answer.value.report);
  const started = { id: request.id, stub };
  const view = await ended(started);
  expect(view.status).toBe("succeeded");
  await listed(started);
  return { counts, started };
}

/** Lets the run delete itself, and its tombstone after it. */
async function forget(started: Started): Promise<void> {
  const { stub } = started;
  await listed(started);
  for (const days of [31, 91]) {
    vi.setSystemTime(Date.now() + days * DAY_MS);
    await runDurableObjectAlarm(stub());
  }
  await runInDurableObject(stub(), (_object, { storage }) => {
    expect([...storage.kv.list()]).toEqual([]);
  });
  // And lets the directory drop it.
  await directoryOf(TENANT).sweep(TENANT, 1);
  vi.useRealTimers();
}

describe("what a run writes", () => {
  it("is at most 1.25 rows a step for 100 steps, from the start until nothing is left of the run, its place in the list included", async () => {
    const { counts, started } = await run(chain(100));
    expect(counts).toMatchObject({ rows: 108, calls: 1, alarms: 0 });
    await forget(started);
    expect(counts).toMatchObject({ rows: 112, calls: 1, alarms: 2 });
    expect(counts.rows + directory.rows).toBeLessThanOrEqual(100 * ROWS_PER_STEP);
  });

  it("costs at most 2 dollars per million such steps, if each keeps its object active for 0.3 s", async () => {
    const before = directory.rows;
    const { counts, started } = await run(chain(100));
    await forget(started);
    const listing = { ...counts, rows: directory.rows - before, calls: DIRECTORY_CALLS, alarms: 0 };
    expect((dollars(counts, 100 * 0.3) + dollars(listing, 0.01)) * 1e4).toBeLessThanOrEqual(2);
  });

  it("is 12 rows for 4 steps at the end, and 16 when nothing is left", async () => {
    const { counts, started } = await run(chain(4));
    // The start: 2 for the table, its version, the run's name, its first turn, its alarm. A turn for the end of each step.
    // The alarm until the directory has taken the end, and that of the retention.
    expect(counts).toMatchObject({ rows: 6 + 4 + 2, schemaRows: 3, alarmRows: 3, calls: 1, alarms: 0 });
    await forget(started);
    expect(counts).toMatchObject({ rows: 12 + 4, alarmRows: 4, alarms: 2 });
  });

  it("is one row more for each step whose credential is fetched: its start is a turn of its own", async () => {
    const { counts, started } = await run(chain(4), { tags: ["lent"] });
    expect(counts).toMatchObject({ rows: 12 + 4, schemaRows: 3, alarmRows: 3, calls: 1, alarms: 0 });
    await forget(started);
  });

  it("is 2 rows more for all uses of credentials that are told together, however many", async () => {
    const lent = async (steps: number) => {
      const id = randomId("run");
      for (let i = 0; i < steps; i++)
        lending.says(id, `s${i}`, {
          kind: "ready",
          lease: "lent",
          about: [{ connection: "conn_rows", version: 1 }],
        });
      return run(chain(steps), { id, tags: ["lent"] });
    };
    const [few, many] = [await lent(4), await lent(40)];
    expect(few.counts).toMatchObject({ rows: 16 + 2, schemaRows: 3, alarmRows: 3, alarms: 0 });
    expect(many.counts).toMatchObject({ rows: 8 + 2 * 40 + 2, schemaRows: 3, alarmRows: 3, alarms: 0 });
    await forget(few.started);
  });

  it("is at most 4 rows more for a retry", async () => {
    const calm = await run(chain(1, randomId("run")));
    const reference = randomId("run");
    await fault(reference, { fault: { kind: "status", status: 503 } });
    const retried = await run(chain(1, reference));
    expect(retried.counts.rows - calm.counts.rows).toBe(2);
    expect(retried.counts.rows - calm.counts.rows).toBeLessThanOrEqual(ROWS_PER_RETRY);
    expect(retried.counts).toMatchObject({ calls: 1, alarms: 0 });
  });

  it("is one row more where the run waits in a queue and is admitted soon, and as many calls: only it is told", async () => {
    const calm = await run(chain(4));
    const id = randomId("run");
    queues.holds(id, "admitted");
    const flow = { limitMs: DAY_MS, place: { v: 1 } };
    const queued = await run(chain(4), { id, flow });
    expect(queues.told(id)).toEqual(["waits 1", "over 1"]);
    expect(queued.counts).toMatchObject({
      rows: calm.counts.rows + 1,
      schemaRows: 3,
      alarmRows: 3,
      calls: 1,
    });
    await forget(queued.started);
  });

  it("is 3 rows more where it waits for longer than half a minute: the alarm is set twice more, too", async () => {
    const calm = await run(chain(4));
    const request = {
      ...requestOf("t-sleep", {}),
      id: randomId("run"),
      flow: { limitMs: DAY_MS, place: null },
    };
    queues.holds(request.id, "waits");
    const counts = await meter(stubOf(request.id));
    await stubOf(request.id).start({ ...request, graph: graphOf(chain(4)) });
    await vi.waitUntil(() => queues.told(request.id).length > 0, { timeout: 5_000, interval: 10 });
    vi.setSystemTime(Date.now() + 30_000);
    await runDurableObjectAlarm(stubOf(request.id));
    await vi.waitUntil(() => queues.told(request.id).length > 1, { timeout: 5_000, interval: 10 });
    await stubOf(request.id).admitted(TENANT, { generation: 1 });
    const started = { id: request.id, stub: () => stubOf(request.id) };
    await listed(started);
    expect(counts.rows - calm.counts.rows).toBe(3);
  });

  it("is 2 rows more for each message to a listener, and 3 for the first: its table; the alarm behind it stands already", async () => {
    const calm = await run(chain(1));
    const heard = await run(chain(1), { tags: ["heard"] });
    // The messages of the start and of the end.
    expect(heard.counts.rows - calm.counts.rows).toBe(2 * 2 + 3);
  });
});

describe("what an endpoint costs a run", () => {
  const draft = { url: "https://rows.example/", types: ["run.ended" as const], description: "" };
  const asking = { tenant: TENANT, maker: { actor: "key:key_1", policies: [] } };
  const deps = {
    ...{ db: env.DB, ownHosts: [], audit: { write: async () => {} }, log: createLogger("error") },
    ...{ refusal: async () => null, makerStands: async () => true, now: () => Date.now() },
    vault: () => createVault(loadKeyring(env.KEYRING)),
    changed: () => {},
  };

  it("is nothing where the tenant has none; with one it is at most 5 rows for the end: the message, and the table for it", async () => {
    const calm = await run(chain(1));
    expect(calm.counts.rows).toBe(9);
    const made = await createEndpoints(deps).create(asking, draft, "hmac");
    if (!made.ok) throw new Error(made.error.code);
    let told = 0;
    endpointHouse.change = (ports) => ({
      ...ports,
      load: async (tenant, id) => {
        const setting = await ports.load(tenant, id);
        return setting === null ? null : { ...setting, stands: true };
      },
      post: async () => {
        told += 1;
        return { kind: "tried", status: 204, retryAfterMs: null, code: null };
      },
    });
    // In a minute the isolate asks again whether there is one.
    vi.setSystemTime(Date.now() + 61_000);
    const heard = await run(chain(1));
    await vi.waitUntil(() => told === 1, { timeout: 5_000, interval: 10 });
    const left = await runInDurableObject(heard.started.stub(), (_, { storage }) =>
      storage.sql.exec("SELECT id FROM outbox").toArray(),
    );
    expect(left).toEqual([]);
    // One less where the alarm of the end stands before the message is gone.
    expect(heard.counts.rows - calm.counts.rows).toBeGreaterThan(3);
    expect(heard.counts.rows - calm.counts.rows).toBeLessThanOrEqual(2 + 3);
    endpointHouse.change = null;
    await createEndpoints(deps).remove(asking, made.value.endpoint.id);
  });
});

describe("what the directory writes for a run", () => {
  it("is 8 rows from its start until it leaves the list, and 2 more for each tag", async () => {
    // What earlier tests left in the list goes first.
    await forget((await run(chain(1))).started);
    const before = directory.rows;
    const { started } = await run(chain(4));
    // At the start: the run, its place in the indexes of workflow, status and lease, and the change for the feed. At the
    // end: the run, and the change. What an index loses is not counted.
    expect(directory.rows - before).toBe(5 + 2);
    await forget(started);
    expect(directory.rows - before).toBe(5 + 2 + 1);
    const tagged = await run(chain(4), { tags: ["a", "b"] });
    await forget(tagged.started);
    expect(directory.rows - before).toBe(8 + 8 + 2 * 2);
  });
});
