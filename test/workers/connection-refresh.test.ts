import { evictDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { RENEW_TIMEOUT_MS } from "../../src/connections/provider-client.ts";
import { FORCED_REST_MS } from "../../src/connections/refresh-rules.ts";
import { ConnectionHouse } from "./connection-house.ts";
import { type Fate, pairOf, type RefreshStyle } from "./connection-double.ts";
import { Connected, DAY_MS, HOUR_MS, MINUTE_MS, saying } from "./connection-support.ts";

const SECOND_MS = 1_000;

/** Connected, the first token about to end. */
async function aged(style: RefreshStyle, leftMs = 0): Promise<Connected> {
  const one = new Connected(new ConnectionHouse(style));
  await one.grant();
  await one.ring();
  one.house.later(HOUR_MS - leftMs);
  return one;
}

const crowd = async (one: Connected, size = 50): Promise<string[]> =>
  Promise.all(Array.from({ length: size }, async (_, i) => one.said({ run: `run_${i}` })));

describe("fifty steps ask for a token that ends in that moment", () => {
  it.each(["strict", "leeway", "static"] as const)(
    "one refresh reaches a provider that is %s, and all get the new token",
    async (style) => {
      const one = await aged(style);
      expect(new Set(await crowd(one))).toEqual(new Set([pairOf(one.family, 2).accessToken]));
      expect(one.house.provider.refreshes()).toBe(1);
      expect(one.house.provider.mostFlying).toBe(1);
    },
  );

  it("the same where the provider takes 20 s, which is within the time that it is given", async () => {
    const one = await aged("strict");
    const { provider } = one.house;
    provider.hold();
    const arrived = provider.arrival();
    const all = crowd(one);
    await arrived;
    one.house.later(20 * SECOND_MS);
    const late = one.said({ run: "run_late" });
    provider.release();
    expect(new Set([...(await all), await late])).toEqual(new Set([pairOf(one.family, 2).accessToken]));
    expect(provider.refreshes()).toBe(1);
    expect(provider.timeouts).toEqual([RENEW_TIMEOUT_MS]);
    expect(RENEW_TIMEOUT_MS).toBeGreaterThan(20 * SECOND_MS);
  });

  it("the same where the service has refused the token that all of them have", async () => {
    const one = await aged("strict", HOUR_MS);
    const { version } = await one.token();
    one.house.later(FORCED_REST_MS);
    const all = await Promise.all(
      Array.from({ length: 50 }, async () => one.object.renew(one.ask(), version)),
    );
    expect(new Set(all.map(saying))).toEqual(new Set([pairOf(one.family, 2).accessToken]));
    expect(one.house.provider.refreshes()).toBe(1);
    // One that comes late with the old version is given the new one.
    expect(saying(await one.object.renew(one.ask(), version))).toBe(pairOf(one.family, 2).accessToken);
    expect(one.house.provider.refreshes()).toBe(1);
  });

  it("a service that refuses every token makes one refresh in half a minute, whoever asks", async () => {
    const one = await aged("static", HOUR_MS);
    one.house.later(FORCED_REST_MS);
    const { provider } = one.house;
    const said: string[] = [];
    for (let i = 0; i < 30; i++) {
      const { version } = await one.token();
      said.push(saying(await one.object.renew(one.ask(), version)));
      one.house.later(1_000);
    }
    expect(said).toEqual([
      pairOf(one.family, 2).accessToken,
      ...Array.from({ length: 29 }, () => "rejected"),
    ]);
    expect(provider.refreshes()).toBe(1);
    const { version } = await one.token();
    expect(saying(await one.object.renew(one.ask(), version))).toBe(pairOf(one.family, 3).accessToken);
  });

  it("a provider that issues for 20 s is asked once for all, and again when half of it is over", async () => {
    const one = await aged("strict");
    const { provider } = one.house;
    provider.expiresIn = 20;
    expect(new Set(await crowd(one))).toEqual(new Set([pairOf(one.family, 2).accessToken]));
    expect(provider.refreshes()).toBe(1);
    expect(await one.said()).toBe(pairOf(one.family, 2).accessToken);
    one.house.later(15 * SECOND_MS);
    expect(new Set(await crowd(one))).toEqual(new Set([pairOf(one.family, 3).accessToken]));
    expect(provider.refreshes()).toBe(2);
  });
});

describe("a token to which the provider gives no end", () => {
  it("is used for years without a request", async () => {
    const one = new Connected(new ConnectionHouse("strict"));
    one.house.provider.expiresIn = null;
    await one.grant();
    one.house.later(1_000 * DAY_MS);
    expect(await one.said()).toBe(pairOf(one.family, 1).accessToken);
    expect(one.house.provider.refreshes()).toBe(0);
  });
});

describe("the answer to a refresh is lost after the provider rotated", () => {
  it("with leeway: one replay heals it, and those that ask meanwhile use the living token", async () => {
    const one = await aged("leeway", 50 * SECOND_MS);
    const { provider } = one.house;
    provider.fates.push("lost");
    expect(new Set(await crowd(one))).toEqual(new Set([pairOf(one.family, 1).accessToken]));
    expect(provider.refreshes()).toBe(1);
    one.house.later(2 * SECOND_MS);
    expect(new Set(await crowd(one))).toEqual(new Set([pairOf(one.family, 3).accessToken]));
    expect(provider.refreshes()).toBe(2);
    expect(await one.record()).toMatchObject({ standing: { status: "active" }, sending: null, failures: 0 });
  });

  it("with leeway, the token over: told to come again in a second, and then all is well", async () => {
    const one = await aged("leeway");
    one.house.provider.fates.push("lost");
    expect(await one.acquire()).toMatchObject({ kind: "needs", reason: "unavailable", retryAfterMs: 1_000 });
    one.house.later(SECOND_MS);
    expect(await one.said()).toBe(pairOf(one.family, 3).accessToken);
    expect(one.house.provider.refreshes()).toBe(2);
  });

  it("strict: the living token is used to its end, then one try, then it is lost; a new consent wakes who waits", async () => {
    const one = await aged("strict", 100 * SECOND_MS);
    const { provider } = one.house;
    provider.fates.push("lost");
    const first = pairOf(one.family, 1).accessToken;
    for (let i = 0; i < 6; i++) {
      expect(new Set(await crowd(one))).toEqual(new Set([first]));
      one.house.later(10 * SECOND_MS);
    }
    expect(provider.refreshes()).toBe(1);
    // The last half minute: not sent any more, and not risked either.
    one.house.later(15 * SECOND_MS);
    expect(await one.acquire()).toMatchObject({ reason: "unavailable", retryAfterMs: 25 * SECOND_MS });
    expect(provider.refreshes()).toBe(1);
    one.house.later(25 * SECOND_MS);
    expect(new Set(await crowd(one))).toEqual(new Set(["refresh_lost"]));
    expect(provider.refreshes()).toBe(2);
    expect(new Set(await crowd(one))).toEqual(new Set(["refresh_lost"]));
    expect(provider.refreshes()).toBe(2);
    await one.ring();
    expect(await one.row()).toMatchObject({ status: "dead", reason: "refresh_lost" });

    const again = `${one.family}b`;
    expect(await one.grant({}, again)).toMatchObject({ kind: "active", epoch: 1, replaced: false });
    await one.ring();
    expect(one.house.woken.toSorted()).toEqual(Array.from({ length: 50 }, (_, i) => `run_${i}`).toSorted());
    expect(new Set(await crowd(one))).toEqual(new Set([pairOf(again, 1).accessToken]));
    expect(provider.refreshes()).toBe(2);
  });

  it.each([
    ["strict", "the provider had not seen it", "dies", 2],
    ["strict", "the provider had rotated", "dies_after", null],
    ["leeway", "the provider had not seen it", "dies", 2],
    ["leeway", "the provider had rotated", "dies_after", 3],
  ] as const)(
    "%s, the object dies after it wrote that it sends, %s: as if lost",
    async (style, _when, fate, number) => {
      const one = await aged(style, 50 * SECOND_MS);
      const { provider } = one.house;
      provider.fates.push(fate);
      expect(await one.said().catch(() => "died")).toBe("died");
      expect(provider.current(one.family)).toBe(fate === "dies" ? 1 : 2);
      expect(await one.record()).toMatchObject({ sending: { version: 1 } });
      expect(provider.refreshes()).toBe(1);
      const first = pairOf(one.family, 1).accessToken;
      // With leeway it is tried again at once; a strict one is not, while the token lives.
      const now = style === "strict" ? first : pairOf(one.family, number ?? 0).accessToken;
      expect(new Set(await crowd(one))).toEqual(new Set([now]));
      expect(provider.refreshes()).toBe(style === "strict" ? 1 : 2);
      if (style === "leeway") return;
      one.house.later(51 * SECOND_MS);
      const then = number === null ? "refresh_lost" : pairOf(one.family, number).accessToken;
      expect(new Set(await crowd(one))).toEqual(new Set([then]));
      expect(provider.refreshes()).toBe(2);
    },
  );
});

describe("a refresh that fails for a passing reason", () => {
  const PASSING: readonly Fate[] = [
    "unsent",
    { status: 429 },
    { status: 500 },
    { status: 503 },
    { status: 400, error: "slow_down_please" },
  ];

  it("kills nothing, rests longer each time, and the living token is used meanwhile", async () => {
    const one = await aged("strict", 80 * SECOND_MS);
    const { provider } = one.house;
    provider.fates.push(...PASSING.filter((fate) => typeof fate !== "object" || fate.status !== 500));
    const rests: number[] = [];
    for (let i = 1; i <= 4; i++) {
      expect(new Set(await crowd(one))).toEqual(new Set([pairOf(one.family, 1).accessToken]));
      expect(provider.refreshes()).toBe(i - 1);
      const { retryAt = 0 } = (await one.record()) ?? {};
      rests.push(retryAt - one.house.now);
      one.house.now = retryAt;
    }
    expect(rests).toEqual([1_000, 2_000, 4_000, 8_000]);
    expect(await one.said()).toBe(pairOf(one.family, 2).accessToken);
    expect(await one.record()).toMatchObject({ failures: 0, retryAt: 0, sending: null });
  });

  it("steps are told when to come again once the token is over", async () => {
    const one = await aged("strict");
    one.house.provider.standing = { status: 503, retryAfter: 120 };
    expect(await one.acquire()).toMatchObject({ reason: "unavailable", retryAfterMs: 120_000 });
    one.house.later(119_000);
    expect(await one.acquire()).toMatchObject({ reason: "unavailable", retryAfterMs: 1_000 });
    expect(one.house.provider.refreshes()).toBe(1);
    one.house.later(1_000);
    one.house.provider.standing = "ok";
    expect(await one.said()).toBe(pairOf(one.family, 2).accessToken);
    expect(one.house.provider.refreshes()).toBe(2);
  });

  it("a gateway that gave up may have been overtaken: a strict provider is not asked twice while the token lives", async () => {
    const one = await aged("strict", 50 * SECOND_MS);
    one.house.provider.fates.push({ status: 502, done: true });
    expect(await one.said()).toBe(pairOf(one.family, 1).accessToken);
    one.house.later(10 * SECOND_MS);
    expect(await one.said()).toBe(pairOf(one.family, 1).accessToken);
    expect(one.house.provider.refreshes()).toBe(1);
    expect(one.house.provider.reused).toBe(0);
  });

  it("a client that is refused is the integration's fault: said so, also while it rests, and healed by a new secret", async () => {
    const one = await aged("strict");
    const { provider } = one.house;
    provider.standing = { status: 401, error: "invalid_client" };
    expect(await one.acquire()).toMatchObject({ reason: "misconfigured", retryAfterMs: MINUTE_MS });
    expect(await one.acquire()).toMatchObject({ reason: "misconfigured" });
    expect(provider.refreshes()).toBe(1);
    expect(await one.record()).toMatchObject({ standing: { status: "active" } });
    expect(await one.object.view("default")).toMatchObject({ waiting: 0 });
    const { integration } = one.request();
    provider.standing = "ok";
    provider.consent(one.family);
    const next = { ...integration, version: 2, secret: "client-secret-2", provider: { evil: true } };
    expect(await one.object.updateIntegration("default", next)).toBe(true);
    expect(await one.object.updateIntegration("default", { ...next, version: 1 })).toBe(false);
    expect(await one.token()).toMatchObject({ provider: { hosts: ["api.double.example"] } });
    expect(provider.reached.map(({ secret }) => secret)).toEqual(["client-secret-1", "client-secret-2"]);
  });
});

describe("the provider says that the grant is over", () => {
  it("one question is enough: all are told so from then on, and nobody tries again", async () => {
    const one = await aged("strict");
    one.house.provider.takeBack(one.family);
    expect(new Set(await crowd(one))).toEqual(new Set(["revoked"]));
    one.house.later(DAY_MS);
    expect(new Set(await crowd(one))).toEqual(new Set(["revoked"]));
    expect(one.house.provider.refreshes()).toBe(1);
    expect(await one.object.view("default")).toMatchObject({ waiting: 50 });
  });

  it("said of a grant that a new consent has replaced meanwhile, it kills nothing", async () => {
    const one = await aged("strict");
    const { provider } = one.house;
    provider.hold();
    provider.takeBack(one.family);
    const arrived = provider.arrival();
    const all = crowd(one);
    await arrived;
    const again = `${one.family}b`;
    expect(await one.grant({}, again)).toMatchObject({ kind: "active" });
    provider.release();
    expect(new Set(await all)).toEqual(new Set([pairOf(again, 1).accessToken]));
    expect(await one.record()).toMatchObject({ standing: { status: "active" }, grant: { version: 2 } });
    expect(provider.refreshes()).toBe(1);
  });

  it("a service's word counts for the version that it saw, not for a newer one", async () => {
    const one = await aged("strict");
    await one.token();
    await one.object.report("default", { kind: "token_dead", version: 1 });
    expect(await one.said()).toBe(pairOf(one.family, 2).accessToken);
    await one.object.report("other", { kind: "token_dead", version: 2 });
    expect(await one.said()).toBe(pairOf(one.family, 2).accessToken);
    await one.object.report("default", { kind: "token_dead", version: 2 });
    expect(await one.said()).toBe("revoked");
  });

  it("after the refresh token's own end it is expired, not revoked", async () => {
    const one = new Connected(new ConnectionHouse("strict"));
    one.house.provider.refreshExpiresIn = 7_200;
    await one.grant();
    one.house.provider.takeBack(one.family);
    one.house.later(3 * HOUR_MS);
    expect(await one.said()).toBe("expired");
  });
});

describe("what the API said of its limit", () => {
  it("holds everybody until then, through an eviction, and no longer", async () => {
    const one = await aged("strict", HOUR_MS);
    const until = one.house.now + 5 * MINUTE_MS;
    await one.object.report("default", { kind: "rate_limited", until });
    await one.object.report("default", { kind: "rate_limited", until: until - MINUTE_MS });
    await evictDurableObject(one.object);
    expect(new Set(await crowd(one))).toEqual(new Set(["rate_limited"]));
    expect(await one.acquire()).toMatchObject({ retryAfterMs: 5 * MINUTE_MS });
    one.house.later(5 * MINUTE_MS);
    expect(await one.said()).toBe(pairOf(one.family, 1).accessToken);
    expect(one.house.provider.refreshes()).toBe(0);
  });

  it("is forgotten with a new consent, also of the same account", async () => {
    const one = await aged("strict", HOUR_MS);
    await one.object.report("default", { kind: "rate_limited", until: one.house.now + DAY_MS });
    expect(await one.said()).toBe("rate_limited");
    await one.grant({}, `${one.family}b`);
    expect(await one.said()).toBe(pairOf(`${one.family}b`, 1).accessToken);
  });

  it("a time that is over, or that nobody would wait for, is bounded", async () => {
    const one = await aged("strict", HOUR_MS);
    await one.object.report("default", { kind: "rate_limited", until: 1 });
    expect(await one.acquire()).toMatchObject({ retryAfterMs: MINUTE_MS });
    await one.object.report("default", { kind: "rate_limited", until: one.house.now + 900 * DAY_MS });
    expect(await one.acquire()).toMatchObject({ retryAfterMs: DAY_MS });
  });
});

describe("a refresh token that ends unused", () => {
  it("is used before that, by the alarm alone", async () => {
    const one = new Connected(new ConnectionHouse("strict"));
    const { provider } = one.house;
    provider.refreshExpiresIn = (60 * DAY_MS) / 1_000;
    await one.grant();
    await one.ring();
    for (let i = 1; i <= 3; i++) {
      const before = one.house.now;
      await one.toNextAlarm();
      expect(one.house.now - before).toBe(45 * DAY_MS);
      expect(provider.refreshes()).toBe(i);
    }
    expect(await one.record()).toMatchObject({ grant: { version: 4 } });
  });

  it("is tried again while the provider is away, each time later, never at once", async () => {
    const one = new Connected(new ConnectionHouse("strict"));
    const { provider } = one.house;
    provider.refreshExpiresIn = (60 * DAY_MS) / 1_000;
    await one.grant();
    await one.ring();
    provider.standing = { status: 503 };
    for (let i = 1; i <= 5; i++) {
      await one.toNextAlarm();
      expect(provider.refreshes()).toBe(i);
      expect((await one.alarmAt()) ?? 0).toBeGreaterThan(one.house.now);
    }
  });

  it("is not used while an answer is lost and a strict provider would end all", async () => {
    const one = new Connected(new ConnectionHouse("strict"));
    const { provider } = one.house;
    provider.refreshExpiresIn = 3_600;
    await one.grant();
    await one.ring();
    // At 45 of 60 minutes by the alarm; the answer is lost.
    provider.fates.push("lost");
    await one.toNextAlarm();
    expect(provider.refreshes()).toBe(1);
    expect(await one.alarmAt()).toBe(one.house.now + 15 * MINUTE_MS);
    one.house.later(14 * MINUTE_MS);
    await one.ring();
    expect(provider.refreshes()).toBe(1);
    expect(provider.reused).toBe(0);
  });

  it("is left alone where there is none, or where it ends within minutes", async () => {
    const one = new Connected(new ConnectionHouse("strict"));
    const request = one.request();
    const idleEndsAt = one.house.now + DAY_MS;
    await one.object.grant({
      ...request,
      pair: { ...request.pair, refreshToken: null },
      times: { ...request.times, idleEndsAt },
    });
    while ((await one.toNextAlarm()) !== null);
    expect(one.house.provider.refreshes()).toBe(0);
    const two = new Connected(new ConnectionHouse("strict"));
    two.house.provider.refreshExpiresIn = 1;
    await two.grant();
    await two.ring();
    expect(await two.alarmAt()).toBe(null);
  });
});
