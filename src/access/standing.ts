/** Whether who once made something may still act: what they made goes on acting in their name. */
import type { AccessDeps } from "./deps.ts";
import { standingOfAsker } from "./trusted-store.ts";

/** Who made it, as it was kept. */
export interface KeptMaker {
  /** As `actorOf` wrote it. */
  readonly actor: string;
  /** Of who came with a token: what its issuer was trusted as. */
  readonly trust?: { readonly issuerId: string; readonly version: number };
}

/**
 * True while the key is neither revoked nor expired; of who came with a token, while its issuer is trusted as it was then, by
 * a key that has not ended. One read of a row. Rejects while the database is away.
 */
export async function makerStands(
  { db }: Pick<AccessDeps, "db">,
  tenant: string,
  { actor, trust }: KeptMaker,
  now: number,
): Promise<boolean> {
  const [kind, keyId] = [actor.slice(0, actor.indexOf(":")), actor.slice(actor.indexOf(":") + 1)];
  if (kind !== "key" && (kind !== "token" || trust === undefined)) return false;
  const { condition, bindings } = standingOfAsker(kind === "key" ? { keyId } : { keyId, token: trust }, now);
  const owner =
    kind === "key"
      ? { of: "SELECT tenant FROM api_keys WHERE id = ?", id: keyId }
      : { of: "SELECT tenant FROM trusted_callers WHERE id = ?", id: keyId };
  const row = await db
    .prepare(`SELECT ${condition} AND (${owner.of}) = ? AS stands`)
    .bind(...bindings, owner.id, tenant)
    .first<{ stands: number | null }>();
  return row?.stands === 1;
}
