/**
 * Uses of credentials in D1, as runs tell them: for the audit. The only SQL that writes them.
 *
 * V1 told twice, a use is one row; that an attempt has ended is never taken back by an earlier word, nor changed by a later one.
 * V2 what a link of the chain covers stays as it is, and goes only when a later link says so (audit-sealing.ts).
 */
import type { CredentialUse, UseSink } from "../platform/index.ts";
import { USERS_OF_LIST } from "./audit-users-store.ts";

const INSERT = `INSERT INTO credential_uses
    (id, tenant, at, run, workflow, user, unit, attempt, target, credential, hosts, more_hosts, outcome)
  SELECT value ->> 'id', value ->> 'tenant', value ->> 'at', value ->> 'run', value ->> 'workflow',
    CASE WHEN value ->> 'user' IS NOT NULL THEN coalesce(
      (SELECT pseudonym FROM audit_users u
       WHERE u.tenant = value ->> 'tenant' AND u.user = value ->> 'user' AND u.kind = 'user'),
      'usr_' || lower(hex(randomblob(16)))) END,
    value ->> 'unit', value ->> 'attempt', value ->> 'target', value -> 'credential', value -> 'ended' -> 'hosts',
    value -> 'ended' ->> 'moreHosts', value -> 'ended' ->> 'outcome'
  FROM json_each(?) WHERE true
  ON CONFLICT (id) DO UPDATE SET credential = excluded.credential, hosts = excluded.hosts,
    more_hosts = excluded.more_hosts, outcome = excluded.outcome
  WHERE excluded.outcome IS NOT NULL AND credential_uses.outcome IS NULL AND credential_uses.link = 0`;

/** One batch for all that are told together (V1). */
export function createUseAudit(db: D1Database): UseSink {
  return {
    async write(uses) {
      if (uses.length === 0) return;
      const rows = JSON.stringify(
        uses.map((use) => ({ ...use, target: targetOf(use), credential: kept(use) })),
      );
      await db.batch([db.prepare(USERS_OF_LIST).bind(rows), db.prepare(INSERT).bind(rows)]);
    },
  };
}

/** Without the label of its account, which may tell who the user is: the connection's own row says it, for as long as it may. */
function kept({ credential }: CredentialUse): CredentialUse["credential"] {
  if (typeof credential !== "object" || credential === null || Array.isArray(credential)) return credential;
  return Object.fromEntries(Object.entries(credential).filter(([part]) => part !== "account"));
}

/** By what a use is found: the connection, or the role. */
function targetOf({ credential }: CredentialUse): string {
  if (typeof credential !== "object" || credential === null) return "";
  const { connection, role } = credential as { readonly connection?: unknown; readonly role?: unknown };
  const named = connection ?? role;
  return typeof named === "string" ? named : "";
}
