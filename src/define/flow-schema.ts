/**
 * `flow` of a workflow: how many of its runs work at a time, how often one starts, which of many is enough, and who goes first. One
 * form for plans and for TypeScript: keys and priority are expressions, so that they can be checked, shown and compared.
 */
import * as z from "zod";
import { durationSchema, lazy, toMs, type Duration, type Finding } from "../actions/index.ts";
import { limits } from "../kernel/index.ts";
import { accessesOf, parseExpression } from "./expressions/index.ts";
import type { Place } from "./places.ts";

/** As many runs at a time: enough for any service, and few enough to count. */
const MAX_AT_A_TIME = 10_000;
/** The times of that many starts are kept for each key. */
const MAX_STARTS = 1_000;
const MAX_QUEUED = 10_000;
/** Either way. */
export const MAX_PRIORITY = 1_000;
const MAX_CONCURRENCY_LIMITS = 2;
const SECOND_MS = 1_000;
const DAY_MS = 86_400_000;
const PERIOD = { least: SECOND_MS, most: 7 * DAY_MS, words: "from 1 s to 7 d" } as const;
const QUEUE_TIMEOUT = { least: SECOND_MS, most: limits.MAX_QUEUE_MS, words: "from 1 s to 30 d" } as const;
/** What an expression of `flow` can read. */
const READABLE = ["input", "run.user"] as const;

/** Runs of the same value of `key` share the limit; without one all runs of the workflow do. An expression over `input` and `run.user`. */
interface Keyed {
  readonly key?: string;
}

interface ConcurrencySpec extends Keyed {
  readonly limit: number;
}

export interface FlowSpec {
  /** At most so many runs work at a time; those beyond wait. Two limits hold both. */
  readonly concurrency?:
    | ConcurrencySpec
    | readonly [ConcurrencySpec]
    | readonly [ConcurrencySpec, ConcurrencySpec];
  /** At most so many runs begin within a period, wherever that begins. */
  readonly rate?: Keyed & { readonly limit: number; readonly per: Duration };
  /** A run waits until no other of its key has come `for` so long, and at most `max` after the first; only the last one works. */
  readonly debounce?: Keyed & { readonly for: Duration; readonly max?: Duration };
  /** Higher goes first: a number, or an expression over `input` and `run.user` that gives one (0). */
  readonly priority?: number | string;
  /** How many may wait (10,000), and how long each (24 h). */
  readonly queue?: { readonly limit?: number; readonly timeout?: Duration };
}

const key = () =>
  z
    .string()
    .min(1)
    .meta({
      description:
        "An expression over `input` and `run.user`. Runs of the same value share the limit; default: all.",
    })
    .exactOptional();

function build() {
  const limit = z.strictObject({
    limit: z.int().min(1).max(MAX_AT_A_TIME).meta({ description: "Runs at a time." }),
    key: key(),
  });
  return z.strictObject({
    concurrency: z
      .union([limit, z.array(limit).min(1).max(MAX_CONCURRENCY_LIMITS)])
      .meta({ description: "At most so many runs work at a time. Of two limits both hold." })
      .exactOptional(),
    rate: z
      .strictObject({
        limit: z.int().min(1).max(MAX_STARTS).meta({ description: "Runs that begin." }),
        per: durationSchema().meta({ description: "Within so long (1 s to 7 d)." }),
        key: key(),
      })
      .meta({ description: "At most so many runs begin within a period, wherever that begins." })
      .exactOptional(),
    debounce: z
      .strictObject({
        for: durationSchema().meta({ description: "Until no other run of the key has come for so long." }),
        max: durationSchema()
          .meta({ description: "And at most so long after the first (ten times `for`)." })
          .exactOptional(),
        key: key(),
      })
      .meta({
        description: "Of runs that come close together only the last one works; the others end as cancelled.",
      })
      .exactOptional(),
    priority: z
      .union([z.number().min(-MAX_PRIORITY).max(MAX_PRIORITY), z.string().min(1)])
      .meta({
        description:
          "Higher goes first: a number, or an expression over `input` and `run.user` that gives one (0).",
      })
      .exactOptional(),
    queue: z
      .strictObject({
        limit: z
          .int()
          .min(1)
          .max(MAX_QUEUED)
          .meta({ description: "Runs that may wait (10,000)." })
          .exactOptional(),
        timeout: durationSchema().meta({ description: "How long each may wait (24 h)." }).exactOptional(),
      })
      .exactOptional(),
  });
}

export const flowSchema = lazy(build);
export type ReadFlow = z.output<ReturnType<typeof build>>;

/** What is wrong with it, beyond its form. */
export function checkFlow(flow: ReadFlow, at: string): Finding[] {
  const { rate, debounce, queue } = flow;
  const findings = [
    ...expressionsOf(flow).flatMap(([pointer, text]) => checkExpression(text, pointer)),
    ...checkSpan(rate?.per, "/rate/per", PERIOD),
    ...checkSpan(debounce?.for, "/debounce/for", PERIOD),
    ...checkSpan(debounce?.max, "/debounce/max", PERIOD),
    ...checkSpan(queue?.timeout, "/queue/timeout", QUEUE_TIMEOUT),
  ];
  if (debounce?.max !== undefined && toMs(debounce.max) < toMs(debounce.for))
    findings.push({ pointer: "/debounce/max", code: "bad_flow", detail: "It is at least as long as `for`." });
  if (limitsOf(flow).length === 0 && rate === undefined && debounce === undefined)
    findings.push({
      pointer: "",
      code: "bad_flow",
      detail: "It limits nothing: say `concurrency`, `rate` or `debounce`.",
    });
  return findings.map((one) => ({ ...one, pointer: at + one.pointer }));
}

/** What it reads of the input, as places of a plan. */
export function placesIn(flow: ReadFlow): Place[] {
  return expressionsOf(flow).map(([pointer, text]) => ({
    ...{ pointer, expression: text, offset: 0, reads: [] },
  }));
}

/** Each expression, with the pointer to it. */
function expressionsOf(flow: ReadFlow): readonly (readonly [pointer: string, text: string])[] {
  const { concurrency, rate, debounce, priority } = flow;
  const listed = Array.isArray(concurrency);
  const all: readonly (readonly [string, string | number | undefined])[] = [
    ...limitsOf(flow).map(
      (one, i) => [listed ? `/concurrency/${i}/key` : "/concurrency/key", one.key] as const,
    ),
    ["/rate/key", rate?.key],
    ["/debounce/key", debounce?.key],
    ["/priority", priority],
  ];
  return all.flatMap(([pointer, text]) => (typeof text === "string" ? [[pointer, text] as const] : []));
}

export function limitsOf({
  concurrency,
}: ReadFlow): readonly { readonly limit: number; readonly key?: string }[] {
  return concurrency === undefined ? [] : Array.isArray(concurrency) ? concurrency : [concurrency];
}

function checkSpan(
  span: number | string | undefined,
  pointer: string,
  { least, most, words }: { readonly least: number; readonly most: number; readonly words: string },
): Finding[] {
  if (span === undefined) return [];
  const ms = toMs(span);
  return ms >= least && ms <= most ? [] : [{ pointer, code: "bad_duration", detail: `It lasts ${words}.` }];
}

function checkExpression(text: string, pointer: string): Finding[] {
  const expression = text;
  if (text.trimStart().startsWith("${{")) {
    const detail = "Here the whole text is an expression: leave `${{ }}` away.";
    return [{ pointer, code: "expression_wrapped", detail, expression, offset: 0 }];
  }
  const parsed = parseExpression(text);
  if (!parsed.ok)
    return parsed.faults.map(({ code, detail, at, allowed }) => ({
      ...{ pointer, code, detail, expression, offset: at },
      ...(code === "unknown_name" ? { allowed: READABLE } : allowed === undefined ? {} : { allowed }),
    }));
  const refuse = (name: string, offset: number): Finding => ({
    ...{ pointer, code: "unknown_name", expression, offset, allowed: READABLE },
    detail: `\`${name}\` is not there at this place: nothing of the run has begun.`,
  });
  const { references } = parsed.expression;
  return [
    ...references.flatMap(({ root, at }) => (root === "input" || root === "run" ? [] : [refuse(root, at)])),
    ...accessesOf(parsed.expression).flatMap(({ of, key: field, at }) =>
      of.root === "run" && of.keys.length === 0 && field !== "user" ? [refuse(`run.${field}`, at)] : [],
    ),
  ];
}
