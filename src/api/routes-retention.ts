/** For how long the data of a tenant is kept. What follows from it, and when, is told in docs/data.md. */
import {
  changeSettings,
  type Retention,
  retentionIn,
  type Setting,
  TENANT_EFFECTIVE_MS,
} from "../access/index.ts";
import { ChangedRetention } from "./answer-tenants.ts";
import { EXAMPLES } from "./examples.ts";
import { jsonResponse, ofAccess } from "./replies.ts";
import { PutRetention } from "./request-retention.ts";
import { type Route, route } from "./route.ts";

export const RETENTION_ROUTES: readonly Route[] = [
  route({
    id: "putRetention",
    method: "PUT",
    path: "/v1/tenants/{tenant}/retention",
    rule: "root",
    tag: "Tenants",
    summary: "Say for how long the data of a tenant is kept",
    description:
      "Put in the place of what was said before: what is missing is a default again. It also holds for what has ended already and is still there.",
    body: { schema: PutRetention, required: true, example: EXAMPLES.retention },
    answers: [{ status: 200, description: "What is in force.", schema: ChangedRetention }],
    problems: ["not_found"],
    handle: async ({ call, identity, body }) => {
      const now = call.deps.now();
      const retention: Setting = Object.fromEntries(
        Object.entries({
          runsDays: body.runs_days,
          usesDays: body.uses_days,
          auditDays: body.audit_days,
        }).filter(([, value]) => value !== undefined && value !== null),
      );
      const change = { retention: Object.keys(retention).length === 0 ? null : retention };
      const changed = await changeSettings(
        call.deps.access,
        identity,
        call.params["tenant"] ?? "",
        change,
        now,
      );
      if (!changed.ok) return ofAccess(changed.error);
      const effective = { effective_by: now + TENANT_EFFECTIVE_MS };
      return jsonResponse({ ...viewRetention(changed.value.retention), ...effective });
    },
  }),
];

/** With the defaults filled in. */
export function viewRetention(setting: Setting | null): Readonly<Record<string, number | null>> {
  const { runsDays, usesDays, auditDays }: Retention = retentionIn(setting);
  return { runs_days: runsDays, uses_days: usesDays, audit_days: auditDays };
}
