/**
 * The life of a tenant's signing keys: next, active, retired. Pure: which keys there are, and what is due, at a given time.
 * Owns the rules. Does not own the keys themselves (signing.ts), where they are kept, or how they are published.
 *
 * - K1 at most one key is active, and only the active one signs.
 * - K2 a key signs only once it has been published for `aheadMs`: a day in a rotation, so that verifiers which ask rarely know
 *      it; a moment in an emergency, so that none of our own memories hides it; at once if there was none before it.
 * - K3 a retired key stays published until no token that it signed can still be shown, and a day more.
 * - K4 there are at most MAX_KEYS keys. One that was revoked is gone at once, whatever it was.
 */
import { MAX_TTL_S } from "./token.ts";

const HOUR_MS = 60 * 60_000;
const DAY_MS = 24 * HOUR_MS;

export const MAX_KEYS = 4;
/** How long a key signs. */
export const PERIOD_MS = 30 * DAY_MS;
/** How long a key is published before it signs. */
export const AHEAD_MS = DAY_MS;
/** The same after a revocation: longer than an isolate remembers what it published (issuer-documents.ts). */
export const EMERGENCY_AHEAD_MS = 10_000;
/** How long a key is published after it has signed last. */
export const RETIRED_MS = MAX_TTL_S * 1_000 + DAY_MS;

export type KeyState = "next" | "active" | "retired";

/** PERSISTED CONTRACT. Times are milliseconds since 1970. */
export interface SigningKey {
  /** RFC 7638 thumbprint. */
  readonly kid: string;
  /** The public key, as in a JWK. */
  readonly n: string;
  readonly e: string;
  /** Counts the tenant's keys, from 1. */
  readonly number: number;
  readonly state: KeyState;
  /** How long it must have been published before it signs. */
  readonly aheadMs: number;
  readonly madeAt: number;
  /** When it was first known to be published wherever verifiers may look; null: not yet. */
  readonly publishedAt: number | null;
  readonly activeAt: number | null;
  readonly retiredAt: number | null;
}

/** Why a key is made. */
export type Reason = "first" | "rotation" | "emergency";

const AHEAD: Readonly<Record<Reason, number>> = {
  first: 0,
  rotation: AHEAD_MS,
  emergency: EMERGENCY_AHEAD_MS,
};

export function nextKey(
  made: Pick<SigningKey, "kid" | "n" | "e" | "number">,
  reason: Reason,
  now: number,
): SigningKey {
  return {
    ...made,
    state: "next",
    aheadMs: AHEAD[reason],
    madeAt: now,
    publishedAt: null,
    activeAt: null,
    retiredAt: null,
  };
}

/** The one that signs. */
export function activeKey<K extends SigningKey>(keys: readonly K[]): K | undefined {
  return keys.find(({ state }) => state === "active");
}

/** When a key may sign; null: it is not published yet, or has signed. */
export function signsFrom({ state, publishedAt, aheadMs }: SigningKey): number | null {
  return state !== "next" || publishedAt === null ? null : publishedAt + aheadMs;
}

/** When a retired key goes; null: it is none. */
export function goesAt({ retiredAt }: SigningKey): number | null {
  return retiredAt === null ? null : retiredAt + RETIRED_MS;
}

/** What time alone changes: keys that are due sign, retired ones go. The very same list if nothing does. */
export function advanced<K extends SigningKey>(keys: readonly K[], now: number): readonly K[] {
  const kept = keys.filter((key) => (goesAt(key) ?? now + 1) > now);
  const due = kept
    .filter((key) => (signsFrom(key) ?? now + 1) <= now)
    .toSorted((a, b) => (signsFrom(a) ?? 0) - (signsFrom(b) ?? 0))[0];
  if (due === undefined) return kept.length === keys.length ? keys : kept;
  const flipped = kept.map((key): K => {
    if (key.kid === due.kid) return { ...key, state: "active", activeAt: now };
    return key.state === "active" ? { ...key, state: "retired", retiredAt: now } : key;
  });
  // Another may be due as well, after an emergency.
  return advanced(flipped, now);
}

/** The keys that were published at `now`. The very same list if all were before. */
export function publishedNow<K extends SigningKey>(
  keys: readonly K[],
  kids: ReadonlySet<string>,
  now: number,
): readonly K[] {
  const isNew = (key: K): boolean => key.publishedAt === null && kids.has(key.kid);
  return keys.some(isNew) ? keys.map((key) => (isNew(key) ? { ...key, publishedAt: now } : key)) : keys;
}

/** Which key has to be made now; null: none. @param made how many keys there ever were */
export function wantedKey(keys: readonly SigningKey[], made: number, now: number): Reason | null {
  if (keys.length >= MAX_KEYS) return null;
  const active = activeKey(keys);
  const coming = keys.filter(({ state }) => state === "next");
  if (active === undefined) {
    // One that waits for its day is of no help now.
    if (coming.some(({ aheadMs }) => aheadMs < AHEAD_MS)) return null;
    return made === 0 ? "first" : "emergency";
  }
  return coming.length === 0 && rotatesAt(active) <= now ? "rotation" : null;
}

/** Whether a rotation can begin; `later`: retired keys have to go first. */
export function canRotate(keys: readonly SigningKey[]): "yes" | "goes_on" | "later" {
  if (keys.some(({ state }) => state === "next")) return "goes_on";
  return keys.length < MAX_KEYS ? "yes" : "later";
}

/** What is left once a key was taken back. */
export function revoked<K extends SigningKey>(keys: readonly K[], kid: string): readonly K[] {
  return keys.filter((key) => key.kid !== kid);
}

/** When the next thing is due by time alone; null: never. */
export function dueAt(keys: readonly SigningKey[]): number | null {
  const active = activeKey(keys);
  const rotates = active !== undefined && canRotate(keys) === "yes" ? [rotatesAt(active)] : [];
  const times = [...keys.flatMap((key) => [signsFrom(key) ?? [], goesAt(key) ?? []].flat()), ...rotates];
  return times.length === 0 ? null : Math.min(...times);
}

/**
 * What stands after the object was put back to an earlier time, or lost. What was published last counts: no key that was
 * revoked meanwhile comes back. Keys that only the public half is left of do not sign any more, and stay published as others do.
 */
export function restored<K extends SigningKey>(
  own: readonly K[],
  known: readonly SigningKey[],
  bare: (key: SigningKey) => K,
  now: number,
): readonly K[] {
  const left = known.flatMap((key): K[] => {
    const mine = own.find(({ kid }) => kid === key.kid);
    if (mine !== undefined) return [{ ...mine, ...key }];
    if (key.state === "next") return [];
    return [bare({ ...key, state: "retired", retiredAt: key.retiredAt ?? now })];
  });
  if (left.length < MAX_KEYS || activeKey(left) !== undefined) return left;
  // K4. Room for one that signs: the oldest would go first anyway.
  const oldest = left.toSorted((a, b) => a.number - b.number)[0];
  return revoked(left, oldest?.kid ?? "");
}

/** So early that the next key has been published for its day when the period is over. */
function rotatesAt({ activeAt, madeAt }: SigningKey): number {
  return (activeAt ?? madeAt) + PERIOD_MS - AHEAD_MS;
}
