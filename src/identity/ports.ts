/** What the identity room needs from the rest of the house, and what its parts give each other. */
import type { AuditSink, HostRules, Logger, Result } from "../platform/index.ts";
import type { Credentials } from "./credentials.ts";

export interface IdentityDeps {
  readonly db: D1Database;
  readonly audit: AuditSink;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** `https://<host>` without a path; null: this deployment is no issuer. */
  readonly issuerOrigin: string | null;
  readonly ownHosts: HostRules["ownHosts"];
  readonly credentials: Credentials;
  /** Makes the tenant's first key where there is none. */
  readonly ensureIssuer: (tenant: string) => Promise<Result<void, string>>;
}
