/**
 * What a unit lacks before it can begin: a credential that a person has to lend, or that cannot be had just now.
 * The shape of a need and how long one waits for it; what a park does to a run is `parking.ts`.
 */

import {
  MAX_PARK_MS,
  MAX_RECHECK_MS,
  MIN_RECHECK_MS,
  PARK_LIMIT_MS,
  PASSING_LIMIT_MS,
  PASSING_RECHECK_MS,
} from "./limits.ts";
import { sameJson, type Json } from "./values.ts";

/** Why a credential is not at hand, and who can mend that: a person, or time alone. */
export const NEED_REASONS = {
  missing: "person",
  revoked: "person",
  expired: "person",
  refresh_lost: "person",
  scope_missing: "person",
  rejected: "person",
  replaced: "person",
  unavailable: "time",
  rate_limited: "time",
  misconfigured: "time",
} as const;
export type NeedReason = keyof typeof NEED_REASONS;

/** Of a cloud role only time is awaited: what a person has to mend there is a failure that says so. */
export const CLOUD_REASONS = ["unavailable", "rate_limited", "propagating"] as const;
export type CloudReason = (typeof CLOUD_REASONS)[number];

/** PERSISTED CONTRACT (in facts and snapshots). No secret is in it. */
export type Need = ConnectionNeed | CloudNeed;

/** PERSISTED CONTRACT. The credential of a cloud role cannot be had just now. */
export interface CloudNeed {
  readonly kind: "cloud";
  /** Its name. */
  readonly role: string;
  /** `propagating`: the cloud does not know yet what was changed a moment ago. */
  readonly reason: CloudReason;
  readonly limitMs: number;
  /** When to look again by itself. Longer each time, but for a rate limit. */
  readonly recheckMs: number;
  readonly detail?: string;
}

/** PERSISTED CONTRACT. The connection of somebody, which they have to make or mend, or which cannot be had just now. */
export interface ConnectionNeed {
  readonly kind: "connection";
  /** Name of the integration; empty where nobody could say which. */
  readonly integration: string;
  readonly account?: string;
  /** Id of the connection, where it is known. */
  readonly connection?: string;
  readonly reason: NeedReason;
  /** Of `scope_missing`: which. */
  readonly scopes?: readonly string[];
  /** How long it is waited for, from the first park for this reason on. */
  readonly limitMs: number;
  /** When to look again by itself: no wake-up is trusted to come. Longer each time, but for a rate limit. */
  readonly recheckMs: number;
  /** The service itself refused the credential, though it was fresh. */
  readonly refused?: true;
  /** Tells the grant that the service refused from any other: it is not sent again. */
  readonly version?: number;
  readonly detail?: string;
}

/** What a name was found to mean in a run. `to` is opaque to the kernel. */
export interface Binding {
  readonly name: string;
  readonly to: Json;
}

/** What became of a connection. Without `connection` or `account`, of any of the integration. */
export interface ConnectionChange {
  readonly connection?: string;
  readonly integration: string;
  readonly account?: string;
}

const MAX_DETAIL_CHARS = 500;
const MAX_SCOPES = 100;
/** Different refusals by the service that one unit lives through. */
const MAX_REFUSALS = 8;

/** A need as it is journaled: what is known of it and nothing else, with sane times (K9, K12). */
export function keptNeed(need: Need, inAttempt: boolean): Need {
  if (need.kind === "cloud") return keptCloudNeed(need);
  const { integration, account, connection, reason, scopes, detail, version } = need;
  const passing = waitsForTime(reason);
  return {
    kind: "connection",
    integration,
    ...(account === undefined ? {} : { account }),
    ...(connection === undefined ? {} : { connection }),
    reason,
    ...(scopes === undefined ? {} : { scopes: scopes.slice(0, MAX_SCOPES) }),
    limitMs: within(need.limitMs, 1, MAX_PARK_MS, passing ? PASSING_LIMIT_MS : PARK_LIMIT_MS),
    recheckMs: within(need.recheckMs, MIN_RECHECK_MS, MAX_RECHECK_MS, MIN_RECHECK_MS),
    // Only an attempt can be refused by the service.
    ...(inAttempt && need.refused === true ? { refused: true } : {}),
    ...(version !== undefined && Number.isSafeInteger(version) ? { version } : {}),
    ...(detail === undefined ? {} : { detail: detail.slice(0, MAX_DETAIL_CHARS) }),
  };
}

function keptCloudNeed({ role, reason, limitMs, recheckMs: first, detail }: CloudNeed): CloudNeed {
  return {
    kind: "cloud",
    role,
    reason,
    limitMs: within(limitMs, 1, MAX_PARK_MS, PASSING_LIMIT_MS),
    recheckMs: within(first, MIN_RECHECK_MS, MAX_RECHECK_MS, MIN_RECHECK_MS),
    ...(detail === undefined ? {} : { detail: detail.slice(0, MAX_DETAIL_CHARS) }),
  };
}

function within(ms: number, least: number, most: number, otherwise: number): number {
  return Number.isFinite(ms) && ms > 0 ? Math.min(most, Math.max(least, ms)) : otherwise;
}

/** Whether it is mended by time, and not by a person. */
export function waitsForTime(reason: Need["reason"]): boolean {
  return reason === "propagating" || NEED_REASONS[reason] === "time";
}

/** How long until the next look, after so many that found the same. */
export function recheckMs({ reason, recheckMs: first }: Need, looks: number): number {
  // The time that the provider told is exactly what is waited.
  if (reason === "rate_limited") return first;
  const soon = reason === "unavailable" || reason === "propagating";
  const most = soon ? PASSING_RECHECK_MS : MAX_RECHECK_MS;
  return Math.min(most, first * 2 ** Math.min(looks, 16));
}

/** Whether a unit that parks again waits for what it waited for. */
export function sameNeed(a: Need, b: Need): boolean {
  if (a.reason !== b.reason) return false;
  if (a.kind === "cloud" || b.kind === "cloud")
    return a.kind === "cloud" && b.kind === "cloud" && a.role === b.role;
  return a.integration === b.integration && a.account === b.account;
}

/** PERSISTED CONTRACT: what a refusal of the service is about. Two that lack different scopes are two. Null: it is none. */
export function refusalOf(need: Need): string | null {
  if (need.kind === "cloud" || need.refused !== true) return null;
  const { reason, scopes = [] } = need;
  return reason === "scope_missing" && scopes.length > 0
    ? `${reason} ${scopes.toSorted().join(" ")}`
    : reason;
}

/** Whether a person is asked in a circle: for the same again, or for ever more. */
export function isCircle(refusals: readonly string[] | null, need: Need): need is ConnectionNeed {
  const refusal = refusalOf(need);
  if (refusal === null || refusals === null) return false;
  return refusals.includes(refusal) || refusals.length >= MAX_REFUSALS;
}

/** Whether the change may be what the need waits for. Waking one that still lacks it costs a look, no more. */
export function concerns(change: ConnectionChange, need: Need): boolean {
  if (need.kind === "cloud") return false;
  // Nobody could say which: any may be it.
  if (need.integration === "") return true;
  if (need.integration !== change.integration) return false;
  if (need.connection !== undefined && change.connection !== undefined)
    return need.connection === change.connection;
  return need.account === undefined || change.account === undefined || need.account === change.account;
}

/** The name under which a run pins what a need is about. */
export function bindingOf({ integration, account }: ConnectionNeed): string {
  return account === undefined ? integration : `${integration}/${account}`;
}

/** What a run has pinned under the name, or null. */
export function boundTo(bound: Readonly<Record<string, Json>> | undefined, name: string): Json {
  return bound !== undefined && Object.hasOwn(bound, name) ? (bound[name] ?? null) : null;
}

/** Whether this can stand under the name: what is pinned stays, until a person says otherwise. */
export function mayBind(bound: Readonly<Record<string, Json>> | undefined, { name, to }: Binding): boolean {
  return bound === undefined || !Object.hasOwn(bound, name) || sameJson(bound[name], to);
}
