/**
 * A virtual world around the queue of an endpoint: a clock, an object that dies whenever chance wants, an alarm, an outbox that tells
 * of events until they are taken, a receiver that is up or down, and a table of endpoints. All that survives a death is what was
 * stored.
 */
import { DatabaseSync } from "node:sqlite";
import { createLogger } from "../../src/platform/index.ts";
import type { DisabledReason, Endpoint } from "../../src/triggers/outgoing/endpoint.ts";
import type { EndpointPorts, Posted } from "../../src/triggers/outgoing/endpoint-ports.ts";
import type { Which } from "../../src/triggers/outgoing/endpoint-rpc.ts";
import { messageOf } from "../../src/triggers/outgoing/events.ts";
import { EndpointQueue } from "../../src/triggers/outgoing/queue.ts";
import { QueueStore } from "../../src/triggers/outgoing/queue-store.ts";
import { newStandardKey } from "../../src/triggers/schemes/standard-keys.ts";
import type { Random } from "../sim/random.ts";
import { arrivalOf, verdict } from "./deliveries.ts";
import { nodeStorage } from "./node-storage.ts";

export const SECOND_MS = 1_000;
export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;
const OUTBOX_RETRY_MS = 30 * SECOND_MS;
const BEGINNING = Date.UTC(2200, 0, 1);
const WHICH: Which = { tenant: "acme", endpoint: "ep_1" };

export interface Chances {
  /** That the object dies, at each point where it can. */
  readonly kill: number;
  /** That an answer is lost; half of the time the receiver had it. */
  readonly lost: number;
  /** That the database does not answer. */
  readonly away: number;
}

export const CALM: Chances = { kill: 0, lost: 0, away: 0 };

/** What the receiver answers now. */
export type Receiver = (
  id: string,
  now: number,
) => { readonly status: number; readonly retryAfterMs?: number };

/** One life of the object. */
class Life {
  dead = false;
  die = (): void => {};
  readonly died = new Promise<void>((resolve) => {
    this.die = () => {
      this.dead = true;
      resolve();
    };
  });

  live(): void {
    if (this.dead) throw new Error("A life that is over writes.");
  }
}

export class EndpointWorld {
  now = BEGINNING;
  alarm: number | null = null;
  kills = 0;
  posts = 0;
  alarms = 0;
  /** Null: it was deleted. */
  endpoint: Endpoint | null;
  stands = true;
  /** Whether the vault opens its keys. */
  opens = true;
  receiver: Receiver = () => ({ status: 204 });
  /** What the receiver took, by id: how often, and the body. */
  readonly took = new Map<string, { times: number; body: string }>();
  readonly told: { readonly at: number; readonly id: string }[] = [];
  readonly lines: string[] = [];
  /** In the place of a try. */
  instead: (() => Posted | null) | null = null;
  readonly #db = new DatabaseSync(":memory:");
  readonly #random: Random;
  readonly #secret = newStandardKey("hmac");
  #chances: Chances;
  #life = new Life();
  #queue!: EndpointQueue;
  #store!: QueueStore;
  #background: Promise<void>[] = [];
  #todo: { readonly at: number; readonly run: () => Promise<void> }[] = [];

  constructor(random: Random, chances: Chances = CALM) {
    this.#random = random;
    this.#chances = chances;
    this.endpoint = {
      ...{ tenant: "acme", id: "ep_1", url: "https://backend.example/hook", types: ["run.ended"] },
      ...{ description: "", maker: { actor: "key:key_1", policies: [] }, disabled: null },
      ...{ since: BEGINNING, version: 1, createdAt: BEGINNING, createdBy: "key:key_1", updatedAt: BEGINNING },
    };
    this.#begin();
  }

  get queue(): EndpointQueue {
    return this.#queue;
  }

  get store(): QueueStore {
    return this.#store;
  }

  calm(): void {
    this.#chances = CALM;
  }

  /** A run ends then: its outbox tells of it until that is taken. */
  event(n: number, at: number): void {
    const event = { type: "run.ended", at, data: { run: `run_${n}` } } as const;
    const message = messageOf(`run_${n}`, n, event);
    const tell = async (): Promise<void> => {
      const life = this.#life;
      let taken = false;
      const telling = this.#queue.take(WHICH, message).then(
        () => {
          taken = !life.dead;
        },
        () => {},
      );
      await Promise.race([telling, life.died]);
      // The object may have it, and the outbox not know.
      if (taken && !(await this.#dies(life))) this.told.push({ at: this.now, id: message.id });
      else this.at(this.now + OUTBOX_RETRY_MS, tell);
    };
    this.at(at, tell);
  }

  at(at: number, run: () => Promise<void>): void {
    this.#todo.push({ at, run });
    this.#todo.sort((a, b) => a.at - b.at);
  }

  change(change: Partial<Endpoint>): void {
    if (this.endpoint !== null)
      this.endpoint = { ...this.endpoint, ...change, version: this.endpoint.version + 1 };
    this.queue.changed();
  }

  /** Asks something of the object, in this life. */
  async ask<T>(work: (queue: EndpointQueue) => Promise<T>): Promise<T> {
    const answer = await work(this.queue);
    await this.#settle();
    return answer;
  }

  /** Lets everything happen until then. */
  async run(until: number): Promise<void> {
    for (;;) {
      await this.#settle();
      this.#look();
      const event = this.#todo[0]?.at ?? Infinity;
      const next = Math.min(event, this.alarm ?? Infinity);
      if (next > until) break;
      this.now = Math.max(this.now, next);
      if (event <= next) await this.#todo.shift()?.run();
      else await this.#fire();
    }
    this.now = Math.max(this.now, until);
  }

  /** Q2: what waits is looked after, whatever died. */
  #look(): void {
    if (this.endpoint === null || this.#store.pending() === 0) return;
    if (this.alarm === null) throw new Error("Something waits, and no alarm stands.");
  }

  /** The platform would try an alarm again whose handler died, six times: here it does not, and nothing may depend on it. */
  async #fire(): Promise<void> {
    this.alarms += 1;
    this.alarm = null;
    const life = this.#life;
    await Promise.race([this.#queue.alarm(), life.died]);
  }

  /** What goes on behind answers comes to its end. */
  async #settle(): Promise<void> {
    while (this.#background.length > 0) {
      const life = this.#life;
      const work = this.#background.shift();
      await Promise.race([work, life.died]);
    }
  }

  #begin(): void {
    const life = new Life();
    this.#life = life;
    this.#background = [];
    this.#store = new QueueStore(
      nodeStorage(this.#db, () => {
        life.live();
      }),
    );
    this.#queue = new EndpointQueue(this.#store, this.#ports(life), {
      arm: (at) => {
        life.live();
        this.alarm = at;
      },
      background: (work) => {
        this.#background.push(work);
      },
    });
  }

  /** Whether the object died just now; a new life begins then. */
  async #dies(life: Life): Promise<boolean> {
    // As another event would, something else comes in between.
    await Promise.resolve();
    if (life.dead || !this.#random.chance(this.#chances.kill)) return life.dead;
    this.kills += 1;
    life.die();
    this.#begin();
    return true;
  }

  async #point(life: Life): Promise<void> {
    // Who died waits for ever.
    if (await this.#dies(life)) await new Promise(() => {});
  }

  #ports(life: Life): EndpointPorts {
    const away = (): void => {
      if (this.#random.chance(this.#chances.away)) throw new Error("The database is away.");
    };
    return {
      now: () => this.now,
      random: () => this.#random.next(),
      log: createLogger("debug", (_, line) => this.lines.push(line)),
      load: async () => {
        await this.#point(life);
        away();
        const { endpoint, stands } = this;
        if (endpoint === null) return null;
        const key = { id: "epk_1", kind: "hmac", publicKey: null, madeAt: 0, until: null } as const;
        return {
          endpoint,
          stands,
          keys: [key],
          texts: this.opens ? new Map([["epk_1", this.#secret]]) : null,
        };
      },
      post: async (_endpoint, headers, body) => {
        await this.#point(life);
        const instead = this.instead?.() ?? null;
        if (instead !== null) return instead;
        this.posts += 1;
        const text = new TextDecoder().decode(body);
        const lost = this.#random.chance(this.#chances.lost);
        const there = !lost || this.#random.chance(0.5);
        const answer = there ? await this.#receive(headers, text) : null;
        this.now += this.#random.int(0, lost ? 2_500 : 50);
        await this.#point(life);
        if (lost || answer === null)
          return { kind: "tried", status: null, retryAfterMs: null, code: "network" };
        return { kind: "tried", retryAfterMs: null, code: null, ...answer };
      },
      disable: async ({ version }, reason: DisabledReason, at) => {
        await this.#point(life);
        away();
        if (this.endpoint !== null && this.endpoint.version === version && this.endpoint.disabled === null)
          this.endpoint = { ...this.endpoint, disabled: { reason, at }, version: version + 1 };
        await this.#point(life);
      },
    };
  }

  async #receive(
    headers: Readonly<Record<string, string>>,
    body: string,
  ): Promise<{ status: number; retryAfterMs?: number }> {
    const proved = await verdict({ scheme: "standard" }, arrivalOf(headers, body), [this.#secret], this.now);
    if (proved !== "ok") throw new Error(`A message does not verify: ${proved}`);
    const id = headers["webhook-id"] ?? "";
    const answer = this.receiver(id, this.now);
    if (answer.status >= 200 && answer.status < 300) {
      const before = this.took.get(id);
      if (before !== undefined && before.body !== body) throw new Error("One id has two bodies.");
      this.took.set(id, { times: (before?.times ?? 0) + 1, body });
    }
    return answer;
  }
}
