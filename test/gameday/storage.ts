/** The storage of objects as it stands on disk, beside the server and its API. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** The storage of one object, by the name that it has: the file below the folder of its class. The server must be dead. */
export function storageOf(state: string, className: string, name: string): DatabaseSync {
  for (const entry of readdirSync(state, { recursive: true, withFileTypes: true })) {
    if (!entry.name.endsWith(".sqlite") || !entry.parentPath.endsWith(className)) continue;
    if (entry.name === "metadata.sqlite") continue;
    const database = new DatabaseSync(join(entry.parentPath, entry.name));
    if (nameOf(database) === name) return database;
    database.close();
  }
  throw new Error(`there is no ${className} named ${name}`);
}

function nameOf(database: DatabaseSync): string | null {
  try {
    const row = database.prepare("SELECT * FROM __miniflare_do_name").get();
    return row === undefined ? null : String(Object.values(row).find((value) => typeof value === "string"));
  } catch {
    return null;
  }
}
