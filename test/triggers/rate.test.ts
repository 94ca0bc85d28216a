import fc from "fast-check";
import { expect, it } from "vitest";
import { type Bucket, takeToken } from "../../src/triggers/rate.ts";

const rate = fc.record({
  perMinute: fc.integer({ min: 1, max: 6_000 }),
  burst: fc.integer({ min: 1, max: 100 }),
});
const gaps = fc.array(fc.integer({ min: -5_000, max: 60_000 }), { maxLength: 200 });

it("in no stretch of time it lets through more than the burst and what has flowed in", () => {
  fc.assert(
    fc.property(rate, gaps, (rate, gaps) => {
      let bucket: Bucket | null = null;
      let now = 1_000_000;
      const taken: number[] = [];
      for (const gap of gaps) {
        now += Math.max(0, gap);
        const step = takeToken(bucket, rate, now);
        ({ bucket } = step);
        if (step.waitMs === 0) taken.push(now);
      }
      for (const [i, from] of taken.entries())
        for (const [j, to] of taken.slice(i).entries())
          expect(j + 1).toBeLessThanOrEqual(rate.burst + ((to - from) * rate.perMinute) / 60_000 + 1e-6);
    }),
  );
});

it("who waits as long as it says gets a token, and who waits a millisecond less does not", () => {
  fc.assert(
    fc.property(rate, fc.integer({ min: 0, max: 200 }), (rate, before) => {
      let bucket: Bucket | null = null;
      let waitMs = 0;
      for (let i = 0; i <= before && waitMs === 0; i += 1) ({ bucket, waitMs } = takeToken(bucket, rate, 0));
      if (waitMs === 0) return;
      expect(takeToken(bucket, rate, waitMs).waitMs).toBe(0);
      expect(takeToken(bucket, rate, waitMs - 1).waitMs).toBeGreaterThan(0);
    }),
  );
});

it("a clock that goes back gives nothing, and takes nothing away", () => {
  const rate = { perMinute: 60, burst: 1 };
  const { bucket } = takeToken(null, rate, 10_000);
  const back = takeToken(bucket, rate, 5_000);
  expect(back.waitMs).toBe(1_000);
  expect(takeToken(back.bucket, rate, 6_000).waitMs).toBe(0);
});

it("a burst that was lowered holds at once", () => {
  const full = { tokens: 100, at: 0 };
  const first = takeToken(full, { perMinute: 1, burst: 1 }, 0);
  expect(first.waitMs).toBe(0);
  expect(takeToken(first.bucket, { perMinute: 1, burst: 1 }, 0).waitMs).toBe(60_000);
});
