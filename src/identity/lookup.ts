/**
 * Roles as steps find them: kept by the isolate for moments, and longer while the database does not answer.
 *
 * - L1 a change of a role counts everywhere within `FRESH_MS`.
 * - L2 what the database does not tell is not made up: without an answer, and without one of before, nobody knows the role.
 *      That there was none is no such answer: it may have been made since, and a step that is told so ends for good.
 * - L3 nobody is refused for what the isolate remembers: whom a role was made for, or opened to, a moment ago gets in at once.
 */
import type { Logger } from "../platform/index.ts";
import type { CloudRole } from "./role.ts";

/** A role that was read so lately is not read again. Milliseconds. */
export const FRESH_MS = 5_000;
/** While the database does not answer, what it said last counts for so long. */
const STALE_MS = 10 * 60_000;
const MAX_KEPT = 1_000;

export interface RoleLookup {
  /**
   * Null: there is none. Undefined: nobody can tell just now.
   *
   * @param serves whether a role that is kept will do; else it is read again (L3)
   */
  find(
    tenant: string,
    name: string,
    serves?: (role: CloudRole) => boolean,
  ): Promise<CloudRole | null | undefined>;
  /** It was changed here. */
  forget(tenant: string, name: string): void;
}

export function createLookup(
  select: (tenant: string, name: string) => Promise<CloudRole | null>,
  { log, now }: { readonly log: Logger; readonly now: () => number },
): RoleLookup {
  const kept = new Map<string, { readonly role: CloudRole; readonly at: number }>();
  /** Counts the changes that were made here: what was asked for before one says nothing of it. */
  let changes = 0;
  const keyOf = (tenant: string, name: string): string => `${tenant}:${name}`;

  function keep(key: string, one: { readonly role: CloudRole; readonly at: number }): void {
    const [oldest] = kept.keys();
    if (kept.size >= MAX_KEPT && oldest !== undefined) kept.delete(oldest);
    kept.set(key, one);
  }

  return {
    async find(tenant, name, serves = () => true) {
      const key = keyOf(tenant, name);
      const known = kept.get(key);
      // L1. An answer is as old as its question: one that came slowly is not kept for longer.
      const at = now();
      if (known !== undefined && at - known.at < FRESH_MS && serves(known.role)) return known.role;
      const before = changes;
      try {
        const role = await select(tenant, name);
        if (before !== changes || (kept.get(key)?.at ?? at) > at) return role;
        kept.delete(key);
        if (role !== null) keep(key, { role, at });
        return role;
      } catch (error) {
        log.error("cloud_role_not_read", { tenant, role: name, error });
        const last = kept.get(key);
        return last !== undefined && now() - last.at < STALE_MS ? last.role : undefined;
      }
    },
    forget: (tenant, name) => {
      changes += 1;
      kept.delete(keyOf(tenant, name));
    },
  };
}
