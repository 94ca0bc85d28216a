/** MACs over WebCrypto, and the comparison of secrets. Nothing here takes a time that depends on how much of a secret was right. */
import type { Secret } from "./scheme.ts";

export type MacHash = "SHA-256" | "SHA-512";

/** Signatures of one delivery that are looked at: a sender has one or two per secret, and each costs a comparison. */
export const MAX_SIGNATURES = 16;

/** The shortest secret that a tenant may choose: below it, whoever has one delivery can try them all. */
const MIN_SECRET_CHARS = 16;
const MAX_SECRET_CHARS = 512;

export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function joinBytes(...parts: readonly (string | Uint8Array)[]): Uint8Array {
  const all = parts.map((part) => (typeof part === "string" ? bytesOf(part) : part));
  const joined = new Uint8Array(all.reduce((length, part) => length + part.byteLength, 0));
  let at = 0;
  for (const part of all) {
    joined.set(part, at);
    at += part.byteLength;
  }
  return joined;
}

/** @param key not empty */
export async function macOf(
  key: Uint8Array,
  data: Uint8Array,
  hash: MacHash = "SHA-256",
): Promise<Uint8Array> {
  const imported = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, data));
}

/**
 * The id of the first secret whose proof is among those that were claimed; null: of none. All are looked at (S2).
 *
 * The comparison is that of `crypto.subtle.verify`, in constant time and on every runtime: both sides are put under a MAC
 * with a key that nobody knows. So the body is hashed once per secret, and not once per secret and signature.
 * @param prove what a secret would have made of the delivery; null: it is no secret of the scheme
 */
export async function secretOf(
  secrets: readonly Secret[],
  claimed: readonly Uint8Array[],
  prove: (secret: Secret) => Promise<Uint8Array | null>,
): Promise<string | null> {
  const blind = await crypto.subtle.generateKey({ name: "HMAC", hash: "SHA-256", length: 256 }, false, [
    "sign",
    "verify",
  ]);
  if (!("type" in blind)) throw new TypeError("A key for HMAC is no pair.");
  let found: string | null = null;
  for (const secret of secrets) {
    const proof = await prove(secret);
    if (proof === null) continue;
    const blinded = await crypto.subtle.sign("HMAC", blind, proof);
    for (const claim of claimed)
      if (await crypto.subtle.verify("HMAC", blind, blinded, claim)) found ??= secret.id;
  }
  return found;
}

/** Why a text that a person or a service chose is no secret. */
export function chosenFlaw(text: string, minChars: number = MIN_SECRET_CHARS): string | null {
  if (text.length < minChars) return `A secret has at least ${minChars} characters.`;
  if (text.length > MAX_SECRET_CHARS) return `A secret has at most ${MAX_SECRET_CHARS} characters.`;
  return /^[\x20-\x7e]+$/.test(text) && text.trim() === text
    ? null
    : "A secret has visible characters of ASCII only, and no space at either end.";
}
