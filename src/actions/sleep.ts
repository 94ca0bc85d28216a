/** The action `sleep`: lets time pass, without anything in flight. */

import * as z from "zod";
import { limits } from "../kernel/index.ts";
import { durationSchema, durationTemplateSchema, toMs } from "./durations.ts";
import { failure } from "./failures.ts";
import type { Filling } from "./filling.ts";
import { lazy } from "./lazy.ts";

export const sleepSchema = lazy(() =>
  z.union([
    z.strictObject({ for: durationSchema() }),
    z.strictObject({
      until: z.iso
        .datetime({ offset: true })
        .meta({ description: "A moment, RFC 3339. One that is past ends the sleep at once." }),
    }),
  ]),
);
/** The same, with expressions where they may stand. */
export const sleepTemplateSchema = lazy(() =>
  z.union([
    z.strictObject({ for: durationTemplateSchema() }),
    z.strictObject({
      until: z
        .union([z.iso.datetime({ offset: true }), z.string().includes("${{")])
        .meta({ description: "A moment, RFC 3339. May hold an expression." }),
    }),
  ]),
);
export type SleepParameters = z.output<ReturnType<typeof sleepSchema>>;

/** @param now when the step became due, in milliseconds since the epoch */
export function fillSleep(parameters: SleepParameters, now: number): Filling {
  const ms =
    "for" in parameters ? toMs(parameters.for) : Math.max(0, Math.ceil(Date.parse(parameters.until) - now));
  if (ms >= 0 && ms <= limits.MAX_WAIT_MS) return { kind: "timer", ms };
  return {
    kind: "error",
    failure: failure(
      "template_failed",
      "The sleep is no time of at most 365 days.",
      "Give `sleep` a time of 0 ms to 365 days.",
    ),
  };
}
