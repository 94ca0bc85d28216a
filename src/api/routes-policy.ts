/** The tenant's policy. What a policy means is decided in the access room. */
import { getPolicy, type PolicyRecord, putPolicy } from "../access/index.ts";
import { ChangedPolicy, TenantPolicy } from "./answer-policy.ts";
import { EXAMPLES } from "./examples.ts";
import { jsonResponse, ofAccess } from "./replies.ts";
import { Policy } from "./request-schemas.ts";
import { type Route, route } from "./route.ts";

export const POLICY_ROUTES: readonly Route[] = [
  route({
    id: "getPolicy",
    method: "GET",
    path: "/v1/policy",
    rule: "policy:read",
    tag: "Policy",
    summary: "Look at the tenant's policy",
    answers: [{ status: 200, description: "The policy as it stands.", schema: TenantPolicy }],
    handle: async ({ call, identity }) => {
      const record = await getPolicy(call.deps.access, identity);
      return record.ok ? jsonResponse(viewPolicy(record.value)) : ofAccess(record.error);
    },
  }),
  route({
    id: "putPolicy",
    method: "PUT",
    path: "/v1/policy",
    rule: "policy:write",
    tag: "Policy",
    summary: "Put a policy in the place of the tenant's",
    description:
      "It restricts every key and every run of the tenant, also runs that go on: a request that it does not allow is not sent from `effective_by` on.",
    body: { schema: Policy, required: true, example: EXAMPLES.policy },
    answers: [
      { status: 200, description: "The policy, and from when it is in force.", schema: ChangedPolicy },
    ],
    problems: ["maker_ended"],
    handle: async ({ call, identity, body }) => {
      const changed = await putPolicy(call.deps.access, identity, body, call.deps.now());
      if (!changed.ok) return ofAccess(changed.error);
      const { record, effectiveBy } = changed.value;
      return jsonResponse({ ...viewPolicy(record), effective_by: effectiveBy });
    },
  }),
];

function viewPolicy(record: PolicyRecord | null): Readonly<Record<string, unknown>> {
  if (record === null) return { policy: null, updated_at: null, updated_by: null };
  return { policy: record.policy, updated_at: record.updatedAt, updated_by: record.updatedBy };
}
