/**
 * The action `wait`: waits for a named message to the run, whose payload is the output; or for a person's decision, which
 * is the output if it is yes.
 */

import * as z from "zod";
import { limits, NAME_PATTERN, type StepKind } from "../kernel/index.ts";
import { durationSchema, durationTemplateSchema, toMs } from "./durations.ts";
import { failure } from "./failures.ts";
import type { Filling } from "./filling.ts";
import { isThere } from "./issues.ts";
import { lazy } from "./lazy.ts";

function build<T extends z.ZodType>(timeout: T) {
  return z
    .strictObject({
      signal: z
        .string()
        .regex(NAME_PATTERN, "A signal's name matches [a-z0-9][a-z0-9_-]{0,63}.")
        .meta({ description: "Name of the signal to wait for." })
        .exactOptional(),
      schema: z
        .record(z.string(), z.json())
        .meta({ description: "JSON Schema of the signal's payload: another one is refused when it is sent." })
        .exactOptional(),
      approval: z
        .string()
        .min(1)
        .max(limits.MAX_MESSAGE_CHARS)
        .meta({ description: "Instead of a signal: what a person is asked to approve, in your words." })
        .exactOptional(),
      timeout: timeout.exactOptional(),
    })
    .refine(({ signal, approval }) => (signal === undefined) !== (approval === undefined), {
      message: "A wait is for one thing: `signal` or `approval`.",
      when: isThere,
    })
    .refine(({ signal, schema }) => signal !== undefined || schema === undefined, {
      message: "Only a signal has a payload.",
      path: ["schema"],
      when: isThere,
    });
}

export const waitSchema = lazy(() =>
  build(durationSchema().meta({ description: "How long to wait (7 days)." })),
);
/** The same, with expressions where they may stand. */
export const waitTemplateSchema = lazy(() => build(durationTemplateSchema()));
export type WaitParameters = z.output<ReturnType<typeof waitSchema>>;

export function fillWait(parameters: WaitParameters): Filling {
  const limitMs = parameters.timeout === undefined ? limits.WAIT_LIMIT_MS : toMs(parameters.timeout);
  const { approval } = parameters;
  if (limitMs >= 1 && limitMs <= limits.MAX_WAIT_MS)
    return approval === undefined
      ? { kind: "signal", limitMs }
      : { kind: "approval", limitMs, text: approval };
  return {
    kind: "error",
    failure: failure(
      "template_failed",
      "The time to wait is no time of at most 365 days.",
      "Give `wait.timeout` a time of 1 ms to 365 days.",
    ),
  };
}

/** Which of the two a wait is, by its parameters as they were written. */
export function kindOfWait(parameters: object | null | undefined): StepKind {
  return parameters !== null && parameters !== undefined && "approval" in parameters ? "approval" : "signal";
}
