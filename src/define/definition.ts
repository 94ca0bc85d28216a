/** A workflow as the engine holds it: what the builder wrote, with the types of single steps erased. */

import type * as z from "zod";
import type { Duration, ScopeView, StepFunction } from "../actions/index.ts";
import type { Effect, Join, Sensitive } from "../kernel/index.ts";
import type { Declared, DeclaredUpFront } from "./connections.ts";
import type { FlowSpec } from "./flow-schema.ts";
import type { RetrySpec } from "./spec-types.ts";
import type { Subscription } from "./subscriptions.ts";

/** A function of the author's that reads a scope. Its types were checked where it was written. */
export type ScopeFunction = (scope: ScopeView) => unknown;

export interface RawPerformance {
  readonly run?: StepFunction;
  /** Parameters; each value may be a ScopeFunction. `answer` is a zod schema. */
  readonly http?: Readonly<Record<string, unknown>>;
  readonly effect?: Effect;
  readonly retry?: RetrySpec;
  readonly timeout?: Duration;
  readonly keyTtl?: Duration;
  readonly connections?: Declared;
}

export interface RawVerify extends RawPerformance {
  readonly after?: Duration;
  readonly happened?: (output: unknown, scope: ScopeView) => unknown;
}

export interface RawSpec extends RawPerformance {
  readonly needs?: readonly string[];
  readonly join?: Join;
  readonly when?: ScopeFunction;
  readonly forEach?:
    | ScopeFunction
    | { readonly list: ScopeFunction; readonly concurrency?: number; readonly tolerate?: number };
  readonly repeat?: {
    readonly until: (output: unknown, scope: ScopeView) => unknown;
    readonly every: Duration;
    readonly max?: number;
    readonly within?: Duration;
  };
  readonly verify?: RawVerify;
  readonly compensate?: RawPerformance;
  readonly onFailure?: "fail" | "continue" | { readonly fallback: unknown };
  readonly unknownLimit?: Duration;
  readonly sensitive?: boolean;
  readonly sleep?: unknown;
  readonly wait?: {
    readonly signal?: string;
    readonly event?: string;
    readonly where?: unknown;
    readonly approval?: unknown;
    readonly timeout?: unknown;
  };
  readonly child?: {
    readonly workflow: string | Definition;
    readonly [parameter: string]: unknown;
  };
  readonly transform?: ScopeFunction;
  readonly fail?: unknown;
}

export interface RawStep {
  readonly name: string;
  readonly part: "main" | "on_failure";
  readonly spec: RawSpec;
}

export interface WorkflowOptions<Schema extends z.ZodType = z.ZodType> {
  /** Any text. Runs keep the version that they were started with. */
  readonly version: string;
  /** Shape of the input; a function is called on first use, which keeps the start of the Worker short. */
  readonly input?: Schema | (() => Schema);
  /** One sentence, for listings. */
  readonly description?: string;
  /** The forward part of a run ends here (30 days). */
  readonly deadline?: Duration;
  /**
   * Connections that its runs need, by the name of the integration: shown, and looked for by a start with
   * `connections: "require"`. Those that its steps name count without being said here.
   */
  readonly connections?: DeclaredUpFront;
  /** Time for taking back what was done (24 h). */
  readonly undoBudget?: Duration;
  /** An open run to which nobody appends closes itself after this (24 h). */
  readonly idleLimit?: Duration;
  /** Runs stay open for steps that their owner appends; a step's failure then does not fail the run by itself. */
  readonly open?: boolean;
  /** How many runs work at a time, how often one begins, which of many is enough, who goes first. */
  readonly flow?: FlowSpec;
  /**
   * What of its runs must not be seen by those who look at them: their input, their output. All that such a run stores is
   * sealed, as where a step is sensitive.
   */
  readonly sensitive?: readonly Sensitive[];
  /**
   * Events of the tenant that start a run. `filter` and the texts of `input` are expressions, as in plans, over `event`.
   * @example on: [{ event: "payment.received", filter: "event.data.amount > 0", input: { order: "${{ event.data.order }}" } }]
   */
  readonly on?: readonly Subscription[];
}

/** A workflow that can be registered. `Input` and `Output` exist for the compiler only. */
export interface Definition<Input = unknown, Output = unknown> {
  readonly name: string;
  readonly options: WorkflowOptions;
  readonly steps: readonly RawStep[];
  readonly makeOutput: ScopeFunction | null;
  /** Never set: carries the types. */
  readonly types?: { readonly input: Input; readonly output: Output };
}

/** The input of a workflow's runs, as its steps see it. */
export type InputOf<W extends Definition> = NonNullable<W["types"]>["input"];
/** The output of a workflow's runs. */
export type OutputOfRun<W extends Definition> = NonNullable<W["types"]>["output"];
