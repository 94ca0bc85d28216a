/** What the corpus has exercised: every move of both tables, every fact, input and refusal. */

import {
  FACT_TYPES,
  INPUT_TYPES,
  REFUSAL_CODES,
  RUN_MOVES,
  UNIT_MOVES,
  unitOf,
  type Decision,
  type Fact,
  type Input,
  type RunState,
} from "../../../src/kernel/index.ts";

export class Coverage {
  readonly #seen = new Map<string, number>();

  fact(before: RunState | null, fact: Fact): void {
    this.#add(`fact ${fact.t}`);
    if (before === null) return;
    if ("step" in fact) this.#add(`unit ${unitOf(before, fact)?.status ?? "pending"} -> ${fact.t}`);
    else this.#add(`run ${before.phase} -> ${fact.t}`);
  }

  input(input: Input, decision: Decision): void {
    if (decision.ok) this.#add(`input ${input.t}`);
    else this.#add(`refusal ${decision.refusal.code}`);
  }

  #add(what: string): void {
    this.#seen.set(what, (this.#seen.get(what) ?? 0) + 1);
  }

  /** What the tables list and the corpus never did. */
  missing(): string[] {
    return everything().filter((what) => !this.#seen.has(what));
  }

  /** What happened least often, and how often. */
  rarest(count: number): string[] {
    return everything()
      .map((what) => ({ what, times: this.#seen.get(what) ?? 0 }))
      .toSorted((a, b) => a.times - b.times)
      .slice(0, count)
      .map(({ what, times }) => `${what}: ${times}`);
  }
}

function everything(): string[] {
  return [
    ...Object.entries(UNIT_MOVES).flatMap(([status, moves]) =>
      Object.keys(moves).map((fact) => `unit ${status} -> ${fact}`),
    ),
    ...Object.entries(RUN_MOVES).flatMap(([phase, moves]) =>
      Object.keys(moves).map((fact) => `run ${phase} -> ${fact}`),
    ),
    ...FACT_TYPES.map((fact) => `fact ${fact}`),
    ...INPUT_TYPES.map((input) => `input ${input}`),
    ...REFUSAL_CODES.map((code) => `refusal ${code}`),
  ];
}
