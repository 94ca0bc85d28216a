/**
 * The vault: seals texts for one place, opens them there, moves them under the active key.
 * Does not own the form (envelope.ts), the keys (keyring.ts), or whether they are the right ones (key-check.ts).
 *
 * - S1 nothing is written under a key before it was checked.
 * - S2 a text that does not open is `not_authentic` only if its key is proved to be the right one; while that is not known,
 *   it is the passing fault `unknown_key`.
 */
import { base64url, canonicalJson, err, hmac, ok, type Result } from "../platform/index.ts";
import { openUnder, parseSealed, type Place, rewrapUnder, type Sealed, sealUnder } from "./envelope.ts";
import type { VaultFault, VaultFaultCode } from "./faults.ts";
import type { KeyCheck } from "./key-check.ts";
import { ACTIVE, type Keyring } from "./keyring.ts";

export interface Vault {
  /** Name of the key that new texts are sealed under. */
  readonly active: string;
  /**
   * A text that opens at this place only. Throws a VaultError while nothing may be sealed: it passes, and nothing was written.
   * Throws a TypeError for half of a surrogate pair, and over 1 MiB.
   */
  seal(place: Place, plaintext: string): Promise<string>;
  open(place: Place, sealed: string): Promise<Result<string, VaultFault>>;
  /**
   * The same under the active key: only the key of the record is encrypted anew. The very same text, not looked into, if it
   * is under the active key already. Throws a VaultError like `seal`.
   */
  rewrap(place: Place, sealed: string): Promise<Result<string, VaultFault>>;
  /** Name of the key that a text is sealed under; null: it is no sealed text. */
  kidOf(sealed: string): string | null;
  /** A key for MACs, made from a key of the ring: for links that are not stored, and for finding what is sealed. */
  derive(kid: typeof ACTIVE, purpose: string): Derived;
  /** Who stores what comes of it, stores the `kid` beside it and counts it as a record under that key. */
  derive(kid: string, purpose: string): Result<Derived, VaultFault>;
}

export interface Derived {
  readonly kid: string;
  /** HMAC-SHA-256, 32 bytes. To compare two, compare their texts with `sameSecret`. */
  hmac(text: string): Promise<Uint8Array>;
  /** The same in base64url, 43 characters. */
  mac(text: string): Promise<string>;
}

/** @param check without one, every key of the ring is taken to be the right one */
export function createVault(keyring: Keyring, check?: KeyCheck): Vault {
  const { active } = keyring;

  async function keyForSealing(): Promise<CryptoKey> {
    await check?.admit(keyring, active);
    const key = await keyring.wrapping(active);
    if (key === null) throw new TypeError("The keyring does not have its active key.");
    return key;
  }

  /** Does something with a text and the key that it is under. */
  async function withKey<T>(
    text: string,
    work: (key: CryptoKey, sealed: Sealed) => Promise<T | null>,
  ): Promise<Result<T, VaultFault>> {
    const sealed = parseSealed(text);
    if (sealed === null) return fault("malformed", "It is not of the form of a sealed text.");
    const { kid } = sealed;
    const key = await keyring.wrapping(kid);
    if (key === null) return fault("unknown_key", `The keyring here has no key "${kid}".`);
    const done = await work(key, sealed);
    if (done !== null) return ok(done);
    // S2.
    if (check !== undefined && (await check.prove(keyring, kid)) !== "passed")
      return fault("unknown_key", `The key "${kid}" here is not proved to be the right one.`);
    return fault("not_authentic", `It was not sealed under the key "${kid}" for this place.`);
  }

  function derived(kid: string, purpose: string): Derived {
    const key = async (): Promise<CryptoKey> => {
      const base = await keyring.deriving(kid);
      if (base === null) throw new TypeError("A key is derived that the keyring does not have.");
      return crypto.subtle.deriveKey(
        { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info: infoOf(purpose) },
        base,
        { name: "HMAC", hash: "SHA-256", length: 256 },
        false,
        ["sign"],
      );
    };
    const macOf = async (text: string): Promise<Uint8Array> => hmac(await key(), text);
    return { kid, hmac: macOf, mac: async (text) => base64url(await macOf(text)) };
  }

  function derive(kid: typeof ACTIVE, purpose: string): Derived;
  function derive(kid: string, purpose: string): Result<Derived, VaultFault>;
  function derive(kid: string, purpose: string): Derived | Result<Derived, VaultFault> {
    if (kid === ACTIVE) return derived(active, purpose);
    if (keyring.kids.includes(kid)) return ok(derived(kid, purpose));
    return fault("unknown_key", "The keyring here has no such key.");
  }

  return {
    active,
    seal: async (place, plaintext) => sealUnder(await keyForSealing(), active, place, plaintext),
    open: (place, text) => withKey(text, (key, sealed) => openUnder(key, place, sealed)),
    rewrap: (place, text) =>
      withKey(text, async (from, sealed) =>
        sealed.kid === active
          ? text
          : rewrapUnder(from, { key: await keyForSealing(), kid: active }, place, sealed),
      ),
    kidOf: (text) => parseSealed(text)?.kid ?? null,
    derive,
  };
}

/** PERSISTED CONTRACT: what was derived for the same purpose stays the same. */
function infoOf(purpose: string): Uint8Array {
  return new TextEncoder().encode(canonicalJson(["showcaller.vault.derive.v1", purpose]));
}

function fault(code: VaultFaultCode, message: string): { readonly ok: false; readonly error: VaultFault } {
  return err({ code, message });
}
