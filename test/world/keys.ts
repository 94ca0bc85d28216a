/**
 * Idempotency keys as services keep them (draft-ietf-httpapi-idempotency-key-header-06).
 * A key is scoped to service, method and path pattern by the caller.
 *
 * I1 an answer is kept from the moment the deed happened, also when the answer itself never reaches the client;
 * I2 while the first request of a key is at work, others are told so, even if their body differs;
 * I3 only successful answers are kept: a refused request may be corrected and sent again with its key.
 */
import type { Answer } from "./http.ts";

/** How long a key is remembered unless the world was started otherwise. */
export const KEY_TTL_MS = 24 * 60 * 60 * 1000;
/** Longer keys are refused with 400. */
export const MAX_KEY_CHARS = 255;

export interface Kept {
  digest: string;
  answer: Answer;
  at: number;
}

/** After `first` the holder must call `release`, whatever becomes of its request. */
export type Claim =
  | { kind: "first"; release: () => void }
  | { kind: "busy" }
  | { kind: "other_body" }
  | { kind: "replay"; answer: Answer };

export class Keys {
  readonly #kept = new Map<string, Kept>();
  readonly #busy = new Set<string>();

  get size(): number {
    return this.#kept.size;
  }

  claim(scope: string, digest: string, at: number, ttlMs: number): Claim {
    if (this.#busy.has(scope)) return { kind: "busy" };
    const kept = this.#kept.get(scope);
    if (kept !== undefined && at - kept.at < ttlMs) {
      return kept.digest === digest ? { kind: "replay", answer: kept.answer } : { kind: "other_body" };
    }
    this.#busy.add(scope);
    return { kind: "first", release: () => this.#busy.delete(scope) };
  }

  kept(scope: string, kept: Kept): void {
    this.#kept.set(scope, kept);
  }

  forgot(): void {
    this.#kept.clear();
  }
}

/** The key of an `Idempotency-Key` header: an RFC 8941 string or, as most senders do it, bare. Null if it is neither. */
export function parseKey(header: string): string | null {
  const quoted = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/.exec(header);
  const key = quoted?.[1] === undefined ? header : quoted[1].replaceAll(/\\(["\\])/g, "$1");
  if (quoted === null && !/^[\x21\x23-\x7e]+$/.test(key)) return null;
  return key === "" || key.length > MAX_KEY_CHARS ? null : key;
}
