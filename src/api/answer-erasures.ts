/** Erasures of end users, and of single runs. */
import * as z from "zod";
import { count, named, nullable, time } from "./schema.ts";

export const ErasureView = named("Erasure", () =>
  z.strictObject({
    id: z.string(),
    status: z
      .enum(["running", "done"])
      .describe("Until it is `done` nothing is started or made for the user."),
    begun_at: time(),
    begun_by: z.string(),
    done_at: nullable(time()),
    waits_for: z
      .strictObject({
        runs: count().describe("Told to end, and not over yet."),
        connections: count().describe("Whose provider is still to be told, for a day at most."),
      })
      .describe("As of the last look. It comes again by itself."),
    erased: z.strictObject({
      keys: count().describe("Bound to the user: revoked."),
      connections: count(),
      runs: count().describe("Of which only how they went is left."),
      runs_deleted: count().describe("Which could not be read, or were gone already."),
      callers: count().describe("Who came with tokens for the user."),
      hooks: z.array(z.string()).describe("That acted for the user, by their names: deleted."),
      schedules: z.array(z.string()).describe("That acted for the user, by their names: deleted."),
    }),
    provider_not_told: z
      .array(
        z.strictObject({
          connection: z.string(),
          integration: z.string(),
          outcome: z
            .enum(["kept_for_siblings", "no_endpoint", "gave_up"])
            .describe(
              "Another connection lives on the same account; the provider takes no revocations; or it did not answer for a day.",
            ),
        }),
      )
      .describe("Grants that are over here, and of which their provider may know nothing."),
  }),
);

export const ErasedRun = named("ErasedRun", () =>
  z.strictObject({ run: z.string(), erased: z.literal(true) }),
);
