/** The storage of an object over the SQLite that comes with Node: what the stores of objects use of it, and no more. */
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import type { SqlStore } from "../../src/platform/index.ts";

/** @param alive throws where nobody may write any more */
export function nodeStorage(db: DatabaseSync, alive: () => void = () => {}): SqlStore {
  db.exec("CREATE TABLE IF NOT EXISTS _cf_KV (key TEXT PRIMARY KEY, value TEXT NOT NULL)");
  const prepared = new Map<string, StatementSync>();
  const all = (query: string, ...values: SQLInputValue[]): Record<string, unknown>[] => {
    alive();
    const known = prepared.get(query);
    if (known !== undefined) return known.all(...values);
    if (values.length > 0 || /^\s*(?:SELECT|DELETE|UPDATE|INSERT)\b/.test(query)) {
      const statement = db.prepare(query);
      prepared.set(query, statement);
      return statement.all(...values);
    }
    db.exec(query);
    return [];
  };
  let depth = 0;
  const storage = {
    sql: {
      exec: (query: string, ...values: SQLInputValue[]) => {
        const rows = all(query, ...values);
        return { toArray: () => rows };
      },
    },
    kv: {
      get: (key: string): unknown => {
        const [row] = all("SELECT value FROM _cf_KV WHERE key = ?", key);
        return row === undefined ? undefined : JSON.parse(String(row["value"]));
      },
      put: (key: string, value: unknown) => {
        all("INSERT OR REPLACE INTO _cf_KV (key, value) VALUES (?, ?)", key, JSON.stringify(value));
      },
      delete: (key: string) => all("DELETE FROM _cf_KV WHERE key = ? RETURNING key", key).length > 0,
      list: ({ prefix = "" }: { prefix?: string } = {}) =>
        all(
          "SELECT key, value FROM _cf_KV WHERE substr(key, 1, ?) = ? ORDER BY key",
          prefix.length,
          prefix,
        ).map((row) => [row["key"], JSON.parse(String(row["value"]))]),
    },
    transactionSync: <T>(work: () => T): T => {
      alive();
      depth += 1;
      db.exec(`SAVEPOINT s${depth}`);
      try {
        const result = work();
        db.exec(`RELEASE s${depth}`);
        return result;
      } catch (error) {
        db.exec(`ROLLBACK TO s${depth}; RELEASE s${depth}`);
        throw error;
      } finally {
        depth -= 1;
      }
    },
  };
  return storage as unknown as SqlStore;
}
