/**
 * What a tenant may have and do: every quota, with its default and what the operator may set. The one table of them.
 *
 * Four are rates, one is a number of runs at a time; these are kept by the tenant's quota object (quota-object.ts). The others are
 * numbers of stored things: the statement that stores one counts them (`STORED_QUOTAS` of the platform room).
 */
import * as z from "zod";
import { STORED_QUOTAS, type StoredQuota } from "../platform/index.ts";
import type { RateLimit } from "./bucket.ts";

interface QuotaRule {
  readonly default: number;
  /** What the operator may set. */
  readonly least: number;
  readonly most: number;
  readonly about: string;
}

const FLOW_QUOTAS = {
  requests_per_second: {
    ...{ default: 500, least: 1, most: 100_000 },
    about: "Requests to the API, in the long run.",
  },
  request_burst: {
    ...{ default: 2_000, least: 1, most: 1_000_000 },
    about: "Requests to the API at once.",
  },
  starts_per_minute: {
    ...{ default: 12_000, least: 1, most: 1_000_000 },
    about: "Runs begun, by whatever begins them, and redriven. A minute's worth can be begun at once.",
  },
  active_runs: {
    ...{ default: 100_000, least: 1, most: 10_000_000 },
    about: "Runs that have not ended, child runs included.",
  },
  connect_sessions_per_minute: {
    ...{ default: 600, least: 1, most: 60_000 },
    about: "Connect sessions made by the API. A minute's worth can be made at once.",
  },
  hook_deliveries_per_minute: {
    ...{ default: 30_000, least: 1, most: 1_000_000 },
    about: "Genuine deliveries to all hooks together. A minute's worth can come at once.",
  },
} as const satisfies Readonly<Record<string, QuotaRule>>;

export type FlowQuota = keyof typeof FLOW_QUOTAS;
export type Quota = FlowQuota | StoredQuota;

/** Every quota. */
export const QUOTAS: Readonly<Record<Quota, QuotaRule>> = { ...FLOW_QUOTAS, ...STORED_QUOTAS };
export const QUOTA_NAMES = Object.keys(QUOTAS) as readonly Quota[];

export type Quotas = Readonly<Record<Quota, number>>;

/** What differs from the defaults, as the operator writes and the database keeps it. PERSISTED CONTRACT: only gains names. */
export function quotasSchema(): z.ZodObject {
  const one = ({ least, most, about, default: usual }: QuotaRule) =>
    z.int().min(least).max(most).describe(`${about} ${usual} if it is missing.`).exactOptional();
  return z.strictObject(Object.fromEntries(QUOTA_NAMES.map((name) => [name, one(QUOTAS[name])])));
}

/** All of them, the defaults filled in. What this build does not know, or could not be set, counts as not set. */
export function quotasOf(settings: unknown): Quotas {
  const set = typeof settings === "object" && settings !== null ? (settings as Record<string, unknown>) : {};
  const one = (name: Quota): number => {
    const { least, most, default: usual } = QUOTAS[name];
    const value = Object.hasOwn(set, name) ? set[name] : undefined;
    return typeof value === "number" && Number.isFinite(value)
      ? Math.min(most, Math.max(least, Math.floor(value)))
      : usual;
  };
  return Object.fromEntries(QUOTA_NAMES.map((name) => [name, one(name)])) as Record<Quota, number>;
}

/** What isolates ask permits for. PERSISTED CONTRACT: names of buckets. */
export const PERMITS = ["requests", "starts", "sessions", "deliveries"] as const;
export type PermitKind = (typeof PERMITS)[number];

/** The quota that each kind of permit is counted by. */
export const QUOTA_OF: Readonly<Record<PermitKind, FlowQuota>> = {
  requests: "requests_per_second",
  starts: "starts_per_minute",
  sessions: "connect_sessions_per_minute",
  deliveries: "hook_deliveries_per_minute",
};

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;

export function rateOf(quotas: Quotas, kind: PermitKind): RateLimit {
  const perWindow = quotas[QUOTA_OF[kind]];
  return kind === "requests"
    ? { perWindow, windowMs: SECOND_MS, burst: quotas.request_burst }
    : { perWindow, windowMs: MINUTE_MS, burst: perWindow };
}
