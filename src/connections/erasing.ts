/**
 * Erasing an end user: their connections, the sessions and links by which they were made and shown.
 *
 * - B1 what stands in the database of a connection goes after its object holds nothing any more: so an erasure that was
 *      interrupted finds it again.
 * - B2 what the provider was not told is noted before the row that says so goes.
 */
import { type Row, text, textOrNull } from "../platform/index.ts";
import type { ConnectionRpc, RevocationReport } from "./rpc.ts";

export interface EraseConnectionsDeps {
  readonly db: D1Database;
  readonly object: (tenant: string, id: string) => ConnectionRpc;
}

export interface ErasingUser {
  readonly tenant: string;
  readonly user: string;
  /** Who asks, as the audit writes it. */
  readonly by: string;
}

/** A grant that is over here, and of which its provider knows nothing. */
export interface Untold {
  readonly connection: string;
  readonly integration: string;
  readonly outcome: Exclude<RevocationReport["outcome"], "pending" | "revoked">;
}

export interface ErasedConnections {
  /** Gone now. */
  readonly erased: number;
  /** Whose provider is still to be told. */
  readonly waiting: number;
  /** Places that somebody was led to, and that nobody ever gave anything. */
  readonly sessions: number;
  /** Behind which one to go on; null: these were all. */
  readonly next: string | null;
}

/** @param note is to resolve once it is kept (B2) */
export async function eraseConnections(
  deps: EraseConnectionsDeps,
  who: ErasingUser,
  page: { readonly after: string; readonly limit: number },
  note: (untold: Untold) => Promise<void>,
): Promise<ErasedConnections> {
  const { db } = deps;
  const { results } = await db
    .prepare(
      `SELECT id FROM (SELECT id FROM connections WHERE tenant = ?1 AND user = ?2
         UNION SELECT connection AS id FROM connect_sessions WHERE tenant = ?1 AND user = ?2)
       WHERE id > ?3 ORDER BY id LIMIT ?4`,
    )
    .bind(who.tenant, who.user, page.after, page.limit)
    .all<Row>();
  let erased = 0;
  let waiting = 0;
  let sessions = 0;
  for (const row of results)
    switch (await eraseConnection(deps, who, text(row, "id"), note)) {
      case "later":
        waiting += 1;
        break;
      case "erased":
        erased += 1;
        break;
      case "nothing":
        sessions += 1;
    }
  const last = results.at(-1);
  return {
    ...{ erased, waiting, sessions },
    next: results.length < page.limit || last === undefined ? null : text(last, "id"),
  };
}

/** One place, which may be listed or not. `nothing`: it was not, or is not theirs. */
export async function eraseConnection(
  { db, object }: EraseConnectionsDeps,
  { tenant, user, by }: ErasingUser,
  id: string,
  note: (untold: Untold) => Promise<void>,
): Promise<"erased" | "later" | "nothing"> {
  const answer = await object(tenant, id).erase(tenant, { user, by });
  if (answer === "later") return "later";
  if (answer === "not_theirs") return "nothing";
  const row = await db
    .prepare("SELECT integration, revocation FROM connections WHERE id = ? AND tenant = ? AND user = ?")
    .bind(id, tenant, user)
    .first<Row>();
  const revocation = row === null ? null : textOrNull(row, "revocation");
  if (row !== null && revocation !== null) {
    const { outcome } = JSON.parse(revocation) as RevocationReport;
    // B2.
    if (outcome !== "revoked" && outcome !== "pending")
      await note({ connection: id, integration: text(row, "integration"), outcome });
  }
  await db.batch([
    db.prepare("DELETE FROM connection_uses WHERE connection = ?").bind(id),
    db.prepare("DELETE FROM connections WHERE id = ? AND tenant = ? AND user = ?").bind(id, tenant, user),
    db.prepare("DELETE FROM unlisted_connections WHERE id = ? AND tenant = ?").bind(id, tenant),
    db
      .prepare("DELETE FROM connect_sessions WHERE connection = ? AND tenant = ? AND user = ?")
      .bind(id, tenant, user),
  ]);
  return row === null ? "nothing" : "erased";
}

/** Links to the page that shows what they granted. */
export async function eraseGrantLinks(db: D1Database, tenant: string, user: string): Promise<number> {
  const { meta } = await db
    .prepare("DELETE FROM grant_links WHERE tenant = ? AND user = ?")
    .bind(tenant, user)
    .run();
  return meta.changes;
}
