/** Cloud roles in D1. The only SQL about them. */
import { integer, type Row, text } from "../platform/index.ts";
import type { CloudRole } from "./role.ts";
import { readSubject, workflowText } from "./subjects.ts";

/** Roles of one tenant: a list is a page. */
export const MAX_ROLES = 500;

export type RoleChange = Omit<CloudRole, "version" | "createdAt" | "createdBy" | "id">;

/** False: the name is taken, the audience is not to be had, or there are too many: who asks looks why. */
export async function insertRole(db: D1Database, role: CloudRole): Promise<boolean> {
  const { tenant, name, id, version, createdAt, createdBy } = role;
  const { meta } = await db
    .prepare(
      `INSERT INTO cloud_roles (tenant, name, id, provider, audience, settings, workflows, inline, per_run, version,
         created_at, created_by, updated_at)
       SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?11
       WHERE NOT EXISTS (SELECT 1 FROM cloud_roles WHERE tenant = ?1 AND name = ?2)
         AND (SELECT count(*) FROM cloud_roles WHERE tenant = ?1) < ${MAX_ROLES} AND ${AUDIENCE_FREE}`,
    )
    .bind(tenant, name, id, ...columnsOf(role), version, createdAt, createdBy)
    .run();
  return meta.changes === 1;
}

/** Null: it was changed meanwhile, it is gone, or the audience is not to be had. */
export async function updateRole(
  db: D1Database,
  before: CloudRole,
  change: RoleChange,
): Promise<CloudRole | null> {
  const { tenant, name, id, version } = before;
  const row = await db
    .prepare(
      `UPDATE cloud_roles SET provider = ?4, audience = ?5, settings = ?6, workflows = ?7, inline = ?8, per_run = ?9,
         version = version + 1, updated_at = ?11
       WHERE tenant = ?1 AND name = ?2 AND id = ?3 AND version = ?10 AND ${AUDIENCE_FREE} RETURNING *`,
    )
    .bind(tenant, name, id, ...columnsOf(change), version, change.updatedAt)
    .first<Row>();
  return row === null ? null : toRole(row);
}

/** This very role: another one that has its name by now stays. */
export async function deleteRole(
  db: D1Database,
  { tenant, name, id }: Pick<CloudRole, "tenant" | "name" | "id">,
): Promise<boolean> {
  const { meta } = await db
    .prepare("DELETE FROM cloud_roles WHERE tenant = ? AND name = ? AND id = ?")
    .bind(tenant, name, id)
    .run();
  return meta.changes === 1;
}

export async function selectRole(db: D1Database, tenant: string, name: string): Promise<CloudRole | null> {
  const row = await db
    .prepare("SELECT * FROM cloud_roles WHERE tenant = ? AND name = ?")
    .bind(tenant, name)
    .first<Row>();
  return row === null ? null : toRole(row);
}

export async function selectRoles(
  db: D1Database,
  tenant: string,
  after: string,
  limit: number,
): Promise<CloudRole[]> {
  const { results } = await db
    .prepare("SELECT * FROM cloud_roles WHERE tenant = ? AND name > ? ORDER BY name LIMIT ?")
    .bind(tenant, after, limit)
    .all<Row>();
  return results.map(toRole);
}

/** The roles that trust a workflow by its subject. */
export async function selectRolesTrusting(
  db: D1Database,
  tenant: string,
  subject: string,
): Promise<string[]> {
  const { results } = await db
    .prepare(
      `SELECT name FROM cloud_roles WHERE tenant = ?
         AND EXISTS (SELECT 1 FROM json_each(workflows) WHERE value = ?) ORDER BY name`,
    )
    .bind(tenant, subject)
    .all<Row>();
  return results.map((row) => text(row, "name"));
}

/** Who has an audience already, where no other role may have it beside that one. */
export async function selectAudienceHolder(
  db: D1Database,
  { tenant, name, audience, target }: Pick<CloudRole, "tenant" | "name" | "audience" | "target">,
): Promise<string | null> {
  const { provider } = target;
  const row = await db
    .prepare(`SELECT name FROM cloud_roles AS other WHERE ${HOLDS}`)
    .bind(tenant, name, null, provider, audience)
    .first<Row>();
  return row === null ? null : text(row, "name");
}

// Roles of one cloud may share what that cloud demands of all; nobody else may have it, and what is a service's own is of one role.
const HOLDS = `other.tenant = ?1 AND other.name <> ?2 AND other.audience = ?5
  AND NOT (other.provider = ?4 AND ?4 IN ('aws', 'gcp', 'azure', 'anthropic', 'openrouter'))`;
const AUDIENCE_FREE = `NOT EXISTS (SELECT 1 FROM cloud_roles AS other WHERE ${HOLDS})`;

function columnsOf(role: Omit<RoleChange, "tenant" | "name">): readonly (string | number)[] {
  const { target, audience, hosts, claims, workflows, inline, perRun } = role;
  return [
    ...[target.provider, audience, JSON.stringify({ target, hosts, claims })],
    ...[JSON.stringify(workflows.map(workflowText)), inline ? 1 : 0, perRun ? 1 : 0],
  ];
}

function toRole(row: Row): CloudRole {
  // The columns hold what was written by this file.
  const settings = JSON.parse(text(row, "settings")) as Pick<CloudRole, "target" | "hosts" | "claims">;
  const workflows = JSON.parse(text(row, "workflows")) as readonly string[];
  return {
    ...settings,
    tenant: text(row, "tenant"),
    name: text(row, "name"),
    id: text(row, "id"),
    version: integer(row, "version"),
    audience: text(row, "audience"),
    workflows: workflows.flatMap((one) => readSubject(one) ?? []),
    inline: integer(row, "inline") === 1,
    perRun: integer(row, "per_run") === 1,
    createdAt: integer(row, "created_at"),
    createdBy: text(row, "created_by"),
    updatedAt: integer(row, "updated_at"),
  };
}
