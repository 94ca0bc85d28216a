/**
 * Reads what a token endpoint answered. Pure; the clock is an argument.
 *
 * T1 The class follows from the code in the body, not from the status: Slack and GitHub send errors with 200, Atlassian a
 *    dead refresh token with 403, Linear a rate limit with 400.
 * T2 Only a code that is known to mean it is `terminal`. What is not understood is `passing`: it kills no connection.
 * T3 What is not said is not invented: no `expires_in` is no expiry, no `scope` is as requested (RFC 6749 5.1), no
 *    `refresh_token` is the old one.
 * T4 No text of the answer but a short code and a scrubbed description leaves with a failure.
 */
import { createRedactor, err, isPublicName, ok, redactShapes, type Result } from "../../platform/index.ts";
import { joinedAt, matchesBody, parseBody, textAt, valuesAt, type Parsed } from "./body.ts";
import type { AnswerShape, Bound, ConsentProvider, MachineProvider, Meaning } from "./descriptor.ts";
import { findRule, waitMs } from "./rules.ts";
import { splitScopes } from "./scopes.ts";

/** Longer than any that providers send (4 KiB JWTs), and short enough for a header at every server worth calling. */
export const MAX_TOKEN_CHARS = 16_384;
/** What an endpoint may answer in all. */
export const MAX_ANSWER_CHARS = 262_144;
const MAX_DESCRIPTION_CHARS = 200;
const MAX_EXTRA_CHARS = 2_048;
/** A lifetime beyond this is no lifetime. */
const MAX_LIFE_MS = 20 * 365 * 86_400_000;

/** RFC 6749 A.12 and A.17 allow spaces; a header value could not begin or end with one, so no token has any. */
const TOKEN = /^[\x21-\x7e]+$/;
const CODE = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/;

/** The grant is gone. At a code exchange: the code is. */
const TERMINAL = new Set(["invalid_grant", "invalid_refresh_token", "bad_refresh_token", "token_revoked"]);
/** RFC 6749 5.2, RFC 7523 3.2, and what providers say instead. */
const MISCONFIGURED = new Set([
  "invalid_client",
  "unauthorized_client",
  "unsupported_grant_type",
  "invalid_scope",
  "invalid_request",
  "invalid_target",
  "incorrect_client_credentials",
  "redirect_uri_mismatch",
]);

export interface TokenHttpAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface TokenSuccess {
  readonly accessToken: string;
  /** Missing: on a refresh, the old one stays. */
  readonly refreshToken?: string;
  /** Milliseconds since the epoch. Missing: the provider does not say; not "expired". */
  readonly expiresAt?: number;
  /** Missing: as requested. */
  readonly scopes?: readonly string[];
  /** When the refresh token ends unless it is used. */
  readonly refreshExpiresAt?: number;
  /** When it ends whatever happens. */
  readonly hardExpiresAt?: number;
  /** Values of the descriptor's `answer.extra`. A URL is here only if its host is one that the descriptor allows. */
  readonly extra: Readonly<Record<string, string>>;
  /** If the descriptor says that the answer itself tells who the account is. */
  readonly account?: { readonly id: string; readonly label: string };
  /** Not checked yet: identity.ts does. Holds personal data. */
  readonly idToken?: string;
}

export interface TokenFailure {
  readonly class: "terminal" | "passing" | "misconfigured";
  /** The provider's code, or `http_NNN`, `answer_unreadable`, `token_unusable`. */
  readonly code: string;
  /** The provider's words, scrubbed and cut; for the operator. */
  readonly description?: string;
  readonly retryAfterMs?: number;
}

type WithTokens = Bound<ConsentProvider> | Bound<MachineProvider>;

/** `secrets`: what was sent (code, refresh token, client secret, assertion), so that an echo of it is taken out. */
export function readTokenAnswer(
  provider: WithTokens,
  answer: TokenHttpAnswer,
  context: { readonly now: number; readonly secrets: readonly string[] },
): Result<TokenSuccess, TokenFailure> {
  const body =
    answer.body.length > MAX_ANSWER_CHARS
      ? null
      : parseBody(answer.body, answer.headers["content-type"] ?? "");
  const failed = answer.status < 200 || answer.status > 299 || saysFailure(body);
  if (failed) return err(failureOf(provider, answer, body, context));
  // A token endpoint answers with 200; anything else that is no error and has no token is a page of somebody in between.
  const pair = body === null ? null : pairOf(provider.answer, body);
  if (body === null || pair === null) return err({ class: "passing", code: "answer_unreadable" });
  const accessToken = textAt(pair, "/access_token") ?? "";
  const refreshToken = textAt(pair, "/refresh_token");
  if (!usable(accessToken) || (refreshToken !== undefined && !usable(refreshToken)))
    return err({ class: "passing", code: "token_unusable" });
  return ok({
    accessToken,
    ...(refreshToken === undefined ? {} : { refreshToken }),
    ...timesOf(provider.answer ?? {}, pair, body, context.now),
    ...scopesOf(pair),
    extra: extraOf(provider, body),
    ...accountOf(provider, body),
    ...idTokenOf(body),
  });
}

function saysFailure(body: Parsed | null): boolean {
  return (
    body !== null && (typeof valuesAt(body, "/error")[0] === "string" || valuesAt(body, "/ok")[0] === false)
  );
}

/** Slack nests the user's pair; the place that the descriptor names first and that has a token is the one. */
function pairOf(shape: AnswerShape | undefined, body: Parsed): unknown {
  for (const place of shape?.pairs ?? [{ at: "" }]) {
    if (place.if !== undefined && !matchesBody(body, place.if)) continue;
    const [pair] = valuesAt(body, place.at);
    if (textAt(pair, "/access_token") !== undefined) return pair;
  }
  return null;
}

function usable(token: string): boolean {
  return token.length <= MAX_TOKEN_CHARS && TOKEN.test(token);
}

function timesOf(
  shape: AnswerShape,
  pair: unknown,
  body: Parsed,
  now: number,
): Pick<TokenSuccess, "expiresAt" | "refreshExpiresAt" | "hardExpiresAt"> {
  const at = (from: unknown, pointer: string | undefined, unitMs: number) => {
    const ms = pointer === undefined ? Number.NaN : Number(textAt(from, pointer) ?? Number.NaN) * unitMs;
    // Zero is how some say "never". If it does mean "now", the first 401 will tell.
    return ms > 0 && ms <= MAX_LIFE_MS ? now + Math.floor(ms) : undefined;
  };
  const expiresAt = at(pair, "/expires_in", shape.expiresInUnit === "ms" ? 1 : 1_000);
  const refreshExpiresAt = at(body, shape.refreshExpiresIn, 1_000);
  const hardExpiresAt = at(body, shape.hardExpiresIn, 1_000);
  return {
    ...(expiresAt === undefined ? {} : { expiresAt }),
    ...(refreshExpiresAt === undefined ? {} : { refreshExpiresAt }),
    ...(hardExpiresAt === undefined ? {} : { hardExpiresAt }),
  };
}

function scopesOf(pair: unknown): Pick<TokenSuccess, "scopes"> {
  const [scope] = valuesAt(pair, "/scope");
  if (typeof scope === "string") return { scopes: splitScopes(scope) };
  const list = Array.isArray(scope) && scope.every((one) => typeof one === "string") ? scope : null;
  return list === null ? {} : { scopes: splitScopes(list.join(" ")) };
}

function extraOf(provider: WithTokens, body: Parsed): Readonly<Record<string, string>> {
  const found: [string, string][] = [];
  for (const [name, pointer] of Object.entries(provider.answer?.extra ?? {})) {
    const value = textAt(body, pointer);
    if (value === undefined || value.length > MAX_EXTRA_CHARS) continue;
    if (provider.hostFrom?.extra === name && hostOfAnswer(provider, value) === null) continue;
    found.push([name, value]);
  }
  return Object.fromEntries(found);
}

/** The host of a URL that an answer brought (Salesforce's instance), if the token may be sent there; else null. */
export function hostOfAnswer(provider: Bound, value: string): string | null {
  const url = URL.parse(value);
  if (url === null || url.protocol !== "https:" || url.port !== "" || url.username + url.password !== "")
    return null;
  const allowed = provider.hostFrom?.suffixes.some((suffix) => url.hostname.endsWith(suffix)) ?? false;
  return allowed && isPublicName(url.hostname) ? url.hostname : null;
}

function accountOf(provider: WithTokens, body: Parsed): Pick<TokenSuccess, "account"> {
  const identity = "identity" in provider ? provider.identity : undefined;
  if (identity?.from !== "answer") return {};
  const id = joinedAt(body, identity.id);
  return id === undefined ? {} : { account: { id, label: joinedAt(body, identity.label) ?? id } };
}

function idTokenOf(body: Parsed): Pick<TokenSuccess, "idToken"> {
  const idToken = textAt(body, "/id_token");
  return idToken !== undefined && usable(idToken) ? { idToken } : {};
}

function failureOf(
  provider: WithTokens,
  answer: TokenHttpAnswer,
  body: Parsed | null,
  context: { readonly now: number; readonly secrets: readonly string[] },
): TokenFailure {
  const redactor = createRedactor(context.secrets);
  const said = body === null ? undefined : codeOf(body);
  const code = said !== undefined && redactor.text(said).found === 0 ? said : `http_${answer.status}`;
  const rule = findRule(provider.tokenErrors ?? [], { ...answer, body });
  const retryAfterMs = waitMs(answer.headers, rule?.until, context.now);
  const words = textAt(body, "/error_description") ?? textAt(body, "/message");
  const description = words === undefined ? "" : scrubbed(redactor.text(words).value);
  return {
    class: rule === undefined ? classOf(code, answer.status) : CLASS_OF[rule.is],
    code,
    ...(description === "" ? {} : { description }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
}

function codeOf(body: Parsed): string | undefined {
  return ["/error", "/error/code", "/errors/0/extensions/code", "/errorCode", "/status", "/code"]
    .flatMap((pointer) => valuesAt(body, pointer))
    .find((value): value is string => typeof value === "string" && CODE.test(value));
}

const CLASS_OF: Readonly<Record<Meaning, TokenFailure["class"]>> = {
  token_dead: "terminal",
  misconfigured: "misconfigured",
  scope_missing: "misconfigured",
  refused: "misconfigured",
  token_refused: "passing",
  rate_limited: "passing",
  passing: "passing",
};

function classOf(code: string, status: number): TokenFailure["class"] {
  if (TERMINAL.has(code)) return "terminal";
  if (status === 429 || status >= 500) return "passing";
  if (MISCONFIGURED.has(code)) return "misconfigured";
  // The client was not let in, or nothing is there: no user can help. Any other 4xx may be a limit in disguise (T2).
  return status === 401 || status === 404 || status === 405 ? "misconfigured" : "passing";
}

function scrubbed(text: string): string {
  const plain = redactShapes(text.replace(/[^\x20-\x7e]+/g, " ")).trim();
  // A long unbroken run of characters is no word of a sentence.
  return plain.replace(/[A-Za-z0-9+/_=.~-]{32,}/g, "[REDACTED]").slice(0, MAX_DESCRIPTION_CHARS);
}
