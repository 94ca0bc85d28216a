import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { afterTry, type Health, nextTry, type Tried } from "../../src/triggers/outgoing/retrying.ts";
import {
  rotateKeys,
  type SigningKey,
  signingKeys,
  signMessage,
} from "../../src/triggers/outgoing/signing.ts";
import { arrivalOf, NOW, utf8, verdict, WHPK, WHSEC, WHSEC_OTHER, WHSK } from "./deliveries.ts";

const HOUR = 60 * 60_000;
const failed: Tried = { status: 500, retryAfterMs: null };

describe("the plan of retries", () => {
  it("is that of the specification, without chance", () => {
    const waits = [];
    for (let tries = 1, next = nextTry(1, failed, 0, 0); next.kind === "again";) {
      waits.push(next.at / 1_000);
      tries += 1;
      next = nextTry(tries, failed, 0, 0);
    }
    expect(waits).toEqual([5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]);
  });

  test.each([200, 201, 202, 204, 299])("ends with %i", (status) => {
    expect(nextTry(1, { status, retryAfterMs: 5 }, NOW, 0)).toEqual({ kind: "delivered" });
  });

  test.each([199, 301, 302, 307, 308, 400, 401, 404, 409, 429, 500, 503])("goes on after %i", (status) => {
    expect(nextTry(1, { status, retryAfterMs: null }, NOW, 0)).toEqual({ kind: "again", at: NOW + 5_000 });
  });

  it("goes on where there was no answer, and ends the endpoint with 410", () => {
    expect(nextTry(3, { status: null }, NOW, 0)).toEqual({ kind: "again", at: NOW + 30 * 60_000 });
    expect(nextTry(1, { status: 410, retryAfterMs: null }, NOW, 0)).toEqual({ kind: "gone" });
    expect(nextTry(10, { status: 410, retryAfterMs: null }, NOW, 0)).toEqual({ kind: "gone" });
  });

  test.each([429, 502, 503, 504])("hears what %i asks for, where that is later", (status) => {
    const at = (retryAfterMs: number) => nextTry(1, { status, retryAfterMs }, NOW, 0);
    expect(at(HOUR)).toEqual({ kind: "again", at: NOW + HOUR });
    expect(at(1)).toEqual({ kind: "again", at: NOW + 5_000 });
    expect(at(1_000 * HOUR)).toEqual({ kind: "again", at: NOW + 24 * HOUR });
  });

  it("does not let other answers put it off", () => {
    expect(nextTry(1, { status: 500, retryAfterMs: HOUR }, NOW, 0)).toEqual({
      kind: "again",
      at: NOW + 5_000,
    });
  });

  it("is never early, at most a fifth late, and always ends", () => {
    const tried = fc.oneof(
      fc.record({
        status: fc.integer({ min: 100, max: 599 }),
        retryAfterMs: fc.option(fc.integer({ min: 0, max: 1e9 })),
      }),
      fc.constant<Tried>({ status: null }),
    );
    const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), tried, random, (tries, tried, random) => {
        const sure = nextTry(tries, tried, NOW, 0);
        const next = nextTry(tries, tried, NOW, random);
        expect(next.kind).toBe(sure.kind);
        if (tries >= 10) expect(next.kind).not.toBe("again");
        if (next.kind !== "again" || sure.kind !== "again") return;
        expect(next.at).toBeGreaterThanOrEqual(sure.at);
        expect(next.at - NOW).toBeLessThanOrEqual((sure.at - NOW) * 1.2 + 1);
        expect(Number.isSafeInteger(next.at)).toBe(true);
      }),
    );
  });
});

describe("an endpoint", () => {
  const again = { kind: "again", at: 0 } as const;

  it("that is down for a day is not disabled, and is well with the first success", () => {
    let health: Health = { failingSince: null };
    for (let at = 0; at <= 24 * HOUR; at += HOUR) {
      const judged = afterTry(health, again, NOW + at);
      expect(judged.disable).toBeNull();
      ({ health } = judged);
    }
    expect(health.failingSince).toBe(NOW);
    expect(afterTry(health, { kind: "delivered" }, NOW)).toEqual({
      health: { failingSince: null },
      disable: null,
    });
  });

  it("that took nothing for five days is disabled, and one that says 410 at once", () => {
    const health = { failingSince: NOW };
    expect(afterTry(health, again, NOW + 120 * HOUR - 1).disable).toBeNull();
    expect(afterTry(health, { kind: "given_up" }, NOW + 120 * HOUR).disable).toBe("failing");
    expect(afterTry({ failingSince: null }, { kind: "gone" }, NOW).disable).toBe("gone");
  });
});

describe("keys of an endpoint", () => {
  const first: SigningKey[] = [{ id: "k0", madeAt: 0, until: null }];

  it("overlap as long as was said, newest first", () => {
    const keys = rotateKeys(first, "k1", 1_000, 24 * HOUR);
    expect(signingKeys(keys, 1_000).map(({ id }) => id)).toEqual(["k1", "k0"]);
    expect(signingKeys(keys, 1_000 + 24 * HOUR - 1).map(({ id }) => id)).toEqual(["k1", "k0"]);
    expect(signingKeys(keys, 1_000 + 24 * HOUR).map(({ id }) => id)).toEqual(["k1"]);
  });

  it("end at once where somebody else knows them", () => {
    expect(rotateKeys(first, "k1", 1_000, 0)).toEqual([{ id: "k1", madeAt: 1_000, until: null }]);
  });

  it("are one to three at any time, one of them without end, and none lives longer for a rotation", () => {
    const changes = fc.array(
      fc.tuple(fc.integer({ min: 0, max: 30 * HOUR }), fc.constantFrom(0, HOUR, 24 * HOUR)),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(changes, fc.nat(40 * HOUR), (changes, later) => {
        let keys: readonly SigningKey[] = first;
        let now = 0;
        for (const [i, [gap, overlap]] of changes.entries()) {
          now += gap;
          const before = keys;
          keys = rotateKeys(before, `k${i + 1}`, now, overlap);
          for (const key of keys.slice(1)) {
            const was = before.find(({ id }) => id === key.id);
            expect(was).toBeDefined();
            expect(key.until).toBeLessThanOrEqual(Math.min(was?.until ?? Infinity, now + overlap));
          }
        }
        const signing = signingKeys(keys, now + later);
        expect(signing.length).toBeGreaterThanOrEqual(1);
        expect(signing.length).toBeLessThanOrEqual(3);
        expect(signing[0]?.id).toBe(`k${changes.length}`);
        expect(signing.filter(({ until }) => until === null)).toHaveLength(1);
      }),
    );
  });
});

describe("a message", () => {
  const texts = new Map([
    ["open", WHSK],
    ["new", WHSEC],
    ["old", WHSEC_OTHER],
  ]);
  const keys: SigningKey[] = [
    { id: "open", madeAt: 3, until: null },
    { id: "new", madeAt: 2, until: NOW + 1 },
    { id: "old", madeAt: 1, until: NOW },
  ];
  const message = { id: "msg_1", sentAt: NOW, body: utf8("{}") };

  it("is accepted by who knows any key that signs, shared or public, and not under one that has ended", async () => {
    const headers = await signMessage(message, keys, texts);
    const codeOf = (secret: string) => verdict({ scheme: "standard" }, arrivalOf(headers, "{}"), [secret]);
    expect(await codeOf(WHPK)).toBe("ok");
    expect(await codeOf(WHSEC)).toBe("ok");
    expect(await codeOf(WHSEC_OTHER)).toBe("signature_wrong");
    expect(headers["webhook-signature"]).toMatch(/^v1a,[\w+/]{86}== v1,[\w+/]{43}=$/);
  });

  it("is not signed with a key that is not at hand, with none, or under an id that holds a full stop", async () => {
    await expect(signMessage(message, keys, new Map())).rejects.toThrow(TypeError);
    await expect(signMessage(message, [], texts)).rejects.toThrow(TypeError);
    await expect(signMessage({ ...message, id: "a.b" }, keys, texts)).rejects.toThrow(TypeError);
    await expect(signMessage(message, keys, new Map([...texts, ["open", WHPK]]))).rejects.toThrow(TypeError);
  });
});
