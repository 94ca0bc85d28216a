/** The graph of a run: data, copied into the run at its start. The kernel reads none of the opaque parts. */

import type { RetryPolicy } from "./policy.ts";
import type { Json } from "./values.ts";

/** What repeating an attempt means. */
export const EFFECTS = ["safe", "idempotent", "keyed", "once"] as const;
export type Effect = (typeof EFFECTS)[number];

export const JOINS = ["all", "any", "settled"] as const;
export type Join = (typeof JOINS)[number];

/**
 * How a step gets done.
 * - `call`: attempts against the outside, each with a deadline.
 * - `timer`: a sleep.
 * - `signal`: waits for a named message.
 * - `approval`: waits for a person's decision.
 * - `instant`: computed in the turn itself (`transform`, `fail`).
 */
export const STEP_KINDS = ["call", "timer", "signal", "approval", "instant"] as const;
export type StepKind = (typeof STEP_KINDS)[number];

/** PERSISTED CONTRACT. Something that is performed: an action's name, and its parameters as data. */
export interface Performance {
  /** Name of the action (`http`, `code`, ...). */
  readonly action: string;
  /** Opaque to the kernel: templates, or null where a TypeScript function fills it in. */
  readonly with: Json;
  readonly effect: Effect;
  readonly retry: RetryPolicy;
  readonly timeoutMs: number;
  /** Only for `keyed`: how long the provider remembers a key. */
  readonly keyTtlMs: number;
  /** Opaque: credentials that it says it needs, where its parameters do not show them. */
  readonly connections?: readonly Json[];
}

/** PERSISTED CONTRACT. Asks the outside whether a step whose outcome is unknown happened. Always `safe`. */
export interface Verify extends Performance {
  /** Wait before it asks, so that what was sent had time to land. */
  readonly afterMs: number;
  /** Opaque: says of the answer whether the step happened. Absent: by status, or by a TypeScript function. */
  readonly happened?: Json;
}

export type OnStepFailure = "fail" | "continue" | { readonly fallback: Json };

/** PERSISTED CONTRACT. A step, every default filled in. */
export interface StepDef extends Performance {
  readonly name: string;
  readonly kind: StepKind;
  readonly needs: readonly string[];
  readonly join: Join;
  /** `on_failure` steps run when the run is lost, after compensation. */
  readonly part: "main" | "on_failure";
  /** Opaque condition; absent means always. `true` where a TypeScript function decides. */
  readonly when?: Json;
  readonly forEach?: { readonly list: Json; readonly concurrency: number; readonly tolerate: number };
  readonly repeat?: {
    readonly until: Json;
    readonly everyMs: number;
    readonly max: number;
    readonly withinMs: number;
  };
  readonly verify?: Verify;
  readonly compensate?: Performance;
  /** Absent: `fail`, and `continue` in an open run. */
  readonly onFailure?: OnStepFailure;
  /** For `signal` steps: the name they take. */
  readonly signal?: string;
  /** The step hears this event of the tenant. Its `signal` is then `signalOfEvent(name)`, which nobody outside can send. */
  readonly event?: string;
  /** For `call` steps: each call waits for a decision, at most so long, before anything of it is sent. */
  readonly approval?: { readonly limitMs: number };
  readonly unknownLimitMs: number;
  /** The output is redacted in the API; steps and keys with `outputs:reveal` see it. */
  readonly sensitive?: boolean;
  /** Those of the key that appended the step, where they are not the run's own; opaque. They bind beside the run's. */
  readonly policies?: readonly Json[];
  /** It came as data out of a function: it is nobody's code, whatever becomes of the workflow's build. */
  readonly grown?: true;
  /** Version of the expression language in the opaque texts; absent: there are no expressions in them. */
  readonly expressions?: 1;
  /** What the expressions refer to: names of steps by JSON Pointer into the step. Each has to be an ancestor. */
  readonly reads?: Readonly<Record<string, readonly string[]>>;
}

export const SENSITIVE = ["input", "output"] as const;
export type Sensitive = (typeof SENSITIVE)[number];

/** PERSISTED CONTRACT. A definition, every default filled in. Steps stand in an order in which needs come first. */
export interface Graph {
  readonly steps: readonly StepDef[];
  /** Opaque template of the run's output; absent: the outputs of the steps that nothing needs. */
  readonly output?: Json;
  readonly deadlineMs: number;
  readonly undoBudgetMs: number;
  readonly idleLimitMs: number;
  /** What of the run itself is redacted in the API, as a sensitive step's output is. */
  readonly sensitive?: readonly Sensitive[];
  /** Opaque: credentials that the workflow says it needs, beside those of its steps. */
  readonly connections?: readonly Json[];
}
