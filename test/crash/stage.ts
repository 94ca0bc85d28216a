/** What stands through all lives of the server: the world with its referee, the build, the state on disk, the secrets. */
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "smol-toml";
import {
  build,
  migrateDatabase,
  REPOSITORY,
  startServer,
  writeVariables,
  type Build,
  type Server,
} from "../dev-server/index.ts";
import { Given } from "../dev-server/given.ts";
import { createReferee } from "../../src/cli/referee.ts";
import { ISSUER_ORIGIN, standFor } from "../../src/cli/roles.ts";
import { Random } from "../sim/random.ts";
import { serviceTokens, startWorld, type Fault, type FaultRule, type World } from "../world/index.ts";
import { Sink } from "./sink.ts";

const SECRET_BYTES = 32;
/** Messages that the listener takes and refuses all the same. */
const SINK_REFUSAL = 0.2;

/**
 * Slow and late answers keep requests in flight, so that kills meet them; the others make an end unclear, or clear and
 * bad. No service works longer than 1.2 s on a request: the verifies of the workflows ask later than that. Questions fail
 * less often than deeds: a verify that gives up leaves its step to a person, and there is none here.
 */
const BAD_ENDS: readonly { readonly share: number; readonly fault: Fault }[] = [
  { share: 0.1, fault: { kind: "lost_answer" } },
  { share: 0.05, fault: { kind: "reset" } },
  { share: 0.07, fault: { kind: "status", status: 503 } },
  { share: 0.04, fault: { kind: "status", status: 500, after: true } },
  { share: 0.04, fault: { kind: "status", status: 429, retryAfterSeconds: 1 } },
];
const GET_SHARE = 0.2;
export const FAULTS: readonly FaultRule[] = [
  ...["POST", "DELETE", "GET"].flatMap((method) =>
    BAD_ENDS.map(({ share, fault }) => ({
      method,
      probability: method === "GET" ? share * GET_SHARE : share,
      fault,
    })),
  ),
  { probability: 0.25, fault: { kind: "slow", ms: 1_200 } },
  { probability: 0.1, fault: { kind: "slow", ms: 300 } },
  { probability: 0.2, fault: { kind: "late", ms: 1_000 } },
];

export interface Stage {
  readonly world: World;
  readonly sink: Sink;
  /** Another life on the same state. `crashAt` arms a named point. */
  start(crashAt: string | null, onLine: (line: string) => void): Promise<Server>;
  rootKey: string;
  /** Every secret that was given out; whoever is given another one adds it. */
  readonly given: Given;
  /** What all servers have said. */
  readonly lines: readonly string[];
  close(keep: boolean): Promise<void>;
}

export async function setStage(seed: number): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), "showcaller-crash-"));
  const sink = new Sink(new Random(seed, "sink"), SINK_REFUSAL);
  const world = await startWorld({ faults: FAULTS, seed, services: [sink.service] });
  const config = join(folder, "wrangler.json");
  await writeFile(
    config,
    JSON.stringify(await crashConfig("showcaller-crash", join(import.meta.dirname, "worker.ts"))),
  );
  const state = join(folder, "state");
  const [built] = await Promise.all([build(config, join(folder, "bundle")), migrateDatabase(config, state)]);
  const rootKey = randomBytes(SECRET_BYTES).toString("base64url");
  const secrets = {
    SERVER_KEY: randomBytes(SECRET_BYTES).toString("base64"),
    KEYRING: JSON.stringify({ active: "k1", keys: { k1: randomBytes(SECRET_BYTES).toString("base64") } }),
    ROOT_API_KEY: rootKey,
    DEV_HOSTS: JSON.stringify(world.names),
    SERVICE_TOKENS: JSON.stringify(serviceTokens(world.tokens)),
    ISSUER_ORIGIN,
  };
  const referee = createReferee(world.origin("referee.example"));
  const given = Given.of(secrets);
  const lines: string[] = [];
  return {
    ...{ world, sink, rootKey, given, lines },
    start: async (crashAt, onLine) => {
      const values = { ...secrets, CRASH_AT: crashAt ?? "" };
      const server = await start(built, folder, state, values, (line) => {
        lines.push(line);
        onLine(line);
      });
      await standFor(server.url, referee);
      return server;
    },
    close: async (keep) => {
      await world.close();
      if (keep) console.error(`the state is left in ${folder}`);
      else await rm(folder, { recursive: true, force: true });
    },
  };
}

async function start(
  built: Build,
  folder: string,
  state: string,
  values: Readonly<Record<string, string>>,
  onLine: (line: string) => void,
): Promise<Server> {
  const variables = join(folder, "variables.env");
  await writeVariables(variables, values);
  return startServer({ build: built, state, variables, onLine });
}

/** The product's own configuration, but with crash points, for development, and with every value read from one file. */
export async function crashConfig(name: string, main: string): Promise<Record<string, unknown>> {
  const { secrets: _secrets, ...config } = parse(await readFile(join(REPOSITORY, "wrangler.toml"), "utf8"));
  const databases = config["d1_databases"];
  if (!Array.isArray(databases)) throw new Error("wrangler.toml has no database");
  return {
    ...config,
    ...{ name, main },
    define: { CRASH_POINTS: "true", DEVELOPMENT: "true" },
    d1_databases: databases.map((database) => ({
      ...(database as Record<string, unknown>),
      migrations_dir: join(REPOSITORY, "migrations"),
    })),
  };
}
