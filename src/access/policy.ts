/**
 * What a policy is: a restriction on what may be reached and started. Pure.
 *
 * A policy only restricts: what it does not speak of, it allows. Everything under several policies (the tenant's, those of
 * the key's ancestors, the key's own) must be allowed by all of them, so the narrower wins and none can widen another.
 * New kinds of restrictions are new optional fields. A build that does not know a field cannot honour it, so it allows
 * nothing under such a policy.
 */
import * as z from "zod";
import { isName, isPublicName } from "../platform/index.ts";
import { isPathPattern } from "./policy-path.ts";

export const MAX_HOST_RULES = 64;
export const MAX_PATHS = 32;
export const MAX_WORKFLOWS = 128;
const MAX_USE_RULES = 64;
const MAX_PATH_CHARS = 256;

/** What the action `http` can send. */
const METHODS = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH"] as const;
/** When a person must agree to a request before it is sent. `writes`: but for GET, HEAD and OPTIONS. */
const APPROVALS = ["never", "writes", "always"] as const;

const HOST_RULE = "A host is a public DNS name in lower case (api.example.com), *.example.com, or * for all.";
const PATH_RULE =
  "A path begins with / and has no %, no ;, no . or .. as a segment; * stands for one segment, /* at the end for all below.";

const methods = () => z.array(z.enum(METHODS)).min(1).max(METHODS.length);
const paths = () =>
  z.array(z.string().max(MAX_PATH_CHARS).refine(isPathPattern, PATH_RULE)).min(1).max(MAX_PATHS);
const workflowName = () => z.string().refine(isName, "A workflow's name has 1 to 64 of a-z, 0-9, _ and -.");

function buildHostRule() {
  return z.strictObject({
    host: z
      .string()
      .refine(isHostRule, HOST_RULE)
      .describe("A name, `*.` and a name for all below it (not itself), or `*`."),
    methods: methods().exactOptional().describe("Missing: every method."),
    paths: paths()
      .exactOptional()
      .describe(
        "Missing: every path. `/bookings/*` is everything below, `/users/*/mail` has any one segment.",
      ),
    approval: z
      .enum(APPROVALS)
      .exactOptional()
      .describe("When a person must agree before a request is sent. Missing: never."),
  });
}

function buildUseRule() {
  return z.strictObject({
    workflows: z
      .array(workflowName())
      .max(MAX_WORKFLOWS)
      .exactOptional()
      .describe("The only workflows that may use it. Missing: all."),
    inline: z
      .boolean()
      .exactOptional()
      .describe(
        "Whether steps that came as JSON may use it, but for those of stored plans. Missing: yes, but not where `workflows` is given.",
      ),
    methods: methods().exactOptional().describe("Missing: every method."),
    paths: paths().exactOptional().describe("Missing: every path. As in `hosts`."),
    approval: z
      .enum(APPROVALS)
      .exactOptional()
      .describe("When a person must agree before a request with it is sent. Missing: never."),
  });
}

function buildRoleRule() {
  return buildUseRule().extend({
    hold: z
      .boolean()
      .exactOptional()
      .describe(
        "Whether functions may be given the credential itself, for a library: what that sends no policy sees. Missing: yes, but not where this policy restricts requests (`hosts`, or `methods`, `paths` or `approval` of this rule).",
      ),
  });
}

/** Rules by name. */
function rulesOn<Rule extends z.ZodType>(what: string, rule: Rule) {
  return z
    .record(z.string().refine(isName, `${what} name has 1 to 64 of a-z, 0-9, _ and -.`), rule)
    .refine((rules) => Object.keys(rules).length <= MAX_USE_RULES, `At most ${MAX_USE_RULES}.`);
}

function build() {
  return z.strictObject({
    cloud_roles: rulesOn("A cloud role's", buildRoleRule())
      .exactOptional()
      .describe("The only cloud roles that may be used, and how. Missing: all."),
    connections: rulesOn("An integration's", buildUseRule())
      .exactOptional()
      .describe("The only integrations whose connections may be used, and how. Missing: all."),
    hosts: z
      .array(buildHostRule())
      .max(MAX_HOST_RULES)
      .exactOptional()
      .describe("The only requests that may be sent: those that one of the rules fits. Missing: all."),
    inline: z
      .boolean()
      .exactOptional()
      .describe(
        "Whether steps may come as JSON: inline plans and appended steps. Missing: yes, but not where `workflows` is given.",
      ),
    workflows: z
      .array(workflowName())
      .max(MAX_WORKFLOWS)
      .exactOptional()
      .describe("The only workflows that may be started. Missing: all."),
  });
}

export type PolicyRules = z.output<ReturnType<typeof build>>;
export type HostRule = z.output<ReturnType<typeof buildHostRule>>;
/** How the connections of an integration, or the credentials of a cloud role, may be used. */
export type UseRule = z.output<ReturnType<typeof buildUseRule>>;
export type RoleRule = z.output<ReturnType<typeof buildRoleRule>>;

let schema: ReturnType<typeof build> | undefined;

/** Built on first use: zod at module scope is paid for at every start. */
export function policySchema(): ReturnType<typeof build> {
  return (schema ??= build());
}

/** What policies were read as. They are values of the journal and of caches: never changed. */
const known = new WeakMap<object, PolicyRules | null>();

/** Null: this build cannot read it. */
export function readPolicy(policy: unknown): PolicyRules | null {
  if (typeof policy !== "object" || policy === null) return null;
  const before = known.get(policy);
  if (before !== undefined) return before;
  const parsed = policySchema().safeParse(policy);
  const rules = parsed.success ? parsed.data : null;
  known.set(policy, rules);
  return rules;
}

/** A pattern over a whole top-level domain (`*.com`) would look like a restriction and be none. */
function isHostRule(text: string): boolean {
  return text === "*" || isPublicName(text.startsWith("*.") ? text.slice(2) : text);
}
