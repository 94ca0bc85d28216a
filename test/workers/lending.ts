/** Whoever keeps credentials, for runs tagged `lent`: what a test says is answered, and what was asked is remembered. */

import type { Acquired, Call, Performed, Wanted } from "../../src/driver/index.ts";
import type { ConnectionNeed, Need } from "../../src/kernel/index.ts";

/** `none`: the step needs no credential. `silence`: whoever is asked never answers. */
export type Answer = Acquired | "none" | "silence";

export const READY: Acquired = { kind: "ready", lease: "lent" };

export function need(more: Partial<ConnectionNeed> = {}): ConnectionNeed {
  const times = { limitMs: 86_400_000, recheckMs: 60_000 };
  return { kind: "connection", integration: "google", reason: "missing", ...times, ...more };
}

class Lending {
  /** By run and step; else `READY`. */
  readonly #answers = new Map<string, Answer>();
  /** How the next attempt of a step is refused. */
  readonly #refusals = new Map<string, Need>();
  readonly #asked = new Map<string, number>();
  readonly #leases = new Map<string, unknown>();

  says(run: string, step: string, answer: Answer): void {
    this.#answers.set(`${run} ${step}`, answer);
  }

  refuses(run: string, step: string, lacking: Need): void {
    this.#refusals.set(`${run} ${step}`, lacking);
  }

  asked(run: string, step: string): number {
    return this.#asked.get(`${run} ${step}`) ?? 0;
  }

  /** What the last attempt of the step was lent. */
  lease(run: string, step: string): unknown {
    return this.#leases.get(`${run} ${step}`);
  }

  acquire({ run, unit }: Wanted): Promise<Acquired> | null {
    if (!run.tags.includes("lent")) return null;
    const name = `${run.id} ${unit.step}`;
    const answer = this.#answers.get(name) ?? READY;
    if (answer === "none") return null;
    this.#asked.set(name, (this.#asked.get(name) ?? 0) + 1);
    return answer === "silence" ? new Promise(() => {}) : Promise.resolve(answer);
  }

  async perform(call: Call, perform: (call: Call) => Promise<Performed>): Promise<Performed> {
    const name = `${call.run.id} ${call.unit.step}`;
    this.#leases.set(name, call.lease);
    const lacking = this.#refusals.get(name);
    this.#refusals.delete(name);
    return lacking === undefined ? perform(call) : { kind: "needs", need: lacking };
  }
}

export const lending = new Lending();
