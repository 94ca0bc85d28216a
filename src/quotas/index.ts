export {
  type Book,
  decide,
  EMPTY_BOOK,
  FULL_RETRY_MS,
  heard,
  LEASE_MS,
  needsCount,
  ratesOf,
} from "./book.ts";
export { createGate, type Admission, type Gate, type StartPermit } from "./gate.ts";
export { type Quota, QUOTA_NAMES, QUOTAS, type Quotas, quotasOf, quotasSchema } from "./limits.ts";
export type { Refusal } from "./purse.ts";
export type { Ask, Lease, QuotaRpc, QuotaView } from "./quota-rpc.ts";
export { counted, coveredBy } from "./slots.ts";
