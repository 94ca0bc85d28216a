/** For how long the data of a tenant is kept, as the operator says it. */
import * as z from "zod";
import { RETENTION_DAYS } from "../access/index.ts";
import { named } from "./schema.ts";

const days = (name: keyof typeof RETENTION_DAYS) => {
  const { min, max } = RETENTION_DAYS[name];
  return z.int().min(min).max(max);
};

export const PutRetention = named("PutRetention", () =>
  z.strictObject({
    runs_days: days("runsDays").exactOptional().describe("Of a run, after its end. Missing: 30."),
    uses_days: days("usesDays")
      .exactOptional()
      .describe("Of a use of a credential in the audit. Missing: 90."),
    audit_days: z
      .union([days("auditDays"), z.null()])
      .exactOptional()
      .describe("Of the audit of access. `null`, or missing: for good."),
  }),
);
