/**
 * Erasures of a deployment: asked for, looked at, carried on.
 *
 * - D1 an erasure is kept before it is answered; what goes on beside the answer and what the cron trigger does are the same.
 * - D2 one walks at a time; whoever dies is followed by the next when the lease is over.
 * - D3 to ask again for what goes on walks nothing: who asks often makes nobody work more, and tenants take turns.
 * - D4 the audit knows the user until the erasure is done, and not a moment longer: both are one transaction.
 */
import { err, type Logger, ok, randomId, type Result } from "../platform/index.ts";
import type { Place } from "../directory/index.ts";
import { type BeingErased } from "./being-erased.ts";
import type { Erasure } from "./progress.ts";
import { finishErasure, insertErasure, selectErasure, takeErasure, updateErasure } from "./store.ts";
import { eraseOneRun, type Places, walk } from "./walk.ts";

/** Longer than one event of the platform walks. */
const LEASE_MS = 10 * 60_000;
/** Calls of the first pass, beside the answer. */
const FIRST_CALLS = 200;

export interface ErasuresDeps {
  readonly db: D1Database;
  readonly places: Places;
  readonly being: BeingErased;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Lets work go on after the answer. */
  readonly defer: (work: Promise<unknown>) => void;
}

export interface Erasures {
  /** The same user again, while it runs, is the same erasure. */
  begin(tenant: string, user: string, by: string): Promise<Result<Erasure, "too_many">>;
  find(tenant: string, id: string): Promise<Erasure | null>;
  /** Whether anything may be started, made or kept for the user. Never rejects. */
  isErasing(tenant: string, user: string): Promise<boolean>;
  eraseRun(tenant: string, run: Place, by: string): ReturnType<typeof eraseOneRun>;
  /** The cron trigger: carries on what is not done, with at most `calls` calls of objects. */
  tick(calls: number): Promise<void>;
}

export function createErasures(deps: ErasuresDeps): Erasures {
  const { db, places, being, log, now, defer } = deps;

  async function pass(calls: number, which: { readonly id: string } | null): Promise<boolean> {
    const taken = await takeErasure(db, now(), now() + LEASE_MS, which);
    if (taken === null) return false;
    let current = taken;
    const walking = {
      places,
      ...{ log, now },
      keep: async (erasure: Erasure) => {
        current = erasure;
        await updateErasure(db, erasure, now() + LEASE_MS);
      },
      finish: async (erasure: Erasure) => {
        await finishErasure(db, erasure, now());
        being.forget(erasure.tenant);
      },
    };
    try {
      const after = await walk(walking, taken, calls);
      if (after.status === "running") await updateErasure(db, after, 0);
    } catch (error) {
      log.warn("erasure_interrupted", { erasure: taken.id, tenant: taken.tenant, error });
      // What has begun again finds the rest; if not even this can be kept, the lease ends by itself (D2).
      await updateErasure(db, current, 0);
    }
    return true;
  }

  return {
    async begin(tenant, user, by) {
      const id = randomId("era");
      const erasure = await insertErasure(db, { id, tenant, user, by }, now());
      if (erasure === "too_many") return err(erasure);
      being.forget(tenant);
      // D3.
      if (erasure.id !== id) return ok(erasure);
      // D1.
      defer(
        pass(FIRST_CALLS, erasure).catch((error: unknown) => {
          log.warn("erasure_not_begun", { tenant, erasure: erasure.id, error });
        }),
      );
      return ok(erasure);
    },
    find: async (tenant, id) => selectErasure(db, tenant, id),
    isErasing: async (tenant, user) => being.has(tenant, user),
    eraseRun: async (tenant, run, by) => eraseOneRun({ places }, tenant, run, by),
    async tick(calls) {
      // Tenants take turns, and each one's erasures (store.ts).
      const seen = 5;
      const each = Math.max(1, Math.floor(calls / seen));
      for (let i = 0; i < seen; i += 1) if (!(await pass(each, null))) return;
    },
  };
}
