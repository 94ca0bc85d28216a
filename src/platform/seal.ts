/** Texts that only this deployment can have made: a value and a MAC over it, safe in an address. Not encrypted. */
import { canonicalJson } from "./canonical.ts";
import { hmac, sameSecret } from "./digest.ts";
import { base64url, fromBase64 } from "./encoding.ts";

const MAX_SEALED_CHARS = 2_048;

/**
 * `<text>.<mac>`, both in base64url. The MAC has 256 bits.
 * @param purpose keeps what was sealed for one thing from being taken for another
 */
export async function sealText(key: CryptoKey, purpose: string, text: string): Promise<string> {
  return `${base64url(new TextEncoder().encode(text))}.${await macOf(key, purpose, text)}`;
}

/** The text, if it was sealed here for this purpose; else null. */
export async function openSealed(key: CryptoKey, purpose: string, sealed: string): Promise<string | null> {
  const [body = "", mac = "", ...more] = sealed.length > MAX_SEALED_CHARS ? [] : sealed.split(".");
  const bytes = fromBase64(body);
  if (bytes === null || more.length > 0) return null;
  const text = new TextDecoder().decode(bytes);
  // Only the one spelling of it: a decoder that is lenient must not make two addresses of one.
  if (base64url(new TextEncoder().encode(text)) !== body) return null;
  return (await sameSecret(mac, await macOf(key, purpose, text))) ? text : null;
}

/** A MAC alone, in base64url. */
export async function macOf(key: CryptoKey, purpose: string, text: string): Promise<string> {
  return base64url(await hmac(key, canonicalJson(["seal.v1", purpose, text])));
}
