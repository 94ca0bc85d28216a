/** What policies say to a request and to a start. Pure: everything that is known comes as arguments. */
import { matchesHost } from "../platform/index.ts";
import { type ConnectionRule, type HostRule, type PolicyRules, readPolicy } from "./policy.ts";
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
  /** Whose credential goes along with it. */
  readonly connection?: ConnectionUse;
}

/** That a connection is used. */
export interface ConnectionUse {
  /** Name of the integration. */
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

/** What rules on hosts and on connections have in common. */
type RequestRule = Pick<ConnectionRule, "methods" | "paths" | "approval">;

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
  const { connection } = request;
  if (connection !== undefined) {
    const used = judgeUse(chain, connection);
    if (used.kind === "denied") return used;
  }
  let approval = false;
  for (const { of, policy } of chain) {
    if (isUserBound(policy)) continue;
    const rules = readPolicy(policy);
    if (rules === null) return unreadable(of);
    const rule = connection === undefined ? undefined : ruleOf(rules, connection.name);
    if (rule !== undefined) {
      if (!ruleOpens(rule, request, path))
        return denied(
          of,
          `${OWNERS[of]} does not allow ${shown(request)} with the connection of ${connection?.name}.`,
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

/** Whether a connection may be used at all in the name of a workflow, whatever is sent with it. */
export function judgeUse(chain: readonly Standing[], { name, workflow }: ConnectionUse): Verdict {
  for (const { of, policy } of chain) {
    if (isUserBound(policy)) continue;
    const rules = readPolicy(policy);
    if (rules === null) return unreadable(of);
    if (rules.connections === undefined) continue;
    const rule = ruleOf(rules, name);
    if (rule === undefined)
      return denied(
        of,
        `${OWNERS[of]} allows no connection of ${name}. It allows: ${list(Object.keys(rules.connections))}.`,
      );
    const { workflows, inline = workflows === undefined } = rule;
    if (workflow === null && !inline)
      return denied(of, `${OWNERS[of]} allows the connection of ${name} to no steps that come as JSON.`);
    if (workflow !== null && workflows?.includes(workflow) === false)
      return denied(of, `${OWNERS[of]} allows the connection of ${name} to: ${list(workflows)}.`);
  }
  const bound = chain.find(({ policy }) => isUserBound(policy));
  if (bound !== undefined && !chain.some(({ policy }) => readPolicy(policy)?.connections !== undefined))
    return denied(
      bound.of,
      `No policy names the connection of ${name}, and a key that is bound to a user uses only those that a policy names.`,
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

function ruleOf({ connections }: PolicyRules, name: string): ConnectionRule | undefined {
  return connections !== undefined && Object.hasOwn(connections, name) ? connections[name] : undefined;
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
