/**
 * Changes of a keyring, the text of the Worker's secret `KEYRING`. Pure but for the new keys. Whether a change is allowed at
 * this moment is asked elsewhere (keyring.ts). No complaint repeats anything of the text.
 */
import { randomBytes } from "node:crypto";
import { complain, fine, type Outcome } from "./complaint.ts";

export interface KeyringText {
  readonly active: string;
  /** Base64 of 32 bytes, by name. */
  readonly keys: Readonly<Record<string, string>>;
}

const KEY_BYTES = 32;
/** As the vault has it: `active` is a word of its own. */
const KID = /^(?!active$)[a-z0-9]{1,16}$/;
const KEY = /^[\w+/-]{43}=?$/;

export function newKeyring(kid: string): KeyringText {
  return { active: kid, keys: { [kid]: newKey() } };
}

/** A name that no key had before: the day, and a letter if there is one of that day. */
export function newName({ keys }: Pick<KeyringText, "keys">, at: Date): string {
  const day = `k${at.toISOString().slice(0, 10).replaceAll("-", "")}`;
  const names = [day, ..."abcdefghijklmnopqrstuvwxyz".split("").map((letter) => day + letter)];
  return names.find((name) => !Object.hasOwn(keys, name)) ?? `${day}${randomBytes(3).toString("hex")}`;
}

export function parseKeyringText(text: string): Outcome<KeyringText> {
  const value = jsonOf(text);
  if (typeof value !== "object" || value === null) return bad("It is not JSON.");
  const { active, keys, ...more } = value as Record<string, unknown>;
  if (typeof active !== "string" || typeof keys !== "object" || keys === null || Object.keys(more).length > 0)
    return bad('It is not of the form {"active":"<kid>","keys":{"<kid>":"<base64>"}}.');
  const entries = Object.entries(keys as Record<string, unknown>);
  if (!entries.every(([kid]) => KID.test(kid))) return bad("A name is not of 1 to 16 of a-z and 0-9.");
  if (!entries.every(([, key]) => typeof key === "string" && KEY.test(key)))
    return bad(`A key is not ${KEY_BYTES} bytes in base64.`);
  if (!Object.hasOwn(keys, active)) return bad("The active key is not among the keys.");
  return fine({ active, keys: keys as Record<string, string> });
}

/** With one more key, which only opens until it is activated. */
export function addKey(keyring: KeyringText, kid: string): Outcome<KeyringText> {
  if (!KID.test(kid)) return bad("A name has 1 to 16 of a-z and 0-9.");
  if (Object.hasOwn(keyring.keys, kid)) return bad(`There is a key "${kid}".`);
  return fine({ ...keyring, keys: { ...keyring.keys, [kid]: newKey() } });
}

export function activateKey(keyring: KeyringText, kid: string): Outcome<KeyringText> {
  return Object.hasOwn(keyring.keys, kid) ? fine({ ...keyring, active: kid }) : bad("There is no such key.");
}

export function dropKey(keyring: KeyringText, kid: string): Outcome<KeyringText> {
  if (!Object.hasOwn(keyring.keys, kid)) return bad("There is no such key.");
  if (keyring.active === kid) return bad("It is the active key. Activate another one first.");
  const { [kid]: _, ...keys } = keyring.keys;
  return fine({ ...keyring, keys });
}

/** One line, as the secret is set. */
export function textOf(keyring: KeyringText): string {
  return JSON.stringify(keyring);
}

function newKey(): string {
  return randomBytes(KEY_BYTES).toString("base64url");
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Its message quotes the text.
    return undefined;
  }
}

function bad(what: string): ReturnType<typeof complain> {
  return complain(
    what,
    "Give the keyring as it is in your safe; `npm run -s keyring -- new` makes the first.",
  );
}
