/** Whether a target can be what it says: the forms and limits of each cloud. Pure. Facts: docs/identity.md. */
import { checkUrl, isPublicName, type HostRules } from "../platform/index.ts";
import type { AwsTarget, GcpTarget, RoleTarget } from "./role.ts";
import { tagFlaw } from "./token.ts";

interface Flaw {
  readonly pointer: string;
  readonly code: string;
  readonly detail: string;
}

const ROLE_ARN = /^arn:aws(?:-cn|-us-gov)?:iam::\d{12}:role\/[\w+=,.@/-]{1,512}$/;
const POLICY_ARN = /^arn:aws(?:-cn|-us-gov)?:iam::(?:\d{12}|aws):policy\/[\w+=,.@/-]{1,512}$/;
const AWS_REGION = /^[a-z]{2}(?:-[a-z]{2,4})?-[a-z]+-\d$/;
const EXTERNAL_ID = /^[\w+=,.@:/-]{2,1224}$/;
/** Session policies, as plain text. */
const MAX_POLICY_CHARS = 2_048;
const MAX_POLICY_ARNS = 10;
const MIN_SESSION_S = 900;
const MAX_SESSION_S = 43_200;
/** A role that is assumed by another one lives at most an hour. */
const MAX_CHAINED_S = 3_600;
const MAX_TAGS = 50;

const WORKLOAD_PROVIDER =
  /^projects\/\d{1,20}\/locations\/global\/workloadIdentityPools\/[a-z0-9-]{4,32}\/providers\/[a-z0-9-]{4,32}$/;
const SERVICE_ACCOUNT = /^[a-z0-9-]{1,63}@[a-z0-9.-]{1,100}\.gserviceaccount\.com$/;
const GOOGLE_SCOPE = /^https:\/\/www\.googleapis\.com\/auth\/[\w./-]{1,128}$/;
const MIN_GOOGLE_S = 600;

const GUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const AZURE_SCOPE = /^(?:https|api):\/\/[\w./:-]{1,250}\/\.default$/;
const VAULT_PATH = /^(?!\.)[\w.-]{1,64}(?:\/(?!\.)[\w.-]{1,64}){0,7}$/;
const VENDOR_ID = /^[\w:.-]{1,128}$/;
const OAUTH_SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/;

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
        [
          target.scopes?.every((one) => OAUTH_SCOPE.test(one)) ?? true,
          "/scopes",
          "A scope has no spaces or quotes.",
        ],
      ]);
    case "vault":
      return first([
        [
          isPublicName(target.host) && checkUrl(`https://${target.host}/`, rules).ok,
          "/host",
          "It is the public DNS name of the Vault, which listens on port 443.",
        ],
        [VAULT_PATH.test(target.mount), "/mount", "It is the path of the auth method, as in `jwt`."],
        [VAULT_PATH.test(target.role), "/role", "It is the name of the Vault role."],
        [
          target.namespace === undefined || VAULT_PATH.test(target.namespace),
          "/namespace",
          "It is the path of the namespace.",
        ],
      ]);
    case "anthropic":
      return first(
        (["organizationId", "federationRuleId", "serviceAccountId", "workspaceId"] as const).map((field) => [
          target[field] === undefined || VENDOR_ID.test(target[field]),
          `/${field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`,
          "It is an id as the console shows it.",
        ]),
      );
    case "jwt":
    case "openrouter":
      return null;
  }
}

function awsFlaw(target: AwsTarget): Flaw | null {
  const { roleArn, region, durationS, tags = {}, transitiveTags = [], next } = target;
  const keys = Object.keys(tags);
  const badTag = keys.map((key) => tagFlaw(key, tags[key] ?? "")).find((one) => one !== null);
  const longest = next === undefined ? MAX_SESSION_S : MAX_CHAINED_S;
  return (
    first([
      [ROLE_ARN.test(roleArn), "/role_arn", "It is the ARN of an IAM role."],
      [AWS_REGION.test(region), "/region", "It is the name of a region, as in `eu-central-1`."],
      [
        durationS >= MIN_SESSION_S && durationS <= longest,
        "/duration_s",
        `A session lasts ${MIN_SESSION_S} to ${longest} seconds here.`,
      ],
      [keys.length <= MAX_TAGS, "/tags", `A session has at most ${MAX_TAGS} tags.`],
      [badTag == null, "/tags", badTag ?? ""],
      [transitiveTags.every((key) => keys.includes(key)), "/transitive_tags", "It names keys of `tags`."],
      [
        next === undefined || ROLE_ARN.test(next.roleArn),
        "/next/role_arn",
        "It is the ARN of the role that is assumed next.",
      ],
      [
        next?.externalId === undefined || EXTERNAL_ID.test(next.externalId),
        "/next/external_id",
        "It has 2 to 1,224 of the characters that AWS takes.",
      ],
    ]) ??
    policyFlaw(target, "") ??
    (next === undefined ? null : policyFlaw(next, "/next"))
  );
}

function policyFlaw(
  { sessionPolicy, sessionPolicyArns = [] }: Pick<AwsTarget, "sessionPolicy" | "sessionPolicyArns">,
  at: string,
): Flaw | null {
  return first([
    [
      sessionPolicy === undefined || (sessionPolicy.length <= MAX_POLICY_CHARS && isObject(sessionPolicy)),
      `${at}/session_policy`,
      `It is a policy document in JSON, of at most ${MAX_POLICY_CHARS} characters.`,
    ],
    [
      sessionPolicyArns.length <= MAX_POLICY_ARNS && sessionPolicyArns.every((arn) => POLICY_ARN.test(arn)),
      `${at}/session_policy_arns`,
      `It names at most ${MAX_POLICY_ARNS} managed policies by their ARN.`,
    ],
  ]);
}

function gcpFlaw({ workloadProvider, serviceAccount, scopes, lifetimeS }: GcpTarget): Flaw | null {
  return first([
    [
      WORKLOAD_PROVIDER.test(workloadProvider),
      "/workload_provider",
      "It is `projects/<number>/locations/global/workloadIdentityPools/<pool>/providers/<provider>`.",
    ],
    [
      serviceAccount === undefined || SERVICE_ACCOUNT.test(serviceAccount),
      "/service_account",
      "It is the e-mail address of a service account.",
    ],
    [
      scopes.length > 0 && scopes.every((scope) => GOOGLE_SCOPE.test(scope)),
      "/scopes",
      "A scope begins with `https://www.googleapis.com/auth/`.",
    ],
    [
      lifetimeS >= MIN_GOOGLE_S && lifetimeS <= MAX_SESSION_S,
      "/lifetime_s",
      `A token lasts ${MIN_GOOGLE_S} to ${MAX_SESSION_S} seconds here.`,
    ],
  ]);
}

function first(checks: readonly (readonly [boolean, string, string])[]): Flaw | null {
  const failed = checks.find(([fits]) => !fits);
  return failed === undefined ? null : { pointer: failed[1], code: "target_unfit", detail: failed[2] };
}

function isObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}
