/**
 * Connections in D1: what their objects have said last, for lists, and for finding the one that a run means. Nothing here
 * gives a token.
 *
 * G1 a row is only replaced by one that its object wrote later: messages may come twice, and in any order.
 */
import {
  type AuditEntry,
  macOf,
  integer,
  integerOrNull,
  type Row,
  text,
  textOrNull,
} from "../platform/index.ts";
import type { IdentityLevel, Slot } from "./grant.ts";
import type { Mirrored, Unlisted } from "./ports.ts";
import type { ConnectionView, RevocationReport } from "./rpc.ts";

export interface ListedConnection {
  readonly id: string;
  readonly tenant: string;
  readonly integration: string;
  readonly user: string | null;
  readonly account: string;
  readonly label: string | null;
  readonly status: "active" | "dead" | "revoking" | "disconnected";
  readonly reason: string | null;
  readonly scopes: readonly string[] | null;
  readonly identityLevel: IdentityLevel;
  readonly workflows: readonly string[] | null;
  readonly epoch: number;
  readonly grantedAt: number;
  readonly expiresAt: number | null;
  readonly endsAt: number | null;
  readonly revocation: RevocationReport | null;
}

export interface ConnectionUse {
  readonly workflow: string;
  readonly firstAt: number;
  readonly lastAt: number;
  readonly uses: number;
}

export interface ConnectionFilter {
  readonly integration?: string;
  /** Null: the tenant's own. */
  readonly user?: string | null;
  readonly status?: ListedConnection["status"];
}

const ACCOUNT_PURPOSE = "connection-account";

/** The account of a grant, in a form by which others on it are found and nobody else learns of it. */
export async function accountMac(
  serverKey: CryptoKey,
  { tenant, integration }: Pick<Slot, "tenant" | "integration">,
  account: string | null,
): Promise<string | null> {
  if (account === null) return null;
  return macOf(serverKey, ACCOUNT_PURPOSE, JSON.stringify([tenant, integration, account]));
}

/** The statements by which the audit takes an entry. */
export type Audited = (entry: AuditEntry) => readonly D1PreparedStatement[];

/** G1. */
export async function writeMirrored(
  db: D1Database,
  serverKey: CryptoKey,
  audited: Audited,
  mirrored: Mirrored,
): Promise<void> {
  const { audit, view, unlisted } = mirrored;
  const rows = view === null ? [] : await rowsOf(db, serverKey, mirrored, view);
  const mark = unlisted === null ? [] : [unlistedStatement(db, mirrored.at, unlisted)];
  const statements = [...rows, ...mark, ...audit.flatMap(audited)];
  if (statements.length > 0) await db.batch(statements);
}

async function rowsOf(
  db: D1Database,
  serverKey: CryptoKey,
  { at: stamp, sealed, uses }: Mirrored,
  view: ConnectionView,
): Promise<D1PreparedStatement[]> {
  const { slot, standing, account } = view;
  const { tenant, integration } = slot;
  const mac = await accountMac(serverKey, slot, account.id);
  const row = db
    .prepare(
      `INSERT INTO connections (id, tenant, integration, user, account, label, account_mac, status, reason, scopes,
         identity_level, workflows, epoch, version, sealed, kids, granted_at, expires_at, ends_at, revocation, updated_at,
         integration_version)
       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)
       ON CONFLICT (id) DO UPDATE SET label = ?6, account_mac = ?7, status = ?8, reason = ?9, scopes = ?10,
         identity_level = ?11, workflows = ?12, epoch = ?13, version = ?14, sealed = ?15, kids = ?16, granted_at = ?17,
         expires_at = ?18, ends_at = ?19, revocation = ?20, updated_at = ?21, integration_version = ?22
       WHERE version < ?14 OR (version = ?14 AND updated_at <= ?21)`,
    )
    .bind(
      ...[view.id, tenant, integration, slot.owner.kind === "user" ? slot.owner.user : null, slot.account],
      ...[account.label, mac, standing.status, standing.status === "dead" ? standing.reason : null],
      ...[jsonOrNull(view.scopes), view.identityLevel, jsonOrNull(view.workflows), view.epoch, view.version],
      ...[
        sealed,
        JSON.stringify(view.kids),
        view.grantedAt,
        view.expiresAt,
        view.endsAt,
        jsonOrNull(view.revocation),
        stamp,
        view.integrationVersion,
      ],
    );
  const used = uses.map(({ workflow, at, first = at, count }) =>
    db
      .prepare(
        `INSERT INTO connection_uses (connection, workflow, first_at, last_at, uses) VALUES (?1, ?2, ?5, ?3, ?4)
         ON CONFLICT (connection, workflow) DO UPDATE
         SET first_at = min(first_at, ?5), last_at = max(last_at, ?3), uses = uses + ?4`,
      )
      .bind(view.id, workflow, at, count, first),
  );
  const mark = db
    .prepare("UPDATE unlisted_connections SET kids = '[]', updated_at = ?2 WHERE id = ?1 AND kids <> '[]'")
    .bind(view.id, stamp);
  return [row, mark, ...used];
}

/** G1. What was listed once is never unlisted again. */
function unlistedStatement(db: D1Database, at: number, { id, tenant, kids }: Unlisted): D1PreparedStatement {
  return db
    .prepare(
      `INSERT INTO unlisted_connections (id, tenant, kids, updated_at)
       SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (SELECT 1 FROM connections WHERE id = ?1)
       ON CONFLICT (id) DO UPDATE SET kids = ?3, updated_at = ?4 WHERE updated_at <= ?4`,
    )
    .bind(id, tenant, JSON.stringify(kids), at);
}

/** Takes away marks of those that keep nothing any more, once no message can come late. */
export async function dropOldMarks(db: D1Database, before: number, limit: number): Promise<void> {
  await db
    .prepare(
      `DELETE FROM unlisted_connections WHERE id IN
         (SELECT id FROM unlisted_connections WHERE kids = '[]' AND updated_at < ? ORDER BY updated_at LIMIT ?)`,
    )
    .bind(before, limit)
    .run();
}

/** Of one owner on one integration, those that can be used or could be again; at most 100. */
export async function selectOfOwner(
  db: D1Database,
  tenant: string,
  integration: string,
  user: string | null,
): Promise<ListedConnection[]> {
  const { results } = await db
    .prepare(
      `SELECT * FROM connections WHERE tenant = ? AND integration = ? AND user IS ? AND status IN ('active', 'dead')
       ORDER BY account LIMIT 100`,
    )
    .bind(tenant, integration, user)
    .all<Row>();
  return results.map(toListed);
}

export async function selectConnections(
  db: D1Database,
  tenant: string,
  filter: ConnectionFilter,
  page: { readonly after: string; readonly limit: number },
): Promise<ListedConnection[]> {
  const { integration, user, status } = filter;
  const { results } = await db
    .prepare(
      `SELECT * FROM connections WHERE tenant = ?1 AND id > ?2 AND (?3 IS NULL OR integration = ?3)
         AND (?4 = 0 OR user IS ?5) AND (?6 IS NULL OR status = ?6) ORDER BY id LIMIT ?7`,
    )
    .bind(
      ...[tenant, page.after, integration ?? null, user === undefined ? 0 : 1, user ?? null],
      ...[status ?? null, page.limit],
    )
    .all<Row>();
  return results.map(toListed);
}

/**
 * The integrations whose grants a revocation may end: this one, and those of the tenant that are the same app at the same
 * provider under another name, as one has that was made anew for other hosts. Deleted ones among them: theirs are taken back.
 */
async function selectSameApp(db: D1Database, { tenant, integration }: Slot): Promise<string[]> {
  const { results } = await db
    .prepare(
      `SELECT other.name FROM integrations AS this JOIN integrations AS other ON other.tenant = this.tenant
         AND other.fixed ->> '$.clientId' = this.fixed ->> '$.clientId'
         AND other.fixed ->> '$.provider.revoke.url' = this.fixed ->> '$.provider.revoke.url'
       WHERE this.tenant = ? AND this.name = ? AND other.name <> this.name`,
    )
    .bind(tenant, integration)
    .all<Row>();
  return [integration, ...results.map((row) => text(row, "name"))];
}

/**
 * Others that were granted by the same account to the same app, those that are listed as active first: which of them live, their
 * objects know. At most 20: one that lives is enough.
 */
export async function selectSiblings(
  db: D1Database,
  serverKey: CryptoKey,
  view: Pick<ConnectionView, "id" | "slot" | "account">,
): Promise<string[]> {
  const { account, slot } = view;
  if (account.id === null) return [];
  const places = await Promise.all(
    (await selectSameApp(db, slot)).map(async (integration) => ({
      integration,
      mac: await accountMac(serverKey, { ...slot, integration }, account.id),
    })),
  );
  const { results } = await db
    .prepare(
      `SELECT one.id FROM json_each(?1) AS place CROSS JOIN connections AS one
       WHERE one.tenant = ?2 AND one.integration = place.value ->> 'integration'
         AND one.account_mac = place.value ->> 'mac' AND one.id <> ?3
       ORDER BY one.status <> 'active', one.updated_at DESC LIMIT 20`,
    )
    .bind(JSON.stringify(places), slot.tenant, view.id)
    .all<Row>();
  return results.map((row) => text(row, "id"));
}

export async function selectUses(
  db: D1Database,
  connection: string,
  limit: number,
): Promise<ConnectionUse[]> {
  const { results } = await db
    .prepare("SELECT * FROM connection_uses WHERE connection = ? ORDER BY last_at DESC, workflow LIMIT ?")
    .bind(connection, limit)
    .all<Row>();
  return results.map((row) => ({
    workflow: text(row, "workflow"),
    firstAt: integer(row, "first_at"),
    lastAt: integer(row, "last_at"),
    uses: integer(row, "uses"),
  }));
}

/** As an object says it, which is newer than the row. */
export function listedOf(view: ConnectionView): ListedConnection {
  const { slot, standing, account } = view;
  return {
    ...{ id: view.id, tenant: slot.tenant, integration: slot.integration },
    user: slot.owner.kind === "user" ? slot.owner.user : null,
    ...{ account: slot.account, label: account.label, status: standing.status },
    reason: standing.status === "dead" ? standing.reason : null,
    ...{ scopes: view.scopes, identityLevel: view.identityLevel, workflows: view.workflows },
    ...{ epoch: view.epoch, grantedAt: view.grantedAt, expiresAt: view.expiresAt, endsAt: view.endsAt },
    revocation: view.revocation,
  };
}

function toListed(row: Row): ListedConnection {
  return {
    id: text(row, "id"),
    tenant: text(row, "tenant"),
    integration: text(row, "integration"),
    user: textOrNull(row, "user"),
    account: text(row, "account"),
    label: textOrNull(row, "label"),
    // The columns hold what was written by this file.
    status: text(row, "status") as ListedConnection["status"],
    reason: textOrNull(row, "reason"),
    scopes: listOrNull(row, "scopes"),
    identityLevel: text(row, "identity_level") as IdentityLevel,
    workflows: listOrNull(row, "workflows"),
    epoch: integer(row, "epoch"),
    grantedAt: integer(row, "granted_at"),
    expiresAt: integerOrNull(row, "expires_at"),
    endsAt: integerOrNull(row, "ends_at"),
    revocation: revocationOf(textOrNull(row, "revocation")),
  };
}

function listOrNull(row: Row, column: string): readonly string[] | null {
  const json = textOrNull(row, column);
  return json === null ? null : (JSON.parse(json) as string[]);
}

function revocationOf(json: string | null): RevocationReport | null {
  return json === null ? null : (JSON.parse(json) as RevocationReport);
}

function jsonOrNull(value: unknown): string | null {
  return value === null ? null : JSON.stringify(value);
}
