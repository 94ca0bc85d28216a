/** The action `wait`: waits for a named message to the run. Its output is the message's payload. */

import * as z from "zod";
import { limits, NAME_PATTERN } from "../kernel/index.ts";
import { durationSchema, durationTemplateSchema, toMs } from "./durations.ts";
import { failure } from "./failures.ts";
import type { Filling } from "./filling.ts";
import { lazy } from "./lazy.ts";

const signal = () =>
  z
    .string()
    .regex(NAME_PATTERN, "A signal's name matches [a-z0-9][a-z0-9_-]{0,63}.")
    .meta({ description: "Name of the signal." });

/** The same, with expressions where they may stand. */
export const waitTemplateSchema = lazy(() =>
  z.strictObject({ signal: signal(), timeout: durationTemplateSchema().exactOptional() }),
);
export const waitSchema = lazy(() =>
  z.strictObject({
    signal: signal(),
    timeout: durationSchema().meta({ description: "How long to wait (7 days)." }).exactOptional(),
  }),
);
export type WaitParameters = z.output<ReturnType<typeof waitSchema>>;

export function fillWait(parameters: WaitParameters): Filling {
  const limitMs = parameters.timeout === undefined ? limits.WAIT_LIMIT_MS : toMs(parameters.timeout);
  if (limitMs >= 1 && limitMs <= limits.MAX_WAIT_MS) return { kind: "signal", limitMs };
  return {
    kind: "error",
    failure: failure(
      "template_failed",
      "The time to wait is no time of at most 365 days.",
      "Give `wait.timeout` a time of 1 ms to 365 days.",
    ),
  };
}
