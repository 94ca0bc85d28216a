/**
 * The queue of one workflow of one tenant: who may work, who waits, for what. Pure: the time is an argument, and what it decides is
 * written down by whoever asks.
 *
 * - F1 of one concurrency key never more runs hold a slot than the limit that was in force when the last of them was admitted.
 *      A slot is held from the admission until the run has ended: it says so, or is found ended or gone.
 * - F2 of one rate key never more than N runs are admitted within one period, wherever the period begins. A period that is made
 *      longer counts the starts that were still known.
 * - F3 a run that was taken in is in exactly one stage until it has ended; none is forgotten.
 * - F4 whoever can start has started (work conserving). Of several, the one of the highest priority, then the one that came first.
 * - F5 of one debounce key at most one run waits. The later one stays, by when each began to wait.
 * - F6 every input may come twice, late, or after what comes after it.
 * - F7 an input costs a logarithm of the queue, however long that is, for each run that it moves. Only other settings, and a
 *      clock that goes back, look at all of it.
 */
import { Lanes, type Resource } from "./lanes.ts";
import type { Changes, Entry, Errand, ErrandOutcome, Kept, RateState } from "./flow-state.ts";
import { keysOf, type Place, type Settings, settingsOf } from "./place.ts";
import { compareTexts, SortedList } from "./sorted.ts";

/** A slot is held this long before the run is asked whether it still lives. */
export const LEASE_MS = 60 * 60_000;
/** How long a call to a run can take before it is made again. */
const FLIGHT_MS = 60_000;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 60_000;
/** Ends of runs that are remembered, so that a word of theirs that comes late is known as such. */
const GONE_KEPT = 1_000;
/** Two machines may differ by this much: no reason to look at everything. */
const CLOCK_SLACK_MS = 1_000;
const RATES_LOOKED_AT = 3;

export interface Ask {
  readonly run: string;
  readonly generation: number;
  readonly at: number;
  readonly place: Place;
}

export interface Told {
  readonly admitted: boolean;
  /** As many wait as may: it was not taken in. */
  readonly full?: true;
}

export interface Standing {
  readonly run: string;
  /** 1 is the first in the order of the queue; null: it is in its quiet time. */
  readonly place: number | null;
  readonly why: "concurrency" | "rate" | "debounce";
  readonly since: number;
  readonly priority: number;
  /** When it is looked at again by the clock alone. */
  readonly retryAt: number | null;
}

interface Live {
  entry: Entry;
  /** When its run is called next. */
  callAt: number | null;
  tries: number;
}

export class FlowQueue {
  readonly #lanes = new Lanes();
  readonly #lives = new Map<string, Live>();
  /** The one that waits, by debounce key. */
  readonly #groups = new Map<string, Live>();
  readonly #quiet = new SortedList<Live>(
    (a, b) => a.entry.dueAt - b.entry.dueAt || compareTexts(a.entry.run, b.entry.run),
  );
  readonly #calls = new SortedList<Live>(
    (a, b) => (a.callAt ?? 0) - (b.callAt ?? 0) || compareTexts(a.entry.run, b.entry.run),
  );
  readonly #gone = new Map<string, number>();
  #admitted = 0;
  #order = 0;
  #newSettings: Settings | null = null;
  readonly #changed = new Set<string>();
  readonly #changedRates = new Set<string>();

  constructor({ settings, entries, rates }: Kept, now: number) {
    const lanes = this.#lanes;
    lanes.settings = settings;
    lanes.now = now;
    for (const { key, stamps } of rates) lanes.resource(null, key).stamps = stamps;
    for (const entry of entries) this.#wakeUp(entry);
    // A clock that was ahead has written times that are none yet.
    this.#turnBack();
    this.#goOn(now);
  }

  enqueue({ run, generation, at, place }: Ask, now: number): Told {
    this.#goOn(now);
    const known = this.#lives.get(run);
    if (known !== undefined && known.entry.generation >= generation)
      return { admitted: known.entry.generation === generation && known.entry.stage === "admitted" };
    if ((this.#gone.get(run) ?? 0) >= generation) return { admitted: false };
    if (known !== undefined) this.#remove(known);
    this.#hold(settingsOf(place));
    this.#pump();
    const live = this.#newLive({ run, generation, at, place });
    const replaces = this.#enter(live, place);
    this.#pump();
    if (live.entry.stage === "admitted") {
      // The answer tells it.
      this.#change(live, { told: true });
      this.#callAt(live, live.entry.dueAt);
      return { admitted: true };
    }
    const waiting = this.#lanes.queue.size + this.#quiet.size;
    if (waiting <= place.maxQueued || replaces || live.entry.stage === "superseded")
      return { admitted: false };
    this.#remove(live);
    return { admitted: false, full: true };
  }

  /** The run has ended, in that generation. */
  release(run: string, generation: number, now: number): void {
    this.#goOn(now);
    this.#forget(run, generation);
    this.#pump();
  }

  /** What is due by the clock. */
  wake(now: number): void {
    this.#goOn(now);
  }

  /** Calls that are due; each is given out again if nothing is heard of it for a minute. */
  errands(now: number, most: number): Errand[] {
    this.#goOn(now);
    const found: Errand[] = [];
    for (let live = this.#calls.first(); live !== undefined; live = this.#calls.first()) {
      if ((live.callAt ?? 0) > this.#lanes.now || found.length >= most) break;
      this.#callAt(live, this.#lanes.now + FLIGHT_MS);
      const { run, generation, stage, told, by } = live.entry;
      if (stage === "superseded") found.push({ t: "supersede", run, generation, by: by ?? "" });
      else found.push({ t: told ? "look" : "admit", run, generation });
    }
    return found;
  }

  settle({ t, run, generation }: Errand, outcome: ErrandOutcome, now: number): void {
    this.#goOn(now);
    const live = this.#lives.get(run);
    if (live === undefined || live.entry.generation !== generation) return;
    const { stage, told, keys } = live.entry;
    if (t === "supersede" ? stage !== "superseded" : stage !== "admitted") return;
    if (outcome === "failed") {
      const waitMs = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** live.tries);
      live.tries += 1;
      this.#callAt(live, this.#lanes.now + waitMs);
      return;
    }
    live.tries = 0;
    // Who needs no slot gives none back: it is not asked for again.
    const isOver = t === "supersede" || (t === "look" && keys.concurrency.length === 0 && outcome === "done");
    if (outcome === "gone" || isOver) this.#forget(run, generation);
    else if (outcome === "waits") {
      this.#change(live, { told: false });
      this.#callAt(live, this.#lanes.now);
    } else {
      if (t === "look") this.#change(live, { dueAt: this.#lanes.now + LEASE_MS });
      else if (!told) this.#change(live, { told: true });
      this.#callAt(live, live.entry.dueAt);
    }
    this.#pump();
  }

  nextWake(): number | null {
    const times = [
      this.#quiet.first()?.entry.dueAt ?? null,
      this.#calls.first()?.callAt ?? null,
      this.#lanes.nextFree(),
    ].filter((one) => one !== null);
    return times.length === 0 ? null : Math.min(...times);
  }

  /** What was changed since this was last asked; null: nothing. */
  takeChanges(): Changes | null {
    if (this.#changed.size + this.#changedRates.size === 0 && this.#newSettings === null) return null;
    const changes: Changes = {
      settings: this.#newSettings,
      entries: new Map([...this.#changed].map((run) => [run, this.#lives.get(run)?.entry ?? null])),
      rates: new Map([...this.#changedRates].map((key) => [key, this.#rateState(key)])),
    };
    this.#newSettings = null;
    this.#changed.clear();
    this.#changedRates.clear();
    return changes;
  }

  /** Null: it does not wait here. */
  standing(run: string): Standing | null {
    const live = this.#lives.get(run);
    return live === undefined ? null : this.#standingOf(live);
  }

  counts(): { readonly queued: number; readonly quiet: number; readonly admitted: number } {
    return { queued: this.#lanes.queue.size, quiet: this.#quiet.size, admitted: this.#admitted };
  }

  get settings(): Settings | null {
    return this.#lanes.settings;
  }

  /** The first of those who wait, then those in their quiet time. */
  firstOnes(count: number): Standing[] {
    const queued = this.#lanes.queue.firstOnes(count).flatMap(({ run }) => this.#lives.get(run) ?? []);
    const quiet = this.#quiet.firstOnes(count - queued.length);
    return [...queued, ...quiet].flatMap((live) => this.#standingOf(live) ?? []);
  }

  #enter(live: Live, place: Place): boolean {
    const { debounce } = place;
    const key = live.entry.keys.debounce;
    if (key === null || debounce === undefined) {
      this.#join(live);
      return false;
    }
    const holder = this.#groups.get(key);
    if (holder !== undefined && isLater(holder.entry, live.entry)) {
      this.#supersede(live, holder.entry.run);
      return false;
    }
    if (holder !== undefined) {
      const { order, firstAt } = holder.entry;
      this.#change(live, { order, firstAt });
      this.#stopWaiting(holder);
      this.#supersede(holder, live.entry.run);
    }
    this.#groups.set(key, live);
    const { now } = this.#lanes;
    const dueAt = Math.min(now + debounce.forMs, live.entry.firstAt + debounce.maxMs);
    if (dueAt <= now) this.#join(live);
    else {
      this.#change(live, { stage: "quiet", dueAt });
      this.#quiet.add(live);
    }
    return holder !== undefined;
  }

  /** F5 goes on to hold: it stays the one of its key. */
  #join(live: Live): void {
    this.#change(live, { stage: "queued", dueAt: 0 });
    this.#lanes.join(live.entry, this.#needsOf(live));
  }

  #pump(): void {
    this.#lanes.pump(({ run }, needs) => {
      const live = this.#lives.get(run);
      if (live === undefined) throw new TypeError("who waits is not known");
      const { now } = this.#lanes;
      this.#leaveGroup(live);
      this.#admitted += 1;
      this.#change(live, { stage: "admitted", since: now, dueAt: now + LEASE_MS, told: false });
      this.#callAt(live, now);
      for (const need of needs) if (need.index === null) this.#changedRates.add(need.key);
      this.#dropOldRates();
    });
  }

  #supersede(live: Live, by: string): void {
    this.#change(live, { stage: "superseded", by, dueAt: 0 });
    this.#callAt(live, this.#lanes.now);
  }

  #forget(run: string, generation: number): void {
    const live = this.#lives.get(run);
    if (live !== undefined && live.entry.generation > generation) return;
    if (live !== undefined) this.#remove(live);
    this.#gone.delete(run);
    this.#gone.set(run, generation);
    for (const oldest of this.#gone.keys()) {
      if (this.#gone.size <= GONE_KEPT) break;
      this.#gone.delete(oldest);
    }
  }

  #remove(live: Live): void {
    const { run, stage } = live.entry;
    this.#callAt(live, null);
    if (stage === "admitted") {
      this.#admitted -= 1;
      for (const slot of this.#slotsOf(live)) this.#lanes.giveBack(slot);
    } else this.#stopWaiting(live);
    this.#lives.delete(run);
    this.#changed.add(run);
  }

  #stopWaiting(live: Live): void {
    const { stage } = live.entry;
    if (stage === "superseded") return;
    if (stage === "quiet") this.#quiet.remove(live);
    if (stage === "queued") this.#lanes.leave(live.entry, this.#needsOf(live));
    this.#leaveGroup(live);
  }

  #leaveGroup(live: Live): void {
    const { debounce } = live.entry.keys;
    if (debounce !== null && this.#groups.get(debounce) === live) this.#groups.delete(debounce);
  }

  #needsOf(live: Live): Resource[] {
    const { rate } = live.entry.keys;
    return rate === null ? this.#slotsOf(live) : [...this.#slotsOf(live), this.#lanes.resource(null, rate)];
  }

  #slotsOf({ entry: { keys } }: Live): Resource[] {
    return keys.concurrency.map((key, index) => this.#lanes.resource(index, key));
  }

  #newLive({ run, generation, at, place }: Ask): Live {
    const { now } = this.#lanes;
    this.#order += 1;
    const entry: Entry = {
      ...{ run, generation, at, keys: keysOf(place), priority: place.priority, order: this.#order },
      ...{ since: now, firstAt: now, stage: "queued", dueAt: 0, told: false, by: null },
    };
    const live: Live = { entry, callAt: null, tries: 0 };
    this.#lives.set(run, live);
    return live;
  }

  #wakeUp(entry: Entry): void {
    const live: Live = { entry, callAt: null, tries: 0 };
    this.#lives.set(entry.run, live);
    this.#order = Math.max(this.#order, entry.order);
    const { debounce } = entry.keys;
    if (debounce !== null && (entry.stage === "quiet" || entry.stage === "queued"))
      this.#groups.set(debounce, live);
    switch (entry.stage) {
      case "quiet":
        this.#quiet.add(live);
        return;
      case "queued":
        this.#lanes.join(entry, this.#needsOf(live));
        return;
      case "admitted":
        this.#admitted += 1;
        for (const slot of this.#slotsOf(live)) slot.held += 1;
        this.#callAt(live, entry.told ? entry.dueAt : this.#lanes.now);
        return;
      case "superseded":
        this.#callAt(live, this.#lanes.now);
    }
  }

  /** Those of the start that came last count. */
  #hold(settings: Settings): void {
    if (JSON.stringify(settings) === JSON.stringify(this.#lanes.settings)) return;
    this.#lanes.settings = settings;
    this.#newSettings = settings;
    this.#lanes.stirAll();
    if (settings.rate !== null) return;
    for (const rate of this.#lanes.rates.values()) {
      rate.stamps = [];
      this.#changedRates.add(rate.key);
      this.#lanes.dropIfIdle(rate);
    }
  }

  #goOn(now: number): void {
    const lanes = this.#lanes;
    const isBack = now < lanes.now - CLOCK_SLACK_MS;
    lanes.now = isBack ? now : Math.max(now, lanes.now);
    if (isBack) this.#turnBack();
    for (let live = this.#quiet.first(); live !== undefined; live = this.#quiet.first()) {
      if (live.entry.dueAt > lanes.now) break;
      this.#quiet.remove(live);
      this.#join(live);
    }
    lanes.stirTimed();
    this.#pump();
  }

  /** The clock has gone back: nothing waits longer than it would have from now. */
  #turnBack(): void {
    const { now, rates } = this.#lanes;
    for (const rate of rates.values()) if (this.#lanes.noneLater(rate)) this.#changedRates.add(rate.key);
    for (const live of this.#lives.values()) {
      const { stage, since, dueAt, firstAt } = live.entry;
      if (stage === "quiet" && since > now) {
        this.#quiet.remove(live);
        this.#change(live, { since: now, dueAt: now + dueAt - since, firstAt: Math.min(firstAt, now) });
        this.#quiet.add(live);
      }
      if (stage === "admitted" && dueAt > now + LEASE_MS) this.#change(live, { dueAt: now + LEASE_MS });
      if (live.callAt !== null && live.callAt > now + LEASE_MS) this.#callAt(live, now + LEASE_MS);
    }
  }

  #change(live: Live, change: Partial<Entry>): void {
    live.entry = { ...live.entry, ...change };
    this.#changed.add(live.entry.run);
  }

  #callAt(live: Live, at: number | null): void {
    if (live.callAt !== null) this.#calls.remove(live);
    live.callAt = at;
    if (at !== null) this.#calls.add(live);
  }

  /** A rate that nobody has used for a period is as good as new. Each start looks at a few of those used least lately. */
  #dropOldRates(): void {
    const { rates, settings, now } = this.#lanes;
    const perMs = settings?.rate?.perMs ?? 0;
    let looks = RATES_LOOKED_AT;
    for (const rate of rates.values()) {
      if (looks === 0) return;
      looks -= 1;
      if (rate.stamps.length === 0 || (rate.stamps.at(-1) ?? 0) > now - perMs) continue;
      rate.stamps = [];
      this.#changedRates.add(rate.key);
      this.#lanes.dropIfIdle(rate);
    }
  }

  #rateState(key: string): RateState | null {
    const stamps = this.#lanes.rates.get(`r:${key}`)?.stamps ?? [];
    return stamps.length === 0 ? null : { key, stamps };
  }

  #standingOf(live: Live): Standing | null {
    const { run, stage, since, priority, dueAt } = live.entry;
    if (stage === "quiet") return { run, place: null, why: "debounce", since, priority, retryAt: dueAt };
    if (stage !== "queued") return null;
    const lack = this.#lanes.lackOf(this.#needsOf(live));
    const rank = this.#lanes.queue.rankOf(live.entry);
    return {
      ...{ run, since, priority, place: (rank ?? 0) + 1 },
      why: lack?.index === null ? "rate" : "concurrency",
      retryAt: lack?.freeAt ?? null,
    };
  }
}

/** Whether the first of two that share a debounce key is the one that stays. */
function isLater(there: Entry, comes: Entry): boolean {
  return there.at > comes.at || (there.at === comes.at && there.run > comes.run);
}
