/**
 * Signing what we send, and changing keys while receivers still hold the old one. Pure but for WebCrypto. Owns which keys of an
 * endpoint sign at a time; how they sign is `schemes/standard-keys.ts`.
 *
 * - O1 every message is signed with every key that signs at the time, so a receiver that knows one of them accepts it.
 * - O2 an endpoint always has a key that signs: the newest one never ends.
 * - O3 a key that has ended signs nothing any more, whenever that is looked at.
 */
import { signStandard, type StandardMessage } from "../schemes/standard-keys.ts";

/** Keys that sign at one time: a change that comes before the last one is over ends the oldest. */
const MAX_KEYS = 3;

export interface SigningKey {
  /** Id of it; the text stands sealed elsewhere. */
  readonly id: string;
  readonly madeAt: number;
  /** It signs until then; null: it is the newest, and has no end. */
  readonly until: number | null;
}

/** The keys that sign at a time, newest first (O3). */
export function signingKeys(keys: readonly SigningKey[], nowMs: number): SigningKey[] {
  return keys.filter(({ until }) => until === null || nowMs < until).sort((a, b) => b.madeAt - a.madeAt);
}

/**
 * The keys after a new one was made. Those before it go on until the overlap is over, or until they would have ended anyway.
 * @param overlapMs 0: they end at once, because somebody else knows them
 */
export function rotateKeys(
  keys: readonly SigningKey[],
  id: string,
  nowMs: number,
  overlapMs: number,
): SigningKey[] {
  const ending = signingKeys(keys, nowMs)
    .map((key) => ({ ...key, until: Math.min(key.until ?? Infinity, nowMs + overlapMs) }))
    .filter(({ until }) => until > nowMs);
  return [{ id, madeAt: nowMs, until: null }, ...ending.slice(0, MAX_KEYS - 1)];
}

/**
 * The headers of a message, signed with all keys that sign at the time it is sent (O1).
 * @param texts `whsec_` and `whsk_` by the ids of the keys. Throws a TypeError if one is missing, or cannot sign.
 */
export async function signMessage(
  message: StandardMessage,
  keys: readonly SigningKey[],
  texts: ReadonlyMap<string, string>,
): Promise<Record<string, string>> {
  const signing = signingKeys(keys, message.sentAt).map(({ id }) => {
    const text = texts.get(id);
    if (text === undefined) throw new TypeError("A key that signs is not at hand.");
    return text;
  });
  return signStandard(message, signing);
}
