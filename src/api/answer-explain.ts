/** Why a run stands where it stands. */
import * as z from "zod";
import { RUN_STATUSES } from "../kernel/index.ts";
import { count, json, named, nullable, time } from "./schema.ts";

const Remedy = named("Remedy", () =>
  z.strictObject({
    what: z.string().describe("What the call would do."),
    method: z.enum(["GET", "POST"]),
    path: z.string(),
    body: json()
      .optional()
      .describe("To be sent as it stands, or with your own answer in the place of its values."),
    scope: z.string().describe("What the key must have for it."),
  }),
);

const Reason = named("Reason", () =>
  z.strictObject({
    unit: z
      .union([z.string(), z.null()])
      .describe(
        "A step, `step[item]`, or either with `/undo` or `/verify` behind it; null: the run as a whole.",
      ),
    code: z.string().describe("docs/explain.md lists them. There will be more."),
    sentence: z.string(),
    since: nullable(time()),
    next_at: nullable(time()).describe("When something happens by itself."),
    limit_at: nullable(time()).describe("Until when it stands so at the latest; null: it is over."),
    tried: z.union([
      z.strictObject({
        attempts: count(),
        failure: z.union([z.strictObject({ code: z.string(), message: z.string() }), z.null()]),
      }),
      z.null(),
    ]),
    remedies: z.array(Remedy.schema()).describe("Calls that would be taken now."),
  }),
);

export const Explanation = named("Explanation", () =>
  z.strictObject({
    run: z.string(),
    erased: z.literal(true).optional().describe("The data of the run were erased."),
    status: z.union([z.enum(RUN_STATUSES), z.null()]).describe("Null: it cannot be told just now."),
    paused: z.boolean(),
    generation: count(),
    summary: z.string().describe("All in two sentences."),
    next_at: nullable(time()),
    limit_at: nullable(time()),
    reasons: z.array(Reason.schema()),
    more: count().describe("Units that are left out; each can be asked for by its step."),
  }),
);
