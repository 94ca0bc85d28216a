/** What comes in: bodies and parameters. */
import * as z from "zod";
import {
  isScopeGrant,
  MAX_KEY_NAME_CHARS,
  MAX_SCOPES,
  MAX_USER_CHARS,
  type Policy as AnyPolicy,
  policySchema,
  JURISDICTIONS,
  LOCATION_HINTS,
} from "../access/index.ts";
import { type Json, limits, NAME_PATTERN, RUN_STATUSES } from "../kernel/index.ts";
import { isRunId } from "../platform/index.ts";
import { count, json, named, nameSchema, nullable, time } from "./schema.ts";

export * from "./request-cloud-roles.ts";
export * from "./request-connections.ts";
export * from "./request-hooks.ts";
export * from "./request-export.ts";
export * from "./request-retention.ts";
export * from "./request-quotas.ts";
export * from "./request-schedules.ts";
export * from "./request-endpoints.ts";
export * from "./request-erasures.ts";
export * from "./request-events.ts";
export * from "./request-trusted-issuers.ts";

export const MAX_TAGS = 16;
export const MAX_TAG_CHARS = 64;
export const MAX_EVENTS_PER_PAGE = 1_000;
export const MAX_APPENDED_STEPS = 100;
export const MAX_SIGNAL_ID_CHARS = 255;
const MAX_VERSION_CHARS = 64;
export const MAX_RUNS_PER_PAGE = 100;
export const MAX_RELISTED = 100;
export const MAX_BUCKETS = 1_000;
/** Each may cost an outside call, of which one event has a limit. */
export const MAX_REWRAPPED = 500;
/** Lengths of what counts are given for. */
export const BUCKETS = { "5m": 5 * 60_000, "1h": 60 * 60_000, "1d": 24 * 60 * 60_000 } as const;
/** A place in a feed: 12 characters for each shard. */
const MAX_POSITION_CHARS = 1_024;
const MAX_FAILURE_TEXT_CHARS = 200;
const MAX_CURSOR_CHARS = 256;

export const StartRun = named("StartRun", () =>
  z.strictObject({
    workflow: nameSchema().exactOptional().describe("Name of the workflow. Needed unless the run is open."),
    version: z
      .string()
      .min(1)
      .max(MAX_VERSION_CHARS)
      .exactOptional()
      .describe("Version of the workflow; the newest if it is missing."),
    input: json().exactOptional().describe("Fits the workflow's input schema; {} if it is missing."),
    user: z
      .string()
      .min(1)
      .max(MAX_USER_CHARS)
      .exactOptional()
      .describe("The end user that the run acts for: your own id for the person. Needs runs:act_as."),
    tags: z
      .array(z.string().min(1).max(MAX_TAG_CHARS))
      .max(MAX_TAGS)
      .exactOptional()
      .describe("Words to find the run by."),
    open: z.boolean().exactOptional().describe("Whether steps can be appended, until the run is closed."),
    steps: steps().exactOptional().describe("Only without a workflow: the first steps of an open run."),
    plan: plan().exactOptional().describe("A plan for this run alone, in the place of a workflow."),
    connections: z
      .literal("require")
      .exactOptional()
      .describe(
        "Starts nothing unless every connection that the steps name is there: 409 `connections_missing`.",
      ),
  }),
);

/** Compiling the steps checks their form. The OpenAPI document refers to the schema by which it does that. */
export const STEPS_NAME = "Steps";

function steps(): z.ZodType<Record<string, Json>> {
  return z.record(z.string(), json()).meta({ $ref: `#/components/schemas/${STEPS_NAME}` });
}

/** Compiling a plan checks its form, as with steps. */
export const PLAN_NAME = "Plan";

function plan(): z.ZodType<Record<string, Json>> {
  return z.record(z.string(), json()).meta({ $ref: `#/components/schemas/${PLAN_NAME}` });
}

export const ValidatePlan = named("ValidatePlan", () =>
  z.strictObject({
    plan: plan(),
    input: json().exactOptional().describe("Checked against the plan's own schema, if it is there."),
    user: z
      .union([z.string().min(1).max(MAX_USER_CHARS), z.null()])
      .exactOptional()
      .describe(
        "Whom the run will act for, as in a start; null: nobody, as in a start without it. Missing: that is not known yet, and not looked at.",
      ),
  }),
);

export const PutWorkflow = named("PutWorkflow", plan);

export const CancelRun = named("CancelRun", () =>
  z.strictObject({
    mode: z
      .enum(["graceful", "immediate"])
      .exactOptional()
      .describe("graceful (default): attempts in flight end first. immediate: they are aborted."),
    reason: z.string().min(1).max(limits.MAX_MESSAGE_CHARS).exactOptional(),
  }),
);

const why = () => ({
  note: z
    .string()
    .min(1)
    .max(limits.MAX_MESSAGE_CHARS)
    .exactOptional()
    .describe("How that is known. It stands in the run's journal; of a failed step it is the message."),
});

const asSucceeded = () => ({
  ...why(),
  as: z.literal("succeeded").describe("It happened."),
  output: json().describe("What the step would have answered."),
});
const asFailed = () => ({
  as: z
    .literal("failed")
    .describe(
      "It did not happen: the step fails. In a redrive, which runs again what failed, it is tried again.",
    ),
  ...why(),
});
const asRetry = () => ({ ...why(), as: z.literal("retry").describe("It did not happen; try again.") });

export const Resolution = named("Resolution", () =>
  z.discriminatedUnion("as", [
    z.strictObject(asSucceeded()),
    z.strictObject(asFailed()),
    z.strictObject(asRetry()),
  ]),
);

export const RedriveRun = named("RedriveRun", () =>
  z.strictObject({
    resolve: z
      .record(
        z.string().regex(UNIT_NAME, "A step, `step[item]`, or either with `/undo` behind it."),
        Resolution.schema(),
      )
      .exactOptional()
      .describe("Says of each step whose outcome is unknown whether it happened."),
  }),
);

/** `flight`, `mails[3]`, `flight/undo`, as the kernel writes them. */
export const UNIT_NAME = /^([a-z0-9][a-z0-9_-]{0,63})(?:\[(\d{1,4})\])?(\/undo)?$/;

export const ResolveStep = named("ResolveStep", () => {
  const unit = {
    item: count().max(limits.MAX_ITEMS).exactOptional().describe("Of a forEach step: the item, from 0."),
    undo: z.boolean().exactOptional().describe("True: the undoing of the step is meant."),
  };
  return z.discriminatedUnion("as", [
    z.strictObject({ ...asSucceeded(), ...unit }),
    z.strictObject({ ...asFailed(), ...unit }),
    z.strictObject({ ...asRetry(), ...unit }),
  ]);
});

export const SendSignal = named("SendSignal", () =>
  z.strictObject({
    id: z
      .string()
      .min(1)
      .max(MAX_SIGNAL_ID_CHARS)
      .exactOptional()
      .describe("Sent twice, it counts once. Missing: the Idempotency-Key, else a new one each time."),
    payload: json()
      .exactOptional()
      .describe("What the waiting step gives as its output; null if it is missing."),
  }),
);

const MAX_IDENTITY_CHARS = 200;
const MAX_NOTE_CHARS = 500;

/** Control characters could make a line of a log or a page look like another. */
const plainText = (most: number) =>
  z
    .string()
    .min(1)
    .max(most)
    .regex(/^\P{Cc}*$/u, "It holds a control character.");

export const Note = named("Note", () => plainText(MAX_NOTE_CHARS));

export const DecideApproval = named("DecideApproval", () =>
  z.strictObject({
    decision: z.enum(["approved", "denied"]),
    note: Note.schema().exactOptional().describe("Why. It stands in the run's journal."),
  }),
);

export const LinkApproval = named("LinkApproval", () =>
  z.strictObject({
    identity: plainText(MAX_IDENTITY_CHARS)
      .exactOptional()
      .describe("Who will decide, by your word. Missing: whoever has the link."),
  }),
);

export const AppendSteps = named("AppendSteps", () =>
  z.strictObject({ steps: steps().describe("By name, as in a plan.") }),
);

/** Only its optional members keep the compiler from seeing that it is JSON. */
export const Policy = named("Policy", () => policySchema() as unknown as z.ZodType<AnyPolicy>);

export const CreateKey = named("CreateKey", () =>
  z.strictObject({
    name: z.string().min(1).max(MAX_KEY_NAME_CHARS).describe("What the key is for."),
    scopes: z
      .array(z.string().refine(isScopeGrant, "There is no such scope."))
      .min(1)
      .max(MAX_SCOPES)
      .describe("Each one the maker's own; `*` and `area:*` stand for all, also for those to come."),
    user: z
      .string()
      .min(1)
      .max(MAX_USER_CHARS)
      .exactOptional()
      .describe("Binds the key to an end user; it then needs an `expires_at` within an hour."),
    policy: Policy.schema()
      .exactOptional()
      .describe(
        "What the key may reach and do, within what its maker may and what the tenant's policy allows.",
      ),
    expires_at: nullable(time())
      .exactOptional()
      .describe(
        "Milliseconds since 1970; null: never. Missing: as its maker. Needed, and within an hour, with a `user`.",
      ),
  }),
);

export const CreateAdminKey = named("CreateAdminKey", () =>
  z.strictObject({
    name: z.string().min(1).max(MAX_KEY_NAME_CHARS).describe("What the key is for."),
    expires_at: nullable(time()).exactOptional().describe("Milliseconds since 1970; null or missing: never."),
  }),
);

export const CreateTenant = named("CreateTenant", () =>
  z.strictObject({
    id: z.string().describe("1 to 48 of a-z, 0-9, _ and -; never used again."),
    jurisdiction: z
      .enum(JURISDICTIONS)
      .optional()
      .describe("In which all objects of the tenant are kept and run, for good. Missing: anywhere."),
    location_hint: z
      .enum(LOCATION_HINTS)
      .optional()
      .describe("Near what its objects are made, if the platform can; for good."),
  }),
);

/** A parameter of the address; whatever is wrong with it, what is allowed is said. */
const wholeNumber = (least: number, most: number): z.ZodType<number> => {
  const range = most === Number.MAX_SAFE_INTEGER ? `${least} or more` : `from ${least} to ${most}`;
  const allowed = `It is a whole number, ${range}.`;
  return z
    .string()
    .regex(/^\d{1,15}$/, allowed)
    .transform(Number)
    .pipe(z.int(allowed).min(least, allowed).max(most, allowed));
};

export const eventsQuery = () =>
  z.strictObject({
    after: wholeNumber(0, Number.MAX_SAFE_INTEGER).optional().describe("Only events with a higher number."),
    limit: wholeNumber(1, MAX_EVENTS_PER_PAGE).optional().describe("At most so many events; 100 if missing."),
  });

export const stepQuery = () =>
  z.strictObject({
    item: wholeNumber(0, limits.MAX_ITEMS).optional().describe("Of a forEach step: this item alone, from 0."),
  });

export const explainQuery = () =>
  z.strictObject({
    step: z
      .string()
      .regex(new RegExp(NAME_PATTERN), "The name of a step.")
      .optional()
      .describe("This step alone, whatever became of it; missing: all that is not over."),
  });

export const pageQuery = () =>
  z.strictObject({
    cursor: z.string().min(1).max(MAX_CURSOR_CHARS).optional().describe("`next_cursor` of the page before."),
    limit: wholeNumber(1, 100).optional().describe("At most so many; 100 if missing."),
  });

export const auditQuery = () =>
  z.strictObject({
    kind: z
      .string()
      .regex(/^[a-z_]{1,32}$/, "This is not the kind of an action.")
      .optional()
      .describe("What stands before the dot in `action`: `credential`, `connection`, `key`, `policy`."),
    target: z
      .string()
      .min(1)
      .max(MAX_USER_CHARS)
      .optional()
      .describe("Id or name: of a connection, a role, a key."),
    run: z
      .string()
      .refine(isRunId, "This is not the id of a run.")
      .optional()
      .describe("Only which credentials this run used."),
    since: moment().optional().describe("From this moment on."),
    until: moment().optional().describe("Before this moment."),
    ...pageQuery().shape,
  });

const afterLink = () =>
  wholeNumber(0, Number.MAX_SAFE_INTEGER)
    .optional()
    .describe("Behind the link of this number; 0 if missing.");

/** For the operator, who looks at any chain. */
const ofTenant = () =>
  nameSchema()
    .optional()
    .describe("Of this tenant; missing: the deployment's own, of what concerns no tenant.");

export const exportQuery = () => z.strictObject({ after: afterLink() });
export const exportOfQuery = () => z.strictObject({ tenant: ofTenant(), after: afterLink() });
export const verifyOfQuery = () => z.strictObject({ tenant: ofTenant() });

export const MAX_LINKS_VERIFIED = 100;

export const VerifyAudit = named("VerifyAudit", () =>
  z.strictObject({
    after: z
      .int()
      .min(0)
      .exactOptional()
      .describe("`verified_to` of the step before: go on from there; 0 if missing."),
    limit: z
      .int()
      .min(1)
      .max(MAX_LINKS_VERIFIED)
      .exactOptional()
      .describe("At most so many links; 50 if missing."),
    head: z
      .strictObject({
        number: z.int().min(1),
        hash: z.string().regex(/^[0-9a-f]{64}$/),
        mac: z.string().regex(/^[\w-]{43}$/),
      })
      .exactOptional()
      .describe("The head of an earlier export: the chain must still have it."),
  }),
);

export const listQuery = () =>
  z.strictObject({
    status: z.enum(RUN_STATUSES).optional(),
    workflow: nameSchema().optional(),
    version: z.string().min(1).max(MAX_VERSION_CHARS).optional().describe("Version of the workflow."),
    user: z.string().min(1).max(MAX_USER_CHARS).optional().describe("The end user that the run acts for."),
    tag: z.string().min(1).max(MAX_TAG_CHARS).optional(),
    parent: z
      .string()
      .refine(isRunId, "This is not the id of a run.")
      .optional()
      .describe("Runs that this run started."),
    failure_code: nameSchema().optional().describe("Code of the run's failure."),
    failure_text: z
      .string()
      .min(1)
      .max(MAX_FAILURE_TEXT_CHARS)
      .optional()
      .describe("Part of the code or the message of the failure; of failed runs, unless a status is named."),
    started_from: moment().optional().describe("From this moment on."),
    started_to: moment().optional().describe("Before this moment."),
    ended_from: moment().optional().describe("From this moment on."),
    ended_to: moment().optional().describe("Before this moment."),
    cursor: z.string().min(1).max(MAX_CURSOR_CHARS).optional().describe("`next_cursor` of the page before."),
    limit: pageSize().optional().describe(`At most so many; ${MAX_RUNS_PER_PAGE} if missing.`),
  });

export const countsQuery = () =>
  z.strictObject({
    from: moment().optional().describe("Runs that started from this moment on."),
    to: moment().optional().describe("Runs that started before this moment."),
    bucket: z
      .enum(Object.keys(BUCKETS) as (keyof typeof BUCKETS)[])
      .optional()
      .describe("Length of a bucket; 1h if missing."),
  });

export const feedQuery = () =>
  z.strictObject({
    after: z.string().min(1).max(MAX_POSITION_CHARS).optional().describe("`next` of the page before."),
    limit: pageSize().optional().describe(`At most so many; ${MAX_RUNS_PER_PAGE} if missing.`),
  });

export const RelistRuns = named("RelistRuns", () =>
  z.strictObject({
    objects: z
      .array(z.string().regex(/^[0-9a-f]{64}$/, "An id has 64 hexadecimal digits."))
      .min(1)
      .max(MAX_RELISTED)
      .describe("Ids of run objects, as the platform lists them."),
  }),
);

export const RewrapRecords = named("RewrapRecords", () =>
  z.strictObject({
    limit: z
      .int()
      .min(1)
      .max(MAX_REWRAPPED)
      .exactOptional()
      .describe("At most so many records in this call; 100 if missing."),
  }),
);

const pageSize = (): z.ZodType<number> => wholeNumber(1, MAX_RUNS_PER_PAGE);

const moment = (): z.ZodType<number> => wholeNumber(0, Number.MAX_SAFE_INTEGER);

export const revokeQuery = () =>
  z.strictObject({
    descendants: z
      .enum(["true", "false"])
      .optional()
      .describe("`true`: also revoke all keys that the key has made, directly or not."),
  });

/** Of those who wait in a queue, where nothing else is asked for. */
export const QUEUE_SHOWN = 50;
const MAX_QUEUE_SHOWN = 500;

export const queueQuery = () =>
  z.strictObject({
    limit: wholeNumber(0, MAX_QUEUE_SHOWN)
      .optional()
      .describe(`At most so many of those who wait; ${QUEUE_SHOWN} if missing.`),
  });

export const workflowQuery = () =>
  z.strictObject({ version: z.string().min(1).max(MAX_VERSION_CHARS).optional() });
