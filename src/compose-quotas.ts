/** Quotas, wired: where isolates ask, and what the object that they ask needs. */
import { waitUntil } from "cloudflare:workers";
import { type SettingsDeps, settingsOf } from "./access/index.ts";
import { objectNamed } from "./compose-objects.ts";
import type { QuotasPort } from "./api/index.ts";
import type { Directory } from "./directory/index.ts";
import { type Logger, objectName, quotaSql } from "./platform/index.ts";
import type { QuotaPorts } from "./quota-object.ts";
import { createGate, type Gate, type QuotaRpc, quotasOf } from "./quotas/index.ts";
import type { AdmitStart } from "./run/index.ts";

/** For the statement that stores a plan. */
export const PLAN_QUOTAS = {
  names: quotaSql("stored_plans", "?1"),
  versions: quotaSql("plan_versions", "?1"),
} as const;

/** One for each isolate. */
export function composeQuotas(env: Env, log: Logger): QuotasPort {
  const object = (tenant: string): QuotaRpc => quotaObject(env, tenant);
  const gate = createGate({
    ...{ object, log, now: () => Date.now() },
    defer: (work) => {
      waitUntil(work);
    },
  });
  return { gate, view: async (tenant) => object(tenant).view(tenant) };
}

/** For a tenant's quota object. */
export function quotaPorts(settings: SettingsDeps, directory: Directory): QuotaPorts {
  return {
    quotas: async (tenant, now) => quotasOf((await settingsOf(settings, tenant, now)).quotas),
    live: async (tenant) => directory.live(tenant),
    log: settings.log,
    now: () => Date.now(),
  };
}

/** For runs that start others. */
export function admitStarts(gate: Gate): AdmitStart {
  return async (tenant) => gate.start(tenant);
}

function quotaObject(env: Env, tenant: string): QuotaRpc {
  return objectNamed(env.QUOTA, env.DB, objectName("quota", tenant, "main")) as QuotaRpc;
}
