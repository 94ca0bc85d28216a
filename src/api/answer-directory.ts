/** Runs in lists, counts and the feed. */
import * as z from "zod";
import { RUN_STATUSES } from "../kernel/index.ts";
import { count, named, nextCursor, nullable, time } from "./schema.ts";

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
