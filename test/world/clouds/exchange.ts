/**
 * Token exchange by RFC 8693: a strict service of its own (`tokens.exchange.example`, whose tokens `api.exchange.example` takes),
 * and OpenRouter's, whose tokens never outlive the identity token.
 *
 * Section 2.2.2: whatever is wrong with the subject token is `invalid_request`; a target that is not known, `invalid_target`.
 */
import { isRecord } from "../fields.ts";
import type { Answer } from "../http.ts";
import { lifeOf, type Bearer } from "./book.ts";
import type { Clouds } from "./cloud.ts";
import type { CloudRequest } from "./front.ts";
import { isFor, verify, type Claims, type Facts } from "./verify.ts";

const GRANT = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token";
const SUBJECT_TYPES = ["urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token"];
const API_AUDIENCE = "https://api.exchange.example";
const DEFAULT_LIFE_S = 3_600;
const MAX_OPENROUTER_LIFE_S = 15 * 60;
const STATUSES: Readonly<Record<string, number>> = {
  invalid_client: 401,
  rate_limited: 429,
  temporarily_unavailable: 503,
};

class Refused extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export async function exchangeTokens(clouds: Clouds, request: CloudRequest): Promise<Answer> {
  if (request.method !== "POST" || request.url.pathname !== "/token") return { status: 404, body: "" };
  return answered(clouds, "exchange", request, strict);
}

export async function openRouter(clouds: Clouds, request: CloudRequest): Promise<Answer> {
  const { book } = clouds;
  const { pathname } = request.url;
  if (request.method === "POST" && pathname === "/api/v1/oauth/token")
    return answered(clouds, "openrouter", request, openRouterToken);
  if (request.method !== "POST" || pathname !== "/api/v1/chat/completions") return { status: 404, body: "" };
  if (book.bearer(request.headers.authorization, ["openrouter"], book.now("openrouter")) === null)
    return { status: 401, body: { error: { code: 401, message: "No auth credentials found" } } };
  const model = isRecord(request.json) ? request.json["model"] : undefined;
  const message = { role: "assistant", content: "Yes." };
  const body = {
    id: "gen-1",
    object: "chat.completion",
    model,
    choices: [{ index: 0, message, finish_reason: "stop" }],
  };
  return { status: 200, body };
}

/**
 * `GET /whoami` of an API that takes the strict service's tokens, and identity tokens whose audience it is itself: of whom, and
 * how long it would still be taken.
 */
export async function exchangeApi(clouds: Clouds, request: CloudRequest): Promise<Answer> {
  const { book } = clouds;
  const now = book.now("exchange-api");
  const { authorization } = request.headers;
  const bearer = book.bearer(authorization, ["exchange"], now);
  const claims = bearer === null ? await ownToken(clouds, authorization) : null;
  if (bearer === null && claims === null)
    return {
      status: 401,
      headers: { "www-authenticate": 'Bearer error="invalid_token"' },
      body: { error: "invalid_token" },
    };
  if (request.method !== "GET" || request.url.pathname !== "/whoami") return { status: 404, body: "" };
  if (bearer === null)
    return { status: 200, body: { subject: claims?.sub, life_ms: 1000 * (claims?.exp ?? 0) - now } };
  return {
    status: 200,
    body: {
      subject: bearer.principal,
      scope: bearer.scopes.join(" "),
      ...bearer.about,
      life_ms: bearer.expiresAt - now,
    },
  };
}

/** What an identity token says that is for this API and for nobody else. */
async function ownToken(clouds: Clouds, authorization: string | undefined): Promise<Claims | null> {
  const entries = clouds.trust.list("exchange").filter(({ audience }) => audience === API_AUDIENCE);
  const [, token = ""] = /^Bearer (.+)$/i.exec(authorization ?? "") ?? [];
  const demands = { algorithms: ["RS256"], kid: true };
  const known = (issuer: string): boolean => entries.some((one) => one.issuer === issuer);
  const verdict = await verify(clouds, "exchange-api", token, demands, known);
  if (!verdict.ok || !isFor(verdict.claims, [API_AUDIENCE])) return null;
  const { iss, sub } = verdict.claims;
  return entries.some(({ issuer, subject }) => issuer === iss && subject === sub) ? verdict.claims : null;
}

type Issue = (clouds: Clouds, form: URLSearchParams, tell: (facts: Facts | null) => void) => Promise<Bearer>;

async function answered(
  clouds: Clouds,
  service: "exchange" | "openrouter",
  { form }: CloudRequest,
  issue: Issue,
): Promise<Answer> {
  const { book } = clouds;
  let token: Facts | null = null;
  const wanted = form.get("audience") ?? form.get("resource") ?? "";
  try {
    const bearer = await issue(clouds, form, (facts) => (token = facts));
    book.note({ service, action: "token", token, wanted, refused: null, expiresAt: bearer.expiresAt });
    const seconds = lifeOf(bearer, book.now(service));
    const life = book.settings(service).saysLife ? { expires_in: seconds } : {};
    const scope = bearer.scopes.length > 0 ? { scope: bearer.scopes.join(" ") } : {};
    const body = {
      access_token: bearer.token,
      issued_token_type: ACCESS_TOKEN,
      token_type: "Bearer",
      ...life,
      ...scope,
    };
    return { status: 200, headers: { "cache-control": "no-store" }, body };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    book.note({ service, action: "token", token, wanted, refused: error.code, expiresAt: null });
    return {
      status: STATUSES[error.code] ?? 400,
      body: { error: error.code, error_description: error.message },
    };
  }
}

const strict: Issue = async (clouds, form, tell) => {
  const { book, trust } = clouds;
  const entries = trust.list("exchange");
  const claims = await subjectOf(clouds, "exchange", form, entries, tell);
  const entry = entries.find(
    (one) => one.issuer === claims.iss && one.subject === claims.sub && isFor(claims, [one.audience]),
  );
  if (entry === undefined)
    throw new Refused("invalid_request", "The subject token is for another audience or subject.");
  if (entry.clientId !== undefined && form.get("client_id") !== entry.clientId)
    throw new Refused("invalid_client", "Another client was expected.");
  if (
    entry.once &&
    !(typeof claims.jti === "string" && book.useOnce("exchange", `${claims.iss} ${claims.jti}`))
  )
    throw new Refused("invalid_request", "The jti of the subject token has been used.");
  const targets = [form.get("audience"), form.get("resource")].filter((target) => target !== null);
  if (!targets.every((target) => entry.targets.includes(target)))
    throw new Refused("invalid_target", "That target is not known here.");
  const scopes = (form.get("scope") ?? "").split(" ").filter((scope) => scope !== "");
  if (!scopes.every((scope) => entry.scopes.includes(scope)))
    throw new Refused("invalid_scope", "A scope is more than may be asked for.");
  return book.issue("xt_", {
    service: "exchange",
    principal: claims.sub,
    scopes,
    about: targets[0] === undefined ? {} : { target: targets[0] },
    expiresAt: book.now("exchange") + 1000 * (book.settings("exchange").lifeS ?? DEFAULT_LIFE_S),
  });
};

const openRouterToken: Issue = async (clouds, form, tell) => {
  const { book, trust } = clouds;
  const rules = trust.list("openrouter_rule");
  const claims = await subjectOf(clouds, "openrouter", form, rules, tell);
  const fits = rules.some(
    (one) => one.issuer === claims.iss && one.subject === claims.sub && isFor(claims, [one.audience]),
  );
  if (!fits) throw new Refused("invalid_request", "No rule matches the subject token.");
  const { lifeS } = book.settings("openrouter");
  const now = book.now("openrouter");
  const seconds = Math.min(lifeS ?? MAX_OPENROUTER_LIFE_S, Math.floor(claims.exp - now / 1000));
  return book.issue("sk-or-", {
    service: "openrouter",
    principal: claims.sub,
    scopes: [],
    about: {},
    expiresAt: now + seconds * 1000,
  });
};

async function subjectOf(
  clouds: Clouds,
  service: "exchange" | "openrouter",
  form: URLSearchParams,
  trusted: readonly { readonly issuer: string }[],
  tell: (facts: Facts | null) => void,
): Promise<Claims> {
  const known = (issuer: string): boolean => trusted.some((one) => one.issuer === issuer);
  const demands = { algorithms: ["RS256", "ES256"], kid: false };
  const verdict = await verify(clouds, service, form.get("subject_token") ?? "", demands, known);
  tell(verdict.facts);
  const armed = clouds.book.takeArmed(service);
  if (armed !== null) throw new Refused(armed, "This answer was asked for by a test.");
  if (form.get("grant_type") !== GRANT)
    throw new Refused("unsupported_grant_type", "It takes token exchange only.");
  const type = form.get("requested_token_type");
  if (
    !SUBJECT_TYPES.includes(form.get("subject_token_type") ?? "") ||
    (type !== null && type !== ACCESS_TOKEN)
  )
    throw new Refused("invalid_request", "A token type is unknown.");
  if (verdict.ok) return verdict.claims;
  if (verdict.reason === "issuer_unreachable")
    throw new Refused("temporarily_unavailable", "The issuer of the subject token cannot be reached.");
  throw new Refused("invalid_request", `The subject token is refused. ${verdict.detail}`);
}
