/**
 * The secrets of a deployment: what is made, what is kept, and where a person finds them.
 *
 * - X1 what the Worker has is never replaced, least of all SERVER_KEY: run ids are made with it, so with another one a start
 *   that is sent again would run again. Only ROOT_API_KEY can be, when it is asked for.
 * - X2 what must be kept (the keyring) is on disk before it is in force; a file that is there is used, so that a set-up that
 *   was interrupted goes on with the same one.
 * - X3 a secret is shown once or not at all, and only when it is in force.
 */
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { fine, reasonOf, refuse, type Outcome } from "./complaint.ts";
import { newKeyring, newName, parseKeyringText, textOf } from "./keyring-edit.ts";

export const SECRETS = ["SERVER_KEY", "KEYRING", "ROOT_API_KEY"] as const;
export type SecretName = (typeof SECRETS)[number];

const KEY_BYTES = 32;
const OWNER_ONLY = 0o600;
const ROOT_KEY = /^[\x21-\x7e]{32,200}$/;

export interface SecretFiles {
  /** Path that was named, as shown. */
  readonly keyring: string;
  /** Undefined: the key is shown. */
  readonly rootKey: string | undefined;
  /** The root key is to be another one: a file that is there holds the old one. */
  readonly freshRootKey: boolean;
}

export interface MadeSecrets {
  readonly values: Partial<Record<SecretName, string>>;
  /** What to show, once it is in force. */
  readonly shown: string | null;
  /** Files that hold what was made, as they were named. */
  readonly files: readonly string[];
}

/** @param missing those that the Worker does not have, or that are to be replaced */
export function makeSecrets(
  missing: readonly SecretName[],
  files: SecretFiles,
  root: string,
  now: Date,
): Outcome<MadeSecrets> {
  const values: Partial<Record<SecretName, string>> = {};
  const written: string[] = [];
  let shown: string | null = null;
  if (missing.includes("KEYRING")) {
    const made = textOf(newKeyring(newName({ keys: {} }, now)));
    const kept = keep(resolve(root, files.keyring), files.keyring, made);
    if (!kept.ok) return kept;
    const parsed = parseKeyringText(kept.value);
    if (!parsed.ok)
      return refuse(
        "keyring_file",
        `${files.keyring} is there, and is no keyring. ${parsed.complaint.what}`,
        "Move it away, or name another file with --keyring-file.",
      );
    values.KEYRING = textOf(parsed.value);
    written.push(files.keyring);
  }
  if (missing.includes("ROOT_API_KEY")) {
    const made = newKey();
    if (files.rootKey === undefined) {
      values.ROOT_API_KEY = made;
      shown = made;
    } else {
      if (files.freshRootKey && existsSync(resolve(root, files.rootKey)))
        return refuse(
          "root_key_file",
          `${files.rootKey} is there already; the key in it would not be a new one.`,
          "Move it away, or name another file with --root-key-file. Nothing was set.",
        );
      const kept = keep(resolve(root, files.rootKey), files.rootKey, made);
      if (!kept.ok) return kept;
      if (!ROOT_KEY.test(kept.value) || kept.value.startsWith("sck_"))
        return refuse(
          "root_key_file",
          `${files.rootKey} is there, and holds no root key: one line of 32 or more visible characters.`,
          "Move it away, or name another file with --root-key-file.",
        );
      values.ROOT_API_KEY = kept.value;
      written.push(files.rootKey);
    }
  }
  if (missing.includes("SERVER_KEY")) values.SERVER_KEY = newKey();
  return fine({ values, shown, files: written });
}

/** What the file holds, which is `made` if it was not there. */
function keep(path: string, name: string, made: string): Outcome<string> {
  try {
    if (!existsSync(path)) writeFileSync(path, `${made}\n`, { mode: OWNER_ONLY, flag: "wx" });
    chmodSync(path, OWNER_ONLY);
    return fine(readFileSync(path, "utf8").trim());
  } catch (error) {
    return refuse(
      "secret_file",
      `${name} cannot be written: ${reasonOf(error)}`,
      "Name another file (--keyring-file, --root-key-file). Nothing was set.",
    );
  }
}

function newKey(): string {
  return randomBytes(KEY_BYTES).toString("base64url");
}
