/** Hashes, MACs and checksums over WebCrypto. Text is hashed as UTF-8. */
import { hex } from "./encoding.ts";

const HASH = "SHA-256";
const MIN_HMAC_KEY_BYTES = 32;

export async function sha256(data: string | Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest(HASH, bytesOf(data)));
}

export async function sha256Hex(data: string | Uint8Array): Promise<string> {
  return hex(await sha256(data));
}

/** A key for `hmac`, not extractable. Throws a TypeError below 32 bytes: a short key would be a mistake in the setup. */
export async function importHmacKey(bytes: Uint8Array): Promise<CryptoKey> {
  if (bytes.byteLength < MIN_HMAC_KEY_BYTES)
    throw new TypeError(`A server key needs at least ${MIN_HMAC_KEY_BYTES} bytes.`);
  return crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: HASH }, false, ["sign"]);
}

export async function hmac(key: CryptoKey, data: string | Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, bytesOf(data)));
}

/**
 * Whether two secrets are the same text. Their hashes are compared, in constant time, so neither the length nor a common
 * beginning shows in the time it takes.
 */
export async function sameSecret(a: string, b: string): Promise<boolean> {
  return crypto.subtle.timingSafeEqual(await sha256(a), await sha256(b));
}

/** CRC-32 as in ISO 3309 and zip. Finds typing errors and careless edits, not attackers. */
export function crc32(text: string): number {
  let crc = 0xffffffff;
  for (const byte of new TextEncoder().encode(text)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

function bytesOf(data: string | Uint8Array): Uint8Array {
  return typeof data === "string" ? new TextEncoder().encode(data) : data;
}
