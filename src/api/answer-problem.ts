/** What every failure answers. */
import * as z from "zod";
import { ConnectLink } from "./answer-connect-link.ts";
import { named } from "./schema.ts";

export const ProblemDetails = named("Problem", () =>
  z.strictObject({
    type: z.string().describe("Address of a page about this kind of problem."),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    instance: z.string(),
    code: z.string().describe("Stable: programs switch on it."),
    errors: z
      .array(
        z.strictObject({
          pointer: z.string().optional().describe("JSON Pointer into the body."),
          parameter: z.string().optional(),
          header: z.string().optional(),
          code: z.string().optional().describe("The rule that a step breaks."),
          detail: z.string(),
          expression: z.string().optional().describe("The expression that it is about."),
          offset: z.int().optional().describe("Characters of the text before the place."),
          allowed: z.array(z.string()).optional().describe("What could stand there."),
        }),
      )
      .optional(),
    missing: z
      .array(
        z.strictObject({
          integration: z.string(),
          account: z.string(),
          reason: z.string(),
          scopes: z.array(z.string()),
          how: z.string().optional().describe("What has to be done, where that is not the link."),
          connect: ConnectLink.schema().optional(),
        }),
      )
      .optional()
      .describe("Of `connections_missing`: each connection."),
    quota: z
      .strictObject({ name: z.string(), limit: z.int().optional() })
      .optional()
      .describe("Of `quota_exceeded`: which, and how much of it there is."),
    hint: z.string(),
    request_id: z.string(),
  }),
);
