/** Attempts of this life that are being performed. What the state shows as running and is not here was lost. */

import { unitName, unitOf, type RunState, type UnitRef } from "../kernel/index.ts";
import type { Call } from "./ports.ts";

/** Of the slots, so many may be held by attempts that timed out and are listened to: the others are never starved. */
const MAX_LISTENED = 4;

export interface Flight {
  readonly call: Call;
  readonly controller: AbortController;
  /** Something has left for the outside: the attempt may have happened. */
  sent: boolean;
  /** A limit of the platform's event was met: to be performed again in the next event. */
  hopping: boolean;
}

export type NewCall = Omit<Call, "signal" | "sent">;

/** Nothing leaves for an attempt that is over: it may have been judged as not sent, or as lost with its life. */
export function newFlight(call: NewCall): Flight {
  const controller = new AbortController();
  const { signal } = controller;
  const sent = (): void => {
    signal.throwIfAborted();
    flight.sent = true;
  };
  const flight: Flight = { call: { ...call, signal, sent }, controller, sent: false, hopping: false };
  return flight;
}

export class Flights {
  readonly #flights = new Map<string, Flight>();

  add(flight: Flight): void {
    this.#flights.set(nameOf(flight.call.unit, flight.call.attempt), flight);
  }

  remove(flight: Flight): void {
    this.#flights.delete(nameOf(flight.call.unit, flight.call.attempt));
  }

  has(unit: UnitRef, attempt: number): boolean {
    return this.#flights.has(nameOf(unit, attempt));
  }

  all(): Flight[] {
    return [...this.#flights.values()];
  }

  /** Whether some wait for the next event of the platform. */
  hopping(): boolean {
    return this.all().some((flight) => flight.hopping);
  }

  /** How many hold a slot in this state: one that is not waited for any more has given it back. */
  busy(state: RunState): number {
    let running = 0;
    let listened = 0;
    for (const { call } of this.#flights.values()) {
      const wanted = wantedBy(state, call);
      if (wanted === "running") running++;
      else if (wanted === "late answer") listened++;
    }
    return running + Math.min(listened, MAX_LISTENED);
  }

  /**
   * Aborts what the state no longer waits for. A `once` attempt that timed out is still listened to; of too many, those
   * that were begun last are. What is aborted ends unclear, and so tells the kernel that nobody listens any more.
   */
  reconcile(state: RunState): void {
    const listened: Flight[] = [];
    for (const flight of this.#flights.values()) {
      const wanted = wantedBy(state, flight.call);
      if (wanted === "late answer") listened.push(flight);
      if (wanted !== null) continue;
      flight.controller.abort();
      // Nobody performs it just now, so nothing of it will land.
      if (flight.hopping) this.remove(flight);
    }
    for (const flight of listened.slice(0, -MAX_LISTENED)) flight.controller.abort();
  }

  /** The life ends: what has not left yet must not leave, as nobody would hear of it. */
  abortUnsent(): void {
    for (const flight of this.#flights.values()) if (!flight.sent) flight.controller.abort();
  }
}

/** What the state still wants of an attempt: its end, its late answer, or nothing any more (K7). */
export function wantedBy(state: RunState, call: Call): "running" | "late answer" | null {
  const unit = unitOf(state, call.unit);
  if (unit === null || unit.attempt !== call.attempt || call.generation !== state.generation) return null;
  if (unit.status === "running") return "running";
  return unit.status === "unknown" && unit.listening ? "late answer" : null;
}

function nameOf(unit: UnitRef, attempt: number): string {
  return `${unitName(unit)}#${attempt}`;
}
