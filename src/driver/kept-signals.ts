/**
 * Which of the signals that are kept for a step it takes, once it begins to wait: one that came before the step may not fit
 * its schema.
 *
 * Owns: how much checking one turn does, and what a life has seen not to fit. Changes nothing of the run.
 *
 * - S1 the checks of one turn are bounded, whatever is kept and however many steps begin to wait; each turn makes one at
 *   least, so what is left to the next ones ends.
 * - S2 a misfit is looked at once in a life. Another life looks again: nothing depends on what is remembered.
 * - S3 a schema that cannot be used fails its step, never the turn.
 */

import { limits, type Json, type RunState, type StepDef, type Value } from "../kernel/index.ts";
import type { EvaluatePort } from "./ports.ts";

export type Choice =
  /** None: those that are kept do not fit. */
  | { readonly kind: "none"; readonly misfits: readonly string[] }
  | {
      readonly kind: "take";
      readonly id: string;
      readonly sent: Json;
      /** As the step sees it. */
      readonly seen: Json;
      readonly misfits: readonly string[];
    }
  /** The turn has made all the checks that it makes. */
  | { readonly kind: "later" }
  /** The schema cannot be used. */
  | { readonly kind: "unusable" };

/** Beyond these it is forgotten what did not fit. */
const MAX_KNOWN = 20_000;

/** Signals that did not fit a schema, in this life. */
export class Misfits {
  readonly #bySchema = new Map<string, Set<string>>();
  #count = 0;

  has(schema: string, signal: string): boolean {
    return this.#bySchema.get(schema)?.has(signal) === true;
  }

  add(schema: string, signal: string): void {
    if (this.#count >= MAX_KNOWN) {
      this.#bySchema.clear();
      this.#count = 0;
    }
    this.#bySchema.set(schema, (this.#bySchema.get(schema) ?? new Set()).add(signal));
    this.#count += 1;
  }
}

/** The checks of one turn. */
export class SignalChecks {
  readonly #evaluate: EvaluatePort;
  readonly #misfits: Misfits;
  #checks = 0;

  constructor(evaluate: EvaluatePort, misfits: Misfits) {
    this.#evaluate = evaluate;
    this.#misfits = misfits;
  }

  /**
   * The oldest that fits. Null: the step takes any.
   * @param kept signals of the step's name, the oldest first
   */
  choose(def: StepDef, kept: RunState["buffered"], load: (value: Value) => Json): Choice | null {
    const asked = quietly(() => this.#evaluate.taking(def));
    if (!asked.ok) return { kind: "unusable" };
    const taking = asked.value;
    if (taking === null) return null;
    const misfits: string[] = [];
    for (const { id, name, payload } of kept) {
      const signal = `${name} ${id}`;
      if (!this.#misfits.has(taking.schema, signal)) {
        if (this.#checks >= limits.PAYLOAD_CHECKS_PER_TURN) return { kind: "later" };
        const sent = load(payload);
        const weighed = quietly(() => taking.weigh(sent));
        if (!weighed.ok) return { kind: "unusable" };
        const isFirst = this.#checks === 0;
        this.#checks += weighed.value.checks;
        if (!isFirst && this.#checks > limits.PAYLOAD_CHECKS_PER_TURN) return { kind: "later" };
        const seen = quietly(weighed.value.see);
        if (!seen.ok) return { kind: "unusable" };
        if (seen.value !== undefined) return { kind: "take", id, sent, seen: seen.value, misfits };
        this.#misfits.add(taking.schema, signal);
      }
      misfits.push(id);
    }
    return { kind: "none", misfits };
  }
}

/** The port does not throw; if it did, every life of the run would end here. */
function quietly<T>(ask: () => T): { readonly ok: true; readonly value: T } | { readonly ok: false } {
  try {
    return { ok: true, value: ask() };
  } catch {
    return { ok: false };
  }
}
