/** Retry policies: resolved once, when the run starts; asked after every attempt. */

import type { FailureCode } from "./failures.ts";
import { MAX_ATTEMPTS } from "./limits.ts";

export const JITTERS = ["full", "equal", "none"] as const;
export type Jitter = (typeof JITTERS)[number];

/** PERSISTED CONTRACT. A policy with every default filled in. Times in milliseconds. */
export interface RetryPolicy {
  /** Attempts in all, the first included. */
  readonly attempts: number;
  readonly initialMs: number;
  readonly factor: number;
  readonly capMs: number;
  readonly jitter: Jitter;
  /** Of all attempts and the waits between them; time paused, parked, queued or unknown does not count. */
  readonly maxElapsedMs: number;
  /** Only these failures are retried. */
  readonly only?: readonly FailureCode[];
  /** These failures are not retried. */
  readonly never?: readonly FailureCode[];
}

export const DEFAULT_RETRY: RetryPolicy = {
  attempts: 5,
  initialMs: 1_000,
  factor: 2,
  capMs: 5 * 60_000,
  jitter: "full",
  maxElapsedMs: 60 * 60_000,
};

/** Fills in every default. The bounds are checked where definitions are checked (`lints.ts`). */
export function resolveRetry(policy: Partial<RetryPolicy> = {}): RetryPolicy {
  return { ...DEFAULT_RETRY, ...policy };
}

/** The wait before attempt `made + 1`, before jitter. */
function backoffMs(policy: RetryPolicy, made: number): number {
  // Past 2^60 the cap has long won; the bound keeps a wild factor from overflowing.
  const growth = Math.min(policy.factor ** Math.min(made - 1, MAX_ATTEMPTS), 2 ** 60);
  return Math.min(policy.capMs, policy.initialMs * growth);
}

/**
 * The wait before the next attempt, in whole milliseconds.
 * `retryAfterMs`, what the service asked for, is a lower bound (RFC 9110, section 10.2.3).
 * @param made attempts made so far, at least 1
 * @param random in [0, 1)
 */
export function delayMs(policy: RetryPolicy, made: number, random: number, retryAfterMs = 0): number {
  const full = backoffMs(policy, made);
  const jittered =
    policy.jitter === "none"
      ? full
      : policy.jitter === "equal"
        ? full / 2 + (full / 2) * random
        : full * random;
  return Math.ceil(Math.max(jittered, retryAfterMs));
}

/** Whether the policy retries this failure at all. */
export function retries(policy: RetryPolicy, code: FailureCode): boolean {
  if (policy.only !== undefined && !policy.only.includes(code)) return false;
  return !(policy.never?.includes(code) ?? false);
}

/** The longest time that the waits of a policy can take, Retry-After aside. For definition-time lints. */
export function retryWindowMs(policy: RetryPolicy, timeoutMs: number): number {
  let window = timeoutMs;
  for (let made = 1; made < policy.attempts; made++) {
    window += backoffMs(policy, made) + timeoutMs;
    if (window >= policy.maxElapsedMs + timeoutMs) return policy.maxElapsedMs + timeoutMs;
  }
  return window;
}
