/** What this isolate knows of API keys, by the hash of their text. A revoked key is refused everywhere REVOKED_EVERYWHERE_MS later. */
import type { KeyRecord } from "./keys-store.ts";
import { createSeenCache, ENDED_EVERYWHERE_MS, type SeenCache } from "./seen-cache.ts";

/** The promise to whoever revokes a key. */
export const REVOKED_EVERYWHERE_MS = ENDED_EVERYWHERE_MS;

export interface KeyCache extends Pick<SeenCache<KeyRecord>, "get" | "put"> {
  forget(keyIds: ReadonlySet<string>): void;
}

/** One for each isolate. */
export function createKeyCache(maxKnown?: number, maxUnknown?: number): KeyCache {
  const seen = createSeenCache<KeyRecord>(maxKnown, maxUnknown);
  return {
    get: (hash, now) => seen.get(hash, now),
    put(hash, record, askedAt) {
      seen.put(hash, record, askedAt);
    },
    forget(keyIds) {
      seen.forgetWhere(({ id }) => keyIds.has(id));
    },
  };
}
