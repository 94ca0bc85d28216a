/**
 * How many things of each kind a tenant has stored, as its quotas count them. What stores one counts for itself, in its own statement
 * (`quotaSql`); this says it before anything is done for a request that could not be granted, and shows it.
 */
import { quotaSql, STORED_QUOTAS, type StoredQuota } from "../platform/index.ts";

/** `?1` is the tenant, `?2` the time. Of `plan_versions` there is no number for the tenant. */
const COUNTS: Readonly<Record<Exclude<StoredQuota, "plan_versions">, string>> = {
  stored_plans: "SELECT count(*) FROM plans WHERE tenant = ?1 AND version = 1",
  hooks: "SELECT count(*) FROM hooks WHERE tenant = ?1",
  schedules: "SELECT count(*) FROM schedules WHERE tenant = ?1",
  endpoints: "SELECT count(*) FROM endpoints WHERE tenant = ?1",
  keys: `SELECT count(*) FROM api_keys INDEXED BY api_keys_live
    WHERE tenant = ?1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?2)`,
  connections: "SELECT count(*) FROM connections WHERE tenant = ?1 AND status <> 'disconnected'",
  open_connect_sessions: `SELECT count(*) FROM connect_sessions INDEXED BY connect_sessions_open
    WHERE tenant = ?1 AND state = 'open' AND expires_at > ?2 AND purpose = 'api'`,
};

export type CountedQuota = keyof typeof COUNTS;
const COUNTED = Object.keys(COUNTS) as readonly CountedQuota[];

/** Whether the tenant may store one more of them, as far as can be said before it is tried. */
export async function hasRoom(
  db: D1Database,
  tenant: string,
  quota: CountedQuota,
  now: number,
): Promise<boolean> {
  const query = `SELECT (${COUNTS[quota]}) < ${quotaSql(quota, "?1")} AS room, ?2 AS at`;
  return (await db.prepare(query).bind(tenant, now).first<number>("room")) === 1;
}

export async function storedCounts(
  db: D1Database,
  tenant: string,
  now: number,
): Promise<Readonly<Record<CountedQuota, number>>> {
  const columns = COUNTED.map((quota) => `(${COUNTS[quota]}) AS ${quota}`).join(", ");
  const row = await db
    .prepare(`SELECT ${columns}, ?2 AS at`)
    .bind(tenant, now)
    .first<Record<string, number>>();
  return Object.fromEntries(COUNTED.map((quota) => [quota, row?.[quota] ?? 0])) as Record<
    CountedQuota,
    number
  >;
}

export function isStored(quota: string): quota is StoredQuota {
  return Object.hasOwn(STORED_QUOTAS, quota);
}
