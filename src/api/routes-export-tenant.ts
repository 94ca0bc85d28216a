/**
 * The export of a tenant, page by page: what the database has of it, then the list of its runs. Each answer is bounded, says where
 * the next one begins, and can be asked for again.
 *
 * Not for the root key: who keeps the deployment sees no tenant's data. Not for keys that are bound to a user.
 */
import { EXPORT_TABLES, type ExportKey, selectExportRows } from "../access/index.ts";
import type { Place } from "../directory/index.ts";
import { base64url, canonicalJson, crc32, fromBase64 } from "../platform/index.ts";
import { NDJSON_TYPE, ofExport } from "./answer-export.ts";
import { problemAt } from "./problems.ts";
import { exportQuery } from "./request-export.ts";
import { type Call, type Route, route } from "./route.ts";

/** PERSISTED CONTRACT. docs/data.md; a reader that does not know the number does not read on. */
const TENANT_FORMAT = "showcaller.tenant/1";
/** UTF-16 units of one answer, but for the query that fills it. */
const PAGE_CHARS = 2_097_152;
/** Queries of one answer. */
const MAX_QUERIES = 40;
const RUNS_AT_ONCE = 100;
const VERSION = 1;

/** What comes next: rows of a table, then runs. */
type At =
  | { readonly of: "table"; readonly table: number; readonly after: ExportKey | null }
  | { readonly of: "runs"; readonly after: Place | null };

export const TENANT_EXPORT_ROUTES: readonly Route[] = [
  route({
    id: "exportTenant",
    method: "GET",
    path: "/v1/export",
    rule: "tenant:export",
    tag: "Tenants",
    summary: "Take out what there is of the tenant",
    description:
      "Lines of JSON, a part of them in each answer; the last line of each has the cursor of the next, or `null`: that was all. No secret, no hash, nothing sealed is in it. docs/data.md tells the format; `npm run export` fetches all of it.",
    query: exportQuery,
    answers: [{ status: 200, description: "A part of the export.", mediaType: NDJSON_TYPE }],
    handle: async ({ call, identity: { tenant }, query: { cursor } }) => {
      const at = cursor === undefined ? FIRST : readCursor(tenant, cursor);
      if (at === null)
        return problemAt("invalid_request", { parameter: "cursor" }, "This is not a cursor of this export.");
      const lines = await pageFrom(call, tenant, at);
      return new Response(lines.map((line) => `${JSON.stringify(line)}\n`).join(""), {
        headers: ofExport(`${tenant}.ndjson`),
      });
    },
  }),
];

const FIRST: At = { of: "table", table: 0, after: null };

async function pageFrom({ deps }: Call, tenant: string, begin: At): Promise<readonly object[]> {
  const lines: object[] = [];
  if (begin === FIRST) lines.push({ format: TENANT_FORMAT, type: "export", tenant, exported_at: deps.now() });
  let at: At | null = begin;
  let chars = 0;
  for (let queries = 0; at !== null && queries < MAX_QUERIES && chars < PAGE_CHARS; queries++) {
    const { found, next }: Part = await partAt(deps, tenant, at);
    for (const line of found) chars += JSON.stringify(line).length;
    lines.push(...found);
    at = next;
  }
  lines.push({ type: "page", next_cursor: at === null ? null : writeCursor(tenant, at) });
  return lines;
}

interface Part {
  readonly found: readonly object[];
  readonly next: At | null;
}

async function partAt(deps: Call["deps"], tenant: string, at: At): Promise<Part> {
  if (at.of === "runs") {
    const page = await deps.directory.page(tenant, { filter: {}, after: at.after, limit: RUNS_AT_ONCE });
    const found = page.runs.map((data) => ({ type: "run", data }));
    return { found, next: page.next === null ? null : { of: "runs", after: page.next } };
  }
  const spec = EXPORT_TABLES[at.table];
  if (spec === undefined) return { found: [], next: { of: "runs", after: null } };
  const { rows, next } = await selectExportRows(deps.access.db, spec, tenant, at.after);
  return {
    found: rows.map((data) => ({ type: spec.type, data })),
    next: { of: "table", table: next === null ? at.table + 1 : at.table, after: next },
  };
}

/** As other cursors it gives nobody access: the tenant comes from the key. Its checksum finds those that were edited. */
function writeCursor(tenant: string, at: At): string {
  const place =
    at.of === "runs"
      ? ["runs", at.after?.startedAt ?? null, at.after?.id ?? null]
      : [EXPORT_TABLES[at.table]?.table ?? "", ...(at.after ?? [])];
  const text = JSON.stringify([VERSION, place, crc32(canonicalJson([tenant, place]))]);
  return base64url(new TextEncoder().encode(text));
}

/** Null: it is none of this tenant's export. */
function readCursor(tenant: string, cursor: string): At | null {
  const at = placeIn(cursor);
  // One place has one spelling.
  return at !== null && writeCursor(tenant, at) === cursor ? at : null;
}

function placeIn(cursor: string): At | null {
  const bytes = fromBase64(cursor);
  if (bytes === null) return null;
  try {
    const [version, place] = JSON.parse(new TextDecoder().decode(bytes)) as [unknown, unknown];
    if (version !== VERSION || !Array.isArray(place)) return null;
    const [name, ...after] = place as unknown[];
    if (name === "runs") {
      const [startedAt, id] = after;
      if (startedAt === null && id === null) return { of: "runs", after: null };
      if (typeof startedAt !== "number" || typeof id !== "string") return null;
      return { of: "runs", after: { startedAt, id } };
    }
    const index = name === "" ? EXPORT_TABLES.length : EXPORT_TABLES.findIndex(({ table }) => table === name);
    const isKey = after.every((part) => typeof part === "string" || typeof part === "number");
    const length = EXPORT_TABLES[index]?.key.length ?? 0;
    if (index < 0 || !isKey || (after.length !== 0 && after.length !== length)) return null;
    return { of: "table", table: index, after: after.length === 0 ? null : after };
  } catch {
    return null;
  }
}
