import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isLiving, neededLifeMs, serves, wantedLifeMs } from "../../src/identity/needed-life.ts";

const S = 1_000;
const MIN = 60 * S;
const life = (ms: number) => ({ issuedAt: 0, expiresAt: ms });

describe("a credential of 15 minutes", () => {
  const it15 = life(15 * MIN);

  it.each([
    // A step of a minute wants a minute and a half.
    [1 * MIN, 13.5 * MIN, true],
    [1 * MIN, 13.5 * MIN + 1, false],
    // One of ten minutes: after half of the life it is exchanged as soon as it is too short.
    [10 * MIN, 4.5 * MIN, true],
    [10 * MIN, 7.5 * MIN - 1, true],
    [10 * MIN, 7.5 * MIN, false],
    // One that is longer than the credential: for half of its life, as no other would be better.
    [60 * MIN, 7.5 * MIN - 1, true],
    [60 * MIN, 7.5 * MIN, false],
    // The shortest step: never in the last half minute.
    [1, 14.5 * MIN - 1, true],
    [1, 14.5 * MIN, false],
  ])("serves a step of %i ms at the age of %i ms: %s", (timeoutMs, age, served) => {
    expect(serves(it15, wantedLifeMs(timeoutMs), age)).toBe(served);
  });
});

it("what a step needs is no more than the service issues, less a minute", () => {
  expect(neededLifeMs(wantedLifeMs(5 * MIN), life(60 * MIN))).toBe(5 * MIN + 30 * S);
  expect(neededLifeMs(wantedLifeMs(60 * MIN), life(15 * MIN))).toBe(14 * MIN);
});

it("of one that is issued for less than a minute half can be used, and an ended one serves nobody", () => {
  expect(isLiving(life(40 * S), 20 * S - 1)).toBe(true);
  expect(isLiving(life(40 * S), 20 * S)).toBe(false);
  expect(serves(life(40 * S), wantedLifeMs(MIN), 20 * S - 1)).toBe(true);
  expect(serves(life(40 * S), wantedLifeMs(MIN), 20 * S)).toBe(false);
  expect(isLiving(life(0), 0)).toBe(false);
  expect(serves(life(MIN), 0, 2 * MIN)).toBe(false);
});

it("a credential that was just issued serves every step, and one never serves that is not living", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 43_200 }),
      fc.nat(7_200_000),
      fc.nat(50_000_000),
      (seconds, timeout, age) => {
        const one = life(seconds * S);
        expect(serves(one, wantedLifeMs(timeout), 0)).toBe(true);
        if (serves(one, wantedLifeMs(timeout), age)) {
          expect(isLiving(one, age)).toBe(true);
          const left = one.expiresAt - age;
          expect(left >= neededLifeMs(wantedLifeMs(timeout), one) || left > one.expiresAt / 2).toBe(true);
        }
      },
    ),
  );
});
