/** Random graphs with every feature of the kernel, small enough that a run of one ends in some hundred inputs. */

import * as fc from "fast-check";
import {
  EFFECTS,
  JOINS,
  limits,
  resolveRetry,
  JITTERS,
  type FailureCode,
  type Graph,
  type OnStepFailure,
  type Performance,
  type StepDef,
  type Verify,
} from "../../../src/kernel/index.ts";
import { DAY, HOUR, MINUTE, SECOND } from "./build.ts";

export const SIGNALS = ["go", "stop"] as const;

const retry = fc
  .record({
    attempts: fc.integer({ min: 1, max: 4 }),
    initialMs: fc.constantFrom(0, 100, SECOND),
    factor: fc.constantFrom(1, 2),
    jitter: fc.constantFrom(...JITTERS),
    maxElapsedMs: fc.constantFrom(SECOND, 10 * MINUTE, HOUR),
    only: fc.option(fc.constant<FailureCode[]>(["http_429", "http_422"]), { nil: undefined, freq: 9 }),
    never: fc.option(fc.constant<FailureCode[]>(["http_500"]), { nil: undefined, freq: 9 }),
  })
  .map(({ only, never, ...rest }) =>
    resolveRetry({
      ...rest,
      ...(only === undefined ? {} : { only }),
      ...(never === undefined ? {} : { never }),
    }),
  );

const performing = fc.record({
  action: fc.constant("test"),
  with: fc.constant(null),
  retry,
  timeoutMs: fc.constantFrom(SECOND, MINUTE),
  keyTtlMs: fc.constantFrom(SECOND, limits.KEY_TTL_MS),
});

const compensation: fc.Arbitrary<Performance> = fc
  .tuple(performing, fc.constantFrom("idempotent", "keyed", "once"))
  .map(([rest, effect]) => ({ ...rest, effect }));

const verification: fc.Arbitrary<Verify> = fc
  .tuple(performing, fc.constantFrom(0, 5 * SECOND))
  .map(([rest, afterMs]) => ({ ...rest, effect: "safe", afterMs }));

const onFailure: fc.Arbitrary<OnStepFailure | undefined> = fc.oneof(
  { weight: 3, arbitrary: fc.constant(undefined) },
  { weight: 3, arbitrary: fc.constantFrom("fail", "continue", "continue") },
  { weight: 1, arbitrary: fc.constant({ fallback: "instead" }) },
);

/** What a step is before it has a name and needs; `pick` says which earlier steps it needs. */
interface Raw {
  readonly step: StepDef;
  readonly pick: readonly number[];
}

const raw: fc.Arbitrary<Raw> = fc
  .record({
    performing,
    effect: fc.constantFrom(...EFFECTS, "keyed" as const, "once" as const),
    kind: fc.constantFrom(
      ...(["call", "call", "call", "call", "call", "call"] as const),
      ...(["timer", "signal", "approval", "instant"] as const),
    ),
    gateMs: fc.option(fc.constantFrom(MINUTE, DAY), { freq: 4 }),
    shape: fc.constantFrom("plain", "plain", "forEach", "repeat"),
    join: fc.constantFrom(...JOINS, "all" as const),
    when: fc.boolean(),
    verify: fc.option(verification),
    compensate: fc.option(compensation),
    onFailure,
    concurrency: fc.integer({ min: 1, max: 3 }),
    tolerate: fc.integer({ min: 0, max: 1 }),
    max: fc.integer({ min: 1, max: 3 }),
    unknownLimitMs: fc.constantFrom(MINUTE, limits.UNKNOWN_LIMIT_MS),
    signal: fc.constantFrom(...SIGNALS),
    pick: fc.array(fc.nat({ max: 5 }), { maxLength: 3 }),
  })
  .map((made): Raw => {
    const call = made.kind === "call";
    const effect = call ? made.effect : "safe";
    const repeated = call && made.shape === "repeat" && effect !== "once";
    const each = made.shape === "forEach" && (call || made.kind === "instant");
    const changes = effect !== "safe";
    const undoable = changes && !(effect === "keyed" && repeated);
    return {
      pick: made.pick,
      step: {
        ...made.performing,
        name: "",
        effect,
        kind: made.kind,
        needs: [],
        join: made.join,
        part: "main",
        unknownLimitMs: made.unknownLimitMs,
        ...(made.when ? { when: "maybe" } : {}),
        ...(made.kind === "signal" ? { signal: made.signal } : {}),
        ...(call && made.gateMs !== null ? { approval: { limitMs: made.gateMs } } : {}),
        ...(each ? { forEach: { list: null, concurrency: made.concurrency, tolerate: made.tolerate } } : {}),
        ...(repeated
          ? { repeat: { until: null, everyMs: 2 * SECOND, max: made.max, withinMs: 5 * MINUTE } }
          : {}),
        ...(changes && made.verify !== null ? { verify: made.verify } : {}),
        ...(undoable && made.compensate !== null ? { compensate: made.compensate } : {}),
        ...(made.onFailure === undefined ? {} : { onFailure: made.onFailure }),
      },
    };
  });

function named(raws: readonly Raw[], prefix: string): StepDef[] {
  const names = raws.map((_, i) => `${prefix}${i}`);
  return raws.map(({ step, pick }, i) => ({
    ...step,
    name: `${prefix}${i}`,
    needs: [...new Set(pick.filter((at) => at < i))].map((at) => names[at] ?? ""),
  }));
}

export const graphs: fc.Arbitrary<Graph> = fc
  .record({
    main: fc.array(raw, { minLength: 1, maxLength: 6 }),
    after: fc.array(raw, { maxLength: 2 }),
    deadlineMs: fc.constantFrom(2 * HOUR, 30 * DAY, 30 * DAY),
    undoBudgetMs: fc.constantFrom(2 * HOUR, DAY),
    idleLimitMs: fc.constantFrom(MINUTE, DAY),
  })
  .map(({ main, after, ...rest }) => ({
    ...rest,
    steps: [
      ...named(main, "m"),
      ...named(after, "f").map(({ compensate: _compensate, ...step }) => ({
        ...step,
        part: "on_failure" as const,
      })),
    ],
  }));

/** Steps to be added to a run: they may need some that are there. */
export function grown(seed: readonly Raw[], have: readonly string[], prefix: string): StepDef[] {
  return seed.map(({ step, pick }, i) => ({
    ...step,
    name: `${prefix}_${i}`,
    needs: [...new Set(pick.map((at) => have[at]).filter((name) => name !== undefined))],
  }));
}

export const growths: fc.Arbitrary<readonly Raw[]> = fc.array(raw, { minLength: 1, maxLength: 2 });
export type Growth = readonly Raw[];
