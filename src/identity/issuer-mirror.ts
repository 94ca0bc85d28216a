/**
 * Issuers in D1: what their objects have said last. For verifiers while an object does not answer, for sweeps, for the counts of
 * the vault, and to notice that an object was put back to an earlier time.
 *
 * - G1 a row is only replaced by one of the same or a later revision.
 * - G2 what is published is sealed: who can only write here can neither add a key nor bring one back under a later revision.
 */
import { err, integer, ok, type Result, type Row, text } from "../platform/index.ts";
import type { Place, SealedRecords, Vault, VaultFault } from "../vault/index.ts";
import type { IssuerRpc, Published } from "./issuer-rpc.ts";
import type { KeptKey } from "./issuer-store.ts";
import type { SigningKey } from "./signing-keys.ts";

/** What is written of an issuer. */
export interface MirroredIssuer {
  readonly tenant: string;
  readonly revision: number;
  readonly at: number;
  readonly published: string;
  readonly kids: readonly string[];
  readonly keys: readonly KeptKey[];
}

/** PERSISTED CONTRACT: places are part of what is sealed. */
export function privatePlace(tenant: string, { kid, number }: Pick<SigningKey, "kid" | "number">): Place {
  return { purpose: "issuer_key", tenant, record: kid, field: "private", version: number };
}

function publishedPlace(tenant: string, revision: number): Place {
  return { purpose: "issuer_key", tenant, record: tenant, field: "published", version: revision };
}

export async function sealPublished(
  vault: Vault,
  tenant: string,
  { revision, keys }: Published,
): Promise<string> {
  return vault.seal(publishedPlace(tenant, revision), JSON.stringify(keys));
}

/** Where the row stands is not believed: the revision is part of the place. */
export async function openPublished(
  vault: Vault,
  tenant: string,
  row: { readonly revision: number; readonly published: string },
): Promise<Result<Published, VaultFault>> {
  if (!Number.isSafeInteger(row.revision))
    return err({ code: "malformed", message: "The revision of an issuer is not a whole number." });
  const opened = await vault.open(publishedPlace(tenant, row.revision), row.published);
  // Sealed here, so it has the form that `sealPublished` gave it.
  return opened.ok ? ok({ revision: row.revision, keys: JSON.parse(opened.value) as SigningKey[] }) : opened;
}

/** G1. Answers the revision that stands then. */
export async function writeIssuer(db: D1Database, issuer: MirroredIssuer): Promise<number> {
  const { tenant, revision, at, published, kids, keys } = issuer;
  const mine = "EXISTS (SELECT 1 FROM issuers WHERE tenant = ?1 AND revision = ?2)";
  const results = await db.batch<Row>([
    db
      .prepare(
        `INSERT INTO issuers (tenant, revision, published, kids, updated_at) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (tenant) DO UPDATE SET revision = excluded.revision, published = excluded.published,
           kids = excluded.kids, updated_at = excluded.updated_at
         WHERE excluded.revision >= issuers.revision`,
      )
      .bind(tenant, revision, published, JSON.stringify(kids), at),
    db.prepare(`DELETE FROM issuer_keys WHERE tenant = ?1 AND ${mine}`).bind(tenant, revision),
    ...keys.map((key) =>
      db
        .prepare(
          `INSERT INTO issuer_keys (tenant, kid, number, state, sealed, made_at, published_at, active_at, retired_at)
           SELECT ?1, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 WHERE ${mine}`,
        )
        .bind(
          ...[tenant, revision, key.kid, key.number, key.state, key.sealed],
          ...[key.madeAt, key.publishedAt, key.activeAt, key.retiredAt],
        ),
    ),
    db.prepare("SELECT revision FROM issuers WHERE tenant = ?").bind(tenant),
  ]);
  const row = results.at(-1)?.results[0];
  return row === undefined ? revision : integer(row, "revision");
}

export async function selectIssuer(
  db: D1Database,
  tenant: string,
): Promise<{ readonly revision: number; readonly published: string } | null> {
  const row = await db
    .prepare("SELECT revision, published FROM issuers WHERE tenant = ?")
    .bind(tenant)
    .first<Row>();
  return row === null ? null : { revision: integer(row, "revision"), published: text(row, "published") };
}

/** Those that were asked least lately, and are marked as asked now. */
export async function takeIssuers(
  db: D1Database,
  { before, now, limit }: { readonly before: number; readonly now: number; readonly limit: number },
): Promise<string[]> {
  const { results } = await db
    .prepare(
      `UPDATE issuers SET poked_at = ?1 WHERE tenant IN
         (SELECT tenant FROM issuers WHERE poked_at < ?2 ORDER BY poked_at LIMIT ?3) RETURNING tenant`,
    )
    .bind(now, before, limit)
    .all<Row>();
  return results.map((row) => text(row, "tenant"));
}

/** How the vault counts and moves signing keys. Only their objects write; the rows follow. */
export function signingKeyRecords(
  db: D1Database,
  object: (tenant: string) => Pick<IssuerRpc, "rewrap">,
): SealedRecords {
  // Goes on behind what did not open, and begins anew at the end.
  let after = "";
  return {
    kind: "signing_keys",
    async countByKid() {
      const { results } = await db
        .prepare(
          "SELECT kids.value AS kid, count(*) AS n FROM issuers, json_each(issuers.kids) AS kids GROUP BY kids.value",
        )
        .all<Row>();
      return Object.fromEntries(results.map((row) => [text(row, "kid"), integer(row, "n")]));
    },
    async rewrapSome(vault, limit) {
      const { results } = await db
        .prepare(
          `SELECT tenant FROM issuers
           WHERE tenant > ? AND EXISTS (SELECT 1 FROM json_each(kids) WHERE value <> ?) ORDER BY tenant LIMIT ?`,
        )
        .bind(after, vault.active, limit)
        .all<Row>();
      const tenants = results.map((row) => text(row, "tenant"));
      after = tenants.length < limit ? "" : (tenants.at(-1) ?? "");
      // What does not succeed is logged by the object, and stays in the counts.
      await Promise.allSettled(tenants.map(async (tenant) => object(tenant).rewrap(tenant)));
      const row = await db
        .prepare(
          `SELECT count(*) AS n FROM issuers WHERE tenant IN (SELECT value FROM json_each(?1))
             AND NOT EXISTS (SELECT 1 FROM json_each(kids) WHERE value <> ?2)`,
        )
        .bind(JSON.stringify(tenants), vault.active)
        .first<Row>();
      return row === null ? 0 : integer(row, "n");
    },
  };
}
