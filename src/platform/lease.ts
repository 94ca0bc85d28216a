/**
 * What the holder of a credential lends to one attempt, and what may be done with it: the contract between the rooms that keep
 * credentials and those that send requests, none of which may know the other.
 */
import type { Json, Need } from "../kernel/index.ts";

/** A service's word on the token. */
export type LeaseFinding =
  | { readonly is: "token_refused" | "token_dead" | "refused" | "misconfigured" }
  | { readonly is: "scope_missing"; readonly scopes: readonly string[] }
  | { readonly is: "rate_limited"; readonly waitMs?: number };

/** What an attempt may do with the token of a connection. In memory only, and for this attempt only. */
export interface Lease {
  readonly about: {
    readonly connection: string;
    readonly integration: string;
    readonly account: string;
    readonly version: number;
  };
  /** Presents the token. Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** Sent as well, unless the step has its own. */
  readonly defaults: Readonly<Record<string, string>>;
  /** What must not come back in an output or an error. */
  readonly secrets: readonly string[];
  /** Headers of an answer that `read` looks at. */
  readonly keepHeaders: readonly string[];
  /** Why the token may not go along with a request to this URL; null: it may. */
  refusalFor(url: string): string | null;
  /** What an answer says of the connection; undefined: nothing. */
  read(answer: {
    readonly host: string;
    readonly status: number;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: string;
  }): LeaseFinding | undefined;
  /** The service refused the token: another one, if it can be had. */
  renew(): Promise<LeaseAnswer>;
  /** The service will not answer for a while, whoever asks with this connection. */
  limited(waitMs: number | undefined): Promise<void>;
  /** The service says that the grant is gone. */
  dead(): Promise<void>;
  /** What it waits for after the service refused even a fresh token, or one of too few scopes. */
  need(reason: "rejected" | "scope_missing" | "revoked", scopes?: readonly string[]): Need;
}

export type LeaseAnswer =
  | {
      readonly kind: "ready";
      readonly lease: Lease;
      readonly bound: { readonly name: string; readonly to: Json };
    }
  | { readonly kind: "needs"; readonly need: Need }
  | {
      readonly kind: "cannot";
      readonly code: "connection_ambiguous" | "connection_refused" | "connection_unknown";
      readonly message: string;
      readonly hint: string;
    };
