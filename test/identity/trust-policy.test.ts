import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import type { AwsTarget, RoleTarget } from "../../src/identity/role.ts";
import { trustAdvice, trustTexts } from "../../src/identity/trust-policy/index.ts";
import { shellWord, terraformText } from "../../src/identity/trust-policy/trust.ts";

const TRUSTED = {
  issuer: "https://id.showcaller.example/t/acme",
  audience: "sts.amazonaws.com",
  subjects: ["tenant:acme:code:nightly", "tenant:acme:plan:weekly"],
};

const TARGETS: readonly RoleTarget[] = [
  {
    provider: "aws",
    roleArn: "arn:aws:iam::123456789012:role/agents/writer",
    region: "eu-central-1",
    durationS: 900,
    tags: { team: "billing" },
    transitiveTags: ["team"],
    next: { roleArn: "arn:aws:iam::210987654321:role/reader", externalId: "x-1" },
  },
  {
    provider: "gcp",
    workloadProvider: "projects/1234/locations/global/workloadIdentityPools/agents/providers/showcaller",
    serviceAccount: "writer@acme.iam.gserviceaccount.com",
    scopes: ["https://www.googleapis.com/auth/cloud-platform"],
    lifetimeS: 3600,
  },
  {
    provider: "azure",
    directory: "11111111-2222-3333-4444-555555555555",
    clientId: "66666666-7777-8888-9999-000000000000",
    scope: "https://storage.azure.com/.default",
  },
  { provider: "vault", host: "vault.acme.example", mount: "jwt", role: "agents" },
  { provider: "jwt" },
  { provider: "openrouter", federationPolicyId: "policy-1" },
  { provider: "anthropic", organizationId: "org-1", federationRuleId: "rule-1" },
  { provider: "token_exchange", tokenUrl: "https://tokens.acme.example/token", subjectTokenType: "jwt" },
];

describe.each(TARGETS)("$provider", (target) => {
  const texts = trustTexts(target, TRUSTED);

  test("is told the issuer, the audience and every subject, whole, in texts of every form", () => {
    expect(texts.map(({ form }) => form)).toEqual(expect.arrayContaining(["shell", "terraform"]));
    const all = texts.map(({ content }) => content).join("\n");
    for (const word of [TRUSTED.issuer, TRUSTED.audience, ...TRUSTED.subjects]) expect(all).toContain(word);
    const terraform = texts.find(({ form }) => form === "terraform");
    for (const subject of TRUSTED.subjects) expect(terraform?.content).toContain(subject);
  });

  test("gets JSON that can be read, and commands that a shell can", () => {
    for (const { form, content } of texts) {
      if (form === "json") expect(typeof JSON.parse(content)).toBe("object");
      if (form === "shell")
        expect(execFileSync("bash", ["-n"], { input: content, encoding: "utf8" })).toBe("");
    }
    expect(texts.length).toBeGreaterThan(0);
  });
});

test("AWS trusts exactly these subjects with this audience, under the name without the scheme", () => {
  const [policy] = trustTexts(TARGETS[0]!, TRUSTED);
  expect(JSON.parse(policy!.content)).toEqual({
    Version: "2012-10-17",
    Statement: [
      {
        Effect: "Allow",
        Principal: { Federated: "arn:aws:iam::123456789012:oidc-provider/id.showcaller.example/t/acme" },
        Action: ["sts:AssumeRoleWithWebIdentity", "sts:TagSession"],
        Condition: {
          StringEquals: {
            "id.showcaller.example/t/acme:aud": "sts.amazonaws.com",
            "id.showcaller.example/t/acme:sub": TRUSTED.subjects,
          },
        },
      },
    ],
  });
});

test("the first role is told which one it may assume next", () => {
  const last = trustTexts(TARGETS[0]!, TRUSTED).at(-1);
  expect(JSON.parse(last!.content)).toMatchObject({
    Statement: [
      { Action: ["sts:AssumeRole", "sts:TagSession"], Resource: "arn:aws:iam::210987654321:role/reader" },
    ],
  });
});

test("whoever makes a role is told what its cloud will not take", () => {
  const subjects = (count: number) =>
    Array.from({ length: count }, (_, i) => `tenant:acme:code:workflow-number-${i}-of-many`);
  const advice = (target: RoleTarget, count: number) =>
    trustAdvice(target, { ...TRUSTED, subjects: subjects(count) }).length;
  const [aws, gcp, azure, vault] = TARGETS as readonly [RoleTarget, RoleTarget, RoleTarget, RoleTarget];
  const { tags: _tags, transitiveTags: _keys, ...untagged } = aws as AwsTarget;
  expect([advice(untagged, 2), advice(untagged, 60), advice(aws, 2)]).toEqual([0, 1, 1]);
  expect([advice(gcp, 2), advice(gcp, 100)]).toEqual([0, 1]);
  expect([advice(azure, 20), advice(azure, 21)]).toEqual([0, 1]);
  expect(advice(vault, 100)).toBe(0);
});

test("the role that is assumed next trusts the first one, by its external id", () => {
  const next = trustTexts(TARGETS[0]!, TRUSTED).at(-2);
  expect(JSON.parse(next!.content)).toMatchObject({
    Statement: [
      {
        Principal: { AWS: "arn:aws:iam::123456789012:role/agents/writer" },
        Action: ["sts:AssumeRole", "sts:TagSession"],
        Condition: { StringEquals: { "sts:ExternalId": "x-1" } },
      },
    ],
  });
});

test("the commands carry the texts to the program as they are, whatever is in them", () => {
  for (const word of ["$(id)", "a'b", 'a"b', "`id`", "a b;c", "${x}", "\\", "'; id; '"]) {
    const said = execFileSync("bash", ["-c", `printf %s ${shellWord(word)}`], { encoding: "utf8" });
    expect(said).toBe(word);
  }
  const [, shell] = trustTexts(TARGETS[0]!, { ...TRUSTED, audience: "x';id>/tmp/never;'" });
  const words = execFileSync("bash", ["-c", `aws() { printf '%s\\n' "$@"; }\n${shell!.content}`], {
    encoding: "utf8",
  });
  expect(words.split("\n")).toContain("x';id>/tmp/never;'");
});

test("a text in Terraform is no template", () => {
  expect(terraformText('a${b}%{c}"')).toBe('"a$${b}%%{c}\\""');
});
