/** What tells two payloads apart: one idempotency key means one payload. */

import { sha256 } from "@noble/hashes/sha2.js";
import type { Json } from "../kernel/index.ts";
import { canonicalJson, hex } from "../platform/index.ts";

/**
 * SHA-256 of the canonical JSON, in hex. Synchronous, as a turn of the kernel is: WebCrypto's digest is not.
 * Throws a TypeError for what canonical JSON cannot hold: halves of surrogate pairs, nesting beyond 256 levels.
 */
export function digestOf(parameters: Json): string {
  return hex(sha256(new TextEncoder().encode(canonicalJson(parameters))));
}

/** The payload of a function is made while it runs, so there is nothing to tell apart. */
export const CODE_DIGEST = "code";
