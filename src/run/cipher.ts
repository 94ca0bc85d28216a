/**
 * Seals texts under a key of one run, in the middle of a turn: synchronously, which WebCrypto cannot. Owns the form of such
 * texts and what they are bound to. Knows neither where they stand nor where the key comes from.
 *
 * PERSISTED CONTRACT. `r1.<base64url of: 24 bytes nonce, the text in UTF-8 encrypted with XChaCha20-Poly1305, 16 bytes tag>`,
 * bound to the tenant, the run and the place.
 *
 * - C1 what was moved to another place or run, or changed, does not open: `open` throws, and never gives other text.
 * - C2 nonces are random: of 192 bits, so that no run comes to the end of them.
 */

import { xchacha20poly1305 } from "@noble/ciphers/chacha.js";
import { base64url, fromBase64 } from "../platform/index.ts";

export const RUN_KEY_BYTES = 32;
/** No JSON text begins so. */
const PREFIX = "r1.";
const NONCE_BYTES = 24;
const TAG_BYTES = 16;

/** Names one place of one run, as JSON would write it: never the same for two. */
export type Place = readonly (string | number)[];

export interface Cipher {
  seal(place: Place, text: string): string;
  /** Throws `UnreadableText`. */
  open(place: Place, sealed: string): string;
}

/** What the object keeps does not open, or is not of the form that it must have. Nothing of the text is in the message. */
export class UnreadableText extends Error {
  override readonly name = "UnreadableText";
}

export function isSealedText(text: string): boolean {
  return text.startsWith(PREFIX);
}

/** Throws a TypeError for a key of another length. */
export function createCipher(key: Uint8Array, run: { readonly tenant: string; readonly id: string }): Cipher {
  if (key.length !== RUN_KEY_BYTES) throw new TypeError("The key of a run is not of the right length.");
  const boundTo = (place: Place): Uint8Array =>
    utf8(JSON.stringify(["showcaller.run.v1", run.tenant, run.id, ...place]));
  return {
    seal(place, text) {
      const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
      const encrypted = xchacha20poly1305(key, nonce, boundTo(place)).encrypt(utf8(text));
      const bytes = new Uint8Array(NONCE_BYTES + encrypted.length);
      bytes.set(nonce);
      bytes.set(encrypted, NONCE_BYTES);
      return PREFIX + base64url(bytes);
    },
    open(place, sealed) {
      const bytes = isSealedText(sealed) ? fromBase64(sealed.slice(PREFIX.length)) : null;
      if (bytes === null || bytes.length < NONCE_BYTES + TAG_BYTES) throw new UnreadableText(saidOf(place));
      const cipher = xchacha20poly1305(key, bytes.subarray(0, NONCE_BYTES), boundTo(place));
      let text: Uint8Array;
      try {
        text = cipher.decrypt(bytes.subarray(NONCE_BYTES));
      } catch {
        // The one thing that it throws for a key and a nonce of the right length: the tag does not fit (C1).
        throw new UnreadableText(saidOf(place));
      }
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(text);
    },
  };
}

function saidOf(place: Place): string {
  return `what is kept at ${place.join(" ")} does not open: it was changed or moved, or is of another run`;
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
