/** Integrations that an isolate has seen lately, so that a step costs no question to the database. */
import type { Integration } from "./integrations.ts";

/** A change or deletion counts everywhere after so long; the connections themselves are told of it at once. */
const KNOWN_MS = 60_000;
const UNKNOWN_MS = 5_000;
const MAX_KNOWN = 1_000;

export interface IntegrationCache {
  /** Null: there is none, or it was deleted. */
  readonly get: (tenant: string, name: string) => Promise<Integration | null>;
  readonly forget: (tenant: string, name: string) => void;
}

/** @param now milliseconds since 1970 */
export function createIntegrationCache(
  select: (tenant: string, name: string) => Promise<Integration | null>,
  now: () => number,
): IntegrationCache {
  const known = new Map<string, { readonly made: Integration | null; readonly until: number }>();
  const keyOf = (tenant: string, name: string): string => `${tenant}:${name}`;
  return {
    async get(tenant, name) {
      const key = keyOf(tenant, name);
      const before = known.get(key);
      if (before !== undefined && before.until > now()) return before.made;
      const found = await select(tenant, name);
      const made = found === null || found.deletedAt !== null ? null : found;
      known.delete(key);
      known.set(key, { made, until: now() + (made === null ? UNKNOWN_MS : KNOWN_MS) });
      const oldest = known.keys().next().value;
      if (known.size > MAX_KNOWN && oldest !== undefined) known.delete(oldest);
      return made;
    },
    forget(tenant, name) {
      known.delete(keyOf(tenant, name));
    },
  };
}
