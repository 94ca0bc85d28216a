/** Connections: what users and the tenant have lent. Tokens are nowhere here: only the object of a connection gives them. */
import { actorOf, isUser, type KeyIdentity } from "../access/index.ts";
import type { LendRefusal, ListedConnection } from "../connections/index.ts";
import {
  Connection,
  ConnectionList,
  ConnectionWithUses,
  ConnectSession,
  DisconnectedConnection,
  GrantsLink,
} from "./answer-connections.ts";
import { originOf, viewConnection, viewUse } from "./connection-views.ts";
import { EXAMPLES } from "./examples.ts";
import { type Problem, problem, problemAt } from "./problems.ts";
import { refusalOfFull } from "./quota-check.ts";
import { jsonResponse, RETRY_AFTER_S } from "./replies.ts";
import { connectionsQuery, CreateConnection, Reconnect } from "./request-connections.ts";
import { refusalForErasure } from "./routes-erasures.ts";
import { type Call, type Route, route } from "./route.ts";
import { newSession, ofSession, SESSION_PROBLEMS, userOf, wishesOf } from "./routes-sessions.ts";
import type { BodyOf } from "./schema.ts";

const PAGE = 100;
const OWN = "A key that is bound to a user sees and changes this user's only.";

export const CONNECTION_ROUTES: readonly Route[] = [
  route({
    id: "createConnection",
    method: "POST",
    path: "/v1/connections",
    rule: "connections:write",
    also: OWN,
    tag: "Connections",
    summary: "Make a connection that needs no browser",
    description:
      "Of the kinds `api_key` (with `api_key`), `basic` (with `username` and `password`), `client_credentials` and `jwt_bearer` (a token is fetched at once). Again for the same owner and account, the new credential takes the place of the old one.",
    body: { schema: CreateConnection, required: true, example: EXAMPLES.connection },
    answers: [{ status: 201, description: "The connection.", schema: Connection, headers: ["Location"] }],
    problems: [
      "user_wider",
      "user_being_erased",
      "unknown_integration",
      "wrong_kind",
      "owner_mismatch",
      "credential_refused",
      "provider_unavailable",
    ],
    handle: ({ call, identity, body }) => create(call, identity, body),
  }),
  route({
    id: "listConnections",
    method: "GET",
    path: "/v1/connections",
    rule: "connections:read",
    also: OWN,
    tag: "Connections",
    summary: "List connections",
    description:
      "As they were last told of, which is a moment behind: one connection alone is always as it is.",
    query: connectionsQuery,
    answers: [{ status: 200, description: "A page of connections.", schema: ConnectionList }],
    problems: ["user_wider"],
    handle: async ({
      call,
      identity,
      query: { cursor = "", limit = PAGE, user: named, owner, ...filter },
    }) => {
      if (identity.user !== null && named !== undefined && named !== identity.user)
        return problemAt("user_wider", { parameter: "user" }, "The API key is bound to another user.");
      const user = identity.user ?? named;
      if (owner === "tenant" && user !== undefined) return jsonResponse({ data: [], next_cursor: null });
      const whose = owner === "tenant" ? { user: null } : user === undefined ? {} : { user };
      const wanted = Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined));
      const page = await call.deps
        .connections()
        .connections(identity.tenant, { ...wanted, ...whose }, { after: cursor, limit });
      const next = page.length < limit ? null : (page.at(-1)?.id ?? null);
      return jsonResponse({
        data: page.map((one) => viewConnection(call, one)),
        next_cursor: next,
      });
    },
  }),
  route({
    id: "getConnection",
    method: "GET",
    path: "/v1/connections/{connection}",
    rule: "connections:read",
    also: OWN,
    tag: "Connections",
    summary: "Look at a connection, and which workflows used it",
    answers: [{ status: 200, description: "The connection as it stands.", schema: ConnectionWithUses }],
    problems: ["not_found"],
    handle: async ({ call, identity }) => {
      const one = await find(call, identity);
      if (one === null) return noConnection();
      const uses = await call.deps.connections().uses(one.id);
      return jsonResponse({ ...viewConnection(call, one), uses: uses.map(viewUse) });
    },
  }),
  route({
    id: "deleteConnection",
    method: "DELETE",
    path: "/v1/connections/{connection}",
    rule: "connections:write",
    also: OWN,
    tag: "Connections",
    summary: "Disconnect: no step gets the token from now on, and the provider is told",
    description:
      "The provider is told for up to a day, then the tokens are shredded in any case. It is not told while another connection lives on the same account, as that would end both.",
    answers: [{ status: 202, description: "The connection, which is over.", schema: DisconnectedConnection }],
    problems: ["not_found"],
    handle: async ({ call, identity }) => {
      const one = await find(call, identity);
      if (one === null) return noConnection();
      const done = await call.deps.connections().disconnect(identity.tenant, one.id, actorOf(identity));
      if (done === null) return noConnection();
      return jsonResponse({ ...viewConnection(call, done.connection), siblings: done.siblings }, 202);
    },
  }),
  route({
    id: "reconnect",
    method: "POST",
    path: "/v1/connections/{connection}/reconnect",
    rule: "connections:connect",
    also: OWN,
    tag: "Connections",
    summary: "Make a connect session that renews a connection, or widens it",
    description:
      "Asks for what the connection has and for `scopes` beside it. Until the user has consented, the connection is as it was.",
    body: { schema: Reconnect, required: false, example: EXAMPLES.reconnect },
    answers: [
      {
        status: 201,
        description: "The session, with its link.",
        schema: ConnectSession,
        headers: ["Location"],
      },
    ],
    problems: ["not_found", ...SESSION_PROBLEMS],
    handle: async ({ call, identity, body }) => {
      const one = await find(call, identity);
      if (one === null) return noConnection();
      const how = { ...wishesOf(body), by: actorOf(identity) };
      const made = await call.deps.connections().reconnect(one, how);
      if (!made.ok) return ofSession(made.error, null);
      return newSession(call, made.value.session, made.value.token);
    },
  }),
  route({
    id: "createGrantsLink",
    method: "POST",
    path: "/v1/users/{user}/grants-link",
    rule: "connections:write",
    also: "A key that is bound to a user gets it for this user only.",
    tag: "Connections",
    summary: "Get a link to the page on which a user sees what they granted, and takes it back",
    description:
      "For the browser of this very user: whoever opens it is taken for them. It works once, for 15 minutes.",
    answers: [{ status: 201, description: "The link.", schema: GrantsLink }],
    problems: ["user_wider", "user_being_erased"],
    handle: async ({ call, identity }) => {
      const user = call.params["user"] ?? "";
      if (!isUser(user))
        return problemAt("invalid_request", { parameter: "user" }, "This cannot be the id of a user.");
      if (identity.user !== null && identity.user !== user)
        return problemAt("user_wider", { parameter: "user" }, "The API key is bound to another user.");
      const refusal = await refusalForErasure(call, identity.tenant, user);
      if (refusal !== null) return refusal;
      const made = await call.deps.connections().grantsLink(identity.tenant, user, actorOf(identity));
      return jsonResponse({ url: `${originOf(call)}/grants/${made.token}`, expires_at: made.expiresAt }, 201);
    },
  }),
];

async function create(
  call: Call,
  identity: KeyIdentity,
  body: BodyOf<typeof CreateConnection>,
): Promise<Response | Problem> {
  const user = userOf(identity, body.user);
  if (!user.ok) return user.error;
  const refusal = await refusalForErasure(call, identity.tenant, user.value);
  if (refusal !== null) return refusal;
  const room = call.deps.connections();
  const made = await room.integration(identity.tenant, body.integration);
  if (made === null)
    return problemAt("unknown_integration", { pointer: "/integration" }, "There is no such integration.");
  const { account, label = null, username, password } = body;
  const full = await refusalOfFull(call, identity.tenant, "connections");
  // What is there can be given a new credential, however many there are.
  if (full !== null && !(await room.isThere(made, user.value, account))) return full;
  const lent = {
    ...(account === undefined ? {} : { account }),
    ...{ user: user.value, label, by: actorOf(identity) },
    // The tenant rotates; a user may bring another account, and a key alone does not say which.
    sameAccount: identity.user === null,
    ...(body.api_key === undefined ? {} : { apiKey: body.api_key }),
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(body.expires_at === undefined ? {} : { expiresAt: body.expires_at }),
  };
  const connection = await room.lend(made, lent);
  if (!connection.ok) return ofLending(connection.error);
  const { value } = connection;
  return jsonResponse(viewConnection(call, value), 201, {
    location: `/v1/connections/${value.id}`,
  });
}

/** Null: there is none, or it is not the key's to see. */
async function find(call: Call, identity: KeyIdentity): Promise<ListedConnection | null> {
  const one = await call.deps.connections().connection(identity.tenant, call.params["connection"] ?? "");
  return one === null || (identity.user !== null && one.user !== identity.user) ? null : one;
}

function ofLending(refusal: LendRefusal): Problem {
  switch (refusal.code) {
    case "needs_consent":
      return problemAt(
        "wrong_kind",
        { pointer: "/integration" },
        "Users consent to this integration in a browser.",
      );
    case "owner_mismatch":
      return problemAt(
        "owner_mismatch",
        { pointer: "/user" },
        "`user` is missing where connections belong to users, or was sent where they are the tenant's own.",
      );
    case "credential_invalid":
      return problemAt("invalid_request", { pointer: refusal.pointer }, refusal.detail);
    case "credential_refused":
      return problem("credential_refused", refusal.detail);
    case "provider_unavailable": {
      const seconds = Math.max(RETRY_AFTER_S, Math.ceil((refusal.retryAfterMs ?? 0) / 1_000));
      return problem("provider_unavailable", refusal.detail, { headers: { "retry-after": String(seconds) } });
    }
  }
}

function noConnection(): Problem {
  return problem("not_found", "There is no such connection.");
}
