/** What goes out. The tests hold every answer against these, field by field. */
import * as z from "zod";
import { EFFECTS, FACT_TYPES, JOINS, NEED_REASONS, RUN_STATUSES, UNIT_STATUSES } from "../kernel/index.ts";
import { Policy } from "./request-schemas.ts";
import { count, json, named, nullable, time } from "./schema.ts";

const outcome = () => z.enum(["done", "not_done", "unknown"]).describe("What the step did to the world.");

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

const WaitingFor = named("WaitingFor", () =>
  z.strictObject({
    kind: z.literal("connection"),
    integration: z.union([z.string(), z.null()]).describe("Null: nobody answered who could have said which."),
    account: z.union([z.string(), z.null()]),
    connection: z.union([z.string(), z.null()]).describe("Its id, where it is known."),
    reason: z.enum(Object.keys(NEED_REASONS) as [string, ...string[]]),
    scopes: z.array(z.string()).describe("Of `scope_missing`: which."),
    detail: z.union([z.string(), z.null()]),
    since: time(),
    limit_at: time().describe("When the step fails, should it still be parked."),
    retry_at: nullable(time()).describe("When it looks again by itself."),
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
  waiting_for: WaitingFor.schema().optional().describe("The connection that it is parked for."),
  child: z.string().optional().describe("The run that it started."),
  compensation: z
    .strictObject({
      status: z.enum(UNIT_STATUSES as [string, ...string[]]),
      failure: z.union([Failure.schema(), z.null()]),
      waiting_for: WaitingFor.schema().optional(),
    })
    .optional()
    .describe("Its undoing. One whose status is unknown is resolved with `undo: true`."),
});

export const Item = named("Item", () => z.strictObject(unitFields()));

export const Step = named("Step", () =>
  z.strictObject({
    name: z.string(),
    action: z.string(),
    effect: z.enum(EFFECTS),
    part: z.enum(["main", "on_failure"]),
    needs: z.array(z.string()),
    ...unitFields(),
    items: z.array(Item.schema()).optional(),
    waits_for: z.string().optional().describe("The signal that the step takes."),
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
    deadline_at: time(),
    output: z.union([Output.schema(), z.null()]),
    failure: z.union([Failure.schema(), z.null()]),
    steps: z.array(Step.schema()),
  }),
);

export const Appended = named("Appended", () =>
  z.strictObject({
    run: z.string(),
    status: z.enum(RUN_STATUSES),
    revision: count(),
    seq: count(),
    settled: z.boolean().describe("Whether every one of the steps has come to its end."),
    steps: z.array(Step.schema()).describe("The steps of the request."),
  }),
);

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

export const Event = named("Event", () =>
  z.strictObject({
    seq: count(),
    at: time(),
    type: z.enum(FACT_TYPES as [string, ...string[]]).describe("What happened. There will be more types."),
    data: json(),
  }),
);

export const EventPage = named("EventPage", () =>
  z.strictObject({
    data: z.array(Event.schema()),
    next: count().describe("Pass it as `after` to go on."),
    ended: z.boolean().describe("The run has ended, and nothing comes after this page."),
  }),
);

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
    steps: z.array(
      z.strictObject({
        name: z.string(),
        action: z.string(),
        effect: z.enum(EFFECTS),
        part: z.enum(["main", "on_failure"]),
        needs: z.array(z.string()),
        join: z.enum(JOINS),
        conditional: z.boolean().describe("Runs only if its `when` is true."),
        for_each: z.boolean(),
        repeats: z.boolean(),
        compensates: z.boolean().describe("Can be undone."),
        waits_for: z.string().optional(),
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

const keyFields = () => ({
  id: z.string(),
  tenant: z.string(),
  name: z.string(),
  prefix: z.string().describe("First characters of the key's text."),
  last4: z.string(),
  scopes: z.array(z.string()),
  user: z.union([z.string(), z.null()]),
  policies: z
    .array(Policy.schema())
    .describe("Those of the keys that it comes from, and its own: all of them must allow."),
  created_by: z.string(),
  created_at: time(),
  expires_at: nullable(time()),
  revoked_at: nullable(time()),
  last_used_at: nullable(time()).describe("True to about an hour."),
});

export const TenantPolicy = named("TenantPolicy", () =>
  z.strictObject({
    policy: z.union([Policy.schema(), z.null()]).describe("Null: the tenant has none."),
    updated_at: nullable(time()),
    updated_by: z.union([z.string(), z.null()]),
  }),
);

export const ChangedPolicy = named("ChangedPolicy", () =>
  z.strictObject({
    policy: Policy.schema(),
    updated_at: time(),
    updated_by: z.string(),
    effective_by: time().describe("By then it is in force everywhere, also for runs that go on."),
  }),
);

export const Key = named("Key", () => z.strictObject(keyFields()));

export const NewKey = named("NewKey", () =>
  z.strictObject({ ...keyFields(), key: z.string().describe("The key's text: shown now and never again.") }),
);

export const RevokedKey = named("RevokedKey", () =>
  z.strictObject({
    ...keyFields(),
    effective_by: time().describe("By then the key, and what was revoked with it, is refused everywhere."),
    descendants: z
      .strictObject({
        revoked: z.int().min(0).describe("How many were revoked now."),
        complete: z.boolean().describe("False: there are more than one call revokes; send it again."),
      })
      .optional()
      .describe("Keys that came from it, with `descendants=true`."),
  }),
);

const nextCursor = () => z.union([z.string(), z.null()]).describe("Null: this was the last page.");

export const KeyList = named("KeyList", () =>
  z.strictObject({ data: z.array(Key.schema()), next_cursor: nextCursor() }),
);

export const Tenant = named("Tenant", () =>
  z.strictObject({ id: z.string(), created_at: time(), created_by: z.string() }),
);

export const TenantList = named("TenantList", () =>
  z.strictObject({ data: z.array(Tenant.schema()), next_cursor: nextCursor() }),
);

const finding = () =>
  z.strictObject({
    pointer: z.string().describe("JSON Pointer into the body."),
    code: z.string().describe("The rule; stable."),
    detail: z.string(),
    expression: z.string().optional().describe("The expression that it is about."),
    offset: z.int().optional().describe("Characters of the text before the place."),
    allowed: z.array(z.string()).optional().describe("What could stand there."),
  });

export const PlanReport = named("PlanReport", () =>
  z.strictObject({
    valid: z.boolean(),
    errors: z.array(finding()).describe("Everything that keeps it from running."),
    advice: z.array(finding()).describe("What is no error, and may not be what was meant."),
    summary: z.union([
      z.null(),
      z.strictObject({
        hosts: z.array(z.string()).describe("Every host that it would call."),
        service_tokens: z.array(z.string()).describe("Every credential that it names."),
        steps: z.array(summarisedStep()).describe("In an order in which they could run."),
      }),
    ]),
  }),
);

const summarisedStep = () =>
  z.strictObject({
    name: z.string(),
    part: z.enum(["main", "on_failure"]),
    action: z.string(),
    effect: z.enum(EFFECTS),
    needs: z.array(z.string()),
    conditional: z.boolean(),
    for_each: z.boolean(),
    repeats: z.boolean(),
    waits_for: z.union([z.string(), z.null()]),
    requests: z.array(
      z.strictObject({
        step: z.string(),
        role: z.enum(["step", "verify", "compensate"]),
        method: z.string(),
        host: z.string(),
        path: z.string().describe("`*` stands for what is only known when the step runs."),
        token: z.union([z.string(), z.null()]),
        effect: z.enum(EFFECTS),
        policy: z
          .strictObject({
            verdict: z.enum(["allowed", "approval", "denied"]),
            detail: z.union([z.string(), z.null()]),
          })
          .describe("What the policies of tenant and key say to it; `approval`: a person must agree first."),
      }),
    ),
    on_failure: z.enum(["run_fails", "run_goes_on", "fallback"]),
    when_unclear: z.enum(["tried_again", "asks_the_service", "waits_for_a_person", "nothing_to_repeat"]),
    undo: z.enum(["by_compensation", "left_behind", "not_needed"]),
  });

export const StoredPlan = named("StoredPlan", () =>
  z.strictObject({
    name: z.string(),
    version: z.string(),
    created: z.boolean().describe("False: the newest version had this content already."),
  }),
);

const listedRun = () =>
  z.strictObject({
    id: z.string(),
    workflow: z.string(),
    version: z.string(),
    user: z.union([z.string(), z.null()]),
    started_by: z.string(),
    status: z.enum(RUN_STATUSES),
    paused: z.boolean(),
    tags: z.array(z.string()),
    parent: z.union([z.string(), z.null()]).describe("The run that started it."),
    generation: count(),
    started_at: time(),
    ended_at: nullable(time()),
    failure: z.union([z.strictObject({ code: z.string(), message: z.string() }), z.null()]),
    seq: count().describe("Number of the last event that the directory knows of."),
  });

export const ListedRun = named("ListedRun", listedRun);

export const RunList = named("RunList", () =>
  z.strictObject({ data: z.array(ListedRun.schema()), next_cursor: nextCursor() }),
);

export const RunCounts = named("RunCounts", () =>
  z.strictObject({
    data: z.array(
      z.strictObject({
        at: time().describe("Beginning of the bucket."),
        total: count(),
        counts: z.partialRecord(z.enum(RUN_STATUSES), count()),
      }),
    ),
    from: time(),
    to: time(),
    bucket: z.string(),
  }),
);

export const RunChanges = named("RunChanges", () =>
  z.strictObject({
    data: z
      .array(z.strictObject({ at: time(), run: ListedRun.schema() }))
      .describe("Each run once, as it stands."),
    next: z.string().describe("Pass it as `after` to go on."),
    reset: z.boolean().describe("Changes were missed: read the list again."),
  }),
);

export const Relisted = named("Relisted", () =>
  z.strictObject({
    listed: count(),
    without_run: count().describe("Objects that hold no run, or not any more."),
  }),
);

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
    hint: z.string(),
    request_id: z.string(),
  }),
);
