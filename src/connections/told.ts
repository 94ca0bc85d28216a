/**
 * What a provider says of accesses that its users took back: the connections are marked, and runs that need one of them wait for a
 * consent. Who vouches that the provider said it is the caller's to know.
 *
 * - T1 an object decides by what it holds: the account must be the one that is named, and the grant no newer than what was said.
 */
import { type Logger, type Row, text } from "../platform/index.ts";
import { accountMac } from "./listing.ts";
import type { ConnectionRpc, ConnectionView } from "./rpc.ts";

export interface TakenBack {
  /** Ids of accounts at the provider, or what the ids of all of them begin with. */
  readonly accounts: readonly string[] | { readonly prefix: string };
  /** When it was taken back at the latest, milliseconds since 1970; null: it does not say. */
  readonly at: number | null;
}

interface ToldDeps {
  readonly db: D1Database;
  readonly serverKey: () => Promise<CryptoKey>;
  readonly object: (tenant: string, id: string) => ConnectionRpc;
  readonly log: Logger;
}

/** Connections that one word of a provider marks: each costs two calls, and an event of the platform has 1,000. */
const MAX_MARKED = 300;
const AT_A_TIME = 6;

/** @returns how many connections were marked */
export async function markTakenBack(
  { db, serverKey, object, log }: ToldDeps,
  { tenant, integration }: { readonly tenant: string; readonly integration: string },
  { accounts, at }: TakenBack,
): Promise<number> {
  const isNamed = (id: string): boolean =>
    "prefix" in accounts ? id.startsWith(accounts.prefix) : accounts.includes(id);
  const key = await serverKey();
  const macs =
    "prefix" in accounts
      ? null
      : await Promise.all(accounts.map(async (id) => accountMac(key, { tenant, integration }, id)));
  const { results } = await db
    .prepare(
      `SELECT id FROM connections WHERE tenant = ?1 AND integration = ?2 AND status = 'active'
         AND (?3 IS NULL OR account_mac IN (SELECT value FROM json_each(?3))) ORDER BY id LIMIT ?4`,
    )
    .bind(tenant, integration, macs === null ? null : JSON.stringify(macs), MAX_MARKED)
    .all<Row>();
  if (results.length === MAX_MARKED) log.warn("connection.revocation_cut", { tenant, integration });
  const ids = results.map((row) => text(row, "id"));
  let marked = 0;
  for (let from = 0; from < ids.length; from += AT_A_TIME) {
    const done = await Promise.all(ids.slice(from, from + AT_A_TIME).map(mark));
    marked += done.filter(Boolean).length;
  }
  return marked;

  async function mark(id: string): Promise<boolean> {
    const stub = object(tenant, id);
    const view = await stub.view(tenant);
    if (view === null || !isMeant(view)) return false;
    await stub.report(tenant, { kind: "token_dead", version: view.version });
    return true;
  }

  /** T1. */
  function isMeant({ standing, account, grantedAt }: ConnectionView): boolean {
    if (standing.status !== "active" || account.id === null || !isNamed(account.id)) return false;
    return at === null || grantedAt <= at;
  }
}
