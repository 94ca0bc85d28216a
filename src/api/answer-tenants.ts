/** Tenants. */
import * as z from "zod";
import { named, nextCursor, nullable, time } from "./schema.ts";

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

const setting = () => nullable(z.record(z.string(), z.unknown()));

export const TenantWithSettings = named("TenantWithSettings", () =>
  z.strictObject({
    ...tenantFields(),
    quotas: setting().describe("What was set for this tenant. `null`: the defaults."),
    retention: setting().describe("What was set for this tenant. `null`: the defaults."),
  }),
);
