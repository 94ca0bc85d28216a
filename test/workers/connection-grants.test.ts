import { evictDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { siblingsOf } from "../../src/connections/index.ts";
import { importHmacKey } from "../../src/platform/index.ts";
import { latePlace, sealPair } from "../../src/connections/sealing.ts";
import type { Leaving, Revoking } from "../../src/connections/store.ts";
import { createVault } from "../../src/vault/index.ts";
import { ring } from "../vault/support.ts";
import { pairOf } from "./connection-double.ts";
import { ConnectionHouse } from "./connection-house.ts";
import { Connected, DAY_MS, HOUR_MS, MINUTE_MS, TENANT } from "./connection-support.ts";

const BY_USER = { by: "user" } as const;

async function connected(style: "strict" | "leeway" | "static" = "strict"): Promise<Connected> {
  const one = new Connected(new ConnectionHouse(style));
  await one.grant();
  await one.ring();
  return one;
}

/** As in the product: by the listing, and by the objects. */
function asksSiblings(house: ConnectionHouse, all: readonly Connected[]): void {
  house.siblings = async (granted) =>
    siblingsOf(
      {
        db: env.DB,
        serverKey: async () => importHmacKey(new Uint8Array(32).fill(7)),
        object: (_tenant, id) => {
          const found = all.find((one) => one.id === id);
          if (found === undefined) throw new Error("There is no such connection.");
          return found.object;
        },
      },
      granted,
    );
}

/** An integration as it stands in the database. */
async function integrated(
  name: string,
  { clientId, revoke }: { readonly clientId: string; readonly revoke: string },
): Promise<void> {
  const fixed = { provider: { kind: "oauth2", revoke: { url: revoke } }, clientId };
  await env.DB.prepare(
    `INSERT INTO integrations (tenant, name, provider, kind, owner, fixed, settings, version, secret_version, created_at,
       created_by, updated_at) VALUES (?, ?, 'custom', 'oauth2', 'user', ?, '{}', 1, 1, 0, 'test', 0)`,
  )
    .bind(TENANT, name, JSON.stringify(fixed))
    .run();
}

const pendingOf = (one: Connected, session: string) => ({
  pending: { session, until: one.house.now + 15 * MINUTE_MS },
});

const ANOTHER = { account: { id: "account-2", label: "bob@example.com" } } as const;

describe("a connection that is taken back", () => {
  it("gives no token from that moment on, the provider is told once, and all that was secret is gone", async () => {
    const one = await connected();
    expect(await one.object.disconnect(TENANT, BY_USER)).toMatchObject({
      standing: { status: "revoking" },
      revocation: { outcome: "pending" },
    });
    expect(await one.said()).toBe("missing");
    expect(await one.object.renew(one.ask(), 1)).toMatchObject({ reason: "missing" });
    await one.ring();
    expect(one.house.provider.revoked).toEqual([pairOf(one.family, 1).refreshToken]);
    expect(await one.record()).toMatchObject({
      standing: { status: "disconnected" },
      grant: { sealed: null },
    });
    expect(await one.kept("integration")).toBeUndefined();
    expect(await one.row()).toMatchObject({ status: "disconnected", sealed: null, kids: "[]" });
    expect(JSON.parse(String((await one.row())?.["revocation"]))).toMatchObject({
      outcome: "revoked",
      tries: 1,
    });
    // Nothing but that the run that asked is forgotten in time.
    expect((await one.alarmAt()) ?? 0).toBeGreaterThan(one.house.now + DAY_MS);
    // Again, it is as it was.
    expect(await one.object.disconnect(TENANT, BY_USER)).toMatchObject({
      standing: { status: "disconnected" },
    });
    await one.ring();
    expect(one.house.provider.revocations()).toBe(1);
    expect(await one.audited()).toEqual([
      "connection.grant",
      "connection.disconnect",
      "connection.disconnected",
    ]);
  });

  it("with a refresh in flight: no caller gets the new token, and the new pair is what the provider is told of", async () => {
    const one = await connected();
    const { provider } = one.house;
    one.house.later(HOUR_MS);
    provider.hold();
    const arrived = provider.arrival();
    const asked = Promise.all(Array.from({ length: 10 }, async () => one.said()));
    await arrived;
    await one.object.disconnect(TENANT, BY_USER);
    expect(await one.said()).toBe("missing");
    const ringing = one.ring();
    provider.release();
    expect(new Set(await asked)).toEqual(new Set(["missing"]));
    await ringing;
    await one.ring();
    expect(provider.current(one.family)).toBe(2);
    expect(provider.revoked).toEqual([pairOf(one.family, 2).refreshToken]);
    expect(await one.record()).toMatchObject({
      standing: { status: "disconnected" },
      grant: { sealed: null },
    });
    expect(await one.row()).toMatchObject({ status: "disconnected", sealed: null });
  });

  it("with a refresh in flight for a token that still lives: that one is not given either", async () => {
    const one = await connected();
    const { provider } = one.house;
    one.house.later(HOUR_MS - MINUTE_MS);
    provider.hold();
    provider.standing = { status: 503 };
    const arrived = provider.arrival();
    const asked = one.said();
    await arrived;
    await one.object.disconnect(TENANT, BY_USER);
    provider.release();
    expect(await asked).toBe("missing");
  });

  it("keeps the grant at the provider where another connection lives on it", async () => {
    const one = await connected();
    one.house.siblings = async () => "living";
    await one.object.disconnect(TENANT, { by: "user" });
    expect(await one.said()).toBe("missing");
    await one.ring();
    expect(one.house.provider.revocations()).toBe(0);
    expect(one.house.provider.isDead(one.family)).toBe(false);
    expect(await one.object.view(TENANT)).toMatchObject({
      standing: { status: "disconnected" },
      revocation: { outcome: "kept_for_siblings" },
      kids: [],
    });
  });

  it("whose siblings cannot be asked: gives no token, and is told when they were, without the caller", async () => {
    const one = await connected();
    one.house.siblings = async () => {
      throw new Error("D1_ERROR: Network connection lost.");
    };
    expect(await one.object.disconnect(TENANT, BY_USER)).toMatchObject({
      ...{ standing: { status: "revoking" }, revocation: { outcome: "pending" }, undecided: true },
    });
    await one.ring();
    await one.toNextAlarm();
    expect(await one.said()).toBe("missing");
    expect(one.house.provider.revocations()).toBe(0);
    one.house.siblings = async () => "none";
    while ((await one.record())?.standing.status === "revoking") await one.toNextAlarm();
    expect(one.house.provider.revoked).toEqual([pairOf(one.family, 1).refreshToken]);
    expect(await one.object.view(TENANT)).toMatchObject({
      revocation: { outcome: "revoked" },
      undecided: false,
    });
  });

  it("whose siblings can never be asked is shredded after a day, and the provider is not told", async () => {
    const one = await connected();
    const since = one.house.now;
    one.house.siblings = async () => "undecided";
    await one.object.disconnect(TENANT, BY_USER);
    for (let i = 0; i < 5; i++) await one.toNextAlarm();
    expect(await one.object.view(TENANT)).toMatchObject({ standing: { status: "revoking" } });
    one.house.now = since + DAY_MS;
    await one.ring();
    expect(await one.object.view(TENANT)).toMatchObject({ revocation: { outcome: "gave_up" }, kids: [] });
    expect(one.house.provider.revocations()).toBe(0);
  });

  it.each([2, 3, 5])(
    "%i of one account that are taken back at once: exactly one tells the provider",
    async (count) => {
      const house = new ConnectionHouse();
      const all = Array.from({ length: count }, () => new Connected(house));
      const account = { id: `shared-${count}`, label: null };
      for (const one of all) {
        await one.grant({ account });
        await one.ring();
      }
      asksSiblings(house, all);
      await Promise.all(all.toReversed().map(async (one) => one.object.disconnect(TENANT, BY_USER)));
      const isOpen = async (one: Connected): Promise<boolean> =>
        (await one.record())?.standing.status === "revoking";
      for (let i = 0; i < 20; i++) {
        for (const one of all) await one.ring();
        if ((await Promise.all(all.map(isOpen))).every((open) => !open)) break;
        house.later(MINUTE_MS);
      }
      const views = await Promise.all(all.map(async (one) => one.object.view(TENANT)));
      expect(
        views.map((view) => view?.revocation?.outcome ?? "").toSorted((a, b) => (a < b ? -1 : 1)),
      ).toEqual([...Array.from({ length: count - 1 }, () => "kept_for_siblings"), "revoked"]);
      expect(house.provider.revocations()).toBe(1);
    },
  );

  it.each([
    ["the same app at the provider, under another name", {}, 0],
    ["another app", { clientId: "another" }, 1],
    ["an app of that name at another provider", { revoke: "https://other.example/revoke" }, 1],
  ])("whose account lives in another integration, which is %s", async (what, differs, revocations) => {
    const house = new ConnectionHouse();
    const at = what.replaceAll(/[^a-z]/g, "");
    const app = { clientId: `${at}-client`, revoke: "https://double.example/revoke" };
    await integrated(`${at}-old`, app);
    await integrated(`${at}-new`, { ...app, ...differs });
    const [old, moved] = [new Connected(house, `${at}-old`), new Connected(house, `${at}-new`)];
    asksSiblings(house, [old, moved]);
    for (const one of [old, moved]) {
      await one.grant();
      await one.ring();
    }
    await old.object.disconnect(TENANT, BY_USER);
    await old.ring();
    expect(house.provider.revocations()).toBe(revocations);
    expect(await old.object.view(TENANT)).toMatchObject({
      revocation: { outcome: revocations === 0 ? "kept_for_siblings" : "revoked" },
    });
    expect(await moved.said()).toBe(pairOf(moved.family, 1).accessToken);
  });

  it(
    "is told to a provider that is away less and less often for a day, then given up, and shredded all the same",
    { timeout: 30_000 },
    async () => {
      const one = await connected();
      const { provider } = one.house;
      const since = one.house.now;
      provider.revokeStanding = { status: 503 };
      await one.object.disconnect(TENANT, BY_USER);
      await one.ring();
      let last = 0;
      for (let rings = 0; (await one.record())?.standing.status === "revoking"; rings++) {
        const at = (await one.alarmAt()) ?? 0;
        expect(rings).toBeLessThan(50);
        expect(at).toBeGreaterThan(one.house.now);
        if (at < since + DAY_MS) expect(at - one.house.now).toBeGreaterThanOrEqual(last);
        last = at - one.house.now;
        await one.toNextAlarm();
        expect(await one.said()).toBe("missing");
      }
      expect(one.house.now).toBe(since + DAY_MS);
      expect(provider.revocations()).toBeLessThan(50);
      expect(await one.object.view(TENANT)).toMatchObject({
        standing: { status: "disconnected" },
        revocation: { outcome: "gave_up", tries: provider.revocations() },
        kids: [],
      });
    },
  );

  it("a provider that wants to be left alone for a week is not waited for longer than a day", async () => {
    const one = await connected();
    const since = one.house.now;
    one.house.provider.revokeStanding = { status: 503, retryAfter: (7 * DAY_MS) / 1_000 };
    await one.object.disconnect(TENANT, BY_USER);
    await one.ring();
    expect(await one.alarmAt()).toBe(since + DAY_MS);
  });

  it("a provider that refuses the client has revoked nothing, and it is not said that it has", async () => {
    for (const refusal of [
      { status: 401, error: "invalid_client" },
      { status: 400, error: "invalid_client" },
    ]) {
      const one = await connected();
      one.house.provider.revokeFates.push(refusal);
      await one.object.disconnect(TENANT, BY_USER);
      await one.ring();
      expect(await one.object.view(TENANT)).toMatchObject({ revocation: { outcome: "pending", tries: 1 } });
      await one.toNextAlarm();
      expect(await one.object.view(TENANT)).toMatchObject({ revocation: { outcome: "revoked", tries: 2 } });
    }
  });

  it("a token that the provider does not know any more is as good as revoked", async () => {
    const one = await connected();
    one.house.provider.revokeFates.push({ status: 400, error: "invalid_token" });
    await one.object.disconnect(TENANT, BY_USER);
    await one.ring();
    expect(await one.object.view(TENANT)).toMatchObject({ revocation: { outcome: "revoked" } });
  });

  it("a new consent of the same account meanwhile ends the taking back, also of what is being told", async () => {
    const one = await connected();
    const { provider } = one.house;
    provider.revokeStanding = { status: 503 };
    await one.object.disconnect(TENANT, BY_USER);
    await one.ring();
    provider.hold();
    const arrived = provider.arrival();
    one.house.now = (await one.alarmAt()) ?? 0;
    const ringing = one.ring();
    await arrived;
    const again = `${one.family}b`;
    expect(await one.grant({}, again)).toMatchObject({ kind: "active", replaced: false });
    provider.release();
    await ringing;
    await one.ring();
    expect(await one.said()).toBe(pairOf(again, 1).accessToken);
    one.house.later(MINUTE_MS);
    await one.ring();
    expect(await one.alarmAt()).toBe(null);
    expect(provider.isDead(again)).toBe(false);
    expect(await one.kept<Revoking>("revoking")).toBeUndefined();
    expect(await one.row()).toMatchObject({ status: "active", version: 2 });
  });

  it.each([
    ["of this account", {}],
    ["that does not say of which account it is", { account: { id: null, label: null } }],
  ])("is not told while a consent %s waits here: confirmed, it lives", async (_whose, whose) => {
    const one = await connected();
    const { provider } = one.house;
    provider.revokeStanding = { status: 503 };
    await one.object.disconnect(TENANT, BY_USER);
    await one.ring();
    provider.revokeStanding = "ok";
    const tried = provider.revocations();
    const again = `${one.family}b`;
    await one.grant({ ...pendingOf(one, "cs_1"), ...whose }, again);
    one.house.later(MINUTE_MS);
    await one.ring();
    expect(provider.revocations()).toBe(tried);
    expect(await one.confirm("cs_1")).toMatchObject({ kind: "active" });
    one.house.later(20 * MINUTE_MS);
    await one.ring();
    expect(provider.revocations()).toBe(tried);
    expect(await one.said()).toBe(pairOf(again, 1).accessToken);
  });

  it("is told with a consent of this account that waited here, and was never confirmed", async () => {
    const one = await connected();
    const { provider } = one.house;
    provider.revokeStanding = { status: 503 };
    await one.object.disconnect(TENANT, BY_USER);
    await one.ring();
    provider.revokeStanding = "ok";
    const again = `${one.family}b`;
    await one.grant(pendingOf(one, "cs_1"), again);
    one.house.later(MINUTE_MS);
    await one.ring();
    expect(await one.object.view(TENANT)).toMatchObject({ standing: { status: "revoking" } });
    one.house.later(15 * MINUTE_MS);
    await one.ring();
    expect(provider.revoked.toSorted()).toEqual(
      [one.family, again].map((family) => pairOf(family, 1).refreshToken),
    );
    expect(await one.object.view(TENANT)).toMatchObject({ revocation: { outcome: "revoked" }, kids: [] });
  });

  it("is told to the provider also if another account has taken the place, whose grant is left alone", async () => {
    const one = await connected();
    const { house } = one;
    house.provider.revokeStanding = { status: 503 };
    await one.object.disconnect(TENANT, BY_USER);
    await one.ring();
    const again = `${one.family}b`;
    expect(await one.grant(ANOTHER, again)).toMatchObject({ kind: "active", replaced: true });
    await one.ring();
    expect(await one.object.view(TENANT)).toMatchObject({ revocation: null, kids: ["k1"] });
    // The keys are changed meanwhile.
    house.keyring = ring("k2", { k1: 1, k2: 2 });
    await evictDurableObject(one.object);
    expect(await one.object.rewrap(TENANT)).toBe(true);
    expect(await one.object.view(TENANT)).toMatchObject({ kids: ["k2"] });
    house.keyring = ring("k2", { k2: 2 });
    await evictDurableObject(one.object);
    house.provider.revokeStanding = "ok";
    house.later(MINUTE_MS);
    await one.object.poke(TENANT);
    expect(house.provider.revoked).toEqual([pairOf(one.family, 1).refreshToken]);
    await one.ring();
    expect(await one.alarmAt()).toBe(null);
    expect(await one.kept<Revoking>("revoking")).toBeUndefined();
    expect(await one.audited()).toContain("connection.disconnected");
    expect(house.provider.isDead(again)).toBe(false);
    expect(await one.said()).toBe(pairOf(again, 1).accessToken);
    expect(await one.row()).toMatchObject({ status: "active", revocation: null });
  });

  it("with a refresh in flight, and another account comes first: what the refresh brought is told to the provider", async () => {
    const one = await connected();
    const { house } = one;
    const { provider } = house;
    house.later(HOUR_MS);
    provider.hold();
    const arrived = provider.arrival();
    const asked = one.said();
    await arrived;
    await one.object.disconnect(TENANT, BY_USER);
    const again = `${one.family}b`;
    expect(await one.grant(ANOTHER, again)).toMatchObject({ kind: "active", epoch: 2 });
    const ringing = one.ring();
    provider.release();
    expect(await asked).toBe(pairOf(again, 1).accessToken);
    await ringing;
    await one.ring();
    // The first was rotated away: a provider may take it for unknown, and leave the grant alive.
    expect(provider.revoked).toEqual([pairOf(one.family, 2).refreshToken]);
    expect(provider.isDead(again)).toBe(false);
    expect(await one.kept("leaving")).toBeUndefined();
    expect(await one.alarmAt()).toBe(null);
  });

  it("what a refresh brought late is moved with the keys as well", async () => {
    const one = await connected();
    const { house } = one;
    house.provider.revokeStanding = { status: 503 };
    await one.object.disconnect(TENANT, BY_USER);
    await one.grant(ANOTHER, `${one.family}b`);
    await one.ring();
    const [left] = (await one.kept<Leaving[]>("leaving")) ?? [];
    expect(left).toMatchObject({ of: { kind: "pair", version: 1 }, tries: 1 });
    const vault = createVault(house.keyring);
    const sealed = await sealPair(vault, latePlace(one.slot, one.id, 1), pairOf(one.family, 2));
    await one.put("leaving", [{ ...left, of: { kind: "late", version: 1 }, sealed }]);
    house.keyring = ring("k2", { k1: 1, k2: 2 });
    await evictDurableObject(one.object);
    expect(await one.object.rewrap(TENANT)).toBe(true);
    expect(await one.object.view(TENANT)).toMatchObject({ kids: ["k2"] });
    house.keyring = ring("k2", { k2: 2 });
    await evictDurableObject(one.object);
    house.provider.revokeStanding = "ok";
    house.later(MINUTE_MS);
    await one.object.poke(TENANT);
    expect(house.provider.revoked).toEqual([pairOf(one.family, 2).refreshToken]);
  });

  it("and the next account as well: the provider is told of both, though it could not be told of the first yet", async () => {
    const one = await connected();
    const { provider } = one.house;
    provider.revokeStanding = { status: 503 };
    const families = [one.family, `${one.family}b`, `${one.family}c`];
    await one.object.disconnect(TENANT, BY_USER);
    await one.grant(ANOTHER, families[1]);
    await one.object.disconnect(TENANT, BY_USER);
    await one.grant({ account: { id: "account-3", label: null } }, families[2]);
    await one.ring();
    provider.revokeStanding = "ok";
    one.house.later(MINUTE_MS);
    await one.object.poke(TENANT);
    expect(families.map((family) => provider.isDead(family))).toEqual([true, true, false]);
    expect(await one.said()).toBe(pairOf(families[2] ?? "", 1).accessToken);
  });

  it("takes with it what waits for a confirmation", async () => {
    const one = await connected();
    await one.grant(pendingOf(one, "cs_1"), `${one.family}b`);
    await one.object.disconnect(TENANT, BY_USER);
    expect(await one.confirm("cs_1")).toEqual({ kind: "not_found" });
    await one.ring();
    expect(await one.said()).toBe("missing");
  });
});

describe("a grant of another account", () => {
  it("that nobody asked for is not kept, and changes nothing", async () => {
    const one = await connected();
    const before = await one.record();
    expect(await one.grant(ANOTHER, `${one.family}b`)).toEqual({ kind: "account_mismatch" });
    expect(await one.grant({ ...ANOTHER, ...pendingOf(one, "cs_1") }, `${one.family}c`)).toEqual({
      kind: "account_mismatch",
    });
    expect(await one.record()).toEqual(before);
    expect(await one.said()).toBe(pairOf(one.family, 1).accessToken);
    expect(await one.object.view(TENANT)).toMatchObject({ account: { id: "account-1" } });
  });

  it("that nobody asked for: the provider is told that it is over, and of nothing else", async () => {
    const one = await connected();
    const [direct, waiting, again] = [`${one.family}b`, `${one.family}c`, `${one.family}d`];
    await one.grant({ ...ANOTHER, session: "cs_1" }, direct);
    await one.ring();
    await one.grant({ ...ANOTHER, ...pendingOf(one, "cs_2"), session: "cs_2" }, waiting);
    await one.ring();
    const { provider } = one.house;
    expect(provider.revoked).toEqual([direct, waiting].map((family) => pairOf(family, 1).refreshToken));
    expect(await one.kept("leaving")).toBeUndefined();
    expect(await one.said()).toBe(pairOf(one.family, 1).accessToken);
    // It may live elsewhere, or nobody consented to it.
    one.house.siblings = async () => "living";
    await one.grant({ ...ANOTHER, session: "cs_3" }, again);
    await one.ring();
    one.house.siblings = async () => "none";
    await one.grant(ANOTHER, again);
    await one.ring();
    expect(provider.revocations()).toBe(2);
    expect(await one.alarmAt()).toBe(null);
  });

  it("that came while a vault is away is refused as well", async () => {
    const one = await connected();
    one.house.keyring = ring("k1", { k1: 9 });
    await evictDurableObject(one.object);
    expect(await one.grant({ ...ANOTHER, session: "cs_1" }, `${one.family}b`)).toEqual({
      kind: "account_mismatch",
    });
    expect(await one.kept("leaving")).toBeUndefined();
  });

  it("whose place somebody has another one take: the provider is told of it, unless it lives elsewhere", async () => {
    for (const [siblings, revoked] of [
      ["none", 1],
      ["living", 0],
    ] as const) {
      const one = await connected();
      one.house.siblings = async ({ account }) => (account.id === "account-1" ? siblings : "none");
      const again = `${one.family}b`;
      await one.grant({ ...ANOTHER, replaceAccount: true }, again);
      await one.ring();
      const { provider } = one.house;
      expect(provider.revoked).toEqual([pairOf(one.family, 1).refreshToken].slice(0, revoked));
      expect(await one.said()).toBe(pairOf(again, 1).accessToken);
      expect(await one.kept("leaving")).toBeUndefined();
    }
  });

  it("is not kept for a dead connection either", async () => {
    const one = await connected();
    await one.object.report(TENANT, { kind: "token_dead", version: 1 });
    expect(await one.grant(ANOTHER, `${one.family}b`)).toEqual({ kind: "account_mismatch" });
    expect(await one.said()).toBe("revoked");
  });

  it("that somebody asked for takes the place; runs that began with the old one wait until they are told otherwise", async () => {
    const one = await connected();
    expect(await one.token({ epoch: 1 })).toMatchObject({ epoch: 1 });
    const again = `${one.family}b`;
    expect(await one.grant({ ...ANOTHER, replaceAccount: true }, again)).toEqual({
      ...{ kind: "active", epoch: 2, replaced: true },
    });
    expect(await one.said({ epoch: 1 })).toBe("replaced");
    expect(await one.token({ epoch: 2 })).toMatchObject({
      accessToken: pairOf(again, 1).accessToken,
      epoch: 2,
    });
    expect(await one.token()).toMatchObject({ epoch: 2 });
  });

  it("after the old one was taken back is a new beginning, which old runs do not join", async () => {
    const one = await connected();
    await one.object.disconnect(TENANT, BY_USER);
    await one.ring();
    expect(await one.grant(ANOTHER, `${one.family}b`)).toMatchObject({
      kind: "active",
      epoch: 2,
      replaced: true,
    });
    expect(await one.said({ epoch: 1 })).toBe("replaced");
    expect(await one.record()).toMatchObject({ grant: { version: 2 } });
  });
});

describe("a grant of an account that cannot be told", () => {
  const NOBODY = { account: { id: null, label: null } };

  it("does not take the place of a known one, waiting for a confirmation or not", async () => {
    const one = await connected();
    const before = await one.record();
    expect(await one.grant(NOBODY, `${one.family}b`)).toEqual({ kind: "identity_unverified" });
    expect(await one.grant({ ...NOBODY, ...pendingOf(one, "cs_1") }, `${one.family}c`)).toEqual({
      kind: "identity_unverified",
    });
    expect(await one.record()).toEqual(before);
  });

  it("is not confirmed where a known one came first", async () => {
    const one = new Connected(new ConnectionHouse());
    await one.grant({ ...NOBODY, ...pendingOf(one, "cs_1") });
    await one.grant({}, `${one.family}b`);
    expect(await one.confirm("cs_1")).toEqual({ kind: "identity_unverified" });
    expect(await one.kept("pending")).toEqual([]);
    expect(await one.said()).toBe(pairOf(`${one.family}b`, 1).accessToken);
  });

  it.each([
    ["that somebody asked for", { replaceAccount: true }, false],
    ["after the old one was taken back", {}, true],
    ["after that, whoever vouches for it", { sameAccount: true }, true],
  ])("%s is another one to the runs that began before", async (_, more, takenBack) => {
    const one = await connected();
    if (takenBack) await one.object.disconnect(TENANT, BY_USER);
    if (takenBack) await one.ring();
    expect(await one.grant({ ...NOBODY, ...more }, `${one.family}b`)).toMatchObject({
      ...{ kind: "active", epoch: 2, replaced: true },
    });
    expect(await one.said({ epoch: 1 })).toBe("replaced");
  });

  it("in the place of another such is another one, too, unless who brings it vouches for it", async () => {
    const one = new Connected(new ConnectionHouse());
    await one.grant(NOBODY);
    expect(await one.grant(NOBODY, `${one.family}b`)).toMatchObject({ epoch: 2, replaced: true });
    const vouched = { ...NOBODY, replaceAccount: true, sameAccount: true };
    expect(await one.grant(vouched, `${one.family}c`)).toMatchObject({ epoch: 2, replaced: false });
    expect(await one.said({ epoch: 2 })).toBe(pairOf(`${one.family}c`, 1).accessToken);
  });

  it("keeps what is known of it where who brings it vouches for it; against a known one nobody can", async () => {
    const one = await connected();
    const vouched = { replaceAccount: true, sameAccount: true };
    expect(await one.grant({ ...NOBODY, ...vouched }, `${one.family}b`)).toMatchObject({ epoch: 1 });
    expect(await one.object.view(TENANT)).toMatchObject({ account: { id: "account-1" } });
    expect(await one.grant({ ...ANOTHER, ...vouched }, `${one.family}c`)).toMatchObject({ epoch: 2 });
  });
});

describe("a grant that waits for its confirmation", () => {
  it("leaves the old one as it was; confirmed, it takes the place, once", async () => {
    const one = await connected();
    const again = `${one.family}b`;
    expect(await one.grant(pendingOf(one, "cs_1"), again)).toEqual({ kind: "pending" });
    one.house.later(4 * MINUTE_MS);
    expect(await one.said()).toBe(pairOf(one.family, 1).accessToken);
    const both = await Promise.all([one.confirm("cs_1"), one.confirm("cs_1")]);
    const active = { kind: "active", epoch: 1, replaced: false };
    expect(both).toEqual([active, active]);
    one.house.later(HOUR_MS);
    expect(await one.said()).toBe(pairOf(again, 2).accessToken);
    expect(await one.confirm("cs_1")).toEqual(active);
    expect(await one.record()).toMatchObject({ grant: { version: 3 } });
    expect((await one.audited()).filter((action) => action === "connection.grant")).toHaveLength(1);
    await one.ring();
    expect((await one.audited()).filter((action) => action === "connection.grant")).toHaveLength(2);
    // The next one is another: what it replaced is not confirmed by it.
    await one.grant({}, `${one.family}c`);
    expect(await one.confirm("cs_1")).toEqual({ kind: "not_found" });
  });

  it("where there is none yet: missing until then, and who waits is woken by the confirmation alone", async () => {
    const one = new Connected(new ConnectionHouse());
    expect(await one.said()).toBe("missing");
    await one.grant(pendingOf(one, "cs_1"));
    await one.ring();
    expect(await one.said()).toBe("missing");
    expect(one.house.woken).toEqual([]);
    expect(await one.row()).toBe(null);
    // The audit does not wait for a consent that may never come.
    expect(await one.audited()).toEqual(["connection.pending"]);
    await one.confirm("cs_1");
    await one.ring();
    expect(one.house.woken).toEqual([`run_${one.id}`]);
    expect(await one.said()).toBe(pairOf(one.family, 1).accessToken);
  });

  it("refreshes of the old one meanwhile do not disturb it", async () => {
    const one = await connected();
    const { provider } = one.house;
    const again = `${one.family}b`;
    await one.grant({ pending: { session: "cs_1", until: one.house.now + 2 * HOUR_MS } }, again);
    one.house.later(HOUR_MS);
    expect(await one.said()).toBe(pairOf(one.family, 2).accessToken);
    provider.hold();
    one.house.later(HOUR_MS - 1);
    const arrived = provider.arrival();
    const asked = one.said();
    await arrived;
    await one.confirm("cs_1");
    provider.release();
    // The new pair is as old as its consent: it is renewed in its turn.
    expect(await asked).toBe(pairOf(again, 2).accessToken);
    expect(await one.record()).toMatchObject({ grant: { version: 4 } });
  });

  it("is dropped after its time, and cannot be confirmed any more", async () => {
    const one = await connected();
    await one.grant(pendingOf(one, "cs_1"), `${one.family}b`);
    await one.ring();
    expect(await one.toNextAlarm()).toBe(one.house.now);
    expect(await one.kept("pending")).toEqual([]);
    expect(await one.confirm("cs_1")).toEqual({ kind: "not_found" });
    expect(await one.audited()).toContain("connection.unconfirmed");
    expect(await one.alarmAt()).toBe(null);
    expect(await one.said()).toBe(pairOf(one.family, 1).accessToken);
  });

  it("is discarded for good", async () => {
    const one = await connected();
    await one.grant(pendingOf(one, "cs_1"), `${one.family}b`);
    await one.object.discard(TENANT, "cs_1");
    expect(await one.confirm("cs_1")).toEqual({ kind: "not_found" });
    await one.ring();
    expect(await one.alarmAt()).toBe(null);
  });

  it("several wait beside each other, four at most; each is confirmed by its own session", async () => {
    const one = await connected();
    for (let i = 1; i <= 5; i++) await one.grant(pendingOf(one, `cs_${i}`), `${one.family}n${i}`);
    expect(await one.confirm("cs_1")).toEqual({ kind: "not_found" });
    expect(await one.confirm("cs_3")).toMatchObject({ kind: "active" });
    expect(await one.said()).toBe(pairOf(`${one.family}n3`, 1).accessToken);
    expect(await one.confirm("cs_5")).toMatchObject({ kind: "active" });
    expect(await one.said()).toBe(pairOf(`${one.family}n5`, 1).accessToken);
  });

  it("of an account that came to be another one meanwhile is not kept", async () => {
    const one = new Connected(new ConnectionHouse());
    await one.grant({ ...ANOTHER, ...pendingOf(one, "cs_1") }, `${one.family}b`);
    await one.grant();
    expect(await one.confirm("cs_1")).toEqual({ kind: "account_mismatch" });
    expect(await one.kept("pending")).toEqual([]);
    expect(await one.said()).toBe(pairOf(one.family, 1).accessToken);
  });

  it("has the secret that its integration has when it is used, not the one that it had when it came", async () => {
    const one = await connected();
    const again = `${one.family}b`;
    await one.grant(pendingOf(one, "cs_1"), again);
    const changed = { ...one.integration(), version: 2, secret: "client-secret-2" };
    await one.object.updateIntegration(TENANT, changed);
    await one.confirm("cs_1");
    one.house.later(HOUR_MS);
    expect(await one.said()).toBe(pairOf(again, 2).accessToken);
    expect(one.house.provider.reached.map(({ secret }) => secret)).toEqual(["client-secret-2"]);
  });

  it("as the first of its place: is for the workflows, and has the secret, of the time when it is confirmed", async () => {
    const one = new Connected(new ConnectionHouse());
    await one.grant({ ...pendingOf(one, "cs_1"), workflows: ["mail", "wide"] });
    // Narrowed meanwhile; nobody could tell a connection that is not there yet.
    const changed = { version: 2, secret: "client-secret-2", workflows: ["mail"] };
    expect(await one.confirm("cs_1", changed)).toMatchObject({ kind: "active" });
    expect(await one.said({ workflow: "wide" })).toBe("not_for_workflow");
    expect(await one.said({ workflow: "mail" })).toBe(pairOf(one.family, 1).accessToken);
    expect(await one.object.view(TENANT)).toMatchObject({ integrationVersion: 2, workflows: ["mail"] });
    one.house.later(HOUR_MS);
    await one.token();
    expect(one.house.provider.reached.map(({ secret }) => secret)).toEqual(["client-secret-2"]);
  });

  it("is not moved to another provider by what is said of its integration, nor back to an older one", async () => {
    const one = new Connected(new ConnectionHouse());
    const now = { ...one.integration(), version: 2 };
    await one.grant({ ...pendingOf(one, "cs_1"), integration: now, workflows: ["mail"] });
    await one.grant({ ...pendingOf(one, "cs_2"), integration: now, workflows: ["mail"] });
    await one.confirm("cs_1", { version: 1, workflows: ["wide"] });
    expect(await one.object.view(TENANT)).toMatchObject({ integrationVersion: 2, workflows: ["mail"] });
    const elsewhere = { ...one.house.provider.descriptor(), hosts: ["evil.example"] };
    await one.confirm("cs_2", { version: 3, provider: elsewhere, clientId: "evil" });
    expect(await one.token()).toMatchObject({ provider: { hosts: ["api.double.example"] } });
    expect(await one.kept("integration")).toMatchObject({ version: 3, clientId: "client" });
  });
});

describe("a grant that is never confirmed", () => {
  const REVOKED = (family: string) => pairOf(family, 1).refreshToken;

  /** Until all is done. */
  async function rest(one: Connected): Promise<void> {
    for (let i = 0; i < 5; i++) await one.ring();
  }

  it.each([
    [
      "expired",
      async (one: Connected) => {
        one.house.later(15 * MINUTE_MS);
      },
    ],
    ["discarded", async (one: Connected) => one.object.discard(TENANT, "cs_1")],
    ["taken back", async (one: Connected) => void (await one.object.disconnect(TENANT, BY_USER))],
  ])("and %s: the provider is told of it, and it is shredded", async (_what, end) => {
    const one = new Connected(new ConnectionHouse());
    await one.grant(pendingOf(one, "cs_1"));
    await one.ring();
    await end(one);
    await rest(one);
    expect(one.house.provider.revoked).toEqual([REVOKED(one.family)]);
    expect(await one.kept("leaving")).toBeUndefined();
    expect((await one.audited()).at(-1)).toBe("connection.discarded");
    expect(await one.alarmAt()).toBe(null);
  });

  it("as newer ones push it out: the provider is told of it, though not of those that wait", async () => {
    const one = new Connected(new ConnectionHouse());
    const families: string[] = [];
    for (let i = 1; i <= 5; i++) {
      families.push(`${one.family}n${i}`);
      const account = { id: `account-${i}`, label: null };
      await one.grant({ ...pendingOf(one, `cs_${i}`), account }, families.at(-1));
    }
    await rest(one);
    expect(one.house.provider.revoked).toEqual([REVOKED(families[0] ?? "")]);
    expect(await one.confirm("cs_5")).toMatchObject({ kind: "active" });
  });

  it("of another account than the connection's: the provider is told, less and less often, for a day", async () => {
    const one = await connected();
    const other = `${one.family}b`;
    one.house.provider.revokeStanding = { status: 503 };
    await one.grant({ ...pendingOf(one, "cs_1"), ...ANOTHER, replaceAccount: true }, other);
    await one.object.discard(TENANT, "cs_1");
    await one.ring();
    expect(await one.kept("leaving")).toMatchObject([{ of: { kind: "pending", session: "cs_1" }, tries: 1 }]);
    one.house.provider.revokeStanding = "ok";
    await one.toNextAlarm();
    expect(one.house.provider.revoked).toEqual([REVOKED(other)]);
    expect(await one.said()).toBe(pairOf(one.family, 1).accessToken);
  });

  it("of an account that lives in this place: the provider is not told, as that would end it", async () => {
    const one = await connected();
    await one.grant(pendingOf(one, "cs_1"), `${one.family}b`);
    await one.object.discard(TENANT, "cs_1");
    await rest(one);
    expect(one.house.provider.revocations()).toBe(0);
    expect(await one.kept("leaving")).toBeUndefined();
  });

  it("of an account that waits here once more: the last one that is thrown away tells", async () => {
    const one = new Connected(new ConnectionHouse());
    for (const i of [1, 2]) await one.grant(pendingOf(one, `cs_${i}`), `${one.family}n${i}`);
    await one.object.discard(TENANT, "cs_1");
    await rest(one);
    expect(one.house.provider.revocations()).toBe(0);
    await one.object.discard(TENANT, "cs_2");
    await rest(one);
    expect(one.house.provider.revoked).toEqual([REVOKED(`${one.family}n2`)]);
  });

  it("of an account that lives in another connection, or that nobody can tell: the provider is not told", async () => {
    const one = new Connected(new ConnectionHouse());
    one.house.siblings = async ({ account }) => (account.id === "account-1" ? "living" : "none");
    await one.grant(pendingOf(one, "cs_1"));
    await one.object.discard(TENANT, "cs_1");
    await one.grant({ ...pendingOf(one, "cs_2"), account: { id: null, label: null } }, `${one.family}b`);
    await one.object.discard(TENANT, "cs_2");
    await rest(one);
    expect(one.house.provider.revocations()).toBe(0);
    expect(await one.kept("leaving")).toBeUndefined();
  });
});

describe("who may ask", () => {
  it("another tenant, another slot and another workflow get nothing, and leave nothing", async () => {
    const one = new Connected(new ConnectionHouse());
    await one.grant({ workflows: ["mail"] });
    const asked = one.ask();
    expect(await one.said({ workflow: "other" })).toBe("not_for_workflow");
    expect(await one.said({ slot: { ...asked.slot, owner: { kind: "tenant" } } })).toBe("not_found");
    expect(await one.said({ slot: { ...asked.slot, tenant: "other" } })).toBe("not_found");
    expect(await one.object.view("other")).toBe(null);
    expect(await one.object.disconnect("other", BY_USER)).toBe(null);
    expect(await one.object.confirm("other", "cs_1", "x", one.integration())).toEqual({ kind: "not_found" });
    expect(await one.object.rewrap("other")).toBe(false);
    expect(await one.said()).toBe(pairOf(one.family, 1).accessToken);
    expect(await one.said({ scopes: ["read", "write"] })).toBe("scope_missing");
    expect(await one.acquire({ scopes: ["read", "write"] })).toMatchObject({ scopes: ["write"] });
    expect(await one.said({ refused: 1 })).toBe("rejected");
  });

  it("what a service has refused is not given again for a refresh of another run: only for another consent", async () => {
    const one = new Connected(new ConnectionHouse());
    await one.grant();
    const { consent } = await one.token();
    one.house.now += HOUR_MS;
    expect(await one.token({ run: "another" })).toMatchObject({ version: 2, consent });
    expect(await one.said({ refused: consent })).toBe("rejected");
    await one.grant({}, "consented-again");
    const again = await one.token({ refused: consent });
    expect(again.accessToken).toBe(pairOf("consented-again", 1).accessToken);
    expect(again.consent).not.toBe(consent);
    one.house.now += HOUR_MS;
    expect(await one.said({ refused: again.consent })).toBe("rejected");
  });
});
