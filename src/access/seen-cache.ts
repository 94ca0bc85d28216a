/**
 * What this isolate knows of rows, so that most requests need no database.
 *
 * - C1 an entry is no older than its limit, counted from before the database was asked.
 * - C2 only settled values are kept, never a promise: one that another request waits for may never settle for it.
 * - C3 the number of entries is bounded. What does not exist has its own bound, so guessing drives out nothing real.
 */

/** The promise to whoever ends something: it is refused everywhere so much later. */
export const ENDED_EVERYWHERE_MS = 60_000;
/** Shorter than the promise by what a slow write and clocks that differ may cost. */
const KNOWN_MS = 55_000;
const UNKNOWN_MS = 5_000;
const MAX_KNOWN = 2_000;
const MAX_UNKNOWN = 1_000;

interface Entry<T> {
  readonly value: T;
  readonly until: number;
}

export interface SeenCache<T> {
  /** The value, null for what does not exist, undefined if the database must be asked. */
  get(name: string, now: number): T | null | undefined;
  /** `askedAt` is the time before the database was asked (C1). */
  put(name: string, value: T | null, askedAt: number): void;
  /** Also that it did not exist. */
  forget(name: string): void;
  forgetWhere(goes: (value: T) => boolean): void;
}

/** One for each isolate. */
export function createSeenCache<T>(maxKnown = MAX_KNOWN, maxUnknown = MAX_UNKNOWN): SeenCache<T> {
  const known = new Map<string, Entry<T>>();
  const unknown = new Map<string, Entry<null>>();
  return {
    get: (name, now) => fresh(known, name, now) ?? fresh(unknown, name, now),
    put(name, value, askedAt) {
      if (value === null) {
        keep(unknown, name, { value: null, until: askedAt + UNKNOWN_MS }, maxUnknown);
      } else {
        unknown.delete(name);
        keep(known, name, { value, until: askedAt + KNOWN_MS }, maxKnown);
      }
    },
    forget(name) {
      known.delete(name);
      unknown.delete(name);
    },
    forgetWhere(goes) {
      for (const [name, { value }] of known) if (goes(value)) known.delete(name);
    },
  };
}

function fresh<T>(entries: Map<string, Entry<T>>, name: string, now: number): T | undefined {
  const entry = entries.get(name);
  if (entry === undefined) return undefined;
  if (now < entry.until) return entry.value;
  entries.delete(name);
  return undefined;
}

/** The oldest entry goes first: it is also the first to run out. */
function keep<T>(entries: Map<string, Entry<T>>, name: string, entry: Entry<T>, max: number): void {
  entries.delete(name);
  entries.set(name, entry);
  const oldest = entries.keys().next();
  if (entries.size > max && !oldest.done) entries.delete(oldest.value);
}
