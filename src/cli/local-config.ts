/**
 * The wrangler configuration of the local start: that of the project, but as a development build, with every secret
 * read from a file. Secrets given as `--var` would stand in the list of processes for every user of the machine.
 */
import { resolve } from "node:path";
import { parse } from "smol-toml";
import { complain, fine, reasonOf, type Outcome } from "./complaint.ts";

/** What the Worker is told: wrangler reads only these names from its file of secrets. */
export interface LocalVars {
  readonly SERVER_KEY: string;
  /** Keys of the vault, as JSON. */
  readonly KEYRING: string;
  readonly ROOT_API_KEY: string;
  /** JSON object from DNS name to loopback port. */
  readonly DEV_HOSTS: string;
  /** JSON object from name to `{ hosts, token }`. */
  readonly SERVICE_TOKENS: string;
  /** Of identity tokens: a name that the world resolves to this server. */
  readonly ISSUER_ORIGIN: string;
}

/** Folder of the migrations, in the project's. */
export const MIGRATIONS = "migrations";

const NAMES = [
  "SERVER_KEY",
  "KEYRING",
  "ROOT_API_KEY",
  "DEV_HOSTS",
  "SERVICE_TOKENS",
  "ISSUER_ORIGIN",
] as const satisfies readonly (keyof LocalVars)[];

/**
 * @param toml text of the project's `wrangler.toml`
 * @param root the project's folder, to which paths in it are relative
 */
export function localConfig(toml: string, root: string): Outcome<Record<string, unknown>> {
  let config: Record<string, unknown>;
  try {
    config = parse(toml);
  } catch (error) {
    return complain(`wrangler.toml cannot be read: ${reasonOf(error)}`, "Correct the file.");
  }
  const { main, define, d1_databases: databases } = config;
  if (typeof main !== "string" || !isTable(define) || !Array.isArray(databases)) {
    return complain(
      "wrangler.toml does not have the `main`, `[define]` and `[[d1_databases]]` that a start needs.",
      "Bring them back: `git diff wrangler.toml` shows what changed.",
    );
  }
  return fine({
    ...config,
    main: resolve(root, main),
    define: { ...define, DEVELOPMENT: "true" },
    d1_databases: databases.filter(isTable).map((database) => ({
      ...database,
      migrations_dir: resolve(root, MIGRATIONS),
    })),
    secrets: { required: NAMES },
  });
}

/**
 * The file of secrets in dotenv form. Nothing is escaped inside single quotes, so a value must not have one itself; ours are
 * base64url and JSON of such, and a token that somebody brings along is refused.
 */
export function secretsFile(vars: LocalVars): string {
  return NAMES.map((name) => {
    const value = vars[name];
    if (/['\r\n]/.test(value)) throw new TypeError(`${name} has a quote or a line break in it.`);
    return `${name}='${value}'\n`;
  }).join("");
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
