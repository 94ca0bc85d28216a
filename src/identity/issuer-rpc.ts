/** What can be asked of a tenant's issuer object. Only this deployment's own code calls it; private keys never leave it. */
import type { SigningKey } from "./signing-keys.ts";
import type { WorkloadClaims } from "./token.ts";

/**
 * Why it did not do what it was asked.
 *
 * - `unavailable`: a passing fault; nothing was signed or written. `retryAfterMs` where that is known.
 * - `not_found`: there is no such key, or the object is another tenant's.
 * - `too_many_keys`: retired keys must stay published first; `retryAfterMs` says how long.
 * - `claims_refused`: they are not those of an identity token of this tenant. A bug of whoever asked.
 */
export type IssuerRefusalCode = "unavailable" | "not_found" | "too_many_keys" | "claims_refused";

export interface IssuerRefusal {
  readonly ok: false;
  readonly code: IssuerRefusalCode;
  /** Names no secret. */
  readonly message: string;
  readonly retryAfterMs?: number;
}

/** What verifiers may see, and since when. Nothing of it is a secret. */
export interface Published {
  /** Raised with every change. */
  readonly revision: number;
  readonly keys: readonly SigningKey[];
}

export type SignAnswer =
  | {
      readonly ok: true;
      readonly jwt: string;
      readonly kid: string;
      /** Seconds since 1970, as in the token. */
      readonly exp: number;
    }
  | IssuerRefusal;

export type PublishedAnswer = { readonly ok: true; readonly published: Published } | IssuerRefusal;

export interface IssuerRpc {
  /** A signed identity token, once there is a key that was published long enough; makes the first one. */
  sign(request: { readonly tenant: string; readonly claims: WorkloadClaims }): Promise<SignAnswer>;
  /** Sees to it that there is a key, stored and published. Called before a cloud is told of the issuer. */
  ensure(tenant: string): Promise<PublishedAnswer>;
  /** Null: there is no issuer here. Writes nothing. */
  published(tenant: string): Promise<Published | null>;
  /** Begins a rotation: publishes the next key now. One that goes on already is left as it is. */
  rotate(tenant: string): Promise<PublishedAnswer>;
  /** Takes a key back at once, whatever it is doing. */
  revoke(tenant: string, kid: string): Promise<PublishedAnswer>;
  /** Does what is due. */
  poke(tenant: string): Promise<void>;
  /** Moves what it keeps under the active key of the vault; false: not all of it just now. */
  rewrap(tenant: string): Promise<boolean>;
}
