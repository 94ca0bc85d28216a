/** PERSISTED CONTRACT. A connect session: the short way on which an end user makes or renews one connection. */
import type { ConnectMode } from "./integrations.ts";
import type { Slot } from "./grant.ts";

/**
 * - `open`: the link can be used.
 * - `redeemed`: a browser went to the provider.
 * - `exchanging`: it came back, and its code is exchanged; a code is never used twice.
 * - `unconfirmed`: the grant waits for the tenant's backend.
 * - `done`, `failed`: over.
 */
export type SessionState = "open" | "redeemed" | "exchanging" | "unconfirmed" | "done" | "failed";

export type SessionFailure =
  /** The user said no, to us or to the provider. */
  | "declined"
  | "provider_error"
  | "exchange_failed"
  /** The provider does not take the integration itself: only the tenant can help. */
  | "misconfigured"
  /** The redirect was not one of the provider that was asked. */
  | "callback_refused"
  /** The account is another one, and nobody asked for that. */
  | "account_mismatch"
  /** The provider did not say which account it is, and it is known which one is connected. */
  | "identity_unverified"
  | "identity_invalid"
  /** The tenant's backend says that it was another user. */
  | "user_mismatch"
  | "unconfirmed";

export interface ConnectSession {
  readonly id: string;
  readonly slot: Slot;
  readonly connection: string;
  readonly scopes: readonly string[];
  readonly mode: ConnectMode;
  readonly returnTo: string | null;
  readonly replaceAccount: boolean;
  /** `api`, or what waits: `run:<id>:<step>`, and `:<workflow>` where that is known. */
  readonly purpose: string;
  /** Key of the vault that its link is derived from. */
  readonly kid: string;
  readonly state: SessionState;
  readonly failure: SessionFailure | null;
  readonly createdBy: string;
  readonly createdAt: number;
  readonly expiresAt: number;
}

/** What only the flow itself compares: hashes, and PKCE's verifier, sealed. */
export interface SessionSecrets {
  readonly cookieHash: string | null;
  readonly codeHash: string | null;
  readonly ticketHash: string | null;
  readonly ticketUntil: number | null;
  readonly verifier: string | null;
}

/** What a step waits for, as a session's `purpose` names it. */
export interface WaitingStep {
  readonly run: string;
  readonly unit: string;
  readonly workflow: string | null;
}

export function purposeOf({ run, unit, workflow }: WaitingStep): string {
  return ["run", run, unit, ...(workflow === null ? [] : [workflow])].join(":");
}

/** Null: no step waits for it. */
export function waitingStepOf(purpose: string): WaitingStep | null {
  const [kind, run, unit, workflow = null] = purpose.split(":");
  return kind === "run" && run !== undefined && unit !== undefined ? { run, unit, workflow } : null;
}

/** How long a link can be opened; that of a waiting step as long as it waits. */
export const LINK_MS = 30 * 60_000;
/** How long a browser has from the redeemed link to the end. */
export const FLOW_MS = 15 * 60_000;
export const TICKET_MS = 60_000;
/** How long a browser that came with a ticket has to read and decide. */
export const READING_MS = 15 * 60_000;
