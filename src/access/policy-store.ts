/** Tenants' policies in D1. The only SQL about them. */
import { type AuditEntry, integer, type Row, text } from "../platform/index.ts";
import { auditStatementsIf } from "./audit-store.ts";
import type { KeyIdentity, Policy } from "./identity.ts";
import { standingOfAsker } from "./trusted-store.ts";

export interface PolicyRecord {
  readonly policy: Policy;
  /** Milliseconds since 1970. */
  readonly updatedAt: number;
  /** Who wrote it, as `actorOf` writes it. */
  readonly updatedBy: string;
}

/** Null: the tenant has none. */
export async function selectPolicy(db: D1Database, tenant: string): Promise<PolicyRecord | null> {
  const query = "SELECT policy, updated_at, updated_by FROM tenant_policies WHERE tenant = ?";
  const row = await db.prepare(query).bind(tenant).first<Row>();
  return row === null ? null : toPolicyRecord(row);
}

/**
 * Writes audit and policy in one transaction, if whoever asks may still do so at that moment. False:
 * it is, and nothing was written.
 */
export async function upsertPolicy(
  db: D1Database,
  tenant: string,
  record: PolicyRecord,
  asker: KeyIdentity,
  audit: AuditEntry,
): Promise<boolean> {
  const { policy, updatedAt, updatedBy } = record;
  const { condition, bindings } = standingOfAsker(asker, updatedAt);
  const results = await db.batch([
    ...auditStatementsIf(db, audit, condition, bindings),
    db
      .prepare(
        `INSERT INTO tenant_policies (tenant, policy, updated_at, updated_by) SELECT ?, ?, ?, ? WHERE ${condition}
         ON CONFLICT (tenant) DO UPDATE SET
           policy = excluded.policy, updated_at = excluded.updated_at, updated_by = excluded.updated_by`,
      )
      .bind(tenant, JSON.stringify(policy), updatedAt, updatedBy, ...bindings),
  ]);
  return results.at(-1)?.meta.changes === 1;
}

function toPolicyRecord(row: Row): PolicyRecord {
  const policy: unknown = JSON.parse(text(row, "policy"));
  if (typeof policy !== "object" || policy === null) throw new TypeError("A policy should be a JSON object.");
  // Read anew, and fully, wherever it is judged: an unknown field there denies.
  return {
    policy: policy as Policy,
    updatedAt: integer(row, "updated_at"),
    updatedBy: text(row, "updated_by"),
  };
}
