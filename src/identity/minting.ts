/** How whoever exchanges comes by identity tokens: the port to the issuer. */
import type { Result } from "../platform/index.ts";
import type { ExchangeRefusal, Subject } from "./role.ts";

export interface MintRequest {
  readonly tenant: string;
  readonly subject: Subject;
  readonly audience: string;
  readonly ttlS: number;
  readonly workflowVersion: string;
  /** Only where the credential is of one run. */
  readonly run?: string;
  readonly claims: Readonly<Record<string, string>>;
  readonly awsTags?: {
    readonly tags: Readonly<Record<string, string>>;
    readonly transitiveTags?: readonly string[];
  };
}

/** A signed identity token, and what it says of itself. */
export interface Minted {
  readonly jwt: string;
  readonly issuer: string;
  readonly subject: string;
  readonly audience: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

/** Each token has a `jti` of its own: some services take one only once. */
export type Minter = (request: MintRequest) => Promise<Result<Minted, ExchangeRefusal>>;
