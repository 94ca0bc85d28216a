/** What a tenant may have and do, and how much of it is used. */
import * as z from "zod";
import { named, nullable } from "./schema.ts";

export const QuotaList = named("QuotaList", () =>
  z.strictObject({
    data: z.array(
      z.strictObject({
        name: z.string(),
        about: z.string(),
        limit: z.int(),
        default: z.int(),
        used: nullable(z.int()).describe(
          "Of a rate: what of it is used up just now, within a few seconds. `null`: it is counted for each plan.",
        ),
        full_in_s: nullable(z.int()).describe("Of a rate: when nothing of it is used up any more."),
      }),
    ),
  }),
);

export const TenantQuotas = named("TenantQuotas", () =>
  z.strictObject({
    tenant: z.string(),
    quotas: nullable(z.record(z.string(), z.int())).describe("What was set. `null`: the defaults."),
    effective: z.record(z.string(), z.int()).describe("All of them, with the defaults filled in."),
    effective_by: z.int().describe("By then it is in force everywhere. Milliseconds since 1970."),
  }),
);
