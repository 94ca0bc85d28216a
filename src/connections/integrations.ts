/** What an integration is: a tenant's app at a provider, or the tenant's own credential for one. Pure. */

/** How it is made sure whose browser it is that consents (docs/connect.md). */
export type ConnectMode = "confirm" | "host_session" | "link";

/** PERSISTED CONTRACT. What is decided when an integration is made, and never changes: where its tokens may go. */
export interface FixedIntegration {
  /** The bound descriptor, with the hosts and endpoints that it had then; discovery's answer included. */
  readonly provider: unknown;
  /** Empty where the provider knows no clients: keys, passwords. */
  readonly clientId: string;
}

/** PERSISTED CONTRACT. What may change. */
export interface IntegrationSettings {
  /** What people are shown for the provider, where that is not its own name. */
  readonly displayName?: string;
  /** The scopes that connections may have; a session asks for some of them. Null: the provider has none, or any. */
  readonly scopesAllowed: readonly string[] | null;
  /** What a session asks for that names none. */
  readonly scopesDefault: readonly string[];
  /** What a session is, that says nothing else. */
  readonly mode: ConnectMode;
  /** Whether links that anybody may open can be made. */
  readonly linkEnabled: boolean;
  /** Where the browser may be sent in the end: exact https addresses. The first is used where a session names none. */
  readonly returnTo: readonly string[];
  /** Of the tenant's own: the only workflows that may use its connections. */
  readonly workflows?: readonly string[];
}

export interface Integration {
  readonly tenant: string;
  readonly name: string;
  /** Name of the descriptor. */
  readonly provider: string;
  readonly kind: "oauth2" | "oidc" | "client_credentials" | "jwt_bearer" | "api_key" | "basic";
  readonly owner: "user" | "tenant";
  readonly fixed: FixedIntegration;
  readonly settings: IntegrationSettings;
  readonly version: number;
  readonly secretVersion: number;
  readonly createdAt: number;
  readonly createdBy: string;
  readonly updatedAt: number;
  readonly deletedAt: number | null;
}
