/** One step between what an author wrote, in TypeScript or JSON, and the graph: the defaults are filled in here. */

import { toMs } from "../actions/index.ts";
import {
  limits,
  resolveRetry,
  signalOfEvent,
  type Effect,
  type Json,
  type Performance,
  type RetryPolicy,
  type StepDef,
  type StepKind,
  type Verify,
} from "../kernel/index.ts";
import type { RetrySpec } from "./spec-types.ts";

/** Rounds of a `repeat`, and their time, unless the step says otherwise. */
const REPEAT_MAX = 100;
const REPEAT_WITHIN_MS = 24 * 60 * 60_000;

/** A duration as written; what is none becomes NaN, which the kernel's lints report. */
type Span = number | string;

export interface AuthoredPerformance {
  readonly action: string;
  readonly with: Json;
  readonly effect: Effect;
  readonly retry?: AuthoredRetry | undefined;
  readonly timeout?: Span | undefined;
  readonly keyTtl?: Span | undefined;
  readonly connections?: readonly Json[] | undefined;
}

/** `RetrySpec` as JSON has it: a duration is any text. */
interface AuthoredRetry extends Omit<RetrySpec, "initial" | "cap" | "maxElapsed"> {
  readonly initial?: Span;
  readonly cap?: Span;
  readonly maxElapsed?: Span;
}

export interface AuthoredStep extends AuthoredPerformance {
  readonly name: string;
  readonly part: StepDef["part"];
  readonly kind: StepKind;
  readonly needs?: readonly string[] | undefined;
  readonly join?: StepDef["join"] | undefined;
  /** An expression, or true where a function decides. */
  readonly when?: true | string | undefined;
  readonly forEach?:
    | { readonly list?: unknown; readonly concurrency?: number; readonly tolerate?: number }
    | undefined;
  readonly repeat?:
    | { readonly until?: unknown; readonly every: Span; readonly max?: number; readonly within?: Span }
    | undefined;
  readonly verify?:
    | (AuthoredPerformance & { readonly after?: Span | undefined; readonly happened?: string | undefined })
    | undefined;
  readonly compensate?: AuthoredPerformance | undefined;
  readonly onFailure?: StepDef["onFailure"] | undefined;
  readonly signal?: string | undefined;
  readonly event?: string | undefined;
  readonly unknownLimit?: Span | undefined;
  readonly sensitive?: boolean | undefined;
  readonly expressions?: boolean | undefined;
  readonly reads?: StepDef["reads"] | undefined;
}

/** The step as the kernel takes it. Absent stays absent: an appended step is compared with the one that is there. */
export function toStepDef(step: AuthoredStep): StepDef {
  const { when, forEach, repeat, verify, compensate, onFailure, sensitive, reads } = step;
  const { event, signal = event === undefined ? undefined : signalOfEvent(step.name) } = step;
  return {
    name: step.name,
    kind: step.kind,
    part: step.part,
    ...toPerformance(step),
    needs: step.needs ?? [],
    join: step.join ?? "all",
    unknownLimitMs: msOr(step.unknownLimit, limits.UNKNOWN_LIMIT_MS),
    ...(when === undefined ? {} : { when }),
    ...(forEach === undefined
      ? {}
      : {
          forEach: {
            list: textOr(forEach.list),
            concurrency: forEach.concurrency ?? limits.ITEM_CONCURRENCY,
            tolerate: forEach.tolerate ?? 0,
          },
        }),
    ...(repeat === undefined
      ? {}
      : {
          repeat: {
            until: textOr(repeat.until),
            everyMs: toMs(repeat.every),
            max: repeat.max ?? REPEAT_MAX,
            withinMs: msOr(repeat.within, REPEAT_WITHIN_MS),
          },
        }),
    ...(verify === undefined ? {} : { verify: toVerify(verify) }),
    ...(compensate === undefined ? {} : { compensate: toPerformance(compensate) }),
    ...(onFailure === undefined ? {} : { onFailure }),
    ...(signal === undefined ? {} : { signal }),
    ...(event === undefined ? {} : { event }),
    ...(sensitive === true ? { sensitive } : {}),
    ...(step.expressions === true ? { expressions: 1 } : {}),
    ...(reads === undefined ? {} : { reads }),
  };
}

/** An expression as it is; a function is only marked. */
function textOr(expression: unknown): string | true {
  return typeof expression === "string" ? expression : true;
}

function toVerify(verify: NonNullable<AuthoredStep["verify"]>): Verify {
  return {
    ...toPerformance(verify),
    afterMs: msOr(verify.after, limits.VERIFY_AFTER_MS),
    ...(verify.happened === undefined ? {} : { happened: verify.happened }),
  };
}

function toPerformance(step: AuthoredPerformance): Performance {
  return {
    action: step.action,
    with: step.with,
    effect: step.effect,
    retry: toRetry(step.retry),
    timeoutMs: msOr(step.timeout, limits.STEP_TIMEOUT_MS),
    keyTtlMs: msOr(step.keyTtl, limits.KEY_TTL_MS),
    ...(step.connections === undefined ? {} : { connections: step.connections }),
  };
}

function toRetry(given: AuthoredPerformance["retry"]): RetryPolicy {
  const { attempts, initial, factor, cap, jitter, maxElapsed, only, never } = given ?? {};
  return resolveRetry({
    ...(attempts === undefined ? {} : { attempts }),
    ...(initial === undefined ? {} : { initialMs: toMs(initial) }),
    ...(factor === undefined ? {} : { factor }),
    ...(cap === undefined ? {} : { capMs: toMs(cap) }),
    ...(jitter === undefined ? {} : { jitter }),
    ...(maxElapsed === undefined ? {} : { maxElapsedMs: toMs(maxElapsed) }),
    ...(only === undefined ? {} : { only }),
    ...(never === undefined ? {} : { never }),
  });
}

export function msOr(span: Span | undefined, otherwise: number): number {
  return span === undefined ? otherwise : toMs(span);
}
