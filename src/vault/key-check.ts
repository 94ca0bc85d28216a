/**
 * The known answers: before an isolate seals anything under a key, it proves that its key of this name is the one by which
 * the name is known. Owns what the isolate knows of that. Does not own the records (keys-store.ts).
 *
 * - C1 nothing is sealed under a key that has not opened its known answer in this isolate, or that was dropped.
 * - C2 what was proved stays proved; only whether the key was dropped is asked again, and is believed to be as it was while
 *   the database is away: a token that was refreshed must be kept then, too.
 * - C3 `sealed_at` lags behind what an isolate seals by less than FRESH_MS and COARSE_MS together: what was sealed before
 *   that is in its record, and an isolate that slept asks before it seals.
 * - C4 a wrong keyring is told loudly, each time.
 */
import { inTime, type Logger } from "../platform/index.ts";
import { openUnder, parseSealed, type Place, sealUnder } from "./envelope.ts";
import { VaultError } from "./faults.ts";
import type { Keyring } from "./keyring.ts";
import { ensureKey, type KeyRecord, noteSealing } from "./keys-store.ts";

/** How long an isolate seals before it asks again whether the key was dropped. */
export const FRESH_MS = 60_000;
/** How coarse `sealed_at` is. */
export const COARSE_MS = 2 * 60_000;
const NEVER_ASKED = Number.NEGATIVE_INFINITY;
/** A database that takes longer is away. */
const PATIENCE_MS = 5_000;
/** PERSISTED CONTRACT. */
const ANSWER = "showcaller vault key check 1";

/** Whether the key of a name here is the one that is known by it. `unknown`: the database is away. */
export type Proof = "passed" | "failed" | "unknown";

export interface KeyCheck {
  /** Returns if the key may seal now. Throws a VaultError, and nothing may be written then. */
  admit(keyring: Keyring, kid: string): Promise<void>;
  /** Makes the known answer if there is none, and tries the key on it. `failed` is logged. Never throws. */
  prove(keyring: Keyring, kid: string): Promise<Proof>;
}

export interface KeyCheckDeps {
  readonly db: D1Database;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** One for each isolate. */
export function createKeyCheck({ db, log, now }: KeyCheckDeps): KeyCheck {
  /** Of each key that was proved, when it was last asked whether it may seal. */
  const proved = new WeakMap<Keyring, Map<string, number>>();

  function provedOf(keyring: Keyring): Map<string, number> {
    const known = proved.get(keyring) ?? new Map<string, number>();
    proved.set(keyring, known);
    return known;
  }

  /** C1. Returns once the key has opened its known answer. */
  async function proveNow(keyring: Keyring, kid: string): Promise<void> {
    const key = await keyring.wrapping(kid);
    if (key === null) throw new TypeError("A key is checked that the keyring does not have.");
    const place = placeOf(kid);
    const fresh = await sealUnder(key, kid, place, ANSWER);
    const record = await reach(() => ensureKey(db, kid, fresh, now()));
    const sealed = parseSealed(record.checkValue);
    const opened = sealed === null || sealed.kid !== kid ? null : await openUnder(key, place, sealed);
    if (opened === ANSWER) {
      provedOf(keyring).set(kid, provedOf(keyring).get(kid) ?? NEVER_ASKED);
      return;
    }
    log.error("vault.wrong_keyring", { kid, since: record.createdAt });
    throw new VaultError(
      "wrong_keyring",
      `The key "${kid}" of KEYRING is not the one that is known by this name.`,
    );
  }

  /** C3. A record that is gone (the database was put back to an earlier time) is made anew. */
  async function noted(keyring: Keyring, kid: string, at: number): Promise<KeyRecord> {
    const record = await reach(() => noteSealing(db, kid, at, at - COARSE_MS));
    if (record !== null) return record;
    await proveNow(keyring, kid);
    const again = await reach(() => noteSealing(db, kid, at, at - COARSE_MS));
    if (again === null) throw new VaultError("unavailable", "The record of a key of the vault is gone.");
    return again;
  }

  async function reach<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await inTime(work, PATIENCE_MS);
    } catch (error) {
      throw new VaultError("unavailable", "The keys of the vault could not be checked just now.", error);
    }
  }

  return {
    async admit(keyring, kid) {
      const before = provedOf(keyring).get(kid);
      if (before !== undefined && now() - before < FRESH_MS) return;
      try {
        if (before === undefined) await proveNow(keyring, kid);
        const askedAt = now();
        const { droppedAt } = await noted(keyring, kid, askedAt);
        if (droppedAt !== null) {
          log.error("vault.key_dropped", { kid, droppedAt });
          throw new VaultError("key_dropped", `The key "${kid}" was dropped: nothing is sealed under it.`);
        }
        provedOf(keyring).set(kid, askedAt);
      } catch (error) {
        const away = error instanceof VaultError && error.code === "unavailable";
        if (!away || before === undefined || before === NEVER_ASKED) throw error;
        log.warn("vault.key_not_asked_again", { kid, error });
      }
    },
    async prove(keyring, kid) {
      if (provedOf(keyring).has(kid)) return "passed";
      try {
        await proveNow(keyring, kid);
        return "passed";
      } catch (error) {
        if (error instanceof VaultError && error.code === "wrong_keyring") return "failed";
        log.error("vault.key_not_checked", { kid, error });
        return "unknown";
      }
    },
  };
}

function placeOf(kid: string): Place {
  return { purpose: "vault.key_check", tenant: "", record: kid, field: "answer", version: 1 };
}
