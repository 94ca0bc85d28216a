/**
 * What a Cloudflare account has and gets, asked of wrangler command by command.
 *
 * - A1 that something is not there is concluded only from an answer that says so, never from a failure: what is believed to
 *   be missing gets made, and a second SERVER_KEY would do harm.
 * - A2 every command but `whoami` is given the configuration, and so the Worker's name, the account and the database.
 */
import { fine, refuse, type Outcome } from "./complaint.ts";
import { failureOf, jsonOf, wordsOf, type Ran, type RunWrangler } from "./wrangler.ts";

const AGAIN = "Run this again: what is there is kept, and it goes on where it stopped.";

/** Whoever runs this, as Cloudflare knows them. */
export interface Login {
  readonly accounts: readonly { readonly id: string; readonly name: string }[];
}

export interface Database {
  readonly id: string;
  readonly name: string;
  /** Milliseconds since 1970; NaN if the account does not tell. */
  readonly madeAt: number;
}

/** What runs now. */
export interface Deployed {
  readonly version: string;
  /** The variables of that version that are no secrets. */
  readonly vars: Readonly<Record<string, string>>;
  /** Id of the database that is bound as DB; null: none, as with a Worker that was only made to hold secrets. */
  readonly database: string | null;
}

/** What a deploy has made. */
export interface Released {
  readonly version: string;
  /** Host name under workers.dev; null if it has none. */
  readonly workersDev: string | null;
}

export class Account {
  readonly #run: RunWrangler;
  readonly #config: string;

  /** @param config path of the configuration that names the Worker */
  constructor(run: RunWrangler, config: string) {
    this.#run = run;
    this.#config = config;
  }

  async #ran(args: readonly string[], input?: string): Promise<Ran> {
    return this.#run([...args, "--config", this.#config], input);
  }

  async login(): Promise<Outcome<Login>> {
    const ran = await this.#run(["whoami", "--json"]);
    if (/"loggedIn":\s*false/.test(ran.stdout))
      return failureOf(
        { ...ran, stdout: "", stderr: "You are not authenticated." },
        "ask Cloudflare who this is",
        "not_logged_in",
        AGAIN,
      );
    if (ran.exitCode !== 0) return failureOf(ran, "ask Cloudflare who this is", "account_unreachable", AGAIN);
    const said = jsonOf(ran.stdout);
    if (!said.ok) return said;
    const { accounts } = said.value as Partial<Login>;
    return Array.isArray(accounts)
      ? fine({ accounts: accounts as Login["accounts"] })
      : unreadable("accounts");
  }

  async databases(): Promise<Outcome<readonly Database[]>> {
    const ran = await this.#ran(["d1", "list", "--json"]);
    if (ran.exitCode !== 0) return failureOf(ran, "list the D1 databases", "database_failed", AGAIN);
    const said = jsonOf(ran.stdout);
    if (!said.ok) return said;
    if (!Array.isArray(said.value)) return unreadable("databases");
    return fine(
      (said.value as readonly { uuid: string; name: string; created_at?: string }[]).map(
        ({ uuid, name, created_at: at }) => ({ id: uuid, name, madeAt: Date.parse(at ?? "") }),
      ),
    );
  }

  async createDatabase(name: string, place: readonly string[]): Promise<Outcome<null>> {
    const ran = await this.#ran(["d1", "create", name, ...place]);
    return ran.exitCode === 0
      ? fine(null)
      : failureOf(ran, `make the D1 database ${name}`, "database_failed", AGAIN);
  }

  /** How many tables the configuration's database has: none, if it is new. */
  async tables(): Promise<Outcome<number>> {
    const query =
      "SELECT count(*) AS n FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_cf_%'";
    const ran = await this.#ran(["d1", "execute", "DB", "--remote", "--yes", "--json", "--command", query]);
    if (ran.exitCode !== 0) return failureOf(ran, "look into the D1 database", "database_failed", AGAIN);
    const said = jsonOf(ran.stdout);
    if (!said.ok) return said;
    const n = (said.value as readonly { results?: readonly { n?: unknown }[] }[])[0]?.results?.[0]?.n;
    return typeof n === "number" ? fine(n) : unreadable("tables");
  }

  /** Names of the Worker's secrets; null: there is no such Worker. */
  async secrets(): Promise<Outcome<readonly string[] | null>> {
    const ran = await this.#ran(["secret", "list", "--format", "json"]);
    if (ran.exitCode !== 0) {
      // The exact words of the pinned wrangler, so that nothing else counts as "not there" (A1).
      if (/Worker "[^"]+"(?: \(env: [^)]*\))? not found\./.test(wordsOf(ran))) return fine(null);
      return failureOf(ran, "list the Worker's secrets", "secrets_unknown", AGAIN);
    }
    const said = jsonOf(ran.stdout);
    if (!said.ok) return said;
    if (!Array.isArray(said.value)) return unreadable("secrets");
    return fine((said.value as readonly { name: string }[]).map(({ name }) => name));
  }

  /** All at once or none. Makes a Worker to hold them, which answers nothing, where there is none. */
  async putSecrets(values: Readonly<Record<string, string>>): Promise<Outcome<null>> {
    const ran = await this.#ran(["secret", "bulk"], JSON.stringify(values));
    if (ran.exitCode === 0) return fine(null);
    return failureOf(ran, "set the secrets", "secrets_not_set", AGAIN, Object.values(values));
  }

  /** Of a Worker that is there; null: nothing was deployed. */
  async deployed(): Promise<Outcome<Deployed | null>> {
    const doing = "see what is deployed";
    const status = await this.#ran(["deployments", "status", "--json"]);
    if (status.exitCode !== 0)
      return / has no deployments\./.test(wordsOf(status))
        ? fine(null)
        : failureOf(status, doing, "deployed_unknown", AGAIN);
    const said = jsonOf(status.stdout);
    if (!said.ok) return said;
    const { versions = [] } = said.value as {
      versions?: readonly { readonly version_id: string; readonly percentage: number }[];
    };
    const [most] = [...versions].sort((a, b) => b.percentage - a.percentage);
    if (most === undefined) return fine(null);
    const view = await this.#ran(["versions", "view", most.version_id, "--json"]);
    if (view.exitCode !== 0) return failureOf(view, doing, "deployed_unknown", AGAIN);
    const seen = jsonOf(view.stdout);
    if (!seen.ok) return seen;
    const { resources } = seen.value as {
      resources?: { bindings?: readonly Readonly<Record<string, unknown>>[] };
    };
    const bindings = resources?.bindings;
    if (!Array.isArray(bindings)) return unreadable("bindings");
    return fine({
      version: most.version_id,
      ...boundBy(bindings as readonly Readonly<Record<string, unknown>>[]),
    });
  }

  /** Bundles, and uploads nothing. Needs no account. */
  async bundle(folder: string): Promise<Outcome<null>> {
    const ran = await this.#ran(["deploy", "--dry-run", "--outdir", folder]);
    return ran.exitCode === 0
      ? fine(null)
      : failureOf(ran, "bundle the Worker", "bundle_failed", "Mend what it says; nothing was changed.");
  }

  async migrate(): Promise<Outcome<null>> {
    const ran = await this.#ran(["d1", "migrations", "apply", "DB", "--remote"]);
    if (ran.exitCode === 0) return fine(null);
    const todo =
      "The code that runs is the one that ran before, and goes on with what was applied. Mend the migration, and run this again.";
    return failureOf(ran, "apply the migrations", "migration_failed", todo);
  }

  /** @param update `immediate` or `deferred <duration>`; null: as the platform does it */
  async release(update: string | null): Promise<Outcome<Released>> {
    const args = update === null ? [] : ["--durable-objects-code-update-mode", update];
    const ran = await this.#ran(["deploy", ...args]);
    const todo = "Migrations were applied, and the code that ran before goes on with them. Run this again.";
    if (ran.exitCode !== 0) return failureOf(ran, "deploy", "deploy_failed", todo);
    for (const line of ran.report.split("\n").filter((one) => one !== "")) {
      const told = JSON.parse(line) as { type?: string; version_id?: string; targets?: readonly string[] };
      if (told.type !== "deploy" || typeof told.version_id !== "string") continue;
      const hosts = (told.targets ?? []).map(
        (one) => /^https:\/\/([a-z0-9.-]+\.workers\.dev)$/.exec(one)?.[1],
      );
      return fine({ version: told.version_id, workersDev: hosts.find((host) => host !== undefined) ?? null });
    }
    return refuse(
      "deploy_unclear",
      "wrangler ended well, and did not say which version it deployed.",
      "See `npx wrangler deployments list`, and run this again.",
    );
  }
}

/** The host name that a version was told of, which the account cannot be asked for otherwise. */
export function hostUnderWorkersDev(deployed: Deployed | null): string | undefined {
  return deployed?.vars["OWN_HOSTS"]?.split(",").find((host) => host.endsWith(".workers.dev"));
}

function boundBy(bindings: readonly Readonly<Record<string, unknown>>[]): Omit<Deployed, "version"> {
  const vars: Record<string, string> = {};
  let database: string | null = null;
  for (const { type, name, text, id, database_id: other } of bindings) {
    if (type === "plain_text" && typeof name === "string" && typeof text === "string") vars[name] = text;
    const bound = id ?? other;
    if (type === "d1" && name === "DB" && typeof bound === "string") database = bound;
  }
  return { vars, database };
}

function unreadable(what: string): ReturnType<typeof refuse> {
  return refuse(
    "wrangler_unreadable",
    `wrangler's answer has no ${what} in it.`,
    "Use the wrangler of package.json (`npm ci`), and run this again.",
  );
}
