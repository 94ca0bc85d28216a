/**
 * How many things of a kind a tenant may have stored. The statement that stores one counts them and reads what the operator has set
 * for the tenant: exact, however many store at the same moment, and in force at once.
 */
export const STORED_QUOTAS = {
  stored_plans: { default: 1_000, least: 0, most: 1_000, about: "Names of stored plans." },
  plan_versions: { default: 1_000, least: 1, most: 100_000, about: "Versions of one stored plan." },
  hooks: { default: 500, least: 0, most: 10_000, about: "Hooks." },
  schedules: { default: 500, least: 0, most: 10_000, about: "Schedules." },
  endpoints: { default: 20, least: 0, most: 20, about: "Endpoints to which webhooks are sent." },
  keys: {
    default: 10_000,
    least: 1,
    most: 1_000_000,
    about: "API keys that are neither revoked nor expired.",
  },
  connections: {
    ...{ default: 100_000, least: 0, most: 10_000_000 },
    about: "Connections. Judged when a session is made, or a credential is given.",
  },
  open_connect_sessions: {
    ...{ default: 10_000, least: 1, most: 1_000_000 },
    about: "Connect sessions made by the API that nobody has used up, and whose link still works.",
  },
} as const;

export type StoredQuota = keyof typeof STORED_QUOTAS;

/** The quota as an expression of SQL. @param tenant an expression for the tenant's id, like `?1` */
export function quotaSql(quota: StoredQuota, tenant: string): string {
  const { default: usual, least, most } = STORED_QUOTAS[quota];
  const set = `(SELECT quotas ->> '${quota}' FROM tenant_settings WHERE tenant = ${tenant})`;
  return `min(max(coalesce(${set}, ${usual}), ${least}), ${most})`;
}
