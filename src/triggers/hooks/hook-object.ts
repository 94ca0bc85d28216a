/**
 * The hook object: one SQLite Durable Object per hook, `hook:<tenant>:<hook id>`; a hook that is made again is another object.
 *
 * Owns: the bucket of the hook's rate, and when old bodies go. Does not own: what becomes of a delivery (judging.ts), what is kept
 * of it (hook-log.ts). It opens nothing: bodies come sealed and leave sealed.
 *
 * - O1 a call carries its tenant; a mismatch is answered as if nothing were here.
 * - O2 nothing that counts depends on it: a run is found by its id. While it is away, hooks without a rate go on, and their log
 *      misses lines.
 */
import { DurableObject } from "cloudflare:workers";
import { armCrashPoint, type Logger, objectName } from "../../platform/index.ts";
import { type Rate, takeToken } from "../rate.ts";
import { BODY_KEPT_MS, HookLog } from "./hook-log.ts";
import type { HookRpc, LoggedDelivery, ToldDelivery } from "./hook-rpc.ts";

export interface HookWiring {
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export abstract class WiredHookObject extends DurableObject<Env> implements HookRpc {
  readonly #wiring: HookWiring;
  readonly #kept: HookLog;
  /** Whether the alarm is known to be set. */
  #armed = false;

  protected constructor(ctx: DurableObjectState, env: Env, wiring: HookWiring) {
    super(ctx, env);
    if (CRASH_POINTS) armCrashPoint(env.CRASH_AT);
    this.#wiring = wiring;
    this.#kept = new HookLog(ctx.storage);
  }

  async take(tenant: string, rate: Rate): Promise<number> {
    if (!this.#isOf(tenant)) return 0;
    const { bucket, waitMs } = takeToken(this.#kept.bucket(), rate, this.#wiring.now());
    this.#kept.putBucket(bucket);
    return waitMs;
  }

  async tell(tenant: string, told: ToldDelivery): Promise<void> {
    if (!this.#isOf(tenant) || this.#kept.isGone()) return;
    const isKept = this.#kept.add(told);
    if (!isKept || this.#armed) return;
    if ((await this.ctx.storage.getAlarm()) === null)
      await this.ctx.storage.setAlarm(told.entry.at + BODY_KEPT_MS);
    this.#armed = true;
  }

  async log(tenant: string, before: number | null, limit: number): Promise<readonly LoggedDelivery[]> {
    return this.#isOf(tenant) ? this.#kept.page(before, limit) : [];
  }

  async find(tenant: string, id: string): Promise<ReturnType<HookLog["find"]>> {
    return this.#isOf(tenant) ? this.#kept.find(id) : null;
  }

  async eraseRun(tenant: string, run: string): Promise<void> {
    if (this.#isOf(tenant)) this.#kept.eraseRun(run);
  }

  async forget(tenant: string): Promise<void> {
    if (!this.#isOf(tenant)) return;
    this.#kept.forget();
    await this.ctx.storage.deleteAlarm();
  }

  override async alarm(): Promise<void> {
    this.#armed = false;
    const oldest = this.#kept.dropBodies(this.#wiring.now() - BODY_KEPT_MS);
    if (oldest === null) return;
    await this.ctx.storage.setAlarm(Math.max(oldest + BODY_KEPT_MS, this.#wiring.now()) + 1);
    this.#armed = true;
  }

  /** O1. */
  #isOf(tenant: string): boolean {
    const whole = this.ctx.id.name ?? "";
    return whole === objectName("hook", tenant, whole.slice(whole.lastIndexOf(":") + 1));
  }
}
