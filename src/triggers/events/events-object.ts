/**
 * The events object: one SQLite Durable Object per tenant and name of event, `events:<tenant>:<event>`.
 *
 * Owns: what can be asked, over RPC, and the alarm. Does not own: what is decided (event-rules.ts), in which order things are
 * stored and called (events-desk.ts), what is kept (events-store.ts).
 *
 * - O1 a call carries its tenant; a mismatch is answered as if nothing were here. An object that nobody posts to writes nothing.
 * - O2 the alarm never throws, and never comes again at once for what failed.
 */
import { DurableObject } from "cloudflare:workers";
import { armCrashPoint, crashPoint } from "../../platform/index.ts";
import { EventsDesk } from "./events-desk.ts";
import type {
  EraseEvents,
  EventsPorts,
  EventsRpc,
  EventView,
  NewWaiting,
  PostAnswer,
  Posted,
  Waiting,
} from "./events-port.ts";
import { EventsStore } from "./events-store.ts";

export abstract class WiredEventsObject extends DurableObject<Env> implements EventsRpc {
  readonly #ports: EventsPorts;
  readonly #tenant: string;
  readonly #desk: EventsDesk;
  /** What the alarm is known to be set to; undefined: not known. */
  #armed: number | null | undefined;

  protected constructor(ctx: DurableObjectState, env: Env, ports: EventsPorts) {
    super(ctx, env);
    if (CRASH_POINTS) armCrashPoint(env.CRASH_AT);
    const [, tenant = "", name = ""] = (ctx.id.name ?? "").split(":");
    this.#ports = { ...ports, log: ports.log.with({ tenant }) };
    this.#tenant = tenant;
    const store = new EventsStore(ctx.storage, name);
    this.#desk = new EventsDesk({ tenant, name }, store, ports, {
      set: (at) => this.#set(at),
      ensure: (by) => {
        const armed = this.#armed ?? null;
        if (armed === null || armed > by || armed <= ports.now()) this.#set(by);
      },
    });
  }

  async post(tenant: string, posted: Posted): Promise<PostAnswer> {
    this.#check(tenant);
    const answer = this.#desk.post(posted);
    if (CRASH_POINTS) crashPoint("crash-point:event-stored");
    if (answer.kind === "taken") this.#work();
    return answer;
  }

  async view(tenant: string, only: string | null, id: string): Promise<EventView | null> {
    return tenant === this.#tenant ? this.#desk.view(only, id) : null;
  }

  async recent(tenant: string, only: string | null, limit: number): Promise<readonly EventView[]> {
    return tenant === this.#tenant ? this.#desk.recent(only, limit) : [];
  }

  async listen(tenant: string, waiting: NewWaiting): Promise<void> {
    this.#check(tenant);
    if (!this.#desk.listen(waiting)) {
      this.#ports.log.error("events.waiting_full", { tenant, object: this.ctx.id.name });
      throw new Error("As many steps wait for this event as can.");
    }
    this.#work();
  }

  async forget(tenant: string, waiting: Waiting): Promise<void> {
    this.#check(tenant);
    this.#desk.forget(waiting);
  }

  async erase(tenant: string, whose: EraseEvents): Promise<void> {
    this.#check(tenant);
    this.#desk.erase(whose);
  }

  /** O2. */
  override async alarm(): Promise<void> {
    this.#armed = null;
    await this.#desk.work();
  }

  /** Beside the answer. The alarm stands behind. */
  #work(): void {
    this.ctx.waitUntil(this.#desk.work());
  }

  /** O1. Only a mistake of this house gets here. */
  #check(tenant: string): void {
    if (tenant !== this.#tenant) throw new TypeError("The events are another tenant's.");
  }

  #set(wanted: number | null): void {
    // Never at once: an alarm that is armed for now from within an alarm may not come.
    const at = wanted === null ? null : Math.max(wanted, this.#ports.now() + 1);
    if (this.#armed === at) return;
    this.#armed = at;
    const { storage } = this.ctx;
    const done = at === null ? storage.deleteAlarm() : storage.setAlarm(at);
    done.catch((error: unknown) => {
      this.#ports.log.error("events.alarm_not_set", { object: this.ctx.id.name, error });
      this.ctx.abort("the alarm could not be set");
    });
  }
}
