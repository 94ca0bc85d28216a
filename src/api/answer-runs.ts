/** A run, its steps, and what an append answers. */
import * as z from "zod";
import { CLOUD_REASONS, EFFECTS, NEED_REASONS, RUN_STATUSES, UNIT_STATUSES } from "../kernel/index.ts";
import { ConnectLink } from "./answer-connect-link.ts";
import { finding } from "./answer-plans.ts";
import { queuedFields } from "./answer-queues.ts";
import { count, json, named, nullable, time } from "./schema.ts";

const outcome = () => z.enum(["done", "not_done", "unknown"]).describe("What the step did to the world.");

export const ConnectionWait = named("ConnectionWait", () =>
  z
    .strictObject({
      kind: z.literal("connection"),
      integration: z
        .union([z.string(), z.null()])
        .describe("Null: nobody answered who could have said which."),
      account: z.union([z.string(), z.null()]),
      connection: z.union([z.string(), z.null()]).describe("Its id, where it is known."),
      reason: z.enum(Object.keys(NEED_REASONS) as [string, ...string[]]),
      scopes: z.array(z.string()).describe("Of `scope_missing`: which."),
      detail: z.union([z.string(), z.null()]),
      since: time(),
      limit_at: time().describe("When it fails if nothing changes."),
      retry_at: nullable(time()).describe("When it looks again by itself."),
      connect: ConnectLink.schema().optional(),
    })
    .describe("The connection that it waits for."),
);

export const CloudWait = named("CloudWait", () =>
  z
    .strictObject({
      kind: z.literal("cloud"),
      role: z.string().describe("Its name."),
      reason: z
        .enum(CLOUD_REASONS)
        .describe("`propagating`: the cloud does not know yet what was changed a moment ago."),
      detail: z.union([z.string(), z.null()]),
      since: time(),
      limit_at: time().describe("When it fails if nothing changes."),
      retry_at: nullable(time()).describe("When it looks again by itself."),
    })
    .describe("The cloud role whose credential cannot be had just now. It goes on by itself."),
);

const wait = () => z.union([ConnectionWait.schema(), CloudWait.schema()]);

export const Output = named("Output", () =>
  z
    .union([
      z.strictObject({ value: json() }),
      z.strictObject({ bytes: count() }).describe("Too large for a list: the step's own address has it."),
      z.strictObject({ redacted: z.literal(true) }).describe("Marked as sensitive."),
    ])
    .describe("What a step gave."),
);

export const Failure = named("Failure", () =>
  z.strictObject({
    code: z.string(),
    message: z.string(),
    hint: z.string(),
    retryable: z.boolean(),
    step: z.string().optional(),
    item: count().optional(),
    attempt: count().optional(),
    attempts: count().optional(),
    status: z.int().optional(),
    reason: z.string().optional(),
    child: z
      .strictObject({ run: z.string(), code: z.string() })
      .optional()
      .describe("Of `child_failed`: which run, and with which code."),
    left_behind: z
      .array(
        z.strictObject({
          step: z.string(),
          item: count().optional(),
          outcome: z.enum(["done", "unknown"]),
          reason: z.string(),
          code: z.string().optional(),
        }),
      )
      .optional()
      .describe("Of a run: what it did, or may have done, and did not take back."),
    undone: z
      .array(z.strictObject({ step: z.string(), item: count().optional() }))
      .optional()
      .describe("Of a run: what it took back."),
  }),
);

const unitFields = () => ({
  status: z.enum(UNIT_STATUSES as [string, ...string[]]),
  outcome: z.union([outcome(), z.null()]),
  undone: z.boolean(),
  attempts: count(),
  started_at: nullable(time()),
  ended_at: nullable(time()),
  next_at: nullable(time()).describe("When the next attempt or round begins, or a sleep ends."),
  deadline_at: nullable(time()).describe(
    "When the attempt in flight, the wait or the unknown outcome reaches its limit.",
  ),
  output: z.union([Output.schema(), z.null()]),
  failure: z.union([Failure.schema(), z.null()]),
  awaits_approval: z.string().optional().describe("The approval that it waits for."),
  waiting_for: wait().optional(),
  child: z.string().optional().describe("The run that it started."),
  check: z
    .strictObject({
      status: z.enum(UNIT_STATUSES as [string, ...string[]]),
      failure: z.union([Failure.schema(), z.null()]),
    })
    .optional()
    .describe(
      "Its `verify`: how the asking whether it happened stands, and why it did not work. Succeeded: its answer settled the step. Cancelled: somebody else was faster.",
    ),
  compensation: z
    .strictObject({
      status: z.enum(UNIT_STATUSES as [string, ...string[]]),
      failure: z.union([Failure.schema(), z.null()]),
      waiting_for: wait().optional(),
    })
    .optional()
    .describe("Its undoing. One whose status is unknown is resolved with `undo: true`."),
});

export const Item = named("Item", () => z.strictObject(unitFields()));

/** What a step is, of a run as of a workflow. */
export const stepFields = () => ({
  name: z.string(),
  action: z.string(),
  effect: z.enum(EFFECTS),
  part: z.enum(["main", "on_failure"]),
  needs: z.array(z.string()),
});

export const Step = named("Step", () =>
  z.strictObject({
    ...stepFields(),
    ...unitFields(),
    items: z.array(Item.schema()).optional(),
    waits_for: z.string().optional().describe("The signal that the step takes."),
    waits_for_event: z.string().optional().describe("The event that the step takes."),
    misfits: z
      .array(z.string())
      .optional()
      .describe("Ids of signals that came before the step and do not fit its schema. It waits for another."),
  }),
);

export const Run = named("Run", () =>
  z.strictObject({
    id: z.string(),
    tenant: z.string(),
    workflow: z.string(),
    version: z.string(),
    user: z.union([z.string(), z.null()]),
    started_by: z.string(),
    parent: z
      .strictObject({ run: z.string(), unit: z.string() })
      .optional()
      .describe("Of a child: the step or item that started it."),
    tags: z.array(z.string()),
    status: z.enum(RUN_STATUSES).describe("Terminal: succeeded, failed, cancelled."),
    paused: z.boolean(),
    open: z.boolean(),
    closed: z.boolean(),
    generation: count(),
    revision: count().describe("Of the graph; rises with every append."),
    seq: count().describe("Number of the last event."),
    started_at: time(),
    ended_at: nullable(time()),
    deadline_at: time().describe("While it is `queued`: at the latest."),
    deleted_at: time()
      .optional()
      .describe(
        "Of a run that has ended: when it is deleted, as its tenant's retention was when the run last read it.",
      ),
    queued: z
      .strictObject(queuedFields())
      .optional()
      .describe(
        "While it is `queued`: since when it waits, and until when it may. `GET /v1/runs/{run}` adds its place and what it waits for.",
      ),
    output: z.union([Output.schema(), z.null()]),
    failure: z.union([Failure.schema(), z.null()]),
    erased: z.literal(true).optional().describe("Its data were erased: what is left is how it went."),
    steps: z.array(Step.schema()),
  }),
);

export const RunReceipt = named("RunReceipt", () =>
  z
    .strictObject({ id: z.string() })
    .describe("Which run it is: all that a key without `runs:read` is told where it starts or changes one."),
);

export const RunOrReceipt = named("RunOrReceipt", () => z.union([Run.schema(), RunReceipt.schema()]));

export const Appended = named("Appended", () =>
  z.strictObject({
    run: z.string(),
    status: z.enum(RUN_STATUSES),
    revision: count(),
    seq: count(),
    settled: z.boolean().describe("Whether every one of the steps has come to its end."),
    steps: z.array(Step.schema()).describe("The steps of the request."),
    advice: z
      .array(finding())
      .describe("What is no error, and may not be what was meant. Missing: there is none.")
      .exactOptional(),
  }),
);
