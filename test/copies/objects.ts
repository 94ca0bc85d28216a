/** Counts runs where they are: in the run objects on disk, whatever anybody says of them. The server must be dead. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** @param state the folder that the server keeps its storage in */
export function countRuns(state: string): number {
  const files = readdirSync(state, { recursive: true, withFileTypes: true }).filter(
    (entry) => entry.isFile() && entry.name.endsWith(".sqlite") && entry.parentPath.endsWith("RunObject"),
  );
  return files.filter((file) => holdsRun(join(file.parentPath, file.name))).length;
}

/** A run was started in it: it has a journal. */
function holdsRun(file: string): boolean {
  const database = new DatabaseSync(file);
  try {
    const [table] = database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'turns'").all();
    return table !== undefined && database.prepare("SELECT 1 FROM turns LIMIT 1").all().length > 0;
  } finally {
    database.close();
  }
}
