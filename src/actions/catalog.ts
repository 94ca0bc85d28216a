/** Every action by name: its kind of step, its parameters, whether it can carry an idempotency key. */

import type * as z from "zod";
import type { Effect, Json, StepKind } from "../kernel/index.ts";
import { CODE_DIGEST, digestOf } from "./digest.ts";
import { failSchema, fillFail } from "./fail.ts";
import { failure } from "./failures.ts";
import type { Filling } from "./filling.ts";
import { effectOfMethod } from "./http.ts";
import { httpSchema, METHODS, rememberChecked, type Method } from "./http-schema.ts";
import { explain, findingsOf, type Finding } from "./issues.ts";
import { runSchema } from "./run.ts";
import { fillSleep, sleepSchema } from "./sleep.ts";
import { fillTransform, transformSchema } from "./transform.ts";
import { fillWait, waitSchema } from "./wait.ts";

const ACTION_NAMES = ["http", "code", "run", "sleep", "wait", "transform", "fail"] as const;
export type ActionName = (typeof ACTION_NAMES)[number];

export interface Action {
  readonly kind: StepKind;
  /** Whether its attempts can tell the outside an idempotency key. */
  readonly carriesKey: boolean;
  /** What repeating means if the step does not say; null: the step must say. */
  readonly effect: (parameters: Json) => Effect | null;
  /** What is wrong with parameters, with JSON Pointers into them. */
  readonly check: (parameters: Json) => Finding[];
  /** Checks parameters and turns them into what is due. `now`: when the step became due. */
  readonly fill: (parameters: Json, now: number) => ActionFilled;
}

export type ActionFilled =
  | Filling
  | { readonly kind: "call"; readonly digest: string; readonly with: Json; readonly about?: Json };

const ACTIONS: Readonly<Record<ActionName, Action>> = {
  http: {
    kind: "call",
    carriesKey: true,
    effect: (parameters) => {
      const method = methodOf(parameters);
      return method === null ? null : effectOfMethod(method);
    },
    ...checked(httpSchema, (parameters) => {
      rememberChecked(parameters);
      // Only its optional members keep the compiler from seeing that it is JSON.
      const given = parameters as unknown as Json;
      return { kind: "call", digest: digestOf(given), with: given };
    }),
  },
  code: {
    kind: "call",
    carriesKey: true,
    effect: () => null,
    check: () => [],
    fill: () => ({ kind: "call", digest: CODE_DIGEST, with: null }),
  },
  run: {
    kind: "call",
    carriesKey: true,
    effect: () => "keyed",
    ...checked(runSchema, (parameters) => {
      // Only its optional members keep the compiler from seeing that it is JSON.
      const given = parameters as unknown as Json;
      return { kind: "call", digest: digestOf(given), with: given };
    }),
  },
  sleep: { kind: "timer", carriesKey: false, effect: () => "safe", ...checked(sleepSchema, fillSleep) },
  wait: { kind: "signal", carriesKey: false, effect: () => "safe", ...checked(waitSchema, fillWait) },
  transform: {
    kind: "instant",
    carriesKey: false,
    effect: () => "safe",
    ...checked(transformSchema, fillTransform),
  },
  fail: { kind: "instant", carriesKey: false, effect: () => "safe", ...checked(failSchema, fillFail) },
};

/** The action of a name, or null. */
export function actionNamed(name: string): Action | null {
  return isActionName(name) ? ACTIONS[name] : null;
}

function isActionName(name: string): name is ActionName {
  return ACTION_NAMES.some((one) => one === name);
}

function methodOf(parameters: Json): Method | null {
  const method =
    typeof parameters === "object" && parameters !== null && "method" in parameters
      ? parameters.method
      : null;
  return METHODS.find((one) => one === method) ?? null;
}

function checked<T>(
  schema: () => z.ZodType<T>,
  fill: (parameters: T, now: number) => ActionFilled,
): Pick<Action, "check" | "fill"> {
  return {
    check: (parameters) => {
      const parsed = schema().safeParse(parameters);
      return parsed.success ? [] : findingsOf(parsed.error);
    },
    fill: (parameters, now) => {
      const parsed = schema().safeParse(parameters);
      return parsed.success ? fill(parsed.data, now) : unfit(explain(parsed.error));
    },
  };
}

function unfit(message: string): ActionFilled {
  return {
    kind: "error",
    failure: failure(
      "template_failed",
      `The step's parameters do not fit its action: ${message}`,
      "Correct what fills in the step's parameters, then start another run.",
    ),
  };
}
