import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import { auditStatements, createAccessAudit } from "../../src/access/index.ts";
import type { KeptIntegration } from "../../src/connections/grant.ts";
import { dropOldMarks } from "../../src/connections/listing.ts";
import { sealedRecords } from "../../src/connections/records.ts";
import { type Audited, writeMirrored } from "../../src/connections/index.ts";
import { createLogger, importHmacKey } from "../../src/platform/index.ts";
import { createKeyCheck, createVault, createVaultOperations, type Keyring } from "../../src/vault/index.ts";
import { ring } from "../vault/support.ts";
import { pairOf } from "./connection-double.ts";
import { ConnectionHouse, houses } from "./connection-house.ts";
import { Connected, DAY_MS, die, HOUR_MS, MINUTE_MS, TENANT } from "./connection-support.ts";

const audited: Audited = (entry) => auditStatements(env.DB, entry);

async function connected(house = new ConnectionHouse()): Promise<Connected> {
  const one = new Connected(house);
  await one.grant();
  await one.ring();
  return one;
}

describe("the database is away", () => {
  it("during rotations: every pair is kept, tokens go on, and the listing catches up by itself with the last", async () => {
    const one = await connected();
    const { house } = one;
    house.listingAway = true;
    for (let i = 2; i <= 5; i++) {
      house.later(HOUR_MS);
      expect(await one.said()).toBe(pairOf(one.family, i).accessToken);
      await one.ring();
      expect((await one.alarmAt()) ?? 0).toBeGreaterThan(house.now);
      expect(await one.row()).toMatchObject({ version: 1 });
    }
    await die();
    expect(await one.said()).toBe(pairOf(one.family, 5).accessToken);
    house.listingAway = false;
    const before = house.writes;
    await one.toNextAlarm();
    const record = await one.record();
    expect(await one.row()).toMatchObject({ version: 5, sealed: record?.grant.sealed, status: "active" });
    expect(house.writes - before).toBe(1);
    expect((await one.audited()).filter((action) => action === "connection.renewed").length).toBe(4);
    expect(house.provider.refreshes()).toBe(4);
  });

  it("a write that was done although nobody learned of it is done again, and the row is the same", async () => {
    const one = new Connected(new ConnectionHouse());
    one.house.listingLost = 2;
    await one.grant();
    await one.token({ workflow: "mail" });
    for (let i = 0; i < 3; i++) await one.toNextAlarm();
    expect(one.house.writes).toBeGreaterThanOrEqual(3);
    expect(await one.row()).toMatchObject({ version: 1, status: "active" });
  });

  it("a change that comes while the listing is written, in the same moment, is written after it", async () => {
    const one = new Connected(new ConnectionHouse());
    one.house.whileWriting = async () => {
      one.house.whileWriting = null;
      one.house.siblings = async () => "living";
      await one.object.disconnect(TENANT, { by: "user" });
    };
    await one.grant();
    await one.ring();
    expect(await one.row()).toMatchObject({ status: "disconnected", sealed: null });
  });

  it("a listing that is told late, or twice, or with clocks that went back, does not go back", async () => {
    const one = await connected();
    await one.object.report(TENANT, { kind: "token_dead", version: 1 });
    one.house.later(-HOUR_MS);
    await one.grant({}, `${one.family}b`);
    one.house.siblings = async () => "living";
    await one.object.disconnect(TENANT, { by: "user" });
    await one.ring();
    expect(await one.row()).toMatchObject({ status: "disconnected", version: 2 });
  });

  it("a message that comes late does not put the row back", async () => {
    const one = await connected();
    const view = await one.object.view(TENANT);
    if (view === null) throw new Error("There is no connection.");
    const key = await importHmacKey(new Uint8Array(32));
    const at = one.house.now;
    const told = { unlisted: null, sealed: null, uses: [], audit: [] };
    await writeMirrored(env.DB, key, audited, { ...told, at: at + 10, view: { ...view, version: 3 } });
    const stale = [
      { at: at + 9, version: 3 },
      { at: at + 20, version: 2 },
    ];
    for (const { at: then, version } of stale)
      await writeMirrored(env.DB, key, audited, { ...told, at: then, view: { ...view, version, epoch: 9 } });
    expect(await one.row()).toMatchObject({ version: 3, epoch: 1, updated_at: at + 10 });
  });

  it("uses are told together, a minute later, and are not lost by a write that fails", async () => {
    const one = await connected();
    for (let i = 0; i < 5; i++) await one.token({ workflow: i < 2 ? "mail" : "report" });
    one.house.listingAway = true;
    await one.toNextAlarm();
    await one.token({ workflow: "mail" });
    one.house.listingAway = false;
    while ((await one.toNextAlarm()) !== null);
    const { results } = await env.DB.prepare(
      "SELECT workflow, uses FROM connection_uses WHERE connection = ? ORDER BY workflow",
    )
      .bind(one.id)
      .all();
    expect(results).toEqual([
      { workflow: "mail", uses: 3 },
      { workflow: "report", uses: 3 },
    ]);
  });
});

describe("an object dies before uses are told", () => {
  const used = async (one: Connected) => {
    const { results } = await env.DB.prepare(
      "SELECT workflow, uses, last_at FROM connection_uses WHERE connection = ? ORDER BY workflow",
    )
      .bind(one.id)
      .all();
    return results;
  };

  it("each workflow that used the connection is told by the next life's alarm, once", async () => {
    const one = await connected();
    const at = one.house.now;
    await one.token({ workflow: "mail" });
    await one.token({ workflow: "report" });
    await die();
    expect(await used(one)).toEqual([]);
    while ((await one.toNextAlarm()) !== null);
    const told = [
      { workflow: "mail", uses: 1, last_at: at },
      { workflow: "report", uses: 1, last_at: at },
    ];
    expect(await used(one)).toEqual(told);
    await die();
    await one.object.rewrap(TENANT);
    while ((await one.toNextAlarm()) !== null);
    expect(await used(one)).toEqual(told);
  });

  it("the first and the last use of each workflow are told, and all between, also when the object was evicted while idle", async () => {
    const one = await connected();
    const { house } = one;
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    await one.token({ workflow: "report" });
    const first = (house.now += 1_000);
    for (let i = 0; i < 4; i++) {
      await one.token({ workflow: "mail" });
      if (i < 3) house.now += 1_000;
    }
    const kept = async () => (await one.kept<{ of: { count: number }[] }>("uses"))?.of;
    expect(await kept()).toMatchObject([{ count: 1 }, { count: 1 }]);
    await runInDurableObject(one.object, () => {
      vi.advanceTimersByTime(5_000);
    });
    vi.useRealTimers();
    expect(await kept()).toMatchObject([{ count: 1 }, { count: 4 }]);
    await evictDurableObject(one.object);
    while ((await one.toNextAlarm()) !== null);
    const { results } = await env.DB.prepare(
      "SELECT workflow, first_at, last_at, uses FROM connection_uses WHERE connection = ? ORDER BY workflow",
    )
      .bind(one.id)
      .all();
    expect(results).toEqual([
      { workflow: "mail", first_at: first, last_at: first + 3_000, uses: 4 },
      { workflow: "report", first_at: first - 1_000, last_at: first - 1_000, uses: 1 },
    ]);
  });

  it("more workflows than are kept on disk are told at once", async () => {
    const one = await connected();
    for (let i = 0; i < 500; i++) await one.token({ workflow: `w${i}` });
    expect(await one.ring()).toBe(1);
    expect(await used(one)).toHaveLength(500);
  }, 20_000);

  it("a use that comes while others are told is kept for the next time", async () => {
    const one = await connected();
    await one.token({ workflow: "mail" });
    one.house.whileWriting = async () => {
      one.house.whileWriting = null;
      await one.token({ workflow: "late" });
    };
    await one.toNextAlarm();
    await die();
    while ((await one.toNextAlarm()) !== null);
    expect(await used(one)).toMatchObject([
      { workflow: "late", uses: 1 },
      { workflow: "mail", uses: 1 },
    ]);
  });
});

describe("an object whose keyring is not the one of its rows", () => {
  const BOTH = ring("k2", { k1: 1, k2: 2 });

  it.each([
    ["an old one, and the row is under a newer key", ring("k1", { k1: 1 }), BOTH],
    ["one with another key of that name", ring("k1", { k1: 66 }), ring("k1", { k1: 1 })],
  ])(
    "%s: unavailable, nothing dies, nothing is written, nothing is sent; put right, it goes on",
    async (_what, wrong, right) => {
      const house = new ConnectionHouse();
      const one = await connected(house);
      house.keyring = right;
      await die();
      await one.object.rewrap(TENANT);
      await one.ring();
      const before = {
        record: await one.record(),
        integration: await one.kept("integration"),
        row: await one.row(),
      };
      house.later(HOUR_MS);
      house.keyring = wrong;
      await die();
      const writes = house.writes;
      for (let i = 0; i < 3; i++) {
        expect(await one.acquire()).toMatchObject({ kind: "needs", reason: "unavailable", detail: "vault" });
        expect(await one.object.renew(one.ask(), 1)).toMatchObject({ reason: "unavailable" });
        house.later(MINUTE_MS);
        await one.ring();
      }
      expect({
        record: await one.record(),
        integration: await one.kept("integration"),
        row: await one.row(),
      }).toEqual(before);
      expect(house.writes).toBe(writes);
      expect(house.provider.refreshes()).toBe(0);
      expect(await one.object.view(TENANT)).toMatchObject({ standing: { status: "active" }, waiting: 0 });
      house.keyring = right;
      await die();
      expect(await one.said()).toBe(pairOf(one.family, 2).accessToken);
      expect(house.provider.refreshes()).toBe(1);
    },
  );

  it("rewraps nothing, and says so", async () => {
    const house = new ConnectionHouse();
    const one = await connected(house);
    const before = await one.record();
    house.keyring = ring("k3", { k1: 66, k3: 3 });
    await die();
    expect(await one.object.rewrap(TENANT)).toBe(false);
    expect(await one.record()).toEqual(before);
  });

  it("a refresh token that could not be kept is not used: the living token is, while the vault cannot seal", async () => {
    const house = new ConnectionHouse();
    const one = await connected(house);
    house.later(HOUR_MS - MINUTE_MS);
    // It opens what is under k1, but the active key is not the one of that name.
    house.keyring = ring("k2", { k1: 1, k2: 99 });
    await createVault(BOTH, createKeyCheck({ db: env.DB, log: createLogger(), now: () => house.now })).seal(
      { purpose: "x", tenant: "x", record: "x", field: "x", version: 1 },
      "x",
    );
    await die();
    expect(await one.said()).toBe(pairOf(one.family, 1).accessToken);
    house.later(MINUTE_MS);
    expect(await one.acquire()).toMatchObject({ reason: "unavailable" });
    expect(house.provider.refreshes()).toBe(0);
    expect(await one.record()).toMatchObject({ standing: { status: "active" }, sending: null });
  });
});

/** What an operator asks of the vault. */
function isolate(house: ConnectionHouse, keyring: Keyring, all: readonly Connected[]) {
  const log = createLogger();
  const now = (): number => house.now;
  const check = createKeyCheck({ db: env.DB, log, now });
  const vault = createVault(keyring, check);
  const object = (tenant: string, id: string) => {
    const known = all.find((one) => one.id === id);
    if (known === undefined || tenant !== TENANT) throw new Error("There is no such connection.");
    return known.object;
  };
  const records = sealedRecords({ db: env.DB, object, log, now }).filter(
    ({ kind }) => kind === "connections",
  );
  const operations = createVaultOperations({
    ...{ db: env.DB, keyring, check, vault, records, log, now, audit: createAccessAudit(env.DB) },
  });
  return { operations, records };
}

describe("the keys are changed in four stages while 200 connections are in use", () => {
  let all: Connected[] = [];

  it("nothing fails, all are under the new key in the end, and the old key can go", async () => {
    const house = new ConnectionHouse();
    await env.DB.exec("DELETE FROM connection_uses");
    await env.DB.exec("DELETE FROM connections");
    const OLD = ring("k7", { k7: 7 });
    const ADDED = ring("k7", { k7: 7, k8: 8 });
    const NEW = ring("k8", { k7: 7, k8: 8 });
    const LAST = ring("k8", { k8: 8 });
    const settle = async (): Promise<void> => {
      for (let i = 0; i < 2; i++) await Promise.all(all.map(async (one) => one.object.poke(TENANT)));
    };
    house.keyring = OLD;
    houses.current = house;
    await die();
    all = Array.from({ length: 200 }, () => new Connected(house));
    await Promise.all(all.map(async (one) => one.grant()));
    await settle();
    const pending = { session: "cs_1", until: house.now + 10 * DAY_MS };
    await all[0]?.grant({ pending }, `${all[0].family}b`);
    await all[0]?.ring();
    /** All are used; every hour all have to be renewed. */
    const use = async (number: number): Promise<void> => {
      const said = await Promise.all(all.map(async (one) => one.said()));
      expect(said).toEqual(all.map(({ family }) => pairOf(family, number).accessToken));
    };
    const deploy = async (half: number): Promise<void> => {
      const gone = all.filter((_, i) => i % 2 === half);
      await Promise.all(gone.map(async (one) => evictDurableObject(one.object)));
    };
    await use(1);

    // 1. Add: half of the objects have it, half do not yet.
    house.keyring = ADDED;
    await deploy(0);
    house.later(HOUR_MS);
    await use(2);
    // 2. Wait, until all have it.
    await deploy(1);
    await use(2);
    await settle();
    // 3. Activate: half of the objects seal under the new key, half still under the old one, and each reads both.
    house.keyring = NEW;
    await deploy(0);
    house.later(HOUR_MS);
    await use(3);
    await settle();
    const { operations, records } = isolate(house, NEW, all);
    expect(await records[0]?.countByKid()).toEqual({ k7: 200, k8: 100 });
    expect(await operations.drop("k7", "root")).toMatchObject({ error: { code: "key_in_use" } });
    // A sweep while half of the objects are behind: these cannot move, and are not counted as if they had.
    let moved = 0;
    for (let i = 0; i < 6; i++) {
      const { rewrapped } = await operations.rewrap(40);
      moved += rewrapped["connections"] ?? 0;
      await use(3);
    }
    expect(moved).toBe(100);
    expect(await records[0]?.countByKid()).toEqual({ k7: 100, k8: 100 });
    await deploy(1);
    for (let i = 0; i < 6; i++) await operations.rewrap(40);
    expect(await records[0]?.countByKid()).toEqual({ k8: 200 });
    expect(await operations.rewrap(40)).toMatchObject({ rewrapped: {}, left: {} });
    await use(3);
    // 4. Drop.
    house.later(HOUR_MS);
    await use(4);
    await settle();
    expect(await operations.drop("k7", "root")).toMatchObject({ ok: true });
    house.keyring = LAST;
    await die();
    await use(4);
    house.later(HOUR_MS);
    await use(5);
    expect(await all[0]?.confirm("cs_1")).toMatchObject({ kind: "active" });
    expect(house.provider.reused).toBe(0);
    expect(house.provider.refreshes()).toBe(4 * 200);
  }, 300_000);
});

describe("a first grant that waits for its confirmation", () => {
  const [ADDED, LAST] = [ring("k4", { k3: 3, k4: 4 }), ring("k4", { k4: 4 })];

  async function waiting(keyring: Keyring): Promise<Connected> {
    const house = new ConnectionHouse();
    house.keyring = keyring;
    const one = new Connected(house);
    await one.grant({ pending: { session: "cs_1", until: house.now + DAY_MS } });
    await one.ring();
    return one;
  }

  const marked = async (one: Connected) =>
    env.DB.prepare("SELECT kids FROM unlisted_connections WHERE id = ?").bind(one.id).first("kids");

  it("is counted though nobody is shown it; its key cannot be dropped before it was moved, and it is confirmed after that", async () => {
    const one = await waiting(ring("k3", { k3: 3 }));
    one.house.keyring = ADDED;
    await evictDurableObject(one.object);
    const { operations, records } = isolate(one.house, ADDED, [one]);
    expect(await one.row()).toBe(null);
    expect(await records[0]?.countByKid()).toMatchObject({ k3: 1 });
    expect(await operations.drop("k3", "root")).toMatchObject({ error: { code: "key_in_use" } });
    await env.DB.exec("DELETE FROM connection_uses");
    await env.DB.exec("DELETE FROM connections");
    expect(await operations.rewrap(40)).toMatchObject({ rewrapped: { connections: 1 }, left: {} });
    expect(await records[0]?.countByKid()).toEqual({ k4: 1 });
    one.house.later(HOUR_MS);
    expect(await operations.drop("k3", "root")).toMatchObject({ ok: true });
    one.house.keyring = LAST;
    await evictDurableObject(one.object);
    expect(await one.confirm("cs_1")).toMatchObject({ kind: "active" });
    await one.ring();
    expect(await marked(one)).toBe("[]");
    expect(await one.row()).toMatchObject({ kids: '["k4"]' });
    expect(await records[0]?.countByKid()).toEqual({ k4: 1 });
  });

  it.each([
    ["discarded", async (one: Connected) => one.object.discard(TENANT, "cs_1")],
    ["taken back", async (one: Connected) => one.object.disconnect(TENANT, { by: "user" })],
    ["late", async ({ house }: Connected) => house.later(DAY_MS)],
  ])("is not counted any more when it was %s", async (_what, end) => {
    const one = await waiting(ring("k5", { k5: 5 }));
    await dropOldMarks(env.DB, one.house.now + DAY_MS, 10_000);
    expect(await marked(one)).toBe('["k5"]');
    await end(one);
    await one.ring();
    await one.ring();
    expect(await marked(one)).toBe("[]");
  });

  it("is not counted again by a message that comes late, whether it was given up or confirmed", async () => {
    const one = await waiting(ring("k5", { k5: 5 }));
    const key = await importHmacKey(new Uint8Array(32));
    const unlisted = { id: one.id, tenant: TENANT, kids: ["k5"] };
    const late = { at: one.house.now - 1, view: null, unlisted, sealed: null, uses: [], audit: [] };
    await writeMirrored(env.DB, key, audited, {
      ...late,
      at: one.house.now + 9,
      unlisted: { ...unlisted, kids: [] },
    });
    await writeMirrored(env.DB, key, audited, late);
    expect(await marked(one)).toBe("[]");
    await one.confirm("cs_1");
    await one.ring();
    await dropOldMarks(env.DB, one.house.now + DAY_MS, 10_000);
    await writeMirrored(env.DB, key, audited, late);
    expect(await marked(one)).toBe(null);
  });
});

describe("texts that stand where they were not sealed for", () => {
  async function two(): Promise<[Connected, Connected]> {
    const house = new ConnectionHouse();
    return [await connected(house), await connected(house)];
  }

  it("in the object, of another connection: not opened, not used, not sent", async () => {
    const [one, other] = await two();
    const [mine, theirs] = [await one.record(), await other.record()];
    const { grant } = theirs ?? {};
    await one.put("record", { ...mine, grant: { ...mine?.grant, sealed: grant?.sealed } });
    await die();
    expect(await one.acquire()).toMatchObject({ reason: "unavailable", detail: "vault" });
    await one.put("record", mine);
    const integration = await one.kept<KeptIntegration>("integration");
    const foreign = await other.kept<KeptIntegration>("integration");
    await one.put("integration", { ...integration, sealedSecret: foreign?.sealedSecret });
    one.house.later(HOUR_MS);
    expect(await one.acquire()).toMatchObject({ reason: "unavailable" });
    expect(one.house.provider.refreshes()).toBe(0);
    expect(await one.object.view(TENANT)).toMatchObject({ standing: { status: "active" } });
  });

  it("in the object, of an earlier version: not opened", async () => {
    const one = await connected();
    const before = await one.record();
    one.house.later(HOUR_MS);
    await one.token();
    const after = await one.record();
    await one.put("record", { ...after, grant: { ...after?.grant, sealed: before?.grant.sealed } });
    await die();
    expect(await one.acquire()).toMatchObject({ reason: "unavailable", detail: "vault" });
    await one.put("record", after);
    expect(await one.said()).toBe(pairOf(one.family, 2).accessToken);
  });

  it("in the object, of another tenant's slot: not opened", async () => {
    const one = await connected();
    const kept = await one.kept<{ slot: object; id: string }>("slot");
    await one.put("slot", { ...kept, slot: { ...kept?.slot, tenant: "other" } });
    await die();
    const slot = { ...one.slot, tenant: "other" };
    expect(await one.acquire({ slot })).toMatchObject({ reason: "unavailable", detail: "vault" });
  });

  it("in the database, nothing is ever opened: neither a token nor a host nor a life comes from there", async () => {
    const [one, other] = await two();
    const theirs = await other.row();
    const alter = async (): Promise<void> => {
      await env.DB.prepare(
        `UPDATE connections SET sealed = ?, version = 1, status = 'active', reason = NULL, account_mac = NULL,
           workflows = '["evil"]', scopes = '["read","write"]', epoch = 7, kids = '["k1"]' WHERE id = ?`,
      )
        .bind(theirs?.["sealed"], one.id)
        .run();
    };
    await alter();
    await die();
    expect(await one.token()).toMatchObject({
      ...{ accessToken: pairOf(one.family, 1).accessToken, epoch: 1, scopes: ["read"] },
      provider: { hosts: ["api.double.example"] },
    });
    await one.object.report(TENANT, { kind: "token_dead", version: 1 });
    await one.ring();
    await alter();
    await die();
    expect(await one.said()).toBe("revoked");
    await one.object.rewrap(TENANT);
    expect(await one.row()).toMatchObject({ status: "dead", epoch: 1, workflows: null, scopes: '["read"]' });
    await one.object.disconnect(TENANT, { by: "user" });
    await one.ring();
    await alter();
    await die();
    expect(await one.said()).toBe("missing");
  });
});
