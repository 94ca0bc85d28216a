/**
 * The queue object: one SQLite Durable Object per tenant and workflow, `flow:<tenant>:<workflow>`.
 *
 * Owns: the order of deciding, storing, arming and calling; the alarm. Does not own: who is admitted (flow-rules.ts), what is kept
 * (flow-store.ts), what being admitted means (the run).
 *
 * - O1 a call carries its tenant; a mismatch is answered as if nothing were here. An object that nobody waited in writes nothing.
 * - O2 a decision is stored, and the alarm armed, before anybody is told of it. Memory may hold nothing that the disk does not: a
 *      write that fails ends this life.
 * - O3 the alarm never throws, and stands whenever somebody has to be told or asked, or waits for a time.
 * - O4 one event calls a bounded number of runs, and the rest go on in the next; a run that does not answer holds up no other.
 */
import { DurableObject } from "cloudflare:workers";
import type { Json } from "../../kernel/index.ts";
import { inTime, objectName } from "../../platform/index.ts";
import type { FlowPorts, FlowRpc, QueueView } from "./flow-rpc.ts";
import { FlowQueue, type Standing, type Told } from "./flow-rules.ts";
import type { Errand, ErrandOutcome } from "./flow-state.ts";
import { FlowStore } from "./flow-store.ts";
import { readPlace } from "./place.ts";

/** As many as the platform lets an object make side by side. */
const CALLS_AT_A_TIME = 6;
const CALLS_PER_EVENT = 200;
/** A run that has not answered by then is called again later. */
const ANSWER_WITHIN_MS = 30_000;
const MAX_SHOWN = 1_000;
/** An alarm that has not fired so long after its time is not waited for any more: it may be lost. */
const LOST_MS = 60_000;

/** By these a run says that it waits no more and holds nothing. */
const OVER = new Set(["not_found", "run_deleted", "run_ended", "not_queued"]);

const NOBODY: QueueView = { queued: 0, quiet: 0, admitted: 0, settings: null, first: [] };

export abstract class WiredFlowObject extends DurableObject<Env> implements FlowRpc {
  readonly #ports: FlowPorts;
  readonly #store: FlowStore;
  readonly #tenant: string;
  readonly #workflow: string;
  #queue: FlowQueue | null = null;
  /** What the alarm is known to be set to. */
  #armed: number | null = null;
  #inFlight = 0;
  #callsLeft = CALLS_PER_EVENT;

  protected constructor(ctx: DurableObjectState, env: Env, ports: FlowPorts) {
    super(ctx, env);
    const [, tenant = "", workflow = ""] = (ctx.id.name ?? "").split(":");
    this.#tenant = tenant;
    this.#workflow = workflow;
    this.#ports = { ...ports, log: ports.log.with({ tenant }) };
    this.#store = new FlowStore(ctx.storage);
    // An alarm that stands costs nothing; to set it again without need is a row.
    if (this.#store.isMade())
      void ctx.blockConcurrencyWhile(async () => {
        this.#armed = await ctx.storage.getAlarm();
      });
  }

  async enqueue(tenant: string, ask: Parameters<FlowRpc["enqueue"]>[1]): Promise<Told> {
    if (!this.#isOf(tenant)) throw new Error("This queue is not the tenant's.");
    const place = readPlace(ask.place);
    if (place === null) throw new TypeError("This build cannot read the place of the run.");
    return this.#decide((queue, now) => queue.enqueue({ ...ask, place }, now));
  }

  async release(tenant: string, run: string, generation: number): Promise<void> {
    if (!this.#isOf(tenant)) return;
    this.#decide((queue, now) => {
      queue.release(run, generation, now);
    });
  }

  async standing(tenant: string, run: string): Promise<Standing | null> {
    if (!this.#isOf(tenant) || !this.#store.isMade()) return null;
    return this.#loaded().standing(run);
  }

  async view(tenant: string, first: number): Promise<QueueView> {
    if (!this.#isOf(tenant) || !this.#store.isMade()) return NOBODY;
    const queue = this.#loaded();
    const shown = Math.min(Math.max(0, Math.floor(first)), MAX_SHOWN);
    return { ...queue.counts(), settings: queue.settings, first: queue.firstOnes(shown) };
  }

  async erase(tenant: string, run: string, place: Json): Promise<void> {
    if (!this.#isOf(tenant) || !this.#store.isMade()) return;
    this.#decide((queue, now) => {
      queue.release(run, Number.MAX_SAFE_INTEGER, now);
    });
    this.#store.erase(run, readPlace(place)?.rate?.key ?? null);
    // Memory may hold nothing that the disk does not.
    this.#queue = null;
  }

  /** O3. */
  override async alarm(): Promise<void> {
    this.#armed = null;
    try {
      if (this.#store.isMade())
        this.#decide((queue, now) => {
          queue.wake(now);
        });
    } catch (error) {
      this.#ports.log.error("queue.alarm_failed", { object: this.ctx.id.name, error });
    }
  }

  /** O2. */
  #decide<T>(decide: (queue: FlowQueue, now: number) => T): T {
    this.#callsLeft = CALLS_PER_EVENT;
    return this.#go(decide);
  }

  #go<T>(decide: (queue: FlowQueue, now: number) => T): T {
    try {
      const queue = this.#loaded();
      const told = decide(queue, this.#ports.now());
      const errands = this.#errands(queue);
      const changes = queue.takeChanges();
      if (changes !== null) this.#store.write(changes);
      this.#arm(queue);
      for (const errand of errands) this.ctx.waitUntil(this.#run(errand));
      return told;
    } catch (error) {
      this.ctx.abort("the queue could not be stored");
      throw error;
    }
  }

  /** O4. */
  #errands(queue: FlowQueue): readonly Errand[] {
    const most = Math.min(CALLS_AT_A_TIME - this.#inFlight, this.#callsLeft);
    const errands = most > 0 ? queue.errands(this.#ports.now(), most) : [];
    this.#inFlight += errands.length;
    this.#callsLeft -= errands.length;
    return errands;
  }

  async #run(errand: Errand): Promise<void> {
    let outcome: ErrandOutcome = "failed";
    try {
      outcome = await inTime(async () => this.#ask(errand), ANSWER_WITHIN_MS);
    } catch (error) {
      this.#ports.log.warn("queue.run_not_told", { object: this.ctx.id.name, run: errand.run, error });
    }
    this.#inFlight -= 1;
    this.#go((queue, now) => {
      queue.settle(errand, outcome, now);
    });
  }

  async #ask(errand: Errand): Promise<ErrandOutcome> {
    const { run: id, generation } = errand;
    const run = this.#ports.runOf(this.#tenant, id);
    if (errand.t === "look") {
      const there = await run.poke(this.#tenant);
      if (there === null || there.endedAt !== null || there.generation > generation) return "gone";
      return there.status === "queued" ? "waits" : "done";
    }
    const said =
      errand.t === "admit"
        ? await run.admitted(this.#tenant, { generation })
        : await run.superseded(this.#tenant, { generation, by: errand.by });
    if (said.ok) return "done";
    return OVER.has(said.code) ? "gone" : "failed";
  }

  #loaded(): FlowQueue {
    return (this.#queue ??= new FlowQueue(this.#store.read(), this.#ports.now()));
  }

  #arm(queue: FlowQueue): void {
    const wake = queue.nextWake();
    const now = this.#ports.now();
    // One that stands earlier only looks too soon; one that nobody needs is not worth a row.
    const stands = this.#armed !== null && this.#armed <= (wake ?? 0) && this.#armed > now - LOST_MS;
    if (wake === null || stands) return;
    const at = Math.max(wake, now + 1);
    if (this.#armed === at) return;
    this.#armed = at;
    this.ctx.storage.setAlarm(at).catch((error: unknown) => {
      this.#ports.log.error("queue.alarm_not_set", { object: this.ctx.id.name, error });
      this.ctx.abort("the alarm could not be set");
    });
  }

  /** O1. */
  #isOf(tenant: string): boolean {
    return this.ctx.id.name === objectName("flow", tenant, this.#workflow);
  }
}
