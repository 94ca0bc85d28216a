/**
 * The text of an API key: `sck_`, 32 random base62 characters (190 bits), 6 base62 characters of CRC-32 over all before.
 * The prefix lets secret scanners find it, the checksum lets typing errors be refused without a look-up, and the absence
 * of punctuation lets a double click select it.
 */
import { crc32 } from "../platform/index.ts";

export const KEY_PREFIX = "sck_";
const RANDOM_CHARS = 32;
const CHECK_CHARS = 6;
const SHOWN_CHARS = 4;
const BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const KEY = new RegExp(`^${KEY_PREFIX}[0-9A-Za-z]{${RANDOM_CHARS + CHECK_CHARS}}$`);
/** The largest multiple of 62 in a byte: bytes above it are drawn again, so that all characters are equally likely. */
const FAIR_BYTES = 248;

export function newKeyText(): string {
  let random = "";
  while (random.length < RANDOM_CHARS) {
    for (const byte of crypto.getRandomValues(new Uint8Array(RANDOM_CHARS))) {
      if (byte < FAIR_BYTES && random.length < RANDOM_CHARS) random += BASE62.charAt(byte % BASE62.length);
    }
  }
  const body = KEY_PREFIX + random;
  return body + checksum(body);
}

/** Whether a text has the form and the checksum of a key. Says nothing about whether the key exists. */
export function isKeyText(text: string): boolean {
  return KEY.test(text) && checksum(text.slice(0, -CHECK_CHARS)) === text.slice(-CHECK_CHARS);
}

/** What may be shown of a key, so that its owner knows which it is. */
export function shownParts(text: string): { readonly prefix: string; readonly last4: string } {
  return { prefix: text.slice(0, KEY_PREFIX.length + SHOWN_CHARS), last4: text.slice(-SHOWN_CHARS) };
}

function checksum(body: string): string {
  let rest = crc32(body);
  let text = "";
  for (let place = 0; place < CHECK_CHARS; place += 1) {
    text = BASE62.charAt(rest % BASE62.length) + text;
    rest = Math.floor(rest / BASE62.length);
  }
  return text;
}
