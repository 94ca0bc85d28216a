/** Counts what evaluating costs, and ends it when it costs too much. */

import type { Json } from "../../kernel/index.ts";
import { MAX_OPERATIONS, MAX_RESULT_CHARS, MAX_RESULT_DEPTH } from "./limits.ts";

/** Characters that are read, copied or compared for the price of one operation. */
const CHARS_PER_OPERATION = 64;
/** Comparisons of one character in the search of a text in a text. */
const SEARCHED_PER_OPERATION = 256;
/** Loading a value is cheaper than computing with it. */
const LOADED_PARTS_PER_OPERATION = 16;
const LOADED_CHARS_PER_OPERATION = 256;

/** Why an evaluation ended early. Thrown and caught in this folder. */
export class Fault extends Error {
  /** Characters before the place in the expression; null until it is known. */
  at: number | null = null;
  /** Cannot be made up for by the other side of `||` or `&&`. */
  readonly final: boolean;

  constructor(message: string, final = false) {
    super(message);
    this.final = final;
  }
}

export class Meter {
  #spent = 0;
  readonly #most: number;

  constructor(most = MAX_OPERATIONS) {
    this.#most = most;
  }

  get spent(): number {
    return this.#spent;
  }

  spend(operations: number): void {
    // Asked before it is done, so no more than that is ever spent.
    if (this.#spent + operations > this.#most)
      throw new Fault(`it takes more than ${this.#most} operations: let it look at less data`, true);
    this.#spent += operations;
  }

  chars(count: number): void {
    this.spend(Math.ceil(count / CHARS_PER_OPERATION));
  }

  /** Searching has to be paid as if every place had to be compared whole: for some texts it has to. */
  search(text: string, part: string): void {
    this.chars(text.length);
    this.spend(Math.ceil((text.length * part.length) / SEARCHED_PER_OPERATION));
  }

  /** A value of the run that an expression reads. */
  loaded(value: Json): void {
    let parts = 0;
    let chars = 0;
    const open: Json[] = [value];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      parts += 1;
      if (typeof next === "string") chars += next.length;
      else if (typeof next === "object" && next !== null)
        for (const [key, member] of Object.entries(next)) {
          chars += key.length;
          open.push(member);
        }
    }
    this.spend(Math.ceil(parts / LOADED_PARTS_PER_OPERATION + chars / LOADED_CHARS_PER_OPERATION));
  }

  /** Checks the size of what was made; parts that are shared count as often as they would be written. */
  made(value: Json): void {
    const chars = charsOf(value);
    if (chars > MAX_RESULT_CHARS)
      throw new Fault(`the result has more than ${MAX_RESULT_CHARS} characters as JSON`, true);
    this.chars(chars);
  }
}

/** About the length of the JSON text; counting ends where it is too much. */
function charsOf(value: Json): number {
  let chars = 0;
  const count = (one: Json, depth: number): void => {
    if (depth > MAX_RESULT_DEPTH)
      throw new Fault(`the result is nested deeper than ${MAX_RESULT_DEPTH} levels`, true);
    if (chars > MAX_RESULT_CHARS) return;
    if (typeof one === "string") chars += one.length + 2;
    else if (typeof one !== "object" || one === null) chars += String(one).length;
    else if (Array.isArray(one)) {
      chars += 2;
      for (const item of one as readonly Json[]) {
        chars += 1;
        count(item, depth + 1);
        if (chars > MAX_RESULT_CHARS) return;
      }
    } else {
      chars += 2;
      for (const [key, member] of Object.entries(one)) {
        chars += key.length + 4;
        count(member, depth + 1);
        if (chars > MAX_RESULT_CHARS) return;
      }
    }
  };
  count(value, 0);
  return chars;
}
