/** What the operator sees of the deployment. */
import * as z from "zod";
import { count, named } from "./schema.ts";

export const Health = named("Health", () =>
  z.strictObject({
    status: z.enum(["ok", "failing"]),
    checks: z.array(
      z.strictObject({
        name: z.string().describe("`database`, `keyring`, `objects`, `issuer`. There will be more."),
        ok: z.boolean(),
        detail: z.string().describe("What was seen, and what to do if it is not well."),
        ms: count(),
      }),
    ),
  }),
);
