/** Numbers of the deployment for its monitoring. For the operator. */
import * as z from "zod";
import { getTenant } from "../access/index.ts";
import { CONTENT_TYPES, encodeMetrics, formatFor } from "../observe/index.ts";
import { problemAt } from "./problems.ts";
import { ofAccess } from "./replies.ts";
import { type Route, route } from "./route.ts";
import { nameSchema } from "./schema.ts";

const MAX_PARTS = 1_000;
const NUMBER = /^\d{1,4}$/;

export const METRICS_ROUTES: readonly Route[] = [
  route({
    id: "readMetrics",
    method: "GET",
    path: "/v1/metrics",
    rule: "root",
    tag: "About",
    summary: "Read the numbers of all tenants' runs, as Prometheus reads them",
    description:
      "In the Prometheus text format 0.0.4, or OpenMetrics 1.0 for who asks for `application/openmetrics-text`. Of at most 100 tenants: of one by `tenant`, or of those whose ids fall into one of `parts` equal parts, counted from 0.",
    query: () =>
      z.strictObject({
        tenant: nameSchema().exactOptional(),
        part: z.string().regex(NUMBER).exactOptional().describe("Which part; 0 if it is missing."),
        parts: z.string().regex(NUMBER).exactOptional().describe("Number of parts; 1 if it is missing."),
      }),
    answers: [{ status: 200, description: "The numbers.", mediaType: "text/plain" }],
    problems: ["not_found", "unavailable"],
    handle: async ({ call, identity, query }) => {
      const { tenant } = query;
      const part = Number(query.part ?? 0);
      const parts = Number(query.parts ?? 1);
      if (tenant !== undefined && (query.part !== undefined || query.parts !== undefined))
        return problemAt("invalid_request", { parameter: "tenant" }, "Either one tenant, or a part of all.");
      if (parts < 1 || parts > MAX_PARTS)
        return problemAt("invalid_request", { parameter: "parts" }, `From 1 to ${MAX_PARTS}.`);
      if (part >= parts)
        return problemAt("invalid_request", { parameter: "part" }, "From 0 to one less than `parts`.");
      // Else a name that is mistyped would be a directory that is away, and wake somebody.
      if (tenant !== undefined) {
        const found = await getTenant(call.deps.access, identity, tenant);
        if (!found.ok) return ofAccess(found.error);
      }
      const families = await call.deps.metrics.families(tenant === undefined ? { part, parts } : { tenant });
      const format = formatFor(call.request.headers.get("accept"));
      return new Response(encodeMetrics(families, format), {
        headers: { "content-type": CONTENT_TYPES[format], vary: "accept" },
      });
    },
  }),
];
