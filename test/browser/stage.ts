/** What the tests in a browser stand on: the product's own Worker under `wrangler dev`, the world, and a tenant with two keys. */
import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { parse } from "smol-toml";
import {
  build,
  migrateDatabase,
  REPOSITORY,
  startServer,
  writeVariables,
  type Server,
} from "../dev-server/index.ts";
import { Given } from "../dev-server/given.ts";
import { serviceTokens, startWorld, type World } from "../world/index.ts";

const SECRET_BYTES = 32;
/** How long a statement waits for the Worker's own. */
const BUSY_MS = 5_000;
const TENANT = "corp";

export interface Stage {
  readonly world: World;
  /** `http://127.0.0.1:PORT` of the Worker: browsers take loopback for a secure context, as if it were https. */
  readonly url: string;
  /** Starts runs. */
  readonly starter: string;
  /** Makes links to approvals, and is not the starter. */
  readonly approver: string;
  /** One call of the API; the parsed answer. Throws if the status is not a good one. */
  call<T>(key: string, method: string, path: string, body?: unknown, headers?: Headers): Promise<T>;
  /** One statement on the Worker's database, behind its back: for time that passes, and for a database that fails. */
  sql(text: string, ...values: readonly (string | number)[]): Promise<void>;
  /** Rejects if a secret that was given out stands in what the server said. */
  close(): Promise<void>;
}

export async function setStage(): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), "showcaller-browser-"));
  const world = await startWorld();
  let server: Server | null = null;
  const given = new Given();
  const lines: string[] = [];
  const close = async (): Promise<void> => {
    await server?.kill();
    given.addWorld(world);
    await world.close();
    await rm(folder, { recursive: true, force: true });
    given.mustNotStandIn(lines);
  };
  try {
    const config = join(folder, "wrangler.json");
    await writeFile(config, JSON.stringify(await developmentConfig()));
    const state = join(folder, "state");
    const [built] = await Promise.all([
      build(config, join(folder, "bundle")),
      migrateDatabase(config, state),
    ]);
    const rootKey = randomBytes(SECRET_BYTES).toString("base64url");
    const variables = join(folder, "variables.env");
    const values = {
      SERVER_KEY: randomBytes(SECRET_BYTES).toString("base64"),
      KEYRING: JSON.stringify({ active: "k1", keys: { k1: randomBytes(SECRET_BYTES).toString("base64") } }),
      ROOT_API_KEY: rootKey,
      DEV_HOSTS: JSON.stringify(world.names),
      SERVICE_TOKENS: JSON.stringify(serviceTokens(world.tokens, { inline: ["SKYLINE_TOKEN"] })),
    };
    given.addVariables(values);
    await writeVariables(variables, values);
    server = await startServer({ build: built, state, variables, onLine: (line) => lines.push(line) });
    await server.up;
    const { url } = server;
    const call: Stage["call"] = async <T>(
      ...[key, method, path, body, headers]: Parameters<Stage["call"]>
    ) => {
      const answer = await ask<T>(`${url}${path}`, key, method, body, headers);
      given.addFrom(body);
      given.addFrom(answer);
      return answer;
    };
    await call(rootKey, "POST", "/v1/tenants", { id: TENANT });
    const newKey = async (maker: string, path: string, body: unknown): Promise<string> =>
      (await call<{ key: string }>(maker, "POST", path, body)).key;
    const admin = await newKey(rootKey, `/v1/tenants/${TENANT}/keys`, { name: "admin" });
    const starter = await newKey(admin, "/v1/keys", { name: "agent", scopes: ["*"] });
    const scopes = ["runs:read", "outputs:read", "approvals:decide"];
    const approver = await newKey(admin, "/v1/keys", { name: "backend", scopes });
    return { world, url, starter, approver, call, sql: onDatabase(state), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** wrangler keeps a database as one file of SQLite. */
function onDatabase(state: string): Stage["sql"] {
  const folder = join(state, "v3/d1/miniflare-D1DatabaseObject");
  return async (text, ...values) => {
    const [file, ...more] = (await readdir(folder)).filter((name) => /^[0-9a-f]+\.sqlite$/.test(name));
    if (file === undefined || more.length > 0) throw new Error(`there is not one database in ${folder}`);
    using database = new DatabaseSync(join(folder, file), { timeout: BUSY_MS });
    database.prepare(text).run(...values);
  };
}

async function ask<T>(
  url: string,
  key: string,
  method: string,
  body: unknown,
  headers = new Headers(),
): Promise<T> {
  headers.set("authorization", `Bearer ${key}`);
  headers.set("content-type", "application/json");
  const answer = await fetch(url, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${url}: ${answer.status} ${text}`);
  return JSON.parse(text) as T;
}

/** The product's own configuration, but for development, and with every value read from one file. */
async function developmentConfig(): Promise<Record<string, unknown>> {
  const { secrets: _secrets, ...config } = parse(await readFile(join(REPOSITORY, "wrangler.toml"), "utf8"));
  const databases = config["d1_databases"];
  if (!Array.isArray(databases)) throw new Error("wrangler.toml has no database");
  return {
    ...config,
    name: "showcaller-browser",
    main: join(REPOSITORY, "src/worker.ts"),
    define: { CRASH_POINTS: "false", DEVELOPMENT: "true" },
    d1_databases: databases.map((database) => ({
      ...(database as Record<string, unknown>),
      migrations_dir: join(REPOSITORY, "migrations"),
    })),
  };
}
