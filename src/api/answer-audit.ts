/** The audit. Nothing in it is a secret. */
import * as z from "zod";
import { named, nextCursor, nullable, time } from "./schema.ts";

export const AuditList = named("AuditList", () =>
  z.strictObject({
    data: z.array(
      z.strictObject({
        id: z.string(),
        at: time(),
        actor: z.string().describe("`root`, `key:<id>`, `run:<id>`, or who else it was."),
        action: z.string().describe("Of a use of a credential: `credential.use`."),
        target: z.string().describe("What it was done to: an id or a name; empty where there is none."),
        outcome: z.enum(["granted", "refused"]),
        detail: z.record(z.string(), z.unknown()).describe("Depends on the action."),
      }),
    ),
    next_cursor: nextCursor(),
  }),
);

const count = (): z.ZodType<number> => z.int().min(0);

/** One line each, as JSON. */
export const AuditExport = named("AuditExport", () =>
  z
    .string()
    .describe(
      "A line of JSON each: entries and uses, then the link that covers them, and so on; in the end `end` with the chain's `head`, and `next`: the number to go on with, null if this was all.",
    ),
);

export const AuditVerification = named("AuditVerification", () =>
  z.strictObject({
    verified_to: count().describe(
      "Number of the last link that was found in order; pass it as `after` to go on.",
    ),
    links: count().describe("So many links were looked at in this step, with what they cover."),
    entries: count(),
    uses: count(),
    no_longer_kept: z
      .strictObject({ entries: count(), uses: count() })
      .describe("Of these links, what has had its time, as a later link says."),
    head: nullable(z.strictObject({ number: count(), hash: z.string(), mac: z.string() })).describe(
      "The newest link. Keep it where nobody who can write the database can write.",
    ),
    open: z
      .strictObject({ entries: count(), uses: count(), oldest: nullable(time()) })
      .describe("What no link covers yet: whether it was changed does not show. Counted up to 10,000 each."),
    broken: nullable(
      z.strictObject({
        link: count(),
        code: z.string(),
        after: count().describe("The entries in question: `after` < `seq` <= `through`."),
        through: count(),
      }),
    ).describe("The first place where what stands there is not what was sealed; null: there is none so far."),
    complete: z.boolean().describe("False: ask again with `after`: `verified_to`."),
  }),
);
