/** Attempts of this life that are being performed. What the state shows as running and is not here was lost. */

import { unitName, unitOf, type RunState, type UnitRef } from "../kernel/index.ts";
import type { Call } from "./ports.ts";

export interface Flight {
  readonly call: Call;
  readonly controller: AbortController;
  /** Something has left for the outside: the attempt may have happened. */
  sent: boolean;
  /** A limit of the platform's event was met: to be performed again in the next event. */
  hopping: boolean;
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

  /** Aborts what the state no longer waits for; returns how many still hold a slot. */
  reconcile(state: RunState): number {
    let busy = 0;
    for (const flight of this.#flights.values()) {
      const { unit: ref, attempt, generation } = flight.call;
      const unit = unitOf(state, ref);
      const current = unit !== null && unit.attempt === attempt && generation === state.generation;
      if (current && unit.status === "running") busy++;
      // A `once` attempt that timed out is not aborted: its late answer may still settle the step.
      else if (!(current && unit.status === "unknown" && unit.listening)) flight.controller.abort();
    }
    return busy;
  }
}

function nameOf(unit: UnitRef, attempt: number): string {
  return `${unitName(unit)}#${attempt}`;
}
