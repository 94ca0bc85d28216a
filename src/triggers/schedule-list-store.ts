/**
 * The lines of schedules in D1: for lists, and for the sweeper. The only SQL about them. Only the object of a schedule writes its
 * line, before there is a schedule in it: so none is missing, and one too many is taken away when its object is asked.
 */
import { integer, quotaSql, type Row, text } from "../platform/index.ts";
import type { ScheduleState } from "./schedule-state.ts";
import type { Timing } from "./schedule-timing.ts";

/** What a schedule has said of itself last. */
export interface ListedSchedule {
  readonly tenant: string;
  readonly name: string;
  readonly workflow: string;
  readonly timing: Timing;
  readonly paused: ScheduleState["paused"];
  /** As the audit writes it. */
  readonly maker: string;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** False: the tenant has as many as it may have, and this one is not among them. */
export async function upsertLine(db: D1Database, line: ListedSchedule): Promise<boolean> {
  const { tenant, name, workflow, timing, paused, maker, createdAt, updatedAt } = line;
  const { meta } = await db
    .prepare(
      `INSERT INTO schedules (tenant, name, workflow, timing, paused, maker, created_at, updated_at, poked_at)
       SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8
       WHERE EXISTS (SELECT 1 FROM schedules WHERE tenant = ?1 AND name = ?2)
         OR (SELECT count(*) FROM schedules WHERE tenant = ?1) < ${quotaSql("schedules", "?1")}
       ON CONFLICT (tenant, name) DO UPDATE SET workflow = excluded.workflow, timing = excluded.timing,
         paused = excluded.paused, maker = excluded.maker, created_at = excluded.created_at,
         updated_at = excluded.updated_at`,
    )
    .bind(
      ...[tenant, name, workflow, JSON.stringify(timing)],
      ...[paused === null ? null : JSON.stringify(paused), maker, createdAt, updatedAt],
    )
    .run();
  return meta.changes > 0;
}

export async function deleteLine(db: D1Database, tenant: string, name: string): Promise<void> {
  await db.prepare("DELETE FROM schedules WHERE tenant = ? AND name = ?").bind(tenant, name).run();
}

/** By their names. */
export async function selectLines(
  db: D1Database,
  tenant: string,
  after: string,
  limit: number,
): Promise<ListedSchedule[]> {
  const { results } = await db
    .prepare("SELECT * FROM schedules WHERE tenant = ? AND name > ? ORDER BY name LIMIT ?")
    .bind(tenant, after, limit)
    .all<Row>();
  return results.map(toLine);
}

/** Those that were asked least lately, and are marked as asked now. */
export async function takeLines(
  db: D1Database,
  { before, now, limit }: { readonly before: number; readonly now: number; readonly limit: number },
): Promise<Pick<ListedSchedule, "tenant" | "name">[]> {
  const { results } = await db
    .prepare(
      `UPDATE schedules SET poked_at = ?1 WHERE (tenant, name) IN
         (SELECT tenant, name FROM schedules WHERE poked_at < ?2 ORDER BY poked_at LIMIT ?3)
       RETURNING tenant, name`,
    )
    .bind(now, before, limit)
    .all<Row>();
  return results.map((row) => ({ tenant: text(row, "tenant"), name: text(row, "name") }));
}

function toLine(row: Row): ListedSchedule {
  const paused = row["paused"];
  return {
    ...{ tenant: text(row, "tenant"), name: text(row, "name"), workflow: text(row, "workflow") },
    // Written above.
    timing: JSON.parse(text(row, "timing")) as Timing,
    paused: typeof paused === "string" ? (JSON.parse(paused) as ScheduleState["paused"]) : null,
    ...{ maker: text(row, "maker") },
    ...{ createdAt: integer(row, "created_at"), updatedAt: integer(row, "updated_at") },
  };
}
