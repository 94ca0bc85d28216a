/**
 * What is asked of a tenant's quota object, over RPC. Every call carries the tenant; a mismatch is refused. Plain data in both
 * directions, which only gains optional fields.
 */
import type { RateLimit } from "./bucket.ts";
import type { PermitKind, Quotas } from "./limits.ts";
import type { BatchTold } from "./purse.ts";

export interface Ask {
  readonly kind: PermitKind;
  /** Permits that are wanted, at least 1. */
  readonly want: number;
  readonly told: readonly BatchTold[];
  /** Used without a permit since the last question. */
  readonly charged: number;
}

export type Lease = {
  /** For an isolate that has to count by itself for a while. */
  readonly rate: RateLimit;
} & (
  | {
      readonly ok: true;
      readonly granted: number;
      /** The batch's name. */
      readonly until: number;
      /** For how long it is good, from when the object was asked. */
      readonly forMs: number;
    }
  | { readonly ok: false; readonly quota: string; readonly limit: number; readonly retryMs: number }
);

export interface QuotaView {
  readonly quotas: Quotas;
  readonly activeRuns: number;
  readonly rates: Readonly<Record<PermitKind, { readonly left: number; readonly fullInMs: number }>>;
}

export interface QuotaRpc {
  ask(tenant: string, ask: Ask): Promise<Lease>;
  /** In which jurisdiction it is, as it knows itself. */
  jurisdiction(): Promise<string | null>;
  /** How all stands now. Writes nothing. Rejects while the directory does not answer. */
  view(tenant: string): Promise<QuotaView>;
}
