/**
 * What a scheme is: how a service proves that a delivery is its own. Pure but for WebCrypto; no clock, no storage.
 * Owns the shapes; `verify.ts` owns the order of the checks, each file beside it owns one scheme.
 *
 * - S1 the signature is checked over the raw bytes, before anything of them is parsed or believed.
 * - S2 every active secret is tried with every signature, and none of them ends the search early.
 * - S3 the time that is judged is the one that was signed; where a scheme signs none, none is judged.
 * - S4 a signed text can be read as one delivery only: id, time and body cannot shift into each other.
 * - S5 a fault is a code for the tenant's log. What comes from outside is not in it, and the sender is not told it.
 */
import type { Json } from "../../kernel/index.ts";
import type { Result } from "../../platform/index.ts";

/** A request as it came. */
export interface Arrival {
  readonly headers: Pick<Headers, "get">;
  /** As it was on the wire, at most the hook's body cap. */
  readonly body: Uint8Array;
}

/** One of the secrets that are active at the moment. */
export interface Secret {
  readonly id: string;
  readonly text: string;
}

export const SCHEME_NAMES = [
  "standard",
  "github",
  "stripe",
  "slack",
  "shopify",
  "hmac",
  "basic",
  "api_key",
] as const;
export type SchemeName = (typeof SCHEME_NAMES)[number];

/** Where a value of a delivery stands: a header, or a place in its JSON body (RFC 6901). */
export type ValuePlace = { readonly header: string } | { readonly pointer: string };

export type SignedTime = ValuePlace & {
  readonly unit: "s" | "ms";
  /** Seconds that it may be off, both ways. */
  readonly toleranceS: number;
};

export interface HmacSettings {
  readonly scheme: "hmac";
  readonly hash: "SHA-256" | "SHA-512";
  readonly header: string;
  /** Stands before the signature in the header: `sha256=`. */
  readonly prefix: string;
  readonly encoding: "hex" | "base64";
  /** What is signed: `{body}` at its end, before it `{id}` and `{time}` with something between them. */
  readonly signed: string;
  /** How the key is written. */
  readonly secretEncoding: "text" | "hex" | "base64";
  readonly time: SignedTime | null;
  readonly id: ValuePlace | null;
  readonly event: ValuePlace | null;
}

export interface BasicSettings {
  readonly scheme: "basic";
  readonly id: ValuePlace | null;
  readonly event: ValuePlace | null;
}

export interface ApiKeySettings {
  readonly scheme: "api_key";
  readonly header: string;
  /** Stands before the key in the header: `Bearer `. */
  readonly prefix: string;
  readonly id: ValuePlace | null;
  readonly event: ValuePlace | null;
}

/** Of a scheme that has nothing to set. */
export interface FixedSettings {
  readonly scheme: "standard" | "github" | "stripe" | "slack" | "shopify";
}

export type SchemeSettings = FixedSettings | HmacSettings | BasicSettings | ApiKeySettings;

export const SCHEME_FAULTS = [
  "signature_missing",
  "signature_malformed",
  "signature_wrong",
  "credentials_missing",
  "credentials_wrong",
  "time_missing",
  "time_malformed",
  "time_outside",
  "id_missing",
  "id_malformed",
  "body_unreadable",
] as const;
export type SchemeFault = (typeof SCHEME_FAULTS)[number];

/** What a signature proves. */
export interface Proof {
  /** Id of the secret that made it. */
  readonly secret: string;
  /** The signed time, milliseconds since 1970; null where the scheme signs none. */
  readonly signedAt: number | null;
}

/** A request that asks whether somebody is there, and is answered at once: it starts no run. */
export interface Handshake {
  readonly status: 200;
  readonly contentType: string;
  readonly body: string;
}

/** What a proved delivery says of itself. */
export interface About {
  /** The sender's id of it, the same over its retries; null: it has none. */
  readonly id: string | null;
  /** What it tells of. */
  readonly event: string | null;
  readonly handshake: Handshake | null;
}

/** What is to be sent. */
export interface Draft {
  readonly id: string;
  readonly event: string | null;
  /** Milliseconds since 1970. */
  readonly sentAt: number;
  readonly body: Uint8Array;
}

export interface Scheme<S extends SchemeSettings> {
  /** Why a text is no secret of this scheme; null: it is one. Never quotes it. */
  secretFlaw(text: string, settings: S): string | null;
  /** S1 to S4. A secret that is none of this scheme proves nothing. */
  prove(arrival: Arrival, secrets: readonly Secret[], settings: S): Promise<Result<Proof, SchemeFault>>;
  /** Seconds that the signed time may be off, both ways. */
  toleranceS(settings: S): number;
  /** @param payload the body, parsed */
  about(arrival: Arrival, payload: Json, settings: S): Result<About, SchemeFault>;
  /** Whether nothing tells a delivery without an id from a copy of it. */
  readonly repeatable: boolean;
  /**
   * The headers that make a draft a delivery. Throws a TypeError for a secret that has a flaw, and for a draft whose id or
   * event the scheme cannot carry.
   */
  make(draft: Draft, secret: string, settings: S): Promise<Record<string, string>>;
}
