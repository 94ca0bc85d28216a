/** Records that hold sealed texts, as a room keeps them: in D1, with the name of the key in a column of its own. */
import type { Place, SealedRecords, Vault } from "../../src/vault/index.ts";

export interface SealedRecord {
  readonly id: string;
  readonly sealed: string;
}

/** The listing side of a room; `touch` is what its writers do. */
export interface TestRecords extends SealedRecords {
  put(vault: Vault, id: string, text: string): Promise<void>;
  get(id: string): Promise<SealedRecord>;
  placeOf(id: string): Place;
  /** Writes a text as it is. */
  set(id: string, sealed: string, kid: string): Promise<void>;
}

export function testRecords(db: D1Database, kind = "test_records"): TestRecords {
  const table = async (): Promise<void> => {
    await db.exec(
      `CREATE TABLE IF NOT EXISTS ${kind} (id TEXT NOT NULL PRIMARY KEY, sealed TEXT NOT NULL, kid TEXT NOT NULL)`,
    );
  };
  const placeOf = (id: string): Place => ({
    ...{ purpose: "test.secret", tenant: "acme", record: id },
    ...{ field: "secret", version: 1 },
  });
  const set = async (id: string, sealed: string, kid: string): Promise<void> => {
    await table();
    await db.prepare(`INSERT OR REPLACE INTO ${kind} VALUES (?, ?, ?)`).bind(id, sealed, kid).run();
  };
  return {
    kind,
    placeOf,
    set,
    async countByKid() {
      await table();
      const { results } = await db
        .prepare(`SELECT kid, count(*) AS n FROM ${kind} GROUP BY kid`)
        .all<{ kid: string; n: number }>();
      return Object.fromEntries(results.map(({ kid, n }) => [kid, n]));
    },
    async rewrapSome(vault, limit) {
      await table();
      const { results } = await db
        .prepare(`SELECT id, sealed FROM ${kind} WHERE kid <> ? LIMIT ?`)
        .bind(vault.active, limit)
        .all<{ id: string; sealed: string }>();
      let moved = 0;
      for (const { id, sealed } of results) {
        const next = await vault.rewrap(placeOf(id), sealed);
        if (!next.ok) continue;
        // Only what is still as it was read.
        const { meta } = await db
          .prepare(`UPDATE ${kind} SET sealed = ?, kid = ? WHERE id = ? AND sealed = ?`)
          .bind(next.value, vault.active, id, sealed)
          .run();
        moved += meta.changes;
      }
      return moved;
    },
    async put(vault, id, text) {
      const sealed = await vault.seal(placeOf(id), text);
      await set(id, sealed, vault.kidOf(sealed) ?? "");
    },
    async get(id) {
      const row = await db
        .prepare(`SELECT id, sealed FROM ${kind} WHERE id = ?`)
        .bind(id)
        .first<SealedRecord>();
      if (row === null) throw new Error(`No record ${id}.`);
      return row;
    },
  };
}
