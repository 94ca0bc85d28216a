/** Counts what evaluating costs, and ends it when it costs too much. */

import type { Json } from "../../kernel/index.ts";
import { MAX_OPERATIONS, MAX_RESULT_CHARS, MAX_RESULT_DEPTH } from "./limits.ts";

/** Characters that are read, copied or compared for the price of one operation. */
const CHARS_PER_OPERATION = 64;
/** Comparisons of one character in the search of a text in a text. */
const SEARCHED_PER_OPERATION = 256;
/** Loading a value is cheaper than computing with it. It is read from its text, so lists, maps and keys cost more than what they hold. */
const LOADED_PARTS_PER_OPERATION = 16;
const LOADED_HOLDERS_PER_OPERATION = 2;
const LOADED_CHARS_PER_OPERATION = 256;
/** Parts of a result that are looked at one by one; numbers that are not whole take longer. */
const MADE_PARTS_PER_OPERATION = 4;
const PARTS_PER_KEY = 4;
const OPERATIONS_PER_FRACTION = 3;
/** A large map lists its keys from a table. */
const OPERATIONS_PER_KEY = 3;

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

/** What several meters count together. */
export interface Tally {
  operations: number;
}

export class Meter {
  #spent = 0;
  readonly #tally: Tally | null;

  constructor(tally: Tally | null = null) {
    this.#tally = tally;
  }

  get spent(): number {
    return this.#spent;
  }

  spend(operations: number): void {
    // Asked before it is done, so no more than that is ever spent.
    if (this.#spent + operations > MAX_OPERATIONS)
      throw new Fault(`it takes more than ${MAX_OPERATIONS} operations: let it look at less data`, true);
    this.#spent += operations;
    if (this.#tally !== null) this.#tally.operations += operations;
  }

  chars(count: number): void {
    this.spend(Math.ceil(count / CHARS_PER_OPERATION));
  }

  /** The keys of a map are listed. */
  keys(count: number): void {
    this.spend(count * OPERATIONS_PER_KEY);
  }

  /** Searching has to be paid as if every place had to be compared whole: for some texts it has to. */
  search(text: string, part: string): void {
    this.chars(text.length);
    this.spend(Math.ceil((text.length * part.length) / SEARCHED_PER_OPERATION));
  }

  /** A value of the run that an expression reads. */
  loaded(value: Json): void {
    let parts = 1;
    let holders = 0;
    let keys = 0;
    let chars = 0;
    const open: Json[] = [value];
    const see = (one: Json): void => {
      parts += 1;
      if (typeof one === "string") chars += one.length;
      else if (typeof one === "object" && one !== null) open.push(one);
    };
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (typeof next === "string") chars += next.length;
      if (typeof next !== "object" || next === null) continue;
      holders += 1;
      if (isArray(next)) for (const item of next) see(item);
      else
        // Made by `JSON.parse`: it has no other keys than its own.
        for (const key in next) {
          keys += 1;
          chars += key.length;
          see(next[key] ?? null);
        }
    }
    this.spend(
      Math.ceil(
        parts / LOADED_PARTS_PER_OPERATION +
          holders / LOADED_HOLDERS_PER_OPERATION +
          keys +
          chars / LOADED_CHARS_PER_OPERATION,
      ),
    );
  }

  /**
   * Checks the size of what was made; parts that are shared count as often as they would be written.
   * @param written it is to be written as text as well
   */
  made(value: Json, written = false): void {
    const { chars, parts, fractions } = sizeOf(value);
    if (chars > MAX_RESULT_CHARS)
      throw new Fault(`the result has more than ${MAX_RESULT_CHARS} characters as JSON`, true);
    this.chars(written ? chars * 2 : chars);
    this.spend(
      Math.ceil((written ? parts * 2 : parts) / MADE_PARTS_PER_OPERATION) +
        fractions * OPERATIONS_PER_FRACTION,
    );
  }
}

function isArray(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

interface Size {
  /** About the length of the JSON text; counting ends where it is too much. */
  readonly chars: number;
  readonly parts: number;
  /** Numbers that are not whole: each takes a while to write. */
  readonly fractions: number;
}

function sizeOf(value: Json): Size {
  let chars = 0;
  let parts = 0;
  let fractions = 0;
  const count = (one: Json, depth: number): void => {
    parts += 1;
    if (depth > MAX_RESULT_DEPTH)
      throw new Fault(`the result is nested deeper than ${MAX_RESULT_DEPTH} levels`, true);
    if (chars > MAX_RESULT_CHARS) return;
    if (typeof one === "string") chars += one.length + 2;
    else if (typeof one === "number" && !Number.isInteger(one)) {
      fractions += 1;
      chars += String(one).length;
    } else if (typeof one !== "object" || one === null) chars += String(one).length;
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
        parts += PARTS_PER_KEY - 1;
        count(member, depth + 1);
        if (chars > MAX_RESULT_CHARS) return;
      }
    }
  };
  count(value, 0);
  return { chars, parts, fractions };
}
