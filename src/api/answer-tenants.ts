/** Tenants. */
import * as z from "zod";
import { count, named, nextCursor, nullable, time } from "./schema.ts";

const tenantFields = () => ({
  id: z.string(),
  created_at: time(),
  created_by: z.string(),
  jurisdiction: nullable(z.string()).describe("In which its objects are kept and run. `null`: anywhere."),
  location_hint: nullable(z.string()).describe(
    "Near what its objects are made. `null`: near who makes them.",
  ),
});

export const Tenant = named("Tenant", () => z.strictObject(tenantFields()));

export const TenantList = named("TenantList", () =>
  z.strictObject({ data: z.array(Tenant.schema()), next_cursor: nextCursor() }),
);

const retentionFields = () => ({
  runs_days: count().describe("Of a run, after its end."),
  uses_days: count().describe("Of a use of a credential in the audit."),
  audit_days: nullable(count()).describe("Of the audit of access. `null`: for good."),
});

export const RetentionInForce = named("RetentionInForce", () => z.strictObject(retentionFields()));

export const ChangedRetention = named("ChangedRetention", () =>
  z.strictObject({
    ...retentionFields(),
    effective_by: time().describe("By then everybody goes by it who asks. docs/data.md tells when that is."),
  }),
);

const setting = () => nullable(z.record(z.string(), z.unknown()));

export const TenantWithSettings = named("TenantWithSettings", () =>
  z.strictObject({
    ...tenantFields(),
    quotas: setting().describe("What was set for this tenant. `null`: the defaults."),
    retention: setting().describe("What was set for this tenant. `null`: the defaults."),
    quotas_in_force: z.record(z.string(), z.int()).describe("All of them, with the defaults filled in."),
    retention_in_force: RetentionInForce.schema().describe("With the defaults filled in."),
  }),
);
