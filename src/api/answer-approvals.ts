/** Approvals. */
import * as z from "zod";
import { EFFECTS } from "../kernel/index.ts";
import { count, named, nullable, time } from "./schema.ts";

export const Approval = named("Approval", () =>
  z.strictObject({
    id: z.string().describe("Names the run, the step, the item and the generation."),
    run: z.string(),
    workflow: z.string(),
    version: z.string(),
    user: z.union([z.string(), z.null()]),
    started_by: z.string(),
    step: z.string(),
    item: nullable(count()),
    action: z.string(),
    effect: z.enum(EFFECTS),
    method: z.union([z.string(), z.null()]).describe("Of a request that is held back."),
    host: z.union([z.string(), z.null()]),
    path: z.union([z.string(), z.null()]),
    query: z
      .union([z.string(), z.null()])
      .describe(
        "With its `?`. What looks like a secret is not shown, nor is what a sensitive step sends, nor to a key that may neither read outputs nor decide.",
      ),
    digest: z.union([z.string(), z.null()]).describe("Of the parameters that an approval releases."),
    text: z
      .union([z.string(), z.null()])
      .describe("What the author of the steps wrote. All other fields are the engine's word; this is not."),
    status: z
      .enum(["pending", "approved", "denied", "closed"])
      .describe("closed: it expired, or the step ended otherwise."),
    asked_at: time(),
    expires_at: time(),
    decided: z.union([
      z.strictObject({
        by: z.string().describe("`key:<id>`, `identity:<as the backend said>`, or `bearer_link`."),
        via: z.union([z.string(), z.null()]).describe("The key that made the link."),
        at: time(),
        note: z.union([z.string(), z.null()]),
      }),
      z.null(),
    ]),
  }),
);

export const ApprovalList = named("ApprovalList", () => z.strictObject({ data: z.array(Approval.schema()) }));

export const Decided = named("Decided", () =>
  z.strictObject({
    applied: z.boolean().describe("False: it had been decided before, as `approval` says."),
    approval: Approval.schema(),
  }),
);

export const ApprovalLink = named("ApprovalLink", () =>
  z.strictObject({
    url: z.string().describe("Whoever has it can decide: hand it to one person, by a channel you trust."),
    expires_at: time(),
  }),
);
