/** What the functions of this room need from whoever wires them. */
import type { Logger } from "../platform/index.ts";
import type { Policy } from "./identity.ts";
import type { KeyCache } from "./key-cache.ts";
import type { SeenCache } from "./seen-cache.ts";
import type { Places } from "./places.ts";
import type { TenantCache } from "./tenant-cache.ts";
import type { TenantSettings } from "./settings-store.ts";
import type { TrustedIssuer } from "./trusted-issuer.ts";
import type { KeySource } from "./trusted-keys.ts";
import { isToken } from "./token-text.ts";

const MIN_ROOT_KEY_CHARS = 32;

export interface AccessDeps {
  readonly db: D1Database;
  /** One for each isolate: `createKeyCache`. */
  readonly cache: KeyCache;
  /** One for each isolate: `createTenantCache`. Null: the tenant has no policy. */
  readonly policies: TenantCache<Policy | null>;
  /** One for each isolate: `createTenantCache`. */
  readonly settings: TenantCache<TenantSettings>;
  /** One for each isolate: `createPlaces`. */
  readonly places: Places;
  /** From `checkRootKey`. */
  readonly rootKey: string | null;
  /** Null: the deployment does not know its own address, so no token can be for it. */
  readonly trust: TrustDeps | null;
  readonly log: Logger;
  /** Lets work go on after the answer: `ctx.waitUntil`. */
  readonly defer: (work: Promise<unknown>) => void;
}

/** What is needed to take tokens of other issuers. One for each isolate. */
export interface TrustDeps {
  /** `https://<host>`: our own. */
  readonly origin: string;
  readonly keys: KeySource;
  readonly known: SeenCache<TrustedIssuer>;
  /** Callers that were noted lately. */
  readonly noted: SeenCache<true>;
  /** Whether a text is the https address of a public host that is not ours. */
  readonly isAddress: (url: string) => boolean;
}

/** The root key as configured; null if it is unset. Throws a TypeError for one that could be guessed or confused. */
export function checkRootKey(variable: string | undefined): string | null {
  if (variable === undefined || variable === "") return null;
  if (
    variable.length < MIN_ROOT_KEY_CHARS ||
    !/^[!-~]+$/.test(variable) ||
    variable.startsWith("sck_") ||
    isToken(variable)
  ) {
    throw new TypeError(
      `ROOT_API_KEY must have at least ${MIN_ROOT_KEY_CHARS} visible ASCII characters and not look like an API key (sck_) or a JWT.`,
    );
  }
  return variable;
}
