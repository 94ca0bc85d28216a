/** The backup of a database, as text. Pure. */
import { createHash } from "node:crypto";

/** PERSISTED CONTRACT. The first line of a backup's manifest, which lies beside it as `<file>.json`. */
export interface Manifest {
  readonly format: "showcaller.backup/1";
  /** Milliseconds since 1970. */
  readonly made_at: number;
  /** Of the SQL, in hex. */
  readonly sha256: string;
  readonly bytes: number;
  /** The newest migration in it. */
  readonly migration: string;
  /** Names of the keys of the keyring that something in it may be sealed under, but for those that were dropped. */
  readonly keys: readonly string[];
  /** Rows by table. */
  readonly rows: Readonly<Record<string, number>>;
}

/** @param sql what `wrangler d1 export` wrote */
export function manifestOf(sql: string, madeAt: number): Manifest {
  // Line by line, and not by `m`: to a regular expression a line also ends with U+2028, which anybody can write into a text.
  const lines = sql.split("\n");
  const rows: Record<string, number> = {};
  let migration = "";
  for (const line of lines) {
    const [, table] = /^INSERT INTO "(\w+)" \(/.exec(line) ?? [];
    if (table !== undefined) rows[table] = (rows[table] ?? 0) + 1;
    migration = /^INSERT INTO "d1_migrations" .*VALUES\(\d+,'([^']+)'/.exec(line)?.[1] ?? migration;
  }
  return {
    format: "showcaller.backup/1",
    made_at: madeAt,
    sha256: createHash("sha256").update(sql).digest("hex"),
    bytes: Buffer.byteLength(sql),
    migration,
    keys: keysIn(lines),
    rows,
  };
}

/** `vault_keys (kid, check_value, created_at, sealed_at, dropped_at)`: those that were not dropped. */
function keysIn(lines: readonly string[]): string[] {
  const row =
    /^INSERT INTO "vault_keys" \("kid","check_value","created_at","sealed_at","dropped_at"\) VALUES\('([a-z0-9]+)','[^']*',\d+,(?:\d+|NULL),(\d+|NULL)\);/;
  return lines
    .filter((line) => line.startsWith('INSERT INTO "vault_keys" '))
    .flatMap((line) => {
      const [, kid, dropped] = row.exec(line) ?? [];
      if (kid === undefined)
        throw new Error(
          "The keys in the backup cannot be read: wrangler writes another form than this version knows.",
        );
      return dropped === "NULL" ? [kid] : [];
    });
}

/** Why the backup cannot be restored with this keyring; null: it can. */
export function refusal(
  manifest: Manifest,
  sql: string,
  keyring: { readonly keys: Readonly<Record<string, string>> } | null,
): string | null {
  if ((manifest.format as string) !== "showcaller.backup/1")
    return "The manifest is of a format that this version does not know.";
  if (createHash("sha256").update(sql).digest("hex") !== manifest.sha256)
    return "The backup is not the file that its manifest was written for: it was changed, or is not whole.";
  if (manifest.keys.length === 0) return null;
  if (keyring === null)
    return `What is sealed in it is under ${manifest.keys.join(", ")}: give the keyring that will be set (--keyring FILE).`;
  const missing = manifest.keys.filter((kid) => keyring.keys[kid] === undefined);
  return missing.length === 0
    ? null
    : `The keyring does not have ${missing.join(", ")}, which texts in the backup are sealed under. Add the keys from the safe first.`;
}
