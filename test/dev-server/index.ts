/**
 * The Worker as a process: built once, then run by `wrangler dev` as often as a test wants, also after a kill.
 *
 * - S1 a server is the leader of a process group of its own: wrangler, its workerd and whatever they start die together.
 * - S2 no server outlives this process: the groups that still stand are killed when it exits.
 * - S3 what runs is a copy that was built before: an edit of the sources meanwhile changes nothing.
 */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

export const REPOSITORY = join(import.meta.dirname, "../..");
const WRANGLER = join(REPOSITORY, "node_modules/wrangler/bin/wrangler.js");
/** Starting takes 1.5 to 3 s on an idle machine; one under load may need far longer. */
const START_TIMEOUT_MS = 60_000;
const POLL_MS = 20;
/** Lines kept of what a server said, for when something goes wrong. */
const MAX_LOG_LINES = 400;

/** A Worker that was bundled: servers run the script with the bindings of the configuration. */
export interface Build {
  readonly config: string;
  readonly script: string;
}

/** Bundles a Worker as `wrangler deploy` would. */
export async function build(config: string, folder: string): Promise<Build> {
  await wrangler(["deploy", "--dry-run", "--config", config, "--outdir", folder]);
  return { config, script: join(folder, "worker.js") };
}

/** Runs a command of wrangler to its end. Rejects with what it said if it failed. */
export async function wrangler(args: readonly string[]): Promise<void> {
  await promisify(execFile)(process.execPath, [WRANGLER, ...args], { cwd: REPOSITORY, env: environment() });
}

/** Applies the migrations of a configuration's database to a state on disk. */
export function migrateDatabase(config: string, state: string): Promise<void> {
  return wrangler(["d1", "migrations", "apply", "DB", "--local", "--config", config, "--persist-to", state]);
}

export interface ServerOptions {
  readonly build: Build;
  /** Where storage stands on disk: the same folder again is the same world again. */
  readonly state: string;
  /** File in dotenv form, from `writeVariables`: on a command line every process of the machine could read the values. */
  readonly variables: string;
  /**
   * Whether wrangler records every call for its local explorer, as it does unless told otherwise. It writes to disk with
   * each call, so tests that are not about speed go without.
   */
  readonly recording?: boolean;
  /** Each line that the server says. */
  readonly onLine?: (line: string) => void;
}

export interface Server {
  readonly url: string;
  /** Resolves once the Worker answers; rejects if it has ended or does not within a minute. */
  readonly up: Promise<void>;
  /** The last lines that it said. */
  readonly log: readonly string[];
  /** SIGKILL to the whole group; resolves when no process of it is left. */
  kill(): Promise<void>;
}

const standing = new Set<number>();
process.once("exit", () => {
  for (const group of standing) killGroup(group);
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => process.exit(130));

/** Starts `wrangler dev` on a free port. */
export async function startServer({
  build: built,
  state,
  variables,
  recording = false,
  onLine,
}: ServerOptions): Promise<Server> {
  const port = await freePort();
  const child = spawn(
    process.execPath,
    [
      ...[WRANGLER, "dev", built.script, "--no-bundle", "--config", built.config],
      ...["--port", String(port), "--ip", "127.0.0.1", "--inspector-port", "0"],
      ...["--persist-to", state, "--env-file", variables, "--log-level", "warn"],
      "--show-interactive-dev-session=false",
    ],
    {
      cwd: REPOSITORY,
      env: { ...environment(), X_LOCAL_OBSERVABILITY: String(recording) },
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  const group = child.pid;
  if (group === undefined) throw new Error("wrangler could not be started");
  standing.add(group);
  const log: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", (line) => {
      log.push(line);
      if (log.length > MAX_LOG_LINES) log.shift();
      onLine?.(line);
    });
  }
  const ended = new AbortController();
  const exit = once(child, "exit").then(() => ended.abort());
  const url = `http://127.0.0.1:${port}`;
  const up = untilUp(url, ended.signal).catch((error: unknown) => {
    throw new Error(`wrangler dev did not start:\n${log.join("\n")}`, { cause: error });
  });
  // Whoever kills a server before it is up does not wait for it.
  up.catch(() => undefined);
  return {
    url,
    up,
    log,
    async kill() {
      killGroup(group);
      await exit;
      await groupGone(group);
      standing.delete(group);
    },
  };
}

/** Writes variables and secrets of a Worker. Values cannot hold a quote or a line break. */
export async function writeVariables(file: string, values: Readonly<Record<string, string>>): Promise<void> {
  const lines = Object.entries(values).map(([name, value]) => {
    if (/['\r\n]/.test(value)) throw new TypeError(`${name} has a quote or a line break in it.`);
    return `${name}='${value}'\n`;
  });
  await writeFile(file, lines.join(""), { mode: 0o600 });
}

function killGroup(group: number): void {
  try {
    process.kill(-group, "SIGKILL");
  } catch {
    // It is gone already.
  }
}

/** The leader's exit says nothing about workerd, which holds the files of the storage. */
async function groupGone(group: number): Promise<void> {
  for (;;) {
    try {
      process.kill(-group, 0);
    } catch {
      return;
    }
    await sleep(POLL_MS);
  }
}

async function untilUp(url: string, ended: AbortSignal): Promise<void> {
  const signal = AbortSignal.any([ended, AbortSignal.timeout(START_TIMEOUT_MS)]);
  for (;;) {
    try {
      // Any answer will do: the path is one that no Worker here has.
      await (await fetch(`${url}/.up`, { signal })).arrayBuffer();
      return;
    } catch (error) {
      if (signal.aborted) throw error;
      await sleep(POLL_MS);
    }
  }
}

function environment(): NodeJS.ProcessEnv {
  return {
    ...process.env,
    CI: "1",
    NO_COLOR: "1",
    WRANGLER_SEND_METRICS: "false",
    WRANGLER_HIDE_BANNER: "true",
  };
}

async function freePort(): Promise<number> {
  const probe = createServer();
  probe.listen(0, "127.0.0.1");
  await once(probe, "listening");
  const address = probe.address();
  probe.close();
  await once(probe, "close");
  if (address === null || typeof address === "string") throw new Error("no port could be had");
  return address.port;
}
