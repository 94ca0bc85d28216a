import { describe, expect, test } from "vitest";
import type { RoleTarget } from "../../src/identity/role.ts";
import { draftRole, longestLifeS, type RoleRequest } from "../../src/identity/roles.ts";

const RULES = {
  ownHosts: ["showcaller.example"],
  issuerOrigin: "https://id.showcaller.example",
};

const AWS = {
  provider: "aws",
  roleArn: "arn:aws:iam::123456789012:role/writer",
  region: "eu-central-1",
  durationS: 900,
} as const satisfies RoleTarget;
const GCP = {
  provider: "gcp",
  workloadProvider: "projects/1234/locations/global/workloadIdentityPools/agents/providers/showcaller",
  serviceAccount: "writer@acme.iam.gserviceaccount.com",
  scopes: ["https://www.googleapis.com/auth/cloud-platform"],
  lifetimeS: 3600,
} as const satisfies RoleTarget;
const AZURE = {
  provider: "azure",
  directory: "11111111-2222-3333-4444-555555555555",
  clientId: "66666666-7777-8888-9999-000000000000",
  scope: "https://storage.azure.com/.default",
} as const satisfies RoleTarget;
const VAULT = {
  provider: "vault",
  host: "vault.acme.example",
  mount: "jwt",
  role: "agents",
} as const satisfies RoleTarget;
const EXCHANGE = {
  provider: "token_exchange",
  tokenUrl: "https://tokens.acme.example/token",
  subjectTokenType: "jwt",
} as const satisfies RoleTarget;
const JWT = { provider: "jwt" } as const satisfies RoleTarget;
const ANTHROPIC = {
  provider: "anthropic",
  organizationId: "org-1",
  federationRuleId: "rule-1",
} as const satisfies RoleTarget;

const HOSTS = [{ host: "api.acme.example" }];

function draft(request: Partial<RoleRequest> & Pick<RoleRequest, "target">) {
  const hosts = request.target.provider === "aws" ? [{ host: "b.s3.eu-central-1.amazonaws.com" }] : HOSTS;
  return draftRole({ workflows: ["code:nightly"], hosts, ...request }, RULES);
}

function refusal(request: Partial<RoleRequest> & Pick<RoleRequest, "target">) {
  const drafted = draft(request);
  return drafted.ok ? null : [drafted.error.pointer, drafted.error.code];
}

describe("whom a role's tokens are for", () => {
  test.each([
    [AWS, "sts.amazonaws.com"],
    [GCP, `https://iam.googleapis.com/${GCP.workloadProvider}`],
    [AZURE, "api://AzureADTokenExchange"],
    [ANTHROPIC, "https://api.anthropic.com"],
    [VAULT, "https://vault.acme.example"],
    [EXCHANGE, "https://tokens.acme.example"],
  ])("$provider takes its usual audience where nobody says another", (target, audience) => {
    expect(draft({ target })).toMatchObject({ ok: true, value: { audience } });
  });

  test("a service that takes the token itself must say its audience", () => {
    expect(refusal({ target: JWT })).toEqual(["/audience", "audience_missing"]);
    expect(draft({ target: JWT, audience: "https://api.acme.example" }).ok).toBe(true);
  });

  test.each([JWT, EXCHANGE, VAULT])("a $provider role never has the audience of a cloud", (target) => {
    for (const audience of [
      "sts.amazonaws.com",
      "STS.amazonaws.com",
      "sts.amazonaws.com.cn",
      "api://AzureADTokenExchange",
      "api://azureadtokenexchange",
      `//iam.googleapis.com/${GCP.workloadProvider}`,
      `https://iam.googleapis.com/${GCP.workloadProvider}`,
      "https://api.anthropic.com",
      "https://openrouter.ai/api",
      "https://login.microsoftonline.com/common",
    ])
      expect([audience, refusal({ target, audience })]).toEqual([
        audience,
        ["/audience", "audience_of_cloud"],
      ]);
  });

  test("no cloud or vendor is given what another one takes", () => {
    for (const [target, audience] of [
      [ANTHROPIC, "sts.amazonaws.com"],
      [ANTHROPIC, "https://openrouter.ai"],
      [AWS, "api://AzureADTokenExchange"],
      [AWS, `//iam.googleapis.com/${GCP.workloadProvider}`],
      [GCP, "sts.amazonaws.com"],
    ] as const)
      expect([audience, refusal({ target, audience })]).toEqual([
        audience,
        ["/audience", "audience_of_cloud"],
      ]);
    expect(draft({ target: AWS, audience: "https://acme.example" }).ok).toBe(true);
  });

  test("no token of ours is for ourselves", () => {
    for (const audience of [
      "https://id.showcaller.example/t/acme",
      "HTTPS://ID.showcaller.example",
      "id.showcaller.example",
      "https://showcaller.example/v1",
      "https://showcaller.example.",
    ])
      expect([audience, refusal({ target: JWT, audience })]).toEqual([
        audience,
        ["/audience", "audience_own"],
      ]);
    expect(draft({ target: JWT, audience: "https://id.showcaller.example.acme.example" }).ok).toBe(true);
  });

  test("Entra ID takes its own audience only", () => {
    expect(refusal({ target: AZURE, audience: "https://acme.example" })).toEqual([
      "/audience",
      "audience_unfit",
    ]);
  });
});

describe("where a role's credentials may go", () => {
  test("to no host that makes tokens, to none of ours, and to no pattern", () => {
    for (const [host, code] of [
      ["sts.eu-central-1.amazonaws.com", "host_mints_tokens"],
      ["showcaller.example", "host_unfit"],
      ["*.acme.example", "host_unfit"],
      ["API.acme.example", "host_unfit"],
      ["127.0.0.1", "host_unfit"],
      ["localhost", "host_unfit"],
      ["api.acme.example.", "host_unfit"],
      ["api.acme.example:8443", "host_unfit"],
      ["user@api.acme.example", "host_unfit"],
    ])
      expect([host, refusal({ target: GCP, hosts: [{ host: host! }] })]).toEqual([host, ["/hosts/0", code]]);
  });

  test("AWS is told service and region by the host, or by whoever makes the role", () => {
    const drafted = draft({
      target: AWS,
      hosts: [
        { host: "invoices.s3.eu-central-1.amazonaws.com" },
        { host: "dynamodb.eu-west-1.amazonaws.com" },
        { host: "bedrock-runtime.us-east-1.amazonaws.com" },
        { host: "abc123.execute-api.eu-central-1.amazonaws.com" },
        { host: "files.acme.example", service: "s3", region: "us-east-1" },
      ],
    });
    expect(drafted.ok && drafted.value.hosts.map(({ service, region }) => `${service} ${region}`)).toEqual([
      "s3 eu-central-1",
      "dynamodb eu-west-1",
      "bedrock us-east-1",
      "execute-api eu-central-1",
      "s3 us-east-1",
    ]);
    expect(refusal({ target: AWS, hosts: [{ host: "files.acme.example" }] })).toEqual([
      "/hosts/0",
      "service_missing",
    ]);
    for (const [more, pointer, code] of [
      [{ service: "S3" }, "/hosts/0/service", "service_unfit"],
      [{ service: "s3", region: "eu" }, "/hosts/0/region", "region_unfit"],
    ] as const)
      expect(refusal({ target: AWS, hosts: [{ host: "files.acme.example", ...more }] })).toEqual([
        pointer,
        code,
      ]);
    expect(refusal({ target: AWS, hosts: [{ host: "s3.amazonaws.com", service: "s3" }] })).toEqual([
      "/hosts/0",
      "region_missing",
    ]);
  });

  test("a role for nobody, or without hosts, is no role", () => {
    expect(refusal({ target: GCP, workflows: [] })).toEqual(["/workflows", "workflows_missing"]);
    expect(refusal({ target: GCP, hosts: [] })).toEqual(["/hosts", "hosts_missing"]);
    expect(draft({ target: GCP, workflows: [], inline: true }).ok).toBe(true);
    for (const one of [
      "nightly",
      "code:",
      "tenant:acme:code:nightly",
      "inline",
      "code:nightly:x",
      "CODE:nightly",
    ])
      expect([one, refusal({ target: GCP, workflows: [one] })]).toEqual([
        one,
        ["/workflows/0", "workflow_unreadable"],
      ]);
    const bare = draft({ target: GCP, workflows: ["plan:a", "nightly"] });
    expect(bare).toMatchObject({
      error: { pointer: "/workflows/1", allowed: ["code:nightly", "plan:nightly"] },
    });
    expect(refusal({ target: GCP, workflows: ["plan:a", "code:a", "plan:a"] })).toEqual([
      "/workflows/2",
      "workflow_twice",
    ]);
  });
});

describe("what a role says of itself", () => {
  test("shadows no claim that has a meaning, and sets no tag at AWS", () => {
    for (const name of [
      "sub",
      "iss",
      "aud",
      "tenant",
      "workflow",
      "https://aws.amazon.com/tags",
      "__proto__x y",
    ])
      expect([name, refusal({ target: GCP, claims: { [name]: "x" } })?.[1]]).toEqual([name, "claim_unfit"]);
    expect(draft({ target: GCP, claims: { team: "billing" } }).ok).toBe(true);
  });

  test.each<[string, RoleTarget, string]>([
    ["a session that is too short", { ...AWS, durationS: 899 }, "/duration_s"],
    ["a session that is too long", { ...AWS, durationS: 43_201 }, "/duration_s"],
    ["a chain that is too long", { ...AWS, durationS: 3_601, next: { roleArn: AWS.roleArn } }, "/duration_s"],
    ["an ARN of a user", { ...AWS, roleArn: "arn:aws:iam::123456789012:user/writer" }, "/role_arn"],
    ["a region that is none", { ...AWS, region: "eu-central-1.evil.example/" }, "/region"],
    ["a policy that is no JSON", { ...AWS, sessionPolicy: "{" }, "/session_policy"],
    [
      "a policy that is too long",
      { ...AWS, sessionPolicy: `{"a":"${"x".repeat(2048)}"}` },
      "/session_policy",
    ],
    ["a tag that AWS keeps for itself", { ...AWS, tags: { a: "b", "aws:x/y": "y" } }, "/tags/aws:x~1y"],
    ["a transitive tag that is no tag", { ...AWS, transitiveTags: ["run"] }, "/transitive_tags/0"],
    ["a region of another partition", { ...AWS, region: "cn-north-1" }, "/region"],
    [
      "a next role of another partition",
      { ...AWS, next: { roleArn: "arn:aws-cn:iam::123456789012:role/w" } },
      "/next/role_arn",
    ],
    [
      "a next policy that is no JSON",
      { ...AWS, next: { roleArn: AWS.roleArn, sessionPolicy: "[]" } },
      "/next/session_policy",
    ],
    [
      "a managed policy that is none",
      { ...AWS, sessionPolicyArns: ["arn:aws:iam::aws:policy/ReadOnlyAccess", "ReadOnlyAccess"] },
      "/session_policy_arns/1",
    ],
    ["a scope of somebody else", { ...GCP, scopes: [...GCP.scopes, "https://acme.example/x"] }, "/scopes/1"],
    ["a resource that is no address", { ...EXCHANGE, resource: "notes" }, "/resource"],
    ["a scope with a space", { ...EXCHANGE, scopes: ["a b"] }, "/scopes/0"],
    [
      "a policy's id with a space",
      { provider: "openrouter", federationPolicyId: "a b" },
      "/federation_policy_id",
    ],
    ["a workspace with a slash", { ...ANTHROPIC, workspaceId: "a/b" }, "/workspace_id"],
    ["a pool by its name only", { ...GCP, workloadProvider: "agents" }, "/workload_provider"],
    ["a service account that is none", { ...GCP, serviceAccount: "writer@acme.example" }, "/service_account"],
    ["a directory by its domain", { ...AZURE, directory: "acme.onmicrosoft.com/../x" }, "/directory"],
    ["a scope without /.default", { ...AZURE, scope: "https://storage.azure.com/" }, "/scope"],
    ["a token service of ours", { ...EXCHANGE, tokenUrl: "https://showcaller.example/token" }, "/token_url"],
    ["a token service by plain http", { ...EXCHANGE, tokenUrl: "http://tokens.acme.example/" }, "/token_url"],
    ["a mount that leaves its place", { ...VAULT, mount: "../sys" }, "/mount"],
  ])("%s is told at its field", (_, target, pointer) => {
    expect(refusal({ target })).toEqual([pointer, "target_unfit"]);
  });
});

test("how long a credential can live is known of sessions, impersonations, and what ends with the identity token", () => {
  const openrouter = { provider: "openrouter", federationPolicyId: "p" } as const;
  expect([AWS, GCP, AZURE, JWT, openrouter].map(longestLifeS)).toEqual([900, 3600, null, 600, 600]);
});
