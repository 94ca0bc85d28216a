/**
 * What administrators of the clouds have set up: whom each trusts, and for what. Written in the vendors' own words, so that what
 * the product prints to paste can be registered as it is. Unknown fields are refused.
 */
import * as z from "zod";
import { Policy } from "./iam.ts";
import { isIssuer } from "./issuers.ts";
import { ACCOUNT } from "./names.ts";

const Issuer = z.string().max(600).refine(isIssuer, "must be https, with no port, query or slash at the end");
const Texts = z.array(z.string().min(1)).min(1);
const Seconds = z.int().min(1);

/** An OpenID provider in the account. `url` has its `https://`. */
const AwsProvider = z.strictObject({ kind: z.literal("aws_provider"), url: Issuer, clientIds: Texts });
const AwsRole = z.strictObject({
  kind: z.literal("aws_role"),
  arn: z.string().regex(new RegExp(`^arn:aws:iam::${ACCOUNT}:role/[\\w+=,.@/-]{1,512}$`)),
  trust: Policy,
  /** What the role may do; nothing, if it is not said. */
  permissions: Policy.optional(),
  maxSessionS: z.int().min(3_600).max(43_200).default(3_600),
});
/** A policy that sessions can be narrowed with by its ARN. */
const AwsPolicy = z.strictObject({ kind: z.literal("aws_policy"), arn: z.string(), document: Policy });
const AwsBucket = z.strictObject({ kind: z.literal("aws_bucket"), name: z.string() });

const POOL = /^projects\/\d+\/locations\/global\/workloadIdentityPools\/[a-z0-9-]+\/providers\/[a-z0-9-]+$/;
const GcpProvider = z.strictObject({
  kind: z.literal("gcp_provider"),
  name: z.string().regex(POOL),
  issuerUri: Issuer,
  /** Without them the provider's own name is the audience. */
  allowedAudiences: Texts.optional(),
  /** CEL by attribute; `google.subject` must be there. */
  attributeMapping: z.record(z.string(), z.string()).default({ "google.subject": "assertion.sub" }),
  attributeCondition: z.string().max(4_096).optional(),
});
const GcpServiceAccount = z.strictObject({
  kind: z.literal("gcp_service_account"),
  email: z.string(),
  /** Who has `roles/iam.workloadIdentityUser` on it: `principal://...` or `principalSet://...`. */
  workloadIdentityUsers: Texts,
  /** More than an hour where an organisation allows it. */
  maxLifetimeS: z.int().min(1).max(43_200).default(3_600),
});
const GcpBucket = z.strictObject({ kind: z.literal("gcp_bucket"), name: z.string(), members: Texts });

const AzureApp = z.strictObject({
  kind: z.literal("azure_app"),
  directory: z.string(),
  clientId: z.string(),
});
/** A federated credential of an app, in the words of Microsoft Graph. */
const AzureCredential = z.strictObject({
  kind: z.literal("azure_credential"),
  clientId: z.string(),
  name: z.string().min(3).max(120),
  issuer: Issuer,
  subject: z.string().min(1).max(600),
  audiences: z.array(z.string().min(1).max(600)).length(1),
  description: z.string().optional(),
  /** How long it takes until the login servers know of it. */
  propagationMs: z.int().min(0).default(0),
});
const AzureContainer = z.strictObject({
  kind: z.literal("azure_container"),
  name: z.string(),
  clientIds: Texts,
});

const ExchangeTrust = z.strictObject({
  kind: z.literal("exchange"),
  issuer: Issuer,
  audience: z.string(),
  subject: z.string(),
  /** Asked of the client, if it is said. */
  clientId: z.string().optional(),
  /** What tokens may be asked for: `audience`, or `resource`. */
  targets: z.array(z.string()).default([]),
  scopes: z.array(z.string()).default([]),
  /** Whether each `jti` may come once, as at Dodo Payments. */
  once: z.boolean().default(false),
});

const VaultMount = z.strictObject({
  kind: z.literal("vault_mount"),
  mount: z.string(),
  namespace: z.string().optional(),
  oidc_discovery_url: Issuer,
  bound_issuer: Issuer.optional(),
});
const VaultRole = z.strictObject({
  kind: z.literal("vault_role"),
  mount: z.string(),
  name: z.string(),
  role_type: z.literal("jwt").default("jwt"),
  user_claim: z.string(),
  bound_audiences: Texts.optional(),
  bound_subject: z.string().optional(),
  bound_claims: z.record(z.string(), z.union([z.string(), z.array(z.string())])).optional(),
  bound_claims_type: z.enum(["string", "glob"]).default("string"),
  token_ttl: Seconds.default(3_600),
  token_policies: z.array(z.string()).default([]),
});

const AnthropicRule = z.strictObject({
  kind: z.literal("anthropic_rule"),
  id: z.string(),
  organization_id: z.string(),
  issuer: Issuer,
  audience: z.string(),
  subject: z.string(),
  service_account_id: z.string().optional(),
  workspace_ids: z.array(z.string()).default([]),
  check_jti: z.boolean().default(false),
  max_jwt_lifetime_seconds: Seconds.optional(),
  token_lifetime_seconds: Seconds.default(3_600),
});
const OpenRouterRule = z.strictObject({
  kind: z.literal("openrouter_rule"),
  issuer: Issuer,
  audience: z.string(),
  subject: z.string(),
});

export const TrustEntry = z.discriminatedUnion("kind", [
  AwsProvider,
  AwsRole,
  AwsPolicy,
  AwsBucket,
  GcpProvider,
  GcpServiceAccount,
  GcpBucket,
  AzureApp,
  AzureCredential,
  AzureContainer,
  ExchangeTrust,
  VaultMount,
  VaultRole,
  AnthropicRule,
  OpenRouterRule,
]);

/** As it is registered. */
export type TrustInput = z.input<typeof TrustEntry>;
type Entry = z.output<typeof TrustEntry>;
export type TrustKind = Entry["kind"];
/** As it is kept. */
export type Trusted<K extends TrustKind> = Extract<Entry, { kind: K }>;

/** https://learn.microsoft.com/entra/workload-id/workload-identity-federation-considerations */
const MAX_CREDENTIALS_OF_AN_APP = 20;

export class Trust {
  #entries: { readonly entry: Entry; readonly at: number }[] = [];

  /**
   * Sets something up; what has the same name is replaced. Throws a `ZodError` for what is no entry, a `RangeError` for what a
   * vendor would refuse to have beside the others.
   */
  register(input: unknown, at: number): void {
    const entry = TrustEntry.parse(input);
    const others = this.#entries.filter(({ entry: other }) => nameOf(other) !== nameOf(entry));
    if (entry.kind === "azure_credential") {
      const siblings = others.flatMap(({ entry: other }) =>
        other.kind === "azure_credential" && other.clientId === entry.clientId ? [other] : [],
      );
      if (siblings.length >= MAX_CREDENTIALS_OF_AN_APP)
        throw new RangeError("an app has at most 20 federated credentials");
      if (siblings.some(({ issuer, subject }) => issuer === entry.issuer && subject === entry.subject))
        throw new RangeError("an app has one federated credential for an issuer and a subject");
    }
    this.#entries = [...others, { entry, at }];
  }

  list<K extends TrustKind>(kind: K): (Trusted<K> & { readonly registeredAt: number })[] {
    return this.#entries.flatMap(({ entry, at }) =>
      isOf(entry, kind) ? [{ ...entry, registeredAt: at }] : [],
    );
  }

  clear(): void {
    this.#entries = [];
  }
}

function isOf<K extends TrustKind>(entry: Entry, kind: K): entry is Trusted<K> {
  return entry.kind === kind;
}

function nameOf(entry: Entry): string {
  switch (entry.kind) {
    case "aws_provider":
      return `${entry.kind} ${entry.url}`;
    case "aws_role":
    case "aws_policy":
      return `${entry.kind} ${entry.arn}`;
    case "aws_bucket":
    case "gcp_provider":
    case "gcp_bucket":
    case "azure_container":
      return `${entry.kind} ${entry.name}`;
    case "gcp_service_account":
      return `${entry.kind} ${entry.email}`;
    case "azure_app":
      return `${entry.kind} ${entry.directory} ${entry.clientId}`;
    case "azure_credential":
      return `${entry.kind} ${entry.clientId} ${entry.name}`;
    case "exchange":
    case "openrouter_rule":
      return `${entry.kind} ${entry.issuer} ${entry.audience} ${entry.subject}`;
    case "vault_mount":
      return `${entry.kind} ${entry.namespace ?? ""} ${entry.mount}`;
    case "vault_role":
      return `${entry.kind} ${entry.mount} ${entry.name}`;
    case "anthropic_rule":
      return `${entry.kind} ${entry.id}`;
  }
}
