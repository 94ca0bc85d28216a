/**
 * What the house asks of a hook's object, over RPC. Every call carries the tenant; a mismatch is answered as if nothing were here.
 * Plain data, which only gains optional fields.
 */
import type { DeliveryEntry } from "../entries.ts";
import type { Rate } from "../rate.ts";

/** A line of the log. */
export interface LoggedDelivery {
  /** `dlv_` and 128 random bits. */
  readonly id: string;
  /** Rises with each line of the hook. */
  readonly n: number;
  readonly entry: DeliveryEntry;
  /** Whether its body is kept, so that it can be delivered again. */
  readonly kept: boolean;
}

export interface ToldDelivery {
  readonly id: string;
  readonly entry: DeliveryEntry;
  /** What is needed to deliver it again, sealed; null: that is not kept. */
  readonly sealed: string | null;
}

export interface HookRpc {
  /** Milliseconds until there is a token; 0: one was taken. */
  take(tenant: string, rate: Rate): Promise<number>;
  tell(tenant: string, told: ToldDelivery): Promise<void>;
  /** The newest first, those before line `before`. */
  log(tenant: string, before: number | null, limit: number): Promise<readonly LoggedDelivery[]>;
  /** Null: it is not in the log (any more). */
  find(
    tenant: string,
    id: string,
  ): Promise<{ readonly entry: DeliveryEntry; readonly sealed: string | null } | null>;
  /** Of deliveries that started this run only when and how they went is kept. */
  eraseRun(tenant: string, run: string): Promise<void>;
  /** The hook is gone: nothing of it is kept. */
  forget(tenant: string): Promise<void>;
}
