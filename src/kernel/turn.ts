/** One decision in the making: the facts so far and the state that they lead to. Local to a call of `decide`. */

import { evolve } from "./evolve.ts";
import type { Fact } from "./facts.ts";
import type { RunState } from "./state.ts";

export interface Turn {
  state: RunState;
  readonly facts: Fact[];
  readonly now: number;
  /** In [0, 1), a new one at each call; all derive from the one random number that `decide` was given. */
  readonly random: () => number;
}

export function newTurn(state: RunState, now: number, random: number): Turn {
  return { state, facts: [], now, random: spread(random) };
}

export function emit(turn: Turn, fact: Fact): void {
  turn.facts.push(fact);
  turn.state = evolve(turn.state, fact) ?? turn.state;
}

/** Several numbers out of one, by Weyl's sequence: multiples of the golden ratio, mod 1, spread evenly. */
function spread(seed: number): () => number {
  let next = seed;
  return () => {
    const current = next;
    next = (next + 0.618_033_988_749_895) % 1;
    return current;
  };
}
