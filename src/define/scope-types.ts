/**
 * What the functions of a step can see, as types.
 *
 * T1 a step sees its ancestors, and no other step.
 * T2 an ancestor has surely succeeded if every join on the way to it is `all`: a step under `all` runs only if everything
 *    that it needs succeeded, and those ran only if what they need did.
 * T3 of any other ancestor, the output may be null. So it is for every step that `onFailure` steps see.
 * T4 the run's output sees as surely succeeded what always runs and ends the run if it fails.
 */

import type { Failure, Join, UnitStatus } from "../kernel/index.ts";

interface Seen {
  readonly failure: Failure | null;
  /** Attempts made so far. */
  readonly attempts: number;
  /** Milliseconds since the epoch. */
  readonly startedAt: number | null;
  readonly endedAt: number | null;
}

/** A step that has surely succeeded (a fallback counts). */
export interface Succeeded<Output> extends Seen {
  readonly status: "succeeded";
  readonly output: Output;
}

/** A step that did not succeed, or not yet. */
export interface NotSucceeded extends Seen {
  readonly status: Exclude<UnitStatus, "succeeded">;
  readonly output: null;
}

/** A step that may have succeeded: `status` tells, and `output` is null where it did not. */
export type Settled<Output> = Succeeded<Output> | NotSucceeded;

/** What the builder remembers of a step. */
export interface StepInfo {
  readonly output: unknown;
  /** Its ancestors. */
  readonly seen: string;
  /** Those of its ancestors that have surely succeeded when it runs. */
  readonly sure: string;
  /** It has surely succeeded when the run has. */
  readonly certain: boolean;
}

export type StepMap = Readonly<Record<string, StepInfo>>;

/** Ancestors of a step that needs `Needs`. */
export type AncestorsOf<Steps extends StepMap, Needs extends keyof Steps> = Needs | Steps[Needs]["seen"];

/** Those that have surely succeeded (T2). */
export type SureOf<Steps extends StepMap, Needs extends keyof Steps, J extends Join> = J extends "all"
  ? Needs | Steps[Needs]["sure"]
  : never;

/** Whether a step is settled as succeeded whenever its run succeeds (T4). */
export type CertainOf<Steps extends StepMap, Needs extends keyof Steps, J extends Join, When, OnFailure> = [
  When,
] extends [never]
  ? OnFailure extends "continue"
    ? false
    : [Needs] extends [never]
      ? true
      : J extends "settled"
        ? true
        : J extends "any"
          ? true extends Steps[Needs]["certain"]
            ? true
            : false
          : [Steps[Needs]["certain"]] extends [true]
            ? true
            : false
  : false;

/** The steps of `Steps` named by `Visible`, as a function sees them. */
export type StepViews<Steps extends StepMap, Visible, Sure> = {
  readonly [Name in keyof Steps as Name extends Visible ? Name : never]: Name extends Sure
    ? Succeeded<Steps[Name]["output"]>
    : Settled<Steps[Name]["output"]>;
};

/** The names of those steps that have surely succeeded when the run has. */
export type CertainNames<Steps extends StepMap> = {
  [Name in keyof Steps]: Steps[Name]["certain"] extends true ? Name : never;
}[keyof Steps];

/** The same in every scope of a run. */
interface Everywhere<Input, Steps> {
  /** The run's input, as its schema parsed it. */
  readonly input: Input;
  /** The steps that can be seen from here, by name. */
  readonly steps: Steps;
  readonly run: {
    readonly id: string;
    /** The end user on whose behalf the run acts. */
    readonly user: string | null;
    /** When the step became due, in milliseconds since the epoch: the same for all of its attempts. */
    readonly now: number;
  };
}

export type OutputScope<Input, Steps> = Everywhere<Input, Steps>;

interface Unit<Input, Steps, Item> extends Everywhere<Input, Steps> {
  /** The element of a `forEach`; null elsewhere. */
  readonly item: Item;
  /** Its index; -1 elsewhere. */
  readonly index: number;
  /** The round of a `repeat`, from 0. */
  readonly iteration: number;
}

/** What the functions of a step see. */
export interface StepScope<Input, Steps, Item = null> extends Unit<Input, Steps, Item> {
  /** The unit's idempotency key, the same for every attempt: send it, or use it as a reference of your own. */
  readonly key: string;
}

/** What the functions of an `onFailure` step see. */
export interface HandlerScope<Input, Steps, Item = null> extends StepScope<Input, Steps, Item> {
  /** Why the run was lost. */
  readonly failure: Failure;
}

/** What a step's `verify` sees. */
export interface VerifyScope<Input, Steps, Item = null> extends Unit<Input, Steps, Item> {
  /** The key that the step itself sent: look for it at the service. */
  readonly stepKey: string;
}

/** What a step's `compensate` sees. */
export interface UndoScope<Input, Steps, Item, Own> extends VerifyScope<Input, Steps, Item> {
  /** The step's own output; null if it is not known whether the step happened. */
  readonly own: Own | null;
  /** Why the run was lost; null where a `forEach` undoes its items. */
  readonly failure: Failure | null;
}
