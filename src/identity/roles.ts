/**
 * What a cloud role may be. Pure, but for what the caller looks up.
 *
 * - R1 a role names the hosts that its credentials go to, exactly; none of them makes tokens, and none is our own.
 * - R2 an audience says for whom a token is: what a service of the tenant's choice is given (`jwt`, `token_exchange`, `vault`)
 *   can be shown to nobody else, so it never has the audience of a cloud, and each has one of its own.
 * - R3 what is said of a role in its tokens is written by whoever makes it, and shadows nothing.
 */
import { escapePointer } from "../kernel/index.ts";
import { checkUrl, err, isPublicName, ok, type HostRules, type Result } from "../platform/index.ts";
import { awsEndpointOf } from "./aws-hosts.ts";
import { mintingHost } from "./minting-hosts.ts";
import { targetFlaw } from "./targets.ts";
import type { CloudRole, RoleHost, RoleProvider, RoleTarget } from "./role.ts";
import { readSubject } from "./subjects.ts";
import { claimFlaw, MAX_CLAIMS } from "./token.ts";

export interface RoleRequest {
  readonly target: RoleTarget;
  readonly audience?: string;
  /** `code:<name>`, `plan:<name>`. */
  readonly workflows: readonly string[];
  readonly inline?: boolean;
  readonly hosts?: readonly RoleHost[];
  readonly perRun?: boolean;
  readonly claims?: Readonly<Record<string, string>>;
}

export interface RoleFlaw {
  /** JSON Pointer into the request, in its own spelling. */
  readonly pointer: string;
  readonly code: string;
  readonly detail: string;
  readonly allowed?: readonly string[];
}

export type RoleDraft = Pick<
  CloudRole,
  "target" | "audience" | "workflows" | "inline" | "hosts" | "perRun" | "claims"
>;

export interface RoleRules {
  readonly ownHosts: HostRules["ownHosts"];
  /** Of our issuer: no token of ours is for ourselves. */
  readonly issuerOrigin: string;
}

/** Said by services that everybody may choose: each audience is one service's own (R2). */
const OF_ONE_SERVICE: readonly RoleProvider[] = ["jwt", "token_exchange", "vault"];
/** Audiences that clouds take: also where no role of the tenant has them yet. */
const CLOUD_AUDIENCES: readonly RegExp[] = [
  /^sts\.amazonaws\.com(?:\.cn)?(?:\/|$)/i,
  /^(?:https:)?\/\/iam\.googleapis\.com\//i,
  /^api:\/\/AzureADTokenExchange/i,
  /^(?:https?:\/\/)?(?:[a-z0-9-]+\.)*(?:anthropic\.com|openrouter\.ai|amazonaws\.com|googleapis\.com|microsoftonline\.com)(?:[/:]|$)/i,
];
const AZURE_AUDIENCES = [
  "api://AzureADTokenExchange",
  "api://AzureADTokenExchangeUSGov",
  "api://AzureADTokenExchangeChina",
];
const AUDIENCE = /^[\x21-\x7e]{1,255}$/;
const SERVICE = /^[a-z][a-z0-9-]{0,63}$/;
const REGION = /^[a-z]{2}(?:-[a-z]{2,4})?-[a-z]+-\d$/;

export function draftRole(request: RoleRequest, rules: RoleRules): Result<RoleDraft, RoleFlaw> {
  const { target, inline = false, perRun = false, claims = {} } = request;
  const flawed = targetFlaw(target, rules);
  if (flawed !== null) return err(flawed);
  const hosts = hostsOf(request, rules);
  if (!hosts.ok) return hosts;
  const audience = request.audience ?? usualAudience(target);
  if (audience === null)
    return err(
      flaw("/audience", "audience_missing", `Say for whom the tokens of a ${target.provider} role are.`),
    );
  const unfit = audienceFlaw(target, audience, rules);
  if (unfit !== null) return err(unfit);
  const workflows = request.workflows.map(readSubject);
  const wrong = workflows.indexOf(null);
  if (wrong !== -1)
    return err(
      flaw(`/workflows/${wrong}`, "workflow_unreadable", "Write `code:` or `plan:` and the workflow's name."),
    );
  if (workflows.length === 0 && !inline)
    return err(flaw("/workflows", "workflows_missing", "Nobody could use the role: name a workflow."));
  const claim = badClaim(claims);
  if (claim !== null) return err(claim);
  return ok({
    ...{ target, audience, inline, perRun, claims, hosts: hosts.value },
    workflows: workflows.filter((one) => one !== null),
  });
}

/** What a role's tokens are for where nobody says so; null: it has to be said. */
function usualAudience(target: RoleTarget): string | null {
  switch (target.provider) {
    case "aws":
      return "sts.amazonaws.com";
    case "gcp":
      return `https://iam.googleapis.com/${target.workloadProvider}`;
    case "azure":
      return "api://AzureADTokenExchange";
    case "anthropic":
      return "https://api.anthropic.com";
    case "openrouter":
      return "https://openrouter.ai";
    case "vault":
      return `https://${target.host}`;
    case "token_exchange":
      return new URL(target.tokenUrl).origin;
    case "jwt":
      return null;
  }
}

/** R2 */
function audienceFlaw(
  { provider }: RoleTarget,
  audience: string,
  { issuerOrigin }: RoleRules,
): RoleFlaw | null {
  if (!AUDIENCE.test(audience))
    return flaw(
      "/audience",
      "audience_unfit",
      "An audience has 1 to 255 printable ASCII characters, no spaces.",
    );
  if (provider === "azure" && !AZURE_AUDIENCES.includes(audience))
    return flaw("/audience", "audience_unfit", "Entra ID takes its own audience only.", AZURE_AUDIENCES);
  if (audience.startsWith(issuerOrigin))
    return flaw("/audience", "audience_own", "That is this deployment itself: it gives itself no tokens.");
  if (OF_ONE_SERVICE.includes(provider) && CLOUD_AUDIENCES.some((pattern) => pattern.test(audience)))
    return flaw(
      "/audience",
      "audience_of_cloud",
      `With this audience the service could show the token to the cloud that it is meant for. Give the service one of its own.`,
    );
  return null;
}

/** R1 */
function hostsOf({ target, hosts }: RoleRequest, rules: RoleRules): Result<readonly RoleHost[], RoleFlaw> {
  const given = hosts ?? usualHosts(target);
  if (given.length === 0)
    return err(flaw("/hosts", "hosts_missing", "Name the hosts that the credentials may go to, exactly."));
  const read: RoleHost[] = [];
  for (const [index, one] of given.entries()) {
    const at = `/hosts/${index}/host`;
    const { host } = one;
    if (!isPublicName(host) || !checkUrl(`https://${host}/`, { ownHosts: rules.ownHosts }).ok)
      return err(
        flaw(at, "host_unfit", "A host is the public DNS name of a service, in lower case, no pattern."),
      );
    if (mintingHost(host) !== null)
      return err(
        flaw(at, "host_mints_tokens", "That host makes tokens or keys; no credential is sent there."),
      );
    if (read.some((other) => other.host === host))
      return err(flaw(at, "host_twice", "The host is there twice."));
    const signed = signedFor(target, one, index);
    if (!signed.ok) return signed;
    read.push(signed.value);
  }
  return ok(read);
}

function signedFor(target: RoleTarget, one: RoleHost, index: number): Result<RoleHost, RoleFlaw> {
  const { host, service, region } = one;
  if (target.provider !== "aws")
    return service === undefined && region === undefined
      ? ok({ host })
      : err(
          flaw(
            `/hosts/${index}`,
            "field_unknown",
            "Only requests to AWS are signed for a service and a region.",
          ),
        );
  const known = awsEndpointOf(host);
  const made = { host, service: service ?? known?.service ?? "", region: region ?? known?.region ?? "" };
  if (!SERVICE.test(made.service))
    return err(
      flaw(
        `/hosts/${index}/service`,
        "service_missing",
        "The host does not tell which service it is: say so, as in `s3`.",
      ),
    );
  if (!REGION.test(made.region))
    return err(
      flaw(
        `/hosts/${index}/region`,
        "region_missing",
        "The host does not tell its region: say so, as in `eu-central-1`.",
      ),
    );
  return ok(made);
}

function usualHosts(target: RoleTarget): readonly RoleHost[] {
  switch (target.provider) {
    case "anthropic":
      return [{ host: "api.anthropic.com" }];
    case "openrouter":
      return [{ host: "openrouter.ai" }];
    case "vault":
      return [{ host: target.host }];
    default:
      return [];
  }
}

/** R3 */
function badClaim(claims: Readonly<Record<string, string>>): RoleFlaw | null {
  const own = Object.entries(claims);
  if (own.length > MAX_CLAIMS)
    return flaw("/claims", "claims_many", `A role says at most ${MAX_CLAIMS} things of its own.`);
  for (const [name, value] of own) {
    const detail = claimFlaw(name, value);
    if (detail !== null) return flaw(`/claims/${escapePointer(name)}`, "claim_unfit", detail);
  }
  return null;
}

/** The longest that a credential of the role can live, in seconds; null: nobody knows before it is there. */
export function longestLifeS(target: RoleTarget): number | null {
  switch (target.provider) {
    case "aws":
      return target.durationS;
    case "gcp":
      return target.serviceAccount === undefined ? null : target.lifetimeS;
    default:
      return null;
  }
}

function flaw(pointer: string, code: string, detail: string, allowed?: readonly string[]): RoleFlaw {
  return { pointer, code, detail, ...(allowed === undefined ? {} : { allowed }) };
}
