/**
 * What this isolate knows of API keys, so that most requests need no database.
 *
 * Owns: the age and the number of what is kept. Does not own: looking up, judging expiry or revocation.
 *
 * - C1 an entry is no older than its limit, counted from before the database was asked: a key that was revoked is
 *   refused everywhere REVOKED_EVERYWHERE_MS later.
 * - C2 only settled values are kept, never a promise: one that another request waits for may never settle for it.
 * - C3 the number of entries is bounded. Unknown keys have their own bound, so guessing drives out no real key.
 */
import type { KeyRecord } from "./keys-store.ts";

/** The promise to whoever revokes a key. */
export const REVOKED_EVERYWHERE_MS = 60_000;
/** Shorter than the promise by what a slow write and clocks that differ may cost. */
const KEY_CACHE_MS = 55_000;
const UNKNOWN_CACHE_MS = 5_000;
const MAX_KNOWN = 2_000;
const MAX_UNKNOWN = 1_000;

interface Entry<T> {
  readonly value: T;
  readonly until: number;
}

export interface KeyCache {
  /** The record, null for a key that does not exist, undefined if the database must be asked. */
  get(hash: string, now: number): KeyRecord | null | undefined;
  /** `askedAt` is the time before the database was asked (C1). */
  put(hash: string, record: KeyRecord | null, askedAt: number): void;
  forget(keyIds: ReadonlySet<string>): void;
}

/** One for each isolate. */
export function createKeyCache(maxKnown = MAX_KNOWN, maxUnknown = MAX_UNKNOWN): KeyCache {
  const known = new Map<string, Entry<KeyRecord>>();
  const unknown = new Map<string, Entry<null>>();
  return {
    get: (hash, now) => fresh(known, hash, now) ?? fresh(unknown, hash, now),
    put(hash, record, askedAt) {
      if (record === null) {
        keep(unknown, hash, { value: null, until: askedAt + UNKNOWN_CACHE_MS }, maxUnknown);
      } else {
        unknown.delete(hash);
        keep(known, hash, { value: record, until: askedAt + KEY_CACHE_MS }, maxKnown);
      }
    },
    forget(keyIds) {
      for (const [hash, { value }] of known) if (keyIds.has(value.id)) known.delete(hash);
    },
  };
}

function fresh<T>(entries: Map<string, Entry<T>>, hash: string, now: number): T | undefined {
  const entry = entries.get(hash);
  if (entry === undefined) return undefined;
  if (now < entry.until) return entry.value;
  entries.delete(hash);
  return undefined;
}

/** The oldest entry goes first: it is also the first to run out. */
function keep<T>(entries: Map<string, Entry<T>>, hash: string, entry: Entry<T>, max: number): void {
  entries.delete(hash);
  entries.set(hash, entry);
  const oldest = entries.keys().next();
  if (entries.size > max && !oldest.done) entries.delete(oldest.value);
}
