/** The keys of an issuer over time, and through everything that can go wrong around them. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { createIssuer } from "../../src/identity/index.ts";
import { EMERGENCY_AHEAD_MS, PERIOD_MS, RETIRED_MS } from "../../src/identity/signing-keys.ts";
import type { KeptIssuer } from "../../src/identity/issuer-store.ts";
import { privatePlace } from "../../src/identity/issuer-mirror.ts";
import { createKeyCheck, createVaultOperations } from "../../src/vault/index.ts";
import { createAccessAudit } from "../../src/access/index.ts";
import { createLogger } from "../../src/platform/index.ts";
import { ring } from "../vault/support.ts";
import { DAY_MS, HOUR_MS, MINUTE_MS } from "./issuer-house.ts";
import { die, kidOf, Tenancy } from "./issuer-support.ts";

describe("the first key", () => {
  it("is stored and published before it signs: while the database is away there is none, and it comes by itself", async () => {
    const one = await Tenancy.begin();
    one.house.database = "away";
    expect(await one.object.ensure(one.tenant)).toMatchObject({ ok: false, code: "unavailable" });
    expect(await one.sign()).toMatchObject({ ok: false, code: "unavailable" });
    expect(await one.kept()).toBeUndefined();
    one.house.database = "here";
    const jwt = await one.jwt();
    expect(await one.verdict(jwt)).toBe("ok");
    expect(await one.row()).toMatchObject({ revision: (await one.kept())?.revision });
  });

  it("is not used before the database has it, though it is on the disk", async () => {
    const one = await Tenancy.begin();
    one.house.refusals = 1;
    expect(await one.sign()).toMatchObject({ ok: false, code: "unavailable" });
    expect(Object.values(await one.states())).toEqual(["next"]);
    await one.toAlarm();
    expect(Object.values(await one.states())).toEqual(["active"]);
    expect(await one.verdict(await one.jwt())).toBe("ok");
  });

  it("is one, however many ask at once", async () => {
    const one = await Tenancy.begin();
    const answers = await Promise.all(Array.from({ length: 20 }, async () => one.jwt()));
    expect(new Set(answers.map(kidOf)).size).toBe(1);
    expect((await one.kept())?.made).toBe(1);
  });

  it("of a tenant that does not exist is never made known", async () => {
    const one = await Tenancy.begin();
    const stranger = new Tenancy(one.house, `${one.tenant}-x`);
    expect(await stranger.object.ensure(stranger.tenant)).toMatchObject({ ok: false, code: "unavailable" });
    expect(await stranger.row()).toBeNull();
  });
});

describe("a rotation by time", () => {
  it("publishes a day ahead, flips after 30 days, drops what can verify nothing any more: no token is ever refused", async () => {
    const one = await Tenancy.ready();
    const { house } = one;
    const since = house.now;
    const first = kidOf(await one.jwt());
    await one.toAlarm();
    expect(house.now).toBe(since + PERIOD_MS - DAY_MS);
    expect(Object.values(await one.states())).toEqual(["active", "next"]);
    const remembered = await one.jwks();
    expect(remembered.keys).toHaveLength(2);
    expect(kidOf(await one.jwt())).toBe(first);
    house.later(DAY_MS - 1_000);
    const last = await one.jwt();
    expect(kidOf(last)).toBe(first);
    house.later(1_000);
    // Before any alarm: whoever asks sees to what is due.
    const fresh = await one.jwt();
    expect(kidOf(fresh)).not.toBe(first);
    // A verifier that asked a day ago knows it, and one that asks now knows the old one.
    expect(await one.verdict(fresh, remembered)).toBe("ok");
    expect(await one.verdict(last)).toBe("ok");
    house.later(RETIRED_MS - 1);
    expect(await one.kids()).toContain(first);
    house.later(1);
    expect(await one.kids()).toEqual([kidOf(fresh)]);
    await one.ring();
    expect(Object.keys(await one.states())).toEqual([kidOf(fresh)]);
    expect(await one.alarmAt()).toBe(since + 2 * PERIOD_MS - DAY_MS);
  });

  it("goes on where it stood when the object has lost its memory, or its machine", async () => {
    const one = await Tenancy.ready();
    const first = kidOf(await one.jwt());
    await one.toAlarm();
    await evictDurableObject(one.stub);
    expect(kidOf(await one.jwt())).toBe(first);
    await die();
    one.house.later(DAY_MS);
    const next = await one.jwt();
    expect(kidOf(next)).not.toBe(first);
    await die();
    expect(kidOf(await one.jwt())).toBe(kidOf(next));
    expect(await one.verdict(next)).toBe("ok");
  });

  it("waits while the database is away: the old key signs on, and the new one has its whole day after", async () => {
    const one = await Tenancy.ready();
    const { house } = one;
    const first = kidOf(await one.jwt());
    house.later(PERIOD_MS - DAY_MS);
    house.database = "away";
    await one.ring();
    house.later(3 * DAY_MS);
    expect(kidOf(await one.jwt())).toBe(first);
    house.database = "here";
    await one.ring();
    const published = house.now;
    house.later(DAY_MS - 1);
    expect(kidOf(await one.jwt())).toBe(first);
    house.now = published + DAY_MS;
    expect(kidOf(await one.jwt())).not.toBe(first);
  });

  it("shreds the private half of a key that does not sign any more", async () => {
    const one = await Tenancy.ready();
    await one.object.rotate(one.tenant);
    one.house.later(DAY_MS);
    await one.ring();
    expect((await one.kept())?.keys.map(({ state, sealed }) => [state, sealed === null])).toEqual([
      ["retired", true],
      ["active", false],
    ]);
    const { results } = await env.DB.prepare(
      "SELECT state, sealed IS NULL AS gone FROM issuer_keys WHERE tenant = ? ORDER BY number",
    )
      .bind(one.tenant)
      .all();
    expect(results).toEqual([
      { state: "retired", gone: 1 },
      { state: "active", gone: 0 },
    ]);
  });
});

describe("a rotation by command", () => {
  it("begins at once, is the same when it is asked for again, and is in the audit before it begins", async () => {
    const one = await Tenancy.ready();
    const issuer = one.house.issuer();
    const begun = await issuer.rotate(one.tenant, "key:ada");
    expect(begun.ok && begun.value.map(({ state }) => state)).toEqual(["active", "next"]);
    one.house.later(HOUR_MS);
    const again = await issuer.rotate(one.tenant, "key:ada");
    expect(again.ok && again.value.map(({ kid }) => kid)).toEqual(
      begun.ok && begun.value.map(({ kid }) => kid),
    );
    const { results } = await env.DB.prepare(
      "SELECT actor, action, outcome FROM access_audit WHERE tenant = ? ORDER BY rowid",
    )
      .bind(one.tenant)
      .all();
    expect(results).toEqual([
      { actor: "key:ada", action: "issuer.rotate", outcome: "granted" },
      { actor: "key:ada", action: "issuer.rotate", outcome: "granted" },
    ]);
  });

  it("makes the first key where there is none", async () => {
    const one = await Tenancy.begin();
    const made = await one.house.issuer().rotate(one.tenant, "key:ada");
    expect(made.ok && made.value.map(({ state }) => state)).toEqual(["active"]);
  });
});

describe("a key that is revoked", () => {
  it("is gone at once; a fresh one signs once no isolate can hide it any more", async () => {
    const one = await Tenancy.ready();
    const jwt = await one.jwt();
    const before = await one.jwks();
    const revoked = await one.house.issuer().revoke(one.tenant, kidOf(jwt), "key:ada");
    expect(revoked.ok && revoked.value.map(({ state }) => state)).toEqual(["next"]);
    expect(await one.kids()).not.toContain(kidOf(jwt));
    expect(await one.verdict(jwt)).toBe("ERR_JWKS_NO_MATCHING_KEY");
    expect(await one.sign()).toMatchObject({
      ok: false,
      code: "unavailable",
      retryAfterMs: EMERGENCY_AHEAD_MS,
    });
    one.house.later(EMERGENCY_AHEAD_MS);
    const fresh = await one.jwt();
    expect(await one.verdict(fresh)).toBe("ok");
    // What a verifier that remembers does: it takes the old one and refuses the fresh one, until it asks.
    expect(await one.verdict(jwt, before)).toBe("ok");
    expect(await one.verdict(fresh, before)).toBe("ERR_JWKS_NO_MATCHING_KEY");
    const { results } = await env.DB.prepare(
      "SELECT kid, state FROM issuer_keys WHERE tenant = ? ORDER BY number",
    )
      .bind(one.tenant)
      .all();
    expect(results.map(({ kid }) => kid)).not.toContain(kidOf(jwt));
  });

  it("is waited for no longer than a fresh one takes, though the database was away and the next one has its day before it", async () => {
    const one = await Tenancy.ready();
    const jwt = await one.jwt();
    await one.object.rotate(one.tenant);
    one.house.refusals = 2;
    await one.object.revoke(one.tenant, kidOf(jwt));
    const waits = await one.sign();
    expect(waits).toMatchObject({ ok: false, code: "unavailable", retryAfterMs: EMERGENCY_AHEAD_MS });
    await one.toAlarm();
    one.house.later(EMERGENCY_AHEAD_MS);
    expect(await one.verdict(await one.jwt())).toBe("ok");
  });

  it("is not revoked where the audit cannot be written", async () => {
    const one = await Tenancy.ready();
    const kid = kidOf(await one.jwt());
    const issuer = createIssuer({
      ...{
        db: env.DB,
        object: () => one.object,
        vault: one.house.vault,
        origin: "https://id.showcaller.test",
      },
      ...{ environment: "test", log: createLogger("error", () => {}), now: () => one.house.now },
      audit: { write: async () => Promise.reject(new Error("The audit is away.")) },
    });
    await expect(issuer.revoke(one.tenant, kid, "key:ada")).rejects.toThrow("The audit is away.");
    expect(kidOf(await one.jwt())).toBe(kid);
  });

  it("is none of another tenant's, and none that never was", async () => {
    const [one, other] = [await Tenancy.ready(), await Tenancy.ready()];
    const kid = kidOf(await other.jwt());
    expect(await one.house.issuer().revoke(one.tenant, kid, "key:ada")).toMatchObject({
      ok: false,
      error: { code: "not_found" },
    });
    expect(kidOf(await other.jwt())).toBe(kid);
  });
});

describe("the database is away", () => {
  it.each(["away", "slow"] as const)(
    "(%s): a key that signs goes on, also in an object that has lost its memory",
    async (how) => {
      const one = await Tenancy.ready();
      one.house.database = how;
      const before = await one.jwt();
      await die();
      const after = await one.jwt();
      expect(kidOf(after)).toBe(kidOf(before));
      one.house.database = "here";
      expect(await one.verdict(after)).toBe("ok");
    },
  );
});

describe("the keyring", () => {
  it("that is the wrong one signs nothing, changes nothing, and is none again", async () => {
    const one = await Tenancy.ready();
    const jwt = await one.jwt();
    const kept = await one.kept();
    const right = one.house.keyring;
    for (const wrong of [ring("k1", { k1: 9 }), ring("k9", { k9: 9 })]) {
      one.house.keyring = wrong;
      await die();
      expect(await one.sign()).toMatchObject({ ok: false, code: "unavailable" });
      await one.object.poke(one.tenant);
      await one.object.rewrap(one.tenant);
      expect((await one.kept())?.keys.map(({ kid, sealed }) => [kid, sealed])).toEqual(
        kept?.keys.map(({ kid, sealed }) => [kid, sealed]),
      );
    }
    one.house.keyring = right;
    await die();
    expect(kidOf(await one.jwt())).toBe(kidOf(jwt));
  });

  it("without a right one makes no first key, and writes nothing", async () => {
    const known = await Tenancy.ready();
    const one = await Tenancy.begin(known.house);
    one.house.keyring = ring("k1", { k1: 9 });
    await die();
    expect(await one.object.ensure(one.tenant)).toMatchObject({ ok: false, code: "unavailable" });
    expect(await one.kept()).toBeUndefined();
    expect(await one.row()).toBeNull();
  });

  it("is changed under it: keys move, are counted until they have, and sign under the new one alone", async () => {
    const one = await Tenancy.ready();
    const jwt = await one.jwt();
    const both = ring("k2", { k1: 1, k2: 2 });
    one.house.keyring = both;
    await die();
    const log = createLogger("error", () => {});
    const operations = createVaultOperations({
      ...{ db: env.DB, keyring: both, vault: one.house.vault, log, now: () => one.house.now },
      check: createKeyCheck({ db: env.DB, log, now: () => one.house.now }),
      ...{ records: one.house.issuer().records, audit: createAccessAudit(env.DB) },
    });
    const under = async (kid: string): Promise<number | undefined> =>
      (await operations.keys()).find((key) => key.kid === kid)?.records["signing_keys"];
    expect(await under("k1")).toBeGreaterThan(0);
    while (((await operations.rewrap(100)).rewrapped["signing_keys"] ?? 0) > 0);
    expect(JSON.parse((await one.row())?.kids ?? "[]")).toEqual(["k2"]);
    one.house.keyring = ring("k2", { k2: 2 });
    await die();
    expect(kidOf(await one.jwt())).toBe(kidOf(jwt));
    expect(await one.verdict(jwt)).toBe("ok");
  });
});

describe("put back to an earlier time", () => {
  it("the object does not bring back a key that was revoked since", async () => {
    const one = await Tenancy.ready();
    const stolen = await one.jwt();
    const early = await one.kept();
    await one.house.issuer().revoke(one.tenant, kidOf(stolen), "key:ada");
    one.house.later(EMERGENCY_AHEAD_MS);
    const fresh = kidOf(await one.jwt());
    await one.ring();
    await one.keep(early);
    expect(await one.kids()).not.toContain(kidOf(stolen));
    await one.ring();
    one.house.later(EMERGENCY_AHEAD_MS);
    const after = await one.jwt();
    expect(kidOf(after)).not.toBe(kidOf(stolen));
    // What was signed in between can still be verified.
    expect(await one.kids()).toContain(fresh);
    expect(await one.verdict(after)).toBe("ok");
    expect(await one.verdict(stolen)).toBe("ERR_JWKS_NO_MATCHING_KEY");
    expect(one.house.lines.some((line) => line.includes("issuer.rolled_back"))).toBe(true);
  });

  /** A next key that was taken back, and the disk as it was just before: one change ago. */
  async function takenBack(): Promise<{ one: Tenancy; stolen: string; early: KeptIssuer | undefined }> {
    const one = await Tenancy.ready();
    await one.object.rotate(one.tenant);
    const stolen = Object.entries(await one.states()).find(([, state]) => state === "next")?.[0] ?? "";
    const early = await one.kept();
    await one.house.issuer().revoke(one.tenant, stolen, "key:ada");
    expect((await one.row())?.revision).toBe((early?.revision ?? 0) + 1);
    return { one, stolen, early };
  }

  it("no object does before it has looked, also where it is only to move its keys under another one of the vault", async () => {
    const { one, stolen, early } = await takenBack();
    await one.keep(early);
    expect(await one.object.rewrap(one.tenant)).toBe(true);
    expect(Object.keys(await one.states())).not.toContain(stolen);
    await die();
    expect(await one.kids()).not.toContain(stolen);
  });

  it("an object tells the database nothing before it has heard what that knows", async () => {
    const { one, stolen, early } = await takenBack();
    await one.keep(early);
    one.house.database = "away";
    one.house.later(DAY_MS);
    // The disk is believed as long as nobody else can be asked.
    expect(kidOf(await one.jwt())).toBe(stolen);
    one.house.database = "here";
    await one.toAlarm();
    expect(Object.keys(await one.states())).not.toContain(stolen);
    one.house.later(EMERGENCY_AHEAD_MS);
    const after = await one.jwt();
    expect(kidOf(after)).not.toBe(stolen);
    expect(await one.kids()).not.toContain(stolen);
    expect(await one.verdict(after)).toBe("ok");
    await die();
    expect(await one.kids()).not.toContain(stolen);
  });

  it("a key that was taken back while the database was away stays so, whatever that knows", async () => {
    const { one, early } = await takenBack();
    const signer = kidOf(await one.jwt());
    await one.keep(early);
    one.house.database = "away";
    await one.sign();
    await one.object.revoke(one.tenant, signer);
    one.house.database = "here";
    await one.toAlarm();
    one.house.later(EMERGENCY_AHEAD_MS);
    expect(kidOf(await one.jwt())).not.toBe(signer);
    expect(await one.kids()).not.toContain(signer);
  });

  it("an object keeps no private half of a key that had signed before", async () => {
    const one = await Tenancy.ready();
    const first = kidOf(await one.jwt());
    await one.object.rotate(one.tenant);
    const early = await one.kept();
    one.house.later(DAY_MS);
    await one.ring();
    expect((await one.states())[first]).toBe("retired");
    await one.keep(early);
    await one.jwt();
    expect((await one.kept())?.keys.find(({ kid }) => kid === first)).toMatchObject({
      state: "retired",
      sealed: null,
    });
  });

  it("the database is told anew by whoever asks the object next", async () => {
    const one = await Tenancy.ready();
    const signer = kidOf(await one.jwt());
    for (const table of ["issuer_keys", "issuers"])
      await env.DB.prepare(`DELETE FROM ${table} WHERE tenant = ?`).bind(one.tenant).run();
    await die();
    await one.object.poke(one.tenant);
    expect((await one.row())?.revision).toBe((await one.kept())?.revision);
    expect(await one.kids()).toEqual([signer]);
  });

  it("an object that has lost everything goes on with a fresh key, and what it signed can be verified", async () => {
    const one = await Tenancy.ready();
    const jwt = await one.jwt();
    await one.keep(undefined);
    expect(await one.sign()).toMatchObject({
      ok: false,
      code: "unavailable",
      retryAfterMs: EMERGENCY_AHEAD_MS,
    });
    one.house.later(EMERGENCY_AHEAD_MS);
    const fresh = await one.jwt();
    expect(kidOf(fresh)).not.toBe(kidOf(jwt));
    expect(await one.verdict(fresh)).toBe("ok");
    expect(await one.verdict(jwt)).toBe("ok");
  });

  it("the row in the database is written anew, and takes no key away meanwhile", async () => {
    const one = await Tenancy.ready();
    const early = await one.row();
    await one.object.rotate(one.tenant);
    const current = await one.row();
    await env.DB.prepare("UPDATE issuers SET revision = ?, published = ? WHERE tenant = ?")
      .bind(early?.revision, early?.published, one.tenant)
      .run();
    expect(await one.kids()).toHaveLength(2);
    one.house.later(DAY_MS);
    await one.ring();
    expect((await one.row())?.revision).toBeGreaterThan(current?.revision ?? 0);
  });

  it("a row that no object wrote, under a later revision, brings no key and takes none away", async () => {
    const [one, other] = [await Tenancy.ready(), await Tenancy.ready()];
    const jwt = await one.jwt();
    const foreign = await other.row();
    await env.DB.prepare("UPDATE issuers SET revision = 900, published = ? WHERE tenant = ?")
      .bind(foreign?.published, one.tenant)
      .run();
    await die();
    expect(await one.kids()).toEqual([kidOf(jwt)]);
    expect(kidOf(await one.jwt())).toBe(kidOf(jwt));
    await one.ring();
    expect((await one.row())?.revision).toBeGreaterThan(900);
  });

  it("a private key that is put in the place of another does not open", async () => {
    const one = await Tenancy.ready();
    const early = await one.kept();
    await one.house.issuer().revoke(one.tenant, early?.keys[0]?.kid ?? "", "key:ada");
    one.house.later(EMERGENCY_AHEAD_MS);
    await one.jwt();
    const kept = await one.kept();
    const [old] = early?.keys ?? [];
    if (kept === undefined || old === undefined) throw new Error("There is no key.");
    await one.keep({ ...kept, keys: kept.keys.map((key) => ({ ...key, sealed: old.sealed })) });
    expect(await one.sign()).toMatchObject({ ok: false, code: "unavailable" });
    expect(one.house.lines.some((line) => line.includes("not_authentic"))).toBe(true);
  });
});

describe("what it signs", () => {
  it("are identity tokens of its tenant, and nothing else", async () => {
    const [one, other] = [await Tenancy.ready(), await Tenancy.ready()];
    const claims = one.claims();
    const wrong = [
      { iss: other.issuer },
      { iss: `${one.issuer}/` },
      { tenant: other.tenant },
      { sub: `tenant:${other.tenant}:inline` },
      { sub: "admin" },
      { exp: claims.iat + 601 },
      { exp: claims.iat },
    ];
    for (const change of wrong) {
      const answer = await one.object.sign({ tenant: one.tenant, claims: { ...claims, ...change } });
      expect([change, answer]).toMatchObject([change, { ok: false, code: "claims_refused" }]);
    }
    expect(await one.object.sign({ tenant: other.tenant, claims: other.claims() })).toMatchObject({
      ok: false,
      code: "claims_refused",
    });
    expect(await one.object.published(other.tenant)).toBeNull();
    expect(await one.object.revoke(other.tenant, kidOf(await one.jwt()))).toMatchObject({
      code: "not_found",
    });
    expect(await one.object.rewrap(other.tenant)).toBe(false);
  });

  it("are not of a time that has not come: a clock that is wrong is waited for, and is nobody's mistake", async () => {
    const one = await Tenancy.ready();
    const claims = one.claims();
    const at = (aheadS: number) =>
      one.object.sign({
        tenant: one.tenant,
        claims: { ...claims, iat: claims.iat + aheadS, exp: claims.exp + aheadS },
      });
    expect(await at(61)).toMatchObject({ ok: false, code: "unavailable" });
    expect(await at(60)).toMatchObject({ ok: true });
  });

  it("are tokens that nobody has seen before, by the minter", async () => {
    const one = await Tenancy.ready();
    const { minter } = one.house.issuer();
    const minted = await Promise.all([minter.mint(one.request()), minter.mint(one.request())]);
    const [first, second] = minted.map((each) => {
      if (!each.ok) throw new Error(each.error.message);
      return each.value;
    });
    expect(first).toMatchObject({
      issuer: one.issuer,
      subject: `tenant:${one.tenant}:code:process-order`,
      expiresAt: one.house.now + 5 * MINUTE_MS,
    });
    expect(first?.jwt).not.toBe(second?.jwt);
    expect(await one.verdict(first?.jwt ?? "")).toBe("ok");
    expect(await minter.mint(one.request({ claims: { iss: "x" } }))).toMatchObject({
      ok: false,
      error: { kind: "configuration", code: "bad_claim" },
    });
  });

  it("by the minter wait, where the object does not answer or has no key yet", async () => {
    const one = await Tenancy.begin();
    one.house.database = "away";
    expect(await one.house.issuer().minter.mint(one.request())).toMatchObject({
      ok: false,
      error: { kind: "passing", code: "issuer_unavailable" },
    });
    const broken = one.house.issuer(() => {
      throw new Error("Network connection lost.");
    });
    expect(await broken.minter.mint(one.request())).toMatchObject({
      ok: false,
      error: { kind: "passing", code: "issuer_unavailable" },
    });
  });
});

describe("a private key", () => {
  it("stands in no answer, no row, no log and nowhere on the disk in the clear; what signs cannot be taken out", async () => {
    const one = await Tenancy.ready();
    const [key] = (await one.kept())?.keys ?? [];
    if (key === undefined || key.sealed === null) throw new Error("There is no key.");
    const opened = await one.house.vault.open(privatePlace(one.tenant, key), key.sealed);
    if (!opened.ok) throw new Error(opened.error.code);
    // Any part of it that is not of the public half; it begins behind modulus and exponent.
    const parts = [300, 600, 900, 1_200]
      .map((at) => opened.value.slice(at, at + 24))
      .filter((part) => !key.n.includes(part));
    expect(parts.length).toBeGreaterThan(1);
    const issuer = one.house.issuer();
    const seen = JSON.stringify([
      await one.object.ensure(one.tenant),
      await one.object.rotate(one.tenant),
      await one.object.published(one.tenant),
      await one.sign(),
      await issuer.jwks(one.tenant),
      await issuer.discovery(one.tenant),
      (await env.DB.prepare("SELECT * FROM issuers").all()).results,
      (await env.DB.prepare("SELECT * FROM issuer_keys").all()).results,
      await runInDurableObject(one.stub, (_, { storage }) => [...storage.kv.list()]),
      one.house.lines,
    ]);
    for (const part of parts) expect(seen).not.toContain(part);
    // Sealed texts leave neither the object nor the database.
    const answers = JSON.stringify([
      await one.object.ensure(one.tenant),
      await one.object.published(one.tenant),
      await issuer.jwks(one.tenant),
      one.house.lines,
    ]);
    expect(answers).not.toContain("v1.k1.");
  });
});

describe("the sweep", () => {
  it("asks issuers that were silent for long, as many as it may, and each but once", async () => {
    const house = (await Tenancy.ready()).house;
    await Tenancy.ready(house);
    await Tenancy.ready(house);
    const asked: string[] = [];
    const issuer = house.issuer((tenant) => {
      asked.push(tenant);
      return { poke: async () => {} } as never;
    });
    await env.DB.prepare("UPDATE issuers SET poked_at = ?").bind(house.now).run();
    await issuer.sweep(100);
    expect(asked).toEqual([]);
    house.later(7 * HOUR_MS);
    await issuer.sweep(1);
    expect(asked).toEqual([]);
    await issuer.sweep(3);
    expect(asked).toHaveLength(2);
    await issuer.sweep(100);
    expect(new Set(asked).size).toBe(asked.length);
    const { n } = (await env.DB.prepare("SELECT count(*) AS n FROM issuers").first<{ n: number }>()) ?? {
      n: 0,
    };
    expect(asked).toHaveLength(n);
  });

  it("does what an alarm that was lost should have done", async () => {
    const one = await Tenancy.ready();
    await runInDurableObject(one.stub, async (_, { storage }) => storage.deleteAlarm());
    one.house.later(PERIOD_MS - DAY_MS);
    const others = "UPDATE issuers SET poked_at = ? WHERE tenant <> ?";
    await env.DB.prepare(others).bind(one.house.now, one.tenant).run();
    await one.house.issuer().sweep(100);
    expect(Object.values(await one.states())).toEqual(["active", "next"]);
  });
});
