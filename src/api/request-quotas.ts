/** What the operator sets for a tenant. */
import * as z from "zod";
import { quotasSchema } from "../quotas/index.ts";
import { named } from "./schema.ts";

export const PutQuotas = named("PutQuotas", () =>
  z.strictObject({
    quotas: z
      .union([quotasSchema(), z.null()])
      .describe(
        "Takes the place of all that was set before; what is missing is at its default. Null: all are.",
      ),
  }),
);
