/** The events of a run, as a stream or page by page. */
import type { KeyIdentity } from "../access/index.ts";
import { ok, type Result, err } from "../platform/index.ts";
import { sightOf } from "./outputs.ts";
import { type Problem, problem } from "./problems.ts";
import { jsonResponse, UNSHARED } from "./replies.ts";
import { chooseType } from "./request-headers.ts";
import { type Call, type Route, route } from "./route.ts";
import { ask, mayStillRead, pageOf, viewerOf } from "./runs-of.ts";
import { eventsQuery } from "./request-schemas.ts";
import { EventPage } from "./answer-events.ts";
import { eventStream, STREAM_HEADERS, STREAM_TYPE } from "./sse.ts";

const DEFAULT_PAGE_EVENTS = 100;
const JSON_TYPE = "application/json";

interface Query {
  readonly after?: number | undefined;
  readonly limit?: number | undefined;
}

export const EVENT_ROUTES: readonly Route[] = [
  route({
    id: "getEvents",
    method: "GET",
    path: "/v1/runs/{run}/events",
    rule: "runs:read",
    tag: "Runs",
    summary: "Follow a run",
    description:
      "`Accept: text/event-stream` gives server-sent events: what was, then what comes, until the run has ended; go on after a break with `Last-Event-ID` or `after`. Everything else gives a page as JSON; with `Prefer: wait=N` it waits for the first new event, up to N seconds and 60 at most.",
    headers: ["Last-Event-ID", "Prefer"],
    query: eventsQuery,
    answers: [
      { status: 200, description: "A page of events.", schema: EventPage, headers: ["Preference-Applied"] },
      { status: 200, description: "The stream.", mediaType: STREAM_TYPE },
      {
        status: 204,
        description: "To a stream: the run has ended, and you have seen all. Do not come back.",
      },
    ],
    problems: ["invalid_header", "not_acceptable", "not_found", "run_deleted"],
    handle: ({ call, identity, query }) => {
      const type = chooseType(call.request.headers.get("accept"), [JSON_TYPE, STREAM_TYPE]);
      if (type === JSON_TYPE) return page(call, identity, query);
      if (type === STREAM_TYPE) return stream(call, identity, query);
      return Promise.resolve(
        problem("not_acceptable", `Events are given as ${JSON_TYPE} or ${STREAM_TYPE}.`),
      );
    },
  }),
];

async function page(
  call: Call,
  identity: KeyIdentity,
  { after = 0, limit = DEFAULT_PAGE_EVENTS }: Query,
): Promise<Response | Problem> {
  const { waitMs, headers } = pageOf(call);
  const options = { after, limit, waitMs };
  const events = await ask(call, identity, (run) => run.events(viewerOf(identity), options));
  if (!events.ok) return events.error;
  const { events: data, next, ended } = events.value;
  return jsonResponse({ data: data.map(sightOf(identity).event), next, ended }, 200, headers);
}

async function stream(call: Call, identity: KeyIdentity, query: Query): Promise<Response | Problem> {
  const { deps, requestId } = call;
  const last = lastEventId(call.request.headers);
  if (!last.ok) return last.error;
  const after = last.value ?? query.after ?? 0;
  const viewer = viewerOf(identity);
  const first = await ask(call, identity, (run) => run.events(viewer, { after, limit: DEFAULT_PAGE_EVENTS }));
  if (!first.ok) return first.error;
  // The one answer that ends an EventSource for good (HTML standard, section 9.2.3).
  if (first.value.ended && first.value.events.length === 0)
    return new Response(null, { status: 204, headers: UNSHARED });
  const run = call.params["run"] ?? "";
  const body = eventStream(
    {
      events: (options) => ask(call, identity, (stub) => stub.events(viewer, options)),
      show: sightOf(identity).event,
      mayGoOn: mayStillRead(call),
      failed: (error) => {
        deps.log.warn("api.stream_broken", { requestId, tenant: identity.tenant, run, error });
      },
    },
    first.value,
  );
  return new Response(body, { headers: STREAM_HEADERS });
}

/** It wins over `after`: a reader that comes back sends the address it first used, and where it stands now. */
function lastEventId(headers: Headers): Result<number | null, Problem> {
  const header = headers.get("last-event-id");
  if (header === null || header === "") return ok(null);
  if (/^\d{1,15}$/.test(header)) return ok(Number(header));
  const errors = [{ header: "Last-Event-ID", detail: "It is the `id` of an event: a whole number." }];
  return err(problem("invalid_header", "Last-Event-ID cannot be read.", { errors }));
}
