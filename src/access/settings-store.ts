/** Settings of tenants in D1. The only SQL about them. */
import { type AuditEntry, type Row, textOrNull } from "../platform/index.ts";
import { auditStatementsIf } from "./audit-store.ts";

/** An object of JSON, opaque here: whoever goes by it says what it may hold, and reads it with care. */
export type Setting = Readonly<Record<string, unknown>>;

/** What differs from the defaults of the deployment; null: nothing. */
export interface TenantSettings {
  readonly quotas: Setting | null;
  readonly retention: Setting | null;
}

export const NO_SETTINGS: TenantSettings = { quotas: null, retention: null };

/** Those of a tenant that has none, or that there is not, are NO_SETTINGS. */
export async function selectSettings(db: D1Database, tenant: string): Promise<TenantSettings> {
  const query = "SELECT quotas, retention FROM tenant_settings WHERE tenant = ?";
  const row = await db.prepare(query).bind(tenant).first<Row>();
  return row === null
    ? NO_SETTINGS
    : { quotas: settingIn(row, "quotas"), retention: settingIn(row, "retention") };
}

/** Writes audit and settings in one transaction, each part that is given as a whole. False, and nothing written: no such tenant. */
export async function upsertSettings(
  db: D1Database,
  tenant: string,
  change: Partial<TenantSettings>,
  audit: AuditEntry,
): Promise<boolean> {
  const isTenant = "EXISTS (SELECT 1 FROM tenants WHERE id = ?)";
  const parts = (["quotas", "retention"] as const).filter((part) => change[part] !== undefined);
  const values = parts.map((part) => JSON.stringify(change[part] ?? null));
  const results = await db.batch([
    ...auditStatementsIf(db, audit, isTenant, [tenant]),
    db
      .prepare(
        `INSERT INTO tenant_settings (tenant, ${parts.map((part) => `${part}, `).join("")}updated_at, updated_by)
         SELECT ?, ${parts.map(() => "nullif(?, 'null'), ").join("")}?, ? WHERE ${isTenant}
         ON CONFLICT (tenant) DO UPDATE SET ${parts.map((part) => `${part} = excluded.${part}, `).join("")}
           updated_at = excluded.updated_at, updated_by = excluded.updated_by`,
      )
      .bind(tenant, ...values, audit.at, audit.actor, tenant),
  ]);
  return results.at(-1)?.meta.changes === 1;
}

function settingIn(row: Row, name: string): Setting | null {
  const text = textOrNull(row, name);
  if (text === null) return null;
  const value: unknown = JSON.parse(text);
  if (typeof value !== "object" || value === null) throw new TypeError(`${name} should be a JSON object.`);
  return value as Setting;
}
