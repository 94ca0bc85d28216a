/** API keys in D1. The only SQL about them, and the mapping from rows. */
import {
  type AuditEntry,
  integer,
  integerOrNull,
  quotaSql,
  type Row,
  text,
  textOrNull,
} from "../platform/index.ts";
import { auditStatements, auditStatementsIf, auditStatementsOf } from "./audit-store.ts";
import type { Identity, Policy } from "./identity.ts";
import { type Place, placeIn } from "./places.ts";
import { isScopeGrant, type ScopeGrant } from "./scopes.ts";
import { standingOfAsker } from "./trusted-store.ts";

/** A key without its text, which is kept nowhere. Times are milliseconds since 1970. */
export interface KeyRecord {
  readonly id: string;
  readonly tenant: string;
  readonly name: string;
  /** First characters of the text. */
  readonly prefix: string;
  readonly last4: string;
  readonly scopes: readonly ScopeGrant[];
  readonly user: string | null;
  readonly policies: readonly Policy[];
  readonly createdBy: string;
  readonly createdAt: number;
  readonly expiresAt: number | null;
  readonly revokedAt: number | null;
  /** Coarse: true to about an hour. */
  readonly lastUsedAt: number | null;
}

const COLUMNS =
  "id, tenant, name, prefix, last4, scopes, user, policies, created_by, created_at, expires_at, revoked_at, last_used_at";

/**
 * Writes audit and key in one transaction, if at that moment the maker may still make keys: a key that is neither revoked
 * nor expired, and whose tenant has room for another (see quotaSql), or, for root, a tenant that exists. False: it may not, and
 * nothing was written.
 */
export async function insertKey(
  db: D1Database,
  key: KeyRecord,
  hash: string,
  maker: Identity,
  audit: AuditEntry,
): Promise<boolean> {
  const { condition, bindings } =
    maker.kind === "root"
      ? { condition: "EXISTS (SELECT 1 FROM tenants WHERE id = ?)", bindings: [key.tenant] }
      : withRoom(standingOfAsker(maker, key.createdAt), key);
  const results = await db.batch([
    ...auditStatementsIf(db, audit, condition, bindings),
    db
      .prepare(
        `INSERT INTO api_keys (${COLUMNS}, hash) SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? WHERE ${condition}`,
      )
      .bind(
        key.id,
        key.tenant,
        key.name,
        key.prefix,
        key.last4,
        JSON.stringify(key.scopes),
        key.user,
        JSON.stringify(key.policies),
        key.createdBy,
        key.createdAt,
        key.expiresAt,
        key.revokedAt,
        key.lastUsedAt,
        hash,
        ...bindings,
      ),
  ]);
  return results.at(-1)?.meta.changes === 1;
}

function withRoom(
  { condition, bindings }: ReturnType<typeof standingOfAsker>,
  { tenant, createdAt }: KeyRecord,
): ReturnType<typeof standingOfAsker> {
  const live = `SELECT count(*) FROM api_keys INDEXED BY api_keys_live
    WHERE tenant = ? AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)`;
  return {
    condition: `${condition} AND (${live}) < ${quotaSql("keys", "?")}`,
    bindings: [...bindings, tenant, createdAt, tenant],
  };
}

/** Null: there is none. Its tenant's place comes with it, so that this needs no question of its own. */
export async function selectKeyByHash(
  db: D1Database,
  hash: string,
): Promise<{ readonly key: KeyRecord; readonly place: Place } | null> {
  const columns = COLUMNS.split(", ").map((name) => `api_keys.${name}`);
  const query = `SELECT ${columns.join(", ")}, tenants.jurisdiction, tenants.location_hint
                 FROM api_keys JOIN tenants ON tenants.id = api_keys.tenant WHERE hash = ?`;
  const row = await db.prepare(query).bind(hash).first<Row>();
  return row === null ? null : { key: toKey(row), place: placeIn(row) };
}

export async function selectKey(db: D1Database, tenant: string, id: string): Promise<KeyRecord | null> {
  const query = `SELECT ${COLUMNS} FROM api_keys WHERE tenant = ? AND id = ?`;
  const row = await db.prepare(query).bind(tenant, id).first<Row>();
  return row === null ? null : toKey(row);
}

/** A place in the list of keys, which is in order of creation. */
export interface KeyCursor {
  readonly createdAt: number;
  readonly id: string;
}

export async function selectKeys(
  db: D1Database,
  tenant: string,
  after: KeyCursor,
  limit: number,
): Promise<KeyRecord[]> {
  const query = `SELECT ${COLUMNS} FROM api_keys WHERE tenant = ? AND (created_at, id) > (?, ?)
                 ORDER BY created_at, id LIMIT ?`;
  const { results } = await db.prepare(query).bind(tenant, after.createdAt, after.id, limit).all();
  return results.map(toKey);
}

/** Writes audit and revocation in one transaction. A key that was revoked before keeps its time. */
export async function updateRevoked(
  db: D1Database,
  id: string,
  now: number,
  audit: AuditEntry,
): Promise<void> {
  await db.batch([
    ...auditStatements(db, audit),
    db.prepare("UPDATE api_keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL").bind(now, id),
  ]);
}

/**
 * The keys that a key has made, directly or not, and that would still be taken; also those that who came with a token made, if
 * the key ever said what their issuer is trusted with. Also through keys that are revoked; not through expired ones,
 * because no key outlives its maker. Bound are tenant, key, now and how many at most.
 */
const LIVE_DESCENDANTS = `
  WITH RECURSIVE trust (maker, actor) AS MATERIALIZED (
    SELECT one.value, 'token:' || c.id FROM trusted_issuers t JOIN json_each(t.makers) one
      JOIN trusted_callers c ON c.issuer_id = t.id
    WHERE t.tenant = ?1
  ), made (actor) AS (
    SELECT 'key:' || ?2
    UNION
    SELECT 'key:' || k.id FROM made JOIN api_keys k ON k.created_by = made.actor
    WHERE k.tenant = ?1 AND (k.expires_at IS NULL OR k.expires_at > ?3)
    UNION
    SELECT trust.actor FROM made JOIN trust ON trust.maker = made.actor
  )
  SELECT k.id FROM made JOIN api_keys k ON k.id = substr(made.actor, 5)
  WHERE k.revoked_at IS NULL AND k.id <> ?2 AND substr(made.actor, 1, 4) = 'key:'
  ORDER BY k.created_at, k.id LIMIT ?4`;

/**
 * Writes audit and revocation of up to `limit` keys that come from a key, oldest first, in one transaction.
 * @param audit what is written of each, but for its target
 * @returns their ids; fewer than `limit`: there are no more
 */
export async function updateDescendantsRevoked(
  db: D1Database,
  key: Pick<KeyRecord, "id" | "tenant">,
  limit: number,
  audit: Omit<AuditEntry, "target">,
): Promise<string[]> {
  const { at: now } = audit;
  const results = await db.batch<Row>([
    ...auditStatementsOf(db, audit, LIVE_DESCENDANTS, [key.tenant, key.id, now, limit]),
    db
      .prepare(`UPDATE api_keys SET revoked_at = ?3 WHERE id IN (${LIVE_DESCENDANTS}) RETURNING id`)
      .bind(key.tenant, key.id, now, limit),
  ]);
  return (results.at(-1)?.results ?? []).map((row) => text(row, "id"));
}

/**
 * Who made a key, who made that, and so on to the top, the nearest first, as `created_by` writes them; of who came with a
 * token, all keys that ever said what its issuer is trusted with. Makers never change. One read of a row for each.
 * At most `limit`: if there are so many, there may be others. Null: for one of them it is not known.
 */
export async function selectMakers(
  db: D1Database,
  tenant: string,
  actor: string,
  limit: number,
): Promise<string[] | null> {
  const { results } = await db
    .prepare(
      `WITH RECURSIVE makers (actor) AS (
         SELECT ?2
         UNION
         SELECT k.created_by FROM makers JOIN api_keys k ON k.id = substr(makers.actor, 5)
         WHERE k.tenant = ?1 AND substr(makers.actor, 1, 4) = 'key:'
         UNION
         SELECT one.value FROM makers JOIN trusted_callers c ON c.id = substr(makers.actor, 7)
           JOIN trusted_issuers t ON t.id = c.issuer_id JOIN json_each(t.makers) one
         WHERE t.tenant = ?1 AND substr(makers.actor, 1, 6) = 'token:'
         LIMIT ?3 + 1
       )
       SELECT actor, substr(actor, 1, 6) = 'token:' AND NOT EXISTS (
           SELECT 1 FROM trusted_callers c JOIN trusted_issuers t ON t.id = c.issuer_id
           WHERE c.id = substr(actor, 7) AND t.tenant = ?1
         ) AS lost
       FROM makers`,
    )
    .bind(tenant, actor, limit)
    .all<Row>();
  if (results.some((row) => integer(row, "lost") === 1)) return null;
  return results.map((row) => text(row, "actor")).filter((one) => one !== actor);
}

/** Notes a use, unless one was noted after `unlessAfter`: many isolates may want to at once. */
export async function updateLastUsed(
  db: D1Database,
  id: string,
  now: number,
  unlessAfter: number,
): Promise<void> {
  await db
    .prepare(
      "UPDATE api_keys SET last_used_at = ? WHERE id = ? AND (last_used_at IS NULL OR last_used_at <= ?)",
    )
    .bind(now, id, unlessAfter)
    .run();
}

function toKey(row: Row): KeyRecord {
  return {
    id: text(row, "id"),
    tenant: text(row, "tenant"),
    name: text(row, "name"),
    prefix: text(row, "prefix"),
    last4: text(row, "last4"),
    // A scope that this build does not know, left by a newer one, gives nothing.
    scopes: list(row, "scopes").filter((scope) => typeof scope === "string" && isScopeGrant(scope)),
    user: textOrNull(row, "user"),
    policies: list(row, "policies").map(toPolicy),
    createdBy: text(row, "created_by"),
    createdAt: integer(row, "created_at"),
    expiresAt: integerOrNull(row, "expires_at"),
    revokedAt: integerOrNull(row, "revoked_at"),
    lastUsedAt: integerOrNull(row, "last_used_at"),
  };
}

function list(row: Row, column: string): unknown[] {
  const value: unknown = JSON.parse(text(row, column));
  if (!Array.isArray(value)) throw new TypeError(`Column ${column} should hold a JSON array.`);
  return value;
}

function toPolicy(value: unknown): Policy {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new TypeError("A policy should be a JSON object.");
  return value as Policy;
}
