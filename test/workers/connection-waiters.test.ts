import type { LeaseAnswer } from "../../src/platform/index.ts";
import { runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { createUse, type Use } from "../../src/connections/use.ts";
import { ownerText } from "../../src/connections/grant.ts";
import { pairOf } from "./connection-double.ts";
import { ConnectionHouse } from "./connection-house.ts";
import { Connected, DAY_MS, die, HOUR_MS, MINUTE_MS, TENANT } from "./connection-support.ts";

function empty(): Connected {
  return new Connected(new ConnectionHouse());
}

const runs = (from: number, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `run_${String(from + i).padStart(5, "0")}`);

/** As if they had asked. */
async function put(one: Connected, names: readonly string[], since = one.house.now): Promise<void> {
  await runInDurableObject(one.object, (_object, { storage }) => {
    storage.sql.exec(
      "INSERT INTO waiters (run, since) SELECT value, ? FROM json_each(?)",
      since,
      JSON.stringify(names),
    );
  });
}

async function waiting(one: Connected): Promise<number> {
  return runInDurableObject(one.object, (_object, { storage }) =>
    Number(storage.sql.exec("SELECT count(*) AS n FROM waiters").one()["n"]),
  );
}

describe("a run that is told to wait", () => {
  it("is woken by the grant that comes, once, and is not told a second time", async () => {
    const one = empty();
    expect(await one.said({ run: "run_a" })).toBe("missing");
    expect(await one.said({ run: "run_a" })).toBe("missing");
    expect(await one.said({ run: "run_b" })).toBe("missing");
    await one.grant();
    await one.ring();
    expect(one.house.woken.toSorted()).toEqual(["run_a", "run_b"]);
    await one.grant({}, `${one.family}b`);
    await one.ring();
    expect(one.house.woken.length).toBe(2);
  });

  it(
    "has a token or is woken, whatever comes between its question and the answer",
    { timeout: 30_000 },
    async () => {
      for (let round = 0; round < 15; round++) {
        const one = empty();
        const before = runs(0, round % 5);
        const asked = before.map(async (run) => one.said({ run }));
        const granted = one.grant();
        const after = runs(100, 5);
        asked.push(...after.map(async (run) => one.said({ run })));
        const [said] = await Promise.all([Promise.all(asked), granted]);
        await one.ring();
        const told = [...before, ...after].filter((_, i) => said[i] !== pairOf(one.family, 1).accessToken);
        expect(one.house.woken.toSorted()).toEqual(told.toSorted());
      }
    },
  );

  it("and asks again while it is told, only to wait for something else, is told of the next change, too", async () => {
    const one = empty();
    const wide = { run: "run_a", scopes: ["read", "write"] };
    await one.said(wide);
    one.house.whileTelling = async () => {
      one.house.whileTelling = null;
      expect(await one.said(wide)).toBe("scope_missing");
    };
    await one.grant();
    await one.ring();
    expect(one.house.woken).toEqual(["run_a"]);
    expect(await waiting(one)).toBe(1);
    await one.grant({ scopes: ["read", "write"] }, `${one.family}b`);
    await one.ring();
    expect(one.house.woken).toEqual(["run_a", "run_a"]);
    expect(await waiting(one)).toBe(0);
  });

  it("is told of a change that comes while another is told", async () => {
    const one = empty();
    await asked(one);
    one.house.whileTelling = async () => {
      one.house.whileTelling = null;
      await one.said({ run: "run_late", scopes: ["write"] });
      await one.grant({ scopes: ["write"] }, `${one.family}b`);
    };
    await one.grant();
    await one.ring();
    expect(one.house.woken.toSorted()).toEqual(["run_a", "run_late"]);
    expect(await waiting(one)).toBe(0);
  });
});

describe("a run whose attempt the service refused", () => {
  /** As its step asks, with what it knows. */
  async function use(one: Connected, more: Partial<Use> = {}): Promise<LeaseAnswer> {
    const { slot, id, house } = one;
    const ask = createUse({
      serverKey: async () => Promise.reject(new Error("It is pinned.")),
      integration: async () => Promise.resolve(null),
      ofOwner: async () => Promise.resolve([]),
      object: () => one.object,
      now: () => house.now,
    });
    const { integration, tenant, owner, account } = slot;
    return ask({
      ...{ tenant, run: "run_a", user: owner.kind === "user" ? owner.user : null, workflow: "mail" },
      ...{ reference: { connection: integration }, stepTimeoutMs: MINUTE_MS },
      pinned: { connection: id, owner: ownerText(owner), account, epoch: 1 },
      ...more,
    });
  }

  it.each(["scope_missing", "rejected", "revoked"] as const)(
    "for %s looks at once, is put down as waiting by that, and is woken by what comes of it",
    async (reason) => {
      const one = empty();
      await one.grant();
      const lent = await use(one);
      if (lent.kind !== "ready") throw new Error("There is no token.");
      if (reason === "revoked") await lent.lease.dead();
      const need = lent.lease.need(reason, ["write"]);
      if (need?.kind !== "connection") throw new Error("It waits for no connection.");
      const { recheckMs, version } = need;
      expect(recheckMs).toBe(1_000);
      one.house.later(recheckMs);
      const again = await use(one, version === undefined ? {} : { refused: version });
      expect(again).toMatchObject({ kind: "needs", need: { recheckMs: 5 * MINUTE_MS } });
      await one.grant({ scopes: ["read", "write"] }, `${one.family}b`);
      await one.ring();
      expect(one.house.woken).toEqual(["run_a"]);
      expect(await use(one, version === undefined ? {} : { refused: version })).toMatchObject({
        kind: "ready",
      });
    },
  );

  it("is woken when the user takes the connection back: what it waits for is another thing then", async () => {
    const one = empty();
    await one.grant();
    expect(await one.said({ run: "run_a", scopes: ["write"] })).toBe("scope_missing");
    one.house.siblings = async () => "living";
    await one.object.disconnect(TENANT, { by: "user" });
    await one.ring();
    expect(one.house.woken).toEqual(["run_a"]);
    expect(await one.said({ run: "run_a", scopes: ["write"] })).toBe("missing");
  });
});

async function asked(one: Connected): Promise<Connected> {
  expect(await one.said({ run: "run_a" })).toBe("missing");
  return one;
}

describe("a run that cannot be told", () => {
  it("is told later, less and less often; the others at once", async () => {
    const one = await asked(empty());
    await one.said({ run: "run_b" });
    one.house.deaf.add("run_a");
    await one.grant();
    await one.ring();
    expect(one.house.woken).toEqual(["run_b"]);
    const rests: number[] = [];
    for (let i = 0; i < 4; i++) {
      rests.push(((await one.alarmAt()) ?? 0) - one.house.now);
      await one.toNextAlarm();
    }
    expect(rests).toEqual([1_000, 2_000, 4_000, 8_000]);
    one.house.deaf.clear();
    await one.toNextAlarm();
    expect(one.house.woken).toEqual(["run_b", "run_a"]);
    expect(await one.alarmAt()).toBe(null);
  });

  it("holds up nobody, not even where there are more of them than are told in one event", async () => {
    const one = await asked(empty());
    const deaf = runs(0, 1_100);
    await put(one, deaf);
    for (const run of deaf) one.house.deaf.add(run);
    await put(one, ["run_hears"]);
    await one.grant();
    await one.ring();
    expect(one.house.woken).toEqual(["run_a", "run_hears"]);
    expect(await waiting(one)).toBe(1_100);
    expect((await one.alarmAt()) ?? 0).toBeGreaterThan(one.house.now);
  });
});

describe("the object dies while it tells runs", () => {
  it("all are told in its next life, some of them perhaps twice", async () => {
    const one = empty();
    const names = runs(0, 120);
    await asked(one);
    await put(one, names);
    await one.grant();
    one.house.killWhileTelling = "run_00060";
    await one.ring().catch(() => undefined);
    expect(one.house.killWhileTelling).toBe(null);
    expect(new Set(one.house.woken).size).toBeLessThan(121);
    await one.object.poke(TENANT);
    await one.ring();
    expect(new Set(one.house.woken)).toEqual(new Set(["run_a", ...names]));
    expect(await waiting(one)).toBe(0);
  });
});

describe("ten thousand runs wait", () => {
  it("no more are put down; all of them are told, each once, so many in one event", async () => {
    const one = await asked(empty());
    await put(one, runs(0, 9_998));
    await one.object.view(TENANT);
    await die();
    expect(await one.said({ run: "run_last" })).toBe("missing");
    expect(await one.said({ run: "run_too_many" })).toBe("missing");
    expect(await waiting(one)).toBe(10_000);
    // One that is there already keeps its place.
    expect(await one.said({ run: "run_last" })).toBe("missing");
    expect(await waiting(one)).toBe(10_000);
    await one.grant();
    expect(await one.ring()).toBeGreaterThanOrEqual(20);
    expect(one.house.woken.length).toBe(10_000);
    expect(new Set(one.house.woken).size).toBe(10_000);
    expect(one.house.woken).not.toContain("run_too_many");
    expect(await one.object.view(TENANT)).toMatchObject({ waiting: 0 });
  });

  it("those that stopped waiting long ago make room", async () => {
    const one = await asked(empty());
    await put(one, runs(0, 9_999), one.house.now);
    one.house.later(2 * DAY_MS);
    await die();
    expect(await one.said({ run: "run_new" })).toBe("missing");
    expect(await waiting(one)).toBe(1);
  });
});

describe("the alarm", () => {
  it("never throws and never comes again at once, whatever is broken", async () => {
    const one = await asked(empty());
    const { house } = one;
    house.provider.refreshExpiresIn = (60 * DAY_MS) / 1_000;
    house.provider.standing = { status: 500 };
    house.provider.revokeStanding = { status: 500 };
    house.deaf.add("run_a");
    house.listingAway = true;
    await one.grant();
    await one.grant({ pending: { session: "cs_1", until: house.now + 15 * MINUTE_MS } }, `${one.family}b`);
    for (let i = 0; i < 60; i++) {
      await one.ring();
      expect((await one.alarmAt()) ?? 0).toBeGreaterThan(house.now);
      house.now = (await one.alarmAt()) ?? 0;
      if (i === 30) house.now += 50 * DAY_MS;
      // It was forgotten since, as no run waits for so long.
      if (i === 45) await one.said({ run: "run_a", scopes: ["write"] });
      if (i === 45) await one.object.disconnect(TENANT, { by: "user" });
    }
    house.listingAway = false;
    house.deaf.clear();
    house.provider.revokeStanding = "ok";
    for (let i = 0; i < 10 && (await one.alarmAt()) !== null; i++) await one.toNextAlarm();
    expect(await one.alarmAt()).toBe(null);
    expect(await one.row()).toMatchObject({ status: "disconnected", sealed: null });
    expect(house.woken).toEqual(["run_a"]);
    expect(house.lines.join()).not.toContain("connection.alarm_failed");
  });

  it("comes later where what is kept is broken itself", async () => {
    const one = await asked(empty());
    await one.grant();
    await one.ring();
    for (const broken of [
      ["pending", "no list"],
      ["record", { standing: { status: "active" }, grant: null }],
    ] as const) {
      const before = await one.kept(broken[0]);
      await one.put(broken[0], broken[1]);
      await one.put("mirror", { at: one.house.now, tries: 0, stamp: 1 });
      one.house.lines.length = 0;
      await one.object.poke(TENANT);
      expect(one.house.lines.join()).toContain("connection.");
      expect((await one.alarmAt()) ?? Number.POSITIVE_INFINITY).toBeGreaterThan(one.house.now);
      await one.put(broken[0], before ?? []);
      one.house.later(DAY_MS);
    }
    await runInDurableObject(one.object, (_object, { storage }) => {
      storage.sql.exec("INSERT INTO audit (body) VALUES ('no JSON')");
    });
    await one.put("mirror", { at: one.house.now, tries: 0, stamp: 1 });
    await one.object.poke(TENANT);
    expect((await one.alarmAt()) ?? Number.POSITIVE_INFINITY).toBeGreaterThan(one.house.now);
  });
});

describe("a place that nobody ever gave anything", () => {
  /** All that the object keeps. */
  async function left(one: Connected): Promise<unknown[]> {
    return runInDurableObject(one.object, async (_object, { storage }) => [
      ...[...storage.kv.list()].map(([key]) => key),
      ...storage.sql.exec("SELECT name FROM sqlite_master WHERE name NOT LIKE '\\_%' ESCAPE '\\'").toArray(),
      ...((await storage.getAlarm()) === null ? [] : ["alarm"]),
    ]);
  }

  it("is forgotten when nobody can wait for it any more, and not before", async () => {
    const one = empty();
    const began = one.house.now;
    await one.said({ run: "run_a" });
    one.house.later(20 * HOUR_MS);
    await one.said({ run: "run_b" });
    const seen: number[] = [];
    while ((await one.alarmAt()) !== null) {
      await one.toNextAlarm();
      seen.push(await waiting(one).catch(() => 0));
    }
    expect(seen).toEqual([1, 0]);
    expect(one.house.now - began).toBeGreaterThanOrEqual(45 * HOUR_MS);
    expect(one.house.now - began).toBeLessThanOrEqual(46 * HOUR_MS);
    expect(await left(one)).toEqual([]);
  });

  it("costs few alarms, however many wait", async () => {
    const one = empty();
    for (let i = 0; i < 50; i++) {
      await one.said({ run: `run_${i}` });
      one.house.later(MINUTE_MS);
    }
    let alarms = 0;
    while ((await one.toNextAlarm()) !== null) alarms += 1;
    expect(alarms).toBeLessThanOrEqual(2);
    expect(await left(one)).toEqual([]);
  });

  it("can be asked for and filled after that as if it were new", async () => {
    const one = empty();
    await one.said({ run: "run_a" });
    await one.toNextAlarm();
    expect(await left(one)).toEqual([]);
    expect(await one.said({ run: "run_b" })).toBe("missing");
    await one.grant();
    await one.ring();
    expect(one.house.woken).toEqual(["run_b"]);
    expect(await one.said()).toBe(pairOf(one.family, 1).accessToken);
  });

  it("is forgotten after a consent that nobody confirmed, too; one that waits for its confirmation is not", async () => {
    const one = empty();
    await one.said({ run: "run_a" });
    await one.grant({ pending: { session: "cs_1", until: one.house.now + 2 * DAY_MS } });
    await one.toNextAlarm();
    await one.toNextAlarm();
    expect(await waiting(one)).toBe(0);
    expect(await one.confirm("cs_1")).toMatchObject({ kind: "active" });
    const other = empty();
    await other.grant({ pending: { session: "cs_1", until: other.house.now + MINUTE_MS } });
    while ((await other.toNextAlarm()) !== null);
    expect(await other.audited()).toContain("connection.unconfirmed");
    expect(await left(other)).toEqual([]);
  });

  it("of which somebody takes hold in the moment in which it is forgotten is not lost", async () => {
    const one = empty();
    await one.said({ run: "run_a" });
    one.house.now = (await one.alarmAt()) ?? 0;
    const [said] = await Promise.all([one.said({ run: "run_b" }), one.ring(), one.grant()]);
    await one.ring();
    if (said === "missing") expect(one.house.woken).toContain("run_b");
    expect(await one.said()).toBe(pairOf(one.family, 1).accessToken);
    expect(await one.object.view(TENANT)).toMatchObject({ id: one.id, standing: { status: "active" } });
  });
});

it("runs that wait for what was taken back are forgotten as well, and the connection is not", async () => {
  const one = empty();
  await one.grant();
  await one.object.disconnect(TENANT, { by: "user" });
  await one.ring();
  await one.said({ run: "run_a" });
  while ((await one.toNextAlarm()) !== null);
  expect(await waiting(one)).toBe(0);
  expect(await one.object.view(TENANT)).toMatchObject({ standing: { status: "disconnected" } });
});
