import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import { compileSteps } from "../../src/define/index.ts";
import { limits, type Json } from "../../src/kernel/index.ts";
import { randomId } from "../../src/platform/index.ts";
import { dollars, meter, type Counts } from "./meter.ts";
import { ended, fault, requestOf, stubOf, type Started } from "./run-support.ts";

const DAY_MS = 24 * 60 * 60_000;
/** Rows per step without credentials to fetch, everything counted: alarms, schema, the start, the end. */
const ROWS_PER_STEP = 1.25;
const ROWS_PER_RETRY = 4;

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

/** A run of these steps under the meter; `counts` go on counting after the run has ended. */
async function run(
  steps: Record<string, Json>,
  more: { id?: string; tags?: string[] } = {},
): Promise<{ counts: Counts; started: Started }> {
  const compiled = compileSteps(steps);
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.errors));
  const graph = {
    steps: compiled.steps,
    deadlineMs: limits.RUN_DEADLINE_MS,
    undoBudgetMs: limits.UNDO_BUDGET_MS,
    idleLimitMs: limits.IDLE_LIMIT_MS,
  };
  const request = requestOf("t-sleep", {}, { graph, id: randomId("run"), ...more });
  const stub = () => stubOf(request.id);
  const counts = await meter(stub());
  const answer = await stub().start(request);
  if (!answer.ok) throw new Error(answer.message);
  counts.calls += 1;
  const started = { id: request.id, stub };
  const view = await ended(started);
  expect(view.status).toBe("succeeded");
  return { counts, started };
}

/** Lets the run delete itself, and its tombstone after it. */
async function forget({ stub }: Started): Promise<void> {
  for (const days of [31, 91]) {
    vi.setSystemTime(Date.now() + days * DAY_MS);
    await runDurableObjectAlarm(stub());
  }
  await runInDurableObject(stub(), (_object, { storage }) => {
    expect([...storage.kv.list()]).toEqual([]);
  });
}

describe("what a run writes", () => {
  it("is at most 1.25 rows a step for 100 steps, from the start until nothing is left of the run", async () => {
    const { counts, started } = await run(chain(100));
    expect(counts).toMatchObject({ rows: 107, calls: 1, alarms: 0 });
    await forget(started);
    expect(counts).toMatchObject({ rows: 111, calls: 1, alarms: 2 });
    expect(counts.rows).toBeLessThanOrEqual(100 * ROWS_PER_STEP);
  });

  it("costs at most 2 dollars per million such steps, if each keeps its object active for 0.3 s", async () => {
    const { counts, started } = await run(chain(100));
    await forget(started);
    expect(dollars(counts, 100 * 0.3) * 1e4).toBeLessThanOrEqual(2);
  });

  it("is 11 rows for 4 steps at the end, and 15 when nothing is left", async () => {
    const { counts, started } = await run(chain(4));
    // The start: 2 for the table, its version, the run's name, its first turn, its alarm. A turn for the end of each step.
    // The alarm of the retention.
    expect(counts).toMatchObject({ rows: 6 + 4 + 1, schemaRows: 3, alarmRows: 2, calls: 1, alarms: 0 });
    await forget(started);
    expect(counts).toMatchObject({ rows: 11 + 4, alarmRows: 3, alarms: 2 });
  });

  it("is at most 4 rows more for a retry", async () => {
    const calm = await run(chain(1, randomId("run")));
    const reference = randomId("run");
    await fault(reference, { fault: { kind: "status", status: 503 } });
    const retried = await run(chain(1, reference));
    expect(retried.counts.rows - calm.counts.rows).toBe(3);
    expect(retried.counts.rows - calm.counts.rows).toBeLessThanOrEqual(ROWS_PER_RETRY);
    expect(retried.counts).toMatchObject({ calls: 1, alarms: 0 });
  });

  it("is 2 rows more for each message to a listener, and 4 for the first: its table, and the alarm behind it", async () => {
    const calm = await run(chain(1));
    const heard = await run(chain(1), { tags: ["heard"] });
    // The messages of the start and of the end.
    expect(heard.counts.rows - calm.counts.rows).toBe(2 * 2 + 4);
  });
});
