/**
 * When the driver is woken again: the one alarm of the object, and a timer of the process for short waits.
 *
 * Owns: when the alarm stands, as far as this life knows. Does not own what is done when it fires.
 *
 * A1 after every turn the alarm stands no later than the next deadline (K3), a short wait or not.
 * A2 an alarm that stands in the past is not trusted to fire: it is set anew.
 * A3 setting an alarm costs a row, so one that stands early enough is left where it is.
 * A4 a wait whose end has passed while nobody looked is over at once, if what waited can start; else what frees a slot
 *    starts it, and nobody wakes for it.
 */

import { nextDeadline, nextWake, type RunState } from "../kernel/index.ts";
import type { AlarmPort, ClockPort } from "./ports.ts";

/** Waits shorter than this use a timer of the process, with the alarm standing behind it. */
const SHORT_WAIT_MS = 10_000;
/** How much later than what goes on in this life alone the alarm may stand. */
export const WATCHDOG_MS = 30_000;

export class Alarm {
  readonly #port: AlarmPort;
  readonly #clock: ClockPort;
  readonly #wake: () => void;
  #armedAt: number | null = null;
  #cancelTimer: (() => void) | null = null;

  /** @param wake called when a short wait is over */
  constructor(port: AlarmPort, clock: ClockPort, wake: () => void) {
    this.#port = port;
    this.#clock = clock;
    this.#wake = wake;
  }

  load(): void {
    this.#armedAt = this.#port.armedAt();
  }

  /** It has fired and is used up. */
  fired(): void {
    this.#armedAt = null;
  }

  /** A fresh event of the platform, at once. */
  hop(): void {
    this.#setBy(this.#clock.now() + 1);
  }

  /**
   * @param full work is due that only a fresh event may start
   * @param by no later than this, whatever the state says: work goes on of which the journal does not know
   * @param canStart whether something that is due has a slot; asked only where a wait is over already
   */
  arm(state: RunState, full: boolean, by: number, canStart: () => boolean): void {
    this.stopTimer();
    const now = this.#clock.now();
    const others = this.#port.others(state) ?? Infinity;
    const first = nextWake(state);
    // A4
    const wakeAt = first === null || first > now || canStart() ? first : nextWake(state, now);
    if (wakeAt === null) {
      // The end: nothing but the host's own needs (its outbox, its retention) wakes the object again.
      const at = Math.max(others, now + 1);
      if (others !== Infinity && this.#armedAt !== at) this.#set(at);
      return;
    }
    if (full) return this.hop();
    const short = wakeAt - now < SHORT_WAIT_MS;
    this.#setBy(Math.min(nextDeadline(state), short ? wakeAt + WATCHDOG_MS : wakeAt, others, by));
    if (short) this.#cancelTimer = this.#clock.after(Math.max(0, wakeAt - now), this.#wake);
  }

  stopTimer(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
  }

  #setBy(at: number): void {
    const now = this.#clock.now();
    if (this.#armedAt === null || this.#armedAt > at || this.#armedAt <= now)
      this.#set(Math.max(at, now + 1));
  }

  #set(at: number): void {
    this.#port.set(at);
    this.#armedAt = at;
  }
}
