/** Finding runs: the list, and counts over time. */
import type { KeyIdentity } from "../access/index.ts";
import type { Filter } from "../directory/index.ts";
import { err, ok, type Result } from "../platform/index.ts";
import { Relisted, RunCounts, RunList } from "./answer-directory.ts";
import { EXAMPLES } from "./examples.ts";
import { readCursor, writeCursor } from "./list-cursor.ts";
import { type Problem, problem, problemAt } from "./problems.ts";
import { jsonResponse, UNSHARED } from "./replies.ts";
import {
  BUCKETS,
  countsQuery,
  listQuery,
  MAX_BUCKETS,
  MAX_RUNS_PER_PAGE,
  RelistRuns,
} from "./request-schemas.ts";
import { type Call, type Route, route } from "./route.ts";

const DAY_MS = 24 * 60 * 60_000;
const RELISTED_AT_ONCE = 20;

export const DIRECTORY_ROUTES: readonly Route[] = [
  route({
    id: "listRuns",
    method: "GET",
    path: "/v1/runs",
    rule: "runs:read",
    also: "A key that is bound to a user sees that user's runs.",
    tag: "Runs",
    summary: "List runs, the newest first",
    description:
      "By start, then by id, both backwards. A run that starts while you page never moves a page. A page looks at 1,000 runs at most, so with a filter that few runs fit it can be short, or empty: there are more as long as there is a `next_cursor`.",
    query: listQuery,
    answers: [{ status: 200, description: "A page of runs.", schema: RunList }],
    problems: ["user_wider"],
    handle: async ({ call, identity, query: { cursor, limit = MAX_RUNS_PER_PAGE, ...named } }) => {
      const filter = filterOf(identity, named);
      if (!filter.ok) return filter.error;
      const asked = { tenant: identity.tenant, onlyUser: identity.user, filter: filter.value };
      const after = cursor === undefined ? null : readCursor(asked, cursor);
      if (cursor !== undefined && after === null)
        return problemAt("invalid_request", { parameter: "cursor" }, "This is not a cursor of this list.");
      const page = await call.deps.directory.page(identity.tenant, { filter: filter.value, after, limit });
      const next = page.next === null ? null : writeCursor(asked, page.next);
      return jsonResponse({ data: page.runs, next_cursor: next }, 200, UNSHARED);
    },
  }),
  route({
    id: "countRuns",
    method: "GET",
    path: "/v1/runs/counts",
    rule: "runs:read",
    also: "A key that is bound to a user counts that user's runs.",
    tag: "Runs",
    summary: "Count runs over time, by status",
    description:
      "By when they started and how they stand now. Buckets in which no run started are left out. Without `to`: until now; without `from`: the 24 h before that.",
    query: countsQuery,
    answers: [{ status: 200, description: "The buckets, oldest first.", schema: RunCounts }],
    handle: ({ call, identity, query }) => count(call, identity, query),
  }),
  route({
    id: "relistRuns",
    method: "POST",
    path: "/v1/directory/relist",
    rule: "root",
    tag: "Runs",
    summary: "Let runs report themselves to the directory, after it was lost",
    description:
      "Takes ids of run objects, as the platform's own API lists them; a Worker cannot list them. Sending the same ones again does no harm.",
    body: { schema: RelistRuns, required: true, example: EXAMPLES.relist },
    answers: [
      { status: 200, description: "How many of them hold a run, which is listed now.", schema: Relisted },
    ],
    handle: ({ call, body }) => relist(call, body.objects),
  }),
];

interface Named {
  readonly [name: string]: string | number | undefined;
}

/** What a list is narrowed by: what was asked for, and what the key may see. */
function filterOf(identity: KeyIdentity, named: Named): Result<Filter, Problem> {
  const { user } = named;
  if (identity.user !== null && user !== undefined && user !== identity.user)
    return err(problemAt("user_wider", { parameter: "user" }, "The API key is bound to another user."));
  const fields: Readonly<Record<keyof Filter, string | number | null | undefined>> = {
    status: named["status"],
    workflow: named["workflow"],
    version: named["version"],
    user: identity.user ?? user,
    tag: named["tag"],
    parent: named["parent"],
    failureCode: named["failure_code"],
    failureText: named["failure_text"],
    startedFrom: named["started_from"],
    startedTo: named["started_to"],
    endedFrom: named["ended_from"],
    endedTo: named["ended_to"],
  };
  return ok(Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Filter);
}

interface Span {
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  readonly bucket?: keyof typeof BUCKETS | undefined;
}

async function count(
  { deps }: Call,
  { tenant, user }: KeyIdentity,
  { to = deps.now() + 1, from = Math.max(0, to - DAY_MS), bucket = "1h" }: Span,
): Promise<Response | Problem> {
  const bucketMs = BUCKETS[bucket];
  if (from >= to) return problemAt("invalid_request", { parameter: "from" }, "It must be before `to`.");
  if ((to - from) / bucketMs > MAX_BUCKETS) {
    const detail = `There are at most ${MAX_BUCKETS} buckets. Ask for longer buckets, or a shorter span.`;
    return problemAt("invalid_request", { parameter: "bucket" }, detail);
  }
  const buckets = await deps.directory.counts({ tenant, onlyUser: user, from, to, bucketMs });
  if (buckets === null)
    return problemAt(
      "invalid_request",
      { parameter: "from" },
      "There is too much to count. Ask for a shorter span.",
    );
  const data = buckets.map(({ at, counts }) => ({
    at,
    total: Object.values(counts).reduce((sum, n) => sum + n, 0),
    counts,
  }));
  return jsonResponse({ data, from, to, bucket }, 200, UNSHARED);
}

async function relist({ deps }: Call, objects: readonly string[]): Promise<Response | Problem> {
  let listed = 0;
  for (let i = 0; i < objects.length; i += RELISTED_AT_ONCE) {
    const asked = await Promise.allSettled(objects.slice(i, i + RELISTED_AT_ONCE).map(deps.relist));
    for (const [j, one] of asked.entries()) {
      if (one.status === "fulfilled") listed += one.value ? 1 : 0;
      else if (one.reason instanceof TypeError) {
        const detail = "This is not the id of a run object.";
        const errors = [{ pointer: `/objects/${i + j}`, detail }];
        return problem("invalid_request", detail, { errors });
      } else throw one.reason;
    }
  }
  return jsonResponse({ listed, without_run: objects.length - listed });
}
