/** The issuer of a tenant: what verifiers read, and its keys for administrators. What keys do is decided in the identity room. */
import { actorOf } from "../access/index.ts";
import type { Issuer, IssuerKey, IssuerRefusal } from "../identity/index.ts";
import type { Result } from "../platform/index.ts";
import { IssuerView } from "./answer-issuer.ts";
import { problem, type Problem } from "./problems.ts";
import { jsonResponse } from "./replies.ts";
import { type Call, type Route, route } from "./route.ts";

/** How long a verifier may keep a document without asking. */
const PUBLIC = { "cache-control": "public, max-age=300" } as const;
const RETRY_AFTER_S = 1;
const OPEN = {
  rule: "public",
  tag: "Identity",
  method: "GET",
  problems: ["not_found", "unavailable"],
} as const;
const KEYS = { status: 200, description: "The issuer and its keys, without their private halves." } as const;

export const ISSUER_ROUTES: readonly Route[] = [
  route({
    ...OPEN,
    id: "openIdConfiguration",
    path: "/t/{issuer}/.well-known/openid-configuration",
    summary: "The discovery document of a tenant's issuer",
    description: "Only under the host name of `ISSUER_ORIGIN`.",
    answers: [{ status: 200, description: "OpenID Connect Discovery 1.0." }],
    handle: async ({ call }) => publish(call, (issuer, tenant) => issuer.discovery(tenant)),
  }),
  route({
    ...OPEN,
    id: "issuerKeys",
    path: "/t/{issuer}/jwks",
    summary: "The public keys of a tenant's issuer",
    description: "Only under the host name of `ISSUER_ORIGIN`.",
    answers: [{ status: 200, description: "A JSON Web Key Set (RFC 7517)." }],
    handle: async ({ call }) => publish(call, (issuer, tenant) => issuer.jwks(tenant)),
  }),
  route({
    id: "getIssuer",
    method: "GET",
    path: "/v1/issuer",
    rule: "cloud_roles:read",
    tag: "Identity",
    summary: "See the tenant's issuer and its signing keys",
    answers: [{ ...KEYS, schema: IssuerView }],
    problems: ["identity_not_configured"],
    handle: async ({ call, identity: { tenant } }) => {
      const issuer = call.deps.issuer();
      if (issuer === null) return notConfigured();
      return jsonResponse(viewIssuer(issuer, tenant, await issuer.keys(tenant)));
    },
  }),
  route({
    id: "rotateIssuer",
    method: "POST",
    path: "/v1/issuer/rotate",
    rule: "cloud_roles:write",
    tag: "Identity",
    summary: "Begin a rotation of the signing key",
    description:
      "The next key is published now, and signs a day later; the one before it stays published for another day. One that goes on already is left as it is. Makes the first key where there is none.",
    answers: [{ ...KEYS, schema: IssuerView }],
    problems: ["identity_not_configured", "too_many_signing_keys", "unavailable"],
    handle: async ({ call, identity }) =>
      change(call, identity.tenant, (issuer) => issuer.rotate(identity.tenant, actorOf(identity))),
  }),
  route({
    id: "revokeIssuerKey",
    method: "POST",
    path: "/v1/issuer/keys/{kid}/revoke",
    rule: "cloud_roles:write",
    tag: "Identity",
    summary: "Take a signing key back at once: somebody else may have it",
    description:
      "It is not published any more, and a fresh one takes its place. Verifiers that remember the old keys refuse what the fresh one signs until they ask again, and take what the old one signed: minutes, as a rule.",
    answers: [{ ...KEYS, schema: IssuerView }],
    problems: ["identity_not_configured", "not_found", "unavailable"],
    handle: async ({ call, identity }) =>
      change(call, identity.tenant, (issuer) =>
        issuer.revoke(identity.tenant, call.params["kid"] ?? "", actorOf(identity)),
      ),
  }),
];

/** What others trust is said under the one name that they trust, and under no other. */
async function publish(
  { deps, request, params }: Call,
  document: (issuer: Issuer, tenant: string) => ReturnType<Issuer["jwks"]>,
): Promise<Response | Problem> {
  const issuer = deps.issuer();
  if (issuer === null || hostOf(request) !== issuer.host) return nothing();
  const made = await document(issuer, params["issuer"] ?? "");
  if (!made.ok)
    return problem("unavailable", "The keys of the issuer cannot be read just now.", {
      headers: { "retry-after": String(RETRY_AFTER_S) },
    });
  return made.value === null ? nothing() : jsonResponse(made.value, 200, PUBLIC);
}

/** Locally a name reaches the Worker through a loopback address, and stands in the header alone. */
function hostOf(request: Request): string {
  return request.headers.get("host") ?? new URL(request.url).host;
}

/** As the app answers what it does not know: whether a tenant exists is not told. */
function nothing(): Problem {
  return problem("not_found", "There is nothing at this address.");
}

async function change(
  { deps }: Call,
  tenant: string,
  work: (issuer: Issuer) => Promise<Result<readonly IssuerKey[], IssuerRefusal>>,
): Promise<Response | Problem> {
  const issuer = deps.issuer();
  if (issuer === null) return notConfigured();
  const done = await work(issuer);
  return done.ok ? jsonResponse(viewIssuer(issuer, tenant, done.value)) : ofIssuer(done.error);
}

function ofIssuer({ code, message, retryAfterMs = RETRY_AFTER_S * 1_000 }: IssuerRefusal): Problem {
  const headers = { "retry-after": String(Math.ceil(retryAfterMs / 1_000)) };
  if (code === "too_many_keys") return problem("too_many_signing_keys", message, { headers });
  if (code === "unavailable") return problem("unavailable", message, { headers });
  return code === "not_found" ? problem("not_found", message) : problem("internal_error", message);
}

function notConfigured(): Problem {
  return problem("identity_not_configured", "This deployment has no issuer: ISSUER_ORIGIN is not set.");
}

function viewIssuer(
  issuer: Issuer,
  tenant: string,
  keys: readonly IssuerKey[],
): Readonly<Record<string, unknown>> {
  return {
    issuer: issuer.urlOf(tenant),
    jwks_uri: issuer.jwksUrlOf(tenant),
    keys: keys.map((key) => ({
      kid: key.kid,
      state: key.state,
      made_at: key.madeAt,
      published_at: key.publishedAt,
      signs_from: key.signsFrom,
      active_at: key.activeAt,
      retired_at: key.retiredAt,
      goes_at: key.goesAt,
    })),
  };
}
