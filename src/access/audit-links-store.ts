/** The chains of the audit in D1. The only SQL about links, and about what they cover. */
import { integer, integerOrNull, type Row, text } from "../platform/index.ts";
import type { AuditLink } from "./audit-chain.ts";
import { auditStatements } from "./audit-store.ts";
import { DEFAULT_RETENTION } from "./retention.ts";

/** An attempt that said nothing of its end for so long is kept as it stands. */
export const UNENDED_MS = 7 * 24 * 60 * 60_000;
/** Entries of one link, and as many uses. */
export const MAX_COVERED = 500;
/** Rows that one tick drops of each kind. */
const DROPPED_AT_ONCE = 500;

const LAST = "SELECT * FROM audit_links WHERE tenant = ?1 ORDER BY number DESC LIMIT 1";
const FINAL = "(outcome IS NOT NULL OR at < ?2)";

/** What the next link would cover, and how far what it says is dropped could go. */
export interface Open {
  readonly last: AuditLink | null;
  readonly entries: readonly Row[];
  readonly uses: readonly Row[];
  /** The last link whose entries have had their time, and their highest `seq`; null: none more than before. */
  readonly old: { readonly number: number; readonly through: number } | null;
  /** The same of uses. */
  readonly oldUses: number | null;
}

/**
 * One round trip. `chain`: the tenant, or "" for the deployment's own.
 * @param before of what ended before: entries, null where they are kept for ever; and uses
 */
export async function selectOpen(
  db: D1Database,
  chain: string,
  now: number,
  before: { readonly entries: number | null; readonly uses: number },
): Promise<Open> {
  const [last, entries, uses, old, oldUses] = await db.batch<Row>([
    db.prepare(LAST).bind(chain),
    db
      .prepare(
        `SELECT * FROM access_audit WHERE tenant IS nullif(?1, '') AND seq > coalesce((SELECT through FROM (${LAST})), 0)
         ORDER BY seq LIMIT ${MAX_COVERED}`,
      )
      .bind(chain),
    db
      .prepare(
        `SELECT * FROM credential_uses WHERE tenant = ?1 AND link = 0 AND ${FINAL} ORDER BY id LIMIT ${MAX_COVERED}`,
      )
      .bind(chain, now - UNENDED_MS),
    db.prepare(overSince("entries", "dropped")).bind(chain, before.entries ?? 0),
    db.prepare(overSince("uses", "uses_dropped")).bind(chain, before.uses),
  ]);
  const rows = (one: D1Result<Row> | undefined): Row[] => one?.results ?? [];
  const [oldRow, oldUse, lastRow] = [rows(old)[0], rows(oldUses)[0], rows(last)[0]];
  const over = oldRow === undefined ? null : integerOrNull(oldRow, "number");
  return {
    last: lastRow === undefined ? null : toLink(lastRow),
    entries: rows(entries),
    uses: rows(uses),
    old: oldRow === undefined || over === null ? null : { number: over, through: integer(oldRow, "through") },
    oldUses: oldUse === undefined ? null : integerOrNull(oldUse, "number"),
  };
}

/** Of those behind the last that is dropped, the last before the first that has not had its time. */
function overSince(kind: "entries" | "uses", dropped: "dropped" | "uses_dropped"): string {
  const behind = `tenant = ?1 AND ${kind} > 0 AND number > coalesce((SELECT ${dropped} FROM (${LAST})), 0)`;
  return `SELECT number, through FROM audit_links WHERE ${behind} AND ${kind}_until < ?2
    AND number < coalesce((
      SELECT number FROM audit_links WHERE ${behind} AND ${kind}_until >= ?2 ORDER BY number LIMIT 1), 9e15)
    ORDER BY number DESC LIMIT 1`;
}

/**
 * Writes a link, in one transaction with the mark on the uses that it covers and the entry that says what is dropped. Rejects, and
 * nothing is written, if another link has that number, or if what it covers is not what was read.
 */
export async function insertLink(
  db: D1Database,
  link: AuditLink,
  uses: readonly Row[],
  days: number | null,
): Promise<void> {
  const chain = link.tenant ?? "";
  const covered = uses.map((row) => ({ id: text(row, "id"), outcome: row["outcome"] }));
  await db.batch([
    ...(days === null ? [] : auditStatements(db, dropEntry(link, days))),
    ...(uses.length === 0
      ? []
      : [
          db
            .prepare(
              `UPDATE credential_uses SET link = ?2 FROM json_each(?3) one
               WHERE tenant = ?1 AND credential_uses.id = one.value ->> 'id' AND link = 0
                 AND outcome IS one.value ->> 'outcome'`,
            )
            .bind(chain, link.number, JSON.stringify(covered)),
        ]),
    db
      .prepare(
        `INSERT INTO audit_links (tenant, number, behind, through, entries, entries_sha256, entries_until, uses, uses_sha256, uses_until,
           dropped, dropped_through, uses_dropped, at, previous, hash, mac)
         VALUES (?1, ?2, ?17, ?3,
           -- NULL is not taken: then nothing of this is written.
           CASE WHEN (SELECT count(*) FROM access_audit WHERE tenant IS nullif(?1, '') AND seq > ?17 AND seq <= ?3) = ?4 THEN ?4 END,
           ?5, ?6,
           CASE WHEN (SELECT count(*) FROM credential_uses WHERE tenant = ?1 AND link = ?2) = ?7 THEN ?7 END,
           ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)`,
      )
      .bind(
        ...[chain, link.number, link.through, link.entries, link.entries_sha256, link.entries_until],
        ...[link.uses, link.uses_sha256, link.uses_until, link.dropped, link.dropped_through],
        ...[link.uses_dropped, link.at, link.previous, link.hash, link.mac, link.after],
      ),
  ]);
}

function dropEntry({ tenant, at, dropped, dropped_through }: AuditLink, days: number) {
  return {
    ...{ at, tenant, actor: "system", action: "audit.drop", target: "", outcome: "granted" as const },
    detail: { links: dropped, through: dropped_through, days },
  };
}

export async function selectLast(db: D1Database, chain: string): Promise<AuditLink | null> {
  const row = await db.prepare(LAST).bind(chain).first<Row>();
  return row === null ? null : toLink(row);
}

/** Links from a number on, in their order. */
export async function selectLinks(
  db: D1Database,
  chain: string,
  from: number,
  limit: number,
): Promise<AuditLink[]> {
  const { results } = await db
    .prepare("SELECT * FROM audit_links WHERE tenant = ? AND number >= ? ORDER BY number LIMIT ?")
    .bind(chain, from, limit)
    .all<Row>();
  return results.map(toLink);
}

/** The rows that a link covers, in their order, and one more of each kind if there are. One round trip. */
export async function selectCovered(
  db: D1Database,
  { tenant, number, after, through, entries, uses }: AuditLink,
): Promise<{ readonly entries: readonly Row[]; readonly uses: readonly Row[] }> {
  const [found, used] = await db.batch<Row>([
    db
      .prepare("SELECT * FROM access_audit WHERE tenant IS ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?")
      .bind(tenant, after, through, entries + 1),
    db
      .prepare("SELECT * FROM credential_uses WHERE tenant = ? AND link = ? ORDER BY id LIMIT ?")
      .bind(tenant ?? "", number, uses + 1),
  ]);
  return { entries: found?.results ?? [], uses: used?.results ?? [] };
}

/** What no link covers yet. `strayed`: what stands where no link would ever cover it. */
export interface Uncovered {
  readonly entries: number;
  readonly uses: number;
  readonly strayed: { readonly entries: number; readonly uses: number };
  /** Milliseconds since 1970; null: there is none. */
  readonly oldest: number | null;
}

/** Counts up to 10,000 of each. */
export async function countUncovered(
  db: D1Database,
  chain: string,
  last: AuditLink | null,
): Promise<Uncovered> {
  const some = (table: string, where: string) =>
    `SELECT count(*) AS n, min(at) AS oldest FROM (SELECT at FROM ${table} WHERE ${where} LIMIT 10000)`;
  const found = await db.batch<Row>([
    db.prepare(some("access_audit", "tenant IS nullif(?, '') AND seq > ?")).bind(chain, last?.through ?? 0),
    db.prepare(some("credential_uses", "tenant = ? AND link = 0")).bind(chain),
    db.prepare(some("credential_uses", "tenant = ? AND link > ?")).bind(chain, last?.number ?? 0),
    db.prepare(some("access_audit", "tenant IS nullif(?, '') AND seq <= 0")).bind(chain),
  ]);
  const [a, b, c, d] = found.map((one) => one.results[0] ?? { n: 0, oldest: null });
  const times = [a, b].flatMap((row) => (row === undefined ? [] : (integerOrNull(row, "oldest") ?? [])));
  const count = (row: Row | undefined): number => (row === undefined ? 0 : integer(row, "n"));
  return {
    ...{ entries: count(a), uses: count(b), strayed: { entries: count(d), uses: count(c) } },
    oldest: times.length === 0 ? null : Math.min(...times),
  };
}

const LAST_OF_CHAIN = (column: string): string =>
  `coalesce((SELECT ${column} FROM audit_links l WHERE l.tenant = chain.id ORDER BY l.number DESC LIMIT 1), 0)`;
const CHAINS = "(SELECT id FROM tenants UNION ALL SELECT '') AS chain";

/**
 * Chains that have something for a new link: what none covers yet, or something that has had its time. In no order, so that none
 * waits for others for ever.
 * @param today the beginning of the day: what is kept for n days goes at the end of one
 */
export async function selectOpenChains(
  db: D1Database,
  now: number,
  today: number,
  limit: number,
): Promise<string[]> {
  const oldest = (kind: "entries" | "uses", dropped: string): string =>
    `(SELECT l.${kind}_until FROM audit_links l WHERE l.tenant = chain.id AND l.${kind} > 0
       AND l.number > ${LAST_OF_CHAIN(dropped)} ORDER BY l.number LIMIT 1)`;
  const { results } = await db
    .prepare(
      `SELECT chain.id FROM ${CHAINS} WHERE
         EXISTS (SELECT 1 FROM access_audit WHERE tenant IS nullif(chain.id, '') AND seq > ${LAST_OF_CHAIN("through")})
         OR EXISTS (SELECT 1 FROM credential_uses WHERE tenant = chain.id AND link = 0 AND ${FINAL})
         OR ${oldest("uses", "uses_dropped")} < ?1 - 86400000 * coalesce(
           (SELECT s.retention ->> '$.usesDays' FROM tenant_settings s WHERE s.tenant = chain.id), ?3)
         OR ${oldest("entries", "dropped")} < ?1 - 86400000 * (
           SELECT max(s.retention ->> '$.auditDays', 90) FROM tenant_settings s WHERE s.tenant = chain.id)
       ORDER BY random() LIMIT ?4`,
    )
    .bind(today, now - UNENDED_MS, DEFAULT_RETENTION.usesDays, limit)
    .all<Row>();
  return results.map((row) => text(row, "id"));
}

/** Takes away some of what the chains say is no longer kept; the next call goes on. */
export async function deleteDropped(db: D1Database): Promise<void> {
  await db.batch([
    db
      .prepare(
        `DELETE FROM access_audit WHERE seq IN (
           SELECT one.seq FROM ${CHAINS} CROSS JOIN access_audit AS one
           WHERE one.tenant IS nullif(chain.id, '') AND one.seq <= ${LAST_OF_CHAIN("dropped_through")} LIMIT ?)`,
      )
      .bind(DROPPED_AT_ONCE),
    db
      .prepare(
        `DELETE FROM credential_uses WHERE id IN (
           SELECT one.id FROM ${CHAINS} CROSS JOIN credential_uses AS one
           WHERE one.tenant = chain.id AND one.link > 0 AND one.link <= ${LAST_OF_CHAIN("uses_dropped")} LIMIT ?)`,
      )
      .bind(DROPPED_AT_ONCE),
  ]);
}

function toLink(row: Row): AuditLink {
  const tenant = text(row, "tenant");
  return {
    ...{ type: "link", v: 1, tenant: tenant === "" ? null : tenant, number: integer(row, "number") },
    ...{ after: integer(row, "behind"), through: integer(row, "through") },
    entries: integer(row, "entries"),
    entries_sha256: text(row, "entries_sha256"),
    entries_until: integerOrNull(row, "entries_until"),
    uses: integer(row, "uses"),
    uses_sha256: text(row, "uses_sha256"),
    uses_until: integerOrNull(row, "uses_until"),
    dropped: integer(row, "dropped"),
    dropped_through: integer(row, "dropped_through"),
    uses_dropped: integer(row, "uses_dropped"),
    at: integer(row, "at"),
    ...{ previous: text(row, "previous"), hash: text(row, "hash"), mac: text(row, "mac") },
  };
}
