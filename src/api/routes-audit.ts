/** The audit of a tenant. What stands in it is decided where it happens. */
import { type AuditFilter, listAudit } from "../access/index.ts";
import { AuditList } from "./answer-audit.ts";
import { readAuditCursor, writeAuditCursor } from "./audit-cursor.ts";
import { problemAt } from "./problems.ts";
import { jsonResponse } from "./replies.ts";
import { auditQuery } from "./request-schemas.ts";
import { type Route, route } from "./route.ts";

const PAGE = 100;

export const AUDIT_ROUTES: readonly Route[] = [
  route({
    id: "listAudit",
    method: "GET",
    path: "/v1/audit",
    rule: "audit:read",
    tag: "Audit",
    summary: "Read the audit: what was granted and refused, and every use of a credential",
    description:
      "Newest first. Uses come a while after they happened: with the end of their run, or when it waits. They are kept for 90 days.",
    query: auditQuery,
    answers: [{ status: 200, description: "A page of entries.", schema: AuditList }],
    handle: async ({ call, identity, query: { cursor, limit = PAGE, ...named } }) => {
      const { tenant } = identity;
      const filter: AuditFilter = Object.fromEntries(
        Object.entries(named).filter(([, value]) => value !== undefined),
      );
      const after = cursor === undefined ? null : readAuditCursor(tenant, filter, cursor);
      if (cursor !== undefined && after === null)
        return problemAt("invalid_request", { parameter: "cursor" }, "This is not a cursor of this list.");
      const page = await listAudit(call.deps.access.db, tenant, filter, {
        limit,
        ...(after === null ? {} : { after }),
      });
      const next = page.next === null ? null : writeAuditCursor(tenant, filter, page.next);
      return jsonResponse({ data: page.entries, next_cursor: next });
    },
  }),
];
