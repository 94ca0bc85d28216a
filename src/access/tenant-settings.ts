/** What the operator has set for a tenant: read on the way of requests and runs, shown, changed. */
import { type AuditEntry, canonicalJson, err, inTime, ok, type Result } from "../platform/index.ts";
import { writeAudit } from "./audit-store.ts";
import type { AccessDeps } from "./deps.ts";
import { actorOf, type Identity } from "./identity.ts";
import { type AccessRefusal, refuse } from "./refusals.ts";
import { NO_SETTINGS, selectSettings, type TenantSettings, upsertSettings } from "./settings-store.ts";

/** A database that takes longer is away. */
const PATIENCE_MS = 5_000;

/** What is needed to know a tenant's settings. */
export type SettingsDeps = Pick<AccessDeps, "db" | "settings" | "log">;

/**
 * The settings of a tenant, at most TENANT_EFFECTIVE_MS old. While the database is away, the last that this isolate knew; those of
 * no tenant in particular if it knew none: that an operator's wish cannot be read just now stops nobody. Never throws.
 */
export async function settingsOf(
  { db, settings, log }: SettingsDeps,
  tenant: string,
  now: number,
): Promise<TenantSettings> {
  const cached = settings.get(tenant, now);
  if (cached !== undefined) return cached;
  try {
    const known = await inTime(async () => selectSettings(db, tenant), PATIENCE_MS);
    settings.put(tenant, known, now);
    return known;
  } catch (error) {
    const last = settings.last(tenant, now);
    log.error("access.settings_unavailable", { tenant, lastKnown: last !== undefined, error });
    return last ?? NO_SETTINGS;
  }
}

/**
 * Puts each part that is given in the place of the one before; null: the defaults again. Root only. It is in the audit, whole,
 * before it takes effect; in force everywhere TENANT_EFFECTIVE_MS later. What a part may hold is judged before.
 */
export async function changeSettings(
  deps: AccessDeps,
  identity: Identity,
  tenant: string,
  change: Partial<TenantSettings>,
  now: number,
): Promise<Result<TenantSettings, AccessRefusal>> {
  const actor = actorOf(identity);
  const entry = { at: now, tenant, actor, action: "tenant.settings", target: tenant } as const;
  if (identity.kind !== "root") {
    const refused: AuditEntry = { ...entry, tenant: identity.tenant, outcome: "refused", detail: {} };
    await writeAudit(deps.db, refused);
    return err(refuse("forbidden", "Only the root key can do this."));
  }
  const detail = Object.fromEntries(
    Object.entries(change).map(([part, value]) => [part, value === null ? null : canonicalJson(value)]),
  );
  if (!(await upsertSettings(deps.db, tenant, change, { ...entry, outcome: "granted", detail })))
    return err(refuse("tenant_unknown", "There is no such tenant."));
  const settings = await selectSettings(deps.db, tenant);
  deps.settings.put(tenant, settings, now);
  return ok(settings);
}
