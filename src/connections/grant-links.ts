/**
 * Links to the page on which a user sees what they granted, and takes it back. As with connect links (links.ts): derived,
 * stored nowhere, redeemed once by a POST; from then on the browser that did so has the page, by a cookie, for a while.
 */
import { isGrantLinkId, randomId, type Row, sameSecret, text } from "../platform/index.ts";
import type { Vault } from "../vault/index.ts";
import { hashOf, matchesHash, newSecret } from "./links.ts";

const PURPOSE = "grants-link";
const TOKEN = /^(gl_[0-9a-z]{26})\.([\w-]{43})$/;
/** How long a link can be opened, and then how long the page can be used. */
export const GRANT_LINK_MS = 15 * 60_000;

export interface GrantLink {
  readonly id: string;
  readonly tenant: string;
  readonly user: string;
}

export interface GrantLinkDeps {
  readonly db: D1Database;
  readonly vault: Vault;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** The last part of the link's address. */
export async function makeGrantLink(
  { db, vault, now }: GrantLinkDeps,
  { tenant, user, by }: { readonly tenant: string; readonly user: string; readonly by: string },
): Promise<{ readonly token: string; readonly expiresAt: number }> {
  const id = randomId("gl");
  const at = now();
  const expiresAt = at + GRANT_LINK_MS;
  const { kid, ...derived } = vault.derive("active", PURPOSE);
  await db
    .prepare(
      "INSERT INTO grant_links (id, tenant, user, kid, created_by, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(id, tenant, user, kid, by, at, expiresAt)
    .run();
  return { token: `${id}.${await derived.mac(id)}`, expiresAt };
}

/** Whose grants a link shows, while it can be redeemed; null: it is no link, was used, or its time is over. */
export async function readGrantLink(
  { db, vault, now }: GrantLinkDeps,
  token: string,
): Promise<GrantLink | null> {
  const [, id] = TOKEN.exec(token) ?? [];
  if (id === undefined || !isGrantLinkId(id)) return null;
  const row = await db
    .prepare("SELECT * FROM grant_links WHERE id = ? AND redeemed_at IS NULL AND expires_at > ?")
    .bind(id, now())
    .first<Row>();
  if (row === null) return null;
  const derived = vault.derive(text(row, "kid"), PURPOSE);
  if (!derived.ok || !(await sameSecret(token, `${id}.${await derived.value.mac(id)}`))) return null;
  return toLink(row);
}

/** Uses a link up, once. Answers what the browser shows from then on; null: it was used before, or its time is over. */
export async function redeemGrantLink({ db, now }: GrantLinkDeps, { id }: GrantLink): Promise<string | null> {
  const cookie = newSecret();
  const at = now();
  const { meta } = await db
    .prepare(
      `UPDATE grant_links SET redeemed_at = ?2, cookie_hash = ?3, expires_at = ?4
       WHERE id = ?1 AND redeemed_at IS NULL AND expires_at > ?2`,
    )
    .bind(id, at, await hashOf(cookie), at + GRANT_LINK_MS)
    .run();
  return meta.changes === 1 ? cookie : null;
}

/** Whose page a browser has that redeemed a link; null: none (any more). */
export async function grantLinkOf(
  { db, now }: GrantLinkDeps,
  id: string,
  cookie: string,
): Promise<GrantLink | null> {
  if (!isGrantLinkId(id)) return null;
  const row = await db
    .prepare("SELECT * FROM grant_links WHERE id = ? AND redeemed_at IS NOT NULL AND expires_at > ?")
    .bind(id, now())
    .first<Row>();
  if (row === null || !(await matchesHash(cookie, text(row, "cookie_hash")))) return null;
  return toLink(row);
}

/** Takes away what ended long ago. */
export async function dropOldGrantLinks(db: D1Database, before: number, limit: number): Promise<number> {
  const { meta } = await db
    .prepare(
      "DELETE FROM grant_links WHERE id IN (SELECT id FROM grant_links WHERE expires_at < ? ORDER BY expires_at LIMIT ?)",
    )
    .bind(before, limit)
    .run();
  return meta.changes;
}

function toLink(row: Row): GrantLink {
  return { id: text(row, "id"), tenant: text(row, "tenant"), user: text(row, "user") };
}
