/**
 * How the demo's workflow is trusted by a cloud: the role is made through the API, as a tenant would, and the world's AWS is told
 * what `trust-policy` prints, as its administrator would.
 */
import type { Api } from "./api.ts";
import { complain, fine, reasonOf, type Outcome } from "./complaint.ts";
import type { Referee } from "./referee.ts";

/** Under this name the world's clouds find what the local server says of itself as an issuer. */
const ISSUER_HOST = "id.showcaller.test";
export const ISSUER_ORIGIN = `https://${ISSUER_HOST}`;

/** Of the demo's workflow, which names it. */
const ROLE = "invoices-writer";
/** The account and the bucket of the world. */
const ROLE_ARN = `arn:aws:iam::111122223333:role/${ROLE}`;
const BUCKET = "invoices";
const REGION = "eu-central-1";
const CONTENT = {
  ...{ provider: "aws", role_arn: ROLE_ARN, region: REGION },
  workflows: ["code:process-order"],
  hosts: [{ host: `${BUCKET}.s3.${REGION}.amazonaws.com`, service: "s3", region: REGION }],
};

/** What the role may do at AWS, whoever it is lent to. */
const PERMISSIONS = {
  Version: "2012-10-17",
  Statement: [{ Effect: "Allow", Action: "s3:PutObject", Resource: `arn:aws:s3:::${BUCKET}/*` }],
};

interface Trust {
  readonly issuer: string;
  readonly audience: string;
  readonly subjects: readonly string[];
  readonly texts: readonly { readonly form: string; readonly content: string }[];
}

export interface TrustedRole {
  readonly role: string;
  readonly made: "made" | "kept";
  readonly subject: string;
}

/** The world's clouds find the issuer at this server from now on. */
export async function standFor(url: string, referee: Pick<Referee, "clouds">): Promise<void> {
  await referee.clouds("/issuers", { host: ISSUER_HOST, port: Number(new URL(url).port) });
}

/** The world forgets whom it trusts when it ends: it is told with every start. */
export async function trustRole(
  api: Pick<Api, "call" | "url">,
  referee: Pick<Referee, "clouds">,
): Promise<Outcome<TrustedRole>> {
  const made = await makeRole(api);
  if (!made.ok) return made;
  const trust = await api.call<Trust>("GET", `/v1/cloud-roles/${ROLE}/trust-policy`);
  if (!trust.ok) return trust;
  const { issuer, audience, subjects, texts } = trust.value;
  const policy = texts.find(({ form }) => form === "json")?.content ?? "null";
  try {
    await standFor(api.url, referee);
    await referee.clouds("/trust", [
      { kind: "aws_provider", url: issuer, clientIds: [audience] },
      { kind: "aws_role", arn: ROLE_ARN, trust: JSON.parse(policy), permissions: PERMISSIONS },
    ]);
  } catch (error) {
    return complain(`AWS could not be told whom to trust: ${reasonOf(error)}`, "See the world's log.");
  }
  return fine({ role: ROLE, made: made.value, subject: subjects[0] ?? "nobody" });
}

async function makeRole(api: Pick<Api, "call">): Promise<Outcome<"made" | "kept">> {
  const changed = await api.call("PUT", `/v1/cloud-roles/${ROLE}`, CONTENT);
  if (changed.ok) return fine("kept");
  if (changed.complaint.code !== "not_found") return changed;
  const made = await api.call("POST", "/v1/cloud-roles", { name: ROLE, ...CONTENT });
  return made.ok ? fine("made") : made;
}
