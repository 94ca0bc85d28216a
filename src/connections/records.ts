/** What the vault counts and moves in this room: secrets of integrations, connections, and the links of connect sessions. */
import { integer, type Logger, type Row, text } from "../platform/index.ts";
import type { SealedRecords } from "../vault/index.ts";
import { integrationPlace } from "./integrations-store.ts";
import type { ConnectionRpc } from "./rpc.ts";
import { countSessionsByKid } from "./sessions-store.ts";

export interface RecordsDeps {
  readonly db: D1Database;
  readonly object: (tenant: string, id: string) => ConnectionRpc;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export function sealedRecords(deps: RecordsDeps): readonly SealedRecords[] {
  return [ofIntegrations(deps), ofConnections(deps), ofSessions(deps), ofGrantLinks(deps)];
}

function ofIntegrations({ db, log }: RecordsDeps): SealedRecords {
  // Goes on behind what did not open, and begins anew at the end.
  let after = "";
  return {
    kind: "integrations",
    countByKid: async () =>
      counted(
        await db
          .prepare("SELECT kid, count(*) AS n FROM integrations WHERE kid IS NOT NULL GROUP BY kid")
          .all<Row>(),
      ),
    async rewrapSome(vault, limit) {
      const { results } = await db
        .prepare(
          `SELECT tenant, name, secret, secret_version, tenant || ':' || name AS place FROM integrations
           WHERE kid IS NOT NULL AND kid <> ? AND tenant || ':' || name > ? ORDER BY place LIMIT ?`,
        )
        .bind(vault.active, after, limit)
        .all<Row>();
      after = results.length < limit ? "" : text(results.at(-1) ?? {}, "place");
      let moved = 0;
      for (const row of results) {
        const [tenant, name, secret] = [text(row, "tenant"), text(row, "name"), text(row, "secret")];
        const next = await vault.rewrap(
          integrationPlace(tenant, name, integer(row, "secret_version")),
          secret,
        );
        if (!next.ok) {
          log.error("integration.not_rewrapped", { tenant, integration: name, code: next.error.code });
          continue;
        }
        const { meta } = await db
          .prepare("UPDATE integrations SET secret = ?, kid = ? WHERE tenant = ? AND name = ? AND secret = ?")
          .bind(next.value, vault.active, tenant, name, secret)
          .run();
        moved += meta.changes;
      }
      return moved;
    },
  };
}

/** All that keep sealed texts: those that are listed, and those that wait for their first confirmation. */
const KEPT = `SELECT id, tenant, kids FROM connections
  UNION ALL SELECT id, tenant, kids FROM unlisted_connections WHERE kids <> '[]'`;

/** Only their objects write; the listing follows. */
function ofConnections({ db, object, log }: RecordsDeps): SealedRecords {
  let after = "";
  return {
    kind: "connections",
    countByKid: async () =>
      counted(
        await db
          .prepare(
            `SELECT kids.value AS kid, count(*) AS n FROM (${KEPT}) AS kept, json_each(kept.kids) AS kids GROUP BY kids.value`,
          )
          .all<Row>(),
      ),
    async rewrapSome(vault, limit) {
      const { results } = await db
        .prepare(
          `SELECT id, tenant FROM (${KEPT})
           WHERE id > ? AND EXISTS (SELECT 1 FROM json_each(kids) WHERE value <> ?) ORDER BY id LIMIT ?`,
        )
        .bind(after, vault.active, limit)
        .all<Row>();
      after = results.length < limit ? "" : text(results.at(-1) ?? {}, "id");
      const moved = await Promise.allSettled(
        results.map(async (row) => object(text(row, "tenant"), text(row, "id")).rewrap(text(row, "tenant"))),
      );
      const failed = moved.filter((one) => one.status === "rejected" || !one.value).length;
      if (failed > 0) log.warn("connection.not_rewrapped", { failed });
      // An object may have another keyring than whoever asks it: what its row says counts.
      const row = await db
        .prepare(
          `SELECT count(*) AS n FROM (${KEPT}) WHERE id IN (SELECT value FROM json_each(?1))
             AND NOT EXISTS (SELECT 1 FROM json_each(kids) WHERE value <> ?2)`,
        )
        .bind(JSON.stringify(results.map((one) => text(one, "id"))), vault.active)
        .first<Row>();
      return row === null ? 0 : integer(row, "n");
    },
  };
}

/** Derived, not sealed: they cannot be moved, and are over before long. */
function ofSessions({ db, now }: RecordsDeps): SealedRecords {
  return {
    kind: "connect_sessions",
    countByKid: async () => countSessionsByKid(db, now()),
    rewrapSome: async () => 0,
  };
}

function ofGrantLinks({ db, now }: RecordsDeps): SealedRecords {
  return {
    kind: "grant_links",
    countByKid: async () =>
      counted(
        await db
          .prepare(
            "SELECT kid, count(*) AS n FROM grant_links WHERE redeemed_at IS NULL AND expires_at > ? GROUP BY kid",
          )
          .bind(now())
          .all<Row>(),
      ),
    rewrapSome: async () => 0,
  };
}

function counted({ results }: { readonly results: readonly Row[] }): Record<string, number> {
  return Object.fromEntries(results.map((row) => [text(row, "kid"), integer(row, "n")]));
}
