/** What the identity room needs from the rest of the house, and what its parts give each other. */
import type { AuditSink, HostRules, Lease, LeaseAnswer, Logger, Result } from "../platform/index.ts";
import type { CloudCredential, CloudRole, ExchangeRefusal, Subject } from "./role.ts";

/** For whom a credential is. */
export interface Bearer {
  readonly subject: Subject;
  readonly workflowVersion: string;
  /** Only where the role's credentials are of one run each. */
  readonly run: string | null;
}

export type CredentialAnswer =
  | { readonly ok: true; readonly credential: CloudCredential; readonly fingerprint: string }
  | { readonly ok: false; readonly refusal: ExchangeRefusal };

export interface CredentialsPort {
  /**
   * @param neededMs how long it has to live on
   * @param refused fingerprint of one that the service did not take: not given again
   */
  get(role: CloudRole, bearer: Bearer, neededMs: number, refused?: string): Promise<CredentialAnswer>;
}

/** What may be done with a credential of a role. */
export type LeaseMaker = (
  role: CloudRole,
  credential: CloudCredential,
  subject: Subject,
  renew: () => Promise<LeaseAnswer>,
) => Lease;

export interface IdentityDeps {
  readonly db: D1Database;
  readonly audit: AuditSink;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** `https://<host>` without a path; null: this deployment is no issuer. */
  readonly issuerOrigin: string | null;
  readonly ownHosts: HostRules["ownHosts"];
  readonly credentials: CredentialsPort;
  readonly leaseOf: LeaseMaker;
  /** Whether a host makes tokens, whatever the path. */
  readonly mints: (host: string) => boolean;
  /** Makes the tenant's first key where there is none. */
  readonly ensureIssuer: (tenant: string) => Promise<Result<void, string>>;
}
