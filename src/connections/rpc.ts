/** What can be asked of a connection object. Only this deployment's own code calls it; tokens leave by `acquire` alone. */

import type { Account, DeathReason, IdentityLevel, Pair, PairTimes, Slot, Standing } from "./grant.ts";

/** Why there is no token. All but the last three wait for a person. */
export type NeedReason =
  | "missing"
  | DeathReason
  /** The service took neither the token nor a fresh one. */
  | "rejected"
  | "scope_missing"
  | "replaced"
  | "unavailable"
  | "rate_limited"
  | "misconfigured";

/** Who asks for a token, and for what. */
export interface Ask {
  readonly slot: Slot;
  /** The id that belongs to the slot. */
  readonly id: string;
  readonly run: string;
  readonly workflow: string;
  readonly stepTimeoutMs: number;
  /** What the step needs; missing: what the grant has. */
  readonly scopes?: readonly string[];
  /** The account that the run began with; missing: it begins now. */
  readonly epoch?: number;
  /** The consent (`consentOf`) whose token a service has refused to this step: it is not tried again, however refreshed. */
  readonly refused?: number;
  /** The integration's list of workflows, which counts until the slot has one of its own by a grant; missing: any may ask. */
  readonly workflows?: readonly string[];
}

export interface TokenAnswer {
  readonly kind: "token";
  readonly accessToken: string;
  readonly version: number;
  /** `consentOf` its grant. */
  readonly consent: number;
  readonly epoch: number;
  /** Null: it does not say when it ends. */
  readonly expiresAt: number | null;
  readonly scopes: readonly string[] | null;
  readonly extra: Readonly<Record<string, string>>;
  /** What the integration was made for, as it was fixed then: hosts, presentation, errors. */
  readonly provider: unknown;
}

export interface NeedAnswer {
  readonly kind: "needs";
  readonly reason: NeedReason;
  readonly version: number | null;
  readonly scopes?: readonly string[];
  readonly retryAfterMs?: number;
  /** For people; without secrets. */
  readonly detail?: string;
}

export type AcquireAnswer =
  | TokenAnswer
  | NeedAnswer
  /** It never will be given: this workflow may not use it, or the id is not that of the slot. */
  | { readonly kind: "refused"; readonly code: "not_for_workflow" | "not_found"; readonly message: string };

/** The integration as the object keeps it, so that a refresh works while the database is away. */
export interface IntegrationCopy {
  readonly name: string;
  /** Raised when its secret or its settings change. */
  readonly version: number;
  /** A bound descriptor. */
  readonly provider: unknown;
  readonly clientId: string;
  /** In the clear on the way here; sealed where it is kept. */
  readonly secret: string | null;
  /** Of the tenant's own: the only workflows that may use its connections. */
  readonly workflows?: readonly string[];
}

export interface GrantRequest {
  readonly slot: Slot;
  readonly id: string;
  readonly integration: IntegrationCopy;
  readonly pair: Pair;
  readonly times: PairTimes & { readonly endsAt: number | null };
  readonly scopes: readonly string[] | null;
  readonly account: Account;
  readonly identityLevel: IdentityLevel;
  readonly extra: Readonly<Record<string, string>>;
  /** Of the tenant's own access: the only workflows that may use it. */
  readonly workflows: readonly string[] | null;
  /** The connect session, or what else brought it: a name for the audit. */
  readonly by: string;
  /** Id of the connect session in which somebody consented to it; missing: nobody did. */
  readonly session?: string;
  /** Until when it waits for a confirmation; null: it is active at once. */
  readonly pending: { readonly session: string; readonly until: number } | null;
  readonly replaceAccount: boolean;
  /**
   * Whoever brings it vouches that it is of the account that is there, where it does not say so itself. Missing: nobody does.
   * It counts for nothing after the old one was taken back.
   */
  readonly sameAccount?: boolean;
}

export type GrantAnswer =
  | { readonly kind: "active"; readonly epoch: number; readonly replaced: boolean }
  | { readonly kind: "pending" }
  /** The account is another one, and nobody asked for that. Nothing was kept but what the provider is told of its end. */
  | { readonly kind: "account_mismatch" }
  /** It does not say whose it is, and it is known whose the old one is. Nothing was kept. */
  | { readonly kind: "identity_unverified" }
  | { readonly kind: "not_found" };

export interface ConnectionView {
  readonly id: string;
  readonly slot: Slot;
  readonly standing: Standing;
  readonly epoch: number;
  readonly version: number;
  readonly scopes: readonly string[] | null;
  readonly account: Account;
  readonly identityLevel: IdentityLevel;
  readonly workflows: readonly string[] | null;
  /** Of the integration that it keeps; 0: none any more. */
  readonly integrationVersion: number;
  readonly grantedAt: number;
  readonly expiresAt: number | null;
  readonly endsAt: number | null;
  readonly limitedUntil: number | null;
  readonly waiting: number;
  /** Keys of the vault that its texts are sealed under. */
  readonly kids: readonly string[];
  readonly revocation: RevocationReport | null;
  /** Taken back, and whether the provider is to be told is still to be found out. */
  readonly undecided: boolean;
}

/** What became of telling the provider. */
export interface RevocationReport {
  readonly outcome: "pending" | "revoked" | "kept_for_siblings" | "no_endpoint" | "gave_up";
  readonly at: number;
  readonly tries: number;
}

/** What a step saw of a service that it called with a token. */
export type Finding =
  | { readonly kind: "rate_limited"; readonly until: number }
  | { readonly kind: "token_dead"; readonly version: number };

export interface ConnectionRpc {
  acquire(ask: Ask): Promise<AcquireAnswer>;
  /** The service refused the token of this version: a fresh one, if it can be had. */
  renew(ask: Ask, seenVersion: number): Promise<AcquireAnswer>;
  report(tenant: string, finding: Finding): Promise<void>;
  grant(request: GrantRequest): Promise<GrantAnswer>;
  /** @param current the integration as it is now, which counts where the grant came with an older one */
  confirm(tenant: string, session: string, by: string, current: IntegrationCopy): Promise<GrantAnswer>;
  discard(tenant: string, session: string): Promise<void>;
  /** The integration has another secret; where its version is known already, nothing happens. */
  updateIntegration(tenant: string, copy: IntegrationCopy): Promise<boolean>;
  /** Whether others live on the same account is found out after that, if need be later. */
  disconnect(tenant: string, how: { readonly by: string }): Promise<ConnectionView | null>;
  view(tenant: string): Promise<ConnectionView | null>;
  /** Seals under the active key what is sealed under another. False: it cannot just now. */
  rewrap(tenant: string): Promise<boolean>;
  /**
   * Takes everything back, tells the provider, and leaves nothing behind. `later`: the provider or the listing is still to be told;
   * ask again. `not_theirs`: the slot is not the user's.
   */
  erase(
    tenant: string,
    how: { readonly user: string; readonly by: string },
  ): Promise<"erased" | "later" | "not_theirs">;
  /** Does what is due, for whoever sweeps. */
  poke(tenant: string): Promise<void>;
}
