/**
 * A Cloudflare account on disk, and wrangler as it speaks to it: what `npm run setup` and `npm run deploy` are tried on.
 *
 * - Every command line is checked against the real wrangler's own definitions (definitions.ts, command-line.ts); what does not fit fails.
 * - It answers in the words and the JSON of wrangler 4.155.0, and does what that does: a secret makes a Worker to hold it, a
 *   deploy without a required secret is refused, one without an account's subdomain as well.
 * - The n-th call can fail before it has had its effect, or after: the effect is there, and nobody hears of it.
 * - A secret is kept as a hash. Everything that it was given besides is kept as it is, to be searched.
 */
import { createHash, randomUUID } from "node:crypto";
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseCommandLine, type Definitions } from "./command-line.ts";

export interface StoredDatabase {
  readonly uuid: string;
  readonly name: string;
  readonly created_at: string;
  /** As options of `d1 create`. */
  readonly place: string;
  /** Of something else. */
  readonly tables: number;
  readonly migrations: readonly string[];
}

export interface StoredVersion {
  readonly id: string;
  readonly vars: Readonly<Record<string, string>>;
  readonly database: string | null;
  readonly domains: readonly string[];
  readonly workersDev: boolean;
  readonly codeUpdate: string | null;
}

export interface StoredWorker {
  /** SHA-256 of the value, by name. */
  readonly secrets: Readonly<Record<string, string>>;
  readonly versions: readonly StoredVersion[];
}

export interface Stored {
  readonly loggedIn: boolean;
  readonly accounts: readonly { readonly id: string; readonly name: string }[];
  readonly subdomain: string;
  readonly databases: readonly StoredDatabase[];
  readonly workers: Readonly<Record<string, StoredWorker>>;
  /** Calls left until one fails; null: none does. */
  readonly failAfter: number | null;
  readonly failHow: "before" | "after";
  /** A migration that cannot be applied. */
  readonly badMigration: string | null;
}

export interface Answered {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly report: string;
}

export const ACCOUNT = "0123456789abcdef0123456789abcdef";
const FAILED =
  "✘ [ERROR] A request to the Cloudflare API (/accounts) failed.\n\n  Internal error [code: 10013]\n";

export function emptyAccount(): Stored {
  return {
    ...{ loggedIn: true, accounts: [{ id: ACCOUNT, name: "Acme" }], subdomain: "acme" },
    ...{ databases: [], workers: {}, failAfter: null, failHow: "before", badMigration: null },
  };
}

/** The files of an account. */
export class StandIn {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
    mkdirSync(folder, { recursive: true });
    if (!existsSync(join(folder, "account.json"))) this.write(emptyAccount());
  }

  read(): Stored {
    return JSON.parse(readFileSync(join(this.folder, "account.json"), "utf8")) as Stored;
  }

  write(stored: Stored): void {
    writeFileSync(join(this.folder, "account.json"), JSON.stringify(stored, null, 2));
  }

  change(what: Partial<Stored>): void {
    this.write({ ...this.read(), ...what });
  }

  /** Command lines so far. */
  calls(): readonly (readonly string[])[] {
    const path = join(this.folder, "calls.jsonl");
    if (!existsSync(path)) return [];
    const lines = readFileSync(path, "utf8")
      .split("\n")
      .filter((line) => line !== "");
    return lines.map((line) => JSON.parse(line) as readonly string[]);
  }

  define(definitions: Definitions): void {
    writeFileSync(join(this.folder, "definitions.json"), JSON.stringify(definitions));
  }

  answer(args: readonly string[], input: string): Answered {
    appendFileSync(join(this.folder, "calls.jsonl"), `${JSON.stringify(args)}\n`);
    const definitions = JSON.parse(
      readFileSync(join(this.folder, "definitions.json"), "utf8"),
    ) as Definitions;
    const parsed = parseCommandLine(definitions, args);
    if (typeof parsed === "string") return error(parsed);
    const { failAfter, failHow, loggedIn } = this.read();
    if (failAfter !== null) this.change({ failAfter: failAfter - 1 });
    if (failAfter === 0 && failHow === "before") return { ...error(""), stderr: FAILED };
    const answered =
      loggedIn || parsed.values["dry-run"] === true
        ? this.#do(parsed.command, parsed.values, input)
        : parsed.command === "whoami"
          ? { ...error(""), stdout: '{\n  "loggedIn": false\n}\n' }
          : error(
              "In a non-interactive environment, it's necessary to set a CLOUDFLARE_API_TOKEN environment variable for wrangler to work.",
            );
    return failAfter === 0 ? { exitCode: 1, stdout: "", stderr: FAILED, report: "" } : answered;
  }

  #do(command: string, values: Readonly<Record<string, string | true>>, input: string): Answered {
    const stored = this.read();
    if (command === "whoami")
      return json({
        loggedIn: true,
        authType: "OAuth Token",
        email: "ada@acme.example",
        accounts: stored.accounts,
        tokenPermissions: ["account:read"],
      });
    const config = JSON.parse(readFileSync(String(values["config"]), "utf8")) as Config;
    if (values["dry-run"] === true) return done("--dry-run: exiting now.\n");
    if (
      !stored.accounts.some(({ id }) => id === config.account_id) &&
      (config.account_id !== undefined || stored.accounts.length > 1)
    )
      return error("More than one account available but unable to select one in non-interactive mode.");
    const worker = stored.workers[config.name];
    switch (command) {
      case "d1 list":
        return json(
          stored.databases.map(({ uuid, name, created_at }) => ({
            uuid,
            name,
            version: "production",
            created_at,
          })),
        );
      case "d1 create":
        return this.#create(String(values["name"]), values);
      case "d1 execute": {
        const found = stored.databases.find(({ uuid }) => uuid === config.d1_databases[0]?.database_id);
        if (found === undefined) return error("Couldn't find DB");
        const n = found.tables + (found.migrations.length > 0 ? 2 : 0);
        return json([{ results: [{ n }], success: true, meta: { duration: 0.2 } }]);
      }
      case "d1 migrations apply":
        return this.#migrate(config);
      case "secret list":
        if (worker === undefined)
          return error(
            `Worker "${config.name}" not found.\n\nIf this is a new Worker, run \`wrangler deploy\` first to create it.\nOtherwise, check that the Worker name is correct and you're logged into the right account.`,
          );
        return json(Object.keys(worker.secrets).map((name) => ({ name, type: "secret_text" })));
      case "secret bulk":
        return this.#put(config.name, JSON.parse(input) as Readonly<Record<string, string>>);
      case "deployments status": {
        const last = worker?.versions.at(-1);
        if (last === undefined) return error(`The Worker ${config.name} has no deployments.`);
        return json({
          id: randomUUID(),
          source: "wrangler",
          strategy: "percentage",
          versions: [{ version_id: last.id, percentage: 100 }],
        });
      }
      case "versions view": {
        const version = worker?.versions.find(({ id }) => id === values["version-id"]);
        if (version === undefined) return error("No such version [code: 10007]");
        const vars = Object.entries(version.vars).map(([name, text]) => ({ type: "plain_text", name, text }));
        const secrets = Object.keys(worker?.secrets ?? {}).map((name) => ({ type: "secret_text", name }));
        const bound =
          version.database === null
            ? []
            : [{ type: "d1", name: "DB", id: version.database, database_id: version.database }];
        return json({
          id: version.id,
          number: 1,
          metadata: {},
          resources: { bindings: [...vars, ...secrets, ...bound], script: {}, script_runtime: {} },
        });
      }
      default:
        return this.#deploy(config, values);
    }
  }

  #create(name: string, values: Readonly<Record<string, string | true>>): Answered {
    const { databases } = this.read();
    if (databases.some((one) => one.name === name)) return error("A database with that name already exists");
    const place = ["jurisdiction", "location"].flatMap((key) =>
      key in values ? [`${key}:${String(values[key])}`] : [],
    );
    const made = {
      uuid: randomUUID(),
      name,
      created_at: new Date().toISOString(),
      place: place.join(),
      tables: 0,
      migrations: [],
    };
    this.change({ databases: [...databases, made] });
    return done(`✅ Successfully created DB '${name}'\nCreated your new D1 database.\n`);
  }

  #put(name: string, values: Readonly<Record<string, string>>): Answered {
    const { workers } = this.read();
    const draft: StoredVersion = {
      id: randomUUID(),
      vars: {},
      database: null,
      domains: [],
      workersDev: false,
      codeUpdate: null,
    };
    const worker = workers[name] ?? { secrets: {}, versions: [draft] };
    const hashes = Object.entries(values).map(([key, value]) => [key, hashOf(value)] as const);
    this.change({
      workers: {
        ...workers,
        [name]: { ...worker, secrets: { ...worker.secrets, ...Object.fromEntries(hashes) } },
      },
    });
    return done(hashes.map(([key]) => `✨ Successfully created secret for key: ${key}\n`).join(""));
  }

  #migrate(config: Config): Answered {
    const stored = this.read();
    const [bound] = config.d1_databases;
    const database = stored.databases.find(({ uuid }) => uuid === bound?.database_id);
    if (bound?.binding !== "DB" || database === undefined)
      return error("Couldn't find a D1 DB with the name or binding 'DB'");
    const applied = [...database.migrations];
    const put = (): void =>
      this.change({
        databases: stored.databases.map((one) => (one === database ? { ...one, migrations: applied } : one)),
      });
    for (const file of readdirSync(bound.migrations_dir)
      .filter((one) => one.endsWith(".sql"))
      .sort()) {
      if (applied.includes(file)) continue;
      if (file === stored.badMigration) {
        put();
        return error(
          `Migration ${file} failed with the following errors:\nno such table: nothing: SQLITE_ERROR`,
        );
      }
      applied.push(file);
    }
    put();
    return done(
      applied.length === database.migrations.length
        ? "✅ No migrations to apply!\n"
        : "Migrations to be applied:\n",
    );
  }

  #deploy(config: Config, values: Readonly<Record<string, string | true>>): Answered {
    const { workers, databases, subdomain } = this.read();
    const worker = workers[config.name];
    const missing = config.secrets.required.filter((name) => worker?.secrets[name] === undefined);
    if (missing.length > 0)
      return error(`The following required secrets have not been set: ${missing.join(", ")}`);
    const [bound] = config.d1_databases;
    if (!databases.some(({ uuid }) => uuid === bound?.database_id))
      return error("binding DB of type d1 must have a valid `id` specified [code: 10021]");
    if (!existsSync(config.main)) return error(`The entry-point file at "${config.main}" was not found.`);
    const domains = (config.routes ?? []).map(({ pattern }) => pattern);
    const workersDev = config.workers_dev ?? domains.length === 0;
    const mode = values["durable-objects-code-update-mode"];
    const made: StoredVersion = {
      id: randomUUID(),
      ...{ vars: config.vars ?? {}, database: bound?.database_id ?? null, domains, workersDev },
      codeUpdate: typeof mode === "string" ? mode : null,
    };
    const next = { secrets: worker?.secrets ?? {}, versions: [...(worker?.versions ?? []), made] };
    this.change({ workers: { ...workers, [config.name]: next } });
    const own = workersDev ? [`https://${config.name}.${subdomain}.workers.dev`] : [];
    const targets = [...own, ...domains.map((host) => `${host} (custom domain)`), "schedule: */5 * * * *"];
    const told = [
      { type: "wrangler-session", version: 1, wrangler_version: "4.155.0" },
      { type: "deploy", version: 1, worker_name: config.name, version_id: made.id, targets },
    ];
    return {
      ...done(`Uploaded ${config.name}\n`),
      report: `${told.map((one) => JSON.stringify(one)).join("\n")}\n`,
    };
  }
}

interface Config {
  readonly name: string;
  readonly main: string;
  readonly account_id?: string;
  readonly vars?: Readonly<Record<string, string>>;
  readonly routes?: readonly { readonly pattern: string; readonly custom_domain: boolean }[];
  readonly workers_dev?: boolean;
  readonly secrets: { readonly required: readonly string[] };
  readonly d1_databases: readonly {
    readonly binding: string;
    readonly database_id?: string;
    readonly migrations_dir: string;
  }[];
}

export function hashOf(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}

function done(stdout: string): Answered {
  return { exitCode: 0, stdout, stderr: "", report: "" };
}

function json(value: unknown): Answered {
  return done(`${JSON.stringify(value, null, 2)}\n`);
}

function error(text: string): Answered {
  return { exitCode: 1, stdout: "", stderr: `✘ [ERROR] ${text}\n`, report: "" };
}
