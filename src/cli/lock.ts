/** One start at a time for a state folder: two servers on the same data would damage it. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { complain, fine, reasonOf, type Outcome } from "./complaint.ts";
import { isAlive } from "./process-table.ts";

interface Holder {
  readonly pid: number;
  /** Address of its server, once it has one. */
  readonly url: string | null;
}

export interface Lock {
  /** The start before this one was killed and could not clean up. */
  readonly inherited: boolean;
  /** Tells others where the server is. */
  readonly announce: (url: string) => void;
  readonly release: () => void;
}

/** @param path of the lock file; its folder exists */
export function takeLock(path: string, pid = process.pid): Outcome<Lock> {
  const text = (url: string | null): string => `${JSON.stringify({ pid, url } satisfies Holder)}\n`;
  const lock = (inherited: boolean): Outcome<Lock> =>
    fine({
      inherited,
      announce: (url) => writeFileSync(path, text(url)),
      release: () => rmSync(path, { force: true }),
    });
  for (let inherited = false; ; inherited = true) {
    try {
      writeFileSync(path, text(null), { flag: "wx" });
      return lock(inherited);
    } catch (error) {
      if (!isThere(error))
        return complain(`${path} cannot be written: ${reasonOf(error)}`, "Make it writable.");
    }
    const holder = readHolder(path);
    if (inherited || (holder !== null && isAlive(holder.pid))) return taken(path, holder);
    rmSync(path, { force: true });
  }
}

function taken(path: string, holder: Holder | null): ReturnType<typeof complain> {
  const who = holder === null ? "" : ` (process ${holder.pid})`;
  const where = holder?.url ?? null;
  return complain(
    `Showcaller is already running${where === null ? "" : ` at ${where}`}${who}.`,
    `Use that one, or end it with Ctrl-C. For one beside it, name another folder and port: ` +
      `npm start -- --state .wrangler/second --port 0. If there is none, delete ${path}.`,
  );
}

function readHolder(path: string): Holder | null {
  try {
    const value: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (typeof value !== "object" || value === null) return null;
    const { pid, url } = value as Record<string, unknown>;
    if (typeof pid !== "number" || !Number.isInteger(pid) || pid < 1) return null;
    return { pid, url: typeof url === "string" ? url : null };
  } catch {
    return null;
  }
}

function isThere(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "EEXIST";
}
