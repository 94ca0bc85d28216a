/**
 * The audit of access in D1: append-only, enforced by triggers. An entry is written in the same transaction as what it
 * tells of, and before it.
 */
import type { AuditEntry, AuditSink } from "../platform/index.ts";

const INSERT = `INSERT INTO access_audit (at, tenant, actor, action, target, outcome, detail)`;

/** An audit that other rooms write through. */
export function createAccessAudit(db: D1Database): AuditSink {
  return {
    async write(entry) {
      await auditStatement(db, entry).run();
    },
  };
}

/** For a batch with the statement that the entry tells of. */
export function auditStatement(db: D1Database, entry: AuditEntry): D1PreparedStatement {
  return db.prepare(`${INSERT} VALUES (?, ?, ?, ?, ?, ?, ?)`).bind(...values(entry));
}

/** The same, but only if a condition on the database holds: the one under which the statement beside it takes effect. */
export function auditStatementIf(
  db: D1Database,
  entry: AuditEntry,
  condition: string,
  bindings: readonly unknown[],
): D1PreparedStatement {
  return db
    .prepare(`${INSERT} SELECT ?, ?, ?, ?, ?, ?, ? WHERE ${condition}`)
    .bind(...values(entry), ...bindings);
}

function values(entry: AuditEntry): unknown[] {
  const { at, tenant, actor, action, target, outcome, detail } = entry;
  return [at, tenant, actor, action, target, outcome, JSON.stringify(detail)];
}
