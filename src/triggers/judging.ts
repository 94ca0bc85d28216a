/**
 * What becomes of one delivery to a hook: refused, answered, held back, filtered, or a run. Pure but for WebCrypto: the hook, its
 * active secrets and the time are arguments, its bucket is a port. Does not own storage, and does not know whether the run is
 * there already: `key` makes the id of the run, so a copy of a delivery finds the run of the first one.
 *
 * - H1 nothing of a delivery is looked at, counted or evaluated before its signature was found right.
 * - H2 the key of a run is made of the delivery's key alone: of two copies one run comes, whatever else of them differs.
 * - H3 an expression sees the body, id, event, times, and the headers that the hook names: never one that proves who sends.
 * - H4 the sender is told one of four things; why it was refused stands in the log only.
 */
import type { Json } from "../kernel/index.ts";
import type { Result } from "../platform/index.ts";
import type { Rate } from "./rate.ts";
import type { Arrival, Handshake, SchemeFault, SchemeSettings, Secret } from "./schemes/scheme.ts";
import { maySee } from "./schemes/values.ts";
import { type Genuine, verifyDelivery } from "./schemes/verify.ts";

/** Bytes of a body that any hook may have. */
export const MAX_BODY_BYTES = 1_048_576;
const MAX_TOLD_CHARS = 2_048;

/** What of a hook decides about deliveries. */
export interface HookRules {
  readonly scheme: SchemeSettings;
  readonly paused: boolean;
  readonly maxBodyBytes: number;
  /** Null: no limit. */
  readonly rate: Rate | null;
  /** An expression; null: every delivery is wanted. */
  readonly filter: string | null;
  /** The input of the run, with expressions in its texts; undefined: the body. */
  readonly input: Json | undefined;
  /** Headers that expressions see, in lower case. */
  readonly headers: readonly string[];
}

/** Expressions over one value, which they see as `input`. A fault says what is wrong in words, and quotes no value. */
export interface Expressions {
  condition(text: string, input: Json): Result<boolean, string>;
  filled(template: Json, input: Json): Result<Json, string>;
}

export type Refused = SchemeFault | "paused" | "maker_revoked" | "body_too_large";

export type Judged =
  | { readonly outcome: "refused"; readonly code: Refused }
  | { readonly outcome: "handshake"; readonly genuine: Genuine; readonly answer: Handshake }
  | { readonly outcome: "limited"; readonly genuine: Genuine; readonly waitMs: number }
  | { readonly outcome: "filtered"; readonly genuine: Genuine }
  | {
      readonly outcome: "failed";
      readonly genuine: Genuine;
      readonly code: "filter_failed" | "input_failed";
      readonly detail: string;
    }
  | {
      readonly outcome: "accepted";
      readonly genuine: Genuine;
      /** The idempotency key of the run, for `runIdOf` with the kind `hook` and the hook's id. */
      readonly key: string;
      readonly input: Json;
    };

export interface JudgePorts {
  readonly expressions: Expressions;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
  /** Whether who made the hook may still act. */
  readonly makerStands: boolean;
  /**
   * Takes a token out of the hook's bucket: the milliseconds until there is one, 0 if it was taken. Asked for genuine deliveries
   * to hooks that have a rate.
   */
  readonly take: (rate: Rate) => Promise<number>;
  /** For deliveries that nothing tells from copies of them: a text that was never used. */
  readonly unique: () => string;
}

export async function judgeDelivery(
  hook: HookRules,
  secrets: readonly Secret[],
  arrival: Arrival,
  { expressions, nowMs, makerStands, take, unique }: JudgePorts,
): Promise<Judged> {
  const refused = (code: Refused) => ({ outcome: "refused", code }) as const;
  if (arrival.body.byteLength > Math.min(hook.maxBodyBytes, MAX_BODY_BYTES)) return refused("body_too_large");
  // H1.
  const verified = await verifyDelivery(hook.scheme, arrival, secrets, nowMs);
  if (!verified.ok) return refused(verified.error);
  const genuine = verified.value;
  if (genuine.handshake !== null) return { outcome: "handshake", genuine, answer: genuine.handshake };
  if (hook.paused) return refused("paused");
  if (!makerStands) return refused("maker_revoked");
  const waitMs = hook.rate === null ? 0 : await take(hook.rate);
  if (waitMs > 0) return { outcome: "limited", genuine, waitMs };
  const key = genuine.key ?? `once:${unique()}`;
  return evaluateDelivery(hook, arrival, genuine, key, { expressions, nowMs });
}

/** What the hook makes of a delivery that is genuine, now or when it came. */
export function evaluateDelivery(
  hook: HookRules,
  arrival: Arrival,
  genuine: Genuine,
  key: string,
  { expressions, nowMs }: Pick<JudgePorts, "expressions" | "nowMs">,
): Judged {
  const told = toldOf(hook, arrival, genuine, nowMs);
  if (hook.filter !== null) {
    const wanted = expressions.condition(hook.filter, told);
    if (!wanted.ok) return { outcome: "failed", genuine, code: "filter_failed", detail: wanted.error };
    if (!wanted.value) return { outcome: "filtered", genuine };
  }
  if (hook.input === undefined) return { outcome: "accepted", genuine, key, input: genuine.payload };
  const filled = expressions.filled(hook.input, told);
  if (!filled.ok) return { outcome: "failed", genuine, code: "input_failed", detail: filled.error };
  return { outcome: "accepted", genuine, key, input: filled.value };
}

/** What expressions see of a delivery (H3). */
function toldOf(hook: HookRules, { headers }: Arrival, genuine: Genuine, nowMs: number): Json {
  const { id, event, signedAt, payload } = genuine;
  const seen = hook.headers
    .filter((name) => maySee(hook.scheme, name))
    .map((name) => [name, headers.get(name)] as const)
    .filter(([, value]) => value === null || value.length <= MAX_TOLD_CHARS);
  return { id, event, signedAt, receivedAt: nowMs, headers: Object.fromEntries(seen), body: payload };
}

/**
 * The key of the run that a person asks for anew: another run for each number, the same one for the same number.
 * PERSISTED CONTRACT, as the key of the delivery is.
 */
export function redeliveryKey(key: string, number: number): string {
  return `again:${number}:${key}`;
}

/** What the sender is told (H4). */
export type Told =
  | { readonly status: 202 | 404 }
  | { readonly status: 429; readonly retryAfterS: number }
  | Handshake;

/** A hook that is not there is answered as one that refuses. */
export const NOT_THERE: Told = { status: 404 };

export function answerOf(judged: Judged): Told {
  switch (judged.outcome) {
    case "refused":
      return NOT_THERE;
    case "handshake":
      return judged.answer;
    case "limited":
      return { status: 429, retryAfterS: Math.ceil(judged.waitMs / 1_000) };
    // A delivery again would fail again: it is kept, and a person can have it delivered anew.
    case "failed":
    case "filtered":
    case "accepted":
      return { status: 202 };
  }
}
