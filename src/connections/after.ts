/**
 * What follows a change of a connection: the listing and the audit learn of it (mirroring.ts), waiting runs are woken
 * (waking.ts), the provider is told that a grant is over (revoking.ts, leaving.ts), a refresh token is used before it ends unused. The
 * object's one alarm stands for all of it.
 *
 * - L1 what is due is on disk before anything is done, and is taken away only when it was done: every part is tried again,
 *      less and less often, until it succeeds or its time is over.
 * - L3 a place that nobody ever gave anything, and for which nobody waits any more, leaves nothing behind: whoever writes plans
 *      can name as many as they like.
 * - L2 one part that fails holds up no other, and the alarm never comes again at once for it.
 */
import { dueWarning, warningDueAt } from "./ending.ts";
import { LeavingGrants, leavePending } from "./leaving.ts";
import { Mirroring } from "./mirroring.ts";
import type { ConnectionWiring } from "./ports.ts";
import { keepAliveDueAt } from "./refresh-rules.ts";
import { renewalOf } from "./renewal.ts";
import { retryMs } from "./retry.ts";
import { Revoking } from "./revoking.ts";
import type { ConnectionStore } from "./store.ts";
import { Waking } from "./waking.ts";

const DAY_MS = 24 * 60 * 60_000;

export class After {
  readonly #ctx: DurableObjectState;
  readonly #store: ConnectionStore;
  readonly #wiring: ConnectionWiring;
  readonly #mirroring: Mirroring;
  readonly #waking: Waking;
  readonly #revoking: Revoking;
  readonly #leaving: LeavingGrants;
  /** What the alarm is known to be set to; undefined: not known. */
  #armed: number | null | undefined;
  /** Rounds in a row in which something failed that should not. */
  #failures = 0;

  /** @param settled resolves when no refresh is in flight */
  constructor(
    ctx: DurableObjectState,
    store: ConnectionStore,
    wiring: ConnectionWiring,
    settled: () => Promise<void>,
  ) {
    this.#ctx = ctx;
    this.#store = store;
    this.#wiring = wiring;
    this.#mirroring = new Mirroring(store, wiring);
    this.#waking = new Waking(store, wiring);
    const changed = this.changed.bind(this);
    this.#revoking = new Revoking(store, wiring, settled, changed);
    this.#leaving = new LeavingGrants(store, wiring, settled, changed);
  }

  /** To be told to the listing and kept in the audit; without secrets. */
  changed(action: string, actor: string, detail: Readonly<Record<string, string | number | boolean>>): void {
    const kept = this.#store.get("slot");
    if (kept === undefined) return;
    const { slot, id } = kept;
    const at = this.#wiring.now();
    const entry = { at, tenant: slot.tenant, actor, action, target: id, outcome: "granted" } as const;
    // Not the label of its account, which may tell who the user is.
    const { integration } = slot;
    this.#store.addAudit({ ...entry, detail: { integration, ...detail } });
    this.mirror();
  }

  /** The listing must be written anew. */
  mirror(): void {
    this.#mirroring.due();
    this.arm();
  }

  /** Every run that waits is to look again. */
  wake(): void {
    this.#waking.all();
    this.arm();
  }

  /** Whether the provider is to be told of what was taken back. Never throws: what is not known then is asked again. */
  async askSiblings(): Promise<void> {
    await this.#revoking.ask();
    this.arm();
  }

  /** A step was given the token. */
  used(workflow: string): void {
    if (this.#mirroring.used(workflow)) this.arm();
  }

  keepAliveIsDue(): boolean {
    const now = this.#wiring.now();
    const at = this.#keepAliveAt(now);
    return at !== null && at <= now;
  }

  /** Does what is due. Never throws. */
  async drain(): Promise<void> {
    this.#store.dropStaleWaiters(this.#wiring.now());
    const parts = await Promise.allSettled([
      this.#dropUnconfirmed(),
      this.#warn(),
      this.#waking.drain(),
      this.#revoking.drain(),
      this.#leaving.drain(),
      this.#mirroring.drain(),
    ]);
    const [error] = parts.flatMap((part) => (part.status === "rejected" ? [part.reason as unknown] : []));
    if (error === undefined) {
      this.#failures = 0;
      return;
    }
    this.failed(error);
  }

  /** Something failed that should not: the alarm waits. */
  failed(error: unknown): void {
    this.#failures += 1;
    this.#wiring.log.error("connection.alarm_failed", { connection: this.#store.get("slot")?.id, error });
  }

  /** Tells the listing now, so that whoever reads it next finds what is so. */
  async tellListing(): Promise<void> {
    await this.#mirroring.drain();
    this.arm();
  }

  /** Sets the alarm to the next thing that is due; takes it away if there is none. */
  arm(): void {
    const now = this.#wiring.now();
    const times = [
      this.#mirroring.dueAt(),
      this.#store.get("waking")?.at,
      this.#store.get("revoking")?.retryAt,
      this.#leaving.dueAt(),
      this.#store.staleWaitersAt(),
      this.#keepAliveAt(now),
      this.#warningAt(now),
      ...(this.#store.get("pending") ?? []).map(({ until }) => until),
    ].filter((at) => at !== undefined && at !== null);
    const soonest = this.#failures === 0 ? now : now + retryMs(this.#failures);
    const at = times.length === 0 ? null : Math.max(Math.min(...times), soonest);
    if (this.#armed === undefined || at !== this.#armed) this.#set(at);
  }

  #set(at: number | null): void {
    this.#armed = at;
    const { storage } = this.#ctx;
    const done = at === null ? storage.deleteAlarm() : storage.setAlarm(at);
    done.catch((error: unknown) => {
      this.#wiring.log.error("connection.alarm_not_set", { connection: this.#store.get("slot")?.id, error });
      this.#ctx.abort("the alarm could not be set");
    });
  }

  /** After a round. Never throws: an alarm comes, whatever is broken. */
  armAgain(): void {
    try {
      this.arm();
    } catch (error) {
      this.failed(error);
      this.#set(this.#wiring.now() + retryMs(this.#failures));
    }
  }

  /** The alarm has fired and is used up. */
  fired(): void {
    this.#armed = null;
  }

  /** L3. */
  async forgetVoid(): Promise<void> {
    if (this.#store.isVoid()) await this.forget();
  }

  /** All of it, also what is known of uses and not on disk yet. */
  async forget(): Promise<void> {
    this.#armed = null;
    this.#mirroring.forget();
    await this.#store.forget();
  }

  async #dropUnconfirmed(): Promise<void> {
    const pending = this.#store.get("pending") ?? [];
    const left = pending.filter(({ until }) => until > this.#wiring.now());
    if (left.length === pending.length) return;
    this.#store.together(() => {
      this.#store.put("pending", left);
      const gone = pending.filter((one) => !left.includes(one));
      leavePending(this.#store, gone, { by: "system", now: this.#wiring.now() });
    });
    this.changed("connection.unconfirmed", "system", { dropped: pending.length - left.length });
  }

  /** A grant ends soon whatever happens: the audit has it; the listing and the user's page show it by themselves. */
  async #warn(): Promise<void> {
    const record = this.#store.get("record");
    const now = this.#wiring.now();
    const at = this.#warningAt(now);
    if (record === undefined || at === null || at > now) return;
    const [beforeMs, { endsAt }] = [dueWarning(record, now), record.grant];
    if (beforeMs === null || endsAt === null) return;
    this.#store.put("record", { ...record, warned: { endsAt, beforeMs } });
    this.changed("connection.ends_soon", "system", { ends_at: endsAt, days_before: beforeMs / DAY_MS });
  }

  #warningAt(now: number): number | null {
    const record = this.#store.get("record");
    return record === undefined ? null : warningDueAt(record, now);
  }

  #keepAliveAt(now: number): number | null {
    const record = this.#store.get("record");
    const integration = this.#store.get("integration");
    if (record === undefined || record.standing.status !== "active" || integration === undefined) return null;
    return keepAliveDueAt(record, renewalOf(integration.provider), now);
  }
}
