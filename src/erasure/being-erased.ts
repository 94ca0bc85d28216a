/**
 * Whose data are being erased, as this isolate knows it: asked by whatever would make or keep something for a user.
 *
 * - C1 known for KNOWN_MS: an erasure holds everywhere so much later, and looks again after that (walk.ts).
 * - C2 while the database is away, what was known last counts, and nobody is held up who never was: what is let through then is
 *      found by the erasure, which cannot end before it has looked twice.
 */
import type { Logger } from "../platform/index.ts";
import { selectUsers } from "./store.ts";

const KNOWN_MS = 15_000;
const MAX_TENANTS = 1_000;

interface Known {
  readonly users: ReadonlySet<string>;
  readonly askedAt: number;
}

export interface BeingErased {
  /** Never rejects. */
  has(tenant: string, user: string): Promise<boolean>;
  /** What was changed here holds here at once. */
  forget(tenant: string): void;
}

export function createBeingErased(db: D1Database, now: () => number, log: Logger): BeingErased {
  const known = new Map<string, Known>();
  return {
    async has(tenant, user) {
      const before = known.get(tenant);
      if (before !== undefined && now() < before.askedAt + KNOWN_MS) return before.users.has(user);
      const askedAt = now();
      try {
        const users = new Set(await selectUsers(db, tenant));
        known.delete(tenant);
        known.set(tenant, { users, askedAt });
        const [oldest] = known.keys();
        if (known.size > MAX_TENANTS && oldest !== undefined) known.delete(oldest);
        return users.has(user);
      } catch (error) {
        // C2.
        log.warn("erasures_not_read", { tenant, error });
        return before?.users.has(user) ?? false;
      }
    },
    forget(tenant) {
      known.delete(tenant);
    },
  };
}
