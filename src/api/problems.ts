/**
 * Every problem that the API answers (RFC 9457). One table: code to status, title and what to do next. The pages
 * `/problems/<code>`, `docs/errors.md` and the OpenAPI document are made from it.
 */
import { sentenceWithoutSecrets, withoutSecrets } from "./untold.ts";

interface ProblemKind {
  readonly status: number;
  readonly title: string;
  /** What the caller can do about it, for every occurrence. */
  readonly hint: string;
}

/** Codes are stable: programs switch on them. A code is never given another meaning. */
export const PROBLEMS = {
  malformed_json: {
    status: 400,
    title: "The body is not valid JSON",
    hint: "Send one JSON value in UTF-8; `detail` says where reading stopped.",
  },
  invalid_request: {
    status: 400,
    title: "The request does not fit the operation",
    hint: "`errors` names every field or parameter that is wrong. The OpenAPI document has the schema.",
  },
  invalid_header: {
    status: 400,
    title: "A header cannot be read",
    hint: "`errors` names the header and its form.",
  },
  credentials_missing: {
    status: 401,
    title: "No API key was sent",
    hint: "Send `Authorization: Bearer sck_...`.",
  },
  invalid_key: {
    status: 401,
    title: "The API key is not valid",
    hint: "Check that the key is complete and belongs to this deployment.",
  },
  key_expired: {
    status: 401,
    title: "The API key has expired",
    hint: "Make a new key with `POST /v1/keys`.",
  },
  key_revoked: {
    status: 401,
    title: "The API key was revoked",
    hint: "Make a new key with `POST /v1/keys`.",
  },
  invalid_token: {
    status: 401,
    title: "The token is not taken here",
    hint: "Send one whose `iss` the tenant trusts, and whose only `aud` is the tenant's (docs/trusted-issuers.md). `POST /v1/trusted-issuers/test` tells who keeps the trust what is wrong with it.",
  },
  insufficient_scope: {
    status: 403,
    title: "The API key may not do this",
    hint: "Use a key with the scope that `WWW-Authenticate` names.",
  },
  user_wider: {
    status: 403,
    title: "The API key may not act for this user",
    hint: "Leave `user` out, or use a key that is not bound to a user and has the scope `runs:act_as`.",
  },
  scope_wider: {
    status: 403,
    title: "The new key would have more scopes than its maker",
    hint: "Ask for scopes that the key in use has itself.",
  },
  expiry_wider: {
    status: 403,
    title: "The new key would outlive its maker",
    hint: "Ask for an `expires_at` no later than that of the key in use.",
  },
  scope_not_for_users: {
    status: 403,
    title: "A key bound to a user cannot have this scope",
    hint: "Leave the scope out, or make a key without a user.",
  },
  policy_denied: {
    status: 403,
    title: "A policy does not allow this",
    hint: "Leave out what `errors` names; each says what is allowed. `PUT /v1/policy` changes the policy of the tenant.",
  },
  maker_ended: {
    status: 403,
    title: "The API key in use has just ended",
    hint: "Use another key: this one was revoked or has expired.",
  },
  approver_is_starter: {
    status: 403,
    title: "Who started or extended the run cannot decide what it may do",
    hint: "Let another key with `approvals:decide` decide, or make the link with one.",
  },
  not_found: {
    status: 404,
    title: "There is nothing here",
    hint: "Check the address. What belongs to another tenant or user is answered like this as well.",
  },
  no_such_step: {
    status: 404,
    title: "The run has no such step",
    hint: "`GET /v1/runs/{run}` lists the steps; an item is named by its number, from 0.",
  },
  method_not_allowed: {
    status: 405,
    title: "This address has no such method",
    hint: "`Allow` lists the methods.",
  },
  not_acceptable: {
    status: 406,
    title: "The answer has no such form",
    hint: "Accept `application/json`, or `text/event-stream` for events.",
  },
  identity_not_configured: {
    status: 409,
    title: "This deployment has no issuer",
    hint: "The operator sets `ISSUER_ORIGIN` (docs/identity.md). Nothing else of the API needs it.",
  },
  too_many_signing_keys: {
    status: 409,
    title: "Keys that signed lately must stay published first",
    hint: "Send it again after `Retry-After`; to take a key back at once, revoke it.",
  },
  run_ended: {
    status: 409,
    title: "The run has ended",
    hint: "Start another run; one that failed or was cancelled can be redriven.",
  },
  already_ending: {
    status: 409,
    title: "The run is in a phase that does not take this",
    hint: "Read the run: one that is ending takes no more work; one that has not ended cannot be redriven.",
  },
  nothing_to_redrive: {
    status: 409,
    title: "The run succeeded",
    hint: "Start another run.",
  },
  resolve_first: {
    status: 409,
    title: "The outcome of some steps is unknown",
    hint: "Find out whether each step in `errors` happened, and say so in `resolve` of the same call.",
  },
  not_unknown: {
    status: 409,
    title: "The step is not unknown",
    hint: "Only a step, item or undoing whose status is `unknown` can be resolved.",
  },
  not_open: {
    status: 409,
    title: "The run is not open",
    hint: "Steps can be appended to a run started with `open: true`, until it is closed or ends.",
  },
  step_exists: {
    status: 409,
    title: "The run has a step of this name with other content",
    hint: "Give the new step another name. Sending the same step again is no error.",
  },
  signal_not_expected: {
    status: 409,
    title: "No step can take this signal",
    hint: "Check the signal's name: no step of this run waits for it, or can still come to do so.",
  },
  signal_buffer_full: {
    status: 409,
    title: "Too many signals wait to be taken",
    hint: "Send the signal again when a step has taken some.",
  },
  not_waiting_for_approval: {
    status: 409,
    title: "Nothing waits for this decision any more",
    hint: "Read the approval: it has expired, or the step has ended otherwise. A redrive asks anew.",
  },
  tenant_exists: {
    status: 409,
    title: "The tenant's id is taken",
    hint: "Choose another id. Ids are never used twice.",
  },
  name_taken: {
    status: 409,
    title: "The name belongs to a workflow of the deployment",
    hint: "Store the plan under another name.",
  },
  plan_guarded: {
    status: 403,
    title: "The plan is trusted by its name",
    hint: "Store it under another name, or with a key that also has the scope that `detail` names: whoever changes this plan can use what trusts it.",
  },
  issuer_exists: {
    status: 409,
    title: "The name or the issuer is trusted already",
    hint: "Change that one with `PUT /v1/trusted-issuers/{name}`. A tenant trusts at most 100.",
  },
  cloud_role_exists: {
    status: 409,
    title: "There is a cloud role of this name",
    hint: "Choose another name, or change that one with `PUT /v1/cloud-roles/{role}`.",
  },
  invalid_cloud_role: {
    status: 422,
    title: "The cloud role cannot be what it says",
    hint: "`errors` names the field and its form; docs/identity.md has each provider's.",
  },
  hook_exists: {
    status: 409,
    title: "There is a hook of this name",
    hint: "Choose another name, or change that one with `PUT /v1/hooks/{name}`. A tenant has at most 500.",
  },
  hook_paused: {
    status: 409,
    title: "The hook is paused",
    hint: "`PUT /v1/hooks/{name}` with `paused` false, by a key that may answer for it, lets it go on.",
  },
  hook_unsigned: {
    status: 409,
    title: "The hook has no secret that can sign",
    hint: "Add one with `POST /v1/hooks/{name}/secrets`; a public key only verifies.",
  },
  delivery_gone: {
    status: 409,
    title: "The delivery cannot be delivered again",
    hint: "Bodies are kept of the last 20 deliveries, for 30 days. Let the service send it again.",
  },
  maker_revoked: {
    status: 409,
    title: "Who made the schedule may not act any more",
    hint: "Write it anew with `PUT /v1/schedules/{schedule}` and another key, then resume it.",
  },
  start_refused: {
    status: 409,
    title: "The schedule's run cannot be started",
    hint: "`detail` says why, with the code that stands in its log. Write the schedule anew, or change what refuses it.",
  },
  too_many_starts: {
    status: 409,
    title: "Too many starts of the schedule are pending",
    hint: "Send it again when some of them are settled: `GET /v1/schedules/{schedule}` shows them.",
  },
  invalid_schedule: {
    status: 422,
    title: "The schedule cannot be what it says",
    hint: "`errors` names the field and the rule that it breaks; docs/schedules.md has the limits.",
  },
  limit_reached: {
    status: 409,
    title: "No more of these can be stored",
    hint: "`detail` says what there is too much of: end or delete one.",
  },
  integration_exists: {
    status: 409,
    title: "The integration's name is taken",
    hint: "Choose another name. Names are never used twice, also not after a deletion.",
  },
  integration_fixed: {
    status: 409,
    title: "This of an integration never changes",
    hint: "Make another integration: where tokens may go is fixed when it is made, and connections do not move.",
  },
  session_over: {
    status: 409,
    title: "The connect session does not take this (any more)",
    hint: "Read the session: `state` says how it stands. Make another one.",
  },
  user_mismatch: {
    status: 409,
    title: "The session is for another user",
    hint: "Make a session for the user who is logged in. What was granted in this one is thrown away.",
  },
  account_mismatch: {
    status: 409,
    title: "Another account of the provider is connected there",
    hint: "Let the user choose the same account, make the session with `replace_account`, or name another `account`.",
  },
  identity_unverified: {
    status: 409,
    title: "It is not known whether it is the account that is connected",
    hint: "Let the user try again: the provider may say it then. Or make the session with `replace_account`.",
  },
  connections_missing: {
    status: 409,
    title: "Connections that the run needs are not there",
    hint: "`missing` names each, and how it is made: to a key with `connections:connect` by the link for its owner, if they consent in a browser; else by `how`. Then send the request again.",
  },
  nothing_to_accept: {
    status: 409,
    title: "The step waits for no decision about an account",
    hint: "Only a step that is `waiting_for` a connection with the reason `replaced` can accept what is there now.",
  },
  endpoint_disabled: {
    status: 409,
    title: "Nothing is sent to the endpoint",
    hint: "`POST /v1/endpoints/{endpoint}/enable` sends to it again.",
  },
  newest_key: {
    status: 409,
    title: "The newest key of an endpoint never ends",
    hint: "Replace it with `POST /v1/endpoints/{endpoint}/keys`; with `overlap_s: 0` it ends at once.",
  },
  not_replayable: {
    status: 409,
    title: "The message cannot be sent again",
    hint: "`detail` says why. The run that it is about can be read: its id is in the message's.",
  },
  key_in_use: {
    status: 409,
    title: "The key of the vault is in use",
    hint: "`detail` says by what. Records move by themselves, sooner with `POST /v1/vault/rewrap`; `GET /v1/vault/keys` counts them.",
  },
  run_erased: {
    status: 410,
    title: "The data of the run were erased",
    hint: "Start another run with a new idempotency key.",
  },
  run_not_ended: {
    status: 409,
    title: "The run goes on",
    hint: "Cancel it first (`POST /v1/runs/{run}/cancel`), and erase it once it has ended.",
  },
  too_many_erasures: {
    status: 409,
    title: "Too many users are being erased",
    hint: "Send it again once one of them is done: at most 1,000 of a tenant at a time.",
  },
  user_being_erased: {
    status: 409,
    title: "The data of the user are being erased",
    hint: "Nothing is started, made or kept for the user until `GET /v1/erasures/{id}` says `done`.",
  },
  run_deleted: {
    status: 410,
    title: "The run was deleted after its retention",
    hint: "Start another run with a new idempotency key.",
  },
  revision_mismatch: {
    status: 412,
    title: "The graph is at another revision",
    hint: "Read the run, and send `If-Match` with its present `revision`, or without.",
  },
  hook_changed: {
    status: 412,
    title: "The hook is at another version",
    hint: "Read the hook, and send `If-Match` with its present `version`, or without.",
  },
  body_too_large: {
    status: 413,
    title: "The body is too large",
    hint: "A body has at most 1 MiB. Put large data elsewhere and send its address.",
  },
  unsupported_media_type: {
    status: 415,
    title: "The body is not sent as JSON",
    hint: "Send `Content-Type: application/json`, without a content encoding.",
  },
  idempotency_mismatch: {
    status: 422,
    title: "The idempotency key was used with another body",
    hint: "Send the same body to get the same run, or a new key to start another.",
  },
  unknown_workflow: {
    status: 422,
    title: "There is no such workflow",
    hint: "`GET /v1/workflows` lists the workflows and their versions.",
  },
  invalid_input: {
    status: 422,
    title: "The input does not fit the workflow",
    hint: "`errors` names every place. `GET /v1/workflows/{workflow}` has the schema.",
  },
  invalid_payload: {
    status: 422,
    title: "The payload does not fit what the step waits for",
    hint: "`errors` names every place. The step's `with.schema` in the plan says what fits.",
  },
  bad_graph: {
    status: 422,
    title: "The steps do not make a graph that can run",
    hint: "`errors` names every place and the rule that it breaks.",
  },
  bad_plan: {
    status: 422,
    title: "The plan cannot run",
    hint: "`errors` names every place, the rule that it breaks, and what can stand there. `POST /v1/plans/validate` says the same without a run.",
  },
  unknown_integration: {
    status: 422,
    title: "There is no such integration",
    hint: "`GET /v1/integrations` lists them.",
  },
  invalid_integration: {
    status: 422,
    title: "The integration cannot be made like this",
    hint: "`errors` names every place. `GET /v1/providers` says what each provider needs.",
  },
  invalid_hook: {
    status: 422,
    title: "The hook cannot be like this",
    hint: "`errors` names every place. docs/triggers.md has the schemes and what expressions see.",
  },
  discovery_failed: {
    status: 422,
    title: "The issuer did not say what it is",
    hint: "Check `custom.issuer`: its `/.well-known/openid-configuration` must name this very issuer.",
  },
  wrong_kind: {
    status: 422,
    title: "The integration's connections are made in another way",
    hint: "What users consent to is connected by `POST /v1/connect-sessions`, everything else by `POST /v1/connections`.",
  },
  owner_mismatch: {
    status: 422,
    title: "The integration's connections are not of this owner",
    hint: "Name a `user` where they are users', and none where they are the tenant's.",
  },
  scopes_not_allowed: {
    status: 422,
    title: "The integration does not allow these scopes",
    hint: "`errors` names what is allowed. `PATCH /v1/integrations/{integration}` can allow more.",
  },
  return_to_not_allowed: {
    status: 422,
    title: "The browser cannot be sent there",
    hint: "Name one of the integration's `return_to`, exactly; the mode `confirm` needs one.",
  },
  mode_not_enabled: {
    status: 422,
    title: "The integration does not have this mode",
    hint: "Links that anybody may open need `link_enabled` of the integration.",
  },
  code_wrong: {
    status: 422,
    title: "The code is not that of the session",
    hint: "Send the code that came to `return_to` with this session, once.",
  },
  credential_refused: {
    status: 422,
    title: "The provider does not take the credential",
    hint: "Correct the integration's client and secret with `PATCH /v1/integrations/{integration}`, then send this again.",
  },
  events_full: {
    status: 429,
    title: "There is no room for another event of this name",
    hint: "Send it again after `Retry-After`, with the same id: it is one event.",
  },
  quota_exceeded: {
    status: 429,
    title: "A quota of the tenant is used up",
    hint: "Send it again after `Retry-After`. `GET /v1/quotas` says what there is and what is used; the operator can raise it.",
  },
  internal_error: {
    status: 500,
    title: "Something is wrong on this side",
    hint: "Send the request again. If it stays, report `request_id` to the operator.",
  },
  wrong_keyring: {
    status: 503,
    title: "A key of the vault is not the one that is known by its name",
    hint: "Put the right `KEYRING` back (docs/operations.md). Until then nothing is sealed, and nothing is lost.",
  },
  provider_unavailable: {
    status: 503,
    title: "The provider does not answer just now",
    hint: "Send the same request again after `Retry-After`.",
  },
  unavailable: {
    status: 503,
    title: "Not available at the moment",
    hint: "Send the same request again after `Retry-After`; with an idempotency key nothing happens twice.",
  },
} as const satisfies Readonly<Record<string, ProblemKind>>;

export type ProblemCode = keyof typeof PROBLEMS;

export const PROBLEM_CODES = Object.keys(PROBLEMS) as readonly ProblemCode[];

/** One thing that is wrong, and where: a JSON Pointer (RFC 6901) into the body, or a parameter, or a header. */
export interface FieldError {
  readonly pointer?: string;
  readonly parameter?: string;
  readonly header?: string;
  /** The rule that a definition breaks. */
  readonly code?: string;
  readonly detail: string;
  /** The expression that it is about, and how many characters of the text stand before the place. */
  readonly expression?: string;
  readonly offset?: number;
  /** What could stand there instead. */
  readonly allowed?: readonly string[];
}

/** A connection that is not there, and where it can be made. */
export interface MissingView {
  readonly integration: string;
  readonly account: string;
  readonly reason: string;
  readonly scopes: readonly string[];
  /** What has to be done, where that is not the link. */
  readonly how?: string;
  readonly connect?: { readonly url: string; readonly expires_at: number };
}

/** An expected failure, before it becomes an answer. */
export interface Problem {
  readonly problem: ProblemCode;
  /** What happened this time. Never holds what a caller sent as a secret. */
  readonly detail: string;
  readonly errors?: readonly FieldError[];
  readonly hint?: string;
  /** Of `connections_missing`. */
  readonly missing?: readonly MissingView[];
  /** Of `quota_exceeded`. */
  readonly quota?: { readonly name: string; readonly limit?: number };
  readonly headers?: Readonly<Record<string, string>>;
}

/** More than these help nobody, and a hostile body could ask for millions. */
export const MAX_FIELD_ERRORS = 20;

export function problem(
  code: ProblemCode,
  detail: string,
  more: Omit<Problem, "problem" | "detail"> = {},
): Problem {
  return { problem: code, detail, ...more };
}

/** A problem whose only trouble is one place; the detail is the place's. */
export function problemAt(code: ProblemCode, place: Omit<FieldError, "detail">, detail: string): Problem {
  return { problem: code, detail, errors: [{ ...place, detail }] };
}

export function isProblem(value: object): value is Problem {
  return "problem" in value;
}

/** The body of the answer, RFC 9457 section 3.1, with our extensions. */
export function problemBody(
  { problem: code, detail, errors, hint, missing, quota }: Problem,
  request: { readonly path: string; readonly requestId: string },
): Readonly<Record<string, unknown>> {
  const { status, title, hint: standing } = PROBLEMS[code];
  return {
    type: `/problems/${code}`,
    title,
    status,
    detail: sentenceWithoutSecrets(detail),
    instance: request.path,
    code,
    ...(errors === undefined ? {} : { errors: withoutSecrets(errors.slice(0, MAX_FIELD_ERRORS)) }),
    ...(missing === undefined ? {} : { missing }),
    ...(quota === undefined ? {} : { quota }),
    hint: hint ?? standing,
    request_id: request.requestId,
  };
}

export function problemResponse(
  failure: Problem,
  request: { readonly path: string; readonly requestId: string },
): Response {
  return new Response(JSON.stringify(problemBody(failure, request)), {
    status: PROBLEMS[failure.problem].status,
    headers: { "content-type": "application/problem+json", "cache-control": "no-store", ...failure.headers },
  });
}
