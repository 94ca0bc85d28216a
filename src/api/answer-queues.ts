/** The queue of a workflow. */
import * as z from "zod";
import { count, named, nullable, time } from "./schema.ts";

const why = <T extends string>(...more: readonly T[]) =>
  z
    .enum(["concurrency", "rate", "debounce", ...more])
    .describe("What it waits for: a slot, its rate, that no other of its key comes.");

const place = () =>
  nullable(count()).describe(
    "1 is the first in the order of the queue, whatever the keys of those before it. Null: it has none yet.",
  );

const retryAt = () =>
  nullable(time()).describe("When the clock alone lets it go on; null: an end of another run does.");

const priority = () => z.number().describe("Higher goes first.");

/** What a run that is `queued` says of it. */
export const queuedFields = () => ({
  since: time(),
  limit_at: time(),
  place: place().optional(),
  why: why("arriving").optional(),
  priority: priority().optional(),
  retry_at: retryAt().optional(),
});

export const WorkflowQueue = named("WorkflowQueue", () =>
  z.strictObject({
    workflow: z.string(),
    working: count().describe(
      "Runs that hold slots: until their end, also while they wait for something themselves.",
    ),
    waiting: count().describe("Runs that wait for a slot, or for their rate."),
    quiet: count().describe("Runs that wait whether another of their debounce key comes."),
    limits: nullable(
      z.strictObject({
        concurrency: z.array(count()).describe("For each key."),
        rate: nullable(z.strictObject({ limit: count(), per_ms: count() })).describe("For each key."),
        debounce: nullable(z.strictObject({ for_ms: count(), max_ms: count() })),
        queue: count().describe("Runs that may wait."),
      }),
    ).describe("In force: those of the run that was started last. Null: no run has ever waited here."),
    data: z
      .array(
        z.strictObject({
          run: z.string(),
          place: place(),
          why: why(),
          priority: priority(),
          retry_at: retryAt(),
          since: time(),
        }),
      )
      .describe("The first of those who wait."),
  }),
);
