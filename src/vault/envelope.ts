/**
 * The envelope: AES-256-GCM under a fresh key per text, which is itself sealed under a key of the keyring. Owns the form of
 * sealed texts and what they are bound to. Knows no keyring and no database.
 *
 * PERSISTED CONTRACT. `v1.<kid>.<wrapped>.<iv>.<ciphertext>`, the last three in base64url without padding:
 * `wrapped` is 12 bytes IV, then the record's key (32 bytes) encrypted under the key `kid`, then 16 bytes tag; `ciphertext`
 * is the text in UTF-8 encrypted under the record's key with `iv`, then 16 bytes tag.
 *
 * - V1 both layers are bound to the whole place, the inner key to `kid` as well: what was moved, swapped or renamed does
 *   not open.
 * - V2 a key of a record encrypts one text, so no IV is used twice under it.
 * - V3 there is one spelling of a sealed text: what a lenient decoder would also take is malformed.
 */
import { base64url, canonicalJson, fromBase64 } from "../platform/index.ts";
import { KEY_BYTES } from "./keyring.ts";

const VERSION = "v1";
const IV_BYTES = 12;
/** The largest value that a step may give; more than a row of the database should hold. */
export const MAX_PLAINTEXT_BYTES = 1_048_576;
const MAX_SEALED_CHARS = 1_500_000;
/** 60 bytes, 12 bytes, and at least a tag. */
const FORM = /^v1\.([a-z0-9]{1,16})\.([\w-]{80})\.([\w-]{16})\.([\w-]{22,})$/;

/** Where a sealed text belongs. Everything of it must be known to whoever opens the text. */
export interface Place {
  /** What kind of secret it is, a constant of the code: `connection.token`. */
  readonly purpose: string;
  readonly tenant: string;
  /** Id of the record that it stands in. */
  readonly record: string;
  /** Its field in the record. */
  readonly field: string;
  /**
   * Counts what was sealed at this place, where an older text must not come back: a whole number that is also held elsewhere,
   * else whoever restores the text restores the number with it.
   */
  readonly version: number;
}

export interface Sealed {
  readonly kid: string;
  readonly wrapped: Uint8Array;
  readonly iv: Uint8Array;
  readonly ciphertext: Uint8Array;
  /** `iv` and `ciphertext` as they stand in the text. */
  readonly rest: string;
}

/** Null: it is no sealed text. */
export function parseSealed(text: string): Sealed | null {
  const parts = text.length > MAX_SEALED_CHARS ? null : FORM.exec(text);
  if (parts === null) return null;
  const [, kid = "", ...encoded] = parts;
  const decoded = encoded.map((part) => {
    const bytes = fromBase64(part);
    return bytes !== null && base64url(bytes) === part ? bytes : null;
  });
  const [wrapped, iv, ciphertext] = decoded;
  if (wrapped == null || iv == null || ciphertext == null) return null;
  return { kid, wrapped, iv, ciphertext, rest: encoded.slice(1).join(".") };
}

/**
 * A text that opens only here and with this key. Throws a TypeError for what could not be given back as it was (half of a
 * surrogate pair), for more than MAX_PLAINTEXT_BYTES, and for a version that is no whole number.
 */
export async function sealUnder(
  key: CryptoKey,
  kid: string,
  place: Place,
  plaintext: string,
): Promise<string> {
  if (!plaintext.isWellFormed())
    throw new TypeError("A text with half of a surrogate pair cannot be sealed.");
  const bytes = new TextEncoder().encode(plaintext);
  if (bytes.length > MAX_PLAINTEXT_BYTES)
    throw new TypeError(`At most ${MAX_PLAINTEXT_BYTES} bytes can be sealed in one text.`);
  const own = crypto.getRandomValues(new Uint8Array(KEY_BYTES));
  const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES));
  const ownKey = await importOwn(own, "encrypt");
  const ciphertext = await encrypt(ownKey, iv, boundTo(place, null), bytes);
  const wrapped = await wrap(key, kid, place, own);
  return [VERSION, kid, wrapped, base64url(iv), base64url(ciphertext)].join(".");
}

/** The text; null: it was not sealed with this key for this place. */
export async function openUnder(key: CryptoKey, place: Place, sealed: Sealed): Promise<string | null> {
  const own = await unwrap(key, place, sealed);
  if (own === null) return null;
  const ownKey = await importOwn(own, "decrypt");
  const bytes = await decrypt(ownKey, sealed.iv, boundTo(place, null), sealed.ciphertext);
  // The first character may be a byte order mark like any other.
  return bytes === null ? null : new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}

/** The same text under another key, its ciphertext as it was; null: it was not sealed with `from` for this place. */
export async function rewrapUnder(
  from: CryptoKey,
  to: { readonly key: CryptoKey; readonly kid: string },
  place: Place,
  sealed: Sealed,
): Promise<string | null> {
  const own = await unwrap(from, place, sealed);
  if (own === null) return null;
  return [VERSION, to.kid, await wrap(to.key, to.kid, place, own), sealed.rest].join(".");
}

/** Encrypts the key of a record, which is gone from memory then. */
async function wrap(key: CryptoKey, kid: string, place: Place, own: Uint8Array): Promise<string> {
  const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES));
  const encrypted = await encrypt(key, iv, boundTo(place, kid), own);
  own.fill(0);
  const wrapped = new Uint8Array(iv.length + encrypted.length);
  wrapped.set(iv);
  wrapped.set(encrypted, iv.length);
  return base64url(wrapped);
}

async function unwrap(key: CryptoKey, place: Place, { kid, wrapped }: Sealed): Promise<Uint8Array | null> {
  return decrypt(key, wrapped.subarray(0, IV_BYTES), boundTo(place, kid), wrapped.subarray(IV_BYTES));
}

async function importOwn(own: Uint8Array, use: "encrypt" | "decrypt"): Promise<CryptoKey> {
  const key = await crypto.subtle.importKey("raw", own, "AES-GCM", false, [use]);
  if (use === "decrypt") own.fill(0);
  return key;
}

/** V1. A JSON list has one reading, whatever stands in the texts. `kid`: of the layer around the record's key. */
function boundTo(place: Place, kid: string | null): Uint8Array {
  const { purpose, tenant, record, field, version } = place;
  if (!Number.isSafeInteger(version)) throw new TypeError("The version of a sealed text is a whole number.");
  const layer = kid === null ? ["text"] : ["key", kid];
  return new TextEncoder().encode(
    canonicalJson(["showcaller.vault.v1", ...layer, purpose, tenant, record, field, version]),
  );
}

async function encrypt(
  key: CryptoKey,
  iv: Uint8Array,
  additionalData: Uint8Array,
  bytes: Uint8Array,
): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv, additionalData }, key, bytes));
}

async function decrypt(
  key: CryptoKey,
  iv: Uint8Array,
  additionalData: Uint8Array,
  bytes: Uint8Array,
): Promise<Uint8Array | null> {
  try {
    return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv, additionalData }, key, bytes));
  } catch (error) {
    // The one way in which Web Cryptography says that the tag does not fit.
    if (error instanceof DOMException && error.name === "OperationError") return null;
    throw error;
  }
}
