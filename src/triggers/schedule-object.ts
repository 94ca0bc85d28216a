/**
 * The schedule object: one SQLite Durable Object per schedule, `schedule:<tenant>:<name>`.
 *
 * Owns: what can be asked of a schedule, the order of storing, arming and calling, the alarm. Does not own: what becomes of a tick
 * (schedule-rules.ts), how it is started (schedule-starting.ts), what is kept (schedule-store.ts).
 *
 * - O1 a call carries its tenant; a mismatch is answered as if nothing were here. An object without a schedule writes nothing.
 * - O2 a decision and its records are stored in one write, and the alarm is armed, before anything of it is done. Memory holds
 *      nothing that counts: the next life reads the same state and goes on.
 * - O3 the alarm never throws, and never comes again at once for what failed.
 * - O4 one event does a bounded number of calls, and goes on in the next.
 * - O5 a schedule is in the tenant's list before it is here, and leaves it after it has left here; only this object writes its line,
 *      for making and removing one after the other. What the list was not told, it is told when somebody pokes.
 */
import { DurableObject } from "cloudflare:workers";
import { armCrashPoint, canonicalJson, objectName } from "../platform/index.ts";
import { ScheduleListing } from "./schedule-listing.ts";
import type { SchedulePorts } from "./schedule-ports.ts";
import { advance, apply, edit, newSchedule, pause, resume, trigger, wakeAt } from "./schedule-rules.ts";
import type {
  LoggedTick,
  PutAnswer,
  ScheduleAnswer,
  ScheduleRpc,
  ScheduleView,
  ScheduleWish,
  Triggered,
} from "./schedule-rpc.ts";
import { handKey, isByHand, perform, runOf, type Whose } from "./schedule-starting.ts";
import type { ScheduleState, TickRecord, Todo } from "./schedule-state.ts";
import { type KeptSchedule, ScheduleStore } from "./schedule-store.ts";
import { nextTicks, readTiming, type Ticks } from "./schedule-timing.ts";
import { type ReadWish, readWish } from "./schedule-wish.ts";
import type { Maker } from "./start-port.ts";

/** As many as the platform lets an object make side by side. */
const CALLS_AT_A_TIME = 6;
const MAX_STEPS_PER_EVENT = 50;
const SHOWN_TICKS = 10;
const FAILED_AGAIN_MS = 60_000;

const NOT_FOUND = { ok: false, code: "not_found", message: "There is no such schedule." } as const;

export abstract class WiredScheduleObject extends DurableObject<Env> implements ScheduleRpc {
  readonly #ports: SchedulePorts;
  readonly #store: ScheduleStore;
  readonly #listing: ScheduleListing;
  /** The rounds, one after the other. */
  #working: Promise<void> = Promise.resolve();
  /** O5: what makes or removes the schedule, one after the other. */
  #changing: Promise<unknown> = Promise.resolve();
  /** What the alarm is known to be set to; undefined: not known. */
  #armed: number | null | undefined;
  #read: { readonly of: string; readonly ticks: Ticks | null } | null = null;

  protected constructor(ctx: DurableObjectState, env: Env, ports: SchedulePorts) {
    super(ctx, env);
    if (CRASH_POINTS) armCrashPoint(env.CRASH_AT);
    const [, tenant] = (ctx.id.name ?? "").split(":");
    this.#ports = { ...ports, log: ports.log.with({ tenant }) };
    this.#store = new ScheduleStore(ctx.storage);
    this.#listing = new ScheduleListing(this.#ports);
  }

  async put(tenant: string, wish: ScheduleWish): Promise<PutAnswer> {
    const name = this.#nameFor(tenant);
    if (name === null) return NOT_FOUND;
    const read = readWish(wish, this.#ports.now());
    if (!read.ok) return { ok: false, code: "invalid", refusal: read.error };
    return this.#change(async () => {
      // What is due is decided by the rules that there were.
      await this.#work();
      // O5.
      const refusal = await this.#listing.enter(tenant, name, wish, this.#store.kept());
      return refusal === null ? this.#put(tenant, name, wish) : { ok: false, code: refusal };
    });
  }

  async view(tenant: string): Promise<ScheduleAnswer<ScheduleView>> {
    return this.#answer(tenant);
  }

  async log(tenant: string, limit: number): Promise<ScheduleAnswer<readonly LoggedTick[]>> {
    return this.#of(tenant) === null ? NOT_FOUND : { ok: true, value: this.#store.log(limit) };
  }

  async pause(tenant: string, by: string, reason: string | null): Promise<ScheduleAnswer<ScheduleView>> {
    const kept = this.#of(tenant);
    if (kept === null) return NOT_FOUND;
    this.#write(kept, pause(kept.state, this.#ports.now(), by, reason), []);
    this.#arm();
    await this.#tellList();
    return this.#answer(tenant);
  }

  async resume(tenant: string): Promise<ScheduleAnswer<ScheduleView>> {
    const asked = this.#of(tenant);
    if (asked === null) return NOT_FOUND;
    const target = this.#store.target(asked.state.revision);
    if (target === null || !(await this.#ports.makerStands(tenant, target.maker)))
      return {
        ok: false,
        code: "maker_revoked",
        message: "The key that made the schedule may not act any more.",
      };
    // Read anew: others may have written while the maker was asked for.
    const kept = this.#of(tenant);
    if (kept === null) return NOT_FOUND;
    const { state, records } = resume(kept.state, this.#ticksOf(kept.state), this.#ports.now());
    this.#write(kept, state, records);
    this.#arm();
    await this.#tellList();
    return this.#answer(tenant);
  }

  async trigger(tenant: string, key: string, by?: Maker): Promise<ScheduleAnswer<Triggered>> {
    const kept = this.#of(tenant);
    if (kept === null) return NOT_FOUND;
    const start = handKey(key);
    if (this.#store.recordOf(start) === null) {
      const state = trigger(kept.state, start, this.#ports.now(), by);
      if (state === null) return { ok: false, code: "busy", message: "Too many starts are pending already." };
      this.#write(kept, state, []);
      this.#arm();
      await this.#work();
    }
    const record = this.#store.recordOf(start);
    if (record?.t === "started") return { ok: true, value: { kind: "started", run: record.run } };
    if (record?.t === "refused")
      return { ok: true, value: { kind: "refused", code: record.code, message: record.message } };
    const run = await runOf(this.#ports, { tenant, schedule: kept.state.id }, start);
    return { ok: true, value: { kind: "pending", run } };
  }

  async remove(tenant: string): Promise<boolean> {
    const name = this.#nameFor(tenant);
    if (name === null) return false;
    return this.#change(async () => {
      const kept = this.#of(tenant);
      if (kept !== null) this.#store.remove(Math.max(kept.state.cursor, this.#ports.now()));
      this.#arm();
      await this.#listing.leave(tenant, name);
      return kept !== null;
    });
  }

  async isFor(tenant: string, user: string): Promise<boolean> {
    return this.#nameFor(tenant) !== null && this.#store.isFor(user);
  }

  async poke(tenant: string): Promise<boolean> {
    const name = this.#nameFor(tenant);
    if (name === null) return false;
    return this.#change(async () => {
      if (this.#of(tenant) === null) {
        await this.#listing.leave(tenant, name);
        return false;
      }
      this.#armed = undefined;
      this.#listing.changed();
      await this.#work();
      return true;
    });
  }

  /** O3. */
  override async alarm(): Promise<void> {
    this.#armed = null;
    await this.#work();
  }

  async #work(): Promise<void> {
    this.#working = this.#working.then(async () => this.#round());
    return this.#working;
  }

  async #round(): Promise<void> {
    await this.#steps();
    await this.#tellList();
  }

  async #steps(): Promise<void> {
    try {
      for (let steps = 0; steps < MAX_STEPS_PER_EVENT; steps += 1) if (!(await this.#step())) return;
      // O4.
      this.#set(this.#ports.now());
    } catch (error) {
      this.#ports.log.error("schedule.round_failed", { object: this.ctx.id.name, error });
      this.#set(this.#ports.now() + FAILED_AGAIN_MS);
    }
  }

  /** Whether there was anything to do. */
  async #step(): Promise<boolean> {
    const kept = this.#store.kept();
    if (kept === undefined) return false;
    const ticks = this.#ticksOf(kept.state);
    if (this.#read?.ticks === null) return this.#stop(kept);
    const { state, records, todo } = advance(kept.state, ticks, this.#ports.now());
    if (todo.length > 0 || records.length > 0) this.#write(kept, state, records);
    // O2.
    this.#arm();
    for (let at = 0; at < todo.length; at += CALLS_AT_A_TIME)
      await Promise.all(todo.slice(at, at + CALLS_AT_A_TIME).map(async (one) => this.#do(one, kept)));
    return todo.length > 0;
  }

  /** This build does not understand times that an earlier one took. Nothing is started before somebody writes them anew. */
  #stop(kept: KeptSchedule): false {
    if (kept.state.paused === null)
      this.#write(kept, pause(kept.state, this.#ports.now(), "system", "timing_unreadable"), []);
    this.#arm();
    return false;
  }

  async #do(todo: Todo, { tenant, state: { id: schedule } }: KeptSchedule): Promise<void> {
    const whose: Whose = { tenant, schedule, target: (revision) => this.#store.target(revision) };
    const told = await perform(todo, whose, this.#ports);
    const kept = this.#store.kept();
    if (kept === undefined) return;
    const { state, records } = apply(kept.state, told, this.#ports.now());
    this.#write(kept, state, records);
  }

  #put(tenant: string, name: string, wish: ScheduleWish): PutAnswer {
    // Read anew: a single time may be over by now.
    const read = readWish(wish, this.#ports.now());
    if (!read.ok) return { ok: false, code: "invalid", refusal: read.error };
    const kept = this.#store.kept();
    if (kept === undefined) this.#create(tenant, name, read.value);
    else this.#edit(kept, read.value);
    this.#arm();
    const now = this.#store.kept();
    return now === undefined ? NOT_FOUND : { ok: true, created: kept === undefined, view: this.#viewOf(now) };
  }

  async #change<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#changing.then(work);
    this.#changing = done.catch(() => {});
    return done;
  }

  async #tellList(): Promise<void> {
    await this.#listing.tell(() => {
      const kept = this.#store.kept();
      const target = kept === undefined ? null : this.#store.target(kept.state.revision);
      return kept === undefined || target === null ? null : { kept, ...target };
    });
  }

  #create(tenant: string, name: string, { rules, target }: ReadWish): void {
    const now = this.#ports.now();
    const state = newSchedule(name, rules, now, this.#store.goneUntil());
    this.#store.create({ tenant, createdAt: now, updatedAt: now, logged: 0, state }, target);
  }

  #edit(kept: KeptSchedule, { rules, target }: ReadWish): void {
    const now = this.#ports.now();
    const timesChange = canonicalJson(rules.timing) !== canonicalJson(kept.state.rules.timing);
    const { state, records } = edit(kept.state, this.#ticksOf(kept.state), { rules, timesChange, now });
    this.#store.write(kept, state, { records, at: now, target });
  }

  #write(kept: KeptSchedule, state: ScheduleState, records: readonly TickRecord[]): void {
    if (state.paused !== kept.state.paused) this.#listing.changed();
    this.#store.write(kept, state, { records, at: this.#ports.now() });
  }

  #arm(): void {
    const state = this.#store.kept()?.state;
    this.#set(state === undefined ? null : wakeAt(state, this.#ticksOf(state), this.#ports.now()));
  }

  #set(at: number | null): void {
    if (this.#armed === at) return;
    this.#armed = at;
    const { storage } = this.ctx;
    const done = at === null ? storage.deleteAlarm() : storage.setAlarm(at);
    done.catch((error: unknown) => {
      this.#ports.log.error("schedule.alarm_not_set", { object: this.ctx.id.name, error });
      this.ctx.abort("the alarm could not be set");
    });
  }

  /** Read as it was when the timing was set: a single time that is over by now was to come then. */
  #ticksOf({ rules: { timing }, setAt }: ScheduleState): Ticks {
    const of = canonicalJson({ timing, setAt });
    if (this.#read?.of !== of) {
      const read = readTiming(timing, setAt);
      if (!read.ok)
        this.#ports.log.error("schedule.timing_unreadable", { object: this.ctx.id.name, ...read.error });
      this.#read = { of, ticks: read.ok ? read.value : null };
    }
    return this.#read.ticks ?? { next: () => null };
  }

  #answer(tenant: string): ScheduleAnswer<ScheduleView> {
    const kept = this.#of(tenant);
    return kept === null ? NOT_FOUND : { ok: true, value: this.#viewOf(kept) };
  }

  #viewOf({ tenant, createdAt, updatedAt, state }: KeptSchedule): ScheduleView {
    const kept = this.#store.target(state.revision);
    if (kept === null) throw new Error("A schedule without its target.");
    const { id: name, rules, revision, paused, pending, cursor } = state;
    const after = Math.max(cursor, this.#ports.now());
    return {
      ...{ tenant, name, ...rules, target: kept.target, maker: kept.maker.actor, revision },
      ...{ createdAt, updatedAt, paused },
      next: nextTicks(this.#ticksOf(state), after, SHOWN_TICKS),
      pending: pending.map(({ key, tick, tries }) => ({ tick, byHand: isByHand(key), tries })),
    };
  }

  /** O1. */
  #of(tenant: string): KeptSchedule | null {
    const kept = this.#store.kept();
    return kept?.tenant === tenant ? kept : null;
  }

  /** The name of this schedule, if the tenant is the one that this object is for. */
  #nameFor(tenant: string): string | null {
    const whole = this.ctx.id.name ?? "";
    const name = whole.slice(whole.lastIndexOf(":") + 1);
    return whole === objectName("schedule", tenant, name) ? name : null;
  }
}
