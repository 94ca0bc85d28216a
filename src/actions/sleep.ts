/** The action `sleep`: lets time pass, without anything in flight. */

import * as z from "zod";
import { limits } from "../kernel/index.ts";
import { durationSchema, durationTemplateSchema, toMs } from "./durations.ts";
import { failure } from "./failures.ts";
import type { Filling } from "./filling.ts";
import { isThere } from "./issues.ts";
import { lazy } from "./lazy.ts";

/** One of them: as two optional fields, so that whatever is wrong with either is told. */
function build<F extends z.ZodType, U extends z.ZodType>(span: F, moment: U) {
  return z.strictObject({ for: span.exactOptional(), until: moment.exactOptional() }).superRefine(
    (given, ctx) => {
      const both = given.for !== undefined && given.until !== undefined;
      if (!both && (given.for !== undefined || given.until !== undefined)) return;
      ctx.addIssue({
        code: "custom",
        path: both ? [] : ["for"],
        message: "Exactly one of `for` and `until` is needed.",
        params: { code: both ? "invalid" : "missing", allowed: ["for", "until"] },
      });
    },
    { when: isThere },
  );
}

export const sleepSchema = lazy(() =>
  build(
    durationSchema(),
    z.iso
      .datetime({ offset: true })
      .meta({ description: "Instead: a moment, RFC 3339. One that is past ends the sleep at once." }),
  ),
);
/** The same, with expressions where they may stand. */
export const sleepTemplateSchema = lazy(() =>
  build(
    durationTemplateSchema(),
    z
      .union([z.iso.datetime({ offset: true }), z.string().includes("${{")], {
        error: "Write a moment, RFC 3339: 2027-03-14T09:00:00Z.",
      })
      .meta({ description: "Instead: a moment, RFC 3339. May hold an expression." }),
  ),
);
type Given = z.output<ReturnType<typeof sleepSchema>>;
export type SleepParameters =
  | { readonly for: NonNullable<Given["for"]> }
  | { readonly until: NonNullable<Given["until"]> };

/** @param now when the step became due, in milliseconds since the epoch */
export function fillSleep(parameters: Given, now: number): Filling {
  const ms =
    parameters.for === undefined
      ? Math.max(0, Math.ceil(Date.parse(parameters.until ?? "") - now))
      : toMs(parameters.for);
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
