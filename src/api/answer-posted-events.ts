/** What is answered about events of a tenant. */
import * as z from "zod";
import { named, nullable, time } from "./schema.ts";

export const PostedEvent = named("PostedEvent", () =>
  z.strictObject({
    id: z.string(),
    name: z.string(),
    received_at: time(),
    duplicate: z.boolean().describe("True: there was an event of this id already, with the same content."),
  }),
);

export const EventOutcome = named("EventOutcome", () =>
  z.strictObject({
    id: z.string(),
    name: z.string(),
    received_at: time(),
    user: nullable(z.string()).describe("The end user that its runs act for."),
    tags: z.array(z.string()),
    status: z.enum(["dispatching", "done"]).describe("`dispatching`: something of it is still tried."),
    runs: z
      .array(z.strictObject({ workflow: z.string(), run: z.string() }))
      .describe("Runs that it started. At most 300 of all that follows from it are shown."),
    resumed: z
      .array(z.strictObject({ run: z.string(), step: z.string() }))
      .describe("Steps that waited for it, and have taken it."),
    refused: z
      .array(
        z.strictObject({
          workflow: z.string().optional(),
          run: z.string().optional(),
          step: z.string().optional(),
          code: z.string(),
          message: z.string(),
        }),
      )
      .describe("What it could not start, or resume, and why."),
    filtered: z
      .array(z.string())
      .describe("Workflows that subscribe to its name, and whose filter does not want it."),
  }),
);

export const EventOutcomes = named("EventOutcomes", () =>
  z.strictObject({ data: z.array(EventOutcome.schema()).describe("The newest first.") }),
);
