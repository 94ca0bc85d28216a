/** The builder: `workflow(name, options).step(name, { ... })`. Everything that a step may name or read is in its types. */

import type * as z from "zod";
import { Grown, type Method } from "../actions/index.ts";
import type { Effect, Join, Json } from "../kernel/index.ts";
import type { Definition, RawStep, ScopeFunction, WorkflowOptions } from "./definition.ts";
import type {
  AncestorsOf,
  CertainNames,
  CertainOf,
  HandlerScope,
  OutputScope,
  StepInfo,
  StepMap,
  StepScope,
  StepViews,
  SureOf,
  UndoScope,
  VerifyScope,
} from "./scope-types.ts";
import type { OutputOf, Rules, StepOutput, StepSpec } from "./spec-types.ts";
import type { StepsInput } from "./step-input.ts";

type OnFailure = "fail" | "continue" | { readonly fallback: unknown };
// oxlint-disable-next-line typescript/no-generated-empty-object-type -- a map without steps: `keyof` of it is never
type NoSteps = Readonly<Record<never, StepInfo>>;

/** What a step under these needs and this join sees. */
type Visible<Steps extends StepMap, Needs extends keyof Steps, J extends Join> = StepViews<
  Steps,
  AncestorsOf<Steps, Needs>,
  SureOf<Steps, Needs, J>
>;

type ItemOf<Element> = [Element] extends [never] ? null : Element;

/** A name that no step has yet. */
type NewName<Steps, Name> = Name extends keyof Steps ? "There is a step of this name already." : Name;

export class Workflow<
  Input,
  Steps extends StepMap,
  Handlers extends StepMap,
  Default extends "fail" | "continue",
> implements Definition<Input> {
  readonly name: string;
  readonly options: WorkflowOptions;
  readonly steps: readonly RawStep[];
  readonly makeOutput = null;
  declare readonly types?: { readonly input: Input; readonly output: unknown };

  /** Use `workflow()`. */
  constructor(name: string, options: WorkflowOptions, steps: readonly RawStep[]) {
    this.name = name;
    this.options = options;
    this.steps = steps;
  }

  /**
   * Adds a step. It runs once what it `needs` is settled; steps that do not need each other run side by side.
   * In the object, write `forEach` before what uses its `item`, and `run` or `http` before what uses its output.
   */
  step<
    const Name extends string,
    const Needs extends readonly (keyof Steps & string)[] = [],
    J extends Join = "all",
    When extends boolean = never,
    Element = never,
    Tolerated extends number = 0,
    F extends OnFailure = Default,
    R = null,
    E extends Effect = never,
    M extends Method = never,
    B = Json,
    G extends string = never,
    VB = Json,
    A extends string = never,
    W extends string | Definition = never,
  >(
    name: NewName<Steps, Name>,
    spec: StepSpec<
      StepScope<Input, Visible<Steps, Needs[number], J>>,
      StepScope<Input, Visible<Steps, Needs[number], J>, ItemOf<Element>>,
      VerifyScope<Input, Visible<Steps, Needs[number], J>, ItemOf<Element>>,
      UndoScope<Input, Visible<Steps, Needs[number], J>, ItemOf<Element>, OutputOf<R, M, B, G, never, W>>,
      Needs,
      J,
      When,
      Element,
      Tolerated,
      F,
      R,
      E,
      M,
      B,
      G,
      VB,
      A,
      W
    > &
      Rules<E, M, R, W>,
  ): Workflow<
    Input,
    Steps & {
      readonly [_ in Name]: {
        readonly output: StepOutput<OutputOf<R, M, B, G, A, W>, Element, Tolerated, F>;
        readonly seen: AncestorsOf<Steps, Needs[number]> & string;
        readonly sure: SureOf<Steps, Needs[number], J> & string;
        readonly certain: CertainOf<Steps, Needs[number], J, When, F>;
      };
    },
    Handlers,
    Default
  > {
    return new Workflow(this.name, this.options, [...this.steps, erased(name, "main", spec)]);
  }

  /**
   * Adds a step that runs when the run is lost, after everything that can be taken back was. It sees why, and every step
   * of the workflow; it can need other `onFailure` steps only.
   */
  onFailure<
    const Name extends string,
    const Needs extends readonly (keyof Handlers & string)[] = [],
    J extends Join = "all",
    When extends boolean = never,
    Element = never,
    Tolerated extends number = 0,
    R = null,
    E extends Effect = never,
    M extends Method = never,
    B = Json,
    G extends string = never,
    VB = Json,
    A extends string = never,
    W extends string | Definition = never,
  >(
    name: NewName<Steps & Handlers, Name>,
    spec: StepSpec<
      HandlerScope<Input, StepViews<Steps, keyof Steps, never> & Visible<Handlers, Needs[number], J>>,
      HandlerScope<
        Input,
        StepViews<Steps, keyof Steps, never> & Visible<Handlers, Needs[number], J>,
        ItemOf<Element>
      >,
      VerifyScope<
        Input,
        StepViews<Steps, keyof Steps, never> & Visible<Handlers, Needs[number], J>,
        ItemOf<Element>
      >,
      never,
      Needs,
      J,
      When,
      Element,
      Tolerated,
      never,
      R,
      E,
      M,
      B,
      G,
      VB,
      A,
      W
    > & { readonly compensate?: never; readonly onFailure?: never } & Rules<E, M, R, W>,
  ): Workflow<
    Input,
    Steps,
    Handlers & {
      readonly [_ in Name]: {
        readonly output: StepOutput<OutputOf<R, M, B, G, A, W>, Element, Tolerated, never>;
        readonly seen: AncestorsOf<Handlers, Needs[number]> & string;
        readonly sure: SureOf<Handlers, Needs[number], J> & string;
        readonly certain: false;
      };
    },
    Default
  > {
    return new Workflow(this.name, this.options, [...this.steps, erased(name, "on_failure", spec)]);
  }

  /** Says what the run answers. Without it: the outputs of the steps that no other step needs, by name. */
  output<Output>(
    make: (scope: OutputScope<Input, StepViews<Steps, keyof Steps, CertainNames<Steps>>>) => Output,
  ): Definition<Input, Output> {
    return {
      name: this.name,
      options: this.options,
      steps: this.steps,
      // The scope that is given at run time has what the type of `make` asks for: both come from the same steps.
      makeOutput: make as unknown as ScopeFunction,
    };
  }
}

/**
 * Begins a workflow.
 * @param name matches `[a-z0-9][a-z0-9_-]{0,63}`
 * @example
 * export const hello = workflow("hello", { version: "1", input: z.object({ name: z.string() }) })
 *   .step("greet", { transform: ({ input }) => `Hello ${input.name}` })
 *   .output(({ steps }) => ({ greeting: steps.greet.output }));
 */
export function workflow<Schema extends z.ZodType = z.ZodType<Json>, const Open extends boolean = false>(
  name: string,
  options: WorkflowOptions<Schema> & { readonly open?: Open },
): Workflow<z.output<Schema>, NoSteps, NoSteps, Open extends true ? "continue" : "fail"> {
  return new Workflow(name, options, []);
}

/**
 * What a step's function returns to add steps to its run. They can need steps of the run and each other.
 * @param steps by name, as in a JSON plan
 */
export function grow<Output>(output: Output, steps: StepsInput): Grown<Output> {
  return new Grown(output, steps);
}

/** The types of one step end here: from now on it is a value among others, and the engine calls it with its own scope. */
function erased(name: string, part: RawStep["part"], spec: object): RawStep {
  return { name, part, spec };
}
