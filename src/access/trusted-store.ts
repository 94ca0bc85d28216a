/** Trusted issuers in D1. The only SQL about them. */
import { type AuditEntry, integer, type Row, text, textOrNull } from "../platform/index.ts";
import { auditStatementIf } from "./audit-store.ts";
import type { KeyIdentity, Policy } from "./identity.ts";
import type { TrustDraft, TrustedIssuer, TrustRule } from "./trusted-issuer.ts";

/** Of one tenant. */
const MAX_ISSUERS = 100;

/** Writes audit and issuer in one transaction; false, and nothing written: name or issuer are taken, or there are too many. */
export async function insertTrusted(
  db: D1Database,
  trusted: TrustedIssuer,
  audit: AuditEntry,
): Promise<boolean> {
  const { id, tenant, name, issuer, jwksUrl, maxAgeS, rules, policies, version, createdAt, createdBy } =
    trusted;
  const isNew = `NOT EXISTS (SELECT 1 FROM trusted_issuers WHERE tenant = ? AND (name = ? OR issuer = ?))
    AND (SELECT count(*) FROM trusted_issuers WHERE tenant = ?) < ${MAX_ISSUERS}`;
  const bindings = [tenant, name, issuer, tenant];
  const [, inserted] = await db.batch([
    auditStatementIf(db, audit, isNew, bindings),
    db
      .prepare(
        `INSERT INTO trusted_issuers (id, tenant, name, issuer, jwks_url, max_age_s, rules, policies, version, created_at,
           created_by, updated_at) SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? WHERE ${isNew}`,
      )
      .bind(
        ...[id, tenant, name, issuer, jwksUrl, maxAgeS, JSON.stringify(rules), JSON.stringify(policies)],
        ...[version, createdAt, createdBy, createdAt, ...bindings],
      ),
  ]);
  return inserted?.meta.changes === 1;
}

/** False: it was changed meanwhile, it is gone, or another one has the issuer. */
export async function updateTrusted(
  db: D1Database,
  before: TrustedIssuer,
  change: TrustDraft,
  now: number,
  audit: AuditEntry,
): Promise<boolean> {
  const { tenant, name, id, version } = before;
  const { issuer, jwksUrl, maxAgeS, rules, policies } = change;
  const stands = `EXISTS (SELECT 1 FROM trusted_issuers WHERE id = ? AND version = ?)
    AND NOT EXISTS (SELECT 1 FROM trusted_issuers WHERE tenant = ? AND issuer = ? AND name <> ?)`;
  const bindings = [id, version, tenant, issuer, name];
  const [, updated] = await db.batch([
    auditStatementIf(db, audit, stands, bindings),
    db
      .prepare(
        `UPDATE trusted_issuers SET issuer = ?, jwks_url = ?, max_age_s = ?, rules = ?, policies = ?, version = version + 1,
           updated_at = ? WHERE id = ? AND ${stands}`,
      )
      .bind(
        ...[issuer, jwksUrl, maxAgeS, JSON.stringify(rules), JSON.stringify(policies), now, id],
        ...bindings,
      ),
  ]);
  return updated?.meta.changes === 1;
}

export async function deleteTrusted(
  db: D1Database,
  trusted: TrustedIssuer,
  audit: AuditEntry,
): Promise<void> {
  const stands = "EXISTS (SELECT 1 FROM trusted_issuers WHERE id = ?)";
  await db.batch([
    auditStatementIf(db, audit, stands, [trusted.id]),
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
    .prepare(`SELECT * FROM trusted_issuers WHERE tenant = ? AND ${column} = ?`)
    .bind(tenant, value)
    .first<Row>();
  return row === null ? null : toTrusted(row);
}

/** All of a tenant. */
export async function selectAllTrusted(db: D1Database, tenant: string): Promise<TrustedIssuer[]> {
  const { results } = await db
    .prepare(`SELECT * FROM trusted_issuers WHERE tenant = ? ORDER BY name LIMIT ${MAX_ISSUERS}`)
    .bind(tenant)
    .all<Row>();
  return results.map(toTrusted);
}

/** Notes who came with a token, unless that was noted after `unlessAfter`. */
export async function upsertCaller(
  db: D1Database,
  { keyId, tenant, token }: KeyIdentity,
  now: number,
  unlessAfter: number,
): Promise<void> {
  await db
    .prepare(
      `INSERT INTO trusted_callers (id, tenant, issuer_id, subject, first_at, last_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)
       ON CONFLICT (id) DO UPDATE SET last_at = ?5 WHERE last_at <= ?6`,
    )
    .bind(keyId, tenant, token?.issuerId ?? "", token?.subject ?? "", now, unlessAfter)
    .run();
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

/** Holds for as long as whoever asks may: the key is neither revoked nor expired, the issuer is trusted as it was. */
export function standingOfAsker(
  { keyId, token }: KeyIdentity,
  now: number,
): { readonly condition: string; readonly bindings: readonly (string | number)[] } {
  return token === undefined
    ? {
        condition:
          "EXISTS (SELECT 1 FROM api_keys WHERE id = ? AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?))",
        bindings: [keyId, now],
      }
    : {
        condition: "EXISTS (SELECT 1 FROM trusted_issuers WHERE id = ? AND version = ?)",
        bindings: [token.issuerId, token.version],
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
    createdAt: integer(row, "created_at"),
    createdBy: text(row, "created_by"),
    updatedAt: integer(row, "updated_at"),
  };
}
