import { describe, expect, it } from "vitest";
import {
  FAILED_LIFE_REST_MS,
  isBeyondHope,
  isResting,
  retryAt,
  SEAL_AFTER_MS,
  withFailure,
  withoutFailures,
} from "../../src/run/failing.ts";
import type { Meta } from "../../src/run/meta.ts";

const META: Meta = { tenant: "default", id: "run_1", bodyDigest: "digest" };
const HOUR_MS = 60 * 60_000;

/** A run that was asked for without end, for so long, and whose lives all failed. */
function failFor(ms: number, everyMs: number): Meta {
  let meta = META;
  for (let now = 0; now <= ms; now += everyMs) meta = withFailure(meta, now);
  return meta;
}

describe("a run whose lives fail", () => {
  it("counts one failed life while it rests, whoever asks", () => {
    const meta = failFor(FAILED_LIFE_REST_MS - 1, 100);
    expect(meta).toMatchObject({ failedLives: 1, failingSince: 0, failedAt: 0 });
    expect(isResting(meta, FAILED_LIFE_REST_MS - 1)).toBe(true);
    expect(isResting(meta, FAILED_LIFE_REST_MS)).toBe(false);
  });

  it("outlives an outage of two days in which it is asked for ten times a minute", () => {
    const now = 48 * HOUR_MS;
    expect(isBeyondHope(failFor(now, 6_000), now)).toBe(false);
  });

  it("that is only locked is tried after as long again as it has been locked, between 30 s and an hour", () => {
    const waits = [0, 40_000, 600_000, 30 * 24 * HOUR_MS].map(
      (since) => retryAt({ ...META, lockedSince: 1_000 }, 1_000 + since) - (1_000 + since),
    );
    expect(waits).toEqual([30_000, 40_000, 600_000, HOUR_MS]);
  });

  it("is given up after three days, but not if it was hardly tried in them", () => {
    expect(isBeyondHope(failFor(SEAL_AFTER_MS, HOUR_MS), SEAL_AFTER_MS)).toBe(true);
    expect(isBeyondHope(failFor(SEAL_AFTER_MS, SEAL_AFTER_MS), SEAL_AFTER_MS)).toBe(false);
  });

  it("that an older build has counted begins its three days now", () => {
    const meta = withFailure({ ...META, failedLives: 4 }, SEAL_AFTER_MS);
    expect(meta.failedLives).toBe(5);
    expect(isBeyondHope(meta, SEAL_AFTER_MS)).toBe(false);
  });

  it("is tried again at a time to come, within the hour, also where it was tried a thousand times", () => {
    for (const failedLives of [1, 2, 5, 20, 1_000]) {
      const at = retryAt({ ...META, failedLives, failedAt: 0 }, 0);
      expect(at).toBeGreaterThan(0);
      expect(at).toBeLessThanOrEqual(HOUR_MS);
      expect(retryAt({ ...META, failedLives, failedAt: 0 }, 2 * HOUR_MS)).toBe(2 * HOUR_MS + 1);
    }
  });

  it("forgets it all with the first life that works", () => {
    expect(withoutFailures(failFor(HOUR_MS, 60_000))).toEqual(META);
  });
});
