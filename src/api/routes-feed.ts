/** The feed: how runs of a tenant change, as a stream or page by page. */
import type { KeyIdentity } from "../access/index.ts";
import type { Changes } from "../directory/index.ts";
import { err, ok, type Result } from "../platform/index.ts";
import { RunChanges } from "./answer-directory.ts";
import { readPosition, writePosition } from "./list-cursor.ts";
import { type Problem, problem, problemAt } from "./problems.ts";
import { jsonResponse } from "./replies.ts";
import { chooseType } from "./request-headers.ts";
import { feedQuery, MAX_RUNS_PER_PAGE } from "./request-schemas.ts";
import { type Call, type Route, route } from "./route.ts";
import { mayStillRead, pageOf } from "./runs-of.ts";
import { KEEP_ALIVE_MS, MAX_BATCHES, STREAM_HEADERS, STREAM_TYPE, streamOf } from "./sse.ts";

const JSON_TYPE = "application/json";

interface Query {
  readonly after?: string | undefined;
  readonly limit?: number | undefined;
}

export const FEED_ROUTES: readonly Route[] = [
  route({
    id: "followRuns",
    method: "GET",
    path: "/v1/runs/feed",
    rule: "runs:read",
    also: "A key that is bound to a user follows that user's runs.",
    tag: "Runs",
    summary: "Follow all runs as they change",
    description:
      "`Accept: text/event-stream` gives server-sent events, `run` for each run that has changed; go on after a break with `Last-Event-ID` or `after`. Everything else gives a page as JSON; with `Prefer: wait=N` it waits for the first change. Without a place to begin it begins now. Changes are kept for a while only: `reset` says that some were missed, and that the list has to be read again.",
    headers: ["Last-Event-ID", "Prefer"],
    query: feedQuery,
    answers: [
      { status: 200, description: "A page of changes.", schema: RunChanges, headers: ["Preference-Applied"] },
      { status: 200, description: "The stream.", mediaType: STREAM_TYPE },
    ],
    problems: ["invalid_header", "not_acceptable"],
    handle: async ({ call, identity, query }) => {
      const type = chooseType(call.request.headers.get("accept"), [JSON_TYPE, STREAM_TYPE]);
      if (type === null)
        return problem("not_acceptable", `Changes are given as ${JSON_TYPE} or ${STREAM_TYPE}.`);
      const after = placeOf(call, query);
      if (!after.ok) return after.error;
      const limit = query.limit ?? MAX_RUNS_PER_PAGE;
      return type === JSON_TYPE
        ? page(call, identity, after.value, limit)
        : stream(call, identity, after.value, limit);
    },
  }),
];

/** `Last-Event-ID` wins over `after`: a reader that comes back sends the address it first used, and where it stands now. */
function placeOf({ request }: Call, { after }: Query): Result<readonly number[] | null, Problem> {
  const header = request.headers.get("last-event-id") ?? "";
  if (header === "" && after === undefined) return ok(null);
  const place = readPosition(header === "" ? (after ?? "") : header);
  if (place !== null) return ok(place);
  if (header === "")
    return err(problemAt("invalid_request", { parameter: "after" }, "This is not a place in the feed."));
  const errors = [{ header: "Last-Event-ID", detail: "It is the `id` of an event of this feed." }];
  return err(problem("invalid_header", "Last-Event-ID cannot be read.", { errors }));
}

async function page(
  call: Call,
  { tenant, user }: KeyIdentity,
  after: readonly number[] | null,
  limit: number,
): Promise<Response> {
  const { waitMs, headers } = pageOf(call);
  const { changes, next, gap } = await call.deps.directory.changes(tenant, {
    onlyUser: user,
    after,
    limit,
    waitMs,
  });
  return jsonResponse({ data: changes, next: writePosition(next), reset: gap }, 200, headers);
}

async function stream(
  call: Call,
  { tenant, user }: KeyIdentity,
  begin: readonly number[] | null,
  limit: number,
): Promise<Response> {
  const { deps, requestId } = call;
  const changes = async (after: readonly number[] | null, waitMs: number): Promise<Changes> =>
    deps.directory.changes(tenant, { onlyUser: user, after, limit, waitMs });
  const body = streamOf({
    first: await changes(begin, 0),
    // Each batch may ask every shard twice.
    more: Math.ceil(MAX_BATCHES / (2 * deps.directory.shards)),
    mayGoOn: mayStillRead(call),
    next: async ({ next: after }) => changes(after, KEEP_ALIVE_MS),
    text: formatChanges,
    isLast: () => false,
    failed: (error) => {
      deps.log.warn("api.stream_broken", { requestId, tenant, error });
    },
  });
  return new Response(body, { headers: STREAM_HEADERS });
}

/**
 * The place stands behind the last change of a batch: a reader that is cut off in the middle sees some twice, and none not
 * at all. It stands alone where there is none, which readers remember and do not show (HTML standard, section 9.2.6).
 */
function formatChanges({ changes, next, gap }: Changes): string {
  const frames = [
    ...(gap ? ["event: reset\ndata: {}\n"] : []),
    ...changes.map((change) => `event: run\ndata: ${JSON.stringify(change)}\n`),
  ];
  const last = frames.pop() ?? "";
  return [...frames, `id: ${writePosition(next)}\n${last}`].map((frame) => `${frame}\n`).join("");
}
