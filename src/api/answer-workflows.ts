/** Workflows, and plans that are stored. */
import * as z from "zod";
import { finding, flowShown } from "./answer-plans.ts";
import { JOINS } from "../kernel/index.ts";
import { stepFields } from "./answer-runs.ts";
import { count, named } from "./schema.ts";

const workflowKind = () =>
  z.enum(["typescript", "plan"]).describe("Part of the deployment, or a plan that the tenant stored.");

export const WorkflowSummary = named("WorkflowSummary", () =>
  z.strictObject({
    name: z.string(),
    version: z.string(),
    description: z.union([z.string(), z.null()]),
    kind: workflowKind(),
  }),
);

export const WorkflowList = named("WorkflowList", () =>
  z.strictObject({ data: z.array(WorkflowSummary.schema()) }),
);

export const Workflow = named("Workflow", () =>
  z.strictObject({
    name: z.string(),
    version: z.string(),
    description: z.union([z.string(), z.null()]),
    kind: workflowKind(),
    plan: z.record(z.string(), z.unknown()).optional().describe("Of a stored plan: the plan itself."),
    input: z.record(z.string(), z.unknown()).describe("JSON Schema of the input."),
    flow: flowShown().optional(),
    on: z
      .array(
        z.strictObject({ event: z.string(), filter: z.string().optional(), input: z.unknown().optional() }),
      )
      .describe("Events that start a run."),
    steps: z.array(
      z.strictObject({
        ...stepFields(),
        join: z.enum(JOINS),
        conditional: z.boolean().describe("Runs only if its `when` is true."),
        for_each: z.boolean(),
        repeats: z.boolean(),
        compensates: z.boolean().describe("Can be undone."),
        waits_for: z.string().optional(),
        waits_for_event: z.string().optional(),
        attempts: count(),
        timeout_ms: count(),
      }),
    ),
    graph: z.strictObject({
      edges: z.array(z.strictObject({ from: z.string(), to: z.string() })),
      deadline_ms: count(),
      undo_budget_ms: count(),
      idle_limit_ms: count(),
    }),
  }),
);

export const StoredPlan = named("StoredPlan", () =>
  z.strictObject({
    name: z.string(),
    version: z.string(),
    created: z.boolean().describe("False: the newest version had this content already."),
    advice: z
      .array(finding())
      .optional()
      .describe(
        "What keeps it from being started as things are: workflows that it starts and that are not there.",
      ),
  }),
);
