/** Answers that several routes give: a run, a page, a refusal of a room below. */
import type {
  AccessRefusal,
  AccessRefusalCode,
  AuthFailure,
  AuthFailureCode,
  KeyIdentity,
} from "../access/index.ts";
import type { RunErrorCode, RunView } from "../run/index.ts";
import { seesRuns } from "./outputs.ts";
import { problem, type Problem, type ProblemCode } from "./problems.ts";
import { preferenceApplied, runTag, type Preferences } from "./request-headers.ts";
import { insufficientScope } from "./route.ts";

/** When to ask again about a run that goes on: soon, because most runs are short, and `Prefer: wait` is better. */
export const RETRY_AFTER_S = 1;
/** When to ask again for a run that rests after a failure: no sooner is it tried again. */
const RESTING_RETRY_AFTER_S = 30;

/** Exhaustive: a code that a run learns to answer does not compile here until it has a status. */
const OF_RUN: Readonly<Record<RunErrorCode, ProblemCode>> = {
  not_found: "not_found",
  not_started: "not_found",
  run_deleted: "run_deleted",
  run_erased: "run_erased",
  user_being_erased: "user_being_erased",
  invalid_payload: "invalid_payload",
  unavailable: "unavailable",
  idempotency_mismatch: "idempotency_mismatch",
  run_ended: "run_ended",
  already_ending: "already_ending",
  nothing_to_redrive: "nothing_to_redrive",
  resolve_first: "resolve_first",
  no_such_step: "no_such_step",
  not_unknown: "not_unknown",
  not_open: "not_open",
  step_exists: "step_exists",
  revision_mismatch: "revision_mismatch",
  bad_graph: "bad_graph",
  signal_not_expected: "signal_not_expected",
  signal_buffer_full: "signal_buffer_full",
  not_waiting_for_approval: "not_waiting_for_approval",
  approver_is_starter: "approver_is_starter",
  // Answers to inputs that no caller can give.
  already_started: "internal_error",
  not_due: "internal_error",
  not_queued: "internal_error",
};

export interface RunRefusal {
  readonly code: RunErrorCode;
  readonly message: string;
  readonly details?: readonly { readonly pointer: string; readonly code?: string; readonly detail: string }[];
}

export function ofRun({ code, message, details }: RunRefusal): Problem {
  if (code === "unavailable")
    return problem("unavailable", message, { headers: { "retry-after": String(RESTING_RETRY_AFTER_S) } });
  return problem(OF_RUN[code], message, details === undefined ? {} : { errors: details });
}

/** A prober learns nothing from these: whoever gets `key_expired` or `key_revoked` holds the key's text already. */
const OF_AUTH: Readonly<Record<AuthFailureCode, ProblemCode>> = {
  credentials_missing: "credentials_missing",
  credentials_malformed: "invalid_key",
  key_malformed: "invalid_key",
  key_unknown: "invalid_key",
  key_expired: "key_expired",
  key_revoked: "key_revoked",
  token_refused: "invalid_token",
  access_unavailable: "unavailable",
};

/** RFC 6750 section 3: no error code where no credentials were sent. */
export function ofAuth({ code, message }: AuthFailure): Problem {
  if (code === "access_unavailable")
    return problem("unavailable", message, { headers: { "retry-after": String(RETRY_AFTER_S) } });
  const error = code === "credentials_missing" ? "" : ', error="invalid_token"';
  return problem(OF_AUTH[code], message, {
    headers: { "www-authenticate": `Bearer realm="showcaller"${error}` },
  });
}

const OF_ACCESS: Readonly<Record<AccessRefusalCode, ProblemCode>> = {
  forbidden: "insufficient_scope",
  scope_wider: "scope_wider",
  user_wider: "user_wider",
  expiry_wider: "expiry_wider",
  scope_not_for_users: "scope_not_for_users",
  maker_ended: "maker_ended",
  // The one operation by which root makes keys takes nothing that could make another one.
  admin_keys_only: "insufficient_scope",
  tenant_unknown: "not_found",
  key_unknown: "not_found",
  issuer_unknown: "not_found",
  tenant_exists: "tenant_exists",
  issuer_exists: "issuer_exists",
  too_many: "quota_exceeded",
  invalid: "invalid_request",
};

export function ofAccess({ code, message, pointer }: AccessRefusal): Problem {
  if (code === "forbidden") return insufficientScope(message, null);
  return problem(
    OF_ACCESS[code],
    message,
    pointer === undefined ? {} : { errors: [{ pointer, detail: message }] },
  );
}

export function jsonResponse(
  value: unknown,
  status: 200 | 201 | 202 = 200,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return new Response(JSON.stringify(value), {
    status,
    headers: { "content-type": "application/json", ...headers },
  });
}

export function isOver(view: RunView): boolean {
  return view.status === "succeeded" || view.status === "failed" || view.status === "cancelled";
}

export function addressOf(run: string): string {
  return `/v1/runs/${run}`;
}

/** Another key may see a run otherwise, or not at all, so no cache may share it. */
export const UNSHARED = { "cache-control": "private, no-cache", vary: "authorization, prefer" } as const;

/** Headers of every answer that shows a run. */
export function runHeaders(view: RunView): Record<string, string> {
  return { etag: runTag(view.seq), ...UNSHARED };
}

/** The run, as the answer to something that is done at once; to a key that sees no runs, which one it is. */
export function runResponse(identity: KeyIdentity, view: RunView): Response {
  if (!seesRuns(identity)) return jsonResponse({ id: view.id }, 200, UNSHARED);
  return jsonResponse(view, 200, runHeaders(view));
}

/**
 * The run, as the answer to something that takes its time: 200 if it is over and the caller wanted to wait for that,
 * else 202 with the address to ask again. To a key that sees no runs, always 202 and which one it is.
 */
export function longRunning(
  identity: KeyIdentity,
  view: RunView,
  preferences: Preferences,
  more: Record<string, string> = {},
): Response {
  if (!seesRuns(identity))
    return jsonResponse({ id: view.id }, 202, { ...UNSHARED, location: addressOf(view.id), ...more });
  const applied = preferenceApplied(preferences);
  const headers = {
    ...runHeaders(view),
    location: addressOf(view.id),
    ...(applied === null ? {} : { "preference-applied": applied }),
    ...more,
  };
  if (preferences.waitMs !== null && isOver(view)) return jsonResponse(view, 200, headers);
  return jsonResponse(view, 202, { ...headers, "retry-after": String(RETRY_AFTER_S) });
}
