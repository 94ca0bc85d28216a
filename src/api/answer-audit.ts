/** The audit. Nothing in it is a secret. */
import * as z from "zod";
import { named, nextCursor, time } from "./schema.ts";

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
