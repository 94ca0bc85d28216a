/**
 * What follows a change of a connection: the listing and the audit learn of it, waiting runs are woken, the provider is told
 * that a grant is over, a refresh token is used before it ends unused. The object's one alarm stands for all of it.
 *
 * - L1 what is due is on disk before anything is done, and is taken away only when it was done: every part is tried again,
 *      less and less often, until it succeeds or its time is over.
 * - L2 nothing here is on the way of a step: a database that is away delays the listing, and no token.
 */
import { crashPoint } from "../platform/index.ts";
import { keepAliveAt } from "./refresh-rules.ts";
import type { ConnectionWiring } from "./ports.ts";
import { renewalOf } from "./renewal.ts";
import { Revoking } from "./revoking.ts";
import type { ConnectionStore } from "./store.ts";
import { viewOf } from "./view.ts";

const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 10 * 60_000;
/** Uses are told together, so many for one write. */
const USES_MS = 60_000;

const WAKES_AT_ONCE = 50;
const AUDIT_AT_ONCE = 50;

export class After {
  readonly #ctx: DurableObjectState;
  readonly #store: ConnectionStore;
  readonly #wiring: ConnectionWiring;
  readonly #revoking: Revoking;
  #uses = new Map<string, { at: number; count: number }>();
  #usesSince: number | null = null;
  #armed: number | null | undefined;

  constructor(ctx: DurableObjectState, store: ConnectionStore, wiring: ConnectionWiring) {
    this.#ctx = ctx;
    this.#store = store;
    this.#wiring = wiring;
    this.#revoking = new Revoking(store, wiring);
  }

  /** To be told to the listing and kept in the audit; without secrets. */
  changed(action: string, actor: string, detail: Readonly<Record<string, string | number | boolean>>): void {
    const kept = this.#store.get("slot");
    if (kept === undefined) return;
    const { slot, id } = kept;
    const at = this.#wiring.now();
    const entry = { at, tenant: slot.tenant, actor, action, target: id, outcome: "granted" } as const;
    const { integration, account } = slot;
    this.#store.addAudit({ ...entry, detail: { integration, account, ...detail } });
    this.mirror();
  }

  /** The listing must be written anew. */
  mirror(): void {
    this.#store.put("mirror", { at: this.#wiring.now(), tries: 0 });
    this.arm();
  }

  /** Every run that waits is to look again. */
  wake(): void {
    this.#store.put("waking", { at: this.#wiring.now(), tries: 0 });
    this.arm();
  }

  /** A step was given the token. */
  used(workflow: string): void {
    const now = this.#wiring.now();
    const before = this.#uses.get(workflow);
    this.#uses.set(workflow, { at: now, count: (before?.count ?? 0) + 1 });
    if (this.#usesSince !== null) return;
    this.#usesSince = now;
    this.arm();
  }

  keepAliveIsDue(): boolean {
    const at = this.#keepAliveAt();
    return at !== null && at <= this.#wiring.now();
  }

  /** Does what is due. Never throws for what only has to be tried again. */
  async drain(): Promise<void> {
    this.#dropUnconfirmed();
    await Promise.all([
      this.#wakeRuns(),
      this.#write(),
      this.#revoking.drain((action, by, detail) => {
        this.changed(action, by, detail);
      }),
    ]);
  }

  /** Sets the alarm to the next thing that is due; takes it away if there is none. */
  arm(): void {
    const times = [
      this.#store.get("mirror")?.at,
      this.#usesSince === null ? undefined : this.#usesSince + USES_MS,
      this.#store.get("waking")?.at,
      this.#store.get("revoking")?.retryAt,
      this.#keepAliveAt(),
      ...(this.#store.get("pending") ?? []).map(({ until }) => until),
    ].filter((at) => at !== undefined && at !== null);
    const at = times.length === 0 ? null : Math.max(Math.min(...times), this.#wiring.now());
    if (this.#armed !== undefined && at === this.#armed) return;
    this.#armed = at;
    const { storage } = this.#ctx;
    const done = at === null ? storage.deleteAlarm() : storage.setAlarm(at);
    done.catch((error: unknown) => {
      this.#wiring.log.error("connection.alarm_not_set", { connection: this.#store.get("slot")?.id, error });
      this.#ctx.abort("the alarm could not be set");
    });
  }

  /** The alarm has fired and is used up. */
  fired(): void {
    this.#armed = null;
  }

  #dropUnconfirmed(): void {
    const pending = this.#store.get("pending") ?? [];
    const left = pending.filter(({ until }) => until > this.#wiring.now());
    if (left.length === pending.length) return;
    this.#store.put("pending", left);
    this.changed("connection.unconfirmed", "system", { dropped: pending.length - left.length });
  }

  #keepAliveAt(): number | null {
    const record = this.#store.get("record");
    const integration = this.#store.get("integration");
    if (record === undefined || record.standing.status !== "active" || integration === undefined) return null;
    const { kind } = renewalOf(integration.provider);
    if (kind !== "rotating" && kind !== "static") return null;
    const at = keepAliveAt(record.grant);
    return at === null ? null : Math.max(at, record.retryAt);
  }

  /** L1. */
  async #wakeRuns(): Promise<void> {
    const waking = this.#store.get("waking");
    const kept = this.#store.get("slot");
    const now = this.#wiring.now();
    if (waking === undefined || kept === undefined || waking.at > now) return;
    const { integration, account, tenant } = kept.slot;
    const change = { integration, account, connection: kept.id };
    for (;;) {
      const runs = this.#store.waiters(WAKES_AT_ONCE);
      if (runs.length === 0) break;
      const told = await Promise.allSettled(runs.map(async (run) => this.#wiring.wake(tenant, run, change)));
      if (CRASH_POINTS) crashPoint("crash-point:waiters-woken");
      const failed = told.filter(({ status }) => status === "rejected").length;
      for (const [i, run] of runs.entries())
        if (told[i]?.status === "fulfilled") this.#store.removeWaiter(run);
      if (failed === 0) continue;
      this.#wiring.log.warn("connection.wake_failed", { connection: kept.id, failed });
      this.#store.put("waking", { at: now + retryMs(waking.tries), tries: waking.tries + 1 });
      return;
    }
    this.#store.remove("waking");
  }

  async #write(): Promise<void> {
    const due = this.#store.get("mirror");
    const now = this.#wiring.now();
    const usesDue = this.#usesSince !== null && this.#usesSince + USES_MS <= now;
    if ((due === undefined || due.at > now) && !usesDue) return;
    const view = viewOf(this.#store, this.#wiring);
    const uses = [...this.#uses].map(([workflow, { at, count }]) => ({ workflow, at, count }));
    const { last, entries } = this.#store.audit(AUDIT_AT_ONCE);
    if (view === null) {
      this.#store.remove("mirror");
      return;
    }
    this.#uses = new Map();
    this.#usesSince = null;
    try {
      const sealed = this.#store.get("record")?.grant.sealed ?? null;
      await this.#wiring.mirror({ view, sealed, uses, audit: entries });
    } catch (error) {
      const tries = due?.tries ?? 0;
      this.#wiring.log.warn("connection.listing_not_written", { connection: view.id, tries, error });
      for (const { workflow, at, count } of uses) {
        const since = this.#uses.get(workflow);
        this.#uses.set(workflow, { at: Math.max(at, since?.at ?? 0), count: count + (since?.count ?? 0) });
      }
      this.#store.put("mirror", { at: now + retryMs(tries), tries: tries + 1 });
      return;
    }
    this.#store.removeAudit(last);
    const left = this.#store.audit(1).entries.length > 0;
    const newer = this.#store.get("mirror");
    if (left) this.#store.put("mirror", { at: now, tries: 0 });
    // A change that came while it was written has put a new time there.
    else if (newer !== undefined && newer.at === due?.at && newer.tries === due.tries)
      this.#store.remove("mirror");
  }
}

function retryMs(tries: number): number {
  return Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(tries, 16));
}
