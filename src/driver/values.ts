/** Values on their way into a row and back: small ones inline, large ones as texts that facts refer to. */

import type { FailureSeed, Json, Value } from "../kernel/index.ts";

/** Up to here a value stands in the fact itself, and so in the state; above, the state holds a reference. */
export const INLINE_BYTES = 1_024;
/** One output. Peers allow 256 KiB to 4 MiB; a row of an object holds 2 MB. */
export const MAX_OUTPUT_BYTES = 1_048_576;
/** All values of one run, but those that stand in the facts themselves: with small ones a full run can still end. */
export const MAX_RUN_BYTES = 100 * MAX_OUTPUT_BYTES;
/** Values read lately stay in memory, so that the next step need not read what the last one wrote. */
const CACHE_BYTES = 4 * MAX_OUTPUT_BYTES;

/** The values of one row in the making. */
export class Keeper {
  readonly values: string[] = [];
  readonly #seq: number;

  constructor(seq: number) {
    this.#seq = seq;
  }

  /** Whether references to this row are still to be written. */
  owns(seq: number): boolean {
    return seq === this.#seq;
  }

  /** Must be given JSON whose size was checked. */
  keep(json: Json): Value {
    const text = JSON.stringify(json);
    const bytes = byteLength(text);
    if (bytes <= INLINE_BYTES) return { v: json };
    this.values.push(text);
    return { ref: [this.#seq, this.values.length - 1], bytes };
  }
}

/** Checks an output against the limits of one output and of the run. Null: it fits. */
export function tooLarge(json: Json, runBytes: number): FailureSeed | null {
  const bytes = byteLength(JSON.stringify(json));
  if (bytes > MAX_OUTPUT_BYTES) {
    return {
      code: "output_too_large",
      message: `The output has ${bytes} bytes as JSON; at most ${MAX_OUTPUT_BYTES} are kept.`,
      hint: "Keep only what later steps need of the answer, or store the rest elsewhere and keep its address.",
      retryable: false,
    };
  }
  if (bytes > INLINE_BYTES && runBytes + bytes > MAX_RUN_BYTES) {
    return {
      code: "run_too_large",
      message: `The values of one run may have ${MAX_RUN_BYTES} bytes together.`,
      hint: "Split the work over several runs.",
      retryable: false,
    };
  }
  return null;
}

/** Length in UTF-8. */
export function byteLength(text: string): number {
  // One UTF-16 unit is at most three bytes: most texts need no encoding to be known as small.
  return text.length * 3 <= INLINE_BYTES ? text.length : new TextEncoder().encode(text).length;
}

/** Reads references, and remembers the newest up to a number of bytes. */
export class Reader {
  readonly #read: (seq: number, slot: number) => string;
  readonly #cache = new Map<string, string>();
  #bytes = 0;

  constructor(read: (seq: number, slot: number) => string) {
    this.#read = read;
  }

  /** Values of a row that was just appended. */
  remember(seq: number, values: readonly string[]): void {
    values.forEach((text, slot) => {
      this.#put(`${seq}.${slot}`, text);
    });
  }

  load(value: Value, pending?: Keeper): Json {
    if ("v" in value) return value.v;
    if ("list" in value) return value.list.map((item) => (item === null ? null : this.load(item, pending)));
    const [seq, slot] = value.ref;
    return JSON.parse(this.#text(seq, slot, pending)) as Json;
  }

  #text(seq: number, slot: number, pending: Keeper | undefined): string {
    const key = `${seq}.${slot}`;
    const cached = this.#cache.get(key);
    if (cached !== undefined) return cached;
    const unwritten = pending?.owns(seq) === true ? pending.values[slot] : undefined;
    if (unwritten !== undefined) return unwritten;
    const text = this.#read(seq, slot);
    this.#put(key, text);
    return text;
  }

  #put(key: string, text: string): void {
    this.#cache.set(key, text);
    this.#bytes += text.length;
    for (const [oldest, old] of this.#cache) {
      if (this.#bytes <= CACHE_BYTES) break;
      this.#cache.delete(oldest);
      this.#bytes -= old.length;
    }
  }
}
