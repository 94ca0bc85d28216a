/**
 * Who is next. Queued runs that need the same things stand in one lane; a lane that cannot go on is parked at the first thing
 * that it lacks, and tried again when there is some of it. So a start or an end looks at the lanes that it can move, and never
 * at the whole queue.
 *
 * - Q1 after `pump` every lane is parked, at something that has no room: whoever can start has started.
 * - Q2 of those who can start, the first in the order of the queue goes first.
 */
import type { Settings } from "./place.ts";
import { compareTexts, SortedList } from "./sorted.ts";

/** Whoever stands in the queue. */
export interface Waiter {
  readonly run: string;
  readonly priority: number;
  /** Of arrival. */
  readonly order: number;
}

/** Something of which there is a bounded amount. */
export interface Resource {
  readonly id: string;
  /** Which of the concurrency limits; null: the rate. */
  readonly index: number | null;
  readonly key: string;
  /** Runs that hold it. Of a rate: none. */
  held: number;
  /** Of a rate: when runs started, the oldest first. */
  stamps: readonly number[];
  /** Lanes that need it. */
  lanes: number;
  /** Of a rate that has no room and is waited for: when there is some. */
  freeAt: number | null;
  readonly parked: SortedList<Lane>;
}

export interface Lane {
  readonly id: string;
  readonly needs: readonly Resource[];
  readonly waiters: SortedList<Waiter>;
  parkedAt: Resource | null;
}

export function compareWaiters(a: Waiter, b: Waiter): number {
  return b.priority - a.priority || a.order - b.order || compareTexts(a.run, b.run);
}

/** By who is first in them. */
function compareLanes(a: Lane, b: Lane): number {
  const [first, second] = [a.waiters.first(), b.waiters.first()];
  if (first === undefined || second === undefined) return compareTexts(a.id, b.id);
  return compareWaiters(first, second);
}

export class Lanes {
  settings: Settings | null = null;
  now = 0;
  readonly queue = new SortedList<Waiter>(compareWaiters);
  readonly slots = new Map<string, Resource>();
  /** Those that were used least lately stand first. */
  readonly rates = new Map<string, Resource>();
  /** Rates that somebody waits for, by when there is room. */
  readonly #timed = new SortedList<Resource>(
    (a, b) => (a.freeAt ?? 0) - (b.freeAt ?? 0) || compareTexts(a.id, b.id),
  );
  readonly #lanes = new Map<string, Lane>();
  /** Not parked. */
  readonly #open = new SortedList<Lane>(compareLanes);
  /** Where there may be room now, and somebody waits. */
  readonly #stirred = new SortedList<Resource>((a, b) => {
    const [first, second] = [a.parked.first(), b.parked.first()];
    if (first === undefined || second === undefined || first === second) return compareTexts(a.id, b.id);
    return compareLanes(first, second);
  });

  /** @param admit is called for whoever starts, with what it then holds */
  pump(admit: (waiter: Waiter, needs: readonly Resource[]) => void): void {
    for (;;) {
      const lane = this.#best();
      if (lane === null) return;
      const lacking = lane.needs.find((one) => !this.hasRoom(one));
      this.#unpark(lane);
      if (lacking !== undefined) {
        this.#park(lane, lacking);
        continue;
      }
      const waiter = lane.waiters.first();
      if (waiter === undefined) throw new TypeError("an empty lane");
      lane.waiters.remove(waiter);
      this.queue.remove(waiter);
      for (const need of lane.needs) this.#take(need);
      admit(waiter, lane.needs);
      this.#openOrDrop(lane);
    }
  }

  join(waiter: Waiter, needs: readonly Resource[]): void {
    const lane = this.#lanes.get(laneId(needs)) ?? this.#newLane(needs);
    this.#unpark(lane);
    lane.waiters.add(waiter);
    this.#open.add(lane);
    this.queue.add(waiter);
  }

  /** Takes it from the queue, without a start. */
  leave(waiter: Waiter, needs: readonly Resource[]): void {
    const lane = this.#lanes.get(laneId(needs));
    if (lane === undefined) return;
    const at = lane.parkedAt;
    this.#unpark(lane);
    lane.waiters.remove(waiter);
    this.queue.remove(waiter);
    if (lane.waiters.size > 0 && at !== null) this.#park(lane, at);
    else this.#openOrDrop(lane);
  }

  /** What the lane of a waiter lacks. */
  lackOf(needs: readonly Resource[]): Resource | null {
    return this.#lanes.get(laneId(needs))?.parkedAt ?? null;
  }

  resource(index: number | null, key: string): Resource {
    const id = index === null ? `r:${key}` : `c${index}:${key}`;
    const all = index === null ? this.rates : this.slots;
    const known = all.get(id);
    if (known !== undefined) return known;
    const made: Resource = {
      ...{ id, index, key, held: 0, stamps: [], lanes: 0, freeAt: null },
      parked: new SortedList<Lane>(compareLanes),
    };
    all.set(id, made);
    return made;
  }

  giveBack(resource: Resource): void {
    resource.held -= 1;
    this.#stir(resource);
    this.dropIfIdle(resource);
  }

  dropIfIdle(resource: Resource): boolean {
    if (resource.held > 0 || resource.stamps.length > 0 || resource.lanes > 0) return false;
    return (resource.index === null ? this.rates : this.slots).delete(resource.id);
  }

  /** Other numbers hold from now on: whoever waits is tried again. */
  stirAll(): void {
    for (const lane of this.#lanes.values()) {
      if (lane.parkedAt === null) continue;
      this.#unpark(lane);
      this.#open.add(lane);
    }
  }

  /** Rates whose time has come. */
  stirTimed(): void {
    for (let first = this.#timed.first(); first !== undefined; first = this.#timed.first()) {
      if ((first.freeAt ?? 0) > this.now) return;
      this.#timed.remove(first);
      first.freeAt = null;
      this.#stir(first);
    }
  }

  nextFree(): number | null {
    return this.#timed.first()?.freeAt ?? null;
  }

  hasRoom(resource: Resource): boolean {
    const { settings } = this;
    if (resource.index !== null)
      return resource.held < (settings?.concurrency[resource.index] ?? Number.POSITIVE_INFINITY);
    const rate = settings?.rate ?? null;
    if (rate === null) return true;
    const { stamps } = resource;
    const nth = stamps[stamps.length - rate.limit];
    return nth === undefined || nth <= this.now - rate.perMs;
  }

  /** The clock has gone back: no start was later than now. Answers whether there was one. */
  noneLater(resource: Resource): boolean {
    if (!resource.stamps.some((stamp) => stamp > this.now)) return false;
    resource.stamps = resource.stamps.map((stamp) => Math.min(stamp, this.now));
    this.#time(resource);
    return true;
  }

  #best(): Lane | null {
    const open = this.#open.first();
    for (let stirred = this.#stirred.first(); stirred !== undefined; stirred = this.#stirred.first()) {
      const lane = stirred.parked.first();
      if (lane === undefined || !this.hasRoom(stirred)) {
        this.#stirred.remove(stirred);
        this.#time(stirred);
        continue;
      }
      return open === undefined || compareLanes(lane, open) < 0 ? lane : open;
    }
    return open ?? null;
  }

  #take(resource: Resource): void {
    if (resource.index !== null) {
      resource.held += 1;
      return;
    }
    const perMs = this.settings?.rate?.perMs;
    if (perMs === undefined) return;
    resource.stamps = [...resource.stamps.filter((stamp) => stamp > this.now - perMs), this.now];
    this.rates.delete(resource.id);
    this.rates.set(resource.id, resource);
    this.#time(resource);
  }

  #stir(resource: Resource): void {
    if (resource.parked.size === 0) return;
    this.#stirred.remove(resource);
    this.#stirred.add(resource);
  }

  #park(lane: Lane, at: Resource): void {
    const stirred = this.#stirred.remove(at);
    at.parked.add(lane);
    lane.parkedAt = at;
    if (stirred) this.#stirred.add(at);
    this.#time(at);
  }

  /** From wherever it stands. */
  #unpark(lane: Lane): void {
    const at = lane.parkedAt;
    if (at === null) {
      if (lane.waiters.size > 0) this.#open.remove(lane);
      return;
    }
    const stirred = this.#stirred.remove(at);
    at.parked.remove(lane);
    lane.parkedAt = null;
    if (stirred && at.parked.size > 0) this.#stirred.add(at);
    this.#time(at);
  }

  #openOrDrop(lane: Lane): void {
    if (lane.waiters.size > 0) {
      this.#open.add(lane);
      return;
    }
    this.#lanes.delete(lane.id);
    for (const need of lane.needs) {
      need.lanes -= 1;
      this.dropIfIdle(need);
    }
  }

  #newLane(needs: readonly Resource[]): Lane {
    const id = laneId(needs);
    const lane = { id, needs, parkedAt: null, waiters: new SortedList<Waiter>(compareWaiters) };
    for (const need of needs) need.lanes += 1;
    this.#lanes.set(id, lane);
    return lane;
  }

  #time(resource: Resource): void {
    if (resource.index !== null) return;
    if (resource.freeAt !== null) this.#timed.remove(resource);
    resource.freeAt = null;
    const rate = this.settings?.rate ?? null;
    if (resource.parked.size === 0 || rate === null) return;
    const { stamps } = resource;
    resource.freeAt = (stamps[stamps.length - rate.limit] ?? this.now - rate.perMs) + rate.perMs;
    this.#timed.add(resource);
  }
}

function laneId(needs: readonly Resource[]): string {
  return needs.map(({ id }) => id).join(" ");
}
