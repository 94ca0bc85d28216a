/**
 * The audit of access in D1: append-only, enforced by triggers. An entry is written in the same transaction as what it
 * tells of, and before it. Whom it names is kept apart (audit-users-store.ts).
 */
import type { AuditEntry, AuditSink } from "../platform/index.ts";
import { maskedEntry, personStatements, unmarked } from "./audit-users-store.ts";

const INSERT = `INSERT INTO access_audit (at, tenant, actor, action, target, outcome, detail)`;

/** An audit that other rooms write through. */
export function createAccessAudit(db: D1Database): AuditSink {
  return { write: async (entry) => writeAudit(db, entry) };
}

/** An entry alone, in one transaction with the pseudonyms of those that it names. */
export async function writeAudit(db: D1Database, entry: AuditEntry): Promise<void> {
  await db.batch(auditStatements(db, entry));
}

/** For a batch with the statement that the entry tells of. One statement, or two: those that it names come first. */
export function auditStatements(db: D1Database, entry: AuditEntry): D1PreparedStatement[] {
  return auditStatementsIf(db, entry, "true", []);
}

/** The same, but only if a condition on the database holds: the one under which the statement beside it takes effect. */
export function auditStatementsIf(
  db: D1Database,
  entry: AuditEntry,
  condition: string,
  bindings: readonly unknown[],
): D1PreparedStatement[] {
  const { at, tenant, action, target, outcome } = entry;
  const { people, ...masked } = maskedEntry(entry);
  const actor = unmarked(tenant, people, masked.actor);
  const detail = unmarked(tenant, people, masked.detail);
  return [
    ...personStatements(db, entry, people, condition, bindings),
    db
      .prepare(`${INSERT} SELECT ?, ?, ${actor.sql}, ?, ?, ?, ${detail.sql} WHERE ${condition}`)
      .bind(at, tenant, ...actor.values, action, target, outcome, ...detail.values, ...bindings),
  ];
}

/**
 * An entry for each row of a query whose first column is its target.
 * @param query and its values, by number: `?1` to `?<n>`
 */
export function auditStatementsOf(
  db: D1Database,
  entry: Omit<AuditEntry, "target">,
  query: string,
  bindings: readonly unknown[],
): D1PreparedStatement[] {
  const { at, tenant, action, outcome } = entry;
  const { people, ...masked } = maskedEntry(entry);
  const actor = unmarked(tenant, people, masked.actor);
  const detail = unmarked(tenant, people, masked.detail);
  // What has no number goes on after the highest before it.
  return [
    ...personStatements(db, entry, people, "true", []),
    db
      .prepare(
        `${INSERT} WITH told (target) AS (${query})
         SELECT ?, ?, ${actor.sql}, ?, target, ?, ${detail.sql} FROM told`,
      )
      .bind(...bindings, at, tenant, ...actor.values, action, outcome, ...detail.values),
  ];
}
