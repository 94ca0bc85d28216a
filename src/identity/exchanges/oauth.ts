/** What services of OAuth 2 answer: RFC 6749 section 5, RFC 8693 section 2.2, RFC 7523 section 3.1. Pure. */
import { err, ok, type Result } from "../../platform/index.ts";
import type { CloudCredential } from "../role.ts";
import {
  type Context,
  type ExchangeFault,
  faultOf,
  isToken,
  jsonOf,
  PASSING,
  type Table,
  textOf,
  type TokenAnswer,
  unreadable,
} from "./shapes.ts";

export const TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";
export const ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token";
export const JWT = "urn:ietf:params:oauth:token-type:jwt";
export const ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token";

/** Of an answer that does not say how long its token lives: short, so that an early end costs an exchange and no step. */
export const FALLBACK_LIFE_S = 300;
/** No service gives more; a lifetime beyond this is a mistake. */
const MAX_LIFE_S = 86_400;

/** What any of them may say; the tables of services come first. */
export const OAUTH_ERRORS: Table = {
  // RFC 8693 2.2.2: also where the token itself is not taken.
  invalid_request: {
    kind: "configuration",
    remint: true,
    settles: true,
    change:
      "The service does not take the request or its token: check what it trusts, and the role's settings.",
  },
  invalid_grant: {
    kind: "configuration",
    remint: true,
    settles: true,
    change:
      "The service does not trust the token: check issuer, subject and audience there, letter by letter.",
  },
  invalid_target: {
    kind: "configuration",
    change: "The service knows no such audience or resource: correct that of the role.",
  },
  invalid_client: {
    kind: "configuration",
    change: "The service knows no such client: correct the role's client id.",
  },
  unauthorized_client: {
    kind: "configuration",
    change: "The service lets this client or subject not exchange tokens: allow it there.",
  },
  access_denied: {
    kind: "configuration",
    change: "The service's rules refuse this subject: allow it there.",
  },
  invalid_scope: {
    kind: "configuration",
    change: "The service gives no such scope: correct the scopes of the role.",
  },
  unsupported_grant_type: {
    kind: "configuration",
    change: "The service does not exchange tokens at this address, or not yet for this client.",
  },
  unsupported_token_type: {
    kind: "configuration",
    change: "The service does not take this type of token: change the role's type of subject token.",
  },
  temporarily_unavailable: PASSING,
  server_error: PASSING,
  slow_down: PASSING,
};

/**
 * The access token of an answer, as a bearer credential.
 * @param table of the service; what RFCs say comes after
 */
export function readBearer(
  answer: TokenAnswer,
  context: Context,
  table: Table,
  more: { readonly defaults?: Readonly<Record<string, string>>; readonly maxExpiresAt?: number } = {},
): Result<CloudCredential, ExchangeFault> {
  const body = jsonOf(answer.body);
  if (answer.status < 200 || answer.status > 299 || typeof body["error"] === "string")
    return err(faultOf({ ...OAUTH_ERRORS, ...table }, saidBy(body), answer, context));
  const { access_token: token, token_type: type, expires_in: expiresIn } = body;
  if (!isToken(token)) return err(unreadable("it holds no access token"));
  // RFC 8693 2.2.1: `N_A` says only that it is not an access token of OAuth. Nothing but a bearer token can be presented.
  if (type !== undefined && (typeof type !== "string" || !/^(?:bearer|n_a)$/i.test(type)))
    return err(unreadable("its token is not a bearer token"));
  const lifeS = lifetimeS(expiresIn);
  if (lifeS === null) return err(unreadable("its token has ended already"));
  const expiresAt = Math.min(context.sentAt + lifeS * 1_000, more.maxExpiresAt ?? Infinity);
  if (expiresAt <= context.sentAt) return err(unreadable("its token has ended already"));
  return ok({
    kind: "bearer",
    header: "authorization",
    scheme: "Bearer ",
    token,
    defaults: more.defaults ?? {},
    issuedAt: context.sentAt,
    expiresAt,
  });
}

/** Seconds; null: none are left. What is missing or no number is the fall-back. */
export function lifetimeS(value: unknown): number | null {
  const seconds =
    typeof value === "number"
      ? value
      : typeof value === "string" && /^\d{1,9}$/.test(value)
        ? Number(value)
        : NaN;
  if (!Number.isFinite(seconds)) return FALLBACK_LIFE_S;
  return seconds < 1 ? null : Math.min(Math.floor(seconds), MAX_LIFE_S);
}

/** `error` as text, or an object with a type (Anthropic's API). */
export function saidBy(body: Readonly<Record<string, unknown>>): {
  readonly code?: string | undefined;
  readonly words?: string | undefined;
} {
  const { error, error_description: words } = body;
  if (typeof error === "object" && error !== null) {
    const { type, message } = error as Readonly<Record<string, unknown>>;
    return { code: textOf(type), words: textOf(message) };
  }
  return { code: textOf(error), words: textOf(words) };
}
