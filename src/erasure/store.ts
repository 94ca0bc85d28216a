/** Erasures in D1. The only SQL about them. */
import { auditStatements, forgetAuditUser } from "../access/index.ts";
import { integer, integerOrNull, type Row, text, textOrNull } from "../platform/index.ts";
import { BEGINNING, type Erasure, type ErasureReport, NOTHING_YET, type Progress } from "./progress.ts";

/** Users of one tenant whose data are being erased, that are known at a time. */
export const MAX_RUNNING = 1_000;

/** With its entry in the audit, which names nobody. Of two for one user only one is made: the other one is answered. */
export async function insertErasure(
  db: D1Database,
  {
    id,
    tenant,
    user,
    by,
  }: { readonly id: string; readonly tenant: string; readonly user: string; readonly by: string },
  now: number,
): Promise<Erasure | "too_many"> {
  const audit = {
    at: now,
    tenant,
    actor: by,
    action: "user.erase",
    target: id,
    outcome: "granted",
    detail: {},
  } as const;
  const known = await selectRunning(db, tenant, user);
  if (known !== null) return known;
  const count = await db
    .prepare("SELECT count(*) AS n FROM erasures WHERE tenant = ? AND user IS NOT NULL")
    .bind(tenant)
    .first<Row>();
  if (count !== null && integer(count, "n") >= MAX_RUNNING) return "too_many";
  await db.batch([
    ...auditStatements(db, audit),
    db
      .prepare(
        `INSERT INTO erasures (id, tenant, user, status, progress, report, begun_at, begun_by)
         VALUES (?, ?, ?, 'running', ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
      )
      .bind(id, tenant, user, JSON.stringify(BEGINNING), JSON.stringify(NOTHING_YET), now, by),
  ]);
  const made = await selectRunning(db, tenant, user);
  if (made === null) throw new Error("The erasure is not there.");
  return made;
}

async function selectRunning(db: D1Database, tenant: string, user: string): Promise<Erasure | null> {
  const row = await db
    .prepare("SELECT * FROM erasures WHERE tenant = ? AND user = ?")
    .bind(tenant, user)
    .first<Row>();
  return row === null ? null : toErasure(row);
}

export async function selectErasure(db: D1Database, tenant: string, id: string): Promise<Erasure | null> {
  const row = await db
    .prepare("SELECT * FROM erasures WHERE tenant = ? AND id = ?")
    .bind(tenant, id)
    .first<Row>();
  return row === null ? null : toErasure(row);
}

/** Those of a tenant whose data are being erased. */
export async function selectUsers(db: D1Database, tenant: string): Promise<string[]> {
  const { results } = await db
    .prepare("SELECT user FROM erasures WHERE tenant = ? AND user IS NOT NULL LIMIT ?")
    .bind(tenant, MAX_RUNNING)
    .all<Row>();
  return results.map((row) => text(row, "user"));
}

/**
 * One that nobody walks: of the tenant whose turn is longest ago the one that was looked at least lately, so that however many one
 * tenant erases, those of another wait for one of them each. It is ours until then.
 */
export async function takeErasure(
  db: D1Database,
  now: number,
  until: number,
  which: { readonly id: string } | null = null,
): Promise<Erasure | null> {
  const row = await db
    .prepare(
      `UPDATE erasures SET lease_until = ?2, looked_at = ?1 WHERE id = (
         SELECT id FROM erasures JOIN (
           SELECT tenant AS whose, max(looked_at) AS turn FROM erasures WHERE user IS NOT NULL GROUP BY tenant
         ) ON whose = tenant
         WHERE user IS NOT NULL AND lease_until <= ?1 AND (?3 IS NULL OR id = ?3)
         ORDER BY turn NULLS FIRST, looked_at NULLS FIRST, id LIMIT 1) RETURNING *`,
    )
    .bind(now, until, which?.id ?? null)
    .first<Row>();
  return row === null ? null : toErasure(row);
}

/** How far it came. */
export async function updateErasure(
  db: D1Database,
  { id, progress, report, cleanSince }: Erasure,
  leaseUntil: number,
): Promise<void> {
  await db
    .prepare(
      "UPDATE erasures SET progress = ?, report = ?, clean_since = ?, lease_until = ? WHERE id = ? AND user IS NOT NULL",
    )
    .bind(
      JSON.stringify(progress satisfies Progress),
      JSON.stringify(report satisfies ErasureReport),
      cleanSince,
      leaseUntil,
      id,
    )
    .run();
}

/** It is done, and nothing here and in the audit tells whose it was: all at once, or nothing of it. */
export async function finishErasure(db: D1Database, erasure: Erasure, now: number): Promise<void> {
  const { id, tenant, user, begunBy: actor, report } = erasure;
  const detail = {
    runs: report.runs,
    connections: report.connections,
    not_told: report.provider_not_told.length,
  };
  await db.batch([
    ...auditStatements(db, {
      at: now,
      tenant,
      actor,
      action: "user.erased",
      target: id,
      outcome: "granted",
      detail,
    }),
    ...(user === null ? [] : [forgetAuditUser(db, tenant, user)]),
    db
      .prepare("UPDATE erasures SET status = 'done', user = NULL, done_at = ?, lease_until = 0 WHERE id = ?")
      .bind(now, id),
  ]);
}

function toErasure(row: Row): Erasure {
  return {
    ...{ id: text(row, "id"), tenant: text(row, "tenant"), user: textOrNull(row, "user") },
    // CHECK of the column, and what this file writes.
    status: text(row, "status") as Erasure["status"],
    progress: JSON.parse(text(row, "progress")) as Progress,
    report: JSON.parse(text(row, "report")) as ErasureReport,
    ...{ begunAt: integer(row, "begun_at"), begunBy: text(row, "begun_by") },
    ...{ cleanSince: integerOrNull(row, "clean_since"), doneAt: integerOrNull(row, "done_at") },
  };
}
