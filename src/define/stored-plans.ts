/**
 * Plans stored under a name.
 *
 * Owns: which plan a name and a version mean for a tenant; its compiled form, kept by the isolate, as a version never changes.
 * Does not own: the rows (`plans-store.ts`); names of workflows in TypeScript, which win.
 */

import type { Finding } from "../actions/index.ts";
import { compilePlan, type CompiledPlan } from "./compile-plan.ts";
import type { NewPlan, PlanRecord, PlansStore, PlanSummary, Stored } from "./plans-store.ts";
import type { Subscriber } from "./subscriptions.ts";

/** Compiled plans that an isolate keeps. One can hold 256 KiB of JSON, most hold a few. */
const KEPT = 64;
/** A version in an address: 1, 2, 3, ... */
const VERSION = /^[1-9]\d{0,8}$/;

export type FoundPlan =
  | { readonly kind: "found"; readonly record: PlanRecord; readonly plan: CompiledPlan }
  | { readonly kind: "no_such_name" | "no_such_version" }
  /** It was stored when other rules held. */
  | { readonly kind: "outdated"; readonly errors: readonly Finding[] };

export interface StoredPlans {
  put(tenant: string, plan: NewPlan): Promise<Stored>;
  /** A version, or the newest. */
  find(tenant: string, name: string, version?: string): Promise<FoundPlan>;
  list(tenant: string): Promise<readonly PlanSummary[]>;
  subscribers(tenant: string, event: string): Promise<readonly Subscriber[]>;
}

export function createStoredPlans(store: PlansStore): StoredPlans {
  const kept = new Map<string, Extract<FoundPlan, { readonly kind: "found" }>>();
  return {
    put: (tenant, plan) => store.put(tenant, plan),
    list: (tenant) => store.list(tenant),
    subscribers: (tenant, event) => store.subscribers(tenant, event),
    async find(tenant, name, version) {
      if (version !== undefined && !VERSION.test(version))
        return { kind: (await store.newest(tenant, name)) === null ? "no_such_name" : "no_such_version" };
      const number = version === undefined ? await store.newest(tenant, name) : Number(version);
      if (number === null) return { kind: "no_such_name" };
      const key = JSON.stringify([tenant, name, number]);
      const known = kept.get(key);
      if (known !== undefined) return known;
      const record = await store.get(tenant, name, number);
      if (record === null)
        return { kind: (await store.newest(tenant, name)) === null ? "no_such_name" : "no_such_version" };
      const compiled = compilePlan(record.body);
      if (!compiled.ok) return { kind: "outdated", errors: compiled.errors };
      const found = { kind: "found", record, plan: compiled.plan } as const;
      if (kept.size >= KEPT) for (const oldest of [...kept.keys()].slice(0, 1)) kept.delete(oldest);
      kept.set(key, found);
      return found;
    },
  };
}
