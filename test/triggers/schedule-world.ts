/**
 * A virtual world around the state machine of a schedule: a clock, an object that dies whenever chance wants, an alarm, runs that
 * take their time, and a referee that counts runs. All that survives a death is what was stored.
 */
import { advance, apply, edit, pause, resume, trigger, wakeAt } from "../../src/triggers/schedule-rules.ts";
import type { ScheduleState, TickRecord, Todo, Told } from "../../src/triggers/schedule-state.ts";
import type { Ticks } from "../../src/triggers/schedule-timing.ts";
import type { Random } from "../sim/random.ts";

const SECOND_MS = 1_000;
/** The platform tries an alarm again whose handler died. */
const ALARM_RETRY_MS = 2 * SECOND_MS;
/** How long a call can be on its way that nobody waits for any more. */
const LONGEST_WAY_MS = 4 * 60 * SECOND_MS;

export interface Kept {
  readonly record: TickRecord;
  readonly at: number;
}

export interface WorldRun {
  readonly key: string;
  readonly begunAt: number;
  endsAt: number;
}

export interface Chances {
  /** That the object dies, at each point where it can. */
  readonly kill: number;
  /** That a call has no answer; half of the time it was done all the same. */
  readonly lost: number;
  /** That a start is refused, unless the run is there. */
  readonly refused: number;
  readonly longestRunMs: number;
}

class Killed extends Error {}

export class ScheduleWorld {
  now: number;
  state: ScheduleState;
  alarm: number | null;
  readonly records: Kept[] = [];
  /** By id; a start under a key that is there begins nothing. */
  readonly runs = new Map<string, WorldRun>();
  readonly pauses: { from: number; to: number | null }[] = [];
  kills = 0;
  /** Starts that nobody heard of any more, and that begin their run all the same, a while later. */
  #late: { readonly key: string; readonly at: number }[] = [];
  readonly #ticks: Ticks;
  readonly #random: Random;
  readonly #chances: Chances;

  constructor(state: ScheduleState, ticks: Ticks, random: Random, chances: Chances) {
    this.state = state;
    this.now = state.setAt;
    this.#ticks = ticks;
    this.#random = random;
    this.#chances = chances;
    this.alarm = wakeAt(state, ticks, this.now);
  }

  /** Something from outside, then what is due. */
  command(command: "pause" | "resume" | "trigger" | "edit"): void {
    const { state, now } = this;
    if (command === "pause" && state.paused === null) this.pauses.push({ from: now, to: null });
    if (command === "resume" && state.paused !== null) this.pauses.at(-1)!.to = now;
    const step =
      command === "resume"
        ? resume(state, this.#ticks, now)
        : command === "edit"
          ? edit(state, this.#ticks, { rules: state.rules, timesChange: true, now })
          : {
              state:
                command === "pause"
                  ? pause(state, now, "key:x", null)
                  : (trigger(state, `now:${now}`, now) ?? state),
              records: [],
            };
    this.#store(step.state, step.records);
    this.alarm = wakeAt(this.state, this.#ticks, now);
    this.#life();
  }

  /** The alarm fires, a while after its time. */
  fire(): void {
    this.alarm = null;
    this.#life();
  }

  #life(): void {
    let isStored = false;
    try {
      for (;;) {
        const { state, records, todo } = advance(this.state, this.#ticks, this.now);
        this.#mayDie();
        this.#store(state, records);
        this.alarm = wakeAt(this.state, this.#ticks, this.now);
        isStored = true;
        this.#mayDie();
        if (todo.length === 0) return;
        for (const one of todo) {
          this.now += this.#random.int(1, 200);
          const told = this.#perform(one);
          this.#mayDie();
          const step = apply(this.state, told, this.now);
          this.#store(step.state, step.records);
        }
      }
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
      this.kills += 1;
      if (!isStored) this.alarm = Math.min(this.alarm ?? Infinity, this.now + ALARM_RETRY_MS);
    }
  }

  #store(state: ScheduleState, records: readonly TickRecord[]): void {
    this.state = state;
    for (const record of records) this.records.push({ record, at: this.now });
  }

  #mayDie(): void {
    if (this.#random.chance(this.#chances.kill)) throw new Killed();
  }

  /** Ends the world: all that was on its way arrives. */
  settle(): void {
    this.#land(Infinity);
  }

  #land(until: number): void {
    for (const { key, at } of this.#late.filter((one) => one.at <= until)) this.#begin(key, at);
    this.#late = this.#late.filter((one) => one.at > until);
  }

  #begin(key: string, at: number): void {
    const run = `run of ${key}`;
    const endsAt = at + this.#random.scale(SECOND_MS, this.#chances.longestRunMs);
    if (!this.runs.has(run)) this.runs.set(run, { key, begunAt: at, endsAt });
  }

  #perform(todo: Todo): Told {
    this.#land(this.now);
    const isLost = this.#random.chance(this.#chances.lost);
    const isDone = !isLost || this.#random.chance(0.5);
    switch (todo.t) {
      case "start": {
        const { key } = todo.start;
        const run = `run of ${key}`;
        const isThere = this.runs.has(run);
        if (!isThere && !isLost && this.#random.chance(this.#chances.refused))
          return { t: "refused", key, code: "unknown_workflow", message: "Gone.", pause: false };
        if (isLost && isDone && this.#random.chance(0.5))
          this.#late.push({ key, at: this.now + this.#random.scale(100, LONGEST_WAY_MS) });
        else if (isDone) this.#begin(key, this.now);
        return isLost ? { t: "lost", key } : { t: "started", key, run };
      }
      case "ask": {
        if (isLost) return { t: "unsure", run: todo.run };
        return { t: this.runs.get(todo.run)!.endsAt > this.now ? "live" : "over", run: todo.run };
      }
      case "cancel": {
        const run = this.runs.get(todo.run)!;
        if (isDone) run.endsAt = Math.min(run.endsAt, this.now);
        return { t: isLost ? "not_cancelled" : "cancelled", run: todo.run };
      }
    }
  }
}
