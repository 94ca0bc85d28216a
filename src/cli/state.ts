/**
 * The state folder: what one start leaves for the next.
 * Owns the names in it, its secrets and their file modes. Does not own what wrangler keeps in `data`, nor the world's file.
 *
 * S1 the folder is for its owner only (0700), and so is every file with a secret (0600);
 * S2 secrets are made once, and never rewritten but to add the API key, or one that an earlier version did not make;
 * S3 the folder keeps itself out of git, wherever it is.
 */
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { complain, fine, reasonOf, type Outcome } from "./complaint.ts";
import { newKeyring, textOf } from "./keyring-edit.ts";

const SECRET_BYTES = 32;
const OWNER_ONLY_FILE = 0o600;
const OWNER_ONLY_FOLDER = 0o700;

export interface Secrets {
  readonly serverKey: string;
  /** JSON, as the vault reads it. */
  readonly keyring: string;
  readonly rootKey: string;
  /** Text of the admin key of the tenant `default`; absent until the first one was made. */
  readonly apiKey?: string;
}

export interface State {
  readonly folder: string;
  /** Whether this start made the secrets. */
  readonly fresh: boolean;
  readonly secrets: Secrets;
  /** Absolute path of a name in the folder. */
  readonly path: (name: string) => string;
  /** Writes a file that only its owner can read, whole or not at all. */
  readonly write: (name: string, text: string) => void;
  readonly keepApiKey: (apiKey: string) => void;
}

/** What to do where nobody knows what in the folder is damaged. */
export function orBeginAnew(folder: string): string {
  return `Start again. If that does not help, ${beginAnew(folder)}`;
}

function beginAnew(folder: string): string {
  return `delete the folder ${folder} to begin anew: what it holds is local and only for trying.`;
}

/** @param folder absolute path */
export function openState(folder: string): Outcome<State> {
  const path = (name: string): string => join(folder, name);
  const write = (name: string, text: string): void => {
    writeFileSync(path(`${name}.new`), text, { mode: OWNER_ONLY_FILE });
    renameSync(path(`${name}.new`), path(name));
  };
  try {
    if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() === false) {
      return complain(
        `The state folder ${folder} is a file.`,
        "Name a folder with --state; or, if nobody needs the file, delete it to begin anew.",
      );
    }
    mkdirSync(folder, { recursive: true, mode: OWNER_ONLY_FOLDER });
    chmodSync(folder, OWNER_ONLY_FOLDER);
    write(".gitignore", "*\n");
    const fresh = !existsSync(path("secrets.json"));
    if (fresh) {
      const made = { serverKey: newSecret(), keyring: textOf(newKeyring("local")), rootKey: newSecret() };
      write("secrets.json", asJson(made));
    } else chmodSync(path("secrets.json"), OWNER_ONLY_FILE);
    const found = parseSecrets(readFileSync(path("secrets.json"), "utf8"));
    const secrets =
      found === null ? null : { ...found, keyring: found.keyring ?? textOf(newKeyring("local")) };
    if (secrets !== null && found?.keyring === undefined) write("secrets.json", asJson(secrets));
    if (secrets === null) {
      return complain(`${path("secrets.json")} is damaged.`, `Please ${beginAnew(folder)}`);
    }
    const keepApiKey = (apiKey: string): void => write("secrets.json", asJson({ ...secrets, apiKey }));
    return fine({ folder, fresh, secrets, path, write, keepApiKey });
  } catch (error) {
    return complain(
      `The state folder ${folder} cannot be used: ${reasonOf(error)}`,
      "Make it writable, or name another one with --state.",
    );
  }
}

/** What a file holds: one of an earlier version has no keyring. */
type FoundSecrets = Omit<Secrets, "keyring"> & { readonly keyring?: string };

/** Null if it is not what was written. */
export function parseSecrets(text: string): FoundSecrets | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  const { serverKey, keyring, rootKey, apiKey } = value as Record<string, unknown>;
  if (typeof serverKey !== "string" || typeof rootKey !== "string") return null;
  if (keyring !== undefined && typeof keyring !== "string") return null;
  if (apiKey !== undefined && typeof apiKey !== "string") return null;
  return {
    serverKey,
    rootKey,
    ...(keyring === undefined ? {} : { keyring }),
    ...(apiKey === undefined ? {} : { apiKey }),
  };
}

function newSecret(): string {
  return randomBytes(SECRET_BYTES).toString("base64url");
}

function asJson(secrets: Secrets): string {
  return `${JSON.stringify(secrets, null, 2)}\n`;
}
