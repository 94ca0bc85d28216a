/**
 * Google's token service (step 1), IAM credentials (step 2) and a bucket that takes the tokens of either.
 *
 * https://docs.cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token: `kid` is required, RS256 or ES256, `exp` less than
 * 48 hours after `iat`, `iat` in the past, the audience an allowed one or the provider's name with or without `https:`.
 */
import { evaluate } from "@marcbachmann/cel-js";
import { isRecord } from "../fields.ts";
import type { Answer } from "../http.ts";
import { lifeOf, type Bearer } from "./book.ts";
import type { Clouds } from "./cloud.ts";
import type { CloudRequest } from "./front.ts";
import { placeOf, putObject, readObject } from "./objects.ts";
import type { Trusted } from "./trust.ts";
import { isFor, verify, type Claims, type Facts, type Reason } from "./verify.ts";

const IAM = "//iam.googleapis.com/";
const GRANT = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token";
const SUBJECT_TYPES = ["urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token"];
const DEFAULT_LIFE_S = 3_600;
const MAX_JWT_LIFE_S = 48 * 3_600;
const MAX_SUBJECT_BYTES = 127;

const STATUSES: Readonly<Record<string, number>> = {
  unauthorized_client: 403,
  rate_limit_exceeded: 429,
  internal: 500,
};

type Outcome =
  | { readonly ok: true; readonly bearer: Bearer }
  | { readonly ok: false; readonly code: string; readonly why: string };

const no = (code: string, why: string): Outcome => ({ ok: false, code, why });

export async function gcpSts(clouds: Clouds, request: CloudRequest): Promise<Answer> {
  const { book } = clouds;
  if (request.method !== "POST" || request.url.pathname !== "/v1/token")
    return rpcError(404, "NOT_FOUND", "Requested entity was not found.");
  const wanted = request.form.get("audience") ?? "";
  let token: Facts | null = null;
  const outcome = await exchange(clouds, request.form, (facts) => (token = facts));
  const noted = { service: "gcp", action: "token", token, wanted } as const;
  if (!outcome.ok) {
    book.note({ ...noted, refused: outcome.code, expiresAt: null });
    const body = { error: outcome.code, error_description: outcome.why };
    return { status: STATUSES[outcome.code] ?? 400, body };
  }
  const { bearer } = outcome;
  book.note({ ...noted, refused: null, expiresAt: bearer.expiresAt });
  const body = { access_token: bearer.token, issued_token_type: ACCESS_TOKEN, token_type: "Bearer" };
  if (!book.settings("gcp").saysLife) return { status: 200, body };
  return { status: 200, body: { ...body, expires_in: lifeOf(bearer, book.now("gcp")) } };
}

async function exchange(
  clouds: Clouds,
  form: URLSearchParams,
  tell: (facts: Facts | null) => void,
): Promise<Outcome> {
  const { book, trust } = clouds;
  if (form.get("grant_type") !== GRANT) return no("unsupported_grant_type", "Unsupported grant type.");
  if (form.get("requested_token_type") !== ACCESS_TOKEN)
    return no("invalid_request", "Invalid value for requested_token_type.");
  if (!SUBJECT_TYPES.includes(form.get("subject_token_type") ?? ""))
    return no("invalid_request", "Invalid value for subject_token_type.");
  if ((form.get("scope") ?? "") === "") return no("invalid_scope", "Scope is required.");
  const audience = form.get("audience") ?? "";
  const provider = trust.list("gcp_provider").find(({ name }) => audience === `${IAM}${name}`);
  const demands = { algorithms: ["RS256", "ES256"], kid: true };
  const known = (issuer: string): boolean => issuer === provider?.issuerUri;
  const verdict = await verify(clouds, "gcp", form.get("subject_token") ?? "", demands, known);
  tell(verdict.facts);
  const armed = book.takeArmed("gcp");
  if (armed !== null) return no(armed, "This answer was asked for by a test.");
  if (provider === undefined)
    return no(
      "invalid_target",
      'The target service indicated by the "audience" parameters is invalid. This might either be because the pool or provider is disabled or deleted or because it doesn\'t exist.',
    );
  if (!verdict.ok) return no("invalid_grant", whyNot(verdict.reason, verdict.detail));
  return judge(clouds, provider, verdict.claims, form.get("scope") ?? "");
}

function judge({ book }: Clouds, provider: Trusted<"gcp_provider">, claims: Claims, scope: string): Outcome {
  const own = `${IAM}${provider.name}`;
  if (!isFor(claims, provider.allowedAudiences ?? [own, `https:${own}`]))
    return no(
      "invalid_grant",
      `The audience in ID Token [${String(claims.aud)}] does not match the expected audience.`,
    );
  if (claims.exp - claims.iat >= MAX_JWT_LIFE_S)
    return no("invalid_grant", "The ID Token's lifetime is 48 hours or more.");
  const attributes = mapped(provider, claims);
  if (attributes === null)
    return no("invalid_request", "An attribute of the mapping could not be worked out for this credential.");
  const subject = attributes["google.subject"] ?? "";
  if (Buffer.byteLength(subject) > MAX_SUBJECT_BYTES)
    return no(
      "invalid_request",
      "The size of mapped attribute google.subject exceeds the 127 bytes limit. Either modify your attribute mapping or the incoming assertion to produce a mapped attribute that is less than 127 bytes.",
    );
  if (!meets(provider.attributeCondition, claims, attributes))
    return no("unauthorized_client", "The given credential is rejected by the attribute condition.");
  const pool = provider.name.replace(/\/providers\/.*$/, "");
  return {
    ok: true,
    bearer: book.issue("ya29.d.", {
      service: "gcp",
      principal: `principal:${IAM}${pool}/subject/${subject}`,
      scopes: scope.split(" "),
      about: { ...attributes, pool },
      expiresAt: book.now("gcp") + 1000 * (book.settings("gcp").lifeS ?? DEFAULT_LIFE_S),
    }),
  };
}

function mapped(provider: Trusted<"gcp_provider">, claims: Claims): Record<string, string> | null {
  try {
    return Object.fromEntries(
      Object.entries(provider.attributeMapping).map(([name, expression]) => {
        const value: unknown = evaluate(expression, { assertion: claims });
        if (typeof value !== "string") throw new TypeError(`${name} is no text`);
        return [name, value];
      }),
    );
  } catch {
    return null;
  }
}

/** An expression that cannot be worked out rejects. */
function meets(condition: string | undefined, claims: Claims, attributes: Record<string, string>): boolean {
  if (condition === undefined) return true;
  const named = (begin: string): Record<string, string> =>
    Object.fromEntries(
      Object.entries(attributes).flatMap(([name, value]) =>
        name.startsWith(begin) ? [[name.slice(begin.length), value]] : [],
      ),
    );
  try {
    const context = { assertion: claims, google: named("google."), attribute: named("attribute.") };
    return evaluate(condition, context) === true;
  } catch {
    return false;
  }
}

/** `generateAccessToken`, for who may impersonate the service account. */
export function gcpIam(clouds: Clouds, request: CloudRequest): Answer {
  const { book, trust } = clouds;
  const email = /^\/v1\/projects\/-\/serviceAccounts\/([^/:]+):generateAccessToken$/.exec(
    request.url.pathname,
  )?.[1];
  if (request.method !== "POST" || email === undefined)
    return rpcError(404, "NOT_FOUND", "Requested entity was not found.");
  const name = decodeURIComponent(email);
  const noted = { service: "gcp-iam", action: "generateAccessToken", token: null, wanted: name } as const;
  const refuse = (status: number, code: string, message: string): Answer => {
    book.note({ ...noted, refused: code, expiresAt: null });
    return rpcError(status, code, message);
  };
  const armed = book.takeArmed("gcp-iam");
  if (armed !== null)
    return refuse(RPC_STATUSES[armed] ?? 400, armed, "This answer was asked for by a test.");
  const now = book.now("gcp-iam");
  const bearer = book.bearer(request.headers.authorization, ["gcp"], now);
  if (bearer === null)
    return refuse(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.");
  const account = trust.list("gcp_service_account").find((one) => one.email === name);
  if (account === undefined || !account.workloadIdentityUsers.some((member) => isMember(bearer, member)))
    return refuse(
      403,
      "PERMISSION_DENIED",
      "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).",
    );
  const body = isRecord(request.json) ? request.json : {};
  const { scope, lifetime = "3600s" } = body;
  const seconds = typeof lifetime === "string" ? Number(/^(\d+)s$/.exec(lifetime)?.[1] ?? NaN) : NaN;
  if (!Array.isArray(scope) || scope.length === 0)
    return refuse(400, "INVALID_ARGUMENT", "scope must be a list of at least one scope.");
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > account.maxLifetimeS)
    return refuse(400, "INVALID_ARGUMENT", "The access token lifetime is out of range.");
  const issued = book.issue("ya29.c.", {
    service: "gcp-iam",
    principal: `serviceAccount:${name}`,
    scopes: scope.map(String),
    about: { subject: bearer.principal },
    expiresAt: now + seconds * 1000,
  });
  book.note({ ...noted, refused: null, expiresAt: issued.expiresAt });
  const expireTime = `${new Date(issued.expiresAt).toISOString().slice(0, 19)}Z`;
  return { status: 200, body: { accessToken: issued.token, expireTime } };
}

/** `PUT` and `GET /bucket/object`. */
export function gcpStorage({ book, trust }: Clouds, request: CloudRequest): Answer {
  const place = placeOf(request.url.pathname);
  if (place === null) return rpcError(400, "INVALID_ARGUMENT", "The path cannot be read.");
  const { bucket, key } = place;
  const name = `gs://${bucket}/${key}`;
  const bearer = book.bearer(request.headers.authorization, ["gcp", "gcp-iam"], book.now("gcp-storage"));
  if (bearer === null) return rpcError(401, "UNAUTHENTICATED", "Invalid Credentials");
  const members = trust.list("gcp_bucket").find((one) => one.name === bucket)?.members ?? [];
  if (!members.some((member) => isMember(bearer, member)))
    return rpcError(403, "PERMISSION_DENIED", `${bearer.principal} does not have storage.objects access.`);
  if (request.method === "PUT") {
    const { etag } = putObject(request, "gcp-storage", name, { principal: bearer.principal });
    return { status: 200, headers: { etag: `"${etag}"` }, body: "" };
  }
  const stored = request.method === "GET" ? readObject(request, "gcp-storage", name) : null;
  if (stored === null) return rpcError(404, "NOT_FOUND", `No such object: ${name}`);
  return {
    status: 200,
    headers: { "content-type": stored.type, etag: `"${stored.etag}"` },
    body: stored.bytes,
  };
}

/** `principal://...`, `principalSet://.../attribute.NAME/VALUE` or `.../*`, `serviceAccount:...`. */
function isMember(bearer: Bearer, member: string): boolean {
  if (member === bearer.principal) return true;
  const set = /^principalSet:(\/\/iam\.googleapis\.com\/)(.+?)\/(\*|attribute\.([\w]+)\/(.+))$/.exec(member);
  if (set === null || set[2] !== bearer.about["pool"]) return false;
  return set[3] === "*" || bearer.about[`attribute.${set[4] ?? ""}`] === set[5];
}

const RPC_STATUSES: Readonly<Record<string, number>> = {
  INVALID_ARGUMENT: 400,
  UNAUTHENTICATED: 401,
  PERMISSION_DENIED: 403,
  NOT_FOUND: 404,
  RESOURCE_EXHAUSTED: 429,
  INTERNAL: 500,
  UNAVAILABLE: 503,
};

/** google.rpc.Status, as Google's HTTP APIs write it. */
function rpcError(code: number, status: string, message: string): Answer {
  return { status: code, body: { error: { code, message, status } } };
}

function whyNot(reason: Reason, detail: string): string {
  switch (reason) {
    case "exp":
      return `ID Token is stale to sign-in. ${detail}`;
    case "issuer":
      return `The issuer in ID Token does not match the expected ones. ${detail}`;
    case "issuer_unreachable":
    case "issuer_invalid":
      return `Error connecting to the given credential's issuer. ${detail}`;
    default:
      return `The ID Token is not valid. ${detail}`;
  }
}
