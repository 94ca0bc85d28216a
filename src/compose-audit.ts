/** Wires the chains of the audit. */
import { type AccessDeps, type AuditDesk, createAuditDesk, retentionOf } from "./access/index.ts";
import type { Logger } from "./platform/index.ts";

export interface AuditParts {
  readonly serverKey: () => Promise<CryptoKey>;
  readonly settings: AccessDeps["settings"];
  readonly log: Logger;
}

/** One per isolate. */
export function composeAudit(env: Env, { serverKey, settings, log }: AuditParts): AuditDesk {
  const now = (): number => Date.now();
  return createAuditDesk({
    ...{ db: env.DB, serverKey, log, now },
    retention: (tenant) => retentionOf({ db: env.DB, settings, log }, tenant, now()),
  });
}
