/** Schedules: runs that are started by the clock. What a schedule does is decided in the room of the triggers. */
import { actorOf, type KeyIdentity, may, userOfNewRun } from "../access/index.ts";
import { randomId } from "../platform/index.ts";
import type { ScheduleErrorCode, WishRefusal } from "../triggers/index.ts";
import { ScheduleList, ScheduleView, TickLog, TriggeredSchedule } from "./answer-schedules.ts";
import { EXAMPLES } from "./examples.ts";
import { makerOf } from "./maker.ts";
import { chainFor, refusalOfStart } from "./policy-check.ts";
import { problem, problemAt, type Problem } from "./problems.ts";
import { full, refusalOfFull } from "./quota-check.ts";
import { addressOf, jsonResponse, ofAccess, RETRY_AFTER_S } from "./replies.ts";
import {
  MAX_SCHEDULES_PER_PAGE,
  MAX_TICKS_PER_PAGE,
  PauseSchedule,
  PutSchedule,
  schedulesQuery,
  ticksQuery,
} from "./request-schedules.ts";
import { refusalForErasure } from "./routes-erasures.ts";
import { type Call, insufficientScope, type Route, route } from "./route.ts";
import { idempotencyKeyOf, plannedStart } from "./routes-start.ts";
import { pointerOf, viewListed, viewSchedule, viewTick, wishOf } from "./schedule-views.ts";
import type { BodyOf } from "./schema.ts";

const SEEN = { status: 200, description: "The schedule.", schema: ScheduleView } as const;
const ALSO_STARTS = "And `runs:write`, as it starts runs.";

export const SCHEDULE_ROUTES: readonly Route[] = [
  route({
    id: "listSchedules",
    method: "GET",
    path: "/v1/schedules",
    rule: "schedules:read",
    tag: "Schedules",
    summary: "List the schedules of the tenant",
    description: "What each has said of itself last; a moment later one of them can be gone.",
    query: schedulesQuery,
    answers: [{ status: 200, description: "A page of schedules, by their names.", schema: ScheduleList }],
    handle: async ({ call, identity, query: { cursor = "", limit = MAX_SCHEDULES_PER_PAGE } }) => {
      const page = await call.deps.schedules.list(identity.tenant, cursor, limit);
      const next = page.length < limit ? null : (page.at(-1)?.name ?? null);
      return jsonResponse({ data: page.map(viewListed), next_cursor: next });
    },
  }),
  route({
    id: "putSchedule",
    method: "PUT",
    path: "/v1/schedules/{schedule}",
    rule: "schedules:write",
    also: `${ALSO_STARTS} Naming a \`user\` needs \`runs:act_as\`.`,
    tag: "Schedules",
    summary: "Make a schedule, or change it",
    description:
      "In the place of all that it was, but for its log and whether it is paused. Its runs are started in the name of the key in use, and under its policies; when that key may not act any more, the schedule pauses itself. Workflow, input and policies are checked now as a start checks them, and again at each start.",
    body: { schema: PutSchedule, required: true, example: EXAMPLES.schedule },
    answers: [
      { status: 200, description: "The schedule as it is now.", schema: ScheduleView },
      { status: 201, description: "The new schedule.", schema: ScheduleView, headers: ["Location"] },
    ],
    problems: [
      "user_wider",
      "user_being_erased",
      "policy_denied",
      "unknown_workflow",
      "invalid_input",
      "bad_plan",
      "invalid_schedule",
      "quota_exceeded",
    ],
    handle: ({ call, identity, body }) => put(call, identity, body),
  }),
  route({
    id: "getSchedule",
    method: "GET",
    path: "/v1/schedules/{schedule}",
    rule: "schedules:read",
    tag: "Schedules",
    summary: "Look at a schedule, and at its next ten times",
    answers: [SEEN],
    problems: ["not_found"],
    handle: async ({ call, identity }) => {
      const seen = await call.deps.schedules.view(identity.tenant, nameIn(call));
      return seen.ok ? jsonResponse(viewSchedule(seen.value)) : ofSchedules(seen);
    },
  }),
  route({
    id: "deleteSchedule",
    method: "DELETE",
    path: "/v1/schedules/{schedule}",
    rule: "schedules:write",
    tag: "Schedules",
    summary: "Remove a schedule",
    description: "Runs that it started go on. Another one of its name starts none of its times again.",
    answers: [{ status: 204, description: "It is gone." }],
    problems: ["not_found"],
    handle: async ({ call, identity }) => {
      const gone = await call.deps.schedules.remove(askingFor(call, identity));
      return gone ? new Response(null, { status: 204 }) : noSchedule();
    },
  }),
  route({
    id: "pauseSchedule",
    method: "POST",
    path: "/v1/schedules/{schedule}/pause",
    rule: "schedules:write",
    tag: "Schedules",
    summary: "Start nothing until it is resumed",
    description: "Starts that were decided already are brought to their end. Pausing again changes nothing.",
    body: { schema: PauseSchedule, required: false, example: EXAMPLES.pauseSchedule },
    answers: [SEEN],
    problems: ["not_found"],
    handle: async ({ call, identity, body }) => {
      const paused = await call.deps.schedules.pause(askingFor(call, identity), body.reason ?? null);
      return paused.ok ? jsonResponse(viewSchedule(paused.value)) : ofSchedules(paused);
    },
  }),
  route({
    id: "resumeSchedule",
    method: "POST",
    path: "/v1/schedules/{schedule}/resume",
    rule: "schedules:write",
    tag: "Schedules",
    summary: "Go on with the times that come",
    description: "What fell into the pause is skipped.",
    answers: [SEEN],
    problems: ["not_found", "maker_revoked"],
    handle: async ({ call, identity }) => {
      const resumed = await call.deps.schedules.resume(askingFor(call, identity));
      return resumed.ok ? jsonResponse(viewSchedule(resumed.value)) : ofSchedules(resumed);
    },
  }),
  route({
    id: "triggerSchedule",
    method: "POST",
    path: "/v1/schedules/{schedule}/trigger",
    rule: "schedules:write",
    also: `${ALSO_STARTS} \`runs:act_as\` where the schedule names a \`user\`. The run is bound by the policies of the key in use as well.`,
    tag: "Schedules",
    summary: "Start a run of the schedule now",
    description:
      "Whatever the overlap says, also while it is paused; in the name of the schedule's maker, as far as the key in use may. The same `Idempotency-Key` is one run.",
    headers: ["Idempotency-Key"],
    answers: [
      { status: 202, description: "Which run it is.", schema: TriggeredSchedule, headers: ["Location"] },
    ],
    problems: [
      "invalid_header",
      "not_found",
      "user_wider",
      "policy_denied",
      "maker_revoked",
      "start_refused",
      "too_many_starts",
    ],
    handle: ({ call, identity }) => trigger(call, identity),
  }),
  route({
    id: "getScheduleLog",
    method: "GET",
    path: "/v1/schedules/{schedule}/log",
    rule: "schedules:read",
    tag: "Schedules",
    summary: "See what became of its times",
    query: ticksQuery,
    answers: [{ status: 200, description: "The last 200 records at most.", schema: TickLog }],
    problems: ["not_found"],
    handle: async ({ call, identity, query: { limit = MAX_TICKS_PER_PAGE } }) => {
      const log = await call.deps.schedules.log(identity.tenant, nameIn(call), limit);
      return log.ok ? jsonResponse({ data: log.value.map(viewTick) }) : ofSchedules(log);
    },
  }),
];

async function put(
  call: Call,
  identity: KeyIdentity,
  body: BodyOf<typeof PutSchedule>,
): Promise<Response | Problem> {
  if (!may(identity, "runs:write")) return startsNothing();
  const user = userOfNewRun(identity, body.user);
  if (!user.ok) return ofAccess(user.error);
  const refusal = await refusalForErasure(call, identity.tenant, user.value);
  if (refusal !== null) return refusal;
  const { workflow, version, input } = body;
  const planned = await plannedStart(
    call,
    identity,
    {
      workflow,
      ...(version === undefined ? {} : { version }),
      ...(input === undefined ? {} : { input }),
    },
    user.value,
  );
  if (!planned.ok) return planned.error;
  if (input !== undefined && planned.value.graph.sensitive?.includes("input") === true)
    return invalid({
      pointer: "/input",
      code: "input_sensitive",
      detail: `The input of ${workflow} is sensitive, and a schedule keeps it as it is: leave it out.`,
    });
  const wish = wishOf(body, user.value, makerOf(identity));
  const asking = askingFor(call, identity);
  const tooMany = await refusalOfFull(call, identity.tenant, "schedules");
  // One that is there is changed, however many there are.
  if (tooMany !== null && !(await call.deps.schedules.view(identity.tenant, asking.name)).ok) return tooMany;
  const answer = await call.deps.schedules.put(asking, wish);
  if (answer.ok) {
    const view = viewSchedule(answer.view);
    if (!answer.created) return jsonResponse(view);
    return jsonResponse(view, 201, { location: `/v1/schedules/${answer.view.name}` });
  }
  switch (answer.code) {
    case "invalid":
      return ofRefusal(answer.refusal);
    case "too_many":
      return full("schedules");
    case "unavailable":
      return problem(
        "unavailable",
        "The list of schedules cannot be written just now: nothing was changed.",
        {
          headers: { "retry-after": String(RETRY_AFTER_S) },
        },
      );
    case "not_found":
      return noSchedule();
  }
}

async function trigger(call: Call, identity: KeyIdentity): Promise<Response | Problem> {
  if (!may(identity, "runs:write")) return startsNothing();
  const key = idempotencyKeyOf(call);
  if (!key.ok) return key.error;
  const asking = askingFor(call, identity);
  const seen = await call.deps.schedules.view(identity.tenant, asking.name);
  if (!seen.ok) return ofSchedules(seen);
  const { workflow, user: named } = seen.value.target;
  const user = userOfNewRun(identity, named);
  if (!user.ok) return ofAccess(user.error);
  const chain = await chainFor(call, identity);
  if (!chain.ok) return chain.error;
  const denial = refusalOfStart(chain.value, { workflow, at: "/workflow" });
  if (denial !== null) return denial;
  const by = makerOf(identity);
  const triggered = await call.deps.schedules.trigger(asking, key.value ?? randomId("req"), by);
  if (!triggered.ok) return ofSchedules(triggered);
  const { value } = triggered;
  if (value.kind === "refused")
    return value.code === "maker_revoked"
      ? problem("maker_revoked", value.message)
      : problem("start_refused", `${value.code}: ${value.message}`);
  const location = addressOf(value.run);
  return jsonResponse({ run: value.run, started: value.kind === "started" }, 202, { location });
}

function askingFor(
  call: Call,
  identity: KeyIdentity,
): { readonly tenant: string; readonly actor: string; readonly name: string } {
  return { tenant: identity.tenant, actor: actorOf(identity), name: nameIn(call) };
}

function startsNothing(): Problem {
  return insufficientScope(
    "A schedule starts runs: this needs the scope runs:write as well, which the key does not have.",
    "runs:write",
  );
}

function ofRefusal({ part, code, message }: WishRefusal): Problem {
  return invalid({ pointer: pointerOf(part), code, detail: message });
}

function invalid({
  pointer,
  code,
  detail,
}: {
  readonly pointer: string;
  readonly code: string;
  readonly detail: string;
}): Problem {
  return problemAt("invalid_schedule", { pointer, code }, detail);
}

function ofSchedules({
  code,
  message,
}: {
  readonly code: ScheduleErrorCode;
  readonly message: string;
}): Problem {
  switch (code) {
    case "not_found":
      return noSchedule();
    case "maker_revoked":
      return problem("maker_revoked", message);
    case "busy":
      return problem("too_many_starts", message);
  }
}

function noSchedule(): Problem {
  return problem("not_found", "There is no such schedule.");
}

function nameIn(call: Call): string {
  return call.params["schedule"] ?? "";
}
