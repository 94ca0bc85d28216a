/** The secrets of hooks join the change of keys. */
import { integer, type Logger, type Row, text } from "../../platform/index.ts";
import type { SealedRecords } from "../../vault/index.ts";
import { secretPlace } from "./hooks-store.ts";

export function hookRecords({ db, log }: { readonly db: D1Database; readonly log: Logger }): SealedRecords {
  // Where the last sweep of this isolate came to, so that what does not open stops nothing behind it.
  let after = "";
  return {
    kind: "hook_secrets",

    async countByKid() {
      const { results } = await db
        .prepare("SELECT kid, count(*) AS n FROM hook_secrets GROUP BY kid")
        .all<Row>();
      return Object.fromEntries(results.map((row) => [text(row, "kid"), integer(row, "n")]));
    },

    async rewrapSome(vault, limit) {
      const { results } = await db
        .prepare(
          `SELECT hook, id, tenant, sealed, hook || ':' || id AS place FROM hook_secrets
           WHERE kid <> ? AND hook || ':' || id > ? ORDER BY place LIMIT ?`,
        )
        .bind(vault.active, after, limit)
        .all<Row>();
      let moved = 0;
      for (const row of results) {
        const [tenant, sealed] = [text(row, "tenant"), text(row, "sealed")];
        const [hook, id] = [text(row, "hook"), text(row, "id")];
        const next = await vault.rewrap(secretPlace(tenant, hook, id), sealed);
        if (!next.ok) {
          log.error("hook.not_rewrapped", { tenant, hook, secret: id, code: next.error.code });
          continue;
        }
        // Only what still stands as it was read.
        const { meta } = await db
          .prepare("UPDATE hook_secrets SET sealed = ?, kid = ? WHERE hook = ? AND id = ? AND sealed = ?")
          .bind(next.value, vault.active, hook, id, sealed)
          .run();
        moved += meta.changes;
      }
      const last = results.at(-1);
      after = last === undefined || results.length < limit ? "" : text(last, "place");
      return moved;
    },
  };
}
