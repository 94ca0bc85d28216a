/**
 * Counting runs over time. Counted slices of the past are remembered until a report changes one of their runs: memory
 * only, so a life counts again what it is asked for.
 */
import type { Bucket } from "./rpc.ts";
import type { Counts, RunsStore } from "./runs-store.ts";

/** The longest slice: a change of one run makes one slice be counted again. */
const LONGEST_SLICE_MS = 60 * 60_000;
/** The shortest bucket that callers can ask for. */
const SHORTEST_SLICE_MS = 5 * 60_000;
const MAX_REMEMBERED = 20_000;
/** Rows, and slices, that one call counts at most: reports come in between two calls. */
const MAX_ROWS = 100_000;
const MAX_SLICES = 2_000;

export class Counting {
  readonly #store: RunsStore;
  readonly #remembered = new Map<string, Counts>();

  constructor(store: RunsStore) {
    this.#store = store;
  }

  /** A run that started then stands otherwise now. */
  changed(startedAt: number): void {
    for (const ms of [SHORTEST_SLICE_MS, LONGEST_SLICE_MS])
      this.#remembered.delete(keyOf(ms, startedAt - (startedAt % ms)));
  }

  /** @returns up to where was counted; null: all of it */
  count(
    from: number,
    to: number,
    bucketMs: number,
    user: string | null,
  ): { readonly buckets: Bucket[]; readonly countedTo: number | null } {
    const sliceMs = Math.min(bucketMs, LONGEST_SLICE_MS);
    const buckets = new Map<number, Record<string, number>>();
    let rows = 0;
    let slices = 0;
    for (let at = from - (from % sliceMs); at < to; at += sliceMs) {
      if (rows >= MAX_ROWS || slices >= MAX_SLICES) return { buckets: listOf(buckets), countedTo: at };
      const start = Math.max(at, from);
      const end = Math.min(at + sliceMs, to);
      const whole = start === at && end === at + sliceMs && user === null;
      const known = whole ? this.#remembered.get(keyOf(sliceMs, at)) : undefined;
      const { counts, read } =
        known === undefined ? this.#store.countStarted(start, end, user) : { counts: known, read: 1 };
      if (whole && known === undefined) this.#remember(keyOf(sliceMs, at), counts);
      rows += read;
      slices += 1;
      add(buckets, at - (at % bucketMs), counts);
    }
    return { buckets: listOf(buckets), countedTo: null };
  }

  #remember(key: string, counts: Counts): void {
    if (this.#remembered.size >= MAX_REMEMBERED) this.#remembered.clear();
    this.#remembered.set(key, counts);
  }
}

function keyOf(sliceMs: number, at: number): string {
  return `${sliceMs}:${at}`;
}

function add(buckets: Map<number, Record<string, number>>, at: number, counts: Counts): void {
  for (const [status, n] of Object.entries(counts)) {
    const bucket = buckets.get(at) ?? {};
    bucket[status] = (bucket[status] ?? 0) + n;
    buckets.set(at, bucket);
  }
}

function listOf(buckets: ReadonlyMap<number, Counts>): Bucket[] {
  return [...buckets].map(([at, counts]) => ({ at, counts }));
}
