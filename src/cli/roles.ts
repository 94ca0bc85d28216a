/**
 * How the examples' workflows are trusted by clouds: roles are made through the API, as a tenant would, and the world's clouds are
 * told what they print to be pasted, as their administrators would.
 */
import type { Api } from "./api.ts";
import { complain, fine, reasonOf, type Outcome } from "./complaint.ts";
import type { Referee } from "./referee.ts";

/** Under this name the world's clouds find what the local server says of itself as an issuer. */
const ISSUER_HOST = "id.showcaller.test";
export const ISSUER_ORIGIN = `https://${ISSUER_HOST}`;

/** What the API says that a cloud has to be told. */
interface Trust {
  readonly issuer: string;
  readonly audience: string;
  readonly subjects: readonly string[];
  readonly texts: readonly { readonly form: string; readonly content: string }[];
}

interface ExampleRole {
  /** As the workflow names it. */
  readonly name: string;
  /** Who gives the credentials. */
  readonly cloud: string;
  readonly content: object;
  /** What the cloud is told (`test/world/README.md`). */
  readonly told: (trust: Trust, subject: string) => readonly object[];
}

const REGION = "eu-central-1";
const ROLE_ARN = "arn:aws:iam::111122223333:role/invoices-writer";
const RULE = { id: "fdrl_local", organization_id: "org-local" };
/** What the role may do at AWS, whoever it is lent to. */
const PERMISSIONS = {
  Version: "2012-10-17",
  Statement: [{ Effect: "Allow", Action: "s3:PutObject", Resource: "arn:aws:s3:::invoices/*" }],
};

const ROLES: readonly ExampleRole[] = [
  {
    ...{ name: "invoices-writer", cloud: "AWS" },
    content: {
      ...{ provider: "aws", role_arn: ROLE_ARN, region: REGION },
      workflows: ["code:process-order"],
      hosts: [{ host: `invoices.s3.${REGION}.amazonaws.com`, service: "s3", region: REGION }],
    },
    told: ({ issuer, audience, texts }) => {
      const policy: unknown = JSON.parse(texts.find(({ form }) => form === "json")?.content ?? "null");
      return [
        { kind: "aws_provider", url: issuer, clientIds: [audience] },
        { kind: "aws_role", arn: ROLE_ARN, trust: policy, permissions: PERMISSIONS },
      ];
    },
  },
  {
    ...{ name: "anthropic", cloud: "Anthropic" },
    content: {
      ...{ provider: "anthropic", organization_id: RULE.organization_id, federation_rule_id: RULE.id },
      workflows: ["code:ask-claude"],
      hosts: ["api.anthropic.com"],
    },
    told: ({ issuer, audience }, subject) => [
      { kind: "anthropic_rule", ...RULE, issuer, audience, subject, check_jti: true },
    ],
  },
];

export interface TrustedRole {
  readonly role: string;
  readonly made: "made" | "set again";
  readonly cloud: string;
  /** Whom the cloud trusts. */
  readonly subject: string;
}

type Clouds = Pick<Referee, "clouds">;

/** The world's clouds find the issuer at this server from now on. */
export async function standFor(url: string, referee: Clouds): Promise<void> {
  await referee.clouds("/issuers", { host: ISSUER_HOST, port: Number(new URL(url).port) });
}

/** The world forgets whom it trusts when it ends: it is told with every start. */
export async function trustRoles(
  api: Pick<Api, "call" | "url">,
  referee: Clouds,
): Promise<Outcome<readonly TrustedRole[]>> {
  const trusted: TrustedRole[] = [];
  for (const role of ROLES) {
    const made = await makeRole(api, role);
    if (!made.ok) return made;
    const trust = await api.call<Trust>("GET", `/v1/cloud-roles/${role.name}/trust-policy`);
    if (!trust.ok) return trust;
    const subject = trust.value.subjects[0] ?? "";
    try {
      await standFor(api.url, referee);
      await referee.clouds("/trust", role.told(trust.value, subject));
    } catch (error) {
      return complain(
        `The clouds could not be told whom to trust: ${reasonOf(error)}`,
        "See the world's log.",
      );
    }
    trusted.push({ role: role.name, made: made.value, cloud: role.cloud, subject });
  }
  return fine(trusted);
}

async function makeRole(
  api: Pick<Api, "call">,
  { name, content }: ExampleRole,
): Promise<Outcome<"made" | "set again">> {
  const changed = await api.call("PUT", `/v1/cloud-roles/${name}`, content);
  if (changed.ok) return fine("set again");
  if (changed.complaint.code !== "not_found") return changed;
  const made = await api.call("POST", "/v1/cloud-roles", { name, ...content });
  return made.ok ? fine("made") : made;
}
