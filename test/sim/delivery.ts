/**
 * The delivery of an object's alarm by the simulated platform: on time, late, twice, again after a death, or never.
 *
 * A delivery is over once what its handler wrote is on disk; a life that dies before that is called again, at most
 * ALARM_TRIES times. An alarm that is lost is healed by a sweeper from outside, who knows the run's lease.
 */

import type { Fault } from "./coverage.ts";
import { ALARM_LATE_MS, ALARM_RETRY_MS, ALARM_TRIES, LEASE_MS } from "./limits.ts";
import type { Random } from "./random.ts";
import type { Schedule } from "./schedule.ts";
import type { Alarm, Store } from "./store.ts";
import type { Swarm } from "./swarm.ts";

export interface DeliveryParts {
  readonly schedule: Schedule;
  readonly random: Random;
  readonly swarm: Swarm;
  readonly store: Store;
  readonly hit: (fault: Fault) => void;
  readonly trace: (line: () => string) => void;
  /** Calls the handler; false if the life died in it. */
  readonly handle: () => boolean;
  /** Somebody looks at the run. */
  readonly poke: () => void;
  /** Whether the alarm, coming now, ends the retention of a run that is over. */
  readonly expires: () => boolean;
}

export class Delivery {
  readonly #parts: DeliveryParts;
  /** The alarm that the platform knows of: the last one on disk. */
  #known: Alarm | null = null;
  /** A delivery that is not over; `burst` is Infinity until its handler has run. */
  #current: { readonly tries: number; readonly burst: number } | null = null;
  /** The alarm is lost, and nothing has replaced it yet. */
  #strayed = false;
  /** The object has deleted itself. */
  expired = false;

  constructor(parts: DeliveryParts) {
    this.#parts = parts;
  }

  /** The alarm needs nobody's care: it is being delivered, known to be lost, or of no use any more. */
  get busy(): boolean {
    return this.#current !== null || this.#strayed || this.expired;
  }

  get delivering(): boolean {
    return this.#current !== null;
  }

  /** Bursts up to this one are on disk. */
  flushed(burst: number): void {
    if (this.#current !== null && this.#current.burst <= burst) this.#current = null;
    this.#look();
  }

  /** The life ended. A handler that set another alarm before has replaced the delivery. */
  died(): void {
    this.#look();
    if (this.#current === null) return;
    const { tries } = this.#current;
    this.#current = null;
    if (this.#parts.store.durableAlarm !== null) return;
    if (tries >= ALARM_TRIES) {
      this.#parts.hit("alarm lost");
      return this.#stray();
    }
    const retry = { tries, burst: Infinity };
    this.#current = retry;
    this.#parts.schedule.after(ALARM_RETRY_MS * 2 ** (tries - 1), () => {
      if (this.#current !== retry) return;
      this.#parts.hit("alarm retried by the platform");
      this.#deliver(tries + 1);
    });
  }

  /** Another alarm on disk replaces whatever the platform was about to do with the last one. */
  #look(): void {
    const { random, schedule, store, swarm } = this.#parts;
    const alarm = store.durableAlarm;
    if (alarm === null || alarm.id === this.#known?.id || this.expired) return;
    this.#known = alarm;
    this.#strayed = false;
    if (this.#current?.burst === Infinity) this.#current = null;
    if (random.chance(swarm.alarmsLost)) return this.#lose(alarm);
    const lateMs = random.chance(swarm.alarmsLate) ? random.int(1, ALARM_LATE_MS) : 0;
    // Somebody looks while the alarm should have come.
    if (lateMs > 0)
      schedule.at(alarm.at + random.int(0, lateMs), () => {
        if (this.#stands(alarm)) this.#parts.poke();
      });
    schedule.at(alarm.at + lateMs, () => {
      if (!this.#stands(alarm)) return;
      if (lateMs > 0) this.#parts.hit("alarm late");
      store.useAlarm(alarm.id);
      this.#deliver(1);
    });
  }

  #stands(alarm: Alarm): boolean {
    return this.#parts.store.durableAlarm?.id === alarm.id;
  }

  /** The alarm never fires: either it is gone, or it stands there as if it would still come. */
  #lose(alarm: Alarm): void {
    const { random, schedule, store, hit, trace } = this.#parts;
    const stuck = random.chance(0.5);
    schedule.at(alarm.at, () => {
      if (!this.#stands(alarm)) return;
      hit(stuck ? "alarm stuck in the past" : "alarm lost");
      trace(() => "the alarm is lost");
      if (!stuck) store.useAlarm(alarm.id);
      this.#stray();
    });
  }

  /** The sweeper comes, and comes again if the life that it began died before another alarm was on disk. */
  #stray(): void {
    const { random, schedule, hit, poke } = this.#parts;
    this.#strayed = true;
    schedule.after(random.scale(60_000, LEASE_MS), () => {
      if (!this.#strayed || this.expired) return;
      hit("poked by the sweeper");
      poke();
      this.#stray();
    });
  }

  #deliver(tries: number): void {
    const { random, schedule, store, swarm, hit, trace, handle, expires } = this.#parts;
    trace(() => `alarm, try ${tries}`);
    this.#strayed = false;
    if (expires()) {
      this.expired = true;
      this.#current = null;
      store.useAlarm(store.durableAlarm?.id ?? 0);
      return;
    }
    this.#current = { tries, burst: Infinity };
    // A death in the handler has set up the next delivery already.
    if (!handle()) return;
    this.#current = store.flushed ? null : { tries, burst: store.burst };
    if (!random.chance(0.01 + 0.2 * swarm.alarmsLate)) return;
    hit("alarm twice");
    schedule.after(random.scale(1, 10_000), () => {
      if (!this.expired) handle();
    });
  }
}
