/** The local server: migrations of its database, then `wrangler dev`, both on data in the state folder. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { complain, fine, reasonOf, type Outcome } from "./complaint.ts";
import { localConfig, MIGRATIONS, secretsFile, type LocalVars } from "./local-config.ts";
import { keep, type Command, type Kept, type Running } from "./processes.ts";
import { createLogReader, followFile, type Notice } from "./server-log.ts";
import { silenceOf } from "./silence.ts";
import { orBeginAnew, type State } from "./state.ts";
import type { Tools } from "./tools.ts";

const CONFIG = "wrangler.json";
const DATA = "data";
const APPLIED = "migrations.sha256";

export interface Ground {
  readonly root: string;
  readonly tools: Tools;
  readonly state: State;
  /** Called with everything that must be ended should the start be broken off. */
  readonly started: (running: Running) => void;
  /** Aborted when nothing more shall be started. */
  readonly unwanted: AbortSignal;
}

const UNWANTED = complain("The start was broken off.", "Start again.");

/** Writes what wrangler reads: the configuration, and the secrets beside it. */
export function writeConfig({ root, state }: Ground, vars: LocalVars): Outcome<void> {
  let toml: string;
  try {
    toml = readFileSync(join(root, "wrangler.toml"), "utf8");
  } catch (error) {
    return complain(`wrangler.toml cannot be read: ${reasonOf(error)}`, "Bring it back from git.");
  }
  const config = localConfig(toml, root);
  if (!config.ok) return config;
  state.write(CONFIG, `${JSON.stringify(config.value, null, 2)}\n`);
  state.write(".dev.vars", secretsFile(vars));
  return fine(undefined);
}

/** Applies the migrations of the database that are new; says whether there were any. */
export async function migrate(ground: Ground): Promise<Outcome<boolean>> {
  const { root, state, unwanted } = ground;
  if (unwanted.aborted) return UNWANTED;
  const digest = digestOf(join(root, MIGRATIONS));
  const applied = state.path(APPLIED);
  if (existsSync(state.path(DATA)) && existsSync(applied) && readFileSync(applied, "utf8") === digest)
    return fine(false);
  const log = state.path("migrations.log");
  const command = wrangler(ground, log, ["d1", "migrations", "apply", "DB", "--local"]);
  const process_ = keep(command);
  ground.started(process_);
  const code = await process_.exitCode;
  if (code !== 0)
    return complain("The migrations of the local database failed.", orBeginAnew(state.folder), log);
  state.write(APPLIED, digest);
  return fine(true);
}

export interface Server extends Running {
  readonly url: string;
  readonly log: string;
  /** Settles if it is there and no longer answers. */
  readonly silent: Promise<void>;
}

/**
 * Starts the Worker and waits until it listens.
 * @param notice called with what its log says that a person has to know, for as long as it runs
 */
export async function startServer(
  ground: Ground,
  port: number,
  notice: (notice: Notice) => void,
): Promise<Outcome<Server>> {
  if (ground.unwanted.aborted) return UNWANTED;
  const log = ground.state.path("server.log");
  const server: Kept = keep(
    wrangler(ground, log, [
      ...["dev", "--local", "--ip", "127.0.0.1", "--port", String(port), "--inspector-port", "0"],
      "--show-interactive-dev-session=false",
    ]),
  );
  ground.started(server);
  const read = createLogReader();
  const unfollow = followFile(log, (line) => {
    const found = read(line);
    if (found !== null) notice(found);
  });
  void server.ended.then(unfollow);
  const listening = await server.hear(readyPort);
  if (listening !== null) {
    const url = `http://127.0.0.1:${listening}`;
    return fine({ ...server, url, log, silent: silenceOf(url, ground.unwanted) });
  }
  await server.end();
  return complain("The server did not start.", orBeginAnew(ground.state.folder), log);
}

/** What `wrangler dev` says on its IPC channel once it listens. */
function readyPort(message: unknown): number | null {
  if (typeof message !== "string") return null;
  try {
    const { event, port } = JSON.parse(message) as { event?: unknown; port?: unknown };
    return event === "DEV_SERVER_READY" && typeof port === "number" ? port : null;
  } catch {
    return null;
  }
}

function wrangler({ root, tools, state }: Ground, log: string, args: readonly string[]): Command {
  return {
    script: tools.wrangler,
    args: [...args, "--config", state.path(CONFIG), "--persist-to", state.path(DATA)],
    cwd: root,
    env: {
      CI: "1",
      NO_COLOR: "1",
      WRANGLER_SEND_METRICS: "false",
      // The banner asks the registry for a newer wrangler.
      WRANGLER_HIDE_BANNER: "true",
      // Its own store of traces would keep whole addresses: the codes and states of every consent.
      X_LOCAL_OBSERVABILITY: "false",
      WRANGLER_LOG_PATH: state.path("wrangler-logs"),
      WRANGLER_REGISTRY_PATH: state.path("registry"),
    },
    log,
  };
}

/** Changes when a migration is added or changed. */
function digestOf(folder: string): string {
  const hash = createHash("sha256");
  for (const name of readdirSync(folder).sort())
    hash.update(`${name}\0`).update(readFileSync(join(folder, name)));
  return hash.digest("hex");
}
