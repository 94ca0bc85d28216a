/** Connect sessions in D1. Owns the table, and that each step of a session is taken once: every move names what it moves from. */
import { integer, integerOrNull, quotaSql, type Row, text, textOrNull } from "../platform/index.ts";
import type { Place } from "../vault/index.ts";
import type { ConnectMode } from "./integrations.ts";
import type { ConnectSession, SessionFailure, SessionSecrets, SessionState } from "./sessions.ts";

/** PERSISTED CONTRACT: places are part of what is sealed. */
export function verifierPlace({ slot, id }: Pick<ConnectSession, "slot" | "id">): Place {
  return { purpose: "connect_session", tenant: slot.tenant, record: id, field: "verifier", version: 1 };
}

/**
 * The tenant has room for another open session, and for another connection if this is not there. Those of waiting steps are as many
 * as steps wait.
 */
const HAS_ROOM = `(SELECT count(*) FROM connect_sessions INDEXED BY connect_sessions_open
    WHERE tenant = ?2 AND state = 'open' AND expires_at > ?14 AND purpose = 'api') < ${quotaSql("open_connect_sessions", "?2")}
  AND (EXISTS (SELECT 1 FROM connections WHERE id = ?4 AND status <> 'disconnected')
    OR (SELECT count(*) FROM connections WHERE tenant = ?2 AND status <> 'disconnected') < ${quotaSql("connections", "?2")})`;

/**
 * Of a session that is there already, nothing is changed: that of a waiting step is made by whoever looks first.
 * False: the tenant has no room for it.
 */
export async function insertSession(db: D1Database, session: ConnectSession): Promise<boolean> {
  const { slot, owner } = { slot: session.slot, owner: session.slot.owner };
  const { meta } = await db
    .prepare(
      `INSERT OR IGNORE INTO connect_sessions (id, tenant, integration, connection, user, account, scopes, mode, return_to,
         replace_account, purpose, kid, state, created_by, created_at, expires_at)
       SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 'open', ?13, ?14, ?15
       WHERE ?11 <> 'api' OR (${HAS_ROOM})`,
    )
    .bind(
      ...[session.id, slot.tenant, slot.integration, session.connection],
      ...[
        owner.kind === "user" ? owner.user : null,
        slot.account,
        JSON.stringify(session.scopes),
        session.mode,
      ],
      ...[session.returnTo, session.replaceAccount ? 1 : 0, session.purpose, session.kid],
      ...[session.createdBy, session.createdAt, session.expiresAt],
    )
    .run();
  return meta.changes > 0 || session.purpose !== "api";
}

export type WithSecrets = ConnectSession & SessionSecrets;

export async function selectSession(db: D1Database, id: string): Promise<WithSecrets | null> {
  return one(db.prepare("SELECT * FROM connect_sessions WHERE id = ?").bind(id));
}

export async function selectSessionByState(db: D1Database, stateHash: string): Promise<WithSecrets | null> {
  return one(db.prepare("SELECT * FROM connect_sessions WHERE state_hash = ?").bind(stateHash));
}

export interface Redemption {
  readonly cookieHash: string;
  readonly stateHash: string;
  readonly verifier: string;
  readonly until: number;
  /** Of a `host_session`: the ticket that is used up with it. */
  readonly ticketHash: string | null;
}

/** The link is used up. False: it was before, or its time is over. */
export async function redeemSession(
  db: D1Database,
  id: string,
  { cookieHash, stateHash, verifier, until, ticketHash }: Redemption,
  now: number,
): Promise<boolean> {
  return moved(
    db
      .prepare(
        `UPDATE connect_sessions SET state = 'redeemed', cookie_hash = ?2, state_hash = ?3, verifier = ?4, expires_at = ?5,
           redeemed_at = ?6, ticket_hash = NULL
         WHERE id = ?1 AND state = 'open' AND expires_at > ?6
           AND (mode <> 'host_session' OR (ticket_hash = ?7 AND ticket_until > ?6))`,
      )
      .bind(id, cookieHash, stateHash, verifier, until, now, ticketHash),
  );
}

/** The browser came back: its code is exchanged by whoever gets this, and nobody else. */
export async function takeSession(db: D1Database, id: string, now: number): Promise<boolean> {
  return moved(
    db
      .prepare(
        "UPDATE connect_sessions SET state = 'exchanging', verifier = NULL WHERE id = ? AND state = 'redeemed' AND expires_at > ?",
      )
      .bind(id, now),
  );
}

/** The grant waits for the tenant's backend, which has the code by way of the browser. */
export async function awaitConfirmation(
  db: D1Database,
  id: string,
  { codeHash, until }: { readonly codeHash: string; readonly until: number },
): Promise<boolean> {
  return moved(
    db
      .prepare(
        "UPDATE connect_sessions SET state = 'unconfirmed', code_hash = ?2, expires_at = ?3 WHERE id = ?1 AND state = 'exchanging'",
      )
      .bind(id, codeHash, until),
  );
}

/** A session ends. Of one that came to its aim the code's hash stays, for who asks again. @param from states that it may end from */
export async function endSession(
  db: D1Database,
  id: string,
  from: readonly SessionState[],
  failure: SessionFailure | null,
  now: number,
): Promise<boolean> {
  return moved(
    db
      .prepare(
        `UPDATE connect_sessions SET state = ?2, failure = ?3, ended_at = ?4, verifier = NULL,
           code_hash = iif(?3 IS NULL, code_hash, NULL)
         WHERE id = ?1 AND state IN (SELECT value FROM json_each(?5))`,
      )
      .bind(id, failure === null ? "done" : "failed", failure, now, JSON.stringify(from)),
  );
}

/** A ticket of the tenant's backend, for the browser of its user. The last one counts. */
export async function giveTicket(
  db: D1Database,
  id: string,
  { ticketHash, until }: { readonly ticketHash: string; readonly until: number },
  now: number,
): Promise<boolean> {
  return moved(
    db
      .prepare(
        `UPDATE connect_sessions SET ticket_hash = ?2, ticket_until = ?3
         WHERE id = ?1 AND state = 'open' AND mode = 'host_session' AND expires_at > ?4`,
      )
      .bind(id, ticketHash, until, now),
  );
}

/** A browser came with a ticket: it is used up, and what the browser is given instead takes its place. Once. */
export async function swapTicket(
  db: D1Database,
  id: string,
  { before, after, until }: { readonly before: string; readonly after: string; readonly until: number },
  now: number,
): Promise<boolean> {
  return moved(
    db
      .prepare(
        `UPDATE connect_sessions SET ticket_hash = ?3, ticket_until = ?4
         WHERE id = ?1 AND state = 'open' AND mode = 'host_session' AND ticket_hash = ?2 AND ticket_until > ?5 AND expires_at > ?5`,
      )
      .bind(id, before, after, until, now),
  );
}

/** Sessions that can still lead somewhere, by the key that their links and verifiers are under. */
export async function countSessionsByKid(db: D1Database, now: number): Promise<Record<string, number>> {
  const { results } = await db
    .prepare(
      `SELECT kid, count(*) AS n FROM connect_sessions WHERE state IN ('open', 'redeemed') AND expires_at > ? GROUP BY kid`,
    )
    .bind(now)
    .all<Row>();
  return Object.fromEntries(results.map((row) => [text(row, "kid"), integer(row, "n")]));
}

/** Takes away what ended long ago. */
export async function dropOldSessions(db: D1Database, before: number, limit: number): Promise<number> {
  const { meta } = await db
    .prepare(
      "DELETE FROM connect_sessions WHERE id IN (SELECT id FROM connect_sessions WHERE expires_at < ? ORDER BY expires_at LIMIT ?)",
    )
    .bind(before, limit)
    .run();
  return meta.changes;
}

async function moved(statement: D1PreparedStatement): Promise<boolean> {
  return (await statement.run()).meta.changes === 1;
}

async function one(statement: D1PreparedStatement): Promise<WithSecrets | null> {
  const row = await statement.first<Row>();
  return row === null ? null : toSession(row);
}

function toSession(row: Row): WithSecrets {
  const user = textOrNull(row, "user");
  return {
    id: text(row, "id"),
    slot: {
      tenant: text(row, "tenant"),
      integration: text(row, "integration"),
      owner: user === null ? { kind: "tenant" } : { kind: "user", user },
      account: text(row, "account"),
    },
    connection: text(row, "connection"),
    // The columns hold what was written by this file.
    scopes: JSON.parse(text(row, "scopes")) as string[],
    mode: text(row, "mode") as ConnectMode,
    returnTo: textOrNull(row, "return_to"),
    replaceAccount: integer(row, "replace_account") === 1,
    purpose: text(row, "purpose"),
    kid: text(row, "kid"),
    state: text(row, "state") as SessionState,
    failure: textOrNull(row, "failure") as SessionFailure | null,
    createdBy: text(row, "created_by"),
    createdAt: integer(row, "created_at"),
    expiresAt: integer(row, "expires_at"),
    cookieHash: textOrNull(row, "cookie_hash"),
    codeHash: textOrNull(row, "code_hash"),
    ticketHash: textOrNull(row, "ticket_hash"),
    ticketUntil: integerOrNull(row, "ticket_until"),
    verifier: textOrNull(row, "verifier"),
  };
}
