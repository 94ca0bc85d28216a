/** https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create_for-idp_oidc.html */
import type { AwsTarget } from "../role.ts";
import { command, prettyJson, shellWord, terraformText, type Trusted, type TrustText } from "./trust.ts";

export function awsTrust(target: AwsTarget, trusted: Trusted): readonly TrustText[] {
  const policy = prettyJson(trustPolicy(target, trusted));
  const { issuer, audience } = trusted;
  const [, role = ""] = target.roleArn.split(":role/");
  const texts: TrustText[] = [
    { form: "json", title: `Trust policy of ${target.roleArn}`, content: policy },
    {
      form: "shell",
      title: "AWS CLI: once per account, then for the role",
      content: [
        command("aws iam create-open-id-connect-provider", [
          `--url ${shellWord(issuer)}`,
          `--client-id-list ${shellWord(audience)}`,
        ]),
        command("aws iam update-assume-role-policy", [
          `--role-name ${shellWord(role.split("/").at(-1) ?? role)}`,
          `--policy-document ${shellWord(policy)}`,
        ]),
      ].join("\n\n"),
    },
    { form: "terraform", title: "Terraform", content: terraform(target, trusted) },
  ];
  if (target.next !== undefined)
    texts.push(
      {
        form: "json",
        title: `Trust policy of ${target.next.roleArn}, which is assumed next`,
        content: prettyJson(nextPolicy(target, target.next)),
      },
      {
        form: "json",
        title: `Permission of ${target.roleArn} to assume it`,
        content: prettyJson(mayAssume(target, target.next)),
      },
    );
  return texts;
}

/** https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html; without white space. */
const USUAL_POLICY_CHARS = 2_048;

export function awsAdvice(target: AwsTarget, trusted: Trusted): readonly string[] {
  const { length } = JSON.stringify(trustPolicy(target, trusted));
  return [
    ...(isTagged(target)
      ? ["The role's trust policy must allow sts:TagSession, as `trust-policy` prints it."]
      : []),
    ...(length > USUAL_POLICY_CHARS
      ? [
          `The role's trust policy has ${length} characters. AWS takes ${USUAL_POLICY_CHARS} unless the account's quota was raised: name fewer workflows.`,
        ]
      : []),
  ];
}

function isTagged({ tags = {} }: AwsTarget): boolean {
  return Object.keys(tags).length > 0;
}

/** The name under which the account knows the issuer: without the scheme. */
function nameOf(issuer: string): string {
  return issuer.slice("https://".length);
}

function providerArn({ roleArn }: AwsTarget, issuer: string): string {
  const [arn, partition, , , account] = roleArn.split(":");
  return `${arn}:${partition}:iam::${account}:oidc-provider/${nameOf(issuer)}`;
}

function actionsOf(target: AwsTarget, assume: string): string | readonly string[] {
  return isTagged(target) ? [assume, "sts:TagSession"] : assume;
}

function trustPolicy(target: AwsTarget, { issuer, audience, subjects }: Trusted): unknown {
  const name = nameOf(issuer);
  return {
    Version: "2012-10-17",
    Statement: [
      {
        Effect: "Allow",
        Principal: { Federated: providerArn(target, issuer) },
        Action: actionsOf(target, "sts:AssumeRoleWithWebIdentity"),
        Condition: { StringEquals: { [`${name}:aud`]: audience, [`${name}:sub`]: single(subjects) } },
      },
    ],
  };
}

type Next = NonNullable<AwsTarget["next"]>;

/** Tags that are handed on are sent with the second request as well. */
function nextActions({ transitiveTags = [] }: AwsTarget): string | readonly string[] {
  return transitiveTags.length > 0 ? ["sts:AssumeRole", "sts:TagSession"] : "sts:AssumeRole";
}

function mayAssume(target: AwsTarget, { roleArn }: Next): unknown {
  return {
    Version: "2012-10-17",
    Statement: [{ Effect: "Allow", Action: nextActions(target), Resource: roleArn }],
  };
}

function nextPolicy(target: AwsTarget, { externalId }: Next): unknown {
  return {
    Version: "2012-10-17",
    Statement: [
      {
        Effect: "Allow",
        Principal: { AWS: target.roleArn },
        Action: nextActions(target),
        ...(externalId === undefined
          ? {}
          : { Condition: { StringEquals: { "sts:ExternalId": externalId } } }),
      },
    ],
  };
}

function single(subjects: readonly string[]): string | readonly string[] {
  const [only, ...more] = subjects;
  return only === undefined || more.length > 0 ? subjects : only;
}

function terraform(target: AwsTarget, { issuer, audience, subjects }: Trusted): string {
  const name = nameOf(issuer);
  const actions = [actionsOf(target, "sts:AssumeRoleWithWebIdentity")].flat();
  return `resource "aws_iam_openid_connect_provider" "showcaller" {
  url            = ${terraformText(issuer)}
  client_id_list = [${terraformText(audience)}]
}

data "aws_iam_policy_document" "showcaller" {
  statement {
    actions = [${actions.map(terraformText).join(", ")}]
    principals {
      type        = "Federated"
      identifiers = [aws_iam_openid_connect_provider.showcaller.arn]
    }
    condition {
      test     = "StringEquals"
      variable = ${terraformText(`${name}:aud`)}
      values   = [${terraformText(audience)}]
    }
    condition {
      test     = "StringEquals"
      variable = ${terraformText(`${name}:sub`)}
      values   = [${subjects.map(terraformText).join(", ")}]
    }
  }
}

# In the resource aws_iam_role of ${target.roleArn}:
#   assume_role_policy = data.aws_iam_policy_document.showcaller.json
`;
}
