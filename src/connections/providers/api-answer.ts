/** What an API's answer says about the connection that was used. Pure; the clock is an argument. */
import { parseJson, valuesAt } from "./body.ts";
import type { Bound, ErrorRule } from "./descriptor.ts";
import { findRule, waitMs, type RuledAnswer } from "./rules.ts";
import { splitScopes } from "./scopes.ts";

/** A body that says what went wrong is short; of a longer one only status and headers count. */
export const MAX_LOOKED_AT_CHARS = 65_536;

/** Of another type it may be a file, with anybody's words in it. */
const JSON_TYPE = /^\s*(?:application|text)\/(?:[\w.-]+\+)?json\s*(?:;|$)/i;

export interface ApiHttpAnswer {
  /** That was asked, and answered. */
  readonly host: string;
  readonly status: number;
  /**
   * Names in lower case. Those that count are named in the descriptor, besides content-type, www-authenticate, retry-after
   * and date.
   */
  readonly headers: Readonly<Record<string, string>>;
  /** The body, or its beginning. */
  readonly body: string;
}

/**
 * - `token_refused`: refresh once, try again. A second time it is the caller who knows more: with no refresh token, or after
 *   a terminal refresh, the connection is dead.
 * - `scope_missing`: `scopes` if the answer names them.
 * - `rate_limited`: `waitMs` from now, if the answer says so.
 */
export type ApiFinding =
  | { readonly is: "token_refused" | "token_dead" | "refused" | "misconfigured" }
  | { readonly is: "scope_missing"; readonly scopes: readonly string[] }
  | { readonly is: "rate_limited"; readonly waitMs?: number };

/** Undefined: the answer says nothing about the connection; it is the step's own success or failure. */
export function readApiAnswer(
  provider: Bound,
  answer: ApiHttpAnswer,
  context: { readonly now: number },
): ApiFinding | undefined {
  const { host, status, headers, body } = answer;
  const telling = body.length <= MAX_LOOKED_AT_CHARS && JSON_TYPE.test(headers["content-type"] ?? "");
  const ruled: RuledAnswer = { host, status, headers, body: telling ? parseJson(body) : null };
  const rule = findRule(provider.apiErrors ?? [], ruled);
  if (rule !== undefined) return findingOf(rule, ruled, context.now);
  const challenge = readChallenge(answer.headers["www-authenticate"]);
  if ((answer.status === 403 || answer.status === 401) && challenge.error === "insufficient_scope")
    return { is: "scope_missing", scopes: splitScopes(challenge.scope ?? "") };
  if (answer.status === 401) return { is: "token_refused" };
  return answer.status === 429 ? limited(answer.headers, undefined, context.now) : undefined;
}

function findingOf(rule: ErrorRule, answer: RuledAnswer, now: number): ApiFinding | undefined {
  switch (rule.is) {
    case "token_refused":
    case "token_dead":
    case "refused":
    case "misconfigured":
      return { is: rule.is };
    case "rate_limited":
      return limited(answer.headers, rule.until, now);
    case "passing":
      return undefined;
    case "scope_missing": {
      const named = (rule.scopesAt ?? []).flatMap((pointer) => scopesIn(answer.body, pointer));
      const challenged = readChallenge(answer.headers["www-authenticate"]).scope ?? "";
      return { is: "scope_missing", scopes: splitScopes([...named, challenged].join(" ")) };
    }
  }
}

function scopesIn(body: unknown, pointer: string): readonly string[] {
  const texts: readonly unknown[] = valuesAt(body, pointer).flat();
  return texts.filter((text) => typeof text === "string");
}

function limited(
  headers: Readonly<Record<string, string>>,
  until: ErrorRule["until"],
  now: number,
): ApiFinding {
  const wait = waitMs(headers, until, now);
  return wait === undefined ? { is: "rate_limited" } : { is: "rate_limited", waitMs: wait };
}

/** RFC 6750 section 3: `error` and `scope` of a Bearer challenge. */
function readChallenge(header: string | undefined): { readonly error?: string; readonly scope?: string } {
  if (header === undefined || !/\bbearer\b/i.test(header)) return {};
  const found = [...header.slice(0, 4_096).matchAll(/\b(error|scope)\s*=\s*(?:"([^"]*)"|([^\s,"]+))/gi)];
  return Object.fromEntries(
    found.map(([, name = "", quoted, bare]) => [name.toLowerCase(), quoted ?? bare ?? ""]),
  );
}
