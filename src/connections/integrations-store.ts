/** Integrations in D1. Owns the table; the secret's place in the vault as well. */
import { integer, integerOrNull, type Row, text, textOrNull } from "../platform/index.ts";
import type { Place, Vault } from "../vault/index.ts";
import type { FixedIntegration, Integration, IntegrationSettings } from "./integrations.ts";
import type { IntegrationCopy } from "./rpc.ts";

/** PERSISTED CONTRACT: places are part of what is sealed. */
export function integrationPlace(tenant: string, name: string, secretVersion: number): Place {
  return { purpose: "integration", tenant, record: name, field: "secret", version: secretVersion };
}

export type NewIntegration = Pick<
  Integration,
  "tenant" | "name" | "provider" | "kind" | "owner" | "fixed" | "settings" | "createdBy"
>;

/** False: the name is taken, perhaps by one that was deleted. */
export async function insertIntegration(
  db: D1Database,
  vault: Vault,
  made: NewIntegration,
  secret: string | null,
  now: number,
): Promise<boolean> {
  const { tenant, name, provider, kind, owner, fixed, settings, createdBy } = made;
  const sealed = secret === null ? null : await vault.seal(integrationPlace(tenant, name, 1), secret);
  const { meta } = await db
    .prepare(
      `INSERT OR IGNORE INTO integrations (tenant, name, provider, kind, owner, fixed, settings, secret, kid, version,
         secret_version, created_at, created_by, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 1, 1, ?10, ?11, ?10)`,
    )
    .bind(
      ...[tenant, name, provider, kind, owner, JSON.stringify(fixed), JSON.stringify(settings)],
      ...[sealed, sealed === null ? null : vault.kidOf(sealed), now, createdBy],
    )
    .run();
  return meta.changes === 1;
}

/** Those that were deleted, too: their names stay taken. */
export async function selectIntegration(
  db: D1Database,
  tenant: string,
  name: string,
): Promise<Integration | null> {
  const row = await db
    .prepare(`SELECT ${COLUMNS} FROM integrations WHERE tenant = ? AND name = ?`)
    .bind(tenant, name)
    .first<Row>();
  return row === null ? null : toIntegration(row);
}

export async function selectIntegrations(
  db: D1Database,
  tenant: string,
  after: string,
  limit: number,
): Promise<Integration[]> {
  const { results } = await db
    .prepare(
      `SELECT ${COLUMNS} FROM integrations WHERE tenant = ? AND name > ? AND deleted_at IS NULL ORDER BY name LIMIT ?`,
    )
    .bind(tenant, after, limit)
    .all<Row>();
  return results.map(toIntegration);
}

/** The integrations whose own connections a workflow may use because they name it. */
export async function selectIntegrationsTrusting(
  db: D1Database,
  tenant: string,
  workflow: string,
): Promise<string[]> {
  const { results } = await db
    .prepare(
      `SELECT name FROM integrations WHERE tenant = ? AND owner = 'tenant' AND deleted_at IS NULL
         AND EXISTS (SELECT 1 FROM json_each(settings, '$.workflows') WHERE value = ?) ORDER BY name`,
    )
    .bind(tenant, workflow)
    .all<Row>();
  return results.map((row) => text(row, "name"));
}

/**
 * Writes settings, and a secret if one is given. Null: it was changed meanwhile, or deleted.
 * @param secret missing: the old one stays
 */
export async function updateIntegration(
  db: D1Database,
  vault: Vault,
  before: Integration,
  change: { readonly settings: IntegrationSettings; readonly secret?: string },
  now: number,
): Promise<Integration | null> {
  const { tenant, name } = before;
  const version = before.version + 1;
  const { settings, secret } = change;
  const sealed =
    secret === undefined ? null : await vault.seal(integrationPlace(tenant, name, version), secret);
  const row = await db
    .prepare(
      `UPDATE integrations SET settings = ?3, version = ?4, updated_at = ?5, unsettled = 1,
         secret = coalesce(?6, secret), kid = coalesce(?7, kid), secret_version = CASE WHEN ?6 IS NULL THEN secret_version ELSE ?4 END
       WHERE tenant = ?1 AND name = ?2 AND version = ?8 AND deleted_at IS NULL RETURNING ${COLUMNS}`,
    )
    .bind(
      ...[tenant, name, JSON.stringify(settings), version, now],
      ...[sealed, sealed === null ? null : vault.kidOf(sealed), before.version],
    )
    .first<Row>();
  return row === null ? null : toIntegration(row);
}

/** The name stays taken; the secret goes. */
export async function markIntegrationDeleted(
  db: D1Database,
  tenant: string,
  name: string,
  now: number,
): Promise<boolean> {
  const { meta } = await db
    .prepare(
      `UPDATE integrations SET deleted_at = ?3, updated_at = ?3, secret = NULL, kid = NULL, version = version + 1,
         unsettled = 1
       WHERE tenant = ?1 AND name = ?2 AND deleted_at IS NULL`,
    )
    .bind(tenant, name, now)
    .run();
  return meta.changes === 1;
}

/** The integration with its secret in the clear, as a connection's object takes it. Throws where it does not open. */
export async function openIntegration(
  db: D1Database,
  vault: Vault,
  made: Integration,
): Promise<IntegrationCopy> {
  const { tenant, name, version, fixed, secretVersion } = made;
  const { workflows } = made.settings;
  const copy = {
    ...{ name, version, provider: fixed.provider, clientId: fixed.clientId },
    ...(workflows === undefined ? {} : { workflows }),
  };
  const row = await db
    .prepare("SELECT secret, secret_version FROM integrations WHERE tenant = ? AND name = ?")
    .bind(tenant, name)
    .first<Row>();
  const sealed = row === null ? null : textOrNull(row, "secret");
  if (row === null || integer(row, "secret_version") !== secretVersion)
    throw new Error("The integration was changed meanwhile.");
  if (sealed === null) return { ...copy, secret: null };
  const opened = await vault.open(integrationPlace(tenant, name, secretVersion), sealed);
  if (!opened.ok) throw new Error(`The secret of an integration does not open: ${opened.error.code}`);
  return { ...copy, secret: opened.value };
}

const COLUMNS =
  "tenant, name, provider, kind, owner, fixed, settings, version, secret_version, created_at, created_by, updated_at, deleted_at";

function toIntegration(row: Row): Integration {
  return {
    tenant: text(row, "tenant"),
    name: text(row, "name"),
    provider: text(row, "provider"),
    // The columns hold what was written by this file.
    kind: text(row, "kind") as Integration["kind"],
    owner: text(row, "owner") as Integration["owner"],
    fixed: JSON.parse(text(row, "fixed")) as FixedIntegration,
    settings: JSON.parse(text(row, "settings")) as IntegrationSettings,
    version: integer(row, "version"),
    secretVersion: integer(row, "secret_version"),
    createdAt: integer(row, "created_at"),
    createdBy: text(row, "created_by"),
    updatedAt: integer(row, "updated_at"),
    deletedAt: integerOrNull(row, "deleted_at"),
  };
}
