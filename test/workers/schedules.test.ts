/** The schedule object in workerd: alarms, deaths in the middle of a start, pause, edits, starts by hand, who may ask. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { objectName } from "../../src/platform/index.ts";
import { FLIGHT_MS, SETTLE_MS } from "../../src/triggers/schedule-rules.ts";
import type { LoggedTick, ScheduleRpc, ScheduleView, ScheduleWish } from "../../src/triggers/schedule-rpc.ts";
import { parseCron } from "../../src/triggers/cron.ts";
import type { Timing } from "../../src/triggers/schedule-timing.ts";
import { Random } from "../sim/random.ts";
import { meter } from "./meter.ts";
import { ScheduleHouse, scheduleHouses } from "./schedule-house.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const TENANT = "schedule-tests";

let house: ScheduleHouse;
let name: string;
let names = 0;

beforeEach(() => {
  house = new ScheduleHouse();
  scheduleHouses.current = house;
  names += 1;
  name = `nightly-${names}`;
});

const stub = (tenant = TENANT): DurableObjectStub =>
  env.SCHEDULE.getByName(objectName("schedule", tenant, name));

function schedule(): ScheduleRpc {
  const object: unknown = stub();
  return object as ScheduleRpc;
}

function wish(change: Partial<ScheduleWish> = {}): ScheduleWish {
  return {
    timing: { kind: "interval", everyMs: HOUR_MS, anchor: 0 },
    overlap: "skip",
    catchUpMs: HOUR_MS,
    jitterMs: 0,
    target: { workflow: "report", input: { n: 1 }, tags: [] },
    maker: { actor: "key:one", policies: [] },
    ...change,
  };
}

async function made(change: Partial<ScheduleWish> = {}): Promise<ScheduleView> {
  const answer = await schedule().put(TENANT, wish(change));
  if (!answer.ok) throw new Error(answer.code);
  return answer.view;
}

async function seen(): Promise<ScheduleView> {
  const answer = await schedule().view(TENANT);
  if (!answer.ok) throw new Error(answer.code);
  return answer.value;
}

async function logged(): Promise<readonly LoggedTick[]> {
  const answer = await schedule().log(TENANT, 1_000);
  if (!answer.ok) throw new Error(answer.code);
  return answer.value.toReversed();
}

const kinds = async (): Promise<string[]> =>
  (await logged()).map(({ record }) => (record.t === "skipped" ? record.reason : record.t));

async function alarmAt(): Promise<number | null> {
  return runInDurableObject(stub(), async (_, { storage }) => storage.getAlarm());
}

/** The alarm at its time. A death in its middle is no failure of the test: what follows must mend it. */
async function fire(): Promise<void> {
  const at = await alarmAt();
  if (at === null) throw new Error("no alarm stands");
  house.now = Math.max(house.now, at);
  try {
    await runDurableObjectAlarm(stub());
  } catch (error) {
    if (!String(error).includes("killed by a test")) throw error;
  }
}

describe("a schedule", () => {
  it("starts one run per tick, under an id that follows from schedule and tick, and says the next ten", async () => {
    const view = await made({ overlap: "allow" });
    const begun = house.now;
    expect(view.next).toEqual(Array.from({ length: 10 }, (_, i) => begun + (i + 1) * HOUR_MS));
    await fire();
    await fire();
    expect(await kinds()).toEqual(["started", "started"]);
    expect([...house.runs.values()].map(({ start }) => [start.tick, start.byHand, start.schedule])).toEqual([
      [begun + HOUR_MS, false, name],
      [begun + 2 * HOUR_MS, false, name],
    ]);
  });

  it("skips a tick whose predecessor is at work, and starts the next one after its end", async () => {
    await made();
    await fire();
    await fire();
    house.endAll();
    await fire();
    expect(await kinds()).toEqual(["started", "overlap", "started"]);
    expect(house.runs.size).toBe(2);
  });

  it("cancels the predecessor where that is wished", async () => {
    await made({ overlap: "cancel_previous" });
    await fire();
    await fire();
    expect(house.cancelled).toEqual([[...house.runs.keys()][0]]);
    expect(await kinds()).toEqual(["started", "started"]);
  });

  it("a single time fires once, and then no alarm stands", async () => {
    await made({ timing: { kind: "once", at: house.now + 5 } });
    await fire();
    expect([house.runs.size, await alarmAt(), (await seen()).next]).toEqual([1, null, []]);
    await evictDurableObject(stub());
    expect((await seen()).next).toEqual([]);
  });

  it("after a long outage writes what was missed as one record, and starts what is within the window", async () => {
    await made({ timing: { kind: "interval", everyMs: 1_000, anchor: 0 }, overlap: "skip" });
    const begun = house.now;
    house.later(30 * 24 * HOUR_MS);
    await fire();
    const [first, second, third] = (await logged()).map(({ record }) => record);
    expect(first).toEqual({
      t: "skipped",
      from: begun + 1_000,
      to: house.now - HOUR_MS - 1_000,
      reason: "outside_window",
    });
    expect(second).toMatchObject({ t: "started", tick: house.now - HOUR_MS });
    expect(third).toMatchObject({ t: "skipped", to: house.now, reason: "overlap" });
  });

  it("O4: a thousand starts later it goes on in another event", async () => {
    const timing: Timing = { kind: "interval", everyMs: 1_000, anchor: 0 };
    await made({ timing, overlap: "allow", catchUpMs: 18 * MINUTE_MS });
    house.later(HOUR_MS);
    await fire();
    expect([house.runs.size, await alarmAt()]).toEqual([1_000, house.now]);
    await fire();
    expect([house.runs.size, await alarmAt()]).toEqual([18 * 60 + 1, house.now + 1_000]);
  }, 30_000);

  it("workerd moves what daylight saving takes away as Node does", () => {
    const from = Date.UTC(2026, 0, 1);
    const at = (expression: string, timezone: string, after: string): string => {
      const times = parseCron(expression, timezone, from);
      const next = times.ok ? times.value.next(Date.parse(after)) : null;
      return next === null ? "never" : new Date(next).toISOString();
    };
    expect(at("30 2 * * *", "America/New_York", "2026-03-08T06:00Z")).toBe("2026-03-08T07:00:00.000Z");
    expect(at("30 1 * * *", "America/New_York", "2026-11-01T05:30Z")).toBe("2026-11-02T06:30:00.000Z");
    expect(at("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00Z")).toBe("2026-10-03T15:30:00.000Z");
    expect(at("0 0 * * *", "America/Santiago", "2026-09-05T05:00Z")).toBe("2026-09-06T04:00:00.000Z");
  });
});

describe("what a tick costs", () => {
  it.each([
    ["allow", 5],
    ["cancel_previous", 6],
    ["skip", 7],
  ] as const)("with %s it writes %i rows, and takes one alarm", async (overlap, rows) => {
    const counts = await meter(stub());
    await made({ overlap });
    await fire();
    house.endAll();
    const before = { ...counts };
    await fire();
    expect([counts.rows - before.rows, counts.alarms - before.alarms]).toEqual([rows, 1]);
    expect(house.runs.size).toBe(2);
  });
});

describe("deaths", () => {
  it.each(["dies before", "dies after", "lost before", "lost after"] as const)(
    "a start that %s its run begins is begun once",
    async (fate) => {
      await made();
      house.fates.push(fate);
      await fire();
      await fire();
      expect(await kinds()).toEqual(["started"]);
      expect([...house.runs.values()].map(({ asked }) => asked)).toEqual([1]);
    },
  );

  it("a tick is not refused while an earlier try of it could still begin the run", async () => {
    await made();
    house.fates.push("lost before", "refused", "refused");
    await fire();
    const tried = house.now;
    await fire();
    expect([await kinds(), (await seen()).pending.length]).toEqual([[], 1]);
    expect(await alarmAt()).toBe(tried + SETTLE_MS);
    await fire();
    expect([await kinds(), house.runs.size]).toEqual([["refused"], 0]);
  });

  it("the alarm stands before a start is tried, so that a death in it is followed by a life", async () => {
    await made();
    house.fates.push("dies before");
    await fire();
    expect(await alarmAt()).toBe(house.now + FLIGHT_MS);
  });

  it("100 ticks with a death, a loss or an eviction at every other one have one run or one reason each", async () => {
    const random = new Random(6, "schedule object");
    const fates = {
      ok: 5,
      "dies before": 1,
      "dies after": 1,
      "lost before": 1,
      "lost after": 1,
      refused: 1,
    } as const;
    house.nextFate = () => random.weighted(fates);
    const begun = house.now;
    await made({ timing: { kind: "cron", expression: "*/10 * * * *", timezone: "America/New_York" } });
    const end = begun + 100 * 10 * MINUTE_MS;
    while (house.now < end) {
      if (random.chance(0.1)) house.later(random.scale(1_000, 3 * HOUR_MS));
      if (random.chance(0.3)) house.endAll();
      if (random.chance(0.2)) {
        // One that has just died is not there to be evicted.
        await seen();
        await evictDurableObject(stub());
      }
      if (random.chance(0.1)) await schedule().pause(TENANT, "key:one", null);
      if (random.chance(0.5)) await schedule().resume(TENANT);
      if ((await alarmAt()) === null) house.later(10 * MINUTE_MS);
      else await fire();
    }
    await schedule().resume(TENANT);
    house.nextFate = () => "ok";
    while ((await seen()).pending.length > 0) await fire();

    const fated = new Map<number, string[]>();
    for (const { record } of await logged()) {
      const [from, to, fate] =
        record.t === "skipped"
          ? [record.from, record.to, record.reason]
          : [record.tick, record.tick, record.t];
      for (let tick = from; tick <= to; tick += 10 * MINUTE_MS)
        fated.set(tick, [...(fated.get(tick) ?? []), fate]);
    }
    const started = new Set([...house.runs.values()].map(({ start }) => start.tick));
    expect(started.size).toBe(house.runs.size);
    const ticks = Array.from({ length: 100 }, (_, i) => begun + (i + 1) * 10 * MINUTE_MS);
    for (const tick of ticks) expect([tick, fated.get(tick)?.length]).toEqual([tick, 1]);
    for (const [tick, [fate]] of fated) expect([tick, fate === "started"]).toEqual([tick, started.has(tick)]);
    const told = new Set([...fated.values()].flat());
    expect([...told].sort()).toEqual(["outside_window", "overlap", "paused", "refused", "started"]);
  }, 30_000);
});

describe("by hand", () => {
  it("a start now is one run per key, also while the schedule is paused", async () => {
    await made();
    await schedule().pause(TENANT, "key:two", "holidays");
    const first = await schedule().trigger(TENANT, "a");
    expect(first).toMatchObject({ ok: true, value: { kind: "started" } });
    expect(await schedule().trigger(TENANT, "a")).toEqual(first);
    await schedule().trigger(TENANT, "b");
    expect(house.runs.size).toBe(2);
    expect(await alarmAt()).toBe(null);
  });

  it("a start whose answer is lost is told as pending, under the id that its run has", async () => {
    await made();
    house.fates.push("lost after");
    const answer = await schedule().trigger(TENANT, "a");
    expect(answer).toEqual({ ok: true, value: { kind: "pending", run: [...house.runs.keys()][0] } });
  });

  it("a pause skips what falls into it, and the resume goes on with what comes", async () => {
    await made();
    expect(await schedule().pause(TENANT, "key:two", "holidays")).toMatchObject({
      value: { paused: { since: house.now, by: "key:two", reason: "holidays" } },
    });
    house.later(3 * HOUR_MS);
    expect(await schedule().resume(TENANT)).toMatchObject({ ok: true, value: { paused: null } });
    await fire();
    expect(await kinds()).toEqual(["paused", "started"]);
  });

  it("an edit keeps the target of a start that was decided, and what was started under it", async () => {
    await made();
    house.fates.push("lost before");
    await fire();
    const edited = await made({ target: { workflow: "other", input: null, tags: [] } });
    expect(edited).toMatchObject({ revision: 2, target: { workflow: "other" } });
    await fire();
    house.endAll();
    await fire();
    expect([...house.runs.values()].map(({ start }) => start.target.workflow)).toEqual(["report", "other"]);
  });

  it("another timing begins after the edit", async () => {
    await made();
    const daily: Timing = { kind: "cron", expression: "0 12 * * *", timezone: "Europe/Berlin" };
    expect((await made({ timing: daily })).next[0]).toBe(Date.UTC(2200, 0, 1, 11));
  });

  it.each<[string, Partial<ScheduleWish>]>([
    ["cron_never_fires", { timing: { kind: "cron", expression: "* * * 30 2 *", timezone: "UTC" } }],
    ["timezone_unknown", { timing: { kind: "cron", expression: "* * * * *", timezone: "Mars/Base" } }],
    ["window_out_of_range", { catchUpMs: 59_999 }],
    ["jitter_out_of_range", { jitterMs: HOUR_MS + 1 }],
    ["target_too_large", { target: { workflow: "report", input: "x".repeat(70_000), tags: [] } }],
  ])("%s: such a wish is refused, and nothing is written", async (code, change) => {
    expect(await schedule().put(TENANT, wish(change))).toMatchObject({ ok: false, refusal: { code } });
    expect(await runInDurableObject(stub(), (_, { storage }) => [...storage.kv.list()])).toEqual([]);
  });
});

describe("its maker", () => {
  it("whose key was revoked starts nothing more: the schedule pauses and says why", async () => {
    await made();
    house.revoked.add("key:one");
    await fire();
    expect([house.runs.size, (await seen()).paused?.reason]).toEqual([0, "maker_revoked"]);
    expect((await logged())[0]?.record).toMatchObject({ t: "refused", code: "maker_revoked" });
    expect(await schedule().resume(TENANT)).toMatchObject({ ok: false, code: "maker_revoked" });
  });

  it("is whoever wrote it last", async () => {
    await made();
    house.revoked.add("key:one");
    await fire();
    await made({ maker: { actor: "key:two", policies: [] } });
    await schedule().resume(TENANT);
    await fire();
    expect([...house.runs.values()].map(({ start }) => start.maker.actor)).toEqual(["key:two"]);
  });
});

describe("the list", () => {
  it("O5: a schedule that the list cannot take is not made, and nothing is written of it", async () => {
    house.listIsFull = true;
    expect(await schedule().put(TENANT, wish())).toEqual({ ok: false, code: "too_many" });
    house.listIsAway = true;
    expect(await schedule().put(TENANT, wish())).toEqual({ ok: false, code: "unavailable" });
    expect(await runInDurableObject(stub(), (_, { storage }) => [...storage.kv.list()])).toEqual([]);
  });

  it("says how a schedule is, its pauses too", async () => {
    await made();
    expect(house.list.get(name)).toMatchObject({ tenant: TENANT, workflow: "report", paused: null });
    await schedule().pause(TENANT, "key:two", "holidays");
    expect(house.list.get(name)?.paused).toMatchObject({ by: "key:two", reason: "holidays" });
    await schedule().resume(TENANT);
    expect(house.list.get(name)?.paused).toBe(null);
    await schedule().remove(TENANT);
    expect(house.list.has(name)).toBe(false);
  });

  it("what it could not be told stops nothing, and is told to who pokes", async () => {
    await made();
    house.listIsAway = true;
    house.revoked.add("key:one");
    await fire();
    expect([(await seen()).paused?.reason, house.list.get(name)?.paused]).toEqual(["maker_revoked", null]);
    await evictDurableObject(stub());
    house.listIsAway = false;
    await schedule().poke(TENANT);
    expect(house.list.get(name)?.paused?.reason).toBe("maker_revoked");
    house.listIsAway = true;
    await schedule().remove(TENANT);
    house.listIsAway = false;
    expect([await schedule().poke(TENANT), house.list.has(name)]).toEqual([false, false]);
  });
});

describe("who asks", () => {
  it("finds no schedule of another tenant, in either direction", async () => {
    await made();
    const rpc = schedule();
    expect(await rpc.view("others")).toMatchObject({ code: "not_found" });
    expect(await rpc.log("others", 10)).toMatchObject({ code: "not_found" });
    expect(await rpc.put("others", wish())).toMatchObject({ code: "not_found" });
    expect(await rpc.pause("others", "x", null)).toMatchObject({ code: "not_found" });
    expect(await rpc.resume("others")).toMatchObject({ code: "not_found" });
    expect(await rpc.trigger("others", "k")).toMatchObject({ code: "not_found" });
    expect([await rpc.remove("others"), await rpc.poke("others")]).toEqual([false, false]);
    expect((await seen()).paused).toBe(null);
  });

  it("and removes it: no tick of it comes back under the same name", async () => {
    await made();
    await fire();
    expect(await schedule().remove(TENANT)).toBe(true);
    expect([await schedule().view(TENANT), await alarmAt()]).toMatchObject([{ code: "not_found" }, null]);
    // The clock of the next life is behind: the tick that was started is over all the same.
    house.now -= HOUR_MS;
    expect((await made()).next[0]).toBe(house.now + 2 * HOUR_MS);
  });

  it("pokes a schedule whose alarm was lost", async () => {
    await made();
    await runInDurableObject(stub(), async (_, { storage }) => storage.deleteAlarm());
    house.later(HOUR_MS);
    expect(await schedule().poke(TENANT)).toBe(true);
    expect([await kinds(), await alarmAt()]).toEqual([["started"], house.now + HOUR_MS]);
  });
});
