/** Trusted issuers: whose tokens the API takes in the place of an API key. What is trusted is decided in the access room. */
import * as z from "zod";
import {
  changeTrusted,
  createTrusted,
  deleteTrustedIssuer,
  getTrusted,
  listTrusted,
  MAX_RULES,
  MAX_SCOPES,
  policySchema,
  type TrustedIssuer,
  type TrustRequest,
  tryToken,
} from "../access/index.ts";
import { EXAMPLES } from "./examples.ts";
import { jsonResponse, ofAccess } from "./replies.ts";
import { type Call, type Route, route } from "./route.ts";
import { type BodyOf, count, named, nameSchema, nullable, time } from "./schema.ts";

const texts = () => z.record(z.string().max(128), z.string().max(512));

const settings = () => ({
  issuer: z.string().max(2_048).describe("As `iss` says it, letter by letter: an https address."),
  jwks_url: z
    .string()
    .max(2_048)
    .exactOptional()
    .describe("Missing: its discovery document says where its keys are."),
  max_age_s: z
    .int()
    .exactOptional()
    .describe("A token that was issued longer ago is not taken; an hour if it is missing."),
  rules: z
    .array(
      z.strictObject({
        subject: z
          .string()
          .max(512)
          .describe(
            "Of `sub`: whole, or with `*` for one or more characters other than a colon, behind two whole parts as in `repo:acme/*`. `*` alone is anybody that fits `claims`.",
          ),
        claims: texts().exactOptional().describe("What other claims must be, exactly."),
        scopes: z.array(z.string().max(64)).max(MAX_SCOPES),
        user: z
          .union([z.string().max(256), z.strictObject({ claim: z.string().max(128) })])
          .exactOptional()
          .describe("Whom the caller acts for, and nobody else: one user, or the one that a claim names."),
        policy: policySchema().exactOptional().describe("On top of those of the key that trusts the issuer."),
      }),
    )
    .max(MAX_RULES)
    .describe("The first one that fits a token counts."),
});

const PutTrustedIssuer = named("PutTrustedIssuer", () => z.strictObject(settings()));
const CreateTrustedIssuer = named("CreateTrustedIssuer", () =>
  z.strictObject({ name: nameSchema(), ...settings() }),
);
const TestToken = named("TestToken", () =>
  z.strictObject({ token: z.string().max(12_288).describe("Kept nowhere.") }),
);

const viewFields = () => ({
  ...{ name: z.string(), id: z.string(), issuer: z.string(), jwks_url: nullable(z.string()) },
  max_age_s: count(),
  audience: z.string().describe("The only `aud` that its tokens may have."),
  rules: z.array(
    z.strictObject({
      ...{ subject: z.string(), claims: texts(), scopes: z.array(z.string()) },
      user: nullable(z.union([z.string(), z.strictObject({ claim: z.string() })])),
      policy: nullable(z.record(z.string(), z.unknown())),
    }),
  ),
  ...{ version: count(), created_at: time(), created_by: z.string(), updated_at: time() },
  until: nullable(time()).describe(
    "From then on none of its tokens is taken: the key that last said what is trusted ends then, or has ended.",
  ),
});

const TrustedIssuerView = named("TrustedIssuer", () => z.strictObject(viewFields()));
const TrustedIssuerWithCallers = named("TrustedIssuerWithCallers", () =>
  z.strictObject({
    ...viewFields(),
    callers: z
      .array(
        z.strictObject({
          ...{ id: z.string(), subject: z.string() },
          ...{ first_at: time(), last_at: time() },
        }),
      )
      .describe("Who came with a token of it last, and under which id the audit knows them."),
  }),
);
const TrustedIssuerList = named("TrustedIssuerList", () =>
  z.strictObject({ data: z.array(TrustedIssuerView.schema()) }),
);
const DistrustedIssuer = named("DistrustedIssuer", () =>
  z.strictObject({ name: z.string(), effective_by: time() }),
);
const TokenTrial = named("TokenTrial", () =>
  z.strictObject({
    taken: z.boolean(),
    reason: nullable(z.string()),
    detail: nullable(z.string()),
    caller: nullable(
      z.strictObject({
        ...{ id: z.string(), issuer: z.string(), subject: z.string() },
        ...{ scopes: z.array(z.string()), user: nullable(z.string()), expires_at: nullable(time()) },
      }),
    ),
  }),
);

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
