/** What a connection object needs from the rest of the house. The composition root wires it. */

import type { AuditEntry, Logger } from "../platform/index.ts";
import type { Vault } from "../vault/index.ts";
import type { ConnectionView } from "./rpc.ts";
import type { KeptUse } from "./store.ts";

/** What a token endpoint gave, read by the provider's descriptor. Times are milliseconds since 1970. */
export interface Renewed {
  readonly accessToken: string;
  /** Missing: the old one stays. */
  readonly refreshToken?: string;
  readonly expiresAt?: number;
  readonly refreshExpiresAt?: number;
  readonly hardExpiresAt?: number;
  readonly scopes?: readonly string[];
  readonly extra: Readonly<Record<string, string>>;
}

export type RenewOutcome =
  | { readonly kind: "renewed"; readonly answer: Renewed }
  | { readonly kind: "terminal"; readonly code: string }
  | { readonly kind: "misconfigured"; readonly code: string; readonly description?: string }
  /** `lost`: the provider may have done it all the same. */
  | {
      readonly kind: "passing";
      readonly code: string;
      readonly lost: boolean;
      readonly retryAfterMs?: number;
    };

/** The integration with its secret in the clear, for one request. */
export interface OpenIntegration {
  readonly provider: unknown;
  readonly clientId: string;
  readonly secret: string | null;
}

export interface ProviderPort {
  /** Asks the token endpoint. Must not throw; ends within `RENEW_TIMEOUT_MS`. */
  renew(
    integration: OpenIntegration,
    refreshToken: string | null,
    scopes: readonly string[] | null,
  ): Promise<RenewOutcome>;
  /** Tells the provider that a grant is over. */
  revoke(
    integration: OpenIntegration,
    pair: { readonly accessToken: string; readonly refreshToken: string | null },
  ): Promise<{ readonly kind: "revoked" | "no_endpoint" | "later"; readonly retryAfterMs?: number }>;
}

/** A connection that nobody is shown yet, and that keeps sealed texts, or did. */
export interface Unlisted {
  readonly id: string;
  readonly tenant: string;
  readonly kids: readonly string[];
}

/** What is written where connections are listed. */
export interface Mirrored {
  /** Greater than that of any earlier change of the connection; about the time of the change. */
  readonly at: number;
  /** Null: there was no consent yet, only attempts at it, which are for the audit. */
  readonly view: ConnectionView | null;
  /** Of one without a view: what is to be known of its sealed texts all the same. */
  readonly unlisted: Unlisted | null;
  /** The sealed pair, as it is kept in the object; null: shredded. */
  readonly sealed: string | null;
  readonly uses: readonly KeptUse[];
  readonly audit: readonly AuditEntry[];
}

/** A grant, as far as others of the same account are looked for. */
export interface Granted extends Pick<ConnectionView, "id" | "slot" | "account"> {
  /** When it was taken back. */
  readonly since: number;
}

/**
 * Whether another connection lives on the account of a grant, so that to revoke the one would end the other.
 * `undecided`: none, but one that is taken back at this moment goes first, and is still to find out whether it tells.
 */
export type Siblings = "living" | "undecided" | "none";

export interface ConnectionWiring {
  readonly vault: Vault;
  readonly provider: ProviderPort;
  /** Writes a listing row unless it knows a newer version, adds uses, appends the audit: all or nothing. */
  mirror(mirrored: Mirrored): Promise<void>;
  /** Asks the objects of the others. */
  siblings(granted: Granted): Promise<Siblings>;
  /** Tells a run that what it waits for may be there. */
  wake(
    tenant: string,
    run: string,
    change: { readonly integration: string; readonly account: string; readonly connection: string },
  ): Promise<void>;
  /** A token could not be renewed. Best effort; must not throw. */
  readonly refreshFailed?: (tenant: string, reason: "dead" | "misconfigured" | "passing") => void;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}
