/** The tenant's policy: read for a run, shown, changed. Judging is policy-judge.ts. */
import { canonicalJson, err, inTime, ok, type Result, sha256Hex } from "../platform/index.ts";
import { writeAudit } from "./audit-store.ts";
import type { AccessDeps } from "./deps.ts";
import { actorOf, type Identity, type KeyIdentity, type Policy, requireScope } from "./identity.ts";
import { TENANT_EFFECTIVE_MS } from "./tenant-cache.ts";
import { readPolicy } from "./policy.ts";
import { chainOf, type Standing, USER_BOUND } from "./policy-judge.ts";
import { type PolicyRecord, selectPolicy, upsertPolicy } from "./policy-store.ts";
import { type AccessRefusal, refuse } from "./refusals.ts";

export const MAX_TENANT_POLICY_CHARS = 16_384;
/** A database that takes longer is away. */
const PATIENCE_MS = 5_000;

/** What is needed to know a tenant's policy. */
export type PolicyDeps = Pick<AccessDeps, "db" | "policies" | "log">;

/** The policies that a key stands under, as its runs pin them: its ancestors', its own, and what being bound means. */
export function standingOf({ user, policies }: KeyIdentity): readonly Policy[] {
  return user === null ? policies : [...policies, USER_BOUND];
}

/** All that restricts what a key does now. An error: the tenant's policy cannot be known just now. */
export async function chainOfKey(
  deps: PolicyDeps,
  identity: KeyIdentity,
  now: number,
): Promise<Result<readonly Standing[], "policy_unavailable">> {
  const tenant = await tenantPolicy(deps, identity.tenant, now);
  return tenant.ok ? ok(chainOf(tenant.value, standingOf(identity))) : tenant;
}

/**
 * The policy of a tenant, at most TENANT_EFFECTIVE_MS old; null: it has none. While the database is away, the last one that
 * this isolate knew; an error if it knew none. Never throws.
 */
export async function tenantPolicy(
  { db, policies, log }: PolicyDeps,
  tenant: string,
  now: number,
): Promise<Result<Policy | null, "policy_unavailable">> {
  const cached = policies.get(tenant, now);
  if (cached !== undefined) return ok(cached);
  try {
    const record = await inTime(async () => selectPolicy(db, tenant), PATIENCE_MS);
    policies.put(tenant, record?.policy ?? null, now);
    return ok(record?.policy ?? null);
  } catch (error) {
    const last = policies.last(tenant, now);
    log.error("access.policy_unavailable", { tenant, lastKnown: last !== undefined, error });
    return last === undefined ? err("policy_unavailable") : ok(last);
  }
}

/** As it stands in the database; null: the tenant has none. */
export async function getPolicy(
  deps: AccessDeps,
  identity: Identity,
): Promise<Result<PolicyRecord | null, AccessRefusal>> {
  const allowed = requireScope(identity, "policy:read");
  return allowed.ok ? ok(await selectPolicy(deps.db, allowed.value.tenant)) : allowed;
}

export interface PolicyChange {
  readonly record: PolicyRecord;
  /** From then on it is in force everywhere; until then an isolate may still go by the one before. */
  readonly effectiveBy: number;
}

/** Puts a policy in the place of the tenant's. It is in the audit, whole, before it takes effect. */
export async function putPolicy(
  deps: AccessDeps,
  identity: Identity,
  policy: Policy,
  now: number,
): Promise<Result<PolicyChange, AccessRefusal>> {
  const allowed = requireScope(identity, "policy:write");
  if (!allowed.ok) return allowed;
  const { tenant } = allowed.value;
  const text = readPolicy(policy) === null ? null : canonicalJson(policy);
  if (text === null || text.length > MAX_TENANT_POLICY_CHARS) {
    const message = `A policy of a tenant has hosts, connections, inline and workflows, and at most ${MAX_TENANT_POLICY_CHARS} characters.`;
    return err(refuse("invalid", message, ""));
  }
  const actor = actorOf(identity);
  const record: PolicyRecord = { policy, updatedAt: now, updatedBy: actor };
  const entry = { at: now, tenant, actor, action: "policy.put", target: tenant } as const;
  const granted = {
    ...entry,
    outcome: "granted",
    detail: { sha256: await sha256Hex(text), policy: text },
  } as const;
  if (!(await upsertPolicy(deps.db, tenant, record, allowed.value, granted))) {
    const refusal = refuse("maker_ended", "The API key in use was revoked or has expired.");
    const refused = { ...entry, outcome: "refused", detail: { code: refusal.code } } as const;
    await writeAudit(deps.db, refused);
    return err(refusal);
  }
  deps.policies.put(tenant, policy, now);
  return ok({ record, effectiveBy: now + TENANT_EFFECTIVE_MS });
}
