/** What the functions of this room need from whoever wires them. */
import type { Logger } from "../platform/index.ts";
import type { KeyCache } from "./key-cache.ts";
import type { PolicyCache } from "./policy-cache.ts";

const MIN_ROOT_KEY_CHARS = 32;

export interface AccessDeps {
  readonly db: D1Database;
  /** One for each isolate: `createKeyCache`. */
  readonly cache: KeyCache;
  /** One for each isolate: `createPolicyCache`. */
  readonly policies: PolicyCache;
  /** From `checkRootKey`. */
  readonly rootKey: string | null;
  readonly log: Logger;
  /** Lets work go on after the answer: `ctx.waitUntil`. */
  readonly defer: (work: Promise<unknown>) => void;
}

/** The root key as configured; null if it is unset. Throws a TypeError for one that could be guessed or confused. */
export function checkRootKey(variable: string | undefined): string | null {
  if (variable === undefined || variable === "") return null;
  if (variable.length < MIN_ROOT_KEY_CHARS || !/^[!-~]+$/.test(variable) || variable.startsWith("sck_")) {
    throw new TypeError(
      `ROOT_API_KEY must have at least ${MIN_ROOT_KEY_CHARS} visible ASCII characters and not begin like an API key (sck_).`,
    );
  }
  return variable;
}
