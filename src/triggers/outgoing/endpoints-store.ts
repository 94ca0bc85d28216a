/** Endpoints and their keys in D1. Owns the tables, and the places of the keys in the vault. */
import { integer, integerOrNull, quotaSql, type Row, text, textOrNull } from "../../platform/index.ts";
import type { Place } from "../../vault/index.ts";
import type { Maker } from "../start-port.ts";
import {
  DISABLED_REASONS,
  type DisabledReason,
  type Endpoint,
  type EndpointDraft,
  type EndpointKey,
  MAX_ENDPOINTS,
} from "./endpoint.ts";
import { type EventType, isEventType } from "./events.ts";
import type { Wanting } from "./listener.ts";

export interface SealedKey extends EndpointKey {
  readonly n: number;
  readonly sealed: string;
}

/** PERSISTED CONTRACT: places are part of what is sealed. */
export function keyPlace(tenant: string, endpoint: string, key: string): Place {
  return { purpose: "endpoint", tenant, record: endpoint, field: `key:${key}`, version: 1 };
}

/** With its first key, in one transaction. False: the tenant has too many. */
export async function insertEndpoint(
  db: D1Database,
  endpoint: Endpoint,
  key: SealedKey,
  kid: string,
): Promise<boolean> {
  const { tenant, id, url, types, description, maker, since, version, createdAt, createdBy } = endpoint;
  const [made] = await db.batch([
    db
      .prepare(
        `INSERT INTO endpoints (tenant, id, url, types, description, maker, since, version, created_at, created_by, updated_at)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?9
         WHERE (SELECT count(*) FROM endpoints WHERE tenant = ?1) < ${quotaSql("endpoints", "?1")}`,
      )
      .bind(
        ...[tenant, id, url, JSON.stringify(types), description, JSON.stringify(maker)],
        ...[since, version, createdAt, createdBy],
      ),
    insertKey(db, endpoint, key, kid),
  ]);
  return made?.meta.changes === 1;
}

/** Those of a tenant, the oldest first. */
export async function selectEndpoints(db: D1Database, tenant: string): Promise<Endpoint[]> {
  const { results } = await db
    .prepare("SELECT * FROM endpoints WHERE tenant = ? ORDER BY created_at, id LIMIT ?")
    .bind(tenant, MAX_ENDPOINTS)
    .all<Row>();
  return results.map(toEndpoint);
}

export async function selectWanting(db: D1Database, tenant: string): Promise<Wanting[]> {
  const { results } = await db
    .prepare("SELECT id, types FROM endpoints WHERE tenant = ? AND disabled_at IS NULL LIMIT ?")
    .bind(tenant, MAX_ENDPOINTS)
    .all<Row>();
  return results.map((row) => ({ id: text(row, "id"), types: typesOf(row) }));
}

export async function selectEndpoint(db: D1Database, tenant: string, id: string): Promise<Endpoint | null> {
  const row = await db
    .prepare("SELECT * FROM endpoints WHERE id = ? AND tenant = ?")
    .bind(id, tenant)
    .first<Row>();
  return row === null ? null : toEndpoint(row);
}

/** An endpoint and its keys that have not ended, of one moment. */
export async function selectWithKeys(
  db: D1Database,
  tenant: string,
  id: string,
  now: number,
): Promise<{ readonly endpoint: Endpoint; readonly keys: SealedKey[] } | null> {
  const [endpoint, keys] = await db.batch<Row>([
    db.prepare("SELECT * FROM endpoints WHERE id = ? AND tenant = ?").bind(id, tenant),
    keysQuery(db, tenant, id, now),
  ]);
  const [row] = endpoint?.results ?? [];
  return row === undefined
    ? null
    : { endpoint: toEndpoint(row), keys: (keys?.results ?? []).map((one) => toKey(one)) };
}

export async function selectKeys(
  db: D1Database,
  tenant: string,
  endpoint: string,
  now: number,
): Promise<SealedKey[]> {
  const { results } = await keysQuery(db, tenant, endpoint, now).all<Row>();
  return results.map(toKey);
}

/**
 * What it is now, in the name of who changes it. Null: it was changed meanwhile, or is gone.
 * @param since from when on what failed before is forgotten; null: it is not
 */
export async function updateEndpoint(
  db: D1Database,
  before: Endpoint,
  draft: EndpointDraft & Pick<Endpoint, "maker" | "disabled">,
  since: number | null,
  now: number,
): Promise<Endpoint | null> {
  const { url, types, description, maker, disabled } = draft;
  const row = await db
    .prepare(
      `UPDATE endpoints SET url = ?4, types = ?5, description = ?6, maker = ?7, disabled_reason = ?8, disabled_at = ?9,
         since = coalesce(?10, since), version = version + 1, updated_at = ?11
       WHERE tenant = ?1 AND id = ?2 AND version = ?3 RETURNING *`,
    )
    .bind(
      ...[before.tenant, before.id, before.version, url, JSON.stringify(types), description],
      ...[JSON.stringify(maker), disabled?.reason ?? null, disabled?.at ?? null, since, now],
    )
    .first<Row>();
  return row === null ? null : toEndpoint(row);
}

/** Only as it was judged: one that was changed since then is left as it is. */
export async function disableEndpoint(
  db: D1Database,
  { tenant, id, version }: Pick<Endpoint, "tenant" | "id" | "version">,
  reason: DisabledReason,
  at: number,
): Promise<boolean> {
  const { meta } = await db
    .prepare(
      `UPDATE endpoints SET disabled_reason = ?4, disabled_at = ?5, version = version + 1, updated_at = ?5
       WHERE tenant = ?1 AND id = ?2 AND version = ?3 AND disabled_at IS NULL`,
    )
    .bind(tenant, id, version, reason, at)
    .run();
  return meta.changes === 1;
}

/** With its keys, in one transaction. */
export async function deleteEndpoint(db: D1Database, tenant: string, id: string): Promise<boolean> {
  const [, gone] = await db.batch([
    db.prepare("DELETE FROM endpoint_keys WHERE endpoint = ? AND tenant = ?").bind(id, tenant),
    db.prepare("DELETE FROM endpoints WHERE id = ? AND tenant = ?").bind(id, tenant),
  ]);
  return gone?.meta.changes === 1;
}

/**
 * A new key beside those that go on for a while, in one transaction. False: keys were changed meanwhile, or the endpoint is gone.
 * @param kept those before it, with the ends that they have from now on; all others end at once
 */
export async function replaceKeys(
  db: D1Database,
  endpoint: Endpoint,
  key: SealedKey,
  kept: readonly { readonly id: string; readonly until: number | null }[],
  kid: string,
): Promise<boolean> {
  const { tenant, id } = endpoint;
  // One that was ended meanwhile stays so.
  const ends = kept.map((one) =>
    db
      .prepare(
        "UPDATE endpoint_keys SET until = min(coalesce(until, ?3), ?3) WHERE endpoint = ?1 AND id = ?2",
      )
      .bind(id, one.id, one.until),
  );
  const names = kept.map((_, i) => `?${i + 5}`).join(", ");
  try {
    const results = await db.batch([
      // First: if its number is taken, nothing of all this is done.
      insertKey(db, endpoint, key, kid),
      db
        .prepare(
          `UPDATE endpoint_keys SET until = min(coalesce(until, ?3), ?3)
           WHERE endpoint = ?1 AND tenant = ?2 AND n < ?4 AND id NOT IN (${names})`,
        )
        .bind(id, tenant, key.madeAt, key.n, ...kept.map((one) => one.id)),
      ...ends,
    ]);
    return results[0]?.meta.changes === 1;
  } catch (error) {
    if (String(error).includes("UNIQUE constraint failed")) return false;
    throw error;
  }
}

/** Ends a key that has an end already, or is not the newest. False: it is not there, or is the newest. */
export async function endKey(db: D1Database, endpoint: Endpoint, key: string, now: number): Promise<boolean> {
  const { meta } = await db
    .prepare(
      `UPDATE endpoint_keys SET until = min(coalesce(until, ?4), ?4)
       WHERE endpoint = ?1 AND tenant = ?2 AND id = ?3 AND until IS NOT NULL`,
    )
    .bind(endpoint.id, endpoint.tenant, key, now)
    .run();
  return meta.changes === 1;
}

/** Takes away what has ended: the only copy of the key with it. */
export async function dropEndedKeys(db: D1Database, now: number): Promise<number> {
  const { meta } = await db.prepare("DELETE FROM endpoint_keys WHERE until <= ?").bind(now).run();
  return meta.changes;
}

function insertKey(
  db: D1Database,
  { tenant, id: endpoint }: Endpoint,
  { n, id, kind, publicKey, sealed, madeAt }: SealedKey,
  kid: string,
): D1PreparedStatement {
  return db
    .prepare(
      `INSERT INTO endpoint_keys (endpoint, n, id, tenant, kind, public_key, sealed, kid, made_at, until)
       SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, NULL WHERE EXISTS (SELECT 1 FROM endpoints WHERE id = ?1 AND tenant = ?4)`,
    )
    .bind(endpoint, n, id, tenant, kind, publicKey, sealed, kid, madeAt);
}

function keysQuery(db: D1Database, tenant: string, endpoint: string, now: number): D1PreparedStatement {
  return db
    .prepare(
      `SELECT n, id, kind, public_key, sealed, made_at, until FROM endpoint_keys
       WHERE endpoint = ? AND tenant = ? AND (until IS NULL OR until > ?) ORDER BY n DESC`,
    )
    .bind(endpoint, tenant, now);
}

function toKey(row: Row): SealedKey {
  return {
    n: integer(row, "n"),
    id: text(row, "id"),
    kind: text(row, "kind") === "ed25519" ? "ed25519" : "hmac",
    publicKey: textOrNull(row, "public_key"),
    sealed: text(row, "sealed"),
    madeAt: integer(row, "made_at"),
    until: integerOrNull(row, "until"),
  };
}

function toEndpoint(row: Row): Endpoint {
  const reason = textOrNull(row, "disabled_reason");
  const known = DISABLED_REASONS.find((one) => one === reason);
  return {
    tenant: text(row, "tenant"),
    id: text(row, "id"),
    url: text(row, "url"),
    types: typesOf(row),
    description: text(row, "description"),
    // The column holds what was written by this file.
    maker: JSON.parse(text(row, "maker")) as Maker,
    disabled: known === undefined ? null : { reason: known, at: integer(row, "disabled_at") },
    since: integer(row, "since"),
    version: integer(row, "version"),
    createdAt: integer(row, "created_at"),
    createdBy: text(row, "created_by"),
    updatedAt: integer(row, "updated_at"),
  };
}

/** Types that this build knows: of others there is nothing to tell. */
function typesOf(row: Row): EventType[] {
  const types: unknown = JSON.parse(text(row, "types"));
  return Array.isArray(types) ? types.filter((one) => typeof one === "string").filter(isEventType) : [];
}
