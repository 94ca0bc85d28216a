/** What policies say to a request and to a start. Pure: everything that is known comes as arguments. */
import { matchesHost } from "../platform/index.ts";
import { type HostRule, type PolicyRules, readPolicy } from "./policy.ts";
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

export function judgeRequest(chain: readonly Standing[], request: PolicyRequest): Verdict {
  const path = request.path === null ? undefined : readPath(request.path);
  let approval = false;
  for (const { of, policy } of chain) {
    if (isUserBound(policy)) continue;
    const rules = readPolicy(policy);
    if (rules === null) return unreadable(of);
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

/** For what it opens, a rule is read exactly. */
function opens(
  { host, methods, paths }: HostRule,
  request: PolicyRequest,
  path: ReadPath | null | undefined,
): boolean {
  if (!hostFits(host, request.host) || !methodFits(methods, request.method)) return false;
  if (paths === undefined || path === undefined) return true;
  return path !== null && paths.some((pattern) => pathFits(pattern, path));
}

/** For what it demands, a rule is read widely, and the strictest one counts: adding a rule never lifts an approval. */
function demandsApproval(
  { host, methods, paths, approval = "never" }: HostRule,
  request: PolicyRequest,
  path: ReadPath | null | undefined,
): boolean {
  if (approval === "never" || !hostFits(host, request.host) || !methodFits(methods, request.method))
    return false;
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
