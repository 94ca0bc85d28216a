import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Book, decide, EMPTY_BOOK, heard, LEASE_MS, needsCount } from "../../src/quotas/book.ts";
import type { Ask } from "../../src/quotas/quota-rpc.ts";
import { type Quotas, quotasOf } from "../../src/quotas/limits.ts";
import { type Batch, Purse } from "../../src/quotas/purse.ts";
import { type Covered, counted, coveredBy, SETTLE_MS, taken, tell } from "../../src/quotas/slots.ts";

/** What an isolate, the object, the directory or a run may do next; `ms` passes before. */
const move = fc.record({
  what: fc.constantFrom(
    ...(["start", "start", "start", "burst", "end", "end", "know", "know", "replay"] as const),
    ...(["count begins", "count ends"] as const),
    ...(["isolate dies", "object dies", "question lost", "answer lost", "directory away"] as const),
  ),
  isolate: fc.nat({ max: 3 }),
  pick: fc.nat(),
  ms: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 3_000 }), fc.integer({ min: 0, max: 60_000 })),
});
type Move = typeof move extends fc.Arbitrary<infer T> ? T : never;

interface Run {
  readonly batch: Batch;
  readonly startedAt: number;
  hasEnded: boolean;
  isKnown: boolean;
}

/** All isolates of a tenant, its object, its directory and its runs, over virtual time. */
class World {
  now = 1_000_000;
  readonly quotas: Quotas;
  readonly runs: Run[] = [];
  /** Every permit that was used, and when. */
  readonly used: number[] = [];
  refusals = 0;
  /** Sent as text: what lives on is what was stored. */
  #book = JSON.stringify(EMPTY_BOOK);
  /** A count of the directory that is under way: what it covers, and what it will say. */
  #counting: { readonly covered: Covered; readonly live: number } | null = null;
  #purses = Array.from({ length: 4 }, () => new Purse());

  constructor(active: number, perMinute: number) {
    this.quotas = quotasOf({ active_runs: active, starts_per_minute: perMinute });
  }

  get active(): number {
    return this.runs.filter(({ hasEnded }) => !hasEnded).length;
  }

  do({ what, isolate, pick, ms }: Move): void {
    this.now += ms;
    this.#tellLate();
    const under = this.runs.filter(({ hasEnded }) => !hasEnded);
    const unknown = this.runs.filter(({ isKnown }) => !isKnown);
    switch (what) {
      case "start":
        return this.#start(isolate, "heard", false);
      case "burst":
        for (let i = 0; i < pick % 300; i++) this.#start((isolate + i) % 4, "heard", false);
        return;
      case "count begins": {
        const covered = coveredBy(this.#stored().slots, this.now);
        this.#counting = { covered, live: this.#live() };
        return;
      }
      case "count ends":
        if (this.#counting !== null) this.#count(this.#counting.covered, this.#counting.live);
        this.#counting = null;
        return;
      case "replay":
        return this.#start(isolate, "heard", true);
      case "question lost":
        return this.#start(isolate, "question lost", false);
      case "answer lost":
        return this.#start(isolate, "answer lost", false);
      case "directory away":
        return this.#start(isolate, "uncounted", false);
      case "isolate dies":
        this.#purses[isolate] = new Purse();
        return;
      case "object dies":
        // It keeps nothing but what is stored.
        this.#counting = null;
        return;
      case "end": {
        const run = under[pick % Math.max(1, under.length)];
        if (run !== undefined) run.hasEnded = true;
        return;
      }
      case "know": {
        const run = unknown[pick % Math.max(1, unknown.length)];
        if (run !== undefined) this.#know(run);
      }
    }
  }

  /** A start, as the gate has it; gives whether one was begun. */
  #start(
    isolate: number,
    fate: "heard" | "question lost" | "answer lost" | "uncounted",
    replays: boolean,
  ): void {
    const purse = this.#purses[isolate] ?? new Purse();
    let batch = purse.take(this.now);
    if (batch === null) {
      if (purse.refusal(this.now) !== null) {
        this.refusals += 1;
        return;
      }
      this.#ask(purse, fate);
      batch = purse.take(this.now);
    }
    if (batch === null) return;
    batch.used += 1;
    this.used.push(this.now);
    if (replays) batch.freed += 1;
    else this.runs.push({ batch, startedAt: this.now, hasEnded: false, isKnown: false });
  }

  #ask(purse: Purse, fate: "heard" | "question lost" | "answer lost" | "uncounted"): void {
    const want = purse.want(this.now);
    let ask: Ask = { kind: "starts", want, ...purse.tell(this.now) };
    if (fate === "question lost") return;
    // One at a time.
    if (fate !== "uncounted" && this.#counting === null && needsCount(this.#stored(), this.quotas, ask)) {
      this.#book = JSON.stringify(heard(this.#stored(), this.quotas, ask, this.now));
      ask = { ...ask, told: [], charged: 0 };
      this.#count(coveredBy(this.#stored().slots, this.now), this.#live());
    }
    const decided = decide(this.#stored(), this.quotas, ask, this.now);
    this.#book = JSON.stringify(decided.book);
    if (fate === "answer lost") return;
    const { lease } = decided;
    if (lease.ok) purse.granted(lease.granted, lease.until, this.now + lease.forMs);
    else purse.refused(lease, this.now);
  }

  #live(): number {
    return this.runs.filter((run) => run.isKnown && !run.hasEnded).length;
  }

  #count(covered: Covered, live: number): void {
    const book = this.#stored();
    this.#book = JSON.stringify({ ...book, slots: counted(book.slots, covered, live) });
  }

  #stored(): Book {
    return JSON.parse(this.#book) as Book;
  }

  #know(run: Run): void {
    run.isKnown = true;
    run.batch.settled += 1;
  }

  /** What the door could not say, the run says by itself. */
  #tellLate(): void {
    for (const run of this.runs)
      if (!run.isKnown && this.now - run.startedAt >= SETTLE_MS - LEASE_MS) run.isKnown = true;
  }
}

const settings = fc.record({
  active: fc.integer({ min: 1, max: 30 }),
  perMinute: fc.integer({ min: 1, max: 200 }),
  moves: fc.array(move, { minLength: 1, maxLength: 400 }),
});

describe("the quota object and its isolates, over deaths, lost questions and lost answers", () => {
  it("never have more runs that have not ended than the quota", () => {
    fc.assert(
      fc.property(settings, ({ active, perMinute, moves }) => {
        const world = new World(active, perMinute);
        for (const one of moves) {
          world.do(one);
          expect(world.active).toBeLessThanOrEqual(active);
        }
      }),
      { numRuns: 300 },
    );
  });

  it("in no stretch of time begin more than a minute's worth and what has flowed in", () => {
    fc.assert(
      fc.property(settings, ({ active, perMinute, moves }) => {
        const world = new World(active * 1_000, perMinute);
        for (const one of moves) world.do(one);
        const { used } = world;
        // From each use to every later one, by the least that any earlier one leaves.
        let least = Infinity;
        for (const [i, at] of used.entries()) {
          const flowed = (at * perMinute) / 60_000;
          least = Math.min(least, i - flowed);
          expect(i + 1 - flowed - least).toBeLessThanOrEqual(perMinute + 1e-6);
        }
      }),
      { numRuns: 300 },
    );
  });

  it("give every slot back: once all runs have ended and a while has passed, as many can be begun as ever", () => {
    fc.assert(
      fc.property(settings, ({ active, moves }) => {
        const world = new World(active, 1_000_000);
        for (const one of moves) world.do(one);
        for (const run of world.runs) run.hasEnded = true;
        const wait = { pick: 0, isolate: 0 };
        // All batches are over, and nobody has told of some.
        world.do({ ...wait, what: "object dies", ms: LEASE_MS + SETTLE_MS + 1_000 });
        for (let i = 0; i < active * 8 && world.active < active; i++)
          world.do({ ...wait, what: "start", ms: 2_100 });
        expect(world.active).toBe(active);
      }),
      { numRuns: 200 },
    );
  });
});

describe("a quiet tenant", () => {
  it("costs one question for eight starts that come together, and fewer the faster they come", () => {
    const quotas = quotasOf(null);
    const purse = new Purse();
    let book = EMPTY_BOOK;
    let questions = 0;
    for (let i = 0, now = 0; i < 1_000; i++, now += 10) {
      if (purse.take(now) !== null) continue;
      questions += 1;
      const decided = decide(
        book,
        quotas,
        { kind: "starts", want: purse.want(now), ...purse.tell(now) },
        now,
      );
      book = decided.book;
      if (decided.lease.ok)
        purse.granted(decided.lease.granted, decided.lease.until, now + decided.lease.forMs);
      expect(purse.take(now)).not.toBeNull();
    }
    expect(questions).toBe(8);
  });
});

it("runs that have ended leave room with the first count after they were told of", () => {
  const until = 9_000_000;
  const quotas = quotasOf({ active_runs: 3 });
  const before: Book = { ...EMPTY_BOOK, slots: { counted: 0, settled: 0, lent: [[until, 3]] } };
  const told = [{ until, used: 3, unused: 0, freed: 0, settled: 3 }];
  const ask: Ask = { kind: "starts", want: 8, told, charged: 0 };
  const book = heard(before, quotas, ask, 1_000_000);
  expect(needsCount(book, quotas, { ...ask, told: [] })).toBe(true);
  const slots = counted(book.slots, coveredBy(book.slots, 1_000_000), 2);
  const { lease } = decide({ ...book, slots }, quotas, { ...ask, told: [] }, 1_000_000);
  expect(lease).toMatchObject({ ok: true, granted: 1 });
});

it("what became known while the directory was counting is not taken for counted", () => {
  const before = { counted: 0, settled: 3, lent: [[9_000_000, 2]] as const };
  const covered = coveredBy(before, 1_000_000);
  const meanwhile = tell(before, { until: 9_000_000, unused: 0, freed: 0, settled: 2 });
  expect(taken(counted(meanwhile, covered, 1))).toBe(1 + 2);
});

describe("a clock that was a day ahead for a moment", () => {
  const quotas = quotasOf({ requests_per_second: 10, request_burst: 20 });
  const ask = { kind: "requests", want: 8, told: [], charged: 0 } as const;
  const DAY_MS = 24 * 60 * 60_000;

  it("keeps the tenant waiting for no longer than the bucket fills, and gives nothing for going back", () => {
    let now = 1_000_000;
    let book: Book = EMPTY_BOOK;
    /** How many permits there are at once. */
    const all = (): number => {
      for (let sum = 0; ;) {
        const decided = decide(book, quotas, ask, now);
        book = decided.book;
        if (!decided.lease.ok) return sum;
        sum += decided.lease.granted;
      }
    };
    now += DAY_MS;
    expect(all()).toBe(20);
    now -= DAY_MS;
    expect(all()).toBe(0);
    now += 1_000;
    expect(all()).toBe(10);
    now += 2_000;
    // Of the burst the ten are still out.
    expect(all()).toBe(10);
  });
});
