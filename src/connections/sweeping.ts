/**
 * What has to be done for connections although nobody asks: telling them of a change of their integration, taking them back
 * when it is gone, and asking those that have been silent for too long. Everything is bounded, and goes on where it stopped.
 *
 * W1 a change of an integration reaches every connection: it stays marked until all have it, and for a while longer, as a
 *    grant that comes at that moment may be listed later.
 */
import { integer, type Logger, type Row, text } from "../platform/index.ts";
import type { Vault } from "../vault/index.ts";
import { dropOldGrantLinks } from "./grant-links.ts";
import { openIntegration, selectIntegration } from "./integrations-store.ts";
import { dropOldMarks } from "./listing.ts";
import type { ConnectionRpc, ConnectionView } from "./rpc.ts";
import { dropOldSessions } from "./sessions-store.ts";

export interface SweepDeps {
  readonly db: D1Database;
  readonly vault: Vault;
  readonly object: (tenant: string, id: string) => ConnectionRpc;
  readonly serverKey: () => Promise<CryptoKey>;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

const HOUR_MS = 60 * 60_000;
/** W1 */
const SETTLED_AFTER_MS = HOUR_MS;
/** Sessions and links that are over are kept so long, for whoever asks what became of them. */
const KEPT_MS = 7 * 24 * HOUR_MS;
const DROPPED_AT_ONCE = 500;
const INTEGRATIONS_AT_ONCE = 20;
/** A revocation is tried again at least once an hour; what rests is looked at once a day. */
const REVOKING_SILENT_MS = 2 * HOUR_MS;
const SILENT_MS = 24 * HOUR_MS;

export interface Settled {
  /** Connections that were told or taken back. */
  readonly done: number;
  /** Whether some are left. */
  readonly left: boolean;
}

/** W1. What an integration has become reaches at most `limit` of its connections. */
export async function settleIntegration(
  deps: SweepDeps,
  { tenant, name }: { readonly tenant: string; readonly name: string },
  limit: number,
  by: string,
): Promise<Settled> {
  const { db, vault, object, log } = deps;
  const made = await selectIntegration(db, tenant, name);
  if (made === null) return { done: 0, left: false };
  const gone = made.deletedAt !== null;
  const { results } = await db
    .prepare(
      `SELECT id FROM connections WHERE tenant = ?1 AND integration = ?2 AND status IN ('active', 'dead')
         AND (?3 = 1 OR integration_version < ?4) ORDER BY updated_at LIMIT ?5`,
    )
    .bind(tenant, name, gone ? 1 : 0, made.version, limit)
    .all<Row>();
  const copy = gone || results.length === 0 ? null : await openIntegration(db, vault, made);
  const ids = results.map((row) => text(row, "id"));
  const failed =
    copy === null
      ? await disconnectAll(deps, tenant, ids, by)
      : (
          await Promise.allSettled(ids.map(async (id) => object(tenant, id).updateIntegration(tenant, copy)))
        ).filter(({ status }) => status === "rejected").length;
  if (failed > 0) log.warn("connection.not_settled", { tenant, integration: name, failed });
  return { done: results.length - failed, left: results.length === limit || failed > 0 };
}

/** One after the other, as each asks the others. Answers how many could not be told. */
async function disconnectAll(
  deps: SweepDeps,
  tenant: string,
  ids: readonly string[],
  by: string,
): Promise<number> {
  let failed = 0;
  for (const id of ids) {
    try {
      await disconnectOne(deps, tenant, id, by);
    } catch (error) {
      failed += 1;
      deps.log.warn("connection.not_disconnected", { tenant, connection: id, error });
    }
  }
  return failed;
}

/** Takes a connection back. Null: there was none. */
export async function disconnectOne(
  { object }: Pick<SweepDeps, "object">,
  tenant: string,
  id: string,
  by: string,
): Promise<{ readonly view: ConnectionView; readonly siblings: boolean } | null> {
  const view = await object(tenant, id).disconnect(tenant, { by });
  return view === null ? null : { view, siblings: view.revocation?.outcome === "kept_for_siblings" };
}

/** For the cron trigger: with at most about `calls` outside calls. Never throws. */
export async function sweepConnections(deps: SweepDeps, calls: number): Promise<void> {
  const parts = [
    async () => dropOld(deps),
    async () => settleAll(deps, Math.floor(calls / 2)),
    async () => pokeSilent(deps, Math.max(1, Math.floor(calls / 4))),
  ];
  for (const part of parts) {
    try {
      await part();
    } catch (error) {
      deps.log.error("connections.not_swept", { error });
    }
  }
}

async function dropOld({ db, now }: SweepDeps): Promise<void> {
  const before = now() - KEPT_MS;
  await dropOldSessions(db, before, DROPPED_AT_ONCE);
  await dropOldGrantLinks(db, before, DROPPED_AT_ONCE);
  await dropOldMarks(db, before, DROPPED_AT_ONCE);
}

/** Asking for an integration, its connections and its secret, and unmarking it. */
const CALLS_PER_INTEGRATION = 4;
/** Taking one back: it is looked at, its siblings are (at most 20, mostly one), and it is told. */
const CALLS_PER_CONNECTION = 24;

async function settleAll(deps: SweepDeps, calls: number): Promise<void> {
  const { db, now } = deps;
  const { results } = await db
    .prepare(
      "SELECT tenant, name, version, updated_at FROM integrations WHERE unsettled = 1 ORDER BY updated_at LIMIT ?",
    )
    .bind(INTEGRATIONS_AT_ONCE)
    .all<Row>();
  let room = calls;
  for (const row of results) {
    if (room <= 0) return;
    // At least one, so that it comes to an end also where few calls may be made.
    const limit = Math.max(1, Math.floor((room - CALLS_PER_INTEGRATION) / CALLS_PER_CONNECTION));
    const [tenant, name] = [text(row, "tenant"), text(row, "name")];
    const { done, left } = await settleIntegration(deps, { tenant, name }, limit, "system");
    room -= CALLS_PER_INTEGRATION + CALLS_PER_CONNECTION * done;
    if (left || integer(row, "updated_at") > now() - SETTLED_AFTER_MS) continue;
    await db
      .prepare("UPDATE integrations SET unsettled = 0 WHERE tenant = ? AND name = ? AND version = ?")
      .bind(tenant, name, integer(row, "version"))
      .run();
  }
}

/** Those whose object may have lost its alarm: it does what is due. */
async function pokeSilent({ db, object, now, log }: SweepDeps, limit: number): Promise<void> {
  const at = now();
  const { results } = await db
    .prepare(
      `SELECT id, tenant FROM connections
       WHERE (status = 'revoking' AND poked_at < ?1 AND updated_at < ?1) OR (status = 'active' AND poked_at < ?2 AND updated_at < ?2)
       ORDER BY poked_at LIMIT ?3`,
    )
    .bind(at - REVOKING_SILENT_MS, at - SILENT_MS, limit)
    .all<Row>();
  if (results.length === 0) return;
  const poked = await Promise.allSettled(
    results.map(async (row) => object(text(row, "tenant"), text(row, "id")).poke(text(row, "tenant"))),
  );
  const failed = poked.filter(({ status }) => status === "rejected").length;
  if (failed > 0) log.warn("connection.not_poked", { failed });
  await db
    .prepare("UPDATE connections SET poked_at = ? WHERE id IN (SELECT value FROM json_each(?))")
    .bind(at, JSON.stringify(results.map((row) => text(row, "id"))))
    .run();
}
