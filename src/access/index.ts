/** The door of the access room: tenants, API keys, scopes, and who may do what. */
export { type AuditFilter, type AuditPlace, listAudit } from "./audit-list.ts";
export { eraseUserCallers, eraseUserKeys } from "./erasing.ts";
export { auditStatements, createAccessAudit } from "./audit-store.ts";
export type { AuditLink, ChainBreak, ChainHead } from "./audit-chain.ts";
export { type AuditDesk, createAuditDesk, type ExportPage } from "./audit-desk.ts";
export type { Verification } from "./audit-verifying.ts";
export { forgetAuditUser } from "./audit-users-store.ts";
export { authenticate, type Credentials } from "./authenticate.ts";
export { type AccessDeps, checkRootKey, type TrustDeps } from "./deps.ts";
export {
  actorOf,
  type Identity,
  type KeyIdentity,
  may,
  type Policy,
  requireScope,
  type RootIdentity,
} from "./identity.ts";
export { createKeyCache, type KeyCache, REVOKED_EVERYWHERE_MS } from "./key-cache.ts";
export {
  createKey,
  getKey,
  type KeyPage,
  listKeys,
  MAX_KEYS_PER_PAGE,
  type NewKey,
  type Revocation,
  revokeKey,
} from "./keys.ts";
export { makersOfActor } from "./makers.ts";
export { makerStands } from "./standing.ts";
export type { KeyRecord } from "./keys-store.ts";
export {
  isUser,
  type KeyRequest,
  MAX_KEY_NAME_CHARS,
  MAX_SCOPES,
  MAX_USER_CHARS,
  MAX_USER_KEY_LIFE_MS,
} from "./narrowing.ts";
export {
  chainOfKey,
  getPolicy,
  type PolicyChange,
  type PolicyDeps,
  putPolicy,
  standingOf,
  tenantPolicy,
} from "./policies.ts";
export {
  createPlaces,
  isJurisdiction,
  JURISDICTIONS,
  LOCATION_HINTS,
  type Place,
  type Places,
} from "./places.ts";
export { policySchema } from "./policy.ts";
export { createTenantCache, type TenantCache, TENANT_EFFECTIVE_MS } from "./tenant-cache.ts";
export {
  chainOf,
  judgeRequest,
  judgeStart,
  judgeUse,
  judgeHolding,
  usedBy,
  type PolicyRequest,
  type Standing,
  type Verdict,
} from "./policy-judge.ts";
export type { PolicyRecord } from "./policy-store.ts";
export {
  type AccessRefusal,
  type AccessRefusalCode,
  type AuthFailure,
  type AuthFailureCode,
} from "./refusals.ts";
export { type CountedQuota, hasRoom, isStored, storedCounts } from "./stored-counts.ts";
export { canSeeRun, canSteerRun, type RunOwner, userOfNewRun } from "./run-access.ts";
export { isScopeGrant, type Scope, type ScopeGrant, SCOPES } from "./scopes.ts";
export { changeSettings, type SettingsDeps, settingsOf } from "./tenant-settings.ts";
export type { Setting, TenantSettings } from "./settings-store.ts";
export { createTenant, getTenant, listTenants, MAX_TENANTS_PER_PAGE, type TenantPage } from "./tenants.ts";
export { countTenants, selectTenantsAt, type Tenant } from "./tenants-store.ts";
export { type ExportKey, selectExportRows } from "./export-store.ts";
export { EXPORT_TABLES } from "./export-tables.ts";
export {
  type Retention,
  RETENTION_DAYS,
  retentionIn,
  retentionOf,
  type RunRetention,
  runRetention,
} from "./retention.ts";
export { createSeenCache } from "./seen-cache.ts";
export { audienceOf } from "./token-text.ts";
export { createKeySource } from "./trusted-keys.ts";
export {
  MAX_RULES,
  type RuleUser,
  type TrustedIssuer,
  type TrustRequest,
  type TrustRule,
} from "./trusted-issuer.ts";
export {
  changeTrusted,
  createTrusted,
  deleteTrustedIssuer,
  getTrusted,
  listTrusted,
  type TrustedWithCallers,
  tryToken,
} from "./trusted-issuers.ts";
export { createUseAudit } from "./uses-store.ts";
