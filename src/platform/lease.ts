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

/** A request that is about to leave, as whoever signs it sees it. */
export interface SignedRequest {
  readonly method: string;
  /** As it is sent, with its query. */
  readonly url: string;
  /** All that the step sends. Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | string | undefined;
}

/** What an attempt may do with a connect token or a cloud credential. In memory only, and for this attempt only. */
export interface Lease {
  /**
   * Which credential it is, for the journal. Of a connection: `connection`, `integration`, `account`, `version`; of a cloud
   * role: `role`, `provider`, `subject`, `version`.
   */
  readonly about: Readonly<Record<string, string | number>>;
  /** Presents the token. Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** Sent as well, unless the step has its own. */
  readonly defaults: Readonly<Record<string, string>>;
  /**
   * The headers to add for exactly this request, which is final: a signature. Names in lower case. Nothing that is signed
   * goes along with a redirect.
   */
  readonly sign?: (request: SignedRequest) => Promise<Readonly<Record<string, string>>>;
  /**
   * The credential itself, for those who give it to a library of the service: `accessKeyId`, `secretAccessKey` and
   * `sessionToken`, or `token`. Every value of it is in `secrets`.
   */
  readonly raw?: Readonly<Record<string, string>>;
  /** Of `raw`: when it ends, in milliseconds since 1970. */
  readonly expiresAt?: number;
  /** What must not come back in an output or an error. */
  readonly secrets: readonly string[];
  /** Headers of an answer that `read` looks at. */
  readonly keepHeaders: readonly string[];
  /** Why the token may not go along with a request to this URL; null: it may. */
  refusalFor(url: string): string | null;
  /** What an answer says of the credential; undefined: nothing. */
  read(answer: {
    readonly host: string;
    readonly status: number;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: string;
  }): LeaseFinding | undefined;
  /** The service refused the token: another one, if it can be had. */
  renew(): Promise<LeaseAnswer>;
  /** The service will not answer for a while, whoever asks with this credential. */
  limited(waitMs: number | undefined): Promise<void>;
  /** The service says that the grant is gone. */
  dead(): Promise<void>;
  /**
   * What it waits for after the service refused even a fresh token, or one of too few scopes. Null: there is nobody to wait
   * for, and the answer means what its status says.
   */
  need(reason: "rejected" | "scope_missing" | "revoked", scopes?: readonly string[]): Need | null;
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
      readonly code:
        | "connection_ambiguous"
        | "connection_refused"
        | "connection_unknown"
        | "cloud_role_unknown"
        /** It is not for this workflow, or not for steps that came as JSON. */
        | "cloud_role_refused"
        /** The hint says what to change, with what the cloud was told. */
        | "cloud_role_misconfigured"
        /** A role of the same name was made again since the run first used it. */
        | "cloud_role_replaced"
        | "timeout_exceeds_credential"
        | "identity_not_configured";
      readonly message: string;
      readonly hint: string;
    };
