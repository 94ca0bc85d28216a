/** What the actions say when something does not work: a stable code, what happened, what to do next. */

import { limits, type FailureCode, type FailureSeed } from "../kernel/index.ts";
import { describeError, redactShapes } from "../platform/index.ts";

export function failure(
  code: FailureCode,
  message: string,
  hint: string,
  more: { readonly retryable?: boolean; readonly status?: number; readonly reason?: string } = {},
): FailureSeed {
  return {
    code,
    message: cut(redactShapes(message)),
    hint: cut(hint),
    retryable: more.retryable ?? false,
    ...(more.status === undefined ? {} : { status: more.status }),
    ...(more.reason === undefined ? {} : { reason: cut(redactShapes(more.reason)) }),
  };
}

/** The failure of an answer: its status, and what the service itself said about it. */
export function httpFailure(
  status: number,
  host: string,
  said: string | null,
  retryable: boolean,
): FailureSeed {
  const message = `${host} answered ${status}${said === null ? "." : `: ${said}`}`;
  return failure(`http_${status}`, message, hintFor(status), { retryable, status });
}

/** What an author's function threw, in one line. Cannot throw, whatever the value does. */
export function describe(error: unknown): string {
  const { name, message } = describeError(error);
  return `${name}: ${message}`;
}

function hintFor(status: number): string {
  switch (status) {
    case 400:
    case 422:
      return "The service did not accept the request as it was sent: correct the step's parameters.";
    case 401:
      return "The service did not accept the credential: check that the step's `auth` names the right one, and renew it.";
    case 402:
      return "The service asks for a payment, or declined one.";
    case 403:
      return "The credential is known but may not do this: give it the right, or name another.";
    case 404:
    case 410:
      return "There is nothing at this address: check the URL, or whether something removed it.";
    case 405:
      return "The address does not take this method: correct `method`.";
    case 409:
      return "The service is in a state that forbids this. With a `keyed` step: the first attempt may still be at work.";
    case 408:
    case 425:
    case 429:
      return "The service asked to come back later: raise the attempts or the cap of the retry policy, or send less at a time.";
    case 413:
      return "The request is too large for the service: send less.";
    case 415:
      return "The service wants another content type: use `json`, `form` or `text` with the right header.";
    case 503:
      return "The service is not available. If its 503 means that it did nothing, say `refused: [503]`.";
    default:
  }
  if (status === 301 || status === 302 || status === 303)
    return "To a request that changes something this is mostly said when it worked: if so, list the status in `success`. Only GET and HEAD of `safe` steps follow redirects.";
  if (status < 400)
    return "Only GET and HEAD of `safe` steps follow redirects: call the address that the service points to.";
  if (status < 500) return "The same request would be answered the same: correct it.";
  return "The service has failed: look there, or raise the attempts of the retry policy.";
}

function cut(text: string): string {
  return text.length <= limits.MAX_MESSAGE_CHARS ? text : `${text.slice(0, limits.MAX_MESSAGE_CHARS - 1)}…`;
}
