/** Schedules, and what became of their times. */
import * as z from "zod";
import { overlap, timing } from "./request-schedules.ts";
import { count, json, named, nextCursor, nullable, time } from "./schema.ts";

const paused = () =>
  nullable(z.strictObject({ since: time(), by: z.string(), reason: nullable(z.string()) })).describe(
    "`by` is `system` where the schedule paused itself.",
  );

const listed = () => ({
  name: z.string(),
  workflow: z.string(),
  timing: timing(),
  paused: paused(),
  maker: z.string().describe("Who wrote it last: its runs are started under the policies of this key."),
  ...{ created_at: time(), updated_at: time() },
});

export const ScheduleView = named("Schedule", () =>
  z.strictObject({
    ...listed(),
    ...{ version: nullable(z.string()), input: json(), user: nullable(z.string()) },
    tags: z.array(z.string()),
    overlap: overlap(),
    ...{ catch_up_ms: count(), jitter_ms: count() },
    revision: count().describe("Raised with every change."),
    next: z
      .array(time())
      .describe(
        "The next ten times, without jitter; of a paused one, those that it would have. Fewer: it ends.",
      ),
    pending: z
      .array(z.strictObject({ tick: time(), by_hand: z.boolean(), tries: count() }))
      .describe("Starts that were decided, and of which it is not known yet what became."),
  }),
);

export const ScheduleList = named("ScheduleList", () =>
  z.strictObject({ data: z.array(z.strictObject(listed())), next_cursor: nextCursor() }),
);

const numbered = () => ({ n: count().describe("Counts all records of the schedule."), at: time() });

export const TickLog = named("TickLog", () =>
  z.strictObject({
    data: z
      .array(
        z.discriminatedUnion("what", [
          z.strictObject({
            ...{ ...numbered(), what: z.literal("started"), tick: time(), by_hand: z.boolean() },
            run: z.string(),
          }),
          z.strictObject({
            ...{ ...numbered(), what: z.literal("refused"), tick: time(), by_hand: z.boolean() },
            ...{ code: z.string(), message: z.string() },
          }),
          z.strictObject({
            ...{ ...numbered(), what: z.literal("skipped"), from: time(), to: time() },
            reason: z.enum(["overlap", "superseded", "outside_window", "paused", "edited"]),
          }),
        ]),
      )
      .describe("The newest first. A skip is of all times from one to another, both included."),
  }),
);

export const TriggeredSchedule = named("TriggeredSchedule", () =>
  z.strictObject({
    run: z.string(),
    started: z.boolean().describe("False: it is tried until it is known what becomes of it."),
  }),
);
