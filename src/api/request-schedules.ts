/** What is said of a schedule. What it may be is decided in the room of the triggers. */
import * as z from "zod";
import { MAX_USER_CHARS } from "../access/index.ts";
import { limits } from "../kernel/index.ts";
import { count, json, named, nameSchema, time } from "./schema.ts";

const MAX_EXPRESSION_CHARS = 200;
const MAX_TIMEZONE_CHARS = 64;
const MAX_VERSION_CHARS = 64;
const MAX_TAGS = 16;
const MAX_TAG_CHARS = 64;
export const MAX_SCHEDULES_PER_PAGE = 100;
/** That are kept of one schedule. */
export const MAX_TICKS_PER_PAGE = 200;
const MAX_CURSOR_CHARS = 64;

/** As it is shown, too. */
export const timing = () =>
  z
    .discriminatedUnion(
      "kind",
      [
        z.strictObject({
          kind: z.literal("cron"),
          expression: z
            .string()
            .max(MAX_EXPRESSION_CHARS)
            .describe("Five fields, six with seconds in front, or `@daily` and the like."),
          timezone: z
            .string()
            .max(MAX_TIMEZONE_CHARS)
            .exactOptional()
            .describe("Name of the tz database, as `Europe/Berlin`; `UTC` if it is missing."),
        }),
        z.strictObject({
          kind: z.literal("interval"),
          every_ms: count().describe("Milliseconds: from one second to 366 days."),
          anchor: time().exactOptional().describe("One of its times, 0 if it is missing."),
        }),
        z.strictObject({ kind: z.literal("once"), at: time() }),
      ],
      {
        error: (issue) =>
          issue.code === "invalid_union" ? "It is one of: cron, interval, once." : undefined,
      },
    )
    .describe("When runs are started.");

export const overlap = () =>
  z
    .enum(["skip", "allow", "cancel_previous"])
    .describe("What becomes of a time while a run of an earlier one is under way.");

export const PutSchedule = named("PutSchedule", () =>
  z.strictObject({
    timing: timing(),
    workflow: nameSchema().describe("What is started: of the deployment, or a stored plan."),
    version: z
      .string()
      .min(1)
      .max(MAX_VERSION_CHARS)
      .exactOptional()
      .describe("The newest at each start if it is missing."),
    input: json().exactOptional().describe("Fits the workflow's input schema; {} if it is missing."),
    user: z
      .string()
      .min(1)
      .max(MAX_USER_CHARS)
      .exactOptional()
      .describe("The end user that its runs act for. Needs runs:act_as."),
    tags: z
      .array(z.string().min(1).max(MAX_TAG_CHARS))
      .max(MAX_TAGS)
      .exactOptional()
      .describe("Words to find its runs by."),
    overlap: overlap().exactOptional(),
    catch_up_ms: count()
      .exactOptional()
      .describe("What could not be started for so long is not started any more: an hour if it is missing."),
    jitter_ms: count().exactOptional().describe("Each start is later by up to so much: 0 if it is missing."),
  }),
);

export const PauseSchedule = named("PauseSchedule", () =>
  z.strictObject({ reason: z.string().min(1).max(limits.MAX_MESSAGE_CHARS).exactOptional() }),
);

export const schedulesQuery = () =>
  z.strictObject({
    limit: pageSize(MAX_SCHEDULES_PER_PAGE),
    cursor: z.string().max(MAX_CURSOR_CHARS).exactOptional().describe("`next_cursor` of the page before."),
  });

export const ticksQuery = () => z.strictObject({ limit: pageSize(MAX_TICKS_PER_PAGE) });

const pageSize = (most: number) => z.coerce.number().int().min(1).max(most).exactOptional();
