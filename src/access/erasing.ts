/** Erasing an end user from what this room keeps: keys that are bound to them, and who came with a token for them. */
import { type Row, text } from "../platform/index.ts";
import { auditStatements } from "./audit-store.ts";
import { CALLERS_OF_USER } from "./audit-users-store.ts";
import type { AccessDeps } from "./deps.ts";

/** Keys of one transaction. */
const KEYS_AT_ONCE = 50;
/** Stands where a name stood. */
const ERASED = "erased";

/**
 * Keys that are bound to the user are revoked, and tell nothing of them any more: their ids stay, as what they made and did is
 * known by those. In one statement: a key that has lost its user is never one that can be used.
 * @param by who asks, as the audit writes it
 * @returns how many; 0: there are none (any more)
 */
export async function eraseUserKeys(
  { db, cache }: Pick<AccessDeps, "db" | "cache">,
  { tenant, user, by }: { readonly tenant: string; readonly user: string; readonly by: string },
  now: number,
): Promise<number> {
  const { results } = await db
    .prepare("SELECT id FROM api_keys WHERE tenant = ? AND user = ? ORDER BY id LIMIT ?")
    .bind(tenant, user, KEYS_AT_ONCE)
    .all<Row>();
  if (results.length === 0) return 0;
  const ids = results.map((row) => text(row, "id"));
  const entry = { at: now, tenant, actor: by, action: "key.erase", outcome: "granted", detail: {} } as const;
  await db.batch([
    ...ids.flatMap((target) => auditStatements(db, { ...entry, target })),
    db
      .prepare(
        `UPDATE api_keys SET revoked_at = coalesce(revoked_at, ?1), user = NULL, name = '${ERASED}', policies = '[]'
         WHERE id IN (SELECT value FROM json_each(?2)) AND tenant = ?3`,
      )
      .bind(now, JSON.stringify(ids), tenant),
  ]);
  cache.forget(new Set(ids));
  return ids.length;
}

/** Of who came with a token for this user, or is called like them, only the id stays, which runs know. The audit forgets them with the user. */
export async function eraseUserCallers(db: D1Database, tenant: string, user: string): Promise<number> {
  const named = db
    .prepare(
      `UPDATE audit_users SET owner = ?2 WHERE tenant = ?1 AND kind = 'caller' AND owner IS NOT ?2
         AND user IN (SELECT id FROM trusted_callers WHERE tenant = ?1 AND subject = ?2)`,
    )
    .bind(tenant, user);
  const erased = db
    .prepare(
      `UPDATE trusted_callers SET subject = '${ERASED}'
       WHERE tenant = ?1 AND subject <> '${ERASED}' AND (subject = ?2 OR id IN (${CALLERS_OF_USER}))`,
    )
    .bind(tenant, user);
  const [, done] = await db.batch([named, erased]);
  return done?.meta.changes ?? 0;
}
