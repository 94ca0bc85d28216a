/**
 * The place of a run in the queue of its workflow, as the definition of the workflow worked it out when the run was started.
 * PERSISTED CONTRACT: runs pin it, and only gain optional fields. Whoever writes it is `src/define/flow.ts`.
 */
import type { Json } from "../../kernel/index.ts";

export const MAX_CONCURRENCY_LIMITS = 2;
/** Of starts in a period: their times are kept one by one. */
const MAX_RATE = 1_000;
const MAX_KEY_CHARS = 64;
const MAX_PERIOD_MS = 7 * 24 * 60 * 60_000;
const MAX_LIMIT = 1_000_000;

/** Keys are digests: nothing of an input is in them. */
export interface Place {
  readonly v: 1;
  readonly concurrency?: readonly { readonly limit: number; readonly key: string }[];
  readonly rate?: { readonly limit: number; readonly perMs: number; readonly key: string };
  readonly debounce?: { readonly forMs: number; readonly maxMs: number; readonly key: string };
  /** Higher first. */
  readonly priority: number;
  readonly maxQueued: number;
}

/** What a place says of every run of the workflow. */
export interface Settings {
  readonly concurrency: readonly number[];
  readonly rate: { readonly limit: number; readonly perMs: number } | null;
  readonly debounce: { readonly forMs: number; readonly maxMs: number } | null;
  readonly maxQueued: number;
}

/** What it says of this one. */
export interface Keys {
  readonly concurrency: readonly string[];
  readonly rate: string | null;
  readonly debounce: string | null;
}

/** Null: no place that this build understands. */
export function readPlace(json: Json): Place | null {
  if (!isObject(json) || json["v"] !== 1) return null;
  const { concurrency, rate, debounce, priority, maxQueued } = json as { readonly [key: string]: unknown };
  if (!isCount(maxQueued) || typeof priority !== "number" || !Number.isFinite(priority)) return null;
  if (
    concurrency !== undefined &&
    !(
      Array.isArray(concurrency) &&
      concurrency.length <= MAX_CONCURRENCY_LIMITS &&
      concurrency.every((one: unknown) => isObject(one) && isCount(one["limit"]) && isKey(one["key"]))
    )
  )
    return null;
  if (rate !== undefined) {
    if (!isObject(rate) || !isCount(rate["limit"]) || rate["limit"] > MAX_RATE) return null;
    if (!isSpan(rate["perMs"]) || !isKey(rate["key"])) return null;
  }
  if (debounce !== undefined) {
    if (!isObject(debounce) || !isSpan(debounce["forMs"]) || !isSpan(debounce["maxMs"])) return null;
    if (!isKey(debounce["key"])) return null;
  }
  // Each of its fields was looked at.
  return json as unknown as Place;
}

export function settingsOf({ concurrency = [], rate, debounce, maxQueued }: Place): Settings {
  return {
    concurrency: concurrency.map(({ limit }) => limit),
    rate: rate === undefined ? null : { limit: rate.limit, perMs: rate.perMs },
    debounce: debounce === undefined ? null : { forMs: debounce.forMs, maxMs: debounce.maxMs },
    maxQueued,
  };
}

export function keysOf({ concurrency = [], rate, debounce }: Place): Keys {
  return {
    concurrency: concurrency.map(({ key }) => key),
    rate: rate?.key ?? null,
    debounce: debounce?.key ?? null,
  };
}

function isObject(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= MAX_LIMIT;
}

function isSpan(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= MAX_PERIOD_MS;
}

function isKey(value: unknown): value is string {
  return typeof value === "string" && value.length <= MAX_KEY_CHARS;
}
