/**
 * What a new key may be, given who makes it. Pure: request and maker in, draft or refusal out.
 *
 * - N1 a key is never wider than its maker: in scopes, user, policies, expiry.
 * - N2 a key bound to a user lives for an hour at most and has no scope that agents must not have.
 * - N3 root makes admin keys only: all scopes, no user, no policy.
 */
import { canonicalJson, err, isTenantId, ok, type Result } from "../platform/index.ts";
import type { Identity, KeyIdentity, Policy } from "./identity.ts";
import { requireScope } from "./identity.ts";
import { readPolicy } from "./policy.ts";
import { refuse, type AccessRefusal } from "./refusals.ts";
import { ADMIN_GRANTS, isScopeGrant, notForUsers, type ScopeGrant, widerThan } from "./scopes.ts";

export const MAX_KEY_NAME_CHARS = 100;
export const MAX_USER_CHARS = 256;
export const MAX_SCOPES = 64;
/** Small, because every isolate keeps the policies of the keys that it has seen. */
export const MAX_POLICY_CHARS = 4_096;
/** Keys that restrict further, made from keys that restrict further. */
export const MAX_POLICIES = 4;
/** Longest life of a key that is bound to a user. */
export const MAX_USER_KEY_LIFE_MS = 3_600_000;

export interface KeyRequest {
  readonly name: string;
  /** Missing: for root, all; otherwise an error. */
  readonly scopes?: readonly string[] | undefined;
  /** Missing: the maker's. */
  readonly user?: string | null | undefined;
  /** Applies on top of the maker's policies. */
  readonly policy?: Policy | null | undefined;
  /** Milliseconds since 1970; null: never. Missing: the maker's. */
  readonly expiresAt?: number | null | undefined;
  /** Root must name it; for others it is their own. */
  readonly tenant?: string | undefined;
}

/** A key that may be made. */
export interface KeyDraft {
  readonly tenant: string;
  readonly name: string;
  readonly scopes: readonly ScopeGrant[];
  readonly user: string | null;
  readonly policies: readonly Policy[];
  readonly expiresAt: number | null;
}

export function draftKey(maker: Identity, request: KeyRequest, now: number): Result<KeyDraft, AccessRefusal> {
  if (!isPlainText(request.name, MAX_KEY_NAME_CHARS)) {
    return invalid("/name", `A name has 1 to ${MAX_KEY_NAME_CHARS} characters and no control characters.`);
  }
  const expiresAt = request.expiresAt;
  if (typeof expiresAt === "number" && !(Number.isSafeInteger(expiresAt) && expiresAt > now)) {
    return invalid("/expires_at", "The expiry is not in the future.");
  }
  return maker.kind === "root" ? draftAdminKey(request) : draftNarrowerKey(maker, request, now);
}

/** N3 */
function draftAdminKey(request: KeyRequest): Result<KeyDraft, AccessRefusal> {
  const { tenant, name, scopes = ADMIN_GRANTS, user = null, policy = null, expiresAt = null } = request;
  if (tenant === undefined || !isTenantId(tenant))
    return invalid("/tenant", "Root must name the tenant of the key.");
  const isAdmin = scopes.length === 1 && scopes[0] === "*" && user === null && policy === null;
  if (!isAdmin) {
    return err(
      refuse("admin_keys_only", 'The root key makes admin keys only: scopes ["*"], no user, no policy.'),
    );
  }
  return ok({ tenant, name, scopes: ADMIN_GRANTS, user: null, policies: [], expiresAt });
}

function draftNarrowerKey(
  maker: KeyIdentity,
  request: KeyRequest,
  now: number,
): Result<KeyDraft, AccessRefusal> {
  const allowed = requireScope(maker, "keys:write");
  if (!allowed.ok) return allowed;
  if (request.tenant !== undefined && request.tenant !== maker.tenant) {
    return err(
      refuse("tenant_unknown", "There is no such tenant, or the key does not belong to it.", "/tenant"),
    );
  }
  const scopes = checkScopes(maker, request.scopes);
  if (!scopes.ok) return scopes;
  const user = checkUser(maker, request.user);
  if (!user.ok) return user;
  const policies = checkPolicies(maker, request.policy);
  if (!policies.ok) return policies;
  const expiresAt = checkExpiry(maker, request.expiresAt);
  if (!expiresAt.ok) return expiresAt;
  if (user.value !== null) {
    const refusal = checkUserKey(scopes.value, expiresAt.value, now);
    if (refusal !== null) return err(refusal);
  }
  return ok({
    tenant: maker.tenant,
    name: request.name,
    scopes: scopes.value,
    user: user.value,
    policies: policies.value,
    expiresAt: expiresAt.value,
  });
}

function checkScopes(
  maker: KeyIdentity,
  wanted: readonly string[] = [],
): Result<readonly ScopeGrant[], AccessRefusal> {
  if (wanted.length === 0 || wanted.length > MAX_SCOPES) {
    return invalid("/scopes", `A key has 1 to ${MAX_SCOPES} scopes.`);
  }
  const grants: ScopeGrant[] = [];
  for (const [index, scope] of wanted.entries()) {
    if (!isScopeGrant(scope)) return invalid(`/scopes/${index}`, "There is no such scope.");
    grants.push(scope);
  }
  const wider = widerThan(maker.scopes, grants);
  if (wider.length > 0) {
    return err(refuse("scope_wider", `The key that makes it does not have: ${wider.join(", ")}.`, "/scopes"));
  }
  return ok([...new Set(grants)].toSorted());
}

function checkUser(
  maker: KeyIdentity,
  wanted: string | null | undefined,
): Result<string | null, AccessRefusal> {
  if (wanted === undefined || wanted === maker.user) return ok(maker.user);
  if (maker.user !== null) {
    return err(refuse("user_wider", "The key that makes it is bound to another user.", "/user"));
  }
  if (wanted === null || !isUser(wanted)) {
    return invalid("/user", `A user has 1 to ${MAX_USER_CHARS} characters and no control characters.`);
  }
  // Holding a key that is bound to a user is acting as that user.
  const allowed = requireScope(maker, "runs:act_as");
  return allowed.ok ? ok(wanted) : err(refuse("user_wider", allowed.error.message, "/user"));
}

/** Policies add up and all of them must allow, so a key's own can only narrow what its maker's left. */
function checkPolicies(
  maker: KeyIdentity,
  own: Policy | null | undefined,
): Result<readonly Policy[], AccessRefusal> {
  if (own === undefined || own === null) return ok(maker.policies);
  if (maker.policies.length >= MAX_POLICIES) {
    return invalid(
      "/policy",
      `A key can stand under ${MAX_POLICIES} policies at most. Make it from a key with fewer.`,
    );
  }
  // The door has said where and what exactly; here it counts that nothing unreadable is ever stored.
  if (readPolicy(own) === null || canonicalJson(own).length > MAX_POLICY_CHARS) {
    const detail = `A policy of a key has hosts, connections, inline and workflows, and at most ${MAX_POLICY_CHARS} characters.`;
    return invalid("/policy", detail);
  }
  return ok([...maker.policies, own]);
}

function checkExpiry(
  maker: KeyIdentity,
  wanted: number | null | undefined,
): Result<number | null, AccessRefusal> {
  if (wanted === undefined) return ok(maker.expiresAt);
  if (maker.expiresAt !== null && (wanted === null || wanted > maker.expiresAt)) {
    return err(refuse("expiry_wider", "The key would outlive the one that makes it.", "/expires_at"));
  }
  return ok(wanted);
}

/** N2 */
function checkUserKey(
  scopes: readonly ScopeGrant[],
  expiresAt: number | null,
  now: number,
): AccessRefusal | null {
  const forbidden = notForUsers(scopes);
  if (forbidden.length > 0) {
    const list = forbidden.join(", ");
    return refuse(
      "scope_not_for_users",
      `A key bound to a user cannot have: ${list}. Name its scopes one by one.`,
      "/scopes",
    );
  }
  if (expiresAt === null || expiresAt - now > MAX_USER_KEY_LIFE_MS) {
    return refuse(
      "invalid",
      "A key bound to a user needs an `expires_at` that is at most an hour from now.",
      "/expires_at",
    );
  }
  return null;
}

/** Whether a text can name an end user: the tenant's own id for a person, opaque to us. */
export function isUser(text: string): boolean {
  return isPlainText(text, MAX_USER_CHARS);
}

function isPlainText(text: string, maxChars: number): boolean {
  return text.length > 0 && text.length <= maxChars && text.isWellFormed() && !/\p{Cc}/u.test(text);
}

function invalid(pointer: string, message: string): Result<never, AccessRefusal> {
  return err(refuse("invalid", message, pointer));
}
