/**
 * The place of a run in the queue of its workflow, worked out when it is started: by `flow` of the workflow, over the run's input and
 * user. Keys leave here as digests, so the queue knows which are the same, and nothing of an input. Pure.
 */
import { digestOf, toMs, type Finding } from "../actions/index.ts";
import { limits, type Json } from "../kernel/index.ts";
import { evaluateText, Meter, type Names, TemplateFault } from "./expressions/index.ts";
import { limitsOf, MAX_PRIORITY, type ReadFlow } from "./flow-schema.ts";

const QUEUED = 10_000;
/** `max` of a debounce that says none, in times of its `for`. */
const DEBOUNCE_MAX = 10;
const MAX_DEBOUNCE_MS = 7 * 24 * 60 * 60_000;
const DIGEST_CHARS = 32;

/** As a run takes it with its start. `place` is PERSISTED CONTRACT with the queue, which reads it. */
export interface PlannedFlow {
  readonly limitMs: number;
  readonly place: Json;
}

export type WorkedOut =
  | { readonly ok: true; readonly value: PlannedFlow | undefined }
  | { readonly ok: false; readonly error: readonly Finding[] };

/** As it is shown. */
export interface FlowView {
  readonly concurrency: readonly { readonly limit: number; readonly key: string | null }[];
  readonly rate: { readonly limit: number; readonly per_ms: number; readonly key: string | null } | null;
  readonly debounce: {
    readonly for_ms: number;
    readonly max_ms: number;
    readonly key: string | null;
  } | null;
  readonly priority: number | string;
  readonly queue: { readonly limit: number; readonly timeout_ms: number };
}

/** @param flow null: the runs of the workflow do not wait */
export function workOut(flow: ReadFlow | null, input: Json, user: string | null): WorkedOut {
  if (flow === null) return { ok: true, value: undefined };
  const errors: Finding[] = [];
  const value = (text: string, what: string): Json => {
    const meter = new Meter();
    try {
      return evaluateText(text, namesOf(input, user, meter), meter);
    } catch (error) {
      if (!(error instanceof TemplateFault)) throw error;
      errors.push(
        misfit(`The ${what} of the workflow, \`${text}\`, cannot be worked out: ${error.message}.`),
      );
      return null;
    }
  };
  const digest = (key: string | undefined, what: string): string => {
    if (key === undefined) return "";
    const keyed = value(key, `key of the ${what}`);
    try {
      return digestOf(keyed).slice(0, DIGEST_CHARS);
    } catch (error) {
      // Half of a surrogate pair.
      if (!(error instanceof TypeError)) throw error;
      errors.push(misfit(`The key of the ${what} of the workflow is a text that cannot be written.`));
      return "";
    }
  };
  const { rate, debounce, priority, queue } = viewFlow(flow);
  const place = {
    v: 1,
    ...(flow.concurrency === undefined
      ? {}
      : {
          concurrency: limitsOf(flow).map(({ limit, key }) => ({
            limit,
            key: digest(key, "concurrency limit"),
          })),
        }),
    ...(rate === null
      ? {}
      : { rate: { limit: rate.limit, perMs: rate.per_ms, key: digest(flow.rate?.key, "rate") } }),
    ...(debounce === null
      ? {}
      : {
          debounce: {
            ...{ forMs: debounce.for_ms, maxMs: debounce.max_ms },
            key: digest(flow.debounce?.key, "debounce"),
          },
        }),
    priority: typeof priority === "number" ? priority : priorityIn(value(priority, "priority"), errors),
    maxQueued: queue.limit,
  };
  return errors.length > 0
    ? { ok: false, error: errors }
    : { ok: true, value: { limitMs: queue.timeout_ms, place } };
}

export function viewFlow(flow: ReadFlow): FlowView {
  const { rate, debounce, priority = 0, queue } = flow;
  const forMs = toMs(debounce?.for ?? 0);
  return {
    concurrency: limitsOf(flow).map(({ limit, key = null }) => ({ limit, key })),
    rate: rate === undefined ? null : { limit: rate.limit, per_ms: toMs(rate.per), key: rate.key ?? null },
    debounce:
      debounce === undefined
        ? null
        : {
            for_ms: forMs,
            max_ms:
              debounce.max === undefined
                ? Math.min(forMs * DEBOUNCE_MAX, MAX_DEBOUNCE_MS)
                : toMs(debounce.max),
            key: debounce.key ?? null,
          },
    priority,
    queue: {
      limit: queue?.limit ?? QUEUED,
      timeout_ms: queue?.timeout === undefined ? limits.QUEUE_LIMIT_MS : toMs(queue.timeout),
    },
  };
}

function priorityIn(value: Json, errors: Finding[]): number {
  if (typeof value === "number" && Math.abs(value) <= MAX_PRIORITY) return value;
  // What could not be worked out is told already.
  if (errors.length === 0)
    errors.push(misfit(`The priority of the workflow is a number from -${MAX_PRIORITY} to ${MAX_PRIORITY}.`));
  return 0;
}

function misfit(detail: string): Finding {
  return { pointer: "/input", code: "flow_misfit", detail };
}

function namesOf(input: Json, user: string | null, meter: Meter): Names {
  let paid = false;
  return {
    root(name) {
      if (name === "run") return { user };
      if (name !== "input") return null;
      // Loaded, and paid for, once.
      if (!paid) meter.loaded(input);
      paid = true;
      return input;
    },
    step: () => null,
  };
}
