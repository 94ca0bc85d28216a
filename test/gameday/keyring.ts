/** The keyring as its operator changes it: by the command that there is for it, with the deployment asked. */
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { readdirSync } from "node:fs";
import { promisify } from "node:util";
import { REPOSITORY, type Stage } from "./stage.ts";

const COMMAND = join(REPOSITORY, "src/cli/keyring.ts");
const run = promisify(execFile);

/** Rejects with what the command said if it refused. */
export async function changeKeyring(stage: Stage, url: string, ...args: readonly string[]): Promise<void> {
  const file = join(stage.folder, "keyring.json");
  await writeFile(file, stage.secrets.KEYRING, { mode: 0o600 });
  const asked = args[0] === "add" ? [] : ["--api", url];
  const { stdout } = await run(process.execPath, [COMMAND, ...args, "--file", file, ...asked], {
    env: { ...process.env, ROOT_API_KEY: stage.rootKey },
  });
  stage.secrets.KEYRING = stdout.trim();
  const { keys } = JSON.parse(stage.secrets.KEYRING) as { keys: Record<string, string> };
  for (const key of Object.values(keys)) stage.given.add(key);
}

/**
 * A quarter of an hour without a seal under a key passes at once: the row that remembers it is put back by so much. Nobody
 * waits that long on a game day. The server must be dead.
 */
export function letQuietPass(state: string, kid: string): void {
  const file = databaseFile(state);
  const database = new DatabaseSync(file);
  try {
    database.prepare("UPDATE vault_keys SET sealed_at = sealed_at - ? WHERE kid = ?").run(20 * 60_000, kid);
  } finally {
    database.close();
  }
}

/** The file of the one database, below the folder that the server keeps its storage in. */
export function databaseFile(state: string): string {
  for (const entry of readdirSync(state, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !/^[0-9a-f]{64}\.sqlite$/.test(entry.name)) continue;
    if (entry.parentPath.includes("D1")) return join(entry.parentPath, entry.name);
  }
  throw new Error("the state has no database");
}
