/**
 * The keyring: the key-encryption keys of this deployment, from the Worker's secret `KEYRING`.
 *
 * `{"active":"<kid>","keys":{"<kid>":"<base64 of 32 bytes>"}}`. New texts are sealed under the active key; all of them open.
 *
 * - R1 no error, log or value made here holds anything of a key or of the secret's text.
 * - R2 keys are imported once, not extractable, and their bytes are dropped then.
 * - R3 module memory holds settled keys only: a promise that another object began may never settle.
 */
import * as z from "zod";
import { err, fromBase64, ok, type Result } from "../platform/index.ts";

/** A word of the vault's own language, so no name of a key: `derive("active", ...)`. */
export const ACTIVE = "active";
/** Names of keys. PERSISTED CONTRACT: they stand in every sealed text. */
const KID = /^[a-z0-9]{1,16}$/;
export const KEY_BYTES = 32;
/** Two while one is exchanged for the other. More say that somebody never dropped one. */
const MAX_KEYS = 16;

export interface Keyring {
  /** Name of the key that new texts are sealed under. */
  readonly active: string;
  readonly kids: readonly string[];
  /** AES-256-GCM, for the keys of records; null: there is no such key here. */
  wrapping(kid: string): Promise<CryptoKey | null>;
  /** HKDF-SHA-256, for keys that are derived; null: there is no such key here. */
  deriving(kid: string): Promise<CryptoKey | null>;
}

export function isKid(text: string): boolean {
  return KID.test(text) && text !== ACTIVE;
}

/** An error is a sentence for the operator, always one of a few fixed ones (R1). */
export function parseKeyring(text: string | undefined): Result<Keyring, string> {
  if (text === undefined || text === "") return err("KEYRING is not set.");
  const parsed = shape().safeParse(jsonOf(text));
  if (!parsed.success)
    return err('KEYRING is not JSON of the form {"active":"<kid>","keys":{"<kid>":"<base64>"}}.');
  const { active, keys } = parsed.data;
  const entries = Object.entries(keys);
  if (entries.length > MAX_KEYS) return err(`KEYRING has more than ${MAX_KEYS} keys.`);
  if (!entries.every(([kid]) => isKid(kid)))
    return err(`A name in KEYRING is not of 1 to 16 of a-z and 0-9, or is "${ACTIVE}".`);
  if (!Object.hasOwn(keys, active)) return err("The active key is not among the keys of KEYRING.");
  const bytes = new Map<string, Uint8Array>();
  for (const [kid, encoded] of entries) {
    const key = fromBase64(encoded);
    if (key?.length !== KEY_BYTES) return err(`A key in KEYRING is not ${KEY_BYTES} bytes in base64.`);
    if ([...bytes.values()].some((other) => other.every((byte, i) => byte === key[i])))
      return err("Two keys in KEYRING are the same.");
    bytes.set(kid, key);
  }
  return ok(new ImportedKeyring(active, bytes));
}

let latest: { readonly text: string; readonly keyring: Keyring } | undefined;

/** The same, once per isolate and text. Throws a TypeError for a secret that is no keyring: a mistake in the setup. */
export function loadKeyring(text: string | undefined): Keyring {
  if (latest !== undefined && latest.text === text) return latest.keyring;
  const parsed = parseKeyring(text);
  if (!parsed.ok) throw new TypeError(parsed.error);
  latest = { text: text ?? "", keyring: parsed.value };
  return parsed.value;
}

interface Imported {
  readonly wrapping: CryptoKey;
  readonly deriving: CryptoKey;
}

class ImportedKeyring implements Keyring {
  readonly active: string;
  readonly kids: readonly string[];
  readonly #bytes: Map<string, Uint8Array>;
  readonly #imported = new Map<string, Imported>();

  constructor(active: string, bytes: Map<string, Uint8Array>) {
    this.active = active;
    this.kids = [...bytes.keys()];
    this.#bytes = bytes;
  }

  async wrapping(kid: string): Promise<CryptoKey | null> {
    return (await this.#import(kid))?.wrapping ?? null;
  }

  async deriving(kid: string): Promise<CryptoKey | null> {
    return (await this.#import(kid))?.deriving ?? null;
  }

  async #import(kid: string): Promise<Imported | null> {
    const known = this.#imported.get(kid);
    if (known !== undefined) return known;
    const bytes = this.#bytes.get(kid);
    if (bytes === undefined) return null;
    const imported = {
      wrapping: await crypto.subtle.importKey("raw", bytes, "AES-GCM", false, ["encrypt", "decrypt"]),
      deriving: await crypto.subtle.importKey("raw", bytes, "HKDF", false, ["deriveKey"]),
    };
    // Another caller may have done the same in the meantime: the keys are equal.
    this.#imported.set(kid, imported);
    this.#bytes.delete(kid);
    return imported;
  }
}

/** V8 quotes the text that it cannot parse, so what it throws goes nowhere (R1). */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

type Shape = z.ZodType<{ active: string; keys: Record<string, string> }>;
let built: Shape | undefined;

function shape(): Shape {
  built ??= z.strictObject({
    active: z.string(),
    keys: z.record(z.string(), z.string().regex(/^[\w+/-]{43}=?$/)),
  });
  return built;
}
