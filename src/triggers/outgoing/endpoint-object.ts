/**
 * The endpoint object: one SQLite Durable Object per endpoint, `endpoint:<tenant>:<id>`. Owns what can be asked of it and its alarm;
 * what it does is the queue's.
 *
 * - E1 a call says whose and which; a mismatch is answered as if nothing were here. An object that was only asked writes nothing.
 */
import { DurableObject } from "cloudflare:workers";
import { armCrashPoint, objectName } from "../../platform/index.ts";
import type { EndpointPorts } from "./endpoint-ports.ts";
import type {
  EndpointRpc,
  EraseMessages,
  Pinged,
  EndpointQueueView,
  ReplayAnswer,
  Which,
} from "./endpoint-rpc.ts";
import type { EndpointMessage } from "./events.ts";
import { EndpointQueue } from "./queue.ts";
import { type Logged, QueueStore } from "./queue-store.ts";

const NOTHING: EndpointQueueView = { pending: 0, failed: 0, failingSince: null, nextAt: null };

export abstract class WiredEndpointObject extends DurableObject<Env> implements EndpointRpc {
  readonly #queue: EndpointQueue;
  readonly #ports: EndpointPorts;

  protected constructor(ctx: DurableObjectState, env: Env, ports: EndpointPorts) {
    super(ctx, env);
    if (CRASH_POINTS) armCrashPoint(env.CRASH_AT);
    const [, tenant] = (ctx.id.name ?? "").split(":");
    this.#ports = { ...ports, log: ports.log.with({ tenant }) };
    this.#queue = new EndpointQueue(new QueueStore(ctx.storage), this.#ports, {
      arm: (at) => {
        this.#arm(at);
      },
      background: (work) => {
        ctx.waitUntil(work);
      },
    });
  }

  async enqueue(which: Which, message: EndpointMessage): Promise<void> {
    if (this.#is(which)) await this.#queue.take(which, message);
  }

  async view(which: Which): Promise<EndpointQueueView> {
    return this.#is(which) ? this.#queue.view() : NOTHING;
  }

  async log(which: Which, limit: number): Promise<readonly Logged[]> {
    return this.#is(which) ? this.#queue.log(limit) : [];
  }

  async replay(which: Which, message: string): Promise<ReplayAnswer> {
    return this.#is(which) ? this.#queue.replay(which, message) : { ok: false, code: "not_found" };
  }

  async replayFailed(which: Which, since: number): Promise<ReplayAnswer> {
    return this.#is(which) ? this.#queue.replayFailed(which, since) : { ok: false, code: "not_found" };
  }

  async ping(which: Which): Promise<Pinged | null> {
    return this.#is(which) ? this.#queue.ping(which) : null;
  }

  async closing(which: Which): Promise<void> {
    if (this.#is(which)) this.#queue.closing();
  }

  async erase(which: Which, whose: EraseMessages): Promise<void> {
    if (this.#is(which)) this.#queue.erase(whose);
  }

  async changed(which: Which): Promise<void> {
    if (this.#is(which)) this.#queue.changed();
  }

  override async alarm(): Promise<void> {
    await this.#queue.alarm();
  }

  /** E1. */
  #is({ tenant, endpoint }: Which): boolean {
    return this.ctx.id.name === objectName("endpoint", tenant, endpoint);
  }

  #arm(at: number | null): void {
    const { storage } = this.ctx;
    const done = at === null ? storage.deleteAlarm() : storage.setAlarm(at);
    done.catch((error: unknown) => {
      this.#ports.log.error("endpoint.alarm_not_set", { object: this.ctx.id.name, error });
      this.ctx.abort("the alarm could not be set");
    });
  }
}
