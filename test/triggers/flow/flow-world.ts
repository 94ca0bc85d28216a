/**
 * A virtual world around the queue of a workflow: runs that tell it that they wait and that they have ended until that was heard, calls
 * of which some are lost, come twice or come late, a queue that dies and reads its disk, and a referee that counts who is at work.
 */
import { FlowQueue } from "../../../src/triggers/flow/flow-rules.ts";
import type { Entry, Errand, ErrandOutcome, RateState } from "../../../src/triggers/flow/flow-state.ts";
import type { Place, Settings } from "../../../src/triggers/flow/place.ts";
import { Random } from "../../sim/random.ts";

export const NOW = Date.UTC(2026, 0, 1);
const SECOND_MS = 1_000;
const DAY_MS = 86_400_000;
const RETRY_MS = 5 * SECOND_MS;
const LATEST_MS = 90 * SECOND_MS;
/** After its admission a run begins within, however many words are lost: a slot must not lie idle. */
const LATEST_START_MS = 10 * 60 * SECOND_MS;
const MOST_EVENTS = 400_000;

export class Chance extends Random {
  constructor(seed: number) {
    super(seed, "flow");
  }
}

/** What is on the disk. */
export class Disk {
  settings: Settings | null = null;
  readonly entries = new Map<string, Entry>();
  readonly rates = new Map<string, RateState>();
  /** Admissions that there ever were. */
  readonly admissions: { readonly key: string | null; readonly at: number }[] = [];

  write(queue: FlowQueue): void {
    const changes = queue.takeChanges();
    if (changes === null) return;
    this.settings = changes.settings ?? this.settings;
    for (const [run, entry] of changes.entries)
      if (entry === null) this.entries.delete(run);
      else {
        if (entry.stage === "admitted" && this.entries.get(run)?.stage !== "admitted")
          this.admissions.push({ key: entry.keys.rate, at: entry.since });
        this.entries.set(run, entry);
      }
    for (const [key, rate] of changes.rates)
      if (rate === null) this.rates.delete(key);
      else this.rates.set(key, rate);
  }

  read(now: number): FlowQueue {
    const { settings } = this;
    return new FlowQueue(
      { settings, entries: [...this.entries.values()], rates: [...this.rates.values()] },
      now,
    );
  }
}

export interface Setup {
  readonly limits: readonly { readonly limit: number; readonly keys: number }[];
  readonly rate?: { readonly limit: number; readonly perMs: number; readonly keys: number };
  readonly debounce?: { readonly forMs: number; readonly maxMs: number; readonly keys: number };
}

export interface Chances {
  /** That the queue dies at a call; half of the time what it has decided is on the disk. */
  readonly kill: number;
  /** That a call or its answer is lost. */
  readonly lost: number;
  /** That a call comes once more, later. */
  readonly double: number;
  /** That a run goes for good, without a word. */
  readonly runDies: number;
  /** That the clock of the queue jumps at a call. */
  readonly jump: number;
}

export interface WorldRun {
  readonly run: string;
  readonly at: number;
  readonly place: Place;
  readonly fate: "works" | "dies" | "cancelled";
  stage: "waits" | "works" | "over";
  /** Whether the queue has taken that it waits. */
  heard: boolean;
  startedAt: number | null;
  ended: "worked" | "superseded" | "gone" | "cancelled" | null;
}

export class FlowWorld {
  readonly disk = new Disk();
  readonly runs: WorldRun[] = [];
  readonly breaches: string[] = [];
  /** At work at once. */
  most = 0;
  #time = NOW;
  #skew = 0;
  #queue: FlowQueue;
  #events: { readonly at: number; readonly n: number; readonly act: () => void }[] = [];
  #count = 0;
  #alarm: number | null = null;
  readonly #byId = new Map<string, WorldRun>();
  readonly #setup: Setup;
  readonly #chances: Chances;
  readonly #random: Random;

  constructor(setup: Setup, chances: Chances, random: Random) {
    this.#setup = setup;
    this.#chances = chances;
    this.#random = random;
    this.#queue = this.disk.read(this.#now());
  }

  /** A run, some time within the first two minutes. */
  start(): void {
    const { limits, rate, debounce } = this.#setup;
    const key = (keys: number): string => `k${this.#random.int(0, keys - 1)}`;
    const at = NOW + this.#random.int(0, 120) * SECOND_MS;
    const place: Place = {
      v: 1,
      ...(limits.length === 0
        ? {}
        : { concurrency: limits.map(({ limit, keys }) => ({ limit, key: key(keys) })) }),
      ...(rate === undefined ? {} : { rate: { limit: rate.limit, perMs: rate.perMs, key: key(rate.keys) } }),
      ...(debounce === undefined
        ? {}
        : { debounce: { forMs: debounce.forMs, maxMs: debounce.maxMs, key: key(debounce.keys) } }),
      priority: this.#random.int(0, 2),
      maxQueued: 10_000,
    };
    const dies = this.#random.chance(this.#chances.runDies);
    const run: WorldRun = {
      ...{ run: `run-${String(this.runs.length).padStart(4, "0")}`, at, place },
      fate: dies ? "dies" : this.#random.chance(this.#chances.runDies) ? "cancelled" : "works",
      ...{ stage: "waits", heard: false, startedAt: null, ended: null },
    };
    this.runs.push(run);
    this.#byId.set(run.run, run);
    this.#at(at, () => this.#tellWaits(run));
    // Also while it waits.
    if (run.fate === "cancelled")
      this.#at(at + this.#random.int(0, 60) * SECOND_MS, () => {
        if (run.stage === "waits") this.#end(run, "cancelled");
      });
    if (run.fate === "dies")
      this.#at(at + this.#random.int(0, 120) * SECOND_MS, () => {
        if (run.stage !== "over") Object.assign(run, { stage: "over", ended: "gone" });
      });
  }

  runToTheEnd(): void {
    for (let events = 0; events < MOST_EVENTS; events += 1) {
      const next = this.#events.shift();
      if (next === undefined) return;
      this.#time = Math.max(this.#time, next.at);
      next.act();
    }
    this.breaches.push("it does not come to an end");
  }

  unended(): string[] {
    return this.runs.filter(({ ended }) => ended === null).map(({ run }) => run);
  }

  /** As the machine of the queue sees it. */
  #now(): number {
    return this.#time + this.#skew;
  }

  #at(at: number, act: () => void): void {
    this.#count += 1;
    const event = { at, n: this.#count, act };
    let place = this.#events.length;
    while (place > 0 && (this.#events[place - 1]?.at ?? 0) > at) place -= 1;
    this.#events.splice(place, 0, event);
  }

  #later(ms: number, act: () => void): void {
    this.#at(this.#time + ms, act);
  }

  /** A call of the queue: undefined: nobody knows what became of it. */
  #call<T>(work: (queue: FlowQueue) => T): T | undefined {
    const { kill, lost, double, jump } = this.#chances;
    if (this.#random.chance(jump)) this.#skew = this.#random.pick([0, DAY_MS, -DAY_MS, 20_000, -20_000]);
    if (this.#random.chance(lost / 2)) return undefined;
    if (this.#random.chance(double))
      this.#later(this.#random.int(0, LATEST_MS), () => {
        work(this.#queue);
        this.#written();
      });
    const dies = this.#random.chance(kill);
    const told = work(this.#queue);
    if (dies && this.#random.chance(0.5)) {
      this.#die();
      return undefined;
    }
    this.#written();
    if (dies) {
      this.#die();
      return undefined;
    }
    return this.#random.chance(lost / 2) ? undefined : told;
  }

  #die(): void {
    this.#queue = this.disk.read(this.#now());
    this.#later(0, () => {
      this.#queue.wake(this.#now());
      this.#written();
    });
  }

  /** What the object does after every input: it writes, sets its alarm, and goes on its errands. */
  #written(): void {
    this.disk.write(this.#queue);
    for (const errand of this.#queue.errands(this.#now(), 6))
      this.#later(this.#random.int(0, 300), () => this.#go(errand));
    this.disk.write(this.#queue);
    const wake = this.#queue.nextWake();
    if (wake === null) return;
    const at = this.#time + Math.max(1, wake - this.#now());
    if (this.#alarm !== null && this.#alarm <= at) return;
    this.#alarm = at;
    this.#at(at, () => {
      if (this.#alarm === at) this.#alarm = null;
      this.#queue.wake(this.#now());
      this.#written();
    });
  }

  #go(errand: Errand): void {
    const { lost } = this.#chances;
    const before = this.#random.chance(lost / 2);
    let outcome: ErrandOutcome = before ? "failed" : this.#ask(errand);
    if (this.#random.chance(lost / 2)) outcome = "failed";
    this.#call((queue) => {
      queue.settle(errand, outcome, this.#now());
    });
  }

  #ask(errand: Errand): ErrandOutcome {
    const run = this.#byId.get(errand.run);
    if (run === undefined || run.stage === "over") return "gone";
    if (errand.t === "look") return run.stage === "waits" ? "waits" : "done";
    if (errand.t === "admit") this.#begin(run);
    else if (run.stage === "waits") this.#end(run, "superseded");
    return "done";
  }

  #tellWaits(run: WorldRun): void {
    if (run.stage !== "waits" || run.heard) return;
    const ask = { run: run.run, generation: 1, at: run.at, place: run.place };
    const told = this.#call((queue) => queue.enqueue(ask, this.#now()));
    if (told === undefined) {
      this.#later(RETRY_MS, () => this.#tellWaits(run));
      return;
    }
    run.heard = true;
    if (told.admitted) this.#begin(run);
  }

  #begin(run: WorldRun): void {
    if (run.stage !== "waits") return;
    run.stage = "works";
    run.startedAt = this.#time;
    const admittedAt = this.disk.entries.get(run.run)?.since ?? this.#time;
    if (this.#chances.jump === 0 && this.#time - admittedAt > LATEST_START_MS)
      this.breaches.push(`${run.run} heard of its admission after ${this.#time - admittedAt} ms`);
    this.#referee(run);
    this.#later(this.#random.scale(100, 60 * SECOND_MS), () => {
      if (run.stage === "works") this.#end(run, "worked");
    });
  }

  #end(run: WorldRun, how: "worked" | "superseded" | "cancelled"): void {
    Object.assign(run, { stage: "over", ended: how });
    this.#tellEnded(run);
  }

  #tellEnded(run: WorldRun): void {
    const told = this.#call((queue) => {
      queue.release(run.run, 1, this.#now());
      return true;
    });
    if (told === undefined) this.#later(RETRY_MS, () => this.#tellEnded(run));
  }

  /** Counts by the runs themselves. */
  #referee(run: WorldRun): void {
    const working = this.runs.filter(({ stage }) => stage === "works");
    this.most = Math.max(this.most, working.length);
    for (const [index, { limit, key }] of (run.place.concurrency ?? []).entries()) {
      const count = working.filter(({ place }) => place.concurrency?.[index]?.key === key).length;
      if (count > limit) this.breaches.push(`${count} at work of ${limit}, key ${key}`);
    }
    const { rate } = run.place;
    // By a clock that jumps no period is what it was.
    if (rate === undefined || this.#chances.jump > 0) return;
    for (const { key, at } of this.disk.admissions) {
      if (key !== rate.key) continue;
      const inPeriod = this.disk.admissions.filter(
        (one) => one.key === key && one.at >= at && one.at < at + rate.perMs,
      ).length;
      if (inPeriod > rate.limit) this.breaches.push(`${inPeriod} of ${rate.limit} in a period`);
    }
  }
}
