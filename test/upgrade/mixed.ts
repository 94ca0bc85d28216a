/**
 * Two builds of the Worker as one deployment: which of them answers requests, and which of them each class of object runs, is
 * chosen for each life. All share one storage on disk and one database, as a deployment does while an upgrade goes on.
 *
 * - X1 storage stands under the names that `wrangler dev` gives it for one Worker, so any life can follow any other, mixed or not.
 * - X2 both builds are given the same variables and secrets.
 * - X3 a class that the old build does not have runs in the new one, and the old one is not bound to it.
 */
import { createRequire } from "node:module";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { unstable_splitSqlQuery as splitSql } from "wrangler";
import type { Build } from "../dev-server/index.ts";

export type Side = "old" | "new";

/** Every class of objects, by its binding. */
export const CLASSES = {
  RUN: "RunObject",
  DIRECTORY: "DirectoryObject",
  CONNECTION: "ConnectionObject",
  ISSUER: "IssuerObject",
  CREDENTIAL: "CredentialObject",
  FLOW: "FlowObject",
  HOOK: "HookObject",
  SCHEDULE: "ScheduleObject",
  ENDPOINT: "EndpointObject",
  EVENTS: "EventsObject",
  QUOTA: "QuotaObject",
} as const;
export type Binding = keyof typeof CLASSES;
export const BINDINGS = Object.keys(CLASSES) as Binding[];

/** Who runs what. */
export interface Mix {
  /** Answers requests and the clock. */
  readonly worker: Side;
  readonly objects: Side | ((binding: Binding) => Side);
}

export interface MixedOptions {
  readonly builds: Readonly<Record<Side, Build>>;
  readonly mix: Mix;
  /** Where storage stands on disk. */
  readonly state: string;
  readonly variables: Readonly<Record<string, string>>;
  /** Applied before anything runs, as a deploy does; those that are there already are passed over. */
  readonly migrations: string;
  readonly onLine?: (line: string) => void;
}

export interface Life {
  readonly url: string;
  /** Ends the life: everything that was not stored is lost. */
  end(): Promise<void>;
}

/** The name under which the storage of a deployment stands on disk. */
export const DEPLOYMENT = "showcaller";

export async function startMixed(options: MixedOptions): Promise<Life> {
  const { mix, onLine, builds } = options;
  const known = { old: await bindingsOf(builds.old), new: await bindingsOf(builds.new) };
  // X3.
  const sideOf = (binding: Binding): Side => {
    const wanted = typeof mix.objects === "string" ? mix.objects : mix.objects(binding);
    return known[wanted].has(binding) ? wanted : "new";
  };
  const other: Side = mix.worker === "old" ? "new" : "old";
  // The first Worker is the one that is asked.
  const workers = await Promise.all(
    [mix.worker, other].map((side) => workerOf(side, known[side], sideOf, options)),
  );
  const miniflare = new platform.Miniflare(
    platform.convertV4MiniflareOptions({
      host: "127.0.0.1",
      port: 0,
      resourcePersistencePath: join(options.state, "v3"),
      unsafeTriggerHandlers: true,
      handleRuntimeStdio: (...streams: readonly NodeJS.ReadableStream[]) => {
        for (const stream of streams) stream.on("data", (chunk: Buffer) => onLine?.(chunk.toString("utf8")));
      },
      handleStructuredLogs: ({ message }: { readonly message: string }) => onLine?.(`${message}\n`),
      workers,
    }),
  );
  try {
    await migrate(await miniflare.getD1Database("DB"), options.migrations);
    const url = await miniflare.ready;
    return { url: url.origin, end: async () => miniflare.dispose() };
  } catch (error) {
    await miniflare.dispose();
    throw error;
  }
}

async function bindingsOf({ config }: Build): Promise<ReadonlySet<string>> {
  const settings = JSON.parse(await readFile(config, "utf8")) as {
    readonly durable_objects: { readonly bindings: readonly { readonly name: string }[] };
  };
  return new Set(settings.durable_objects.bindings.map(({ name }) => name));
}

async function workerOf(
  side: Side,
  known: ReadonlySet<string>,
  sideOf: (binding: Binding) => Side,
  { builds, variables }: MixedOptions,
): Promise<object> {
  const { config, script } = builds[side];
  const settings = JSON.parse(await readFile(config, "utf8")) as {
    readonly compatibility_date: string;
    readonly compatibility_flags: readonly string[];
  };
  return {
    name: side,
    modules: [{ type: "ESModule", path: "worker.js", contents: await readFile(script, "utf8") }],
    compatibilityDate: settings.compatibility_date,
    compatibilityFlags: settings.compatibility_flags,
    bindings: { ...variables, VERSION: { id: side, tag: "", timestamp: "" } },
    d1Databases: { DB: DEPLOYMENT },
    durableObjects: Object.fromEntries(
      BINDINGS.filter((binding) => known.has(binding)).map((binding) => {
        const className = CLASSES[binding];
        const at = sideOf(binding);
        return [
          binding,
          {
            className,
            useSQLite: true,
            unsafeUniqueKey: `${DEPLOYMENT}-${className}`,
            ...(at === side ? {} : { scriptName: at }),
          },
        ];
      }),
    ),
  };
}

interface Statement {
  bind(...values: unknown[]): Statement;
  run(): Promise<unknown>;
  all(): Promise<{ results: unknown[] }>;
}
interface Database {
  prepare(sql: string): Statement;
}

/** As `wrangler d1 migrations apply` does. */
async function migrate(database: Database, folder: string): Promise<void> {
  await database
    .prepare(
      "CREATE TABLE IF NOT EXISTS d1_migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL)",
    )
    .run();
  const { results } = await database.prepare("SELECT name FROM d1_migrations").all();
  const applied = new Set((results as { name: string }[]).map(({ name }) => name));
  const files = (await readdir(folder)).filter((name) => name.endsWith(".sql")).toSorted();
  for (const name of files) {
    if (applied.has(name)) continue;
    for (const statement of splitSql(await readFile(join(folder, name), "utf8")))
      await database.prepare(statement).run();
    await database.prepare("INSERT INTO d1_migrations (name) VALUES (?)").bind(name).run();
  }
}

/** The platform as wrangler brings it along: it is wrangler's package, and no other version may stand beside it. */
const platform = createRequire(createRequire(import.meta.url).resolve("wrangler"))("miniflare") as {
  readonly Miniflare: new (options: unknown) => {
    readonly ready: Promise<URL>;
    getD1Database(binding: string): Promise<Database>;
    dispose(): Promise<void>;
  };
  convertV4MiniflareOptions(options: object): unknown;
};
