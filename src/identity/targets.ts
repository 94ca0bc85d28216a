/** Whether a target can be what it says: the forms and limits of each cloud. Pure. Facts: docs/identity.md. */
import { escapePointer } from "../kernel/index.ts";
import { checkUrl, isPublicName, type HostRules } from "../platform/index.ts";
import { isAwsRegion, partitionOf } from "./aws-hosts.ts";
import type { AwsTarget, GcpTarget, RoleTarget } from "./role.ts";
import { tagsFlaw } from "./token.ts";

interface Flaw {
  /** JSON Pointer into the request. */
  readonly pointer: string;
  readonly code: string;
  readonly detail: string;
}

const ROLE_ARN = /^arn:(aws(?:-cn|-us-gov|-eusc)?):iam::\d{12}:role\/[\w+=,.@/-]{1,512}$/;
const POLICY_ARN = /^arn:aws(?:-cn|-us-gov|-eusc)?:iam::(?:\d{12}|aws):policy\/[\w+=,.@/-]{1,512}$/;
const EXTERNAL_ID = /^[\w+=,.@:/-]{2,1224}$/;
/** Session policies, as plain text. */
const MAX_POLICY_CHARS = 2_048;
const MAX_POLICY_ARNS = 10;
const MIN_SESSION_S = 900;
const MAX_SESSION_S = 43_200;
/** A role that is assumed by another one lives at most an hour. */
const MAX_CHAINED_S = 3_600;

const WORKLOAD_PROVIDER =
  /^projects\/\d{1,20}\/locations\/global\/workloadIdentityPools\/[a-z0-9-]{4,32}\/providers\/[a-z0-9-]{4,32}$/;
const SERVICE_ACCOUNT = /^[a-z0-9-]{1,63}@[a-z0-9.-]{1,100}\.gserviceaccount\.com$/;
const GOOGLE_SCOPE = /^https:\/\/www\.googleapis\.com\/auth\/[\w./-]{1,128}$/;
const MIN_GOOGLE_S = 600;

const GUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const AZURE_SCOPE = /^(?:https|api):\/\/[\w./:-]{1,250}\/\.default$/;
const VAULT_PATH = /^(?!\.)[\w.-]{1,64}(?:\/(?!\.)[\w.-]{1,64}){0,7}$/;
const VENDOR_ID = /^[\w:.-]{1,128}$/;
/** RFC 6749, appendix A. */
const OAUTH_SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/;
const OAUTH_TEXT = /^[\x20-\x7e]{1,512}$/;

/** Whether it fits, where it stands, and what would fit. */
type Check = readonly [boolean, string, string];

/** @param rules our own hosts, which no credential comes from */
export function targetFlaw(target: RoleTarget, rules: Pick<HostRules, "ownHosts">): Flaw | null {
  switch (target.provider) {
    case "aws":
      return awsFlaw(target);
    case "gcp":
      return gcpFlaw(target);
    case "azure":
      return first([
        [GUID.test(target.directory), "/directory", "It is the directory's id (GUID), as in its overview."],
        [GUID.test(target.clientId), "/client_id", "It is the application's id (GUID)."],
        [AZURE_SCOPE.test(target.scope), "/scope", "Name one resource with `/.default` behind it."],
      ]);
    case "token_exchange":
      return first([
        [
          checkUrl(target.tokenUrl, rules).ok,
          "/token_url",
          "It is the https address of a public host, which is not this deployment.",
        ],
        fits(target.requestedAudience, OAUTH_TEXT, "/requested_audience", "It is printable ASCII."),
        [
          target.resource === undefined || isResource(target.resource),
          "/resource",
          "It is an absolute address without a fragment.",
        ],
        each(target.scopes, OAUTH_SCOPE, "/scopes", "A scope has no spaces or quotes."),
        fits(target.clientId, OAUTH_TEXT, "/client_id", "It is printable ASCII."),
      ]);
    case "vault":
      return first([
        [
          isPublicName(target.host) && checkUrl(`https://${target.host}/`, rules).ok,
          "/host",
          "It is the public DNS name of the Vault, which listens on port 443.",
        ],
        fits(target.mount, VAULT_PATH, "/mount", "It is the path of the auth method, as in `jwt`."),
        fits(target.role, VAULT_PATH, "/role", "It is the name of the Vault role."),
        fits(target.namespace, VAULT_PATH, "/namespace", "It is the path of the namespace."),
      ]);
    case "anthropic":
      return first([
        vendorId(target.organizationId, "/organization_id"),
        vendorId(target.federationRuleId, "/federation_rule_id"),
        vendorId(target.serviceAccountId, "/service_account_id"),
        vendorId(target.workspaceId, "/workspace_id"),
      ]);
    case "openrouter":
      return first([vendorId(target.federationPolicyId, "/federation_policy_id")]);
    case "jwt":
      return null;
  }
}

function awsFlaw(target: AwsTarget): Flaw | null {
  const { roleArn, region, durationS, tags = {}, transitiveTags = [], next } = target;
  const badTag = tagsFlaw(tags);
  const stray = transitiveTags.findIndex((key) => !Object.hasOwn(tags, key));
  const longest = next === undefined ? MAX_SESSION_S : MAX_CHAINED_S;
  return first([
    [
      ROLE_ARN.test(roleArn),
      "/role_arn",
      "Write the ARN of an IAM role: `arn:aws:iam::123456789012:role/NAME`.",
    ],
    [isAwsRegion(region), "/region", "It is the name of a region, as in `eu-central-1`."],
    [isOfPartition(roleArn, region), "/region", "The role is of another partition of AWS than the region."],
    [
      durationS >= MIN_SESSION_S && durationS <= longest,
      "/duration_s",
      `A session lasts ${MIN_SESSION_S} to ${longest} seconds here.`,
    ],
    [
      badTag === null,
      badTag === null || badTag.key === null ? "/tags" : `/tags/${escapePointer(badTag.key)}`,
      badTag?.detail ?? "",
    ],
    [stray === -1, `/transitive_tags/${stray}`, "It is no key of `tags`."],
    ...policyChecks(target, ""),
    ...(next === undefined
      ? []
      : ([
          [ROLE_ARN.test(next.roleArn), "/next/role_arn", "It is the ARN of the role that is assumed next."],
          [
            isOfPartition(next.roleArn, region),
            "/next/role_arn",
            "It is of another partition of AWS than the region.",
          ],
          fits(
            next.externalId,
            EXTERNAL_ID,
            "/next/external_id",
            "It has 2 to 1,224 of the characters that AWS takes.",
          ),
          ...policyChecks(next, "/next"),
        ] satisfies Check[])),
  ]);
}

function isOfPartition(arn: string, region: string): boolean {
  return ROLE_ARN.exec(arn)?.[1] === partitionOf(region);
}

function policyChecks(
  { sessionPolicy, sessionPolicyArns = [] }: Pick<AwsTarget, "sessionPolicy" | "sessionPolicyArns">,
  at: string,
): Check[] {
  return [
    [
      sessionPolicy === undefined || (sessionPolicy.length <= MAX_POLICY_CHARS && isObject(sessionPolicy)),
      `${at}/session_policy`,
      `It is a policy document in JSON, of at most ${MAX_POLICY_CHARS} characters.`,
    ],
    [
      sessionPolicyArns.length <= MAX_POLICY_ARNS,
      `${at}/session_policy_arns`,
      `A session has at most ${MAX_POLICY_ARNS} managed policies.`,
    ],
    each(sessionPolicyArns, POLICY_ARN, `${at}/session_policy_arns`, "It is the ARN of a managed policy."),
  ];
}

function gcpFlaw({ workloadProvider, serviceAccount, scopes, lifetimeS }: GcpTarget): Flaw | null {
  return first([
    fits(
      workloadProvider,
      WORKLOAD_PROVIDER,
      "/workload_provider",
      "It is `projects/<number>/locations/global/workloadIdentityPools/<pool>/providers/<provider>`.",
    ),
    fits(
      serviceAccount,
      SERVICE_ACCOUNT,
      "/service_account",
      "It is the e-mail address of a service account.",
    ),
    [scopes.length > 0, "/scopes", "Name a scope, or leave it out."],
    each(scopes, GOOGLE_SCOPE, "/scopes", "A scope begins with `https://www.googleapis.com/auth/`."),
    [
      lifetimeS >= MIN_GOOGLE_S && lifetimeS <= MAX_SESSION_S,
      "/lifetime_s",
      `A token lasts ${MIN_GOOGLE_S} to ${MAX_SESSION_S} seconds here.`,
    ],
  ]);
}

function vendorId(text: string | undefined, at: string): Check {
  return fits(text, VENDOR_ID, at, "It is an id as the console shows it.");
}

/** What is left out fits. */
function fits(text: string | undefined, pattern: RegExp, at: string, detail: string): Check {
  return [text === undefined || pattern.test(text), at, detail];
}

function each(texts: readonly string[] | undefined, pattern: RegExp, at: string, detail: string): Check {
  const index = texts?.findIndex((text) => !pattern.test(text)) ?? -1;
  return [index === -1, `${at}/${index}`, detail];
}

function first(checks: readonly Check[]): Flaw | null {
  const failed = checks.find(([isFit]) => !isFit);
  return failed === undefined ? null : { pointer: failed[1], code: "target_unfit", detail: failed[2] };
}

/** RFC 8707 section 2. */
function isResource(text: string): boolean {
  return URL.canParse(text) && !text.includes("#");
}

function isObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}
