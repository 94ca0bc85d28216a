/** The queue against its plainest form, over random histories; and what it says of who waits. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Place } from "../../../src/triggers/flow/place.ts";
import { Chance, Disk, FlowWorld, NOW } from "./flow-world.ts";
import { NaiveQueue } from "./naive-queue.ts";

const RUNS = 12;

const keys = fc.constantFrom("a", "b", "c");

const settings = fc.record({
  limits: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 2 }),
  rate: fc.option(fc.record({ limit: fc.integer({ min: 1, max: 3 }), perMs: fc.constant(7_000) })),
  debounce: fc.option(fc.record({ forMs: fc.constantFrom(2_000, 6_000), maxMs: fc.constantFrom(8_000) })),
  maxQueued: fc.constantFrom(2, 1_000),
});
type Picked = typeof settings extends fc.Arbitrary<infer T> ? T : never;

function placeOf(
  { limits, rate, debounce, maxQueued }: Picked,
  own: { readonly keys: readonly string[]; readonly priority: number },
): Place {
  const [first = "", second = "", third = "", fourth = ""] = own.keys;
  return {
    v: 1,
    ...(limits.length === 0
      ? {}
      : { concurrency: limits.map((limit, i) => ({ limit, key: i === 0 ? first : second })) }),
    ...(rate === null ? {} : { rate: { ...rate, key: third } }),
    ...(debounce === null ? {} : { debounce: { ...debounce, key: fourth } }),
    priority: own.priority,
    maxQueued,
  };
}

const input = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      t: fc.constant("enqueue" as const),
      run: fc.nat(RUNS - 1),
      generation: fc.constantFrom(1, 1, 1, 2),
      age: fc.constantFrom(0, 0, 0, 5_000),
      set: fc.nat(1),
      keys: fc.array(keys, { minLength: 4, maxLength: 4 }),
      priority: fc.constantFrom(0, 0, 5),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      t: fc.constant("release" as const),
      run: fc.nat(RUNS - 1),
      generation: fc.constantFrom(1, 1, 2),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ t: "wake" as const }) },
  { weight: 2, arbitrary: fc.constant({ t: "errands" as const }) },
  { weight: 1, arbitrary: fc.constant({ t: "death" as const }) },
);

const history = fc.record({
  sets: fc.array(settings, { minLength: 2, maxLength: 2 }),
  inputs: fc.array(fc.record({ input, later: fc.constantFrom(0, 0, 500, 3_000, 9_000, 30_000) }), {
    maxLength: 60,
    size: "max",
  }),
});

describe("a queue", () => {
  it("agrees after every input with the rules in their plainest form, whatever comes twice, late, or after a death", () => {
    let admitted = 0;
    let superseded = 0;
    let full = 0;
    fc.assert(
      fc.property(history, ({ sets, inputs }) => {
        const disk = new Disk();
        const naive = new NaiveQueue();
        let now = NOW;
        let queue = disk.read(now);
        for (const { input: one, later } of inputs) {
          now += later;
          if (one.t === "enqueue") {
            const set = sets[one.set];
            if (set === undefined) throw new Error("no such settings");
            const ask = {
              ...{ run: `run-${one.run}`, generation: one.generation, at: now - one.age },
              place: placeOf(set, one),
            };
            const told = queue.enqueue(ask, now);
            expect({ admitted: told.admitted, full: told.full === true }).toEqual(naive.enqueue(ask, now));
            if (told.full === true) full += 1;
          } else if (one.t === "release") {
            queue.release(`run-${one.run}`, one.generation, now);
            naive.release(`run-${one.run}`, one.generation, now);
          } else if (one.t === "death") {
            queue = disk.read(now);
            naive.die();
            naive.wake(now);
          } else {
            queue.wake(now);
            naive.wake(now);
            if (one.t === "errands")
              for (const errand of queue.errands(now, 100))
                queue.settle(errand, errand.t === "supersede" ? "failed" : "done", now);
          }
          disk.write(queue);
          const stages = (all: Iterable<{ run: string; stage: string; by: string | null }>) =>
            [...all].map(({ run, stage, by }) => `${run} ${stage} ${by ?? ""}`).sort();
          expect(stages(disk.entries.values())).toEqual(stages(naive.runs));
          expect(queue.firstOnes(100).flatMap(({ run, place }) => (place === null ? [] : [run]))).toEqual(
            naive.inOrder().map(({ run }) => run),
          );
          expect(queue.counts().admitted).toBe(naive.runs.filter(({ stage }) => stage === "admitted").length);
          // Whoever waits for the clock has it set.
          const wake = queue.nextWake();
          if (naive.runs.some(({ stage }) => stage === "quiet")) expect(wake).not.toBeNull();
        }
        admitted += naive.runs.filter(({ stage }) => stage === "admitted").length;
        superseded += naive.runs.filter(({ stage }) => stage === "superseded").length;
      }),
      { numRuns: 1_500, seed: 6 },
    );
    // The histories have come to what they are to show.
    for (const count of [admitted, superseded, full]) expect(count).toBeGreaterThan(100);
  });
});

describe("a world of runs and a queue that die, of words that are lost, come twice and come late, and of clocks that jump", () => {
  const CALM = { kill: 0, lost: 0, double: 0, runDies: 0, jump: 0 };
  const ROUGH = { kill: 0.05, lost: 0.1, double: 0.1, runDies: 0.03, jump: 0 };

  it.each([
    ["of one limit", { limits: [{ limit: 5, keys: 1 }] }, ROUGH],
    [
      "of a limit for each of ten keys, and one for all",
      {
        limits: [
          { limit: 2, keys: 10 },
          { limit: 7, keys: 1 },
        ],
      },
      ROUGH,
    ],
    [
      "of two keys that cross",
      {
        limits: [
          { limit: 2, keys: 4 },
          { limit: 3, keys: 3 },
        ],
      },
      ROUGH,
    ],
    ["of a rate", { limits: [], rate: { limit: 4, perMs: 10_000, keys: 2 } }, ROUGH],
    [
      "of a limit and a rate",
      { limits: [{ limit: 3, keys: 2 }], rate: { limit: 4, perMs: 10_000, keys: 2 } },
      ROUGH,
    ],
    [
      "whose clock jumps",
      { limits: [{ limit: 5, keys: 2 }], rate: { limit: 9, perMs: 10_000, keys: 2 } },
      { ...ROUGH, jump: 0.02 },
    ],
    ["without any mishap", { limits: [{ limit: 5, keys: 1 }] }, CALM],
  ] as const)(
    "never has more at work than the limits, and comes to the end of every run: %s",
    (_, setup, chances) => {
      for (let seed = 1; seed <= 25; seed += 1) {
        const world = new FlowWorld(setup, chances, new Chance(seed));
        for (let i = 0; i < 150; i += 1) world.start();
        world.runToTheEnd();
        expect(world.breaches).toEqual([]);
        expect(world.unended()).toEqual([]);
        // Nothing is left behind but what rates remember.
        expect(world.disk.entries.size).toBe(0);
        if (setup.limits[0]?.keys === 1 && chances === CALM) expect(world.most).toBe(5);
      }
    },
  );

  it("lets one run of each debounce key go on in the end, the last one, and tells every other one which took its place", () => {
    for (let seed = 1; seed <= 25; seed += 1) {
      const world = new FlowWorld(
        { limits: [{ limit: 2, keys: 1 }], debounce: { forMs: 30_000, maxMs: 600_000, keys: 3 } },
        ROUGH,
        new Chance(seed),
      );
      for (let i = 0; i < 60; i += 1) world.start();
      world.runToTheEnd();
      expect(world.breaches).toEqual([]);
      expect(world.unended()).toEqual([]);
      for (const key of ["k0", "k1", "k2"]) {
        const ofKey = world.runs.filter((run) => run.place.debounce?.key === key);
        const last = ofKey.toSorted((a, b) => a.at - b.at || (a.run < b.run ? -1 : 1)).at(-1);
        if (last?.fate === "works") expect(last?.ended).toBe("worked");
        expect(ofKey.filter(({ ended }) => ended === "superseded").length).toBeGreaterThan(ofKey.length / 2);
      }
    }
  });
});
