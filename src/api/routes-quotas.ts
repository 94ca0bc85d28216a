/** Quotas: what the tenant may have and do, and what the operator sets. What they are is the quotas room's. */
import { changeSettings, isStored, storedCounts, TENANT_EFFECTIVE_MS } from "../access/index.ts";
import { LEASE_MS, type Quota, QUOTA_NAMES, QUOTAS, quotasOf, type QuotaView } from "../quotas/index.ts";
import { QuotaList, TenantQuotas } from "./answer-quotas.ts";
import { jsonResponse, ofAccess } from "./replies.ts";
import { PutQuotas } from "./request-quotas.ts";
import { type Route, route } from "./route.ts";

export const QUOTA_ROUTES: readonly Route[] = [
  route({
    id: "listQuotas",
    method: "GET",
    path: "/v1/quotas",
    rule: "policy:read",
    tag: "Tenants",
    summary: "See what the tenant may have and do, and what of it is used",
    answers: [{ status: 200, description: "Every quota.", schema: QuotaList }],
    handle: async ({ call: { deps }, identity: { tenant } }) => {
      const [view, stored] = await Promise.all([
        deps.quotas.view(tenant),
        storedCounts(deps.access.db, tenant, deps.now()),
      ]);
      return jsonResponse({
        data: QUOTA_NAMES.map((name) => ({
          ...{ name, about: QUOTAS[name].about, limit: view.quotas[name], default: QUOTAS[name].default },
          ...useOf(name, view, stored),
        })),
      });
    },
  }),
  route({
    id: "putQuotas",
    method: "PUT",
    path: "/v1/tenants/{tenant}/quotas",
    rule: "root",
    tag: "Tenants",
    summary: "Set what a tenant may have and do",
    description:
      "What a tenant has is never taken away: with a lower quota nothing more is admitted until there is room.",
    body: { schema: PutQuotas, required: true, example: { quotas: { active_runs: 500 } } },
    answers: [{ status: 200, description: "What holds, and from when.", schema: TenantQuotas }],
    problems: ["not_found"],
    handle: async ({ call, identity, body: { quotas } }) => {
      const tenant = call.params["tenant"] ?? "";
      const now = call.deps.now();
      const changed = await changeSettings(call.deps.access, identity, tenant, { quotas }, now);
      if (!changed.ok) return ofAccess(changed.error);
      return jsonResponse({
        ...{ tenant, quotas: changed.value.quotas, effective: quotasOf(changed.value.quotas) },
        effective_by: now + TENANT_EFFECTIVE_MS + LEASE_MS,
      });
    },
  }),
];

function useOf(
  name: Quota,
  { rates, quotas, activeRuns }: QuotaView,
  stored: Readonly<Record<string, number>>,
): { readonly used: number | null; readonly full_in_s: number | null } {
  if (isStored(name)) return { used: stored[name] ?? null, full_in_s: null };
  const rate = (kind: keyof QuotaView["rates"], most: number) => ({
    used: Math.max(0, most - rates[kind].left),
    full_in_s: Math.ceil(rates[kind].fullInMs / 1_000),
  });
  switch (name) {
    case "requests_per_second":
    case "request_burst":
      return rate("requests", quotas.request_burst);
    case "starts_per_minute":
      return rate("starts", quotas.starts_per_minute);
    case "connect_sessions_per_minute":
      return rate("sessions", quotas.connect_sessions_per_minute);
    case "hook_deliveries_per_minute":
      return rate("deliveries", quotas.hook_deliveries_per_minute);
    case "active_runs":
      return { used: activeRuns, full_in_s: null };
  }
}
