export { LEASE_MS } from "./book.ts";
export { createGate, type Admission, type Gate, type StartPermit } from "./gate.ts";
export { type Quota, QUOTA_NAMES, QUOTAS, type Quotas, quotasOf, quotasSchema } from "./limits.ts";
export type { Refusal } from "./purse.ts";
export { type QuotaPorts, WiredQuotaObject } from "./quota-object.ts";
export type { QuotaRpc, QuotaView } from "./quota-rpc.ts";
