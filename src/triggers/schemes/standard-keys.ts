/**
 * Keys and signatures of Standard Webhooks. Owns how keys are written: `whsec_` and the bytes of a MAC key, `whsk_` and the
 * seed of an Ed25519 key (also with the public key behind it, as NaCl has it), `whpk_` and a public key, all in base64.
 */
import { base64, fromBase64 } from "../../platform/index.ts";
import { joinBytes, macOf } from "./mac.ts";

const MIN_KEY_BYTES = 24;
const MAX_KEY_BYTES = 64;
const MADE_KEY_BYTES = 32;
const POINT_BYTES = 32;
/** PKCS #8 of an Ed25519 key is this and its seed (RFC 8410, section 7). */
const PKCS8 = Uint8Array.of(0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20);

export function symmetricKeyOf(text: string): Uint8Array | null {
  const bytes = written(text, "whsec_");
  return bytes !== null && bytes.length >= MIN_KEY_BYTES && bytes.length <= MAX_KEY_BYTES ? bytes : null;
}

export function publicKeyOf(text: string): Uint8Array | null {
  const bytes = written(text, "whpk_");
  return bytes?.length === POINT_BYTES ? bytes : null;
}

/** The seed. */
export function privateKeyOf(text: string): Uint8Array | null {
  const bytes = written(text, "whsk_");
  return bytes?.length === POINT_BYTES || bytes?.length === 2 * POINT_BYTES
    ? bytes.slice(0, POINT_BYTES)
    : null;
}

function written(text: string, prefix: string): Uint8Array | null {
  return text.startsWith(prefix) ? fromBase64(text.slice(prefix.length)) : null;
}

/** What is signed, and when. */
export interface StandardMessage {
  /** No full stop in it. */
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly sentAt: number;
  readonly body: Uint8Array;
}

/**
 * The headers of a message, signed with each of the keys, in their order.
 * Throws a TypeError for an id that holds a full stop, without a key, and for a key that cannot sign.
 */
export async function signStandard(
  { id, sentAt, body }: StandardMessage,
  keys: readonly string[],
): Promise<Record<string, string>> {
  if (!/^[\x21-\x2d\x2f-\x7e]{1,255}$/.test(id))
    throw new TypeError("The id of a message is visible, and has no full stop.");
  if (keys.length === 0) throw new TypeError("A message is signed with at least one key.");
  const time = String(Math.floor(sentAt / 1_000));
  const content = joinBytes(`${id}.${time}.`, body);
  const signatures = [];
  for (const key of keys) signatures.push(await signatureOf(key, content));
  return {
    "content-type": "application/json",
    "webhook-id": id,
    "webhook-timestamp": time,
    "webhook-signature": signatures.join(" "),
  };
}

async function signatureOf(text: string, content: Uint8Array): Promise<string> {
  const symmetric = symmetricKeyOf(text);
  if (symmetric !== null) return `v1,${base64(await macOf(symmetric, content))}`;
  const seed = privateKeyOf(text);
  if (seed === null) throw new TypeError("This key cannot sign.");
  const key = await crypto.subtle.importKey("pkcs8", joinBytes(PKCS8, seed), "Ed25519", false, ["sign"]);
  return `v1a,${base64(new Uint8Array(await crypto.subtle.sign("Ed25519", key, content)))}`;
}

/** The `whpk_` of a `whsk_`: what receivers are given. */
export async function publicTextOf(privateText: string): Promise<string> {
  const seed = privateKeyOf(privateText);
  if (seed === null) throw new TypeError("This is no private key.");
  const key = await crypto.subtle.importKey("pkcs8", joinBytes(PKCS8, seed), "Ed25519", true, ["sign"]);
  const exported = await crypto.subtle.exportKey("jwk", key);
  const bytes = "x" in exported && typeof exported.x === "string" ? fromBase64(exported.x) : null;
  if (bytes === null) throw new TypeError("The key has no public part.");
  return `whpk_${base64(bytes)}`;
}

/** A new key to sign with. */
export function newStandardKey(kind: "hmac" | "ed25519"): string {
  // Every 32 bytes are the seed of a key (RFC 8032, section 5.1.5).
  const bytes = crypto.getRandomValues(new Uint8Array(MADE_KEY_BYTES));
  return `${kind === "hmac" ? "whsec" : "whsk"}_${base64(bytes)}`;
}
