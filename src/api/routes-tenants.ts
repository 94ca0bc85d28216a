/** Tenants, for the operator. */
import {
  createTenant,
  getTenant,
  listTenants,
  MAX_TENANTS_PER_PAGE,
  type Tenant as TenantRecord,
  type TenantSettings,
} from "../access/index.ts";
import { quotasOf } from "../quotas/index.ts";
import { viewRetention } from "./routes-retention.ts";
import { Tenant, TenantList, TenantWithSettings } from "./answer-tenants.ts";
import { EXAMPLES } from "./examples.ts";
import { type Problem, problemAt } from "./problems.ts";
import { jsonResponse, ofAccess } from "./replies.ts";
import { CreateTenant, pageQuery } from "./request-schemas.ts";
import { type Route, route } from "./route.ts";

export const TENANT_ROUTES: readonly Route[] = [
  route({
    id: "createTenant",
    method: "POST",
    path: "/v1/tenants",
    rule: "root",
    tag: "Tenants",
    summary: "Make a tenant",
    body: { schema: CreateTenant, required: true, example: EXAMPLES.tenant },
    answers: [{ status: 201, description: "The tenant.", schema: Tenant }],
    problems: ["tenant_exists"],
    handle: async ({ call, identity, body }) => {
      const { id, jurisdiction = null, location_hint: locationHint = null } = body;
      const { deps } = call;
      if (jurisdiction !== null && !deps.hasJurisdiction(jurisdiction)) return noJurisdiction(jurisdiction);
      const place = { jurisdiction, locationHint };
      const tenant = await createTenant(deps.access, identity, id, deps.now(), place);
      return tenant.ok ? jsonResponse(viewTenant(tenant.value), 201) : ofAccess(tenant.error);
    },
  }),
  route({
    id: "listTenants",
    method: "GET",
    path: "/v1/tenants",
    rule: "root",
    tag: "Tenants",
    summary: "List the tenants",
    query: pageQuery,
    answers: [{ status: 200, description: "A page of tenants, by their ids.", schema: TenantList }],
    handle: async ({ call, identity, query: { cursor, limit = MAX_TENANTS_PER_PAGE } }) => {
      const page = await listTenants(call.deps.access, identity, { after: cursor, limit });
      if (!page.ok) return ofAccess(page.error);
      return jsonResponse({ data: page.value.tenants.map(viewTenant), next_cursor: page.value.next });
    },
  }),
  route({
    id: "getTenant",
    method: "GET",
    path: "/v1/tenants/{tenant}",
    rule: "root",
    tag: "Tenants",
    summary: "Look at a tenant and its settings",
    answers: [{ status: 200, description: "The tenant.", schema: TenantWithSettings }],
    problems: ["not_found"],
    handle: async ({ call, identity }) => {
      const found = await getTenant(call.deps.access, identity, call.params["tenant"] ?? "");
      return found.ok
        ? jsonResponse(viewSettings(found.value.tenant, found.value.settings))
        : ofAccess(found.error);
    },
  }),
];

function noJurisdiction(jurisdiction: string): Problem {
  const detail = `This platform has no jurisdiction ${jurisdiction}: workerd, and so \`wrangler dev\`, has none.`;
  return problemAt("invalid_request", { pointer: "/jurisdiction" }, detail);
}

function viewTenant({ id, createdAt, createdBy, place }: TenantRecord): Readonly<Record<string, unknown>> {
  return {
    ...{ id, created_at: createdAt, created_by: createdBy },
    ...{ jurisdiction: place.jurisdiction, location_hint: place.locationHint },
  };
}

function viewSettings(
  tenant: TenantRecord,
  { quotas, retention }: TenantSettings,
): Readonly<Record<string, unknown>> {
  return {
    ...viewTenant(tenant),
    ...{ quotas, retention },
    quotas_in_force: quotasOf(quotas),
    retention_in_force: viewRetention(retention),
  };
}
