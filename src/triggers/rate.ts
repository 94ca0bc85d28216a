/** The rate of a hook: a bucket of tokens that fills evenly. Pure; who keeps the bucket is not said here. */

export interface Rate {
  /** Deliveries per minute, in the long run. */
  readonly perMinute: number;
  /** Deliveries at once. */
  readonly burst: number;
}

export interface Bucket {
  /** At most the burst; fractions count. */
  readonly tokens: number;
  /** Milliseconds since 1970. */
  readonly at: number;
}

export interface Taken {
  readonly bucket: Bucket;
  /** Milliseconds until there is a token; 0: one was taken. */
  readonly waitMs: number;
}

const MINUTE_MS = 60_000;

/**
 * Takes a token if there is one.
 * @param bucket null: nobody has asked yet, so it is full
 */
export function takeToken(bucket: Bucket | null, { perMinute, burst }: Rate, nowMs: number): Taken {
  // A clock that goes back fills nothing, and is not waited for either.
  const passed = bucket === null ? 0 : Math.max(0, nowMs - bucket.at);
  // A rate that was lowered meanwhile holds at once.
  const tokens = bucket === null ? burst : Math.min(burst, bucket.tokens + (passed * perMinute) / MINUTE_MS);
  if (tokens >= 1) return { bucket: { tokens: tokens - 1, at: nowMs }, waitMs: 0 };
  return {
    bucket: { tokens, at: nowMs },
    waitMs: Math.max(1, Math.ceil(((1 - tokens) * MINUTE_MS) / perMinute)),
  };
}
