/**
 * What this isolate knows of each tenant (its policy, its settings), so that a run need not ask the database for each attempt.
 *
 * - L1 what is known counts for CACHE_MS, counted from before the database was asked: a change is in force everywhere
 *   TENANT_EFFECTIVE_MS later.
 * - L2 only settled values are kept, never a promise: one that another object waits for may never settle for it.
 * - L3 an older one is kept for when the database is away, for MAX_STALE_MS at most. What was never known is not made up.
 * - L4 the number of entries is bounded.
 * - L5 what is used is asked for again before it is too old, by one caller while the others go on: a busy isolate
 *   asks once in RENEW_AFTER_MS, not once for each attempt.
 */

/** The promise to whoever changes it. */
export const TENANT_EFFECTIVE_MS = 30_000;
/** Shorter than the promise by what a slow write and clocks that differ may cost. */
const CACHE_MS = 25_000;
const RENEW_AFTER_MS = 15_000;
/** A caller that has not brought an answer by then is given up, and another one asks. */
const RENEWAL_MS = 5_000;
/** An outage of the database stops no run for so long, and nothing old outlives it. */
const MAX_STALE_MS = 3_600_000;
const MAX_TENANTS = 2_000;

interface Entry<T> {
  readonly value: T;
  readonly askedAt: number;
  /** When a caller was last sent to ask for it again. */
  renewedAt: number;
}

export interface TenantCache<T> {
  /** Undefined: the caller must ask the database. */
  get(tenant: string, now: number): T | undefined;
  /** The last that was known (L3); undefined: nothing was. */
  last(tenant: string, now: number): T | undefined;
  put(tenant: string, value: T, askedAt: number): void;
}

/** One for each isolate. */
export function createTenantCache<T>(maxTenants = MAX_TENANTS): TenantCache<T> {
  const entries = new Map<string, Entry<T>>();
  const within = (tenant: string, now: number, ms: number): T | undefined => {
    const entry = entries.get(tenant);
    return entry !== undefined && now < entry.askedAt + ms ? entry.value : undefined;
  };
  return {
    get(tenant, now) {
      const entry = entries.get(tenant);
      if (
        entry !== undefined &&
        now >= entry.askedAt + RENEW_AFTER_MS &&
        now >= entry.renewedAt + RENEWAL_MS
      ) {
        entry.renewedAt = now;
        return undefined;
      }
      return within(tenant, now, CACHE_MS);
    },
    last: (tenant, now) => within(tenant, now, MAX_STALE_MS),
    put(tenant, value, askedAt) {
      const before = entries.get(tenant);
      // An answer that was long on its way must not cover a newer one.
      if (before !== undefined && before.askedAt > askedAt) return;
      entries.delete(tenant);
      entries.set(tenant, { value, askedAt, renewedAt: askedAt });
      const oldest = entries.keys().next();
      if (entries.size > maxTenants && !oldest.done) entries.delete(oldest.value);
    },
  };
}
