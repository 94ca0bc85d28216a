/**
 * For how long a tenant's data is kept: what the operator has set for it, and the defaults. docs/data.md has the table of all that is
 * kept, and where.
 */
import { inTime } from "../platform/index.ts";
import { NO_SETTINGS, selectSettings, type Setting, type TenantSettings } from "./settings-store.ts";
import type { SettingsDeps } from "./tenant-settings.ts";

const DAY_MS = 24 * 60 * 60_000;
/** A database that takes longer is away. */
const PATIENCE_MS = 5_000;

/** PERSISTED CONTRACT, in `tenant_settings.retention`: what is missing there is a default. In days. */
export interface Retention {
  /** Of a run, after its end: journal, inputs, outputs, its line in the lists. */
  readonly runsDays: number;
  /** Of a use of a credential in the audit. */
  readonly usesDays: number;
  /** Of the audit of access; null: for good. */
  readonly auditDays: number | null;
}

export const DEFAULT_RETENTION: Retention = { runsDays: 30, usesDays: 90, auditDays: null };

/** What may be set, both ends included. */
export const RETENTION_DAYS = {
  runsDays: { min: 1, max: 365 },
  usesDays: { min: 30, max: 365 },
  auditDays: { min: 90, max: 3_650 },
} as const;

/** The defaults filled in. What is stored and cannot be read counts as not set: nothing is deleted sooner for it. */
export function retentionIn(setting: Setting | null): Retention {
  const days = (name: keyof Retention): number | null => {
    const set = setting?.[name];
    const { min, max } = RETENTION_DAYS[name];
    return typeof set === "number" && Number.isSafeInteger(set) && set >= min && set <= max ? set : null;
  };
  return {
    runsDays: days("runsDays") ?? DEFAULT_RETENTION.runsDays,
    usesDays: days("usesDays") ?? DEFAULT_RETENTION.usesDays,
    auditDays: days("auditDays") ?? DEFAULT_RETENTION.auditDays,
  };
}

/** How long runs are kept, as rooms below ask it. */
export interface RunRetention {
  readonly defaultMs: number;
  /** Null: it cannot be known just now. Never rejects. */
  readonly of: (tenant: string) => Promise<number | null>;
}

/**
 * From the same cache as all settings. Unlike `settingsOf` it makes nothing up: a run that was deleted because the database was
 * away would not come back.
 */
export function runRetention(deps: SettingsDeps, now: () => number): RunRetention {
  return {
    defaultMs: DEFAULT_RETENTION.runsDays * DAY_MS,
    async of(tenant) {
      const retention = await retentionOf(deps, tenant, now());
      return retention === null ? null : retention.runsDays * DAY_MS;
    },
  };
}

/** Of a tenant, as it is now; null: it cannot be known just now. Never rejects. */
export async function retentionOf(
  deps: SettingsDeps,
  tenant: string,
  now: number,
): Promise<Retention | null> {
  const settings = await knownSettings(deps, tenant, now);
  return settings === null ? null : retentionIn(settings.retention);
}

async function knownSettings(
  { db, settings, log }: SettingsDeps,
  tenant: string,
  now: number,
): Promise<TenantSettings | null> {
  const cached = settings.get(tenant, now);
  if (cached !== undefined) return cached ?? NO_SETTINGS;
  try {
    const known = await inTime(async () => selectSettings(db, tenant), PATIENCE_MS);
    settings.put(tenant, known, now);
    return known;
  } catch (error) {
    // Nor what this isolate knew before: it may have been made longer since.
    log.warn("access.retention_unknown", { tenant, error });
    return null;
  }
}
