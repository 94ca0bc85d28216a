/** The keys of endpoints join the change of the vault's keys. */
import { integer, type Logger, type Row, text } from "../../platform/index.ts";
import type { SealedRecords } from "../../vault/index.ts";
import { keyPlace } from "./endpoints-store.ts";

export function endpointRecords({
  db,
  log,
}: {
  readonly db: D1Database;
  readonly log: Logger;
}): SealedRecords {
  // Where the last sweep of this isolate came to, so that what does not open stops nothing behind it.
  let after = "";
  return {
    kind: "endpoint_keys",

    async countByKid() {
      const { results } = await db
        .prepare("SELECT kid, count(*) AS n FROM endpoint_keys GROUP BY kid")
        .all<Row>();
      return Object.fromEntries(results.map((row) => [text(row, "kid"), integer(row, "n")]));
    },

    async rewrapSome(vault, limit) {
      const { results } = await db
        .prepare(
          "SELECT endpoint, id, tenant, sealed FROM endpoint_keys WHERE kid <> ? AND id > ? ORDER BY id LIMIT ?",
        )
        .bind(vault.active, after, limit)
        .all<Row>();
      let moved = 0;
      for (const row of results) {
        const [tenant, sealed] = [text(row, "tenant"), text(row, "sealed")];
        const [endpoint, id] = [text(row, "endpoint"), text(row, "id")];
        const next = await vault.rewrap(keyPlace(tenant, endpoint, id), sealed);
        if (!next.ok) {
          log.error("endpoint.not_rewrapped", { tenant, endpoint, id, code: next.error.code });
          continue;
        }
        // Only what still stands as it was read.
        const { meta } = await db
          .prepare("UPDATE endpoint_keys SET sealed = ?, kid = ? WHERE id = ? AND sealed = ?")
          .bind(next.value, vault.active, id, sealed)
          .run();
        moved += meta.changes;
      }
      const last = results.at(-1);
      after = last === undefined || results.length < limit ? "" : text(last, "id");
      return moved;
    },
  };
}
