/**
 * Microsoft's login server for client assertions, and a container that takes its tokens.
 *
 * https://learn.microsoft.com/entra/workload-id/workload-identity-federation-considerations: RS256 only, issuer, subject and the
 * one audience exactly as registered. Errors are numbers (`error_codes`); texts may change.
 */
import { randomUUID } from "node:crypto";
import type { Answer } from "../http.ts";
import type { Clouds } from "./cloud.ts";
import type { CloudRequest } from "./front.ts";
import { placeOf, putObject, readObject } from "./objects.ts";
import type { Trusted } from "./trust.ts";
import { isFor, verify, type Claims, type Facts, type Reason } from "./verify.ts";
import { element, xml } from "./xml.ts";

const ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const DEFAULT_LIFE_S = 3_599;
const STORAGE = "https://storage.azure.com/.default";

/** https://learn.microsoft.com/entra/identity-platform/reference-error-codes */
const ERRORS: Readonly<Record<number, readonly [status: number, error: string, text: string]>> = {
  50027: [400, "invalid_request", "Invalid JWT token."],
  70011: [400, "invalid_scope", "The provided value for the input parameter 'scope' is not valid."],
  70021: [400, "invalid_request", "No matching federated identity record found for presented assertion."],
  700016: [400, "unauthorized_client", "Application was not found in the directory."],
  700022: [400, "invalid_request", "The scope names more than one resource."],
  700024: [401, "invalid_client", "Client assertion is not within its valid time range."],
  700027: [401, "invalid_client", "Client assertion failed signature validation."],
  700211: [
    401,
    "invalid_client",
    "No matching federated identity record found for presented assertion issuer.",
  ],
  700212: [
    401,
    "invalid_client",
    "No matching federated identity record found for presented assertion audience.",
  ],
  700213: [
    401,
    "invalid_client",
    "No matching federated identity record found for presented assertion subject.",
  ],
  7000218: [401, "invalid_client", "The request body must contain 'client_assertion' or 'client_secret'."],
  90002: [400, "invalid_request", "Tenant not found."],
  90012: [503, "temporarily_unavailable", "The request has timed out."],
  90033: [503, "temporarily_unavailable", "A transient error has occurred. Please try again."],
  90055: [429, "temporarily_unavailable", "The tenant has exceeded its limit of requests."],
};

const REASONS: Readonly<Record<Reason, number>> = {
  malformed: 50027,
  typ: 50027,
  times: 50027,
  aud: 50027,
  sub: 50027,
  alg: 700027,
  kid: 700027,
  crit: 700027,
  key: 700027,
  signature: 700027,
  issuer: 700211,
  issuer_unreachable: 90033,
  issuer_invalid: 90033,
  exp: 700024,
  nbf: 700024,
  iat: 700024,
};

type Outcome = { readonly code: number; readonly detail?: string } | { readonly claims: Claims };

export async function azureLogin(clouds: Clouds, request: CloudRequest): Promise<Answer> {
  const { book } = clouds;
  const directory = /^\/([^/]+)\/oauth2\/v2\.0\/token$/.exec(request.url.pathname)?.[1];
  if (request.method !== "POST" || directory === undefined) return { status: 404, body: "" };
  const { form } = request;
  const clientId = form.get("client_id") ?? "";
  let token: Facts | null = null;
  const outcome = await judge(clouds, directory, form, (facts) => (token = facts));
  const noted = { service: "azure", action: "client_credentials", token, wanted: clientId } as const;
  if ("code" in outcome) {
    book.note({ ...noted, refused: String(outcome.code), expiresAt: null });
    return refusal(outcome.code, outcome.detail ?? "");
  }
  const { lifeS, saysLife } = book.settings("azure");
  const seconds = lifeS ?? DEFAULT_LIFE_S;
  const bearer = book.issue("eyJ0eXAiOiJKV1QifQ.", {
    service: "azure",
    principal: clientId,
    scopes: [form.get("scope") ?? ""],
    about: { directory, subject: outcome.claims.sub },
    expiresAt: book.now("azure") + seconds * 1000,
  });
  book.note({ ...noted, refused: null, expiresAt: bearer.expiresAt });
  const life = saysLife ? { expires_in: seconds, ext_expires_in: seconds } : {};
  return { status: 200, body: { token_type: "Bearer", ...life, access_token: bearer.token } };
}

async function judge(
  clouds: Clouds,
  directory: string,
  form: URLSearchParams,
  tell: (facts: Facts | null) => void,
): Promise<Outcome> {
  const { book, trust } = clouds;
  const apps = trust.list("azure_app");
  const clientId = form.get("client_id");
  const credentials = trust.list("azure_credential").filter((one) => one.clientId === clientId);
  const demands = { algorithms: ["RS256"], kid: false };
  const known = (issuer: string): boolean => credentials.some((one) => one.issuer === issuer);
  const verdict = await verify(clouds, "azure", form.get("client_assertion") ?? "", demands, known);
  tell(verdict.facts);
  const armed = book.takeArmed("azure");
  if (armed !== null) return { code: Number(armed), detail: "This answer was asked for by a test." };
  if (!apps.some((app) => app.directory === directory)) return { code: 90_002 };
  if (!apps.some((app) => app.directory === directory && app.clientId === clientId)) return { code: 700_016 };
  if (form.get("grant_type") !== "client_credentials" || form.get("client_assertion_type") !== ASSERTION)
    return { code: 7_000_218 };
  const scopes = (form.get("scope") ?? "").split(" ");
  if (scopes.length > 1) return { code: 700_022 };
  if (!/^\S+\/\.default$/.test(scopes[0] ?? "")) return { code: 70_011 };
  if (!verdict.ok) return { code: REASONS[verdict.reason], detail: verdict.detail };
  return matching(credentials, verdict.claims, book.now("azure"));
}

/** The reason is what is wrong with the record that comes nearest. */
function matching(
  credentials: readonly (Trusted<"azure_credential"> & { readonly registeredAt: number })[],
  claims: Claims,
  now: number,
): Outcome {
  const ofIssuer = credentials.filter(({ issuer }) => issuer === claims.iss);
  const ofSubject = ofIssuer.filter(({ subject }) => subject === claims.sub);
  if (ofSubject.length === 0) return { code: 700_213 };
  const fitting = ofSubject.filter(({ audiences }) => isFor(claims, audiences));
  if (fitting.length === 0) return { code: 700_212 };
  const spread = fitting.some(
    (one) => one.propagationMs === 0 || one.registeredAt + one.propagationMs <= now,
  );
  return spread ? { claims } : { code: 70_021 };
}

function refusal(code: number, detail: string): Answer {
  const [status, error, text] = ERRORS[code] ?? [400, "invalid_request", "See error_codes."];
  return {
    status,
    headers: status === 429 ? { "retry-after": "2" } : {},
    body: {
      error,
      error_description: `AADSTS${code}: ${text} ${detail}`.trim(),
      error_codes: [code],
      timestamp: new Date().toISOString().replace("T", " "),
      trace_id: randomUUID(),
      correlation_id: randomUUID(),
      error_uri: `https://login.microsoftonline.com/error?code=${code}`,
    },
  };
}

/** `PUT` and `GET /container/blob`. */
export function azureBlob({ book, trust }: Clouds, request: CloudRequest): Answer {
  const place = placeOf(request.url.pathname);
  if (place === null)
    return blobError(400, "InvalidUri", "The requested URI does not represent any resource.");
  const { bucket: container, key } = place;
  const name = `azure://${container}/${key}`;
  if (request.headers["x-ms-version"] === undefined)
    return blobError(400, "MissingRequiredHeader", "x-ms-version is required for this request.");
  const bearer = book.bearer(request.headers.authorization, ["azure"], book.now("azure-storage"));
  if (bearer === null || bearer.scopes[0] !== STORAGE)
    return blobError(401, "InvalidAuthenticationInfo", "Server failed to authenticate the request.");
  const allowed = trust.list("azure_container").find((one) => one.name === container)?.clientIds ?? [];
  if (!allowed.includes(bearer.principal))
    return blobError(403, "AuthorizationPermissionMismatch", "Not authorized to perform this operation.");
  if (request.method === "PUT") {
    if (request.headers["x-ms-blob-type"] !== "BlockBlob")
      return blobError(400, "MissingRequiredHeader", "x-ms-blob-type is required for this request.");
    const by = { clientId: bearer.principal, subject: bearer.about["subject"] ?? "" };
    const { etag } = putObject(request, "azure-storage", name, by);
    return { status: 201, headers: { etag: `"${etag}"` }, body: "" };
  }
  const stored = request.method === "GET" ? readObject(request, "azure-storage", name) : null;
  if (stored === null) return blobError(404, "BlobNotFound", "The specified blob does not exist.");
  return {
    status: 200,
    headers: { "content-type": stored.type, etag: `"${stored.etag}"` },
    body: stored.bytes,
  };
}

function blobError(status: number, code: string, message: string): Answer {
  const answer = xml(status, element("Error", { Code: code, Message: message }));
  return { ...answer, headers: { ...answer.headers, "x-ms-error-code": code } };
}
