/** Which headers may be sent, which survive a redirect to another origin, and which of an answer are kept. Pure. */
import { err, ok, type Result } from "./result.ts";

/** Headers that the connection itself, or the platform in front of the other side, gives a meaning to. */
const NEVER_SENT = new Set([
  "connection",
  "content-length",
  "expect",
  "forwarded",
  "host",
  "keep-alive",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "via",
  "x-real-ip",
  // They make a service take the request for one of another method or path than the one that was judged.
  "x-http-method",
  "x-http-method-override",
  "x-method-override",
  "x-original-url",
  "x-rewrite-url",
]);
const NEVER_SENT_PREFIXES = ["cf-", "proxy-", "sec-", "x-forwarded-"] as const;

/**
 * What another origin may see of a redirected request. A list of what may stay, not of what must go: an API key travels
 * in a header of any name.
 */
const KEPT_ACROSS_ORIGINS = new Set(["accept", "accept-language", "range", "traceparent", "user-agent"]);

/** Answer headers that say something to a workflow. Others may hold secrets (Set-Cookie) or are only bulk. */
const KEPT_OF_ANSWER = new Set([
  "accept-ranges",
  "allow",
  "cache-control",
  "content-disposition",
  "content-language",
  "content-range",
  "content-type",
  "date",
  "deprecation",
  "etag",
  "expires",
  "idempotent-replayed",
  "last-modified",
  "link",
  "location",
  "preference-applied",
  "ratelimit",
  "ratelimit-limit",
  "ratelimit-policy",
  "ratelimit-remaining",
  "ratelimit-reset",
  "request-id",
  "retry-after",
  "sunset",
  "warning",
  "www-authenticate",
  "x-correlation-id",
  "x-next-page",
  "x-page",
  "x-per-page",
  "x-ratelimit-limit",
  "x-ratelimit-remaining",
  "x-ratelimit-reset",
  "x-request-id",
  "x-total",
  "x-total-count",
  "x-total-pages",
]);
const NEVER_KEPT = new Set([
  "authorization",
  "authentication-info",
  "cookie",
  "proxy-authenticate",
  "set-cookie",
  "set-cookie2",
]);
/** A longer one is left out whole: half of a value could be half of a secret, which redaction would not know. */
const MAX_KEPT_HEADER_CHARS = 8_192;

export type HeaderRefusal = {
  readonly code: "header_forbidden" | "header_invalid";
  readonly message: string;
};

/** RFC 9110 section 5.6.2, and what of section 5.5 needs no second look. The platform decides about everything else. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const PLAIN_VALUE = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;

/** Headers by name in lower case: plain data, because every object of the platform costs its way there and back. */
export type HeaderRecord = Record<string, string>;

/** Headers ready to send, or why not. Values are never in the message. */
export function checkHeaders(given: Readonly<Record<string, string>>): Result<HeaderRecord, HeaderRefusal> {
  // Without a prototype, so that `__proto__` is a name like any other.
  const headers = Object.create(null) as HeaderRecord;
  for (const [name, value] of Object.entries(given)) {
    const lower = name.toLowerCase();
    if (NEVER_SENT.has(lower) || NEVER_SENT_PREFIXES.some((prefix) => lower.startsWith(prefix))) {
      return err({
        code: "header_forbidden",
        message: `The header "${lower}" is set by the platform and cannot be given.`,
      });
    }
    const before = headers[lower];
    try {
      const checked = TOKEN.test(name) && PLAIN_VALUE.test(value) ? value : normalized(lower, value);
      headers[lower] = before === undefined ? checked : `${before}, ${checked}`;
    } catch {
      return err({
        code: "header_invalid",
        message: `The header "${printable(name)}" has a name or value that HTTP does not allow.`,
      });
    }
  }
  return ok(headers);
}

/** Throws if the platform does not take the header. */
function normalized(name: string, value: string): string {
  return new Headers([[name, value]]).get(name) ?? "";
}

/** The part of a request's headers that may go to another origin. */
export function headersForOtherOrigin(headers: HeaderRecord): HeaderRecord {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => KEPT_ACROSS_ORIGINS.has(name)));
}

/** The kept headers of an answer, names in lower case. `also` names more that the caller wants. */
export function keptHeaders(headers: Headers, also: readonly string[] = []): Record<string, string> {
  const wanted = also.map((name) => name.toLowerCase());
  const kept: [string, string][] = [];
  headers.forEach((value, name) => {
    if (NEVER_KEPT.has(name) || value.length > MAX_KEPT_HEADER_CHARS) return;
    if (KEPT_OF_ANSWER.has(name) || wanted.includes(name)) kept.push([name, value]);
  });
  return Object.fromEntries(kept);
}

function printable(name: string): string {
  return name.slice(0, 64).replace(/[^\x21-\x7e]/g, "?");
}
