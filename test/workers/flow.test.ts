/** Queues of workflows in workerd: real runs, their real queue, deaths of both at random, what it costs, and what is shown of it. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { objectName, randomId } from "../../src/platform/index.ts";
import type { RunView, StartRequest } from "../../src/run/index.ts";
import type { FlowRpc } from "../../src/triggers/index.ts";
import { Random } from "../sim/random.ts";
import { expectAnswer, expectProblem, newKey, newTenant, send } from "./api-support.ts";
import { AT_A_TIME, workOf } from "./flow-work.ts";
import { type Counts, meter } from "./meter.ts";
import { listed, start, type Started, type Stub, stubOf } from "./run-support.ts";
import { queueCalls } from "./worker.ts";

const TENANT = "queue-tests";
const RUNS = 500;
const KILLS = 100;

interface Queue {
  readonly working: number;
  readonly waiting: number;
  readonly quiet: number;
  readonly limits: unknown;
  readonly data: readonly { readonly run: string; readonly place: number | null; readonly why: string }[];
}

interface Queued {
  readonly place?: number | null;
  readonly why?: string;
  readonly retry_at?: number | null;
  readonly since: number;
  readonly limit_at: number;
}

let key: string;

beforeAll(async () => {
  key = await newTenant(TENANT);
});

function runStub(id: string): Stub {
  const named: unknown = env.RUN.getByName(objectName("run", TENANT, id));
  return named as Stub;
}

const flowStub = (name: string): DurableObjectStub => env.FLOW.getByName(objectName("flow", TENANT, name));

function queueObject(name: string): FlowRpc {
  const named: unknown = flowStub(name);
  return named as FlowRpc;
}

async function started(workflow: string, input: unknown = {}): Promise<string> {
  const answer = await send("POST", "/v1/runs", { key, body: { workflow, input } });
  return (await expectAnswer<RunView>(answer, "startRun", 202)).id;
}

async function look(id: string): Promise<RunView> {
  return expectAnswer<RunView>(await send("GET", `/v1/runs/${id}`, { key }), "getRun", 200);
}

async function queueOf(name: string): Promise<Queue> {
  const answer = await send("GET", `/v1/workflows/${name}/queue`, { key });
  return expectAnswer<Queue>(answer, "getQueue", 200);
}

async function until(done: () => Promise<boolean> | boolean): Promise<void> {
  await vi.waitUntil(done, { timeout: 25_000, interval: 5 });
}

const ended = async (id: string, stub = runStub(id)): Promise<RunView> => {
  const seen = await stub.view({ tenant: stub.name?.split(":")[1] ?? TENANT }, { waitMs: 20_000 });
  if (!seen.ok) throw new Error(seen.code);
  return seen.value;
};

const statusOf = async (id: string): Promise<string> => (await look(id)).status;
const standing = async (id: string): Promise<Queued | undefined> => (await look(id)).queued;
const settled = async (name: string): Promise<boolean> => {
  const { working, waiting } = await queueOf(name);
  return working + waiting === 0;
};

/** As a machine dies: what is on its way is lost, what was written stays. */
async function kill(stub: DurableObjectStub): Promise<void> {
  await runInDurableObject(stub, (_object, state) => {
    state.abort("killed by a test");
  }).catch(() => {});
}

describe("what a limit costs", () => {
  it("is 2 rows of the queue and 2 requests for a run that may work at once, 4 rows and 3 requests for one that waits", async () => {
    const work = workOf("t-metered");
    // The tables, once for each workflow.
    const queue = await meter(flowStub("t-metered"));
    expect((await ended(await started("t-metered"))).status).toBe("succeeded");
    await until(() => settled("t-metered"));
    const made = { ...queue };
    expect(made).toMatchObject({ schemaRows: 5, rows: 5 + 1 + 2 + 1, alarmRows: 1 });
    for (const one of ["enqueue", "release", "admitted"] as const) queueCalls[one] = 0;
    const since = () => ({
      rows: queue.rows - made.rows,
      alarmRows: queue.alarmRows - made.alarmRows,
      ...queueCalls,
    });
    expect((await ended(await started("t-metered"))).status).toBe("succeeded");
    await until(() => settled("t-metered"));
    expect(since()).toEqual({ rows: 2, alarmRows: 0, enqueue: 1, release: 1, admitted: 0 });
    work.isOpen = false;
    const holder = await started("t-metered");
    await until(() => work.inside.has(holder));
    const waits = await started("t-metered");
    await until(async () => (await queueOf("t-metered")).waiting === 1);
    work.isOpen = true;
    expect((await ended(waits)).status).toBe("succeeded");
    await until(() => settled("t-metered"));
    // The alarm stands behind the call to the run that was admitted.
    expect(since()).toEqual({ rows: 2 + 2 + 4 + 1, alarmRows: 1, enqueue: 3, release: 3, admitted: 1 });
  });

  it("is, in the run itself, 1 row, whether it waits or not: the turn in which it is admitted", async () => {
    const place = { v: 1, concurrency: [{ limit: 1, key: "" }], priority: 0, maxQueued: 10 };
    const flow = { limitMs: 3_600_000, place };
    const work = workOf("t-unmetered");
    const begun = async (
      more: Partial<StartRequest>,
    ): Promise<{ readonly run: Started; readonly counts: Counts }> => {
      const id = randomId("run");
      const counts = await meter(stubOf(id));
      return { run: await start("t-unmetered", {}, { id, ...more }), counts };
    };
    const rowsOf = async ({ run, counts }: Awaited<ReturnType<typeof begun>>): Promise<number> => {
      expect((await ended(run.id, run.stub())).status).toBe("succeeded");
      await listed(run);
      return counts.rows;
    };
    const without = await rowsOf(await begun({}));
    const atOnce = await rowsOf(await begun({ flow }));
    work.isOpen = false;
    const holder = await begun({ flow });
    await until(() => work.inside.has(holder.run.id));
    const waits = await begun({ flow });
    work.isOpen = true;
    const waited = await rowsOf(waits);
    expect({ atOnce: atOnce - without, waited: waited - without }).toEqual({ atOnce: 1, waited: 1 });
  });
});

describe("a limit of 5", () => {
  it(
    "lets never more than 5 of 500 runs work, and all come to their end, while runs and the queue are killed at random",
    { timeout: 180_000 },
    async () => {
      const work = workOf("t-five");
      const random = new Random(5, "queue kills");
      const runs: string[] = [];
      let kills = 0;
      // A step whose attempts are lost again and again fails, and its run gives its slot back.
      const deaths = new Map<string, number>();
      const canDie = (id: string): boolean => (deaths.get(id) ?? 0) < 2;
      const round = async (): Promise<void> => {
        const inside = [...work.inside].filter(canDie);
        const others = runs.filter(canDie);
        const struck = new Set(
          Array.from({ length: random.int(3, 8) }, () =>
            random.chance(0.6) && inside.length > 0 ? random.pick(inside) : random.pick(others),
          ),
        );
        for (const id of struck) deaths.set(id, (deaths.get(id) ?? 0) + 1);
        const queue = random.chance(0.6) ? [flowStub("t-five")] : [];
        kills += struck.size + queue.length;
        await Promise.all([...[...struck].map(runStub), ...queue].map(kill));
        // The next life of a run begins by its alarm, which does not fire for half a minute.
        for (const id of struck) await runDurableObjectAlarm(runStub(id));
      };
      while (runs.length < RUNS) {
        runs.push(...(await Promise.all(Array.from({ length: 10 }, () => started("t-five")))));
        // Timers of the runs do not come up while starts follow each other without a break.
        await scheduler.wait(1);
        if (runs.length % 50 === 0) await round();
      }
      expect(work.most).toBe(AT_A_TIME);
      while (work.done.size < RUNS) {
        if (kills < KILLS) await round();
        // Between two rounds somebody gets on.
        const known = work.done.size;
        await until(() => work.done.size >= Math.min(RUNS, known + 10));
      }
      for (const id of runs) expect(await ended(id)).toMatchObject({ status: "succeeded" });
      expect(work.most).toBe(AT_A_TIME);
      expect(work.done.size).toBe(RUNS);
      expect(kills).toBeGreaterThan(KILLS / 2);
      // Every slot is given back.
      await until(() => settled("t-five"));
    },
  );
});

describe("a slot", () => {
  const work = workOf("t-one-each");
  beforeEach(() => {
    work.isOpen = false;
  });

  it("is had by one run of a key at a time, the urgent one first, and by others at the same time; each says its place", async () => {
    const first = await started("t-one-each", { customer: "ada", urgent: false });
    await until(() => work.inside.has(first));
    const second = await started("t-one-each", { customer: "ada", urgent: false });
    const third = await started("t-one-each", { customer: "ada", urgent: true });
    const other = await started("t-one-each", { customer: "bob", urgent: false });
    await until(() => work.inside.has(other));
    await until(async () => (await queueOf("t-one-each")).waiting === 2);
    expect(await standing(third)).toMatchObject({ place: 1, why: "concurrency", retry_at: null });
    expect(await standing(second)).toMatchObject({ place: 2, why: "concurrency" });
    expect(await standing(first)).toBeUndefined();
    const { working, limits, data } = await queueOf("t-one-each");
    expect({ working, limits, places: data.map(({ run, place }) => [run, place]) }).toEqual({
      working: 2,
      limits: { concurrency: [1], rate: null, debounce: null, queue: 10_000 },
      places: [
        [third, 1],
        [second, 2],
      ],
    });
    work.isOpen = true;
    for (const id of [first, second, third, other]) expect((await ended(id)).status).toBe("succeeded");
    const began = (id: string): number => work.begun.indexOf(id);
    expect(began(third)).toBeLessThan(began(second));
  });

  it("is given back by a run that is cancelled, at work or in the queue, and nobody else is held up by it", async () => {
    const holder = await started("t-one-each", { customer: "eve", urgent: false });
    await until(() => work.inside.has(holder));
    const gone = await started("t-one-each", { customer: "eve", urgent: false });
    const next = await started("t-one-each", { customer: "eve", urgent: false });
    await until(async () => (await queueOf("t-one-each")).waiting === 2);
    for (const id of [gone, holder])
      expect((await send("POST", `/v1/runs/${id}/cancel`, { key, body: { mode: "immediate" } })).status).toBe(
        202,
      );
    await until(() => work.inside.has(next));
    expect(await statusOf(gone)).toBe("cancelled");
    expect(work.begun).not.toContain(gone);
    work.isOpen = true;
    expect((await ended(next)).status).toBe("succeeded");
    await until(() => settled("t-one-each"));
  });

  it("of a run whose object is gone without a word is found by its lease, and given to the next", async () => {
    const holder = await started("t-one-each", { customer: "joe", urgent: false });
    await until(() => work.inside.has(holder));
    const next = await started("t-one-each", { customer: "joe", urgent: false });
    await until(async () => (await queueOf("t-one-each")).waiting === 1);
    await runInDurableObject(runStub(holder), async (_object, state) => {
      await state.storage.deleteAll();
      state.abort("killed by a test");
    }).catch(() => {});
    vi.setSystemTime(Date.now() + 61 * 60_000);
    try {
      await runDurableObjectAlarm(flowStub("t-one-each"));
      await until(() => work.inside.has(next));
    } finally {
      vi.useRealTimers();
    }
    work.isOpen = true;
    expect((await ended(next)).status).toBe("succeeded");
  });
});

describe("a queue", () => {
  it("that is full ends the run that comes too much, which says why", async () => {
    const work = workOf("t-narrow");
    work.isOpen = false;
    const holder = await started("t-narrow");
    await until(() => work.inside.has(holder));
    const waits = await started("t-narrow");
    await until(async () => (await queueOf("t-narrow")).waiting === 1);
    const tooMuch = await ended(await started("t-narrow"));
    expect(tooMuch).toMatchObject({ status: "failed", failure: { code: "queue_full" } });
    work.isOpen = true;
    expect((await ended(waits)).status).toBe("succeeded");
    expect(work.begun).not.toContain(tooMuch.id);
  });

  it("with a rate lets one go on when its period is over, and says when that is", async () => {
    expect((await ended(await started("t-rated"))).status).toBe("succeeded");
    const next = await started("t-rated");
    await until(async () => (await standing(next))?.why === "rate");
    const { since = 0, retry_at: at } = (await standing(next)) ?? {};
    expect(at).toBeGreaterThan(since + 3_500_000);
    expect(at).toBeLessThanOrEqual(since + 3_600_000);
    const alarm = await runInDurableObject(flowStub("t-rated"), (_object, { storage }) => storage.getAlarm());
    expect(alarm).toBeLessThanOrEqual(at ?? 0);
    vi.setSystemTime((at ?? 0) + 1);
    try {
      await runDurableObjectAlarm(flowStub("t-rated"));
      expect((await ended(next)).status).toBe("succeeded");
    } finally {
      vi.useRealTimers();
    }
  });

  it("whose alarm was lost has one again with the next that comes to it", async () => {
    const plan = {
      input: { type: "object", properties: { key: { type: "string" } }, required: ["key"] },
      flow: { rate: { limit: 1, per: "1h", key: "input.key" } },
      steps: { one: { action: "transform", with: { value: 1 } } },
    };
    await expectAnswer(await send("PUT", "/v1/workflows/alarmed", { key, body: plan }), "putWorkflow", 201);
    const waits = async (of: string): Promise<number> => {
      await ended(await started("alarmed", { key: of }));
      const next = await started("alarmed", { key: of });
      await until(async () => (await standing(next))?.why === "rate");
      return (await standing(next))?.retry_at ?? 0;
    };
    const alarm = () => runInDurableObject(flowStub("alarmed"), (_object, { storage }) => storage.getAlarm());
    const first = await waits("a");
    expect(await alarm()).not.toBeNull();
    await runInDurableObject(flowStub("alarmed"), async (_object, { storage }) => storage.deleteAlarm());
    vi.setSystemTime(first + 2 * 60_000);
    try {
      const second = await waits("b");
      expect(await alarm()).toBeLessThanOrEqual(second);
    } finally {
      vi.useRealTimers();
    }
  });

  it("is one for all: a child waits in it like any other run, and its parent for the child", async () => {
    const work = workOf("t-one-each");
    work.isOpen = false;
    const input = { customer: "kid", urgent: false };
    const holder = await started("t-one-each", input);
    await until(() => work.inside.has(holder));
    const steps = { child: { action: "run", with: { workflow: "t-one-each", input } } };
    const answer = await send("POST", "/v1/runs", { key, body: { plan: { steps } } });
    const parent = await expectAnswer<RunView>(answer, "startRun", 202);
    await until(async () => (await queueOf("t-one-each")).waiting === 1);
    const child = (await look(parent.id)).steps[0]?.child ?? "";
    expect(await look(child)).toMatchObject({ status: "queued", queued: { place: 1, why: "concurrency" } });
    work.isOpen = true;
    expect((await ended(parent.id)).status).toBe("succeeded");
    expect(work.done.has(child)).toBe(true);
  });

  it("of a stored plan lets the last of several runs work, and ends the others, which name it", async () => {
    const plan = {
      input: { type: "object", properties: { doc: { type: "string" } }, required: ["doc"] },
      flow: { debounce: { for: "1h", max: "2h", key: "input.doc" } },
      steps: { one: { action: "transform", with: { value: "${{ input.doc }}" } } },
    };
    await expectAnswer(await send("PUT", "/v1/workflows/rebuild", { key, body: plan }), "putWorkflow", 201);
    const ids: string[] = [];
    for (let i = 0; i < 3; i += 1) {
      ids.push(await started("rebuild", { doc: "a" }));
      await until(async () => (await standing(ids[i] ?? ""))?.why === "debounce");
    }
    const other = await started("rebuild", { doc: "b" });
    await until(async () => (await queueOf("rebuild")).quiet === 2);
    const [first = "", second = "", last = ""] = ids;
    expect(await ended(first)).toMatchObject({ status: "cancelled", failure: { code: "debounced" } });
    expect((await ended(first)).failure?.message).toContain(second);
    expect((await ended(second)).failure?.message).toContain(last);
    const { retry_at, place } = (await standing(last)) ?? {};
    expect(place).toBeNull();
    vi.setSystemTime((retry_at ?? 0) + 60_000);
    try {
      await runDurableObjectAlarm(flowStub("rebuild"));
      for (const id of [last, other]) expect((await ended(id)).status).toBe("succeeded");
    } finally {
      vi.useRealTimers();
    }
  });

  it("is of a name: a plan that comes with its start cannot have one, and what it says is checked", async () => {
    const steps = { one: { action: "transform", with: { value: 1 } } };
    const inline = { plan: { flow: { concurrency: { limit: 1 } }, steps } };
    const { errors } = await expectProblem(
      await send("POST", "/v1/runs", { key, body: inline }),
      422,
      "bad_plan",
    );
    expect(errors).toMatchObject([{ pointer: "/plan/flow", code: "flow_not_stored" }]);
    const keyed = { flow: { concurrency: { limit: 1, key: "input.a.b" } }, steps };
    await expectAnswer(await send("PUT", "/v1/workflows/keyed", { key, body: keyed }), "putWorkflow", 201);
    const body = { workflow: "keyed", input: {} };
    await expectProblem(await send("POST", "/v1/runs", { key, body }), 422, "invalid_input");
  });

  it("is the tenant's: others see their own, a key that is bound to a user none, and nobody one of a workflow that is not there", async () => {
    const stranger = await newTenant("queue-strangers");
    const seen = await send("GET", "/v1/workflows/t-five/queue", { key: stranger });
    expect(await expectAnswer(seen, "getQueue", 200)).toMatchObject({ working: 0, limits: null, data: [] });
    expect(await queueObject("t-five").view("queue-strangers", 10)).toMatchObject({ settings: null });
    const scopes = ["runs:read", "runs:write"];
    const bound = await newKey(key, { user: "ada", scopes, expires_at: Date.now() + 600_000 });
    await expectProblem(await send("GET", "/v1/workflows/t-five/queue", { key: bound }), 403, "user_wider");
    await expectProblem(await send("GET", "/v1/workflows/nobodys/queue", { key }), 404, "not_found");
  });
});
