/**
 * Columns that a migration changes or drops on purpose, as `table.column`. Every other one holds after all migrations what it held before:
 * the build before this one still reads it.
 */
export const CHANGED_COLUMNS: Readonly<Record<string, readonly string[]>> = {
  // The audit knows people by pseudonyms: test/contract/audit-migration.test.ts says what becomes of them.
  "0020_audit_users.sql": [
    ...["access_audit.actor", "access_audit.detail"],
    ...["credential_uses.user", "credential_uses.credential"],
  ],
};
