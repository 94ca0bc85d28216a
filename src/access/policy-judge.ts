/** What policies say to a request and to a start. Pure: everything that is known comes as arguments. */
import { matchesHost } from "../platform/index.ts";
import { type HostRule, type PolicyRules, readPolicy, type UseRule } from "./policy.ts";
import { pathFits, pathMayFit, type ReadPath, readPath } from "./policy-path.ts";

/** Whose policy it is. */
export type PolicyOwner = "tenant" | "key" | "appender";

/** A policy as it was stored or pinned, and whose it is. All of a chain must allow. */
export interface Standing {
  readonly of: PolicyOwner;
  readonly policy: unknown;
}

export interface PolicyRequest {
  /** As in a URL that was read: lower case, ASCII. */
  readonly host: string;
  /** In capitals; null: not known yet. */
  readonly method: string | null;
  /** `pathname` of the URL; null: not known yet. */
  readonly path: string | null;
  /** Whose credential goes along with it: one of them at most. */
  readonly connection?: CredentialUse;
  readonly cloudRole?: CredentialUse;
}

/** That a connection or a cloud role is used. */
export interface CredentialUse {
  /** Name of the integration, or of the role. */
  readonly name: string;
  /** In whose name; null: of steps that came as JSON. */
  readonly workflow: string | null;
}

export type Verdict =
  /** Of a request of which something is not known yet: it can be allowed, and may need an approval. */
  | { readonly kind: "allowed"; readonly approval: boolean }
  /** `message` says whose policy it is and what it allows. */
  | { readonly kind: "denied"; readonly by: PolicyOwner; readonly message: string };

/**
 * Stands among the policies of a key that is bound to a user: such a key reaches only what some policy names. Which one is
 * known only when a request is judged, because the tenant's policy may change. PERSISTED CONTRACT: runs hold it.
 */
export const USER_BOUND = { bound: true } as const;

/** What rules on hosts, on connections and on cloud roles have in common. */
type RequestRule = Pick<UseRule, "methods" | "paths" | "approval">;

/** Of what credentials are, by the field of a policy that has the rules on them. */
const LENT = { connections: "connection of", cloud_roles: "cloud role" } as const;
export type Lent = keyof typeof LENT;

const READING: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);
/** As many rules as a message names. */
const MAX_NAMED = 8;
const OWNERS: Readonly<Record<PolicyOwner, string>> = {
  tenant: "The tenant's policy",
  key: "A policy of the API key",
  appender: "A policy of the API key that appended the step",
};

/** The chain in the order in which its policies are asked. */
export function chainOf(
  tenant: unknown,
  key: readonly unknown[] = [],
  appender: readonly unknown[] = [],
): readonly Standing[] {
  return [
    ...(tenant === null ? [] : [{ of: "tenant" as const, policy: tenant }]),
    ...key.map((policy) => ({ of: "key" as const, policy })),
    ...appender.map((policy) => ({ of: "appender" as const, policy })),
  ];
}

/**
 * What a request uses, of what it carries.
 * @param workflow in whose name; null: of steps that came as JSON
 */
export function usedBy(
  {
    connection,
    cloudRole,
  }: { readonly connection?: string | undefined; readonly cloudRole?: string | undefined },
  workflow: string | null,
): Pick<PolicyRequest, "connection" | "cloudRole"> {
  if (cloudRole !== undefined) return { cloudRole: { name: cloudRole, workflow } };
  return connection === undefined ? {} : { connection: { name: connection, workflow } };
}

export function judgeRequest(chain: readonly Standing[], request: PolicyRequest): Verdict {
  const path = request.path === null ? undefined : readPath(request.path);
  const lent = request.cloudRole === undefined ? "connections" : "cloud_roles";
  const use = request.cloudRole ?? request.connection;
  if (use !== undefined) {
    const used = judgeUse(chain, use, lent);
    if (used.kind === "denied") return used;
  }
  let approval = false;
  for (const { of, policy } of chain) {
    if (isUserBound(policy)) continue;
    const rules = readPolicy(policy);
    if (rules === null) return unreadable(of);
    const rule = use === undefined ? undefined : ruleOf(rules, lent, use.name);
    if (rule !== undefined) {
      if (!ruleOpens(rule, request, path))
        return denied(
          of,
          `${OWNERS[of]} does not allow ${shown(request)} with the ${LENT[lent]} ${use?.name}.`,
        );
      approval ||= ruleDemands(rule, request, path);
    }
    if (rules.hosts === undefined) continue;
    if (!rules.hosts.some((rule) => opens(rule, request, path)))
      return denied(of, `${OWNERS[of]} does not allow ${shown(request)}. ${allowed(rules)}`);
    approval ||= rules.hosts.some((rule) => demandsApproval(rule, request, path));
  }
  const bound = chain.find(({ policy }) => isUserBound(policy));
  if (bound !== undefined && !chain.some(({ policy }) => namesHosts(policy)))
    return denied(
      bound.of,
      `No policy names ${request.host}, and a key that is bound to a user reaches only hosts that a policy names.`,
    );
  return { kind: "allowed", approval };
}

/** Whether a credential may be used at all in the name of a workflow, whatever is sent with it. */
export function judgeUse(
  chain: readonly Standing[],
  { name, workflow }: CredentialUse,
  lent: Lent = "connections",
): Verdict {
  const what = `${LENT[lent]} ${name}`;
  for (const { of, policy } of chain) {
    if (isUserBound(policy)) continue;
    const rules = readPolicy(policy);
    if (rules === null) return unreadable(of);
    const named = rules[lent];
    if (named === undefined) continue;
    const rule = ruleOf(rules, lent, name);
    if (rule === undefined)
      return denied(of, `${OWNERS[of]} allows no ${what}. It allows: ${list(Object.keys(named))}.`);
    const { workflows, inline = workflows === undefined } = rule;
    if (workflow === null && !inline)
      return denied(of, `${OWNERS[of]} allows the ${what} to no steps that come as JSON.`);
    if (workflow !== null && workflows?.includes(workflow) === false)
      return denied(of, `${OWNERS[of]} allows the ${what} to: ${list(workflows)}.`);
  }
  const bound = chain.find(({ policy }) => isUserBound(policy));
  if (bound !== undefined && !chain.some(({ policy }) => readPolicy(policy)?.[lent] !== undefined))
    return denied(
      bound.of,
      `No policy names the ${what}, and a key that is bound to a user uses only those that a policy names.`,
    );
  return { kind: "allowed", approval: false };
}

/**
 * Whether a function may be given the credential of a cloud role itself. What is sent with it then is seen by nobody, so a
 * policy that restricts requests has to allow it in so many words.
 */
export function judgeHolding(chain: readonly Standing[], use: CredentialUse): Verdict {
  const used = judgeUse(chain, use, "cloud_roles");
  if (used.kind === "denied") return used;
  let said = false;
  for (const { of, policy } of chain) {
    const rules = isUserBound(policy) ? null : readPolicy(policy);
    if (rules === null) continue;
    const { cloud_roles: roles = {}, hosts } = rules;
    const rule = Object.hasOwn(roles, use.name) ? roles[use.name] : undefined;
    const { methods, paths, approval = "never", hold } = rule ?? {};
    const restricts =
      hosts !== undefined || methods !== undefined || paths !== undefined || approval !== "never";
    if (!(hold ?? !restricts))
      return denied(
        of,
        `${OWNERS[of]} does not let a function hold the credential of the cloud role ${use.name}.`,
      );
    said ||= hold === true;
  }
  const bound = chain.find(({ policy }) => isUserBound(policy));
  if (bound !== undefined && !said)
    return denied(
      bound.of,
      `No policy lets a function hold the credential of the cloud role ${use.name}, and a key that is bound to a user needs one that does.`,
    );
  return { kind: "allowed", approval: false };
}

/** @param workflow name of the workflow that is started; null: the steps come as JSON */
export function judgeStart(chain: readonly Standing[], workflow: string | null): Verdict {
  for (const { of, policy } of chain) {
    if (isUserBound(policy)) continue;
    const rules = readPolicy(policy);
    if (rules === null) return unreadable(of);
    const { workflows, inline = workflows === undefined } = rules;
    const names = workflows === undefined ? "" : ` It allows the workflows: ${list(workflows)}.`;
    if (workflow === null && !inline)
      return denied(of, `${OWNERS[of]} allows no steps that come as JSON.${names}`);
    if (workflow !== null && workflows?.includes(workflow) === false)
      return denied(of, `${OWNERS[of]} does not allow to start ${workflow}.${names}`);
  }
  return { kind: "allowed", approval: false };
}

function ruleOf(rules: PolicyRules, lent: Lent, name: string): UseRule | undefined {
  const named = rules[lent];
  return named !== undefined && Object.hasOwn(named, name) ? named[name] : undefined;
}

/** For what it opens, a rule is read exactly. */
function opens(rule: HostRule, request: PolicyRequest, path: ReadPath | null | undefined): boolean {
  return hostFits(rule.host, request.host) && ruleOpens(rule, request, path);
}

function ruleOpens(
  { methods, paths }: RequestRule,
  request: PolicyRequest,
  path: ReadPath | null | undefined,
): boolean {
  if (!methodFits(methods, request.method)) return false;
  if (paths === undefined || path === undefined) return true;
  return path !== null && paths.some((pattern) => pathFits(pattern, path));
}

/** For what it demands, a rule is read widely, and the strictest one counts: adding a rule never lifts an approval. */
function demandsApproval(rule: HostRule, request: PolicyRequest, path: ReadPath | null | undefined): boolean {
  return hostFits(rule.host, request.host) && ruleDemands(rule, request, path);
}

function ruleDemands(
  { methods, paths, approval = "never" }: RequestRule,
  request: PolicyRequest,
  path: ReadPath | null | undefined,
): boolean {
  if (approval === "never" || !methodFits(methods, request.method)) return false;
  if (approval === "writes" && request.method !== null && READING.has(request.method)) return false;
  return paths === undefined || path === undefined || paths.some((pattern) => pathMayFit(pattern, path));
}

function hostFits(pattern: string, host: string): boolean {
  return pattern === "*" || matchesHost(pattern, host);
}

function methodFits(methods: HostRule["methods"], method: string | null): boolean {
  return methods === undefined || method === null || methods.some((one) => one === method);
}

function namesHosts(policy: unknown): boolean {
  return readPolicy(policy)?.hosts !== undefined;
}

function isUserBound(policy: unknown): boolean {
  if (typeof policy !== "object" || policy === null || !("bound" in policy)) return false;
  return policy.bound === true && Object.keys(policy).length === 1;
}

function denied(by: PolicyOwner, message: string): Verdict {
  return { kind: "denied", by, message };
}

function unreadable(of: PolicyOwner): Verdict {
  return denied(of, `${OWNERS[of]} was written by a newer version, and this one cannot read it.`);
}

/** Without the path: it may hold what is nobody's business. */
function shown({ host, method, path }: PolicyRequest): string {
  const what = `${method ?? "a request"} to ${host}`;
  return path === null || readPath(path) !== null
    ? what
    : `${what} with a path that services read in different ways`;
}

function allowed({ hosts = [] }: PolicyRules): string {
  if (hosts.length === 0) return "It allows no host.";
  return `It allows: ${list(hosts.map(describeRule))}.`;
}

function describeRule({ host, methods, paths }: HostRule): string {
  const how = [methods?.join(" and "), paths?.join(" or ")].filter((part) => part !== undefined).join(" ");
  const name = host === "*" ? "any host" : host;
  return how === "" ? name : `${name} (${how})`;
}

function list(texts: readonly string[]): string {
  if (texts.length === 0) return "none";
  const more = texts.length > MAX_NAMED ? `, and ${texts.length - MAX_NAMED} more` : "";
  return texts.slice(0, MAX_NAMED).join(", ") + more;
}
