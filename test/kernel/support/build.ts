/** Graphs for tests: steps with every default filled in, and the ends that an attempt can have. */

import {
  limits,
  resolveRetry,
  type AttemptEnd,
  type Effect,
  type FailureCode,
  type FailureSeed,
  type Graph,
  type Json,
  type CloudNeed,
  type CloudReason,
  type ConnectionNeed,
  type NeedReason,
  type Outcome,
  type Performance,
  type RetryPolicy,
  type StepDef,
  type Verify,
} from "../../../src/kernel/index.ts";

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** Without jitter, so that tests can say when a retry is due. */
export function retry(policy: Partial<RetryPolicy> = {}): RetryPolicy {
  return resolveRetry({ jitter: "none", ...policy });
}

export function performance(effect: Effect, over: Partial<Performance> = {}): Performance {
  return {
    action: "test",
    with: null,
    effect,
    retry: retry(),
    timeoutMs: MINUTE,
    keyTtlMs: limits.KEY_TTL_MS,
    ...over,
  };
}

export function verify(over: Partial<Verify> = {}): Verify {
  return { ...performance("safe"), afterMs: limits.VERIFY_AFTER_MS, ...over };
}

export function call(name: string, effect: Effect = "safe", over: Partial<StepDef> = {}): StepDef {
  return {
    ...performance(effect),
    name,
    kind: "call",
    needs: [],
    join: "all",
    part: "main",
    unknownLimitMs: limits.UNKNOWN_LIMIT_MS,
    ...over,
  };
}

export function sleep(name: string, over: Partial<StepDef> = {}): StepDef {
  return call(name, "safe", { kind: "timer", ...over });
}

export function wait(name: string, signal: string, over: Partial<StepDef> = {}): StepDef {
  return call(name, "safe", { kind: "signal", signal, ...over });
}

export function approval(name: string, over: Partial<StepDef> = {}): StepDef {
  return call(name, "safe", { kind: "approval", ...over });
}

/** A call that somebody must approve within an hour. */
export function gated(name: string, effect: Effect = "keyed", over: Partial<StepDef> = {}): StepDef {
  return call(name, effect, { approval: { limitMs: HOUR }, ...over });
}

export function instant(name: string, over: Partial<StepDef> = {}): StepDef {
  return call(name, "safe", { kind: "instant", ...over });
}

export function graph(steps: readonly StepDef[], over: Partial<Graph> = {}): Graph {
  return {
    steps,
    deadlineMs: limits.RUN_DEADLINE_MS,
    undoBudgetMs: limits.UNDO_BUDGET_MS,
    idleLimitMs: limits.IDLE_LIMIT_MS,
    ...over,
  };
}

export function seed(code: FailureCode): FailureSeed {
  return { code, message: `it was ${code}`, hint: "look", retryable: true };
}

export function need(reason: NeedReason = "missing", over: Partial<ConnectionNeed> = {}): ConnectionNeed {
  return { kind: "connection", integration: "google", reason, limitMs: DAY, recheckMs: MINUTE, ...over };
}

export function cloudNeed(reason: CloudReason = "unavailable", over: Partial<CloudNeed> = {}): CloudNeed {
  return { kind: "cloud", role: "writer", reason, limitMs: HOUR, recheckMs: SECOND, ...over };
}

export const ends = {
  success: (output: Json = "ok", more?: readonly StepDef[]): AttemptEnd => ({
    kind: "success",
    output: { v: output },
    ...(more === undefined ? {} : { more }),
  }),
  again: (output: Json = "not yet"): AttemptEnd => ({ kind: "success", output: { v: output }, again: true }),
  happened: (happened: boolean | null, output: Json = "it did"): AttemptEnd => ({
    kind: "success",
    output: { v: output },
    happened,
  }),
  refused: (code: FailureCode = "http_429", retryAfterMs?: number): AttemptEnd => ({
    kind: "refused",
    failure: seed(code),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  }),
  unclear: (code: FailureCode = "http_500"): AttemptEnd => ({ kind: "unclear", failure: seed(code) }),
  cannot: (code: FailureCode = "http_422"): AttemptEnd => ({ kind: "cannot", failure: seed(code) }),
  needs: (reason: NeedReason = "rejected", over: Partial<ConnectionNeed> = {}): AttemptEnd => ({
    kind: "needs",
    need: need(reason, over),
  }),
  child: (generation = 1, limitMs = DAY): AttemptEnd => ({
    kind: "child",
    run: "run_2",
    generation,
    limitMs,
  }),
  childFailed: (generation = 1, left: Outcome = "not_done"): AttemptEnd => ({
    kind: "child_failed",
    run: "run_2",
    generation,
    failure: seed("child_failed"),
    left,
  }),
  unusable: (code: FailureCode = "output_invalid"): AttemptEnd => ({ kind: "unusable", failure: seed(code) }),
} as const;
