/** The audit of a tenant. What stands in it is decided where it happens. */
import {
  type AuditFilter,
  type ChainHead,
  type ExportPage,
  getTenant,
  type Identity,
  listAudit,
} from "../access/index.ts";
import { AuditExport, AuditList, AuditVerification } from "./answer-audit.ts";
import { readAuditCursor, writeAuditCursor } from "./audit-cursor.ts";
import { EXAMPLES } from "./examples.ts";
import { type Problem, problemAt } from "./problems.ts";
import { jsonResponse, ofAccess } from "./replies.ts";
import { auditQuery, exportOfQuery, exportQuery, VerifyAudit, verifyOfQuery } from "./request-schemas.ts";
import { type AnswerSpec, type Call, type Route, route } from "./route.ts";

const PAGE = 100;
const LINKS_VERIFIED = 50;
const EXPORT_TYPE = "application/x-ndjson";

const EXPORTS =
  "What no link covers yet is sealed first. Users are told as pseudonyms: what was exported tells nothing of who was forgotten. At most 20 links; go on with `after`. An answer without its line `end` was cut off.";
const VERIFIES =
  "From the first link on, or from where the step before came to. Finds what was changed, deleted, put in, put elsewhere; what was cut off at the end, and a database that was put back, only with the `head` of an earlier export.";
const EXPORTED: readonly AnswerSpec[] = [
  { status: 200, description: "Lines of JSON.", schema: AuditExport, mediaType: EXPORT_TYPE },
];
const VERIFIED: readonly AnswerSpec[] = [
  { status: 200, description: "What was found.", schema: AuditVerification },
];

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
  route({
    id: "exportAudit",
    method: "GET",
    path: "/v1/audit/export",
    rule: "audit:read",
    tag: "Audit",
    summary: "Export the audit with its chain",
    description: EXPORTS,
    query: exportQuery,
    answers: EXPORTED,
    handle: ({ call, identity, query: { after = 0 } }) => exported(call, identity.tenant, after),
  }),
  route({
    id: "verifyAudit",
    method: "POST",
    path: "/v1/audit/verify",
    rule: "audit:read",
    tag: "Audit",
    summary: "See whether the audit is as it was sealed",
    description: VERIFIES,
    body: { schema: VerifyAudit, required: false, example: EXAMPLES.verifyAudit },
    answers: VERIFIED,
    handle: ({ call, identity, body }) => verified(call, identity.tenant, body),
  }),
  route({
    id: "exportAuditOf",
    method: "GET",
    path: "/v1/deployment/audit/export",
    rule: "root",
    tag: "Audit",
    summary: "Export the audit of a tenant, or the deployment's own, with its chain",
    description: EXPORTS,
    query: exportOfQuery,
    answers: EXPORTED,
    problems: ["not_found"],
    handle: async ({ call, identity, query: { tenant = null, after = 0 } }) =>
      (await unknown(call, identity, tenant)) ?? (await exported(call, tenant, after)),
  }),
  route({
    id: "verifyAuditOf",
    method: "POST",
    path: "/v1/deployment/audit/verify",
    rule: "root",
    tag: "Audit",
    summary: "See whether the audit of a tenant, or the deployment's own, is as it was sealed",
    description: VERIFIES,
    query: verifyOfQuery,
    body: { schema: VerifyAudit, required: false, example: EXAMPLES.verifyAudit },
    answers: VERIFIED,
    problems: ["not_found"],
    handle: async ({ call, identity, query: { tenant = null }, body }) =>
      (await unknown(call, identity, tenant)) ?? (await verified(call, tenant, body)),
  }),
];

/** A name that is mistyped has no chain, and nothing in it would be found broken. */
async function unknown({ deps }: Call, identity: Identity, tenant: string | null): Promise<Problem | null> {
  if (tenant === null) return null;
  const found = await getTenant(deps.access, identity, tenant);
  return found.ok ? null : ofAccess(found.error);
}

async function exported({ deps }: Call, tenant: string | null, after: number): Promise<Response> {
  const page = await deps.audit.export(tenant, after);
  return new Response(linesOf(page), {
    headers: { "content-type": EXPORT_TYPE, "cache-control": "no-store" },
  });
}

/** One link at a time, when the reader wants it. A failure of the platform cuts the answer off before its end. */
function linesOf({ links }: ExportPage): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const each = links[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const next = await each.next();
        if (next.done === true) controller.close();
        else controller.enqueue(encoder.encode(next.value.map((line) => `${line}\n`).join("")));
      },
    },
    { highWaterMark: 0 },
  );
}

async function verified(
  { deps }: Call,
  tenant: string | null,
  {
    after = 0,
    limit = LINKS_VERIFIED,
    head,
  }: { readonly after?: number; readonly limit?: number; readonly head?: ChainHead },
): Promise<Response> {
  const { verifiedTo, dropped, ...found } = await deps.audit.verify(tenant, {
    ...{ after, most: limit },
    ...(head === undefined ? {} : { head }),
  });
  return jsonResponse({ verified_to: verifiedTo, no_longer_kept: dropped, ...found });
}
