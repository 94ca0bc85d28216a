import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ConnectionRecord, Grant } from "../../src/connections/grant.ts";
import {
  backOffMs,
  chooseToken,
  deathOf,
  FORCED_REST_MS,
  keepAliveAt,
  keepAliveDueAt,
  LAST_MS,
  neededLifeMs,
  type Renewal,
} from "../../src/connections/refresh-rules.ts";

const NOW = 1_800_000_000_000;
const HOUR = 3_600_000;

const grantOf = (given: Partial<Grant> = {}): Grant => ({
  version: 3,
  sealed: "v1",
  scopes: null,
  account: { id: null, label: null },
  identityLevel: "confirm",
  grantedAt: NOW - HOUR,
  issuedAt: NOW - HOUR / 4,
  expiresAt: NOW + (HOUR * 3) / 4,
  idleEndsAt: null,
  endsAt: null,
  extra: {},
  ...given,
});

const recordOf = (given: Partial<ConnectionRecord> = {}, grant: Partial<Grant> = {}): ConnectionRecord => ({
  standing: { status: "active" },
  grant: grantOf(grant),
  epoch: 1,
  sending: null,
  failures: 0,
  retryAt: 0,
  ...given,
});

const STRICT: Renewal = { kind: "rotating", reuseLeewayMs: 0 };
const LEEWAY: Renewal = { kind: "rotating", reuseLeewayMs: 600_000 };
const STATIC: Renewal = { kind: "static", reuseLeewayMs: 0 };
const NONE: Renewal = { kind: "none", reuseLeewayMs: 0 };
const CLIENT: Renewal = { kind: "client", reuseLeewayMs: 0 };
const STEP = { hasRefreshToken: true, stepTimeoutMs: 60_000 };

describe("which token is good enough", () => {
  test("one that outlives the step is used as it is", () => {
    expect(chooseToken(recordOf(), { ...STEP, renewal: STRICT }, NOW)).toEqual({ kind: "use" });
  });

  test("one that would end in the step is renewed, and used if that fails for a passing reason", () => {
    const record = recordOf({}, { expiresAt: NOW + 80_000 });
    expect(chooseToken(record, { ...STEP, renewal: STRICT }, NOW)).toEqual({ kind: "renew", living: true });
  });

  test("one that ends on the way is renewed, and not used if that fails", () => {
    const record = recordOf({}, { expiresAt: NOW + LAST_MS });
    expect(chooseToken(record, { ...STEP, renewal: STRICT }, NOW)).toEqual({ kind: "renew", living: false });
  });

  test("one of which over half of its life is left is not renewed only for length", () => {
    const record = recordOf({}, { issuedAt: NOW - 10_000, expiresAt: NOW + 100_000 });
    expect(chooseToken(record, { ...STEP, stepTimeoutMs: 600_000, renewal: STRICT }, NOW)).toEqual({
      kind: "use",
    });
  });

  test("one that does not say when it ends has not ended", () => {
    const record = recordOf({}, { expiresAt: null });
    for (const renewal of [STRICT, STATIC, NONE])
      expect(chooseToken(record, { ...STEP, renewal }, NOW + 1_000 * HOUR)).toEqual({ kind: "use" });
  });

  test("no more life is wanted than the provider issues", () => {
    const { issuedAt } = grantOf();
    expect(neededLifeMs(10 * HOUR, { issuedAt, expiresAt: issuedAt + HOUR, idleEndsAt: null })).toBe(
      HOUR - 60_000,
    );
    expect(neededLifeMs(60_000, { issuedAt, expiresAt: issuedAt + HOUR, idleEndsAt: null })).toBe(90_000);
  });

  test("one that a service refused is renewed however long it lives", () => {
    const how = { ...STEP, renewal: STRICT, forced: true };
    expect(chooseToken(recordOf(), how, NOW)).toEqual({ kind: "renew", living: false });
  });

  test("one that was only just issued is not renewed for a service that refuses it, unless it is over", () => {
    for (const renewal of [STRICT, STATIC, CLIENT]) {
      const how = { ...STEP, renewal, forced: true };
      const at = (forcedMs: number) =>
        chooseToken(recordOf({ forcedAt: NOW - forcedMs }, { expiresAt: NOW + HOUR }), how, NOW).kind;
      expect([at(0), at(FORCED_REST_MS - 1), at(FORCED_REST_MS)]).toEqual(["refused", "refused", "renew"]);
      // One that was issued a moment ago, but for no refusal, may have been taken back in that moment.
      const young = recordOf({}, { issuedAt: NOW - 1, expiresAt: NOW + HOUR });
      expect(chooseToken(young, how, NOW).kind).toBe("renew");
      const over = recordOf({ forcedAt: NOW - 20_000 }, { expiresAt: NOW + 1_000 });
      expect(chooseToken(over, how, NOW).kind).toBe("renew");
    }
  });

  test("without a refresh token it is used to its end, and then it has ended", () => {
    const how = { ...STEP, hasRefreshToken: false, renewal: STRICT };
    expect(chooseToken(recordOf(), how, NOW)).toEqual({ kind: "use" });
    expect(chooseToken(recordOf({}, { expiresAt: NOW + 1 }), how, NOW)).toEqual({ kind: "ended" });
  });

  test("without a refresh token a refusal by a service kills nothing", () => {
    const how = { ...STEP, renewal: NONE, forced: true };
    expect(chooseToken(recordOf({}, { expiresAt: null }), how, NOW)).toEqual({ kind: "refused" });
  });

  test("a client that asks as itself needs no refresh token", () => {
    const how = { ...STEP, hasRefreshToken: false, renewal: CLIENT };
    expect(chooseToken(recordOf({}, { expiresAt: NOW }), how, NOW)).toEqual({ kind: "renew", living: false });
  });

  test("after a failure nothing is sent before its time", () => {
    const waiting = recordOf({ failures: 2, retryAt: NOW + 5_000 }, { expiresAt: NOW + 60_000 });
    expect(chooseToken(waiting, { ...STEP, renewal: STRICT }, NOW)).toEqual({ kind: "use" });
    const ended = recordOf({ failures: 2, retryAt: NOW + 5_000 }, { expiresAt: NOW });
    expect(chooseToken(ended, { ...STEP, renewal: STRICT }, NOW)).toEqual({ kind: "wait", at: NOW + 5_000 });
  });
});

describe("a refresh token whose answer was lost", () => {
  const lost = (agoMs: number, expiresAt: number): ConnectionRecord =>
    recordOf({ sending: { version: 3, since: NOW - agoMs } }, { expiresAt });

  test("is sent again at once within the leeway", () => {
    expect(chooseToken(lost(1_000, NOW + 60_000), { ...STEP, renewal: LEEWAY }, NOW)).toEqual({
      kind: "renew",
      living: true,
    });
  });

  test("is not sent again at the edge of the leeway while the access token lives", () => {
    expect(chooseToken(lost(580_000, NOW + 60_000), { ...STEP, renewal: LEEWAY }, NOW)).toEqual({
      kind: "use",
    });
  });

  test("of a strict provider is not sent again while the access token lives", () => {
    expect(chooseToken(lost(1_000, NOW + 60_000), { ...STEP, renewal: STRICT }, NOW)).toEqual({
      kind: "use",
    });
  });

  test("of a strict provider waits for the very end of the access token", () => {
    const almost = chooseToken(lost(1_000, NOW + 10_000), { ...STEP, renewal: STRICT }, NOW);
    expect(almost).toEqual({ kind: "wait", at: NOW + 10_000 });
    const over = chooseToken(lost(1_000, NOW), { ...STEP, renewal: STRICT }, NOW);
    expect(over).toEqual({ kind: "renew", living: false });
  });

  test("that does not rotate is sent again", () => {
    expect(chooseToken(lost(1_000, NOW + 60_000), { ...STEP, renewal: STATIC }, NOW)).toMatchObject({
      kind: "renew",
    });
  });

  test("of an older grant says nothing about this one", () => {
    const record = recordOf({ sending: { version: 2, since: NOW - 1_000 } }, { expiresAt: NOW + 60_000 });
    expect(chooseToken(record, { ...STEP, renewal: STRICT }, NOW)).toMatchObject({ kind: "renew" });
  });

  test("and refused does not mean that the user took anything back", () => {
    expect(deathOf(lost(1_000, NOW), true, NOW)).toBe("refresh_lost");
    expect(deathOf(lost(1_000, NOW), false, NOW)).toBe("revoked");
    expect(deathOf(recordOf(), true, NOW)).toBe("revoked");
    expect(deathOf(recordOf({}, { idleEndsAt: NOW }), false, NOW)).toBe("expired");
    expect(deathOf(recordOf({}, { endsAt: NOW }), false, NOW)).toBe("expired");
    expect(deathOf(recordOf({}, { endsAt: NOW + 1 }), false, NOW)).toBe("revoked");
  });
});

describe("in every state", () => {
  const times = fc.integer({ min: -2 * HOUR, max: 2 * HOUR });
  const anyRecord = fc
    .record({
      issued: fc.integer({ min: 1, max: 2 * HOUR }),
      left: fc.option(times),
      sent: fc.option(fc.integer({ min: 0, max: HOUR })),
      retry: fc.option(fc.integer({ min: 1, max: 60_000 })),
    })
    .map(({ issued, left, sent, retry }) =>
      recordOf(
        {
          sending: sent === null ? null : { version: 3, since: NOW - sent },
          retryAt: retry === null ? 0 : NOW + retry,
        },
        { issuedAt: NOW - issued, expiresAt: left === null ? null : NOW + left },
      ),
    );
  const anyHow = fc.record({
    renewal: fc.constantFrom(STRICT, LEEWAY, STATIC, NONE, CLIENT),
    hasRefreshToken: fc.boolean(),
    stepTimeoutMs: fc.integer({ min: 1_000, max: 600_000 }),
    forced: fc.boolean(),
  });

  test("no token is used that could end on the way, and none is used that a service refused", () => {
    fc.assert(
      fc.property(anyRecord, anyHow, (record, how) => {
        const choice = chooseToken(record, how, NOW);
        if (choice.kind !== "use") return;
        expect(how.forced).toBe(false);
        const { issuedAt, expiresAt } = record.grant;
        if (expiresAt === null) return;
        const left = expiresAt - NOW;
        expect(left).toBeGreaterThan(0);
        if (left <= LAST_MS) expect(left).toBeGreaterThanOrEqual(Math.floor((expiresAt - issuedAt) / 2));
      }),
    );
  });

  test("a strict provider never sees a refresh token twice while its access token lives", () => {
    fc.assert(
      fc.property(anyRecord, anyHow, (record, how) => {
        const choice = chooseToken(record, { ...how, renewal: STRICT }, NOW);
        if (choice.kind !== "renew" || record.sending === null) return;
        expect(record.grant.expiresAt ?? 0).toBeLessThanOrEqual(NOW);
      }),
    );
  });

  test("a wait ends in the future", () => {
    fc.assert(
      fc.property(anyRecord, anyHow, (record, how) => {
        const choice = chooseToken(record, how, NOW);
        if (choice.kind === "wait") expect(choice.at).toBeGreaterThan(NOW);
      }),
    );
  });
});

test("the wait after failures grows to a minute, and keeps what the provider asked for", () => {
  expect([0, 1, 2, 10].map((failures) => backOffMs(failures))).toEqual([1_000, 2_000, 4_000, 60_000]);
  expect(backOffMs(0, 90_000)).toBe(90_000);
});

test("a refresh token that ends unused is used when three quarters of its life are over", () => {
  expect(keepAliveAt({ issuedAt: NOW, expiresAt: null, idleEndsAt: NOW + 4 * HOUR })).toBe(NOW + 3 * HOUR);
  expect(keepAliveAt({ issuedAt: NOW, expiresAt: null, idleEndsAt: null })).toBeNull();
});

describe("tokens that are issued for less than a minute", () => {
  const short = (leftMs: number, lifeMs: number) =>
    recordOf({}, { issuedAt: NOW + leftMs - lifeMs, expiresAt: NOW + leftMs });

  test("are used for half of their life", () => {
    const how = { ...STEP, renewal: STRICT };
    expect(chooseToken(short(10_001, 20_000), how, NOW)).toEqual({ kind: "use" });
    expect(chooseToken(short(10_000, 20_000), how, NOW)).toEqual({ kind: "renew", living: false });
  });

  test("are used whatever is left by whoever had them fetched, unless the service refused them", () => {
    const how = { ...STEP, renewal: STRICT, fresh: true };
    expect(chooseToken(short(1, 20_000), how, NOW)).toEqual({ kind: "use" });
    expect(chooseToken(short(1, 20_000), { ...how, forced: true }, NOW)).toEqual({
      ...{ kind: "renew", living: false },
    });
  });
});

describe("keeping a refresh token alive", () => {
  const idle = { issuedAt: NOW, expiresAt: NOW + HOUR, idleEndsAt: NOW + 4 * HOUR };

  test("waits while a refresh rests", () => {
    expect(keepAliveDueAt(recordOf({}, idle), STATIC, NOW)).toBe(NOW + 3 * HOUR);
    expect(keepAliveDueAt(recordOf({ retryAt: NOW + 5 * HOUR }, idle), STATIC, NOW)).toBe(NOW + 5 * HOUR);
  });

  test("waits for the end of the token where an answer was lost and a second use would end all", () => {
    const sending = { version: 3, since: NOW };
    const late = { ...idle, expiresAt: NOW + 10 * HOUR };
    expect(keepAliveDueAt(recordOf({ sending }, late), STRICT, NOW)).toBe(NOW + 10 * HOUR);
    expect(keepAliveDueAt(recordOf({ sending }, late), LEEWAY, NOW)).toBe(NOW + 10 * HOUR);
    const soon = { ...late, idleEndsAt: NOW + 12 * 60_000 };
    expect(keepAliveDueAt(recordOf({ sending }, soon), LEEWAY, NOW)).toBe(NOW + 9 * 60_000);
    // The leeway is over before it is done: asked at that time, the answer is another one.
    expect(keepAliveDueAt(recordOf({ sending }, soon), LEEWAY, NOW + HOUR)).toBe(NOW + 10 * HOUR);
  });

  test("is for refresh tokens alone, and for those that do not end within minutes", () => {
    for (const renewal of [NONE, CLIENT]) expect(keepAliveDueAt(recordOf({}, idle), renewal, NOW)).toBe(null);
    expect(keepAliveAt({ ...idle, idleEndsAt: NOW + 599_999 })).toBe(null);
    expect(keepAliveAt({ ...idle, idleEndsAt: NOW - HOUR })).toBe(null);
  });
});
