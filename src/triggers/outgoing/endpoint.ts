/** What an endpoint is: where a tenant wants to be told of its runs. Pure. */
import type { Maker } from "../start-port.ts";
import type { EventType } from "./events.ts";
import type { SigningKey } from "./signing.ts";

/** Endpoints of one tenant. */
export const MAX_ENDPOINTS = 20;

/** Why nothing is sent to an endpoint any more. */
export const DISABLED_REASONS = [
  /** Somebody disabled it. */
  "by_request",
  /** It answered 410. */
  "gone",
  /** It took nothing for five days. */
  "failing",
  /** The key that made it may not act any more, and for five days nobody took its place. */
  "maker_revoked",
] as const;
export type DisabledReason = (typeof DISABLED_REASONS)[number];

export type KeyKind = "hmac" | "ed25519";

export interface EndpointDraft {
  readonly url: string;
  readonly types: readonly EventType[];
  readonly description: string;
}

export interface Endpoint extends EndpointDraft {
  readonly tenant: string;
  /** Random. */
  readonly id: string;
  /** In whose name it is sent. */
  readonly maker: Maker;
  readonly disabled: { readonly reason: DisabledReason; readonly at: number } | null;
  /** Since when it is sent to as it is now: what failed before says nothing of it. */
  readonly since: number;
  /** Raised with every change. */
  readonly version: number;
  readonly createdAt: number;
  readonly createdBy: string;
  readonly updatedAt: number;
}

/** A key as it is shown: of a shared one without its text. */
export interface EndpointKey extends SigningKey {
  readonly kind: KeyKind;
  /** `whpk_`, of Ed25519. */
  readonly publicKey: string | null;
}

/** An endpoint as its object needs it. */
export interface Setting {
  readonly endpoint: Endpoint;
  readonly keys: readonly EndpointKey[];
  /** `whsec_` and `whsk_` by the ids of keys that sign; null: not all of them are at hand just now. */
  readonly texts: ReadonlyMap<string, string> | null;
  /** Whether its maker may still act. */
  readonly stands: boolean;
}
