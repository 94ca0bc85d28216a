/**
 * Stored plans in D1, and what their newest versions subscribe to. The only SQL about them. A version never changes once it
 * is there.
 */

import type { Json } from "../kernel/index.ts";
import type { Subscriber, Subscription } from "./subscriptions.ts";

/** Names of one tenant: the list of workflows is one page. */
const MAX_NAMES = 1_000;

export interface PlanRecord {
  readonly name: string;
  readonly version: number;
  readonly description: string | null;
  readonly body: Readonly<Record<string, Json>>;
  readonly digest: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly createdBy: string;
}

export type PlanSummary = Omit<PlanRecord, "body" | "digest">;

export interface NewPlan extends Omit<PlanRecord, "version"> {
  /** What it subscribes to, in place of what its earlier versions did. */
  readonly on: readonly Subscription[];
  /** Under which whoever stores it stands: what it is started by an event for is bound by them. */
  readonly policies: readonly Json[];
}

export type Stored =
  | { readonly kind: "stored"; readonly version: number; readonly created: boolean }
  /** Names, or versions of this one. */
  | { readonly kind: "too_many"; readonly what: "stored_plans" | "plan_versions" };

export interface PlansStore {
  /** Adds a version, unless the newest one has this content already. */
  put(tenant: string, plan: NewPlan): Promise<Stored>;
  /** Number of the newest version, or null. */
  newest(tenant: string, name: string): Promise<number | null>;
  get(tenant: string, name: string, version: number): Promise<PlanRecord | null>;
  /** The newest version of each name, in order of names. */
  list(tenant: string): Promise<readonly PlanSummary[]>;
  /** Those whose newest version subscribes to an event, in order of names. */
  subscribers(tenant: string, event: string): Promise<readonly Subscriber[]>;
}

const NEWEST = "SELECT max(version) FROM plans WHERE tenant = ?1 AND name = ?2";

/** How many there may be, as expressions of SQL; `?1` is the tenant. Of versions of one name: each is kept for ever. */
export interface PlanQuotas {
  readonly names: string;
  readonly versions: string;
}

const DEFAULT_QUOTAS: PlanQuotas = { names: String(MAX_NAMES), versions: "1000" };

export function createPlansStore(db: D1Database, quotas: PlanQuotas = DEFAULT_QUOTAS): PlansStore {
  const newest = async (tenant: string, name: string): Promise<number | null> =>
    db
      .prepare(`SELECT max(version) AS version FROM plans WHERE tenant = ?1 AND name = ?2`)
      .bind(tenant, name)
      .first("version");
  return {
    newest,
    async put(tenant, { name, description, body, digest, createdAt, createdBy, on, policies }) {
      const bound = policies.length === 0 ? {} : { policies };
      // One statement: two that store at the same time get two versions, or the same one for the same content.
      const insert = db
        .prepare(
          `INSERT INTO plans (tenant, name, version, description, body, digest, created_at, created_by)
           SELECT ?1, ?2, coalesce((${NEWEST}), 0) + 1, ?3, ?4, ?5, ?6, ?7
           WHERE coalesce((SELECT digest FROM plans WHERE tenant = ?1 AND name = ?2 AND version = (${NEWEST})), '') <> ?5
             AND coalesce((${NEWEST}), 0) < ${quotas.versions}
             AND ((${NEWEST}) IS NOT NULL
               OR (SELECT count(*) FROM plans WHERE tenant = ?1 AND version = 1) < ${quotas.names})
           RETURNING version`,
        )
        .bind(tenant, name, description, JSON.stringify(body), digest, createdAt, createdBy);
      // Whoever wrote it: what the newest version subscribes to is what this one does, if it is the newest.
      const isNewest = `(SELECT digest FROM plans WHERE tenant = ?1 AND name = ?2 AND version = (${NEWEST})) = ?3`;
      const forget = db
        .prepare(`DELETE FROM event_subscriptions WHERE tenant = ?1 AND workflow = ?2 AND ${isNewest}`)
        .bind(tenant, name, digest);
      const subscribe = db
        .prepare(
          `INSERT INTO event_subscriptions (tenant, event, workflow, version, rules)
           SELECT ?1, value ->> 'event', ?2, (${NEWEST}), value -> 'rules' FROM json_each(?4) WHERE ${isNewest}`,
        )
        .bind(
          tenant,
          name,
          digest,
          JSON.stringify(on.map(({ event, ...rules }) => ({ event, rules: { ...rules, ...bound } }))),
        );
      const [inserted] = await db.batch<{ readonly version: number }>([insert, forget, subscribe]);
      const row = inserted?.results[0]?.version;
      if (row !== undefined) return { kind: "stored", version: row, created: true };
      const same = await db
        .prepare(
          `SELECT version FROM plans WHERE tenant = ?1 AND name = ?2 AND version = (${NEWEST}) AND digest = ?3`,
        )
        .bind(tenant, name, digest)
        .first<number>("version");
      if (same === null)
        return {
          kind: "too_many",
          what: (await newest(tenant, name)) === null ? "stored_plans" : "plan_versions",
        };
      return { kind: "stored", version: same, created: false };
    },
    async get(tenant, name, version) {
      const row = await db
        .prepare("SELECT * FROM plans WHERE tenant = ?1 AND name = ?2 AND version = ?3")
        .bind(tenant, name, version)
        .first<PlanRow>();
      if (row === null) return null;
      return { ...summaryOf(row), body: JSON.parse(row.body) as PlanRecord["body"], digest: row.digest };
    },
    async list(tenant) {
      const { results } = await db
        .prepare(
          `SELECT name, version, description, created_at, created_by FROM plans AS one WHERE tenant = ?1
             AND version = (SELECT max(version) FROM plans WHERE tenant = ?1 AND name = one.name)
           ORDER BY name LIMIT ${MAX_NAMES}`,
        )
        .bind(tenant)
        .all<Omit<PlanRow, "body" | "digest">>();
      return results.map(summaryOf);
    },
    async subscribers(tenant, event) {
      const { results } = await db
        .prepare(
          `SELECT workflow, version, rules FROM event_subscriptions WHERE tenant = ?1 AND event = ?2
           ORDER BY workflow LIMIT ${MAX_NAMES}`,
        )
        .bind(tenant, event)
        .all<{ readonly workflow: string; readonly version: number; readonly rules: string }>();
      return results.map(({ workflow, version, rules }) => {
        const { policies, ...rest } = JSON.parse(rules) as Rules;
        const subscription = { event, ...rest };
        return {
          ...{ workflow, version: String(version), subscription },
          ...(policies === undefined ? {} : { policies }),
        };
      });
    },
  };
}

/** As it stands in D1. PERSISTED CONTRACT. */
type Rules = Omit<Subscription, "event"> & Pick<Subscriber, "policies">;

interface PlanRow {
  readonly name: string;
  readonly version: number;
  readonly description: string | null;
  readonly body: string;
  readonly digest: string;
  readonly created_at: number;
  readonly created_by: string;
}

function summaryOf(row: Omit<PlanRow, "body" | "digest">): PlanSummary {
  const { name, version, description } = row;
  return { name, version, description, createdAt: row.created_at, createdBy: row.created_by };
}
