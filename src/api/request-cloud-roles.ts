/** What comes in about cloud roles. What one may be is decided in the identity room. */
import * as z from "zod";
import type { AwsTarget, RoleRequest, RoleTarget } from "../identity/index.ts";
import { type BodyOf, named, nameSchema } from "./schema.ts";

const MAX_HOSTS = 32;
const MAX_WORKFLOWS = 100;
const MAX_SCOPES = 100;
/** AWS: of a session. What fits is told in the identity room; this only keeps bodies small. */
const MAX_ARNS = 10;
const MAX_TAGS = 50;
const DEFAULT_SESSION_S = 3_600;
const GOOGLE_SCOPE = "https://www.googleapis.com/auth/cloud-platform";

const text = (max = 512) =>
  z
    .string()
    .min(1)
    .max(max)
    .regex(/^\P{Cc}*$/u, "It holds a control character.");
const seconds = () => z.int().min(1).max(86_400).describe("Seconds.");
const policy = () =>
  z
    .union([z.string().max(8_192), z.record(z.string(), z.unknown())])
    .describe("A policy document: what is left of the role's rights is what this allows as well.");

/** What roles of all providers say. */
const common = () => ({
  audience: text(255)
    .exactOptional()
    .describe("For whom its tokens are: one audience. Missing: what the provider usually takes."),
  workflows: z
    .array(z.string().max(80))
    .max(MAX_WORKFLOWS)
    .describe(
      "The only ones that may use it: `code:<name>` of this deployment, `plan:<name>` that the tenant stored.",
    ),
  inline: z
    .boolean()
    .exactOptional()
    .describe("Whether steps that came as JSON with a run may use it: whoever may start runs writes them."),
  hosts: z
    .array(
      z.union([
        text(253),
        z.strictObject({
          host: text(253),
          service: text(64).exactOptional().describe("AWS only: where the host does not tell."),
          region: text(64).exactOptional().describe("AWS only: where the host does not tell."),
        }),
      ]),
    )
    .max(MAX_HOSTS)
    .exactOptional()
    .describe("The only hosts that its credentials are sent to, exactly."),
  per_run: z.boolean().exactOptional().describe("Whether each run has credentials, and a claim, of its own."),
  claims: z
    .record(z.string().max(64), z.string().max(256))
    .exactOptional()
    .describe("Said by its tokens under `claims`."),
});

/** @param more fields beside those of a role */
const variants = <M extends z.ZodRawShape>(more: () => M) =>
  z.discriminatedUnion(
    "provider",
    [
      z.strictObject({
        provider: z.literal("aws"),
        role_arn: text(),
        region: text(64).describe("Of the token service that is asked."),
        duration_s: seconds()
          .exactOptional()
          .describe("Of a session: 900 to 43,200, 3,600 if it is missing."),
        session_policy: policy().exactOptional(),
        session_policy_arns: z.array(text()).max(MAX_ARNS).exactOptional(),
        tags: z
          .record(z.string().max(128), z.string().max(256))
          .exactOptional()
          .describe("Session tags: the role's trust policy must allow `sts:TagSession`."),
        transitive_tags: z.array(text(128)).max(MAX_TAGS).exactOptional(),
        next: z
          .strictObject({
            role_arn: text(),
            external_id: text(1_224).exactOptional(),
            session_policy: policy().exactOptional(),
            session_policy_arns: z.array(text()).max(MAX_ARNS).exactOptional(),
          })
          .exactOptional()
          .describe("A further role, assumed with the credentials of the first: for an hour at most."),
        ...common(),
        ...more(),
      }),
      z.strictObject({
        provider: z.literal("gcp"),
        workload_provider: text().describe(
          "`projects/<number>/locations/global/workloadIdentityPools/<pool>/providers/<provider>`",
        ),
        service_account: text()
          .exactOptional()
          .describe("Impersonated. Missing: resources are reached directly."),
        scopes: z
          .array(text())
          .max(MAX_SCOPES)
          .exactOptional()
          .describe("`cloud-platform` if it is missing."),
        lifetime_s: seconds()
          .exactOptional()
          .describe("Of an impersonation: 600 to 43,200, 3,600 if it is missing."),
        ...common(),
        ...more(),
      }),
      z.strictObject({
        provider: z.literal("azure"),
        directory: text().describe("The directory's (tenant's) id."),
        client_id: text(),
        scope: text().describe("One resource with `/.default`: `https://storage.azure.com/.default`."),
        ...common(),
        ...more(),
      }),
      z.strictObject({
        provider: z.literal("token_exchange"),
        token_url: text(2_048),
        subject_token_type: z.enum(["jwt", "id_token"]).exactOptional(),
        requested_audience: text().exactOptional(),
        resource: text(2_048).exactOptional(),
        scopes: z.array(text(256)).max(MAX_SCOPES).exactOptional(),
        client_id: text().exactOptional(),
        ...common(),
        ...more(),
      }),
      z.strictObject({
        provider: z.literal("vault"),
        host: text(253),
        mount: text().exactOptional().describe("`jwt` if it is missing."),
        role: text(),
        namespace: text().exactOptional(),
        ...common(),
        ...more(),
      }),
      z.strictObject({ provider: z.literal("jwt"), ...common(), ...more() }),
      z.strictObject({
        provider: z.literal("anthropic"),
        organization_id: text(128),
        federation_rule_id: text(128),
        service_account_id: text(128).exactOptional(),
        workspace_id: text(128).exactOptional(),
        ...common(),
        ...more(),
      }),
      z.strictObject({
        provider: z.literal("openrouter"),
        federation_policy_id: text(128),
        ...common(),
        ...more(),
      }),
    ],
    {
      error: (issue) =>
        issue.code === "invalid_union"
          ? "There is no such provider. It is one of: aws, gcp, azure, token_exchange, vault, jwt, anthropic, openrouter."
          : undefined,
    },
  );

/** In the place of all that the role was. */
export const PutCloudRole = named("PutCloudRole", () => variants(() => ({})));

export const CreateCloudRole = named("CreateCloudRole", () =>
  variants(() => ({ name: nameSchema().describe("Of the role, as steps name it.") })),
);

export const TestCloudRole = named("TestCloudRole", () =>
  z.strictObject({
    workflow: z
      .string()
      .max(80)
      .exactOptional()
      .describe(
        "In whose name, as the role names it; `inline` for steps that came as JSON. Missing: its first.",
      ),
  }),
);

export const rolesQuery = () =>
  z.strictObject({
    limit: z.coerce.number().int().min(1).max(100).exactOptional(),
    cursor: nameSchema().exactOptional(),
  });

type Settings = BodyOf<typeof PutCloudRole>;

export function roleRequestOf(body: Settings): RoleRequest {
  const { audience, workflows, inline, hosts, per_run: perRun, claims } = body;
  return {
    target: targetOf(body),
    workflows,
    ...(audience === undefined ? {} : { audience }),
    ...(inline === undefined ? {} : { inline }),
    ...(hosts === undefined
      ? {}
      : { hosts: hosts.map((one) => (typeof one === "string" ? { host: one } : one)) }),
    ...(perRun === undefined ? {} : { perRun }),
    ...(claims === undefined ? {} : { claims }),
  };
}

function targetOf(body: Settings): RoleTarget {
  switch (body.provider) {
    case "aws": {
      const { tags, transitive_tags: transitiveTags, next } = body;
      return {
        ...{ provider: "aws", roleArn: body.role_arn, region: body.region },
        durationS: body.duration_s ?? DEFAULT_SESSION_S,
        ...policiesOf(body),
        ...(tags === undefined ? {} : { tags }),
        ...(transitiveTags === undefined ? {} : { transitiveTags }),
        ...(next === undefined
          ? {}
          : {
              next: {
                roleArn: next.role_arn,
                ...(next.external_id === undefined ? {} : { externalId: next.external_id }),
                ...policiesOf(next),
              },
            }),
      };
    }
    case "gcp":
      return {
        ...{ provider: "gcp", workloadProvider: body.workload_provider },
        ...(body.service_account === undefined ? {} : { serviceAccount: body.service_account }),
        ...{ scopes: body.scopes ?? [GOOGLE_SCOPE], lifetimeS: body.lifetime_s ?? DEFAULT_SESSION_S },
      };
    case "azure":
      return { provider: "azure", directory: body.directory, clientId: body.client_id, scope: body.scope };
    case "token_exchange":
      return {
        ...{ provider: "token_exchange", tokenUrl: body.token_url },
        subjectTokenType: body.subject_token_type ?? "jwt",
        ...(body.requested_audience === undefined ? {} : { requestedAudience: body.requested_audience }),
        ...(body.resource === undefined ? {} : { resource: body.resource }),
        ...(body.scopes === undefined ? {} : { scopes: body.scopes }),
        ...(body.client_id === undefined ? {} : { clientId: body.client_id }),
      };
    case "vault":
      return {
        ...{ provider: "vault", host: body.host, mount: body.mount ?? "jwt", role: body.role },
        ...(body.namespace === undefined ? {} : { namespace: body.namespace }),
      };
    case "anthropic":
      return {
        ...{ provider: "anthropic", organizationId: body.organization_id },
        federationRuleId: body.federation_rule_id,
        ...(body.service_account_id === undefined ? {} : { serviceAccountId: body.service_account_id }),
        ...(body.workspace_id === undefined ? {} : { workspaceId: body.workspace_id }),
      };
    case "jwt":
      return { provider: "jwt" };
    case "openrouter":
      return { provider: "openrouter", federationPolicyId: body.federation_policy_id };
  }
}

type Policy = string | Readonly<Record<string, unknown>> | undefined;

function policiesOf(given: {
  readonly session_policy?: Policy;
  readonly session_policy_arns?: readonly string[] | undefined;
}): Pick<AwsTarget, "sessionPolicy" | "sessionPolicyArns"> {
  const { session_policy: policy, session_policy_arns: arns } = given;
  return {
    ...(policy === undefined
      ? {}
      : { sessionPolicy: typeof policy === "string" ? policy : JSON.stringify(policy) }),
    ...(arns === undefined ? {} : { sessionPolicyArns: arns }),
  };
}
