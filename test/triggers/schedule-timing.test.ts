/** Intervals, single times, jitter, and finding the last tick without looking at all of them. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  lastTick,
  nextTicks,
  readTiming,
  startOf,
  type Ticks,
  type Timing,
} from "../../src/triggers/schedule-timing.ts";

const NOW = Date.UTC(2026, 0, 1);
const MINUTE_MS = 60_000;

function ticksOf(timing: Timing): Ticks {
  const read = readTiming(timing, NOW);
  if (!read.ok) throw new Error(read.error.code);
  return read.value;
}

const timings: fc.Arbitrary<Timing> = fc.oneof(
  fc.record({
    kind: fc.constant("interval" as const),
    everyMs: fc.integer({ min: 1_000, max: 10 * MINUTE_MS }),
    anchor: fc.integer({ min: NOW - 1e9, max: NOW + 1e9 }),
  }),
  fc.record({ kind: fc.constant("once" as const), at: fc.integer({ min: NOW + 1, max: NOW + 1e7 }) }),
  fc.record({
    kind: fc.constant("cron" as const),
    expression: fc.constantFrom("* * * * *", "*/7 * * * *", "*/20 * * * * *", "0 9 * * 1-5", "30 1,2 * * *"),
    timezone: fc.constantFrom("UTC", "America/New_York", "Australia/Lord_Howe"),
  }),
);

describe("timings", () => {
  it("an interval keeps its anchor, before it and after it", () => {
    const ticks = ticksOf({ kind: "interval", everyMs: 5_000, anchor: NOW });
    expect([NOW - 5_001, NOW - 5_000, NOW - 1, NOW, NOW + 4_999].map((at) => ticks.next(at))).toEqual([
      NOW - 5_000,
      NOW,
      NOW,
      NOW + 5_000,
      NOW + 5_000,
    ]);
  });

  it("a single time is there once", () => {
    expect(nextTicks(ticksOf({ kind: "once", at: NOW + 1 }), NOW, 10)).toEqual([NOW + 1]);
  });

  it.each<[Timing, string]>([
    [{ kind: "interval", everyMs: 999, anchor: NOW }, "interval_out_of_range"],
    [{ kind: "interval", everyMs: 1e15, anchor: NOW }, "interval_out_of_range"],
    [{ kind: "interval", everyMs: 1_000.5, anchor: NOW }, "interval_out_of_range"],
    [{ kind: "interval", everyMs: Number.NaN, anchor: NOW }, "interval_out_of_range"],
    [{ kind: "interval", everyMs: 1_000, anchor: -1 }, "time_out_of_range"],
    [{ kind: "once", at: NOW }, "time_in_the_past"],
    [{ kind: "once", at: Number.MAX_SAFE_INTEGER }, "time_out_of_range"],
    [{ kind: "cron", expression: "0 0 30 2 *", timezone: "UTC" }, "cron_never_fires"],
  ])("%j is refused: %s", (timing, code) => {
    expect(readTiming(timing, NOW)).toMatchObject({ ok: false, error: { code } });
  });

  it("T2: jitter is the same at every look, changes no order, and uses all of its room", () => {
    const seen: number[] = [];
    fc.assert(
      fc.property(
        timings,
        fc.integer({ min: 1, max: 60 * MINUTE_MS }),
        fc.string(),
        (timing, jitterMs, id) => {
          const ticks = ticksOf(timing);
          const all = nextTicks(ticks, NOW, 5);
          const starts = all.map((tick) => startOf(ticks, id, tick, jitterMs));
          expect(starts).toEqual(all.map((tick) => startOf(ticksOf(timing), id, tick, jitterMs)));
          for (const [index, start] of starts.entries()) {
            const tick = all[index]!;
            const next = all[index + 1] ?? Number.MAX_SAFE_INTEGER;
            expect(start >= tick && start < Math.min(next, tick + jitterMs)).toBe(true);
            seen.push((start - tick) / Math.min(next - tick, jitterMs));
          }
        },
      ),
      { numRuns: 300, seed: 1 },
    );
    for (const quarter of [0, 1, 2, 3])
      expect(seen.filter((part) => Math.floor(part * 4) === quarter).length).toBeGreaterThan(seen.length / 6);
  });

  it("the last tick is the one that looking at all of them finds", () => {
    fc.assert(
      fc.property(
        timings,
        fc.integer({ min: 0, max: 1e7 }),
        fc.integer({ min: 0, max: 1e6 }),
        (timing, shift, span) => {
          const ticks = ticksOf(timing);
          const from = NOW + shift;
          let expected: number | null = null;
          for (let at = ticks.next(from); at !== null && at <= from + span; at = ticks.next(at))
            expected = at;
          expect(lastTick(ticks, from, from + span)).toBe(expected);
        },
      ),
      { numRuns: 300, seed: 2 },
    );
  });

  it("and finding it in ten years of seconds asks a few dozen times", () => {
    let asked = 0;
    const inner = ticksOf({ kind: "interval", everyMs: 1_000, anchor: NOW });
    const ticks: Ticks = {
      next: (after) => {
        asked += 1;
        return inner.next(after);
      },
    };
    const until = Date.UTC(2036, 0, 1) + 500;
    expect(lastTick(ticks, NOW, until)).toBe(until - 500);
    expect(asked).toBeLessThan(150);
  });
});
