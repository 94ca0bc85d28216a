/** Trusted issuers: whose tokens the API takes in the place of an API key. What is trusted is decided in the access room. */
import {
  changeTrusted,
  createTrusted,
  deleteTrustedIssuer,
  getTrusted,
  listTrusted,
  type TrustedIssuer,
  type TrustRequest,
  tryToken,
} from "../access/index.ts";
import {
  DistrustedIssuer,
  TokenTrial,
  TrustedIssuerList,
  TrustedIssuerView,
  TrustedIssuerWithCallers,
} from "./answer-trusted-issuers.ts";
import { EXAMPLES } from "./examples.ts";
import { jsonResponse, ofAccess } from "./replies.ts";
import { CreateTrustedIssuer, PutTrustedIssuer, TestToken } from "./request-trusted-issuers.ts";
import { type Call, type Route, route } from "./route.ts";
import type { BodyOf } from "./schema.ts";

export const TRUSTED_ISSUER_ROUTES: readonly Route[] = [
  route({
    id: "createTrustedIssuer",
    method: "POST",
    path: "/v1/trusted-issuers",
    rule: "issuers:write",
    also: "Rules give no more than the key has: in scopes, users (`runs:act_as`) and policy, and for no longer than it holds. Only an API key can do this.",
    tag: "Trusted issuers",
    summary: "Take the tokens of an issuer in the place of API keys",
    body: { schema: CreateTrustedIssuer, required: true, example: EXAMPLES.trustedIssuer },
    answers: [
      { status: 201, description: "What is trusted.", schema: TrustedIssuerView, headers: ["Location"] },
    ],
    problems: ["issuer_exists", "scope_wider"],
    handle: async ({ call, identity, body: { name, ...body } }) => {
      const { deps } = call;
      const made = await createTrusted(deps.access, identity, name, requestOf(body), deps.now());
      if (!made.ok) return ofAccess(made.error);
      return jsonResponse(view(call, made.value), 201, { location: `/v1/trusted-issuers/${name}` });
    },
  }),
  route({
    id: "listTrustedIssuers",
    method: "GET",
    path: "/v1/trusted-issuers",
    rule: "issuers:read",
    tag: "Trusted issuers",
    summary: "List the issuers that the tenant trusts",
    answers: [{ status: 200, description: "All of them, by their names.", schema: TrustedIssuerList }],
    handle: async ({ call, identity }) => {
      const all = await listTrusted(call.deps.access, identity);
      return all.ok ? jsonResponse({ data: all.value.map((one) => view(call, one)) }) : ofAccess(all.error);
    },
  }),
  route({
    id: "getTrustedIssuer",
    method: "GET",
    path: "/v1/trusted-issuers/{name}",
    rule: "issuers:read",
    tag: "Trusted issuers",
    summary: "Look at a trusted issuer, and at who came with its tokens",
    answers: [{ status: 200, description: "What is trusted.", schema: TrustedIssuerWithCallers }],
    problems: ["not_found"],
    handle: async ({ call, identity }) => {
      const found = await getTrusted(call.deps.access, identity, nameIn(call));
      if (!found.ok) return ofAccess(found.error);
      const callers = found.value.callers.map(({ id, subject, firstAt, lastAt }) => ({
        ...{ id, subject, first_at: firstAt, last_at: lastAt },
      }));
      return jsonResponse({ ...view(call, found.value.trusted), callers });
    },
  }),
  route({
    id: "putTrustedIssuer",
    method: "PUT",
    path: "/v1/trusted-issuers/{name}",
    rule: "issuers:write",
    also: "As for a new one, and all the scopes that it was trusted with.",
    tag: "Trusted issuers",
    summary: "Change what is trusted of an issuer",
    description:
      "In the place of all that it was, but for the issuer, which stays. Counts everywhere within a minute, and for as long as the key in use.",
    body: { schema: PutTrustedIssuer, required: true, example: EXAMPLES.changedIssuer },
    answers: [{ status: 200, description: "What is trusted.", schema: TrustedIssuerView }],
    problems: ["not_found", "scope_wider"],
    handle: async ({ call, identity, body }) => {
      const { deps } = call;
      const changed = await changeTrusted(deps.access, identity, nameIn(call), requestOf(body), deps.now());
      return changed.ok ? jsonResponse(view(call, changed.value)) : ofAccess(changed.error);
    },
  }),
  route({
    id: "deleteTrustedIssuer",
    method: "DELETE",
    path: "/v1/trusted-issuers/{name}",
    rule: "issuers:write",
    also: "And all the scopes that it is trusted with.",
    tag: "Trusted issuers",
    summary: "Trust an issuer no more",
    description: "Keys that its callers made live on until they expire; what its callers started goes on.",
    answers: [{ status: 200, description: "From when on that holds everywhere.", schema: DistrustedIssuer }],
    problems: ["not_found", "scope_wider"],
    handle: async ({ call, identity }) => {
      const { deps } = call;
      const gone = await deleteTrustedIssuer(deps.access, identity, nameIn(call), deps.now());
      return gone.ok ? jsonResponse({ name: nameIn(call), effective_by: gone.value }) : ofAccess(gone.error);
    },
  }),
  route({
    id: "testToken",
    method: "POST",
    path: "/v1/trusted-issuers/test",
    rule: "issuers:read",
    tag: "Trusted issuers",
    summary: "Try a token: who would its holder be here, or why is it not taken?",
    body: { schema: TestToken, required: true, example: EXAMPLES.testToken },
    answers: [{ status: 200, description: "What would come of it.", schema: TokenTrial }],
    handle: async ({ call, identity, body }) => {
      const { deps } = call;
      const tried = await tryToken(deps.access, identity, body.token, deps.now());
      if (!tried.ok) return ofAccess(tried.error);
      const { identity: caller, refusal } = tried.value;
      return jsonResponse({
        ...{ taken: caller !== null, reason: refusal?.reason ?? null, detail: refusal?.message ?? null },
        caller:
          caller === null
            ? null
            : {
                ...{ id: caller.keyId, issuer: caller.token?.issuer, subject: caller.token?.subject },
                ...{ scopes: [...caller.scopes], user: caller.user, expires_at: caller.expiresAt },
              },
      });
    },
  }),
];

function requestOf(body: BodyOf<typeof PutTrustedIssuer>): TrustRequest {
  const { issuer, jwks_url: jwksUrl, max_age_s: maxAgeS, rules } = body;
  return {
    ...{ issuer, rules },
    ...(jwksUrl === undefined ? {} : { jwksUrl }),
    ...(maxAgeS === undefined ? {} : { maxAgeS }),
  };
}

function view({ deps }: Call, trusted: TrustedIssuer): Readonly<Record<string, unknown>> {
  const { name, id, tenant, issuer, jwksUrl, maxAgeS, rules, version, until } = trusted;
  const { createdAt, createdBy, updatedAt } = trusted;
  return {
    ...{ name, id, issuer, jwks_url: jwksUrl, max_age_s: maxAgeS, rules, version, until },
    audience: deps.audienceOf(tenant) ?? "",
    ...{ created_at: createdAt, created_by: createdBy, updated_at: updatedAt },
  };
}

function nameIn(call: Call): string {
  return call.params["name"] ?? "";
}
