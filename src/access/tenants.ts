/** Tenants, for the operator. */
import { type AuditEntry, err, isTenantId, ok, type Result } from "../platform/index.ts";
import { auditStatement } from "./audit-store.ts";
import type { AccessDeps } from "./deps.ts";
import { actorOf, type Identity } from "./identity.ts";
import { refuse, type AccessRefusal } from "./refusals.ts";
import { selectSettings, type TenantSettings } from "./settings-store.ts";
import { ANYWHERE, type Place } from "./places.ts";
import { insertTenant, selectTenant, selectTenants, type Tenant } from "./tenants-store.ts";

export const MAX_TENANTS_PER_PAGE = 100;

/** Makes a tenant, in a place for good. Root only. The id can never be used again, even if the tenant is given up. */
export async function createTenant(
  deps: AccessDeps,
  identity: Identity,
  id: string,
  now: number,
  place = ANYWHERE,
): Promise<Result<Tenant, AccessRefusal>> {
  const actor = actorOf(identity);
  const entry = { at: now, tenant: null, actor, action: "tenant.create", detail: {} } as const;
  if (identity.kind !== "root") {
    const refused: AuditEntry = { ...entry, tenant: identity.tenant, target: "", outcome: "refused" };
    await auditStatement(deps.db, refused).run();
    return err(rootOnly());
  }
  if (!isTenantId(id)) {
    return err(
      refuse(
        "invalid",
        "A tenant id has 1 to 48 of a-z, 0-9, _ and -, and begins with a letter or digit.",
        "/id",
      ),
    );
  }
  const tenant: Tenant = { id, createdAt: now, createdBy: actor, place };
  const made = await insertTenant(deps.db, tenant, {
    ...{ ...entry, tenant: id, target: id, outcome: "granted" as const },
    detail: isSomewhere(place) ? { ...place } : {},
  });
  return made ? ok(tenant) : err(refuse("tenant_exists", "There is such a tenant, or was one.", "/id"));
}

export interface TenantPage {
  readonly tenants: readonly Tenant[];
  /** Pass it as `after` to get the next page; null: this was the last. */
  readonly next: string | null;
}

/** Tenants in order of their ids. Root only. `limit` is cut to MAX_TENANTS_PER_PAGE. */
export async function listTenants(
  deps: AccessDeps,
  identity: Identity,
  page: { readonly after?: string | undefined; readonly limit: number },
): Promise<Result<TenantPage, AccessRefusal>> {
  if (identity.kind !== "root") return err(rootOnly());
  const limit = Math.min(Math.max(page.limit, 1), MAX_TENANTS_PER_PAGE);
  const tenants = await selectTenants(deps.db, page.after ?? "", limit);
  return ok({ tenants, next: tenants.length === limit ? (tenants.at(-1)?.id ?? null) : null });
}

/** A tenant and its settings, as they stand in the database. Root only. */
export async function getTenant(
  { db }: AccessDeps,
  identity: Identity,
  id: string,
): Promise<Result<{ readonly tenant: Tenant; readonly settings: TenantSettings }, AccessRefusal>> {
  if (identity.kind !== "root") return err(rootOnly());
  const [tenant, settings] = await Promise.all([selectTenant(db, id), selectSettings(db, id)]);
  return tenant === null
    ? err(refuse("tenant_unknown", "There is no such tenant."))
    : ok({ tenant, settings });
}

function isSomewhere({ jurisdiction, locationHint }: Place): boolean {
  return jurisdiction !== null || locationHint !== null;
}

function rootOnly(): AccessRefusal {
  return refuse("forbidden", "Only the root key can do this.");
}
