/** What an endpoint's object needs from the rest of the house. The composition root wires it. */
import type { Logger } from "../../platform/index.ts";
import type { DisabledReason, Endpoint, Setting } from "./endpoint.ts";

export type Posted =
  /** `code`: why there was no answer, or it could not be read; null: it was read. */
  | {
      readonly kind: "tried";
      readonly status: number | null;
      readonly retryAfterMs: number | null;
      readonly code: string | null;
    }
  /** It could not be tried now, for a reason that is not the endpoint's, and nothing left. */
  | { readonly kind: "later"; readonly code: string };

/** A port that rejects is asked again later. */
export interface EndpointPorts {
  /** The endpoint as it is now; null: there is none. */
  readonly load: (tenant: string, endpoint: string) => Promise<Setting | null>;
  /** One try, through egress. Follows no redirect, and ends in bounded time. Never rejects. */
  readonly post: (
    endpoint: Endpoint,
    headers: Readonly<Record<string, string>>,
    body: Uint8Array,
  ) => Promise<Posted>;
  /** Says where endpoints are listed that it is disabled; of one that was changed since it was judged, nothing. */
  readonly disable: (
    endpoint: Pick<Endpoint, "tenant" | "id" | "version">,
    reason: DisabledReason,
    at: number,
  ) => Promise<void>;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** From 0 to below 1. */
  readonly random: () => number;
}
