/**
 * Anthropic's token endpoint (RFC 7523) and a Messages API that takes nothing but its tokens, as `@anthropic-ai/sdk` speaks to
 * them. 401 says that the federation rule does not match the identity token.
 */
import { randomUUID } from "node:crypto";
import { isRecord } from "../fields.ts";
import type { Answer } from "../http.ts";
import { lifeOf, type Bearer } from "./book.ts";
import type { Clouds } from "./cloud.ts";
import type { CloudRequest } from "./front.ts";
import { isFor, verify, type Claims, type Facts } from "./verify.ts";
import type { Trusted } from "./trust.ts";

const GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const OAUTH_BETA = "oauth-2025-04-20";
const FEDERATION_BETA = "oidc-federation-2026-04-01";
const MAX_ASSERTION_BYTES = 16 * 1024;

type Outcome =
  | { readonly bearer: Bearer }
  | { readonly status: number; readonly error: string; readonly why: string };

const no = (status: number, error: string, why: string): Outcome => ({ status, error, why });

export async function anthropic(clouds: Clouds, request: CloudRequest): Promise<Answer> {
  if (request.method !== "POST") return apiError(405, "invalid_request_error", "Method Not Allowed");
  switch (request.url.pathname) {
    case "/v1/oauth/token":
      return token(clouds, request);
    case "/v1/messages":
      return message(clouds, request);
    default:
      return apiError(404, "not_found_error", "Not Found");
  }
}

async function token(clouds: Clouds, request: CloudRequest): Promise<Answer> {
  const { book } = clouds;
  const body = isRecord(request.json) ? request.json : {};
  let facts: Facts | null = null;
  const outcome = await judge(clouds, request, body, (read) => (facts = read));
  const wanted = String(body["federation_rule_id"]);
  const noted = { service: "anthropic", action: "token", token: facts, wanted } as const;
  if ("error" in outcome) {
    book.note({ ...noted, refused: outcome.error, expiresAt: null });
    return { status: outcome.status, body: { error: outcome.error, error_description: outcome.why } };
  }
  const { bearer } = outcome;
  book.note({ ...noted, refused: null, expiresAt: bearer.expiresAt });
  const life = book.settings("anthropic").saysLife
    ? { expires_in: lifeOf(bearer, book.now("anthropic")) }
    : {};
  return { status: 200, body: { access_token: bearer.token, token_type: "Bearer", ...life } };
}

async function judge(
  clouds: Clouds,
  request: CloudRequest,
  body: Record<string, unknown>,
  tell: (facts: Facts | null) => void,
): Promise<Outcome> {
  const { book, trust } = clouds;
  const rules = trust.list("anthropic_rule");
  const rule = rules.find(
    (one) => one.id === body["federation_rule_id"] && one.organization_id === body["organization_id"],
  );
  const assertion = typeof body["assertion"] === "string" ? body["assertion"] : "";
  const demands = { algorithms: ["RS256", "ES256"], kid: false };
  const verdict = await verify(clouds, "anthropic", assertion, demands, (issuer) => issuer === rule?.issuer);
  tell(verdict.facts);
  const armed = book.takeArmed("anthropic");
  if (armed !== null) return no(STATUSES[armed] ?? 400, armed, "This answer was asked for by a test.");
  if (!betasOf(request).includes(FEDERATION_BETA))
    return no(400, "invalid_request", "The beta header is missing.");
  if (body["grant_type"] !== GRANT) return no(400, "unsupported_grant_type", "It takes jwt-bearer only.");
  if (Buffer.byteLength(assertion) > MAX_ASSERTION_BYTES)
    return no(400, "invalid_request", "The assertion is larger than 16 KiB.");
  if (rule === undefined) return no(401, "invalid_grant", "There is no such federation rule.");
  if (!verdict.ok)
    return verdict.reason === "issuer_unreachable"
      ? no(503, "temporarily_unavailable", "The issuer cannot be reached.")
      : no(401, "invalid_grant", `The assertion is refused. ${verdict.detail}`);
  const wrong = mismatch(rule, verdict.claims, body);
  if (wrong !== null) return no(401, "invalid_grant", wrong);
  const { claims } = verdict;
  if (
    rule.check_jti &&
    !(typeof claims.jti === "string" && book.useOnce("anthropic", `${claims.iss} ${claims.jti}`))
  )
    return no(401, "invalid_grant", "The jti of the assertion is missing or has been used.");
  const { lifeS } = book.settings("anthropic");
  const asked = body["workspace_id"];
  const workspace = typeof asked === "string" ? asked : (rule.workspace_ids[0] ?? "default");
  return {
    bearer: book.issue("sk-ant-oat01-", {
      service: "anthropic",
      principal: rule.service_account_id ?? claims.sub,
      scopes: [],
      about: { workspace },
      expiresAt: book.now("anthropic") + 1000 * (lifeS ?? rule.token_lifetime_seconds),
    }),
  };
}

const STATUSES: Readonly<Record<string, number>> = {
  invalid_grant: 401,
  rate_limited: 429,
  temporarily_unavailable: 503,
};

function mismatch(
  rule: Trusted<"anthropic_rule">,
  claims: Claims,
  body: Record<string, unknown>,
): string | null {
  if (!isFor(claims, [rule.audience])) return "The audience does not match the federation rule.";
  if (claims.sub !== rule.subject) return "The subject does not match the federation rule.";
  if (claims.exp - claims.iat > (rule.max_jwt_lifetime_seconds ?? Infinity))
    return "The assertion lives longer than the issuer allows.";
  if ((body["service_account_id"] ?? rule.service_account_id) !== rule.service_account_id)
    return "The service account does not match the federation rule.";
  const workspace = body["workspace_id"];
  if (workspace === undefined)
    return rule.workspace_ids.length > 1
      ? "The rule spans several workspaces: workspace_id is missing."
      : null;
  return typeof workspace === "string" && rule.workspace_ids.includes(workspace)
    ? null
    : "The workspace is not one of the federation rule.";
}

function message({ book }: Clouds, request: CloudRequest): Answer {
  if (request.headers["x-api-key"] !== undefined)
    return apiError(401, "authentication_error", "invalid x-api-key");
  const bearer = book.bearer(request.headers.authorization, ["anthropic"], book.now("anthropic"));
  if (bearer === null) return apiError(401, "authentication_error", "Invalid bearer token");
  if (!betasOf(request).includes(OAUTH_BETA))
    return apiError(
      401,
      "authentication_error",
      "OAuth authentication is not supported without its beta header.",
    );
  if (request.headers["anthropic-version"] === undefined)
    return apiError(400, "invalid_request_error", "anthropic-version: header is required");
  const body = isRecord(request.json) ? request.json : {};
  const { model, max_tokens: limit, messages } = body;
  if (
    typeof model !== "string" ||
    typeof limit !== "number" ||
    !Array.isArray(messages) ||
    messages.length === 0
  )
    return apiError(400, "invalid_request_error", "model, max_tokens and messages are required");
  return {
    status: 200,
    headers: { "request-id": `req_${randomUUID()}` },
    body: {
      id: `msg_${randomUUID()}`,
      type: "message",
      role: "assistant",
      model,
      content: [{ type: "text", text: `The world has read ${messages.length} messages.` }],
      stop_reason: "end_turn",
      stop_sequence: null,
      usage: { input_tokens: JSON.stringify(messages).length, output_tokens: 7 },
    },
  };
}

function betasOf(request: CloudRequest): string[] {
  return String(request.headers["anthropic-beta"] ?? "").split(/,\s*/);
}

function apiError(status: number, type: string, text: string): Answer {
  return { status, body: { type: "error", error: { type, message: text } } };
}
