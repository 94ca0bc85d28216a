/** Events of a tenant: what happened outside, by which runs start and go on. Not the events of a run (`routes-events.ts`). */
import { type KeyIdentity, userOfNewRun } from "../access/index.ts";
import { formatTraceparent, isEventName, parseTraceparent, randomId } from "../platform/index.ts";
import { EventOutcome, EventOutcomes, PostedEvent } from "./answer-posted-events.ts";
import { EXAMPLES } from "./examples.ts";
import { makerOf } from "./maker.ts";
import { type Problem, problem, problemAt } from "./problems.ts";
import { jsonResponse, ofAccess } from "./replies.ts";
import {
  eventQuery,
  isEventId,
  MAX_EVENT_DATA_BYTES,
  PostEvent,
  recentEventsQuery,
} from "./request-events.ts";
import { refusalForErasure } from "./routes-erasures.ts";
import { type Call, type Route, route } from "./route.ts";
import type { BodyOf } from "./schema.ts";

const RECENT = 20;

export const POSTED_EVENT_ROUTES: readonly Route[] = [
  route({
    id: "postEvent",
    method: "POST",
    path: "/v1/events",
    rule: "runs:write",
    also: "Naming a `user` needs `runs:act_as`. An event that a key bound to a user posts is that user's: its runs are, and it resumes no others.",
    tag: "Events",
    summary: "Post an event: it starts and resumes runs",
    description:
      "Answered once the event is stored. Then each workflow that subscribes to its name and wants it is started once, and each step that waits for it is told once, however often that has to be tried. It never decides an approval. What became of it says `GET /v1/events/{event}/{event_id}`.",
    headers: ["traceparent"],
    body: { schema: PostEvent, required: true, example: EXAMPLES.event },
    answers: [{ status: 202, description: "It is stored.", schema: PostedEvent, headers: ["Location"] }],
    problems: ["user_wider", "idempotency_mismatch", "events_full", "user_being_erased"],
    handle: ({ call, identity, body }) => post(call, identity, body),
  }),
  route({
    id: "getEvent",
    method: "GET",
    path: "/v1/events/{event}/{event_id}",
    rule: "runs:read",
    tag: "Events",
    summary: "What became of an event",
    query: eventQuery,
    answers: [{ status: 200, description: "The event, without its data.", schema: EventOutcome }],
    problems: ["not_found"],
    handle: async ({ call, identity, query }) => {
      const { event = "", event_id: id = "" } = call.params;
      const only = onlyFor(identity, query.user);
      if (only === undefined || !isEventName(event) || !isEventId(id)) return GONE;
      const { tenant } = identity;
      const view = await call.deps.events(tenant, event).view(tenant, only, id);
      return view === null ? GONE : jsonResponse(view);
    },
  }),
  route({
    id: "listRecentEvents",
    method: "GET",
    path: "/v1/events/{event}",
    rule: "runs:read",
    tag: "Events",
    summary: "The last events of a name, and what became of them",
    query: recentEventsQuery,
    answers: [{ status: 200, description: "Without their data.", schema: EventOutcomes }],
    problems: ["not_found"],
    handle: async ({ call, identity, query }) => {
      const { event = "" } = call.params;
      const only = onlyFor(identity, query.user);
      if (only === undefined || !isEventName(event)) return GONE;
      const { tenant } = identity;
      const data = await call.deps.events(tenant, event).recent(tenant, only, query.limit ?? RECENT);
      return jsonResponse({ data });
    },
  }),
];

const GONE = problem("not_found", "There is no such event. Events are kept for a day.");

async function post(
  call: Call,
  identity: KeyIdentity,
  { name, data = {}, id = randomId("evt"), user: named, tags = [] }: BodyOf<typeof PostEvent>,
): Promise<Response | Problem> {
  const { deps, request } = call;
  const user = userOfNewRun(identity, named);
  if (!user.ok) return ofAccess(user.error);
  if (new TextEncoder().encode(JSON.stringify(data)).length > MAX_EVENT_DATA_BYTES)
    return problemAt(
      "invalid_request",
      { pointer: "/data" },
      `The data have at most ${MAX_EVENT_DATA_BYTES} bytes as JSON: send the address of what is larger.`,
    );
  const { tenant } = identity;
  const refusal = await refusalForErasure(call, tenant, user.value);
  if (refusal !== null) return refusal;
  if (user.value !== null) await deps.noteUserEvent(tenant, user.value, name);
  const trace = parseTraceparent(request.headers.get("traceparent") ?? "");
  const answer = await deps.events(tenant, name).post(tenant, {
    ...{ id, data, tags, user: user.value, only: identity.user, maker: makerOf(identity) },
    traceparent: trace === null ? null : formatTraceparent(trace),
  });
  switch (answer.kind) {
    case "taken": {
      const { receivedAt: received_at, duplicate } = answer;
      const location = `/v1/events/${name}/${encodeURIComponent(id)}`;
      return jsonResponse({ id, name, received_at, duplicate }, 202, { location });
    }
    case "mismatch":
      return problem("idempotency_mismatch", `There is an event ${name} of this id with other content.`, {
        errors: [{ pointer: "/id", detail: "An id is one event: its data, user and tags stay the same." }],
        hint: "Send the same event again, or this one under an id of its own.",
      });
    case "full": {
      const detail =
        answer.why === "under_way"
          ? `As many events ${name} are under way as can be.`
          : `As many events ${name} of the last day are kept as can be.`;
      return problem("events_full", detail, {
        headers: { "retry-after": String(Math.ceil(answer.retryAfterMs / 1_000)) },
      });
    }
  }
}

/** Whose events are meant: those of a user's key, or null for the tenant's. Undefined: none that the asker may see. */
function onlyFor(identity: KeyIdentity, user: string | undefined): string | null | undefined {
  if (identity.user === null) return user ?? null;
  return user === undefined || user === identity.user ? identity.user : undefined;
}
