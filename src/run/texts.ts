/**
 * What a run object writes to its database and reads from it, as text. The one place between a run's memory, where all of it
 * is plain, and its rows: of a run that has anything sensitive, every text of its journal, snapshots and outbox is sealed.
 *
 * - X1 a run without a key writes and reads its texts as they are, at no cost.
 * - X2 from the fact on at which a run got its key, all that it writes is sealed; plain text that claims to be from then is
 *   not taken. What was written before stays as it was, and is read.
 * - X3 a sealed text opens in its run and at its place only (cipher.ts).
 */

import { createCipher, isSealedText, UnreadableText, type Cipher } from "./cipher.ts";

/**
 * PERSISTED CONTRACT: places are part of what is sealed.
 * - `facts`: of the turn whose first fact has this number. - `value`: in this slot of it.
 * - `snapshot`: the state before that fact. - `message`: about that fact, to a listener.
 */
export type TextPlace =
  | readonly ["facts", seq: number]
  | readonly ["value", seq: number, slot: number]
  | readonly ["snapshot", seq: number]
  | readonly ["message", seq: number, listener: string];

export class Texts {
  #cipher: Cipher | null = null;
  #from = Infinity;

  /** Whether the run has a key, and it is at hand. */
  get confidential(): boolean {
    return this.#cipher !== null;
  }

  /** @param from number of the first fact that is written under the key */
  unlock(key: Uint8Array, run: { readonly tenant: string; readonly id: string }, from: number): void {
    this.#cipher = createCipher(key, run);
    this.#from = from;
  }

  write(place: TextPlace, text: string): string {
    return this.#cipher === null ? text : this.#cipher.seal(place, text);
  }

  /** Throws `UnreadableText`. */
  read(place: TextPlace, text: string): string {
    if (!isSealedText(text)) {
      if (this.#mustBeSealed(place))
        throw new UnreadableText(`what is kept at ${place.join(" ")} is not sealed`);
      return text;
    }
    if (this.#cipher === null) throw new UnreadableText("what is kept is sealed, and its key is not at hand");
    return this.#cipher.open(place, text);
  }

  /** X2. The snapshot before the first fact that is sealed was written with the turn before it. */
  #mustBeSealed([what, seq]: TextPlace): boolean {
    return what === "snapshot" ? seq > this.#from : seq >= this.#from;
  }
}
