import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  activeKey,
  advanced,
  AHEAD_MS,
  canRotate,
  dueAt,
  EMERGENCY_AHEAD_MS,
  MAX_KEYS,
  nextKey,
  PERIOD_MS,
  publishedNow,
  RETIRED_MS,
  restored,
  revoked,
  type SigningKey,
  wantedKey,
} from "../../src/identity/signing-keys.ts";
import { MAX_TTL_S } from "../../src/identity/token.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** Drives the rules as an object does, and keeps a history of its own that the claims are checked against. */
class Life {
  now = 1_000_000;
  made = 0;
  keys: readonly SigningKey[] = [];
  /** When each key was first published, why it was made, and when it signed last. */
  readonly published = new Map<string, number>();
  readonly reasons = new Map<string, string>();
  readonly signed = new Map<string, number>();
  readonly revoked = new Set<string>();

  later(ms: number): void {
    this.now += ms;
    // Until this very moment it may have signed.
    const signing = activeKey(this.keys);
    if (signing !== undefined) this.signed.set(signing.kid, this.now);
    this.keys = advanced(this.keys, this.now);
    this.look();
  }

  /** Goes to where something happens by time alone. */
  due(): void {
    const at = dueAt(this.keys);
    if (at !== null) this.later(Math.max(0, at - this.now));
  }

  /** Makes what is wanted, if anything is. */
  make(): void {
    const reason = wantedKey(this.keys, this.made, this.now);
    if (reason !== null) this.add(reason);
  }

  add(reason: "first" | "rotation" | "emergency"): void {
    this.made += 1;
    const kid = `k${this.made}`;
    this.reasons.set(kid, reason);
    this.keys = [...this.keys, nextKey({ kid, n: "n", e: "e", number: this.made }, reason, this.now)];
  }

  publish(): void {
    const kids = new Set(this.keys.map(({ kid }) => kid));
    for (const kid of kids) if (!this.published.has(kid)) this.published.set(kid, this.now);
    this.keys = publishedNow(this.keys, kids, this.now);
    this.later(0);
  }

  rotate(): void {
    if (canRotate(this.keys) === "yes" && activeKey(this.keys) !== undefined) this.add("rotation");
  }

  revoke(at: number): void {
    const key = this.keys[at % Math.max(1, this.keys.length)];
    if (key === undefined) return;
    this.revoked.add(key.kid);
    this.keys = revoked(this.keys, key.kid);
    this.make();
  }

  /** What must hold whenever anybody looks. */
  look(): void {
    const before = new Set(this.signed.keys());
    const active = this.keys.filter(({ state }) => state === "active");
    must(active.length <= 1, "two keys sign");
    must(this.keys.length <= MAX_KEYS, "too many keys");
    must(new Set(this.keys.map(({ kid }) => kid)).size === this.keys.length, "a key is there twice");
    must(!this.keys.some(({ kid }) => this.revoked.has(kid)), "a key came back");
    for (const { kid } of active) {
      const least = { first: 0, rotation: DAY_MS, emergency: EMERGENCY_AHEAD_MS }[
        this.reasons.get(kid) ?? ""
      ];
      const published = this.published.get(kid) ?? Number.POSITIVE_INFINITY;
      must(this.now - published >= (least ?? Number.NaN), "a key signs too early");
      this.signed.set(kid, this.now);
      before.delete(kid);
    }
    // Whatever signed a token that may still be shown is published, and a day more; but what was revoked.
    for (const kid of before) {
      if (this.revoked.has(kid) || this.keys.some((key) => key.kid === kid)) continue;
      const since = this.now - (this.signed.get(kid) ?? 0);
      must(since >= MAX_TTL_S * 1_000 + DAY_MS, "a key went too soon");
    }
  }
}

/** As `expect`, which is slow where it is called a million times. */
function must(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}

const commands = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant("later" as const),
        ms: fc.integer({ min: 0, max: 2 * DAY_MS }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant("later" as const),
        ms: fc.integer({ min: 0, max: 40 * DAY_MS }),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant("later" as const),
        ms: fc.constantFrom(EMERGENCY_AHEAD_MS, DAY_MS),
      }),
    },
    { weight: 6, arbitrary: fc.record({ do: fc.constant("due" as const) }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant("make" as const) }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant("publish" as const) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("rotate" as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("revoke" as const), at: fc.nat(3) }) },
  ),
  { minLength: 40, maxLength: 120 },
);

describe("whatever happens, in any order", () => {
  it("one key signs at most, none too early, none that signed goes too soon, and there are at most four", () => {
    let rotations = 0;
    let emergencies = 0;
    fc.assert(
      fc.property(commands, (list) => {
        const life = new Life();
        for (const one of list) {
          if (one.do === "later") life.later(one.ms);
          else if (one.do === "revoke") life.revoke(one.at);
          else life[one.do]();
          life.look();
        }
        const why = [...life.signed.keys()].map((kid) => life.reasons.get(kid));
        rotations += why.filter((reason) => reason === "rotation").length;
        emergencies += why.filter((reason) => reason === "emergency").length;
      }),
      { numRuns: 1_500 },
    );
    // The lists reach what they are about.
    expect(rotations).toBeGreaterThan(500);
    expect(emergencies).toBeGreaterThan(500);
  });

  it("a key signs again soon, once keys are made and published", () => {
    fc.assert(
      fc.property(commands, (list) => {
        const life = new Life();
        for (const one of list) {
          if (one.do === "later") life.later(one.ms);
          else if (one.do === "revoke") life.revoke(one.at);
          else life[one.do]();
        }
        life.make();
        life.publish();
        life.later(EMERGENCY_AHEAD_MS);
        expect(activeKey(life.keys)).toBeDefined();
      }),
      { numRuns: 500 },
    );
  });
});

describe("a key", () => {
  it("rotates by itself every 30 days, published for a day before, and for the tokens' lives and a day after", () => {
    const life = new Life();
    life.make();
    life.publish();
    const since = life.now;
    expect(activeKey(life.keys)?.kid).toBe("k1");
    expect(dueAt(life.keys)).toBe(since + PERIOD_MS - AHEAD_MS);
    for (let rotation = 1; rotation <= 3; rotation++) {
      life.later((dueAt(life.keys) ?? 0) - life.now);
      life.make();
      life.publish();
      expect(activeKey(life.keys)?.kid).toBe(`k${rotation}`);
      life.later((dueAt(life.keys) ?? 0) - life.now);
      expect(activeKey(life.keys)?.kid).toBe(`k${rotation + 1}`);
      expect(life.now).toBe(since + rotation * PERIOD_MS);
      life.later((dueAt(life.keys) ?? 0) - life.now);
      expect(life.now).toBe(since + rotation * PERIOD_MS + RETIRED_MS);
      expect(life.keys.map(({ kid }) => kid)).toEqual([`k${rotation + 1}`]);
    }
  });

  it("that was not published does not sign, however long that takes", () => {
    const life = new Life();
    life.make();
    life.later(100 * DAY_MS);
    expect(activeKey(life.keys)).toBeUndefined();
    expect(dueAt(life.keys)).toBeNull();
    life.publish();
    expect(activeKey(life.keys)?.kid).toBe("k1");
  });

  it("that is revoked in the middle of a rotation is followed by a fresh one, not by the one that waits for its day", () => {
    const life = new Life();
    life.make();
    life.publish();
    life.rotate();
    life.publish();
    life.revoke(0);
    life.publish();
    life.later(EMERGENCY_AHEAD_MS);
    expect(activeKey(life.keys)?.kid).toBe("k3");
    life.later(DAY_MS);
    expect(activeKey(life.keys)?.kid).toBe("k2");
  });
});

describe("a tenant that has four keys", () => {
  const four = ["retired", "retired", "retired", "active"].map((state, i): SigningKey => ({
    ...nextKey({ kid: `k${i}`, n: "n", e: "e", number: i + 1 }, "first", 0),
    ...{ state: state as SigningKey["state"], publishedAt: 0, activeAt: 0 },
    retiredAt: state === "retired" ? PERIOD_MS : null,
  }));

  it("is given no fifth, neither by time nor on demand, before one of them goes", () => {
    expect(canRotate(four)).toBe("later");
    expect(wantedKey(four, 4, PERIOD_MS)).toBeNull();
    expect(dueAt(four)).toBe(PERIOD_MS + RETIRED_MS);
    expect(canRotate(advanced(four, PERIOD_MS + RETIRED_MS))).toBe("yes");
  });
});

describe("after the object was put back to an earlier time", () => {
  const bare = (key: SigningKey): SigningKey => key;

  it("what was revoked meanwhile stays gone", () => {
    const life = new Life();
    life.make();
    life.publish();
    const early = life.keys;
    life.revoke(0);
    life.publish();
    expect(restored(early, life.keys, bare, life.now).map(({ kid }) => kid)).toEqual([]);
  });

  it("keys without their private half stay published, sign no more, and leave room for one that does", () => {
    const known = ["retired", "retired", "retired", "active"].map((state, i): SigningKey => ({
      ...nextKey({ kid: `k${i}`, n: "n", e: "e", number: i }, "first", 0),
      ...{ state: state as SigningKey["state"], publishedAt: 0, activeAt: 0 },
      retiredAt: state === "retired" ? 5 : null,
    }));
    const left = restored([], known, bare, 7);
    expect(left.map(({ kid, state, retiredAt }) => [kid, state, retiredAt])).toEqual([
      ["k1", "retired", 5],
      ["k2", "retired", 5],
      ["k3", "retired", 7],
    ]);
    expect(wantedKey(left, 4, 7)).toBe("emergency");
  });
});
