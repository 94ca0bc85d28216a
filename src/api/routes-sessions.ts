/** Connect sessions: made, looked at, and said whose they were. The way through them is the connections room's. */
import { actorOf, isUser, type KeyIdentity } from "../access/index.ts";
import type { ConnectSession as Session, SessionRefusal, SessionRequest } from "../connections/index.ts";
import { err, ok, type Result } from "../platform/index.ts";
import { ConfirmedSession, ConnectSession, SessionTicket } from "./answer-connections.ts";
import { connectUrl, viewSession } from "./connection-views.ts";
import { EXAMPLES } from "./examples.ts";
import { type FieldError, type Problem, problem, problemAt, type ProblemCode } from "./problems.ts";
import { full, ofQuota } from "./quota-check.ts";
import { jsonResponse } from "./replies.ts";
import { ConfirmSession, CreateConnectSession, TicketForSession } from "./request-connections.ts";
import { refusalForErasure } from "./routes-erasures.ts";
import { type Call, type Route, route } from "./route.ts";
import type { BodyOf } from "./schema.ts";

export const SESSION_PROBLEMS = [
  "unknown_integration",
  "wrong_kind",
  "owner_mismatch",
  "scopes_not_allowed",
  "return_to_not_allowed",
  "mode_not_enabled",
] as const satisfies readonly ProblemCode[];

export const SESSION_ROUTES: readonly Route[] = [
  route({
    id: "createConnectSession",
    method: "POST",
    path: "/v1/connect-sessions",
    rule: "connections:connect",
    also: "A key that is bound to a user makes them for this user only.",
    tag: "Connections",
    summary: "Make a connect session: the link with which a user makes or renews a connection",
    description: "The link lives for half an hour and works once. Each call makes another one.",
    body: { schema: CreateConnectSession, required: true, example: EXAMPLES.connectSession },
    answers: [
      {
        status: 201,
        description: "The session, with its link.",
        schema: ConnectSession,
        headers: ["Location"],
      },
    ],
    problems: ["user_wider", "user_being_erased", ...SESSION_PROBLEMS],
    handle: ({ call, identity, body }) => make(call, identity, body),
  }),
  route({
    id: "getConnectSession",
    method: "GET",
    path: "/v1/connect-sessions/{session}",
    rule: "connections:connect",
    tag: "Connections",
    summary: "Look at a connect session",
    answers: [{ status: 200, description: "The session.", schema: ConnectSession }],
    problems: ["not_found"],
    handle: async ({ call, identity }) => {
      const found = await call.deps.connections().session(identity.tenant, idIn(call));
      if (found === null || !isOwn(identity, found.session)) return noSession();
      return jsonResponse(viewSession(call, found.session, found.token));
    },
  }),
  route({
    id: "confirmConnectSession",
    method: "POST",
    path: "/v1/connect-sessions/{session}/confirm",
    rule: "connections:confirm",
    tag: "Connections",
    summary: "Say which user came back with the code of a session",
    description:
      "Of the mode `confirm`: until then nothing uses what was granted. Another user than the session's ends it, and what was granted is thrown away. Sent again with the same code and user, it is answered as the first time.",
    body: { schema: ConfirmSession, required: true, example: EXAMPLES.confirm },
    answers: [{ status: 200, description: "The connection is there.", schema: ConfirmedSession }],
    problems: [
      "not_found",
      "session_over",
      "user_mismatch",
      "account_mismatch",
      "identity_unverified",
      "code_wrong",
    ],
    handle: ({ call, identity, body }) => confirm(call, identity, body),
  }),
  route({
    id: "ticketConnectSession",
    method: "POST",
    path: "/v1/connect-sessions/{session}/ticket",
    rule: "connections:confirm",
    tag: "Connections",
    summary: "Get the address to which a logged-in user's browser is sent",
    description: "Of the mode `host_session`. It works once, for a minute. The last one counts.",
    body: { schema: TicketForSession, required: true, example: EXAMPLES.ticket },
    answers: [{ status: 200, description: "Where to send the browser.", schema: SessionTicket }],
    problems: ["not_found", "session_over", "user_mismatch"],
    handle: ({ call, identity, body }) => giveTicket(call, identity, body.user),
  }),
];

async function make(
  call: Call,
  identity: KeyIdentity,
  body: BodyOf<typeof CreateConnectSession>,
): Promise<Response | Problem> {
  const user = userOf(identity, body.user);
  if (!user.ok) return user.error;
  const refusal = await refusalForErasure(call, identity.tenant, user.value);
  if (refusal !== null) return refusal;
  const { integration, account } = body;
  const tooMany = await call.deps.quotas.gate.session(identity.tenant);
  if (tooMany !== null) return ofQuota(tooMany);
  const made = await call.deps.connections().makeSession({
    ...{ tenant: identity.tenant, integration, user: user.value },
    ...(account === undefined ? {} : { account }),
    ...wishesOf(body),
    by: actorOf(identity),
  });
  if (!made.ok) return ofSession(made.error, "/integration");
  return newSession(call, made.value.session, made.value.token);
}

export function newSession(call: Call, session: Session, token: string): Response {
  const location = `/v1/connect-sessions/${session.id}`;
  return jsonResponse(viewSession(call, session, token), 201, { location });
}

type Wishes = Pick<BodyOf<typeof CreateConnectSession>, "scopes" | "mode" | "return_to" | "replace_account">;

/** What a session may ask for, in the room's spelling. */
export function wishesOf(
  body: Wishes,
): Pick<SessionRequest, "scopes" | "mode" | "returnTo" | "replaceAccount"> {
  const { scopes, mode, return_to: returnTo, replace_account: replaceAccount = false } = body;
  return {
    replaceAccount,
    ...(scopes === undefined ? {} : { scopes }),
    ...(mode === undefined ? {} : { mode }),
    ...(returnTo === undefined ? {} : { returnTo }),
  };
}

/** Whose a connection is to be: a key that is bound to a user speaks for this user alone. */
export function userOf(identity: KeyIdentity, named: string | undefined): Result<string | null, Problem> {
  if (identity.user === null) {
    if (named === undefined || isUser(named)) return ok(named ?? null);
    return err(problemAt("invalid_request", { pointer: "/user" }, "This cannot be the id of a user."));
  }
  return named === undefined || named === identity.user
    ? ok(identity.user)
    : err(problemAt("user_wider", { pointer: "/user" }, "The API key is bound to another user."));
}

async function confirm(
  call: Call,
  identity: KeyIdentity,
  { code, user }: BodyOf<typeof ConfirmSession>,
): Promise<Response | Problem> {
  const room = call.deps.connections();
  const found = await room.session(identity.tenant, idIn(call));
  if (found === null) return noSession();
  if (found.session.slot.owner.kind === "user" && user === undefined)
    return problemAt("invalid_request", { pointer: "/user" }, "The field is missing.");
  const { id } = found.session;
  const said = { code, user: user ?? null, by: actorOf(identity) };
  const confirmed = await room.confirm(identity.tenant, id, said);
  if (confirmed.ok) return jsonResponse({ id, connection: confirmed.value.connection });
  switch (confirmed.error) {
    case "not_waiting":
      return problem("session_over", "The session does not wait for a confirmation.");
    case "code_wrong":
      return problemAt("code_wrong", { pointer: "/code" }, "It is not the code of this session.");
    case "user_mismatch":
      return problemAt("user_mismatch", { pointer: "/user" }, "The session is for another user.");
    case "account_mismatch":
      return problem("account_mismatch", "The user chose another account than the one that is connected.");
    case "identity_unverified":
      return problem("identity_unverified", "The provider did not say which account the user chose.");
  }
}

async function giveTicket(call: Call, identity: KeyIdentity, user: string): Promise<Response | Problem> {
  const room = call.deps.connections();
  const found = await room.session(identity.tenant, idIn(call));
  if (found === null) return noSession();
  const { owner } = found.session.slot;
  if (owner.kind === "user" && owner.user !== user)
    return problemAt("user_mismatch", { pointer: "/user" }, "The session is for another user.");
  const given = await room.ticket(found.session);
  if (given === null)
    return problem("session_over", "The session takes no ticket: it is over, or of another mode.");
  const url = `${connectUrl(call, given.token)}?ticket=${given.ticket}`;
  return jsonResponse({ url, expires_at: given.expiresAt });
}

/** @param at where the integration stands in the request; null: it does not */
export function ofSession(refusal: SessionRefusal, at: string | null): Problem {
  const place = (pointer: string | null): Omit<FieldError, "detail"> => (pointer === null ? {} : { pointer });
  switch (refusal.code) {
    case "integration_unknown":
      return problemAt("unknown_integration", place(at), "There is no such integration.");
    case "integration_needs_no_consent":
      return problemAt("wrong_kind", place(at), "Nobody consents to this integration in a browser.");
    case "owner_mismatch":
      return problemAt(
        "owner_mismatch",
        place(at === null ? null : "/user"),
        at === null
          ? "The integration's connections are not of this owner."
          : "The integration's connections are not of this owner: users' need a `user`, the tenant's take none.",
      );
    case "mode_not_enabled":
      return problemAt(
        "mode_not_enabled",
        { pointer: "/mode" },
        "Links that anybody may open are not enabled.",
      );
    case "too_many":
      return full("open_connect_sessions");
    case "scopes_not_allowed":
      return problemAt(
        "scopes_not_allowed",
        { pointer: "/scopes", allowed: refusal.allowed },
        `The integration does not allow ${refusal.scopes.length} of the scopes.`,
      );
    case "return_to_not_allowed":
    case "return_to_missing":
      return problemAt(
        "return_to_not_allowed",
        { pointer: "/return_to", allowed: refusal.allowed },
        refusal.code === "return_to_missing"
          ? "The mode `confirm` needs an address to return to, and the integration has none."
          : "It is none of the integration's own addresses.",
      );
  }
}

function isOwn(identity: KeyIdentity, { slot: { owner } }: Session): boolean {
  return identity.user === null || (owner.kind === "user" && owner.user === identity.user);
}

function noSession(): Problem {
  return problem("not_found", "There is no such connect session.");
}

function idIn(call: Call): string {
  return call.params["session"] ?? "";
}
