/** Endpoints: where a tenant's systems are told of its runs. What an endpoint may be is decided in the triggers room. */
import { type KeyIdentity, may } from "../access/index.ts";
import type { EndpointAsking, EndpointRpc, Which } from "../triggers/index.ts";
import {
  EndpointDetail,
  EndpointList,
  EndpointPing,
  EndpointView,
  MessageList,
  NewEndpoint,
  NewEndpointKey,
  Replayed,
} from "./answer-endpoints.ts";
import {
  noEndpoint,
  ofEndpoint,
  ofReplay,
  viewEndpoint,
  viewKey,
  viewLogged,
  viewMadeKey,
  viewQueue,
} from "./endpoint-views.ts";
import { EXAMPLES } from "./examples.ts";
import { makerOf } from "./maker.ts";
import type { Problem } from "./problems.ts";
import { refusalOfFull } from "./quota-check.ts";
import { jsonResponse } from "./replies.ts";
import {
  ChangeEndpoint,
  CreateEndpoint,
  loggedQuery,
  ReplayFailed,
  RotateEndpointKey,
} from "./request-endpoints.ts";
import { type Call, insufficientScope, type Route, route } from "./route.ts";

/** A new endpoint is known everywhere after so long: as long as isolates remember who has some. */
const EFFECTIVE_MS = 60_000;
const DEFAULT_OVERLAP_S = 24 * 60 * 60;
const DEFAULT_LOGGED = 50;
const TAG = "Endpoints";

export const ENDPOINT_ROUTES: readonly Route[] = [
  route({
    id: "createEndpoint",
    method: "POST",
    path: "/v1/endpoints",
    rule: "endpoints:write",
    also: "`runs:read`, as it tells of all runs. The policies of the key and of the tenant have to allow a POST there. The key answers for the endpoint: when it ends, messages wait.",
    tag: TAG,
    summary: "Have events of runs sent to an address",
    description: "Signed as Standard Webhooks asks for (docs/webhooks-out.md). At most 20 of a tenant.",
    body: { schema: CreateEndpoint, required: true, example: EXAMPLES.endpoint },
    answers: [
      {
        ...{ status: 201, description: "The endpoint, and what its messages are verified with." },
        ...{ schema: NewEndpoint, headers: ["Location"] },
      },
    ],
    problems: ["quota_exceeded", "policy_denied"],
    handle: async ({ call, identity, body: { url, events, description = "", key = "hmac" } }) => {
      if (!may(identity, "runs:read")) return seesNoRuns();
      const tooMany = await refusalOfFull(call, identity.tenant, "endpoints");
      if (tooMany !== null) return tooMany;
      const { desk } = call.deps.endpoints;
      const made = await desk.create(asking(identity), { url, types: unique(events), description }, key);
      if (!made.ok) return ofEndpoint(made.error);
      const { endpoint, made: first } = made.value;
      return jsonResponse(
        {
          ...viewEndpoint(endpoint, true),
          ...{ key: viewMadeKey(first), effective_by: endpoint.createdAt + EFFECTIVE_MS },
        },
        201,
        { location: `/v1/endpoints/${endpoint.id}` },
      );
    },
  }),
  route({
    id: "listEndpoints",
    method: "GET",
    path: "/v1/endpoints",
    rule: "endpoints:read",
    tag: TAG,
    summary: "List the endpoints of the tenant",
    answers: [{ status: 200, description: "All of them, the oldest first.", schema: EndpointList }],
    handle: async ({ call, identity }) => {
      const all = await call.deps.endpoints.desk.list(identity.tenant);
      return jsonResponse({ data: all.map(({ endpoint, stands }) => viewEndpoint(endpoint, stands)) });
    },
  }),
  route({
    id: "getEndpoint",
    method: "GET",
    path: "/v1/endpoints/{endpoint}",
    rule: "endpoints:read",
    tag: TAG,
    summary: "Look at an endpoint, its keys, and how it does",
    answers: [{ status: 200, description: "The endpoint.", schema: EndpointDetail }],
    problems: ["not_found"],
    handle: async ({ call, identity }) => {
      const found = await call.deps.endpoints.desk.find(identity.tenant, idIn(call));
      if (!found.ok) return ofEndpoint(found.error);
      const { endpoint, keys, stands } = found.value;
      const queue = await queueOf(call, identity).view(which(call, identity));
      return jsonResponse({
        ...viewEndpoint(endpoint, stands),
        ...{ keys: keys.map((key) => viewKey(key)), queue: viewQueue(queue, endpoint) },
      });
    },
  }),
  route({
    id: "changeEndpoint",
    method: "PATCH",
    path: "/v1/endpoints/{endpoint}",
    rule: "endpoints:write",
    also: "As for a new one: the key answers for the endpoint from then on.",
    tag: TAG,
    summary: "Change where an endpoint is, or what it is sent",
    description: "What is left out stays. With another address, what failed before is forgotten.",
    body: { schema: ChangeEndpoint, required: true, example: EXAMPLES.changedEndpoint },
    answers: [{ status: 200, description: "The endpoint.", schema: EndpointView }],
    problems: ["not_found", "policy_denied"],
    handle: async ({ call, identity, body: { url, events, description } }) => {
      if (!may(identity, "runs:read")) return seesNoRuns();
      const changed = await call.deps.endpoints.desk.change(asking(identity), idIn(call), {
        ...(url === undefined ? {} : { url }),
        ...(events === undefined ? {} : { types: unique(events) }),
        ...(description === undefined ? {} : { description }),
      });
      if (!changed.ok) return ofEndpoint(changed.error);
      await tellChanged(call, identity);
      return jsonResponse(viewEndpoint(changed.value, true));
    },
  }),
  route({
    id: "deleteEndpoint",
    method: "DELETE",
    path: "/v1/endpoints/{endpoint}",
    rule: "endpoints:write",
    tag: TAG,
    summary: "Delete an endpoint, with its keys, its log and what waits",
    answers: [{ status: 204, description: "It is gone." }],
    problems: ["not_found"],
    handle: async ({ call, identity }) => {
      const { desk } = call.deps.endpoints;
      const found = await desk.find(identity.tenant, idIn(call));
      if (!found.ok) return ofEndpoint(found.error);
      await queueOf(call, identity).closing(which(call, identity));
      const gone = await desk.remove(asking(identity), idIn(call));
      if (!gone.ok) return ofEndpoint(gone.error);
      await tellChanged(call, identity);
      return new Response(null, { status: 204 });
    },
  }),
  route({
    id: "enableEndpoint",
    method: "POST",
    path: "/v1/endpoints/{endpoint}/enable",
    rule: "endpoints:write",
    also: "As for a new one: the key answers for the endpoint from then on.",
    tag: TAG,
    summary: "Send to an endpoint again that is disabled or held",
    description:
      "What failed before is forgotten. What was held is sent; what failed is sent again with `POST /v1/endpoints/{endpoint}/replay`.",
    answers: [{ status: 200, description: "The endpoint.", schema: EndpointView }],
    problems: ["not_found", "policy_denied"],
    handle: async ({ call, identity }) => {
      if (!may(identity, "runs:read")) return seesNoRuns();
      const enabled = await call.deps.endpoints.desk.enable(asking(identity), idIn(call));
      if (!enabled.ok) return ofEndpoint(enabled.error);
      await tellChanged(call, identity);
      return jsonResponse(viewEndpoint(enabled.value, true));
    },
  }),
  route({
    id: "disableEndpoint",
    method: "POST",
    path: "/v1/endpoints/{endpoint}/disable",
    rule: "endpoints:write",
    tag: TAG,
    summary: "Send nothing more to an endpoint",
    description: "What waits is recorded as failed. What happens while it is disabled is not kept for it.",
    answers: [{ status: 200, description: "The endpoint.", schema: EndpointView }],
    problems: ["not_found"],
    handle: async ({ call, identity }) => {
      const disabled = await call.deps.endpoints.desk.disable(asking(identity), idIn(call));
      if (!disabled.ok) return ofEndpoint(disabled.error);
      await tellChanged(call, identity);
      return jsonResponse(viewEndpoint(disabled.value, true));
    },
  }),
  route({
    id: "rotateEndpointKey",
    method: "POST",
    path: "/v1/endpoints/{endpoint}/keys",
    rule: "endpoints:write",
    tag: TAG,
    summary: "Sign with a new key, beside the old one for a while",
    description: "At most three keys sign at a time. Each message bears a signature of each of them.",
    body: { schema: RotateEndpointKey, required: false, example: EXAMPLES.rotatedKey },
    answers: [{ status: 201, description: "The key.", schema: NewEndpointKey }],
    problems: ["not_found"],
    handle: async ({ call, identity, body: { key = "hmac", overlap_s: overlapS = DEFAULT_OVERLAP_S } }) => {
      const { desk } = call.deps.endpoints;
      const made = await desk.rotate(asking(identity), idIn(call), key, overlapS * 1_000);
      if (!made.ok) return ofEndpoint(made.error);
      await tellChanged(call, identity);
      return jsonResponse(viewMadeKey(made.value), 201);
    },
  }),
  route({
    id: "endEndpointKey",
    method: "DELETE",
    path: "/v1/endpoints/{endpoint}/keys/{kid}",
    rule: "endpoints:write",
    tag: TAG,
    summary: "End a key that was replaced, before its time",
    answers: [{ status: 204, description: "It signs nothing any more." }],
    problems: ["not_found", "newest_key"],
    handle: async ({ call, identity }) => {
      const { desk } = call.deps.endpoints;
      const ended = await desk.endKey(asking(identity), idIn(call), call.params["kid"] ?? "");
      if (!ended.ok) return ofEndpoint(ended.error);
      await tellChanged(call, identity);
      return new Response(null, { status: 204 });
    },
  }),
  route({
    id: "listEndpointMessages",
    method: "GET",
    path: "/v1/endpoints/{endpoint}/messages",
    rule: "endpoints:read",
    tag: TAG,
    summary: "What became of the last messages to an endpoint, with each try",
    query: loggedQuery,
    answers: [{ status: 200, description: "The newest first, at most 200.", schema: MessageList }],
    problems: ["not_found"],
    handle: async ({ call, identity, query: { limit = DEFAULT_LOGGED } }) => {
      const missing = await missingIn(call, identity);
      if (missing !== null) return missing;
      const logged = await queueOf(call, identity).log(which(call, identity), limit);
      return jsonResponse({ data: logged.map((one) => viewLogged(one)) });
    },
  }),
  route({
    id: "replayEndpointMessage",
    method: "POST",
    path: "/v1/endpoints/{endpoint}/messages/{message}/replay",
    rule: "endpoints:write",
    tag: TAG,
    summary: "Send one message again, whatever became of it",
    description: "Under the same id, with the same body; its tries begin anew.",
    answers: [{ status: 202, description: "It is on its way.", schema: Replayed }],
    problems: ["not_found", "not_replayable", "endpoint_disabled"],
    handle: async ({ call, identity }) => {
      const missing = await missingIn(call, identity);
      if (missing !== null) return missing;
      const answer = await queueOf(call, identity).replay(
        which(call, identity),
        call.params["message"] ?? "",
      );
      return answer.ok ? jsonResponse({ messages: answer.messages }, 202) : ofReplay(answer);
    },
  }),
  route({
    id: "replayFailedMessages",
    method: "POST",
    path: "/v1/endpoints/{endpoint}/replay",
    rule: "endpoints:write",
    tag: TAG,
    summary: "Send all messages again that failed, and now those that wait for their next try",
    description: "Those that happened since a time and are kept: what failed is, for 30 days.",
    body: { schema: ReplayFailed, required: true, example: EXAMPLES.replayFailed },
    answers: [{ status: 202, description: "They are on their way.", schema: Replayed }],
    problems: ["not_found", "endpoint_disabled"],
    handle: async ({ call, identity, body: { since } }) => {
      const missing = await missingIn(call, identity);
      if (missing !== null) return missing;
      const answer = await queueOf(call, identity).replayFailed(which(call, identity), since);
      return answer.ok ? jsonResponse({ messages: answer.messages }, 202) : ofReplay(answer);
    },
  }),
  route({
    id: "pingEndpoint",
    method: "POST",
    path: "/v1/endpoints/{endpoint}/ping",
    rule: "endpoints:write",
    tag: TAG,
    summary: "Send a message now that only says that it comes, once, and see what becomes of it",
    description: "Its type is `endpoint.ping`. Also of an endpoint that is disabled.",
    answers: [{ status: 200, description: "What became of it.", schema: EndpointPing }],
    problems: ["not_found"],
    handle: async ({ call, identity }) => {
      const missing = await missingIn(call, identity);
      if (missing !== null) return missing;
      const pinged = await queueOf(call, identity).ping(which(call, identity));
      return pinged === null ? noEndpoint() : jsonResponse(pinged);
    },
  }),
];

function seesNoRuns(): Problem {
  return insufficientScope(
    "An endpoint is told of runs: this needs the scope runs:read as well, which the key does not have.",
    "runs:read",
  );
}

function asking(identity: KeyIdentity): EndpointAsking {
  return { tenant: identity.tenant, maker: makerOf(identity) };
}

function idIn(call: Call): string {
  return call.params["endpoint"] ?? "";
}

function which(call: Call, { tenant }: KeyIdentity): Which {
  return { tenant, endpoint: idIn(call) };
}

/** By an id that is there: names of objects have a grammar. */
function queueOf(call: Call, { tenant }: KeyIdentity): EndpointRpc {
  return call.deps.endpoints.queue(tenant, idIn(call));
}

/** Null: it is there. */
async function missingIn(call: Call, { tenant }: KeyIdentity): Promise<Problem | null> {
  const found = await call.deps.endpoints.desk.find(tenant, idIn(call));
  return found.ok ? null : ofEndpoint(found.error);
}

/** So that it counts at once; it does in half a minute anyway. */
async function tellChanged(call: Call, identity: KeyIdentity): Promise<void> {
  try {
    await queueOf(call, identity).changed(which(call, identity));
  } catch (error) {
    call.deps.log.warn("endpoint.not_told", { tenant: identity.tenant, endpoint: idIn(call), error });
  }
}

function unique<T>(list: readonly T[]): T[] {
  return [...new Set(list)];
}
