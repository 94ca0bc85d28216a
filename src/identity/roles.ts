/**
 * What a cloud role may be. Pure, but for what the caller looks up.
 *
 * - R1 a role names the hosts that its credentials go to, exactly; none of them makes tokens, and none is our own.
 * - R2 an audience says for whom a token is: whoever is given one could show it to all who take it. So that of a cloud or vendor
 *   is for roles of that provider alone, and every other one belongs to one role (kept by roles-store.ts).
 * - R3 what is said of a role in its tokens is written by whoever makes it, and shadows nothing.
 */
import { escapePointer } from "../kernel/index.ts";
import { checkUrl, err, isName, isPublicName, ok, type HostRules, type Result } from "../platform/index.ts";
import { awsEndpointOf, isAwsRegion } from "./aws-hosts.ts";
import { mintingHost } from "./minting-hosts.ts";
import { targetFlaw } from "./targets.ts";
import type { CloudRole, RoleHost, RoleProvider, RoleTarget } from "./role.ts";
import { readSubject } from "./subjects.ts";
import { claimsFlaw, TTL_S } from "./token.ts";

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

/** Audiences that clouds and vendors take, whose they are: also where no role of the tenant has them yet (R2). */
const AUDIENCES_OF: readonly (readonly [RoleProvider, RegExp])[] = [
  ["aws", ofDomain("amazonaws\\.(?:com(?:\\.cn)?|eu)")],
  ["gcp", ofDomain("googleapis\\.com")],
  ["azure", /^api:\/\/AzureADTokenExchange/i],
  ["azure", ofDomain("(?:microsoftonline\\.(?:com|us)|windows\\.net)")],
  ["anthropic", ofDomain("anthropic\\.com")],
  ["openrouter", ofDomain("openrouter\\.ai")],
];
const AZURE_AUDIENCES = [
  "api://AzureADTokenExchange",
  "api://AzureADTokenExchangeUSGov",
  "api://AzureADTokenExchangeChina",
];
const AUDIENCE = /^[\x21-\x7e]{1,255}$/;
const SERVICE = /^[a-z][a-z0-9-]{0,63}$/;

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
  const workflows = workflowsOf(request);
  if (!workflows.ok) return workflows;
  const claim = badClaim(claims);
  if (claim !== null) return err(claim);
  return ok({
    ...{ target, audience, inline, perRun, claims },
    ...{ hosts: hosts.value, workflows: workflows.value },
  });
}

function workflowsOf({
  workflows,
  inline = false,
}: Pick<RoleRequest, "workflows" | "inline">): Result<RoleDraft["workflows"], RoleFlaw> {
  if (workflows.length === 0 && !inline)
    return err(flaw("/workflows", "workflows_missing", "Nobody could use the role: name a workflow."));
  const read: RoleDraft["workflows"][number][] = [];
  for (const [index, text] of workflows.entries()) {
    const at = `/workflows/${index}`;
    if (text === "inline")
      return err(
        flaw(
          at,
          "workflow_unreadable",
          'Plans that come with a run are let in by `"inline": true`, not by a name here.',
        ),
      );
    const named = readSubject(text);
    if (named === null)
      return err(
        flaw(
          at,
          "workflow_unreadable",
          "Write `code:` or `plan:` and the workflow's name: the same name can be of either.",
          isName(text) ? [`code:${text}`, `plan:${text}`] : undefined,
        ),
      );
    // Clouds that list subjects take each once.
    if (workflows.indexOf(text) !== index)
      return err(flaw(at, "workflow_twice", "The workflow is there twice."));
    read.push(named);
  }
  return ok(read);
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
function audienceFlaw({ provider }: RoleTarget, audience: string, rules: RoleRules): RoleFlaw | null {
  if (!AUDIENCE.test(audience))
    return flaw(
      "/audience",
      "audience_unfit",
      "An audience has 1 to 255 printable ASCII characters, no spaces.",
    );
  if (provider === "azure" && !AZURE_AUDIENCES.includes(audience))
    return flaw("/audience", "audience_unfit", "Entra ID takes its own audience only.", AZURE_AUDIENCES);
  if (isOwn(audience, rules))
    return flaw("/audience", "audience_own", "That is this deployment itself: it gives itself no tokens.");
  const owner = AUDIENCES_OF.find(([, pattern]) => pattern.test(audience))?.[0];
  if (owner !== undefined && owner !== provider)
    return flaw(
      "/audience",
      "audience_of_cloud",
      `With this audience the service could show the token to ${owner}, which takes it. Give the service one of its own.`,
    );
  return null;
}

/** A host of the domain, with or without scheme, port and path. */
function ofDomain(domain: string): RegExp {
  return new RegExp(`^(?:(?:[a-z]+:)?//)?(?:[a-z0-9-]+\\.)*${domain}\\.?(?:[/:]|$)`, "i");
}

function isOwn(audience: string, { ownHosts, issuerOrigin }: RoleRules): boolean {
  const host = (URL.parse(audience)?.hostname || URL.parse(`https://${audience}`)?.hostname) ?? "";
  return [...ownHosts, URL.parse(issuerOrigin)?.hostname].includes(host.replace(/\.$/, ""));
}

/** R1 */
function hostsOf({ target, hosts }: RoleRequest, rules: RoleRules): Result<readonly RoleHost[], RoleFlaw> {
  const given = hosts ?? usualHosts(target);
  if (given.length === 0)
    return err(flaw("/hosts", "hosts_missing", "Name the hosts that the credentials may go to, exactly."));
  const read: RoleHost[] = [];
  for (const [index, one] of given.entries()) {
    // Where a host stands as a text, it has no members to point at.
    const at = `/hosts/${index}`;
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
  const at = `/hosts/${index}`;
  if (service !== undefined && !SERVICE.test(service))
    return err(flaw(`${at}/service`, "service_unfit", "It is a name that signatures have, as in `s3`."));
  if (region !== undefined && !isAwsRegion(region))
    return err(flaw(`${at}/region`, "region_unfit", "It is the name of a region, as in `eu-central-1`."));
  if (made.service === "")
    return err(
      flaw(
        at,
        "service_missing",
        "The host does not tell which service it is: write it as an object with `host`, `service` (as in `s3`) and `region`.",
      ),
    );
  if (made.region === "")
    return err(
      flaw(
        at,
        "region_missing",
        "The host does not tell its region: write it as an object with `host` and `region` (as in `eu-central-1`).",
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
  const unfit = claimsFlaw(claims);
  if (unfit === null) return null;
  const { key, detail } = unfit;
  return key === null
    ? flaw("/claims", "claims_many", detail)
    : flaw(`/claims/${escapePointer(key)}`, "claim_unfit", detail);
}

/** The longest that a credential of the role can live, in seconds; null: nobody knows before it is there. */
export function longestLifeS(target: RoleTarget): number | null {
  switch (target.provider) {
    case "aws":
      return target.durationS;
    case "gcp":
      return target.serviceAccount === undefined ? null : target.lifetimeS;
    // The one is the identity token itself, the other never outlives it.
    case "jwt":
    case "openrouter":
      return TTL_S[target.provider];
    default:
      return null;
  }
}

function flaw(pointer: string, code: string, detail: string, allowed?: readonly string[]): RoleFlaw {
  return { pointer, code, detail, ...(allowed === undefined ? {} : { allowed }) };
}
