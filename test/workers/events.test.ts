/** Events with the real objects: what they start and resume, copies side by side, deaths, a database that is away, whose they are. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { objectName } from "../../src/platform/index.ts";
import type { RunView } from "../../src/run/index.ts";
import { MAX_SHAPES } from "../../src/triggers/events/event-rules.ts";
import type { EventView } from "../../src/triggers/index.ts";
import { expectAnswer, expectProblem, newKey, newTenant, send } from "./api-support.ts";
import { eventHouses } from "./event-house.ts";
import { type Counts, meter } from "./meter.ts";

const TENANT = "event-tests";
const usual = eventHouses.change;
let admin: string;
let other: string;

beforeAll(async () => {
  admin = await newTenant(TENANT);
  other = await newTenant("event-strangers");
});
afterEach(() => {
  eventHouses.change = usual;
});

interface Posted {
  readonly id: string;
  readonly duplicate: boolean;
}

async function post(name: string, body: Readonly<Record<string, unknown>>, key = admin): Promise<Posted> {
  const sent = await send("POST", "/v1/events", { key, body: { name, ...body } });
  return expectAnswer<Posted>(sent, "postEvent", 202);
}

function objectOf(event: string, tenant = TENANT): DurableObjectStub {
  return env.EVENTS.getByName(objectName("events", tenant, event));
}

async function look(name: string, id: string, key = admin): Promise<EventView> {
  return expectAnswer<EventView>(await send("GET", `/v1/events/${name}/${id}`, { key }), "getEvent", 200);
}

/** What became of an event, once nothing of it is under way. The alarm is run by hand: what it does is what it would do later. */
async function outcome(name: string, id: string, key = admin, tenant = TENANT): Promise<EventView> {
  for (let looks = 0; looks < 20; looks += 1) {
    await runDurableObjectAlarm(objectOf(name, tenant));
    const view = await look(name, id, key);
    if (view.status === "done") return view;
  }
  throw new Error("it is not done");
}

async function store(name: string, plan: Readonly<Record<string, unknown>>, key = admin): Promise<void> {
  const stored = await send("PUT", `/v1/workflows/${name}`, { key, body: plan });
  expect(`${stored.status} ${await stored.text()}`).toContain("201 {");
}

async function start(body: Readonly<Record<string, unknown>>, key = admin): Promise<string> {
  const answer = await send("POST", "/v1/runs", { key, body });
  return (await expectAnswer<RunView>(answer, "startRun", 202)).id;
}

async function seen(run: string, key = admin): Promise<RunView> {
  return expectAnswer<RunView>(await send("GET", `/v1/runs/${run}`, { key }), "getRun", 200);
}

async function ended(run: string, key = admin): Promise<RunView> {
  const headers = { prefer: "wait=20" };
  return expectAnswer<RunView>(await send("GET", `/v1/runs/${run}`, { key, headers }), "getRun", 200);
}

/** Waits until the events object knows of it. */
async function waits(event: string, run: string): Promise<void> {
  for (let looks = 0; looks < 200; looks += 1) {
    const known = await runInDurableObject(objectOf(event), (_, { storage }) => {
      const tables = storage.sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'waiting'").toArray();
      return (
        tables.length > 0 && storage.sql.exec("SELECT 1 FROM waiting WHERE run = ?", run).toArray().length > 0
      );
    });
    if (known) return;
    await (await send("GET", `/v1/runs/${run}/events?wait=1&after=100`, { key: admin })).text();
  }
  throw new Error("it does not wait");
}

const answers = (value: unknown) => ({ steps: { say: { action: "transform", with: { value } } } });
const waitsFor = (event: string, more: Readonly<Record<string, unknown>> = {}) => ({
  plan: {
    steps: { heard: { action: "wait", with: { event, timeout: "1h", ...more } } },
    output: "${{ steps.heard.output }}",
  },
});

describe("an event", () => {
  test("starts each workflow that subscribes and wants it, and the run goes on with the next event that is its own", async () => {
    await store("event-greeter", {
      input: { type: "object", properties: { who: { type: "string" } }, required: ["who"] },
      on: [{ event: "order.placed", input: { who: "${{ event.data.customer }} by ${{ event.name }}" } }],
      ...answers("${{ input.who }}"),
      output: "${{ steps.say.output }}",
    });
    await store("event-misfit", {
      input: { type: "object", properties: { who: { type: "string" } }, required: ["who"] },
      on: [{ event: "order.placed" }],
      ...answers(1),
    });
    await store("event-picky", {
      on: [{ event: "order.placed", filter: "event.data.total > 1000" }],
      ...answers(1),
    });
    const { id } = await post("order.placed", {
      data: { order: "o-1", total: 5, customer: "Ada" },
      tags: ["shop"],
    });
    const view = await outcome("order.placed", id);
    expect(view.runs.map(({ workflow }) => workflow)).toEqual(["t-on-event", "event-greeter"]);
    expect(view.refused).toMatchObject([{ workflow: "event-misfit", code: "invalid_input" }]);
    expect(view.filtered).toEqual(["event-picky"]);
    const [paid = "", greeter = ""] = view.runs.map(({ run }) => run);
    expect(await ended(greeter)).toMatchObject({
      ...{ status: "succeeded", output: { value: "Ada by order.placed" } },
      ...{ started_by: "event:order.placed", tags: ["shop"], version: "1" },
    });
    await waits("order.paid", paid);
    await post("order.paid", { id: "other", data: { order: "o-2" } });
    expect(await outcome("order.paid", "other")).toMatchObject({ resumed: [], runs: [] });
    await post("order.paid", { id: "own", data: { order: "o-1", sum: 5 } });
    expect(await outcome("order.paid", "own")).toMatchObject({ resumed: [{ run: paid, step: "paid" }] });
    expect(await ended(paid)).toMatchObject({
      status: "succeeded",
      output: { value: { order: "o-1", sum: 5 } },
    });
  });

  test("posted many times side by side is one: one run, and one answer that is no copy", async () => {
    await store("event-once", { on: [{ event: "copies" }], ...answers(1) });
    const body = { id: "c-1", data: { n: 1 } };
    const posted = await Promise.all(Array.from({ length: 20 }, async () => post("copies", body)));
    expect(posted.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
    const { runs } = await outcome("copies", "c-1");
    expect(runs).toHaveLength(1);
    const listed = await send("GET", "/v1/runs?workflow=event-once", { key: admin });
    expect((await expectAnswer<{ data: unknown[] }>(listed, "listRuns", 200)).data).toHaveLength(1);
    const changed = await send("POST", "/v1/events", {
      key: admin,
      body: { name: "copies", id: "c-1", data: { n: 2 } },
    });
    expect(await expectProblem(changed, 422, "idempotency_mismatch")).toMatchObject({
      errors: [{ pointer: "/id" }],
    });
  });

  test("starts what the newest version says, and nothing once that says nothing", async () => {
    await store("event-moves", { on: [{ event: "moves.a" }], ...answers(1) });
    await store("event-moves", { on: [{ event: "moves.b" }], ...answers(2) });
    await post("moves.a", { id: "1" });
    await post("moves.b", { id: "1" });
    expect((await outcome("moves.a", "1")).runs).toEqual([]);
    const { runs } = await outcome("moves.b", "1");
    expect(runs).toMatchObject([{ workflow: "event-moves" }]);
    expect((await ended(runs[0]?.run ?? "")).version).toBe("2");
    await store("event-moves", answers(3));
    await post("moves.b", { id: "2" });
    expect((await outcome("moves.b", "2")).runs).toEqual([]);
  });
});

describe("a step that waits for an event", () => {
  test("takes one that fits its schema, and waits on past one that does not", async () => {
    const schema = { type: "object", properties: { ok: { type: "boolean" } }, required: ["ok"] };
    const run = await start(waitsFor("fits", { schema }));
    await waits("fits", run);
    await post("fits", { id: "1", data: { ok: "perhaps" } });
    expect(await outcome("fits", "1")).toMatchObject({
      resumed: [],
      refused: [{ run, step: "heard", code: "invalid_payload" }],
    });
    await post("fits", { id: "2", data: { ok: true } });
    await outcome("fits", "2");
    expect(await ended(run)).toMatchObject({ status: "succeeded", output: { value: { ok: true } } });
  });

  test("is sent it by nobody but an event, and its wait is forgotten when the run is cancelled", async () => {
    const run = await start(waitsFor("cancelled.one"));
    await waits("cancelled.one", run);
    for (const [name, status, code] of [
      ["event:heard", 400, "invalid_request"],
      ["cancelled.one", 400, "invalid_request"],
      ["heard", 409, "signal_not_expected"],
    ] as const)
      await expectProblem(
        await send("POST", `/v1/runs/${run}/signals/${encodeURIComponent(name)}`, {
          key: admin,
          body: { id: "1", payload: {} },
        }),
        status,
        code,
      );
    expect(await seen(run)).toMatchObject({
      status: "waiting",
      steps: [{ waits_for_event: "cancelled.one" }],
    });
    const told = await send("GET", `/v1/runs/${run}/explain`, { key: admin });
    const { reasons } = (await told.json()) as { reasons: unknown[] };
    expect(reasons).toMatchObject([
      { code: "signal", remedies: [{ path: "/v1/events", body: { name: "cancelled.one" } }] },
    ]);
    await send("POST", `/v1/runs/${run}/cancel`, { key: admin, body: { mode: "immediate" } });
    expect((await ended(run)).status).toBe("cancelled");
    await post("cancelled.one", { id: "late" });
    expect(await outcome("cancelled.one", "late")).toMatchObject({ resumed: [], refused: [] });
    await runInDurableObject(objectOf("cancelled.one"), (_, { storage }) => {
      expect(storage.sql.exec("SELECT count(*) AS n FROM waiting").one()["n"]).toBe(0);
    });
  });

  test("that says so late hears what came since it began to wait", async () => {
    // Nobody can wait any more: what is told of a wait is refused until there is room.
    const full = (waiting: boolean) =>
      runInDurableObject(objectOf("late"), (_, { storage }) => {
        if (waiting)
          for (let n = 0; n < MAX_SHAPES; n += 1)
            storage.sql.exec(
              "INSERT INTO waiting (run, step, since, until, fields, digest) VALUES (?, 's', 0, ?, ?, '')",
              ...[`r${n}`, Date.now() + 3_600_000, JSON.stringify([`f${n}`])],
            );
        else storage.sql.exec("DELETE FROM waiting WHERE run LIKE 'r_' OR run LIKE 'r__' OR run LIKE 'r___'");
      });
    await post("late", { id: "first", data: { order: "o-1" } });
    await full(true);
    const run = await start(waitsFor("late", { where: { order: "o-1" } }));
    await post("late", { id: "own", data: { order: "o-1", n: 2 } });
    expect(await outcome("late", "own")).toMatchObject({ resumed: [] });
    expect((await seen(run)).status).toBe("waiting");
    await full(false);
    const stub = env.RUN.getByName(objectName("run", TENANT, run));
    for (let tries = 0; tries < 10 && (await seen(run)).status === "waiting"; tries += 1) {
      await runInDurableObject(stub, (_, { storage }) => {
        // Time passes: what was refused is told again.
        storage.sql.exec("UPDATE outbox SET due = 0");
      });
      // Another life: what the outbox holds is read anew.
      await evictDurableObject(stub);
      await runDurableObjectAlarm(stub);
      await outcome("late", "own");
    }
    expect(await ended(run)).toMatchObject({ status: "succeeded", output: { value: { n: 2 } } });
    expect(await look("late", "first")).toMatchObject({ resumed: [] });
  });

  test("hears in a run that hears twice one event after the other, never the same one again", async () => {
    const run = await start({
      plan: {
        steps: {
          first: { action: "wait", with: { event: "twice" } },
          second: { action: "wait", with: { event: "twice" }, needs: ["first"] },
        },
        output: ["${{ steps.first.output }}", "${{ steps.second.output }}"],
      },
    });
    await waits("twice", run);
    await post("twice", { id: "a", data: 1 });
    await outcome("twice", "a");
    await waits("twice", run);
    await runDurableObjectAlarm(objectOf("twice"));
    expect((await look("twice", "a")).resumed).toEqual([{ run, step: "first" }]);
    await post("twice", { id: "b", data: 2 });
    await outcome("twice", "b");
    expect(await ended(run)).toMatchObject({ status: "succeeded", output: { value: [1, 2] } });
  });
});

describe("nothing is lost, and nothing done twice", () => {
  test("when the object dies in each of its calls, and when the answers of others are lost", async () => {
    await store("event-dies", { on: [{ event: "dies" }], ...answers(1) });
    const run = await start(waitsFor("dies"));
    await waits("dies", run);
    const left = new Set(
      ["subscribers", "start", "hear"].flatMap((call) =>
        ["lost before", "lost after", "dies before", "dies after"].map((fate) => `${call} ${fate}`),
      ),
    );
    eventHouses.change = (ports, die) => {
      const deadly = async <T>(what: string, call: () => Promise<T>): Promise<T> => {
        const [fate] = left;
        const own =
          fate !== undefined && fate.startsWith(what) ? fate : [...left].find((one) => one.startsWith(what));
        if (own === undefined) return call();
        left.delete(own);
        const answer = own.endsWith("after") ? await call() : null;
        if (own.includes("dies")) return die();
        throw new Error(`${own} ${JSON.stringify(answer)}`);
      };
      return {
        ...ports,
        subscribers: async (...args) => deadly("subscribers", async () => ports.subscribers(...args)),
        start: async (...args) => deadly("start", async () => ports.start(...args)),
        hear: async (...args) => deadly("hear", async () => ports.hear(...args)),
      };
    };
    await post("dies", { id: "1", data: { n: 1 } });
    for (let alarms = 0; alarms < 60; alarms += 1) {
      await runInDurableObject(objectOf("dies"), (_, { storage }) => {
        // Time passes: what waits for its next try is due.
        storage.sql.exec("UPDATE tasks SET due = 0 WHERE due IS NOT NULL");
        storage.sql.exec("UPDATE events SET plan_due = 0 WHERE plan_due IS NOT NULL");
        void storage.setAlarm(Date.now() + 3_600_000);
      });
      // A life that ends takes its alarm's answer with it.
      await runDurableObjectAlarm(objectOf("dies")).catch(() => {});
      if ((await look("dies", "1")).status === "done") break;
    }
    expect([...left]).toEqual([]);
    const view = await look("dies", "1");
    expect(view).toMatchObject({ status: "done", refused: [], resumed: [{ run, step: "heard" }] });
    expect(view.runs).toHaveLength(1);
    const listed = await send("GET", "/v1/runs?workflow=event-dies", { key: admin });
    expect((await expectAnswer<{ data: unknown[] }>(listed, "listRuns", 200)).data).toHaveLength(1);
    expect(await ended(run)).toMatchObject({ status: "succeeded", output: { value: { n: 1 } } });
  });

  test("while the database is away an event is taken, resumes what waits, and starts its workflows afterwards", async () => {
    await store("event-patient", { on: [{ event: "away" }], ...answers(1) });
    const run = await start(waitsFor("away"));
    await waits("away", run);
    eventHouses.change = (ports) => ({
      ...ports,
      subscribers: async () => {
        throw new Error("D1_ERROR: the database is away");
      },
    });
    await post("away", { id: "1", data: 7 });
    await runDurableObjectAlarm(objectOf("away"));
    expect(await look("away", "1")).toMatchObject({ status: "dispatching", resumed: [{ run }], runs: [] });
    eventHouses.change = usual;
    await runInDurableObject(objectOf("away"), (_, { storage }) => {
      storage.sql.exec("UPDATE events SET plan_due = 0");
    });
    expect((await outcome("away", "1")).runs).toMatchObject([{ workflow: "event-patient" }]);
  });
});

describe("what events cost", () => {
  test("rows: of an event that nobody wants, of each run that it starts, of each step that waits and goes on", async () => {
    for (const n of [1, 2, 3]) await store(`event-cost-${n}`, { on: [{ event: "cost" }], ...answers(1) });
    const counts = await meter(objectOf("cost"));
    await post("cost.nothing", { id: "warm" });
    await outcome("cost.nothing", "warm");
    const nothing = await meter(objectOf("cost.nothing"));
    const of = async (counted: Counts, work: () => Promise<void>): Promise<number> => {
      const before = counted.rows - counted.schemaRows;
      await work();
      return counted.rows - counted.schemaRows - before;
    };
    const alone = await of(nothing, async () => {
      await post("cost.nothing", { id: "1" });
      await outcome("cost.nothing", "1");
    });
    const three = await of(counts, async () => {
      await post("cost", { id: "1" });
      await outcome("cost", "1");
    });
    const runs = [await start(waitsFor("cost.nothing")), await start(waitsFor("cost.nothing"))];
    for (const run of runs) await waits("cost.nothing", run);
    const resumed = await of(nothing, async () => {
      await post("cost.nothing", { id: "2" });
      await outcome("cost.nothing", "2");
    });
    expect(alone).toBeLessThanOrEqual(8);
    expect((three - alone) / 3).toBeLessThanOrEqual(6);
    expect((resumed - alone) / 2).toBeLessThanOrEqual(7);
  });

  test("a run that waits for no event says nothing to anybody", async () => {
    const run = await start({ plan: { steps: { go: { action: "wait", with: { signal: "go" } } } } });
    await runInDurableObject(env.RUN.getByName(objectName("run", TENANT, run)), (_, { storage }) => {
      expect(storage.sql.exec("SELECT name FROM sqlite_master WHERE name = 'outbox'").toArray()).toEqual([]);
    });
  });
});

describe("whose an event is", () => {
  test("another tenant's of the same name and id starts and resumes nothing here, and is not seen", async () => {
    await store("event-own", { on: [{ event: "shared.name" }], ...answers(1) });
    const run = await start(waitsFor("shared.name"));
    await waits("shared.name", run);
    await post("shared.name", { id: "1", data: { whose: "theirs" } }, other);
    expect(await outcome("shared.name", "1", other, "event-strangers")).toMatchObject({
      runs: [],
      resumed: [],
    });
    await expectProblem(await send("GET", "/v1/events/shared.name/1", { key: admin }), 404, "not_found");
    const { duplicate } = await post("shared.name", { id: "1", data: { whose: "ours" } });
    expect(duplicate).toBe(false);
    expect(await outcome("shared.name", "1")).toMatchObject({
      resumed: [{ run }],
      runs: [{ workflow: "event-own" }],
    });
    expect(await ended(run)).toMatchObject({ output: { value: { whose: "ours" } } });
  });

  test("that of a key bound to a user acts for that user, and reaches no other user's runs", async () => {
    await store("event-bound", { on: [{ event: "bound" }], ...answers(1), output: "${{ run.user }}" });
    const soon = Date.now() + 1_800_000;
    const ada = await newKey(admin, { user: "ada", scopes: ["runs:read", "runs:write"], expires_at: soon });
    const bob = await newKey(admin, { user: "bob", scopes: ["runs:read", "runs:write"], expires_at: soon });
    const [adas, bobs, nobodys] = [
      await start(waitsFor("bound"), ada),
      await start(waitsFor("bound"), bob),
      await start(waitsFor("bound")),
    ];
    for (const run of [adas, bobs, nobodys]) await waits("bound", run);
    await expectProblem(
      await send("POST", "/v1/events", { key: ada, body: { name: "bound", user: "bob" } }),
      403,
      "user_wider",
    );
    await post("bound", { id: "1", data: {} }, ada);
    const view = await outcome("bound", "1", ada);
    expect(view).toMatchObject({ user: "ada", resumed: [{ run: adas }] });
    expect(await ended(view.runs[0]?.run ?? "")).toMatchObject({
      user: "ada",
      output: { value: "ada" },
    });
    expect((await seen(bobs, bob)).status).toBe("waiting");
    expect((await seen(nobodys)).status).toBe("waiting");
    for (const path of ["/v1/events/bound/1", "/v1/events/bound/1?user=ada"])
      await expectProblem(await send("GET", path, { key: bob }), 404, "not_found");
    expect(
      await expectAnswer(await send("GET", "/v1/events/bound", { key: bob }), "listRecentEvents", 200),
    ).toEqual({
      data: [],
    });
    expect(
      await expectAnswer(await send("GET", "/v1/events/bound/1?user=ada", { key: admin }), "getEvent", 200),
    ).toMatchObject({ id: "1", user: "ada" });
    // Nobody's id is taken by a user's.
    expect((await post("bound", { id: "1", data: { all: true } })).duplicate).toBe(false);
    expect((await outcome("bound", "1")).resumed).toHaveLength(2);
  });

  test("one with a policy that does not allow the workflow is refused, and so is a key without the scope", async () => {
    // Who stores what subscribes gets no further by it than in person.
    const writer = await newKey(admin, { scopes: ["workflows:write"] });
    const sly = { on: [{ event: "sly" }], steps: { one: { action: "transform", with: { value: 1 } } } };
    await expectProblem(
      await send("PUT", "/v1/workflows/event-sly", { key: writer, body: sly }),
      403,
      "insufficient_scope",
    );
    const bound = await newKey(admin, { policy: { hosts: [{ host: "allowed.example" }] } });
    const step = { action: "http", with: { method: "GET", url: "https://other.example/" } };
    await store("event-sly", { on: [{ event: "sly" }], steps: { one: step } }, bound);
    await post("sly", { id: "1" });
    expect(await outcome("sly", "1")).toMatchObject({
      runs: [],
      refused: [{ workflow: "event-sly", code: "policy_denied" }],
    });
    await store("event-denied", { on: [{ event: "denied" }], ...answers(1) });
    const narrow = await newKey(admin, { policy: { workflows: ["nothing"] } });
    await post("denied", { id: "1" }, narrow);
    expect(await outcome("denied", "1")).toMatchObject({
      runs: [],
      refused: [{ workflow: "event-denied", code: "policy_denied" }],
    });
    const reader = await newKey(admin, { scopes: ["runs:read"] });
    await expectProblem(
      await send("POST", "/v1/events", { key: reader, body: { name: "denied" } }),
      403,
      "insufficient_scope",
    );
  });
});

describe("what is refused", () => {
  test.each([
    [{ name: "Not A Name" }, "/name"],
    [{ name: "ok", id: "with space" }, "/id"],
    [{ name: "ok", data: "x".repeat(262_144) }, "/data"],
    [{ name: "ok", more: 1 }, "/more"],
  ])("%o", async (body, pointer) => {
    const refused = await expectProblem(
      await send("POST", "/v1/events", { key: admin, body }),
      400,
      "invalid_request",
    );
    expect(refused.errors).toMatchObject([{ pointer }]);
  });

  test("of a plan: subscriptions that cannot be, each with its place", async () => {
    const body = {
      on: [
        { event: "a", filter: "event.data.x >" },
        { event: "a", filter: "input.x == 1" },
        { event: "Bad", input: { x: "${{ event.data + }}" } },
        { event: "b", filter: "${{ event.data.x }}" },
      ],
      ...answers(1),
    };
    const refused = await expectProblem(
      await send("PUT", "/v1/workflows/event-wrong", { key: admin, body }),
      422,
      "bad_plan",
    );
    expect(refused.errors?.map((one) => [one.pointer, "code" in one ? one.code : ""]).toSorted()).toEqual([
      ["/on/0/filter", "expression_invalid"],
      ["/on/1/event", "duplicate_subscription"],
      ["/on/1/filter", "unknown_name"],
      ["/on/2/event", "invalid"],
      ["/on/2/input/x", "expression_invalid"],
      ["/on/3/filter", "expression_wrapped"],
    ]);
  });
});
