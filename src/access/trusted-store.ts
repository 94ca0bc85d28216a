/** Trusted issuers in D1. The only SQL about them. */
import { type AuditEntry, integer, integerOrNull, type Row, text, textOrNull } from "../platform/index.ts";
import { auditStatementsIf } from "./audit-store.ts";
import { callerStatement } from "./audit-users-store.ts";
import type { KeyIdentity, Policy } from "./identity.ts";
import type { TrustDraft, TrustedIssuer, TrustRule } from "./trusted-issuer.ts";

/** Of one tenant. */
const MAX_ISSUERS = 100;
/** Of one issuer: keys that have ever said what is trusted of it. */
const MAX_TRUSTERS = 64;
/** With the key that last said what is trusted: none but keys trust issuers, and rows of keys stay. */
const WITH_MAKER = `trusted_issuers t JOIN api_keys k ON k.id = substr(json_extract(t.makers, '$[#-1]'), 5)`;
const TRUSTED = `SELECT t.*, k.revoked_at AS maker_revoked_at, k.expires_at AS maker_expires_at FROM ${WITH_MAKER}`;

/** Writes audit and issuer in one transaction; false, and nothing written: name or issuer are taken, or there are too many. */
export async function insertTrusted(
  db: D1Database,
  trusted: Omit<TrustedIssuer, "until">,
  audit: AuditEntry,
): Promise<boolean> {
  const { id, tenant, name, issuer, jwksUrl, maxAgeS, rules, policies, version, createdAt, createdBy } =
    trusted;
  const isNew = `NOT EXISTS (SELECT 1 FROM trusted_issuers WHERE tenant = ? AND (name = ? OR issuer = ?))
    AND (SELECT count(*) FROM trusted_issuers WHERE tenant = ?) < ${MAX_ISSUERS}`;
  const bindings = [tenant, name, issuer, tenant];
  const results = await db.batch([
    ...auditStatementsIf(db, audit, isNew, bindings),
    db
      .prepare(
        `INSERT INTO trusted_issuers (id, tenant, name, issuer, jwks_url, max_age_s, rules, policies, makers, version,
           created_at, created_by, updated_at) SELECT ?, ?, ?, ?, ?, ?, ?, ?, json_array(?), ?, ?, ?, ? WHERE ${isNew}`,
      )
      .bind(
        ...[id, tenant, name, issuer, jwksUrl, maxAgeS, JSON.stringify(rules), JSON.stringify(policies)],
        ...[createdBy, version, createdAt, createdBy, createdAt, ...bindings],
      ),
  ]);
  return results.at(-1)?.meta.changes === 1;
}

/**
 * Writes audit and change in one transaction; false, and nothing written: it is gone, or too many keys have changed it.
 * @param by who says so, as `actorOf` writes it: the last of its makers from then on
 */
export async function updateTrusted(
  db: D1Database,
  id: string,
  { jwksUrl, maxAgeS, rules, policies }: TrustDraft,
  by: string,
  audit: AuditEntry,
): Promise<boolean> {
  const stands = `EXISTS (SELECT 1 FROM trusted_issuers WHERE id = ? AND json_array_length(makers) < ${MAX_TRUSTERS})`;
  const results = await db.batch([
    ...auditStatementsIf(db, audit, stands, [id]),
    db
      .prepare(
        `UPDATE trusted_issuers SET jwks_url = ?, max_age_s = ?, rules = ?, policies = ?, version = version + 1, updated_at = ?,
           makers = (SELECT json_group_array(value) FROM
             (SELECT value FROM json_each(makers) WHERE value <> ? UNION ALL SELECT ?))
         WHERE id = ? AND ${stands}`,
      )
      .bind(
        ...[jwksUrl, maxAgeS, JSON.stringify(rules), JSON.stringify(policies), audit.at],
        ...[by, by, id, id],
      ),
  ]);
  return results.at(-1)?.meta.changes === 1;
}

export async function deleteTrusted(
  db: D1Database,
  trusted: TrustedIssuer,
  audit: AuditEntry,
): Promise<void> {
  const stands = "EXISTS (SELECT 1 FROM trusted_issuers WHERE id = ?)";
  await db.batch([
    ...auditStatementsIf(db, audit, stands, [trusted.id]),
    db.prepare("DELETE FROM trusted_issuers WHERE id = ?").bind(trusted.id),
  ]);
}

export async function selectTrusted(
  db: D1Database,
  tenant: string,
  by: { readonly name: string } | { readonly issuer: string },
): Promise<TrustedIssuer | null> {
  const [column, value] = "name" in by ? ["name", by.name] : ["issuer", by.issuer];
  const row = await db
    .prepare(`${TRUSTED} WHERE t.tenant = ? AND t.${column} = ?`)
    .bind(tenant, value)
    .first<Row>();
  return row === null ? null : toTrusted(row);
}

/** All of a tenant. */
export async function selectAllTrusted(db: D1Database, tenant: string): Promise<TrustedIssuer[]> {
  const { results } = await db
    .prepare(`${TRUSTED} WHERE t.tenant = ? ORDER BY t.name LIMIT ${MAX_ISSUERS}`)
    .bind(tenant)
    .all<Row>();
  return results.map(toTrusted);
}

/** Notes who came with a token, unless that was noted after `unlessAfter`, and for which user: they are forgotten with them. */
export async function upsertCaller(
  db: D1Database,
  { keyId, tenant, token, user }: KeyIdentity,
  now: number,
  unlessAfter: number,
): Promise<void> {
  const noted = db
    .prepare(
      `INSERT INTO trusted_callers (id, tenant, issuer_id, subject, first_at, last_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)
       ON CONFLICT (id) DO UPDATE SET last_at = ?5, subject = ?4 WHERE last_at <= ?6`,
    )
    .bind(keyId, tenant, token?.issuerId ?? "", token?.subject ?? "", now, unlessAfter);
  await db.batch([noted, ...(user === null ? [] : [callerStatement(db, tenant, keyId, user)])]);
}

export interface Caller {
  readonly id: string;
  readonly subject: string;
  readonly firstAt: number;
  /** Coarse. */
  readonly lastAt: number;
}

/** Those that came last, the latest first. */
export async function selectCallers(db: D1Database, issuerId: string, limit: number): Promise<Caller[]> {
  const { results } = await db
    .prepare(
      "SELECT id, subject, first_at, last_at FROM trusted_callers WHERE issuer_id = ? ORDER BY last_at DESC, id LIMIT ?",
    )
    .bind(issuerId, limit)
    .all<Row>();
  return results.map((row) => ({
    id: text(row, "id"),
    subject: text(row, "subject"),
    firstAt: integer(row, "first_at"),
    lastAt: integer(row, "last_at"),
  }));
}

/** Holds for as long as whoever asks may: the key has not ended, or the issuer is trusted as it was, by a key that has not. */
export function standingOfAsker(
  {
    keyId,
    token,
  }: {
    readonly keyId: string;
    readonly token?: Pick<NonNullable<KeyIdentity["token"]>, "issuerId" | "version"> | undefined;
  },
  now: number,
): { readonly condition: string; readonly bindings: readonly (string | number)[] } {
  const holds = "k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > ?)";
  return token === undefined
    ? { condition: `EXISTS (SELECT 1 FROM api_keys k WHERE k.id = ? AND ${holds})`, bindings: [keyId, now] }
    : {
        condition: `EXISTS (SELECT 1 FROM ${WITH_MAKER} WHERE t.id = ? AND t.version = ? AND ${holds})`,
        bindings: [token.issuerId, token.version, now],
      };
}

function toTrusted(row: Row): TrustedIssuer {
  return {
    id: text(row, "id"),
    tenant: text(row, "tenant"),
    name: text(row, "name"),
    issuer: text(row, "issuer"),
    jwksUrl: textOrNull(row, "jwks_url"),
    maxAgeS: integer(row, "max_age_s"),
    // The columns hold what was written by this file.
    rules: JSON.parse(text(row, "rules")) as readonly TrustRule[],
    policies: JSON.parse(text(row, "policies")) as readonly Policy[],
    version: integer(row, "version"),
    until: earliest(integerOrNull(row, "maker_revoked_at"), integerOrNull(row, "maker_expires_at")),
    createdAt: integer(row, "created_at"),
    createdBy: text(row, "created_by"),
    updatedAt: integer(row, "updated_at"),
  };
}

function earliest(...times: readonly (number | null)[]): number | null {
  const known = times.filter((time) => time !== null);
  return known.length === 0 ? null : Math.min(...known);
}
