/**
 * PERSISTED CONTRACT. What a connection object keeps of a grant: all of it but the tokens, which stand sealed beside it.
 * Pure: words and their readings.
 */

/** Whose a connection is: an end user's, by the tenant's own naming, or the tenant's. */
export type Owner = { readonly kind: "user"; readonly user: string } | { readonly kind: "tenant" };

/** The place that a connection fills. Its id is derived from it, so there is one object for it, also before any consent. */
export interface Slot {
  readonly tenant: string;
  /** Name of the integration. */
  readonly integration: string;
  readonly owner: Owner;
  /** Tells several accounts of one owner apart. */
  readonly account: string;
}

/**
 * Why a grant cannot be used any more.
 * - `revoked`: the provider says that it is gone.
 * - `expired`: it has ended, and there is nothing to renew it with.
 * - `refresh_lost`: the answer to a refresh was lost, and the provider takes no old refresh token twice.
 */
export type DeathReason = "revoked" | "expired" | "refresh_lost";

/** How sure it is whose browser it was that consented. `machine`: nobody's; the tenant's own access. */
export type IdentityLevel = "host_session" | "confirm" | "link" | "machine";

/** The tokens. Never outside of the vault's seal but in memory. Times are milliseconds since 1970. */
export interface Pair {
  readonly accessToken: string;
  readonly refreshToken: string | null;
}

/** What is known of a pair beside it. */
export interface PairTimes {
  readonly issuedAt: number;
  /** Null: it does not say, and that does not mean that it has ended. */
  readonly expiresAt: number | null;
  /** When the refresh token ends if it is not used; null: not known. */
  readonly idleEndsAt: number | null;
}

export interface Account {
  /** By the provider's naming; null: the provider does not say whose it is. */
  readonly id: string | null;
  readonly label: string | null;
}

/** One consent and what became of it. */
export interface Grant extends PairTimes {
  /** Raised with every new pair: a sealed pair of another version does not open. */
  readonly version: number;
  /** The version that it began with: of this consent, through all its refreshes. Missing: made before this was kept. */
  readonly consent?: number;
  /** The pair, sealed; null: shredded. */
  readonly sealed: string | null;
  /** Null: not known, so nothing can be said to be missing. */
  readonly scopes: readonly string[] | null;
  readonly account: Account;
  readonly identityLevel: IdentityLevel;
  readonly grantedAt: number;
  /** When it ends whatever happens; null: not known. */
  readonly endsAt: number | null;
  /** Further values of the provider's answers, none of them secret: the address of an instance, a realm. */
  readonly extra: Readonly<Record<string, string>>;
}

/** A refresh whose answer was not stored: the provider may have taken the refresh token and made another. */
export interface Sending {
  /** Version of the grant whose refresh token was sent. */
  readonly version: number;
  /** When it was first sent. */
  readonly since: number;
}

export type Standing =
  | { readonly status: "active" }
  | { readonly status: "dead"; readonly reason: DeathReason; readonly at: number }
  /** Taken back, and unusable from then on; the provider is still to be told. */
  | { readonly status: "revoking"; readonly at: number; readonly by: string }
  | { readonly status: "disconnected"; readonly at: number; readonly by: string };

export interface ConnectionRecord {
  readonly standing: Standing;
  readonly grant: Grant;
  /** Raised when a grant of another account took the place: runs that began with the old one do not go on by themselves. */
  readonly epoch: number;
  /** The session by whose confirmation the grant came, and whether it took the place of another account's; missing: by none. */
  readonly confirmed?: { readonly session: string; readonly replaced: boolean };
  readonly sending: Sending | null;
  /** Consecutive refreshes that failed for a passing reason, and when the next one may be tried. */
  readonly failures: number;
  readonly retryAt: number;
  /** When a token was last renewed because a service had refused the one before. */
  readonly forcedAt?: number;
  /** The last warning that the grant ends soon: of which end, and how long before. */
  readonly warned?: { readonly endsAt: number; readonly beforeMs: number };
  /** Why the last refresh failed; missing: it did not. */
  readonly trouble?: Trouble;
}

export interface Trouble {
  /** Only the integration's owner can help. */
  readonly misconfigured: boolean;
  /** For people; without secrets. */
  readonly detail: string;
}

/** As `IntegrationCopy`, with its secret sealed. */
export interface KeptIntegration {
  readonly name: string;
  readonly version: number;
  readonly provider: unknown;
  readonly clientId: string;
  readonly sealedSecret: string | null;
}

/** A grant that waits for the tenant's backend to say whose it is. */
export interface PendingGrant {
  /** Id of the connect session that brought it. */
  readonly session: string;
  readonly grant: Grant;
  readonly integration: KeptIntegration;
  readonly workflows: readonly string[] | null;
  readonly until: number;
  readonly replaceAccount: boolean;
}

export function ownerText(owner: Owner): string {
  return owner.kind === "tenant" ? "tenant" : `user:${owner.user}`;
}

/** Those of `wanted` that the grant does not have. */
export function missingScopes(grant: Pick<Grant, "scopes">, wanted: readonly string[]): string[] {
  const { scopes } = grant;
  return scopes === null ? [] : wanted.filter((scope) => !scopes.includes(scope));
}

/** Tells one consent of a connection from another; a refresh makes no other. */
export function consentOf({ consent = 0 }: Grant): number {
  return consent;
}

/** Whether two grants may be of one account: where one of them does not say, nobody knows. */
export function sameAccount(a: Account, b: Account): boolean | null {
  return a.id === null || b.id === null ? null : a.id === b.id;
}
