/** Endpoints as answers show them, and what their room refuses as problems. */
import type {
  Endpoint,
  EndpointKey,
  EndpointRefusal,
  Logged,
  MadeKey,
  EndpointQueueView,
  ReplayAnswer,
} from "../triggers/index.ts";
import { problem, type Problem, problemAt } from "./problems.ts";
import { full } from "./quota-check.ts";

type View = Readonly<Record<string, unknown>>;

/** @param stands whether its maker may act */
export function viewEndpoint(endpoint: Endpoint, stands: boolean): View {
  const { id, url, types, description, disabled, maker, version, createdAt, createdBy, updatedAt } = endpoint;
  return {
    ...{ id, url, events: types, description },
    status: disabled !== null ? "disabled" : stands ? "active" : "held",
    ...{ disabled, maker: maker.actor, version },
    ...{ created_at: createdAt, created_by: createdBy, updated_at: updatedAt },
  };
}

export function viewKey({ id, kind, publicKey, madeAt, until }: EndpointKey): View {
  return { id, kind, public_key: publicKey, made_at: madeAt, until };
}

export function viewMadeKey({ key, text }: MadeKey): View {
  return { ...viewKey(key), secret: text };
}

export function viewQueue(
  { pending, failed, failingSince, nextAt }: EndpointQueueView,
  { since }: Endpoint,
): View {
  return {
    ...{ pending, failed, next_at: nextAt },
    // What failed before it was as it is now says nothing of it.
    failing_since: failingSince !== null && failingSince >= since ? failingSince : null,
  };
}

export function viewLogged(logged: Logged): View {
  const { id, type, at, taken, status, code, tries, due, ended, attempts, kept } = logged;
  return {
    ...{ id, type, at, taken_at: taken, status, code, tries, next_at: due, ended_at: ended },
    ...{ attempts, replayable: kept },
  };
}

export function noEndpoint(): Problem {
  return problem("not_found", "There is no such endpoint.");
}

export function ofEndpoint(refusal: EndpointRefusal): Problem {
  switch (refusal.code) {
    case "not_found":
      return noEndpoint();
    case "flawed":
      return problemAt("invalid_request", { pointer: refusal.pointer }, refusal.detail);
    case "denied":
      return problemAt("policy_denied", { pointer: refusal.pointer }, refusal.detail);
    case "too_many":
      return full("endpoints");
    case "newest_key":
      return problem("newest_key", "It is the key that the endpoint signs with.");
    case "conflict":
      return problem("unavailable", "The endpoint was changed at the same moment.", {
        headers: { "retry-after": "1" },
      });
  }
}

export function ofReplay({ code }: Extract<ReplayAnswer, { ok: false }>): Problem {
  switch (code) {
    case "not_found":
      return problem("not_found", "There is no such message.");
    case "disabled":
      return problem("endpoint_disabled", "The endpoint is disabled.");
    case "not_kept":
      return problem("not_replayable", "The message is not kept: too many waited when it came.");
    case "queue_full":
      return problem("not_replayable", "Too many messages wait already.");
  }
}
