/** What a key may do. One list; the type, the grammar and the documentation come from it. Pure. */

/** Scope to meaning. A new scope is an addition here; none is ever renamed, because keys hold them. */
export const SCOPES = {
  "runs:read": "See runs, their steps and events, without what steps gave.",
  "runs:write":
    "Start runs; cancel, pause, resume and redrive them; signal, append to and close the key's own.",
  "runs:act_as": "Name the end user that a run acts for, and make keys that are bound to one.",
  "runs:admin": "Signal, append to and close runs that another key started.",
  "outputs:read": "See what steps and runs gave.",
  "outputs:reveal": "See inputs and outputs that are marked as sensitive.",
  "approvals:decide": "Decide approvals, and see their links.",
  "workflows:read": "See workflows and check plans.",
  "workflows:write": "Store plans under a name.",
  "integrations:read": "See integrations, without their secrets.",
  "integrations:write": "Make and remove integrations.",
  "connections:read": "See connections, without their tokens.",
  "connections:connect": "Make connect sessions and see the links of waiting runs.",
  "connections:confirm":
    "Say which user finished a connect session, and let a run go on with another account.",
  "connections:write": "Disconnect, and name or move connections of the tenant.",
  "cloud_roles:read": "See cloud roles and print their trust policies.",
  "cloud_roles:write": "Make and remove cloud roles.",
  "hooks:read": "See hooks and their deliveries.",
  "hooks:write": "Make, change and remove hooks.",
  "schedules:read": "See schedules.",
  "schedules:write": "Make, change and remove schedules.",
  "endpoints:read": "See webhook endpoints and their deliveries.",
  "endpoints:write": "Make, change and remove webhook endpoints.",
  "keys:read": "See API keys, without their text.",
  "keys:write": "Make narrower API keys and revoke keys.",
  "policy:read": "See policies.",
  "policy:write": "Change the tenant's policy.",
  "issuers:read": "See the token issuers that the tenant trusts.",
  "issuers:write": "Trust a token issuer, or stop to.",
  "audit:read": "Read and export the audit.",
  "tenant:export": "Take out all that there is of the tenant, without its secrets.",
  "users:erase": "Erase the data of an end user, or of one run.",
} as const;

export type Scope = keyof typeof SCOPES;
type AreaOf<S extends string> = S extends `${infer A}:${string}` ? A : never;
/** What a key holds: a scope, all scopes of an area (also those to come), or all scopes. */
export type ScopeGrant = Scope | `${AreaOf<Scope>}:*` | "*";

/** All that an admin key holds. */
export const ADMIN_GRANTS: readonly ScopeGrant[] = ["*"];

const ALL_SCOPES = Object.keys(SCOPES) as Scope[];
const GRANTS: ReadonlySet<string> = new Set([
  "*",
  ...ALL_SCOPES,
  ...ALL_SCOPES.map((scope) => `${areaOf(scope)}:*`),
]);

/**
 * What a key that is bound to an end user can never do: an agent holds it. What would change the tenant's set-up, decide
 * in a person's place, or reach beyond the user.
 */
const NOT_FOR_USERS: ReadonlySet<Scope> = new Set(
  ALL_SCOPES.filter(
    (scope) =>
      /^(?:keys|integrations|cloud_roles|hooks|schedules|endpoints|policy|issuers|audit|tenant|users):/.test(
        scope,
      ) || ["workflows:write", "approvals:decide", "connections:confirm", "runs:act_as"].includes(scope),
  ),
);

export function isScopeGrant(text: string): text is ScopeGrant {
  return GRANTS.has(text);
}

/** Whether the grants of a key include a scope, or an area or the star as a whole. */
export function admits(granted: ReadonlySet<string>, wanted: ScopeGrant): boolean {
  return granted.has(wanted) || granted.has(`${areaOf(wanted)}:*`) || granted.has("*");
}

/** Those of `wanted` that go beyond `granted`. */
export function widerThan(granted: ReadonlySet<ScopeGrant>, wanted: readonly ScopeGrant[]): ScopeGrant[] {
  return wanted.filter((grant) => !admits(granted, grant));
}

/** The scopes among the grants that a key bound to a user cannot have. */
export function notForUsers(grants: readonly ScopeGrant[]): Scope[] {
  const granted = new Set(grants);
  return [...NOT_FOR_USERS].filter((scope) => admits(granted, scope));
}

export function isForUsers(scope: Scope): boolean {
  return !NOT_FOR_USERS.has(scope);
}

function areaOf(grant: string): string {
  return grant.slice(0, grant.indexOf(":"));
}
