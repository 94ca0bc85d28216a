/** The action `fail`: ends its step, and by default the run, with a reason of the author's own. */

import * as z from "zod";
import { failure } from "./failures.ts";
import type { Filling } from "./filling.ts";
import { lazy } from "./lazy.ts";

const MAX_MESSAGE_CHARS = 1_000;
const MAX_REASON_CHARS = 100;

export const failSchema = lazy(() =>
  z.strictObject({
    message: z.string().min(1).max(MAX_MESSAGE_CHARS).meta({ description: "What is wrong, in a sentence." }),
    reason: z
      .string()
      .min(1)
      .max(MAX_REASON_CHARS)
      .meta({ description: "A word of your own for programs to switch on." })
      .exactOptional(),
    hint: z.string().min(1).max(MAX_MESSAGE_CHARS).meta({ description: "What to do next." }).exactOptional(),
  }),
);
export type FailParameters = z.output<ReturnType<typeof failSchema>>;

export function fillFail({ message, reason, hint }: FailParameters): Filling {
  return {
    kind: "error",
    failure: failure(
      "step_failed",
      message,
      hint ?? "The workflow ended here on purpose: its message says why.",
      reason === undefined ? {} : { reason },
    ),
  };
}
