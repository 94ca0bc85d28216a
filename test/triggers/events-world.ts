/**
 * The surroundings of events in tests: a disk (SQLite, as objects have it), a clock, runs that wait and workflows that subscribe, and
 * deaths. What a life that died still wanted to do is not done.
 */
import { DatabaseSync } from "node:sqlite";
import { createValueExpressions } from "../../src/define/index.ts";
import type { Json } from "../../src/kernel/index.ts";
import { createLogger, type SqlStore } from "../../src/platform/index.ts";
import { digestOf } from "../../src/triggers/events/event-rules.ts";
import { EventsDesk } from "../../src/triggers/events/events-desk.ts";
import type {
  EventsPorts,
  Heard,
  NewWaiting,
  Posted,
  Subscriber,
} from "../../src/triggers/events/events-port.ts";
import { EventsStore } from "../../src/triggers/events/events-store.ts";
import type { TriggeredStart } from "../../src/triggers/start-port.ts";

/** What becomes of a call. `dies`: the life ends, before the call is made or after it. */
export type Fate = "ok" | "lost before" | "lost after" | "dies before" | "dies after";

/** The life that a promise belonged to is over: it is never settled. */
const NEVER = new Promise<never>(() => {});

/** A disk like an object's: SQLite itself, with transactions that nest. */
export function newDisk(): SqlStore {
  const db = new DatabaseSync(":memory:");
  const entries = new Map<string, unknown>();
  let depth = 0;
  const disk = {
    sql: {
      exec(sql: string, ...bindings: (string | number | null)[]) {
        if (bindings.length === 0 && /^\s*CREATE/.test(sql)) {
          db.exec(sql);
          return { toArray: () => [] };
        }
        const rows = db.prepare(sql).all(...bindings);
        return { toArray: () => rows };
      },
    },
    kv: {
      get: (key: string) => structuredClone(entries.get(key)),
      put: (key: string, value: unknown) => void entries.set(key, structuredClone(value)),
    },
    transactionSync<T>(work: () => T): T {
      depth += 1;
      if (depth === 1) db.exec("BEGIN");
      try {
        const done = work();
        if (depth === 1) db.exec("COMMIT");
        return done;
      } catch (error) {
        if (depth === 1) db.exec("ROLLBACK");
        throw error;
      } finally {
        depth -= 1;
      }
    },
  };
  // Of the platform's storage only these parts are used.
  return disk as unknown as SqlStore;
}

/** A wait of a run, as the run knows it. */
export interface Wait extends NewWaiting {
  /** Keys of the events that it took. One wait takes one. */
  readonly took: string[];
}

export class EventsWorld {
  now = 1_000_000;
  readonly disk = newDisk();
  readonly name: string;
  subscribers: Subscriber[] = [];
  /** By id, how often a start of it was made. */
  readonly runs = new Map<string, { readonly start: TriggeredStart; made: number }>();
  readonly waits = new Map<string, Wait>();
  readonly revoked = new Set<string>();
  /** What becomes of the next calls; then all is well. */
  nextFate: () => Fate = () => "ok";
  /** What a run says to an event that it was told. */
  judge: (wait: Wait, data: Json) => Heard | null = () => null;
  alarmAt: number | null = null;
  desk: EventsDesk;
  #life = 0;
  /** Of this life; resolves at its death. */
  #died: Promise<void> = NEVER;
  #die: () => void = () => {};

  constructor(name = "payment.received") {
    this.name = name;
    this.desk = this.#begin();
  }

  /** The next life: memory is lost, disk and alarm stay. */
  restart(): void {
    this.#die();
    this.desk = this.#begin();
  }

  #begin(): EventsDesk {
    this.#life += 1;
    this.#died = new Promise((resolve) => {
      this.#die = resolve;
    });
    const store = new EventsStore(this.disk, this.name);
    const life = this.#life;
    const desk = new EventsDesk({ tenant: "acme", name: this.name }, store, this.#ports(life), {
      set: (at) => {
        if (life === this.#life) this.alarmAt = at === null ? null : Math.max(at, this.now + 1);
      },
      ensure: (by) => {
        if (life === this.#life) this.alarmAt = Math.min(this.alarmAt ?? by, by);
      },
    });
    return desk;
  }

  /** Works until it rests, or dies. */
  async work(): Promise<void> {
    await Promise.race([this.desk.work(), this.#died]);
  }

  /** Lets time go on to the next alarm, as often as it is set, for so long at most. */
  async settle(forMs: number): Promise<void> {
    const until = this.now + forMs;
    for (let alarms = 0; alarms < 2_000; alarms += 1) {
      if (this.alarmAt === null || this.alarmAt > until) break;
      this.now = Math.max(this.now, this.alarmAt);
      this.alarmAt = null;
      await this.work();
    }
    this.now = until;
  }

  posted(id: string, data: Json, more: Partial<Posted> = {}): Posted {
    const maker = { actor: "key:key_1", policies: [] };
    return { id, data, user: null, tags: [], only: null, maker, traceparent: null, ...more };
  }

  /** A step of a run begins to wait. It is told by `listen`. */
  wait(
    run: string,
    step: string,
    where: Readonly<Record<string, Json>> = {},
    user: string | null = null,
  ): Wait {
    const fields = Object.keys(where).toSorted();
    const digest = digestOf(fields.map((field) => where[field] ?? null));
    const wait = {
      run,
      step,
      since: this.now,
      until: this.now + 7 * 86_400_000,
      user,
      fields,
      digest,
      took: [],
    };
    this.waits.set(`${run} ${step}`, wait);
    return wait;
  }

  #ports(life: number): EventsPorts {
    const fated = async <T>(call: () => T): Promise<T> => {
      // As a call takes its time, so that others come between.
      await Promise.resolve();
      if (life !== this.#life) return NEVER;
      const fate = this.nextFate();
      if (fate === "lost before") throw new Error("lost before");
      if (fate === "dies before") {
        this.restart();
        return NEVER;
      }
      const answer = call();
      if (fate === "lost after") throw new Error("lost after");
      if (fate === "dies after") {
        this.restart();
        return NEVER;
      }
      return answer;
    };
    const expressions = createValueExpressions("event");
    return {
      subscribers: async () => fated(() => this.subscribers),
      start: async (start) =>
        fated(() => {
          const before = this.runs.get(start.id);
          if (before !== undefined) {
            if (before.start.bodyDigest !== start.bodyDigest)
              return { kind: "refused", code: "idempotency_mismatch", message: "another body" } as const;
            return { kind: "started", created: false, run: start.id } as const;
          }
          if (start.target.workflow.startsWith("bad"))
            return { kind: "refused", code: "invalid_input", message: "it does not fit" } as const;
          this.runs.set(start.id, { start, made: 1 });
          return { kind: "started", created: true, run: start.id } as const;
        }),
      makerStands: async (_, maker) => fated(() => !this.revoked.has(maker.actor)),
      wasStarted: async (_, run) => fated(() => this.runs.has(run)),
      runIdOf: async ({ id, idempotencyKey }) => `run_${id}_${idempotencyKey}`,
      hear: async (_, { run, step, since }, { key, data, only }) =>
        fated((): Heard => {
          const wait = this.waits.get(`${run} ${step}`);
          if (wait === undefined || wait.since !== since) return { kind: "over" };
          if (wait.took.includes(key)) return { kind: "resumed" };
          if (wait.took.length > 0) return { kind: "over" };
          if (only !== null && only !== wait.user) return { kind: "over" };
          const judged = this.judge(wait, data);
          if (judged !== null) return judged;
          wait.took.push(key);
          return { kind: "resumed" };
        }),
      expressions: {
        condition: (text, event) => expressions.condition(text, event),
        filled: (template, event) => expressions.filled(template, event),
      },
      log: createLogger("error", () => {}),
      now: () => this.now,
    };
  }
}
