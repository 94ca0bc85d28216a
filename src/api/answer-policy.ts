/** The policy of a tenant. */
import * as z from "zod";
import { Policy } from "./request-schemas.ts";
import { named, nullable, time } from "./schema.ts";

export const TenantPolicy = named("TenantPolicy", () =>
  z.strictObject({
    policy: z.union([Policy.schema(), z.null()]).describe("Null: the tenant has none."),
    updated_at: nullable(time()),
    updated_by: z.union([z.string(), z.null()]),
  }),
);

export const ChangedPolicy = named("ChangedPolicy", () =>
  z.strictObject({
    policy: Policy.schema(),
    updated_at: time(),
    updated_by: z.string(),
    effective_by: time().describe("By then it is in force everywhere, also for runs that go on."),
  }),
);
