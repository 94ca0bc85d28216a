/**
 * Reports: bare arrivals at the bench service, counted by id, so that a benchmark can wait until
 * "number N for id X" is there and read the exact time of that arrival. Never written to the state file.
 */
import { now } from "./http.ts";

/** Ids remembered; the one that was first heard of longest ago goes first. */
export const MAX_REPORT_IDS = 50_000;
/** Arrival times remembered per id; later ones are only counted. */
export const MAX_REPORT_TIMES = 10_000;

export interface Report {
  id: string;
  /** Arrivals so far. */
  count: number;
  /** Times of the first arrival and of the one asked for, in milliseconds since the epoch, with fractions. */
  firstAt: number;
  at: number;
}

interface Track {
  count: number;
  times: number[];
  waiters: { count: number; wake: () => void }[];
}

export class Reports {
  readonly #tracks = new Map<string, Track>();

  arrived(id: string): void {
    const at = now();
    const track = this.#track(id);
    track.count += 1;
    if (track.times.length < MAX_REPORT_TIMES) track.times.push(at);
    if (track.waiters.length === 0) return;
    const due = track.waiters.filter((waiter) => waiter.count <= track.count);
    track.waiters = track.waiters.filter((waiter) => waiter.count > track.count);
    for (const waiter of due) waiter.wake();
  }

  /** The report of arrival number `count`, or null if it has not come or its time was not kept. */
  get(id: string, count = 1): Report | null {
    const track = this.#tracks.get(id);
    const at = track?.times[count - 1];
    const firstAt = track?.times[0];
    if (track === undefined || at === undefined || firstAt === undefined) return null;
    return { id, count: track.count, firstAt, at };
  }

  /** Waits until arrival number `count` for `id` is there. Null when the time is up. */
  async wait(id: string, count: number, timeoutMs: number): Promise<Report | null> {
    const track = this.#track(id);
    if (track.count < count) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(wake, timeoutMs);
        const waiter = { count, wake };
        track.waiters.push(waiter);
        function wake(): void {
          clearTimeout(timer);
          track.waiters = track.waiters.filter((other) => other !== waiter);
          resolve();
        }
      });
    }
    return this.get(id, count);
  }

  /** Forgets everything; whoever waits is answered null. */
  clear(): void {
    const tracks = [...this.#tracks.values()];
    this.#tracks.clear();
    for (const waiter of tracks.flatMap((track) => track.waiters)) waiter.wake();
  }

  #track(id: string): Track {
    const known = this.#tracks.get(id);
    if (known !== undefined) return known;
    const track: Track = { count: 0, times: [], waiters: [] };
    this.#tracks.set(id, track);
    if (this.#tracks.size > MAX_REPORT_IDS) this.#dropOldest();
    return track;
  }

  #dropOldest(): void {
    for (const [id, track] of this.#tracks) {
      if (track.waiters.length > 0) continue;
      this.#tracks.delete(id);
      return;
    }
  }
}
