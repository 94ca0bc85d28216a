/**
 * What stands through a game day: the world with its referee, a receiver and a listener, the state on disk, two builds of the
 * product (the one that was released last, and this one), and every secret that was ever given out.
 */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import type { RequestListener } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createReferee, type Referee } from "../../src/cli/referee.ts";
import { ISSUER_ORIGIN, standFor } from "../../src/cli/roles.ts";
import { FAULTS } from "../crash/stage.ts";
import { Sink } from "../crash/sink.ts";
import {
  type Build,
  migrateDatabase,
  REPOSITORY,
  startServer,
  type Server,
  writeVariables,
} from "../dev-server/index.ts";
import { Random } from "../sim/random.ts";
import { baselineCommit, buildBaseline, buildOf, TODAY } from "../upgrade/baseline.ts";
import { serviceTokens, startWorld, type FaultRule, type RawService, type World } from "../world/index.ts";

export const RECEIVER = "receiver.example";
/** Of migrations that find the database locked. */
const MIGRATION_TRIES = 10;
const SECRET_BYTES = 32;
const SINK_REFUSAL = 0.1;
const NAME = "showcaller-gameday";
/** Whoever loses the answer of a token service has lost its grant: no fault of ours, and a person would have to mend it. */
const WEATHERED = ["airline", "hotel", "calendar", "mail", "voice", "pay", "shop", "aws", "s3-invoices"];

/** What goes wrong on any day: the faults of the crash tests, at those who do business. */
export const WEATHER: readonly FaultRule[] = WEATHERED.flatMap((service) =>
  FAULTS.map((rule) => ({ ...rule, service })),
);

export interface Secrets {
  KEYRING: string;
  readonly [name: string]: string;
}

/** Hears outgoing webhooks: what came, by id. */
export class Receiver {
  readonly bodies = new Map<string, { readonly type: string; readonly data: { readonly run: string } }>();
  away = false;
  /** What it answers; a server that never takes anything says 500. */
  status = 204;
  refused = 0;

  get service(): RawService {
    return { name: "receiver", host: RECEIVER, listener: () => this.#listen };
  }

  readonly #listen: RequestListener = (req, res) => {
    if (this.away) {
      req.socket.destroy();
      return;
    }
    const chunks: Buffer[] = [];
    req.on("data", (chunk: Buffer) => chunks.push(chunk));
    req.on("end", () => {
      const id = req.headers["webhook-id"];
      if (this.status >= 300) this.refused += 1;
      else if (typeof id === "string")
        this.bodies.set(
          id,
          JSON.parse(Buffer.concat(chunks).toString()) as {
            type: string;
            data: { run: string };
          },
        );
      res.writeHead(this.status);
      res.end();
    });
  };
}

export interface Stage {
  readonly world: World;
  readonly referee: Referee;
  readonly sink: Sink;
  readonly receiver: Receiver;
  readonly folder: string;
  /** Where the storage stands on disk. */
  readonly state: string;
  readonly rootKey: string;
  readonly secrets: Secrets;
  /** Everything that no log may have in it. */
  readonly given: Set<string>;
  /** Every line that any server said. */
  readonly lines: string[];
  readonly old: Build;
  readonly next: Build;
  readonly baseline: string;
  migrate(build: Build): Promise<void>;
  /** Another life on the same state; resolves once it answers. */
  start(build: Build): Promise<Server>;
  close(keep: boolean): Promise<void>;
}

export interface StageOptions {
  readonly seed: number;
  /** Plays of a single runbook mostly need this build alone. */
  readonly withOld: boolean;
}

export async function setStage({ seed, withOld }: StageOptions): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), "showcaller-gameday-"));
  // Where wrangler's commands look beside a configuration in this folder, of which not all can be told another place.
  const state = join(folder, ".wrangler/state");
  const sink = new Sink(new Random(seed, "sink"), SINK_REFUSAL);
  const receiver = new Receiver();
  const world = await startWorld({ seed, services: [sink.service, receiver.service] });
  const tokens = serviceTokens(world.tokens);
  const secrets: Secrets = {
    SERVER_KEY: randomBytes(SECRET_BYTES).toString("base64"),
    KEYRING: JSON.stringify({ active: "k1", keys: { k1: newKey() } }),
    ROOT_API_KEY: randomBytes(SECRET_BYTES).toString("base64url"),
    DEV_HOSTS: JSON.stringify(world.names),
    SERVICE_TOKENS: JSON.stringify(serviceTokens(world.tokens, { inline: Object.keys(tokens) })),
    ISSUER_ORIGIN,
  };
  const given = new Set([
    ...[secrets["SERVER_KEY"] ?? "", secrets["ROOT_API_KEY"] ?? ""],
    ...Object.values((JSON.parse(secrets.KEYRING) as { keys: Record<string, string> }).keys),
    ...Object.values(world.tokens),
  ]);
  const main = "test/gameday/worker.ts";
  const next = await buildOf(TODAY, { name: NAME, main, folder: await inside(folder, "next") });
  const old = withOld ? await oldBuild(folder) : next;
  await migrateDatabase(old.config, state);
  const lines: string[] = [];
  const referee = createReferee(world.origin("referee.example"));
  const variables = join(folder, "variables.env");
  return {
    ...{ world, referee, sink, receiver, folder, state, secrets, given, lines, old, next },
    rootKey: secrets["ROOT_API_KEY"] ?? "",
    baseline: await baselineCommit(),
    migrate: async (build) => migrateUnderWay(build, state),
    start: async (build) => {
      await writeVariables(variables, secrets);
      const onLine = (line: string): void => void lines.push(line);
      const server = await startServer({ build, state, variables, onLine });
      await server.up;
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

/** The build that was released last, as it was tested then: without today's door to its database. */
async function oldBuild(folder: string): Promise<Build> {
  const sources = await buildBaseline();
  // The configuration names the migrations of its sources: they stay until the stage is closed.
  process.once("exit", () => void sources.remove());
  return buildOf(sources, { name: NAME, main: "test/crash/worker.ts", folder: await inside(folder, "old") });
}

async function inside(folder: string, name: string): Promise<string> {
  return mkdtemp(join(folder, `${name}-`));
}

export function newKey(): string {
  return randomBytes(SECRET_BYTES).toString("base64");
}

export { REPOSITORY };

/**
 * While a server answers on the same database. Locally these are two processes on one file, which each can find locked (D1 itself has one
 * writer, and lets others wait): each migration is one transaction, and those that are applied are passed over.
 */
async function migrateUnderWay(build: Build, state: string): Promise<void> {
  for (let tries = 1; ; tries++)
    try {
      await migrateDatabase(build.config, state);
      return;
    } catch (error) {
      if (tries >= MIGRATION_TRIES || !String(error).includes("SQLITE_BUSY")) throw error;
    }
}
