/**
 * One life of the object: the production driver over simulated ports. Every call that writes or starts something is a
 * point at which the life can be taken.
 *
 * L1 a life that was taken reaches nothing any more: every port of it throws.
 * L2 a life that was replaced goes on for a while, and can send, but not read or write: the platform fences its storage.
 */

import type { Call, DriverLimits, Performed, Ports, Row, RunDriver } from "../../src/driver/index.ts";
import { stepOf, unitName, unitOf, type RunState, type Unit, type UnitRef } from "../../src/kernel/index.ts";
import { Queueing } from "../../src/run/queueing.ts";
import type { Asking } from "./credentials.ts";
import type { Entry, Fault, Point, Read } from "./coverage.ts";
import { evaluatePort } from "./evaluate.ts";
import type { Host } from "./host.ts";
import { RETENTION_MS } from "./limits.ts";
import type { Request } from "./outside.ts";
import type { Random } from "./random.ts";
import type { Event, Schedule } from "./schedule.ts";

/** The life ends here. Whatever the driver does with it, it does to nobody. */
export class Taken extends Error {}
/** A port refused, as it may: the driver must give this life up. */
export class Injected extends Error {}

/** What is not taken is told again: nobody reads of it. */
const SILENT: ConstructorParameters<typeof Queueing>[2] = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  with: () => SILENT,
};

export type DriverClass = new (ports: Ports, limits: DriverLimits) => RunDriver;

export interface Draws {
  readonly version: string;
  readonly skewMs: number;
  readonly limits: DriverLimits;
}

export class Life {
  readonly driver: RunDriver;
  readonly #queueing: Queueing;
  readonly version: string;
  readonly #host: Host;
  readonly #schedule: Schedule;
  readonly #random: Random;
  readonly #draws: Draws;
  #entry: Entry = "birth";
  #performing: Request | Asking | null = null;
  state: "alive" | "replaced" | "dead" = "alive";
  /** It waits for an answer of the queue. */
  tellsQueue = false;
  /** Writes that it made never got to the disk: its output gate stays shut. */
  shut = false;
  /** Rows and alarms that had been written when its last event began. */
  writtenBefore = 0;
  /** Attempts that it has performed, and calls since its last fresh event. */
  readonly performed = new Set<string>();
  #calls = 0;
  readonly #timers = new Set<Event>();

  constructor(host: Host, schedule: Schedule, random: Random, driver: DriverClass, draws: Draws) {
    this.#host = host;
    this.#schedule = schedule;
    this.#random = random;
    this.version = draws.version;
    this.#draws = draws;
    this.#queueing = new Queueing(host.queue.portOf(this), this.#patience(), SILENT);
    this.driver = new driver(this.#ports(), draws.limits);
  }

  /** As the run's object does when a life begins: that an end was told can be seen by its alarm. */
  loadQueueing(): void {
    const { state } = this.driver;
    if (state === null) return;
    const armedAt = this.#host.store.alarm?.at ?? null;
    const until = state.endedAt === null ? Infinity : state.endedAt + RETENTION_MS;
    this.#queueing.load(state, Math.max(armedAt ?? 0, this.now()) >= until, armedAt);
  }

  /** Tells the queue what is due, beside the run. */
  tellQueue(): void {
    if (!this.#queueing.isDue) return;
    const told = this.#queueing.deliver((admission) => {
      this.driver.command(admission);
    });
    this.tellsQueue = true;
    told
      .then(() => {
        this.tellsQueue = false;
        this.driver.arm();
      })
      // Of a life that is over nobody waits for this.
      .catch(() => {});
  }

  askQueueAgain(): void {
    this.#queueing.again();
    this.tellQueue();
  }

  /** The time that is waited for an answer of the queue. */
  #patience(): ConstructorParameters<typeof Queueing>[1] {
    return {
      now: () => this.now(),
      after: (ms, wake) => {
        const event = this.#schedule.after(ms, () => this.#host.answeredByQueue(this, wake));
        return () => {
          event.cancelled = true;
        };
      },
    };
  }

  now(): number {
    return this.#schedule.now + this.#draws.skewMs;
  }

  get hasTimer(): boolean {
    return this.#timers.size > 0;
  }

  /** Attempts whose credentials are being asked for. */
  asking(): string[] {
    return this.#host.credentials.pending(this).map(({ name }) => name);
  }

  unit(ref: UnitRef): Unit | null {
    return this.driver.state === null ? null : unitOf(this.driver.state, ref);
  }

  enter(entry: Entry, written: number): void {
    this.#entry = entry;
    // An answer and a timer come within the event that waits for them.
    if (entry !== "answer" && entry !== "timer") this.#calls = 0;
    this.writtenBefore = written;
  }

  get entry(): Entry {
    return this.#entry;
  }

  #point(point: Point): void {
    this.#site(`${this.#entry}: ${point}`);
  }

  #reads(what: Read): void {
    this.#site(`reading: ${what}`);
  }

  #site(site: string): void {
    if (this.state === "dead") throw new Taken("dead");
    if (this.state === "alive") this.#host.point(this, site);
  }

  /** No attempt is in the journal whose credential was not at hand. */
  #checkBegun({ facts }: Row, after: RunState): void {
    for (const fact of facts) {
      if (fact.t !== "started") continue;
      // One that ends in the turn in which it begins is not performed.
      const over = facts.some(
        (end) => end.t !== "started" && "attempt" in end && unitName(end) === unitName(fact),
      );
      if (over) continue;
      const def = stepOf(after, fact.step)?.def;
      const { credentials } = this.#host;
      if (def !== undefined)
        credentials.begun(this, fact, fact.attempt, credentials.needs({ def, unit: fact }));
    }
  }

  #countCall(): void {
    this.#host.expect(
      ++this.#calls <= this.#draws.limits.callsPerEvent,
      () => `${this.#calls} calls in one event of the platform`,
    );
  }

  /** Storage of a life that was replaced answers no more. */
  #fence(): void {
    if (this.state === "alive") return;
    if (this.state === "replaced") this.#host.hit("a dead life tried to write");
    throw new Taken("the object was replaced");
  }

  #refuses(fault: Fault, probability: number): void {
    if (!this.#random.chance(probability * this.#host.swarm.storage)) return;
    this.#host.hit(fault);
    throw new Injected(fault);
  }

  #ports(): Ports {
    const { store } = this.#host;
    return {
      version: this.version,
      random: () => this.#random.next(),
      evaluate: evaluatePort(() => this.version),
      clock: {
        now: () => this.now(),
        after: (ms, wake) => {
          this.#point("set timer");
          const event = this.#schedule.after(ms, async () => {
            this.#timers.delete(event);
            await this.#host.timer(this, wake);
          });
          this.#timers.add(event);
          this.#host.awaiting(this, "timer");
          return () => {
            this.#timers.delete(event);
            event.cancelled = true;
          };
        },
      },
      journal: {
        load: () => {
          this.#reads("load");
          const loaded = store.load();
          this.#host.expect(
            store.rowsToRead <= this.#draws.limits.snapshotRows,
            () => `a waking life reads ${store.rowsToRead} rows`,
          );
          this.#reads("loaded");
          return loaded;
        },
        append: (row, after, snapshot) => {
          this.#fence();
          this.#point(snapshot === null ? "append" : "append with snapshot");
          this.#refuses(
            snapshot === null ? "append refused" : "snapshot refused",
            snapshot === null ? 0.004 : 0.05,
          );
          this.#checkBegun(row, after);
          store.append(row, after, snapshot, this.version);
          this.#point(snapshot === null ? "appended" : "appended with snapshot");
        },
        value: (seq, slot) => {
          this.#fence();
          this.#reads("value");
          this.#refuses("read refused", 0.01);
          return store.value(seq, slot);
        },
      },
      alarm: {
        armedAt: () => store.alarm?.at ?? null,
        set: (at) => {
          this.#fence();
          this.#point("arm");
          this.#refuses("alarm refused", 0.004);
          store.setAlarm(at);
          this.#host.trace(() => `  alarm set, in ${at - this.now()} ms`);
          this.#point("armed");
        },
        others: (state) => {
          const kept = state.endedAt === null ? Infinity : state.endedAt + RETENTION_MS;
          const at = Math.min(kept, this.#queueing.alarmAt ?? Infinity);
          return at === Infinity ? null : at;
        },
      },
      acquire: (wanted) => {
        const asked = this.#host.credentials.acquire(this, wanted);
        if (asked === null) return null;
        this.#point("acquire");
        this.#countCall();
        this.#performing = asked.asking;
        return asked.promise;
      },
      perform: (call: Call): Promise<Performed> => {
        this.#point("perform");
        this.performed.add(attemptName(call.unit, call.attempt));
        this.#countCall();
        const { promise, request } = this.#host.outside.perform(this, call);
        this.#performing = request;
        return promise;
      },
      background: (work) => {
        if (this.#performing !== null) this.#performing.work = work;
        this.#point("performed");
      },
      giveUp: () => {
        this.#host.gaveUp(this);
      },
      turned: (state) => {
        this.#queueing.look(state);
        this.tellQueue();
        this.#point("turned");
      },
    };
  }
}

export function attemptName(ref: UnitRef, attempt: number): string {
  return `${unitName(ref)}#${attempt}`;
}
