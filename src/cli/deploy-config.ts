/**
 * The wrangler configuration of one environment: `wrangler.toml`, and over it the little in which environments differ. It is
 * made anew for every command, so that it cannot drift from the file (docs/decisions/environments.md). Pure but for `write`.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parse } from "smol-toml";
import { fine, reasonOf, refuse, type Outcome } from "./complaint.ts";
import { publicOriginOf, type Settings } from "./deploy-settings.ts";
import { MIGRATIONS } from "./local-config.ts";

/** What `wrangler.toml` says of itself. */
export interface Project {
  readonly config: Readonly<Record<string, unknown>>;
  readonly name: string;
  readonly database: Readonly<Record<string, unknown>>;
  readonly vars: Readonly<Record<string, string>>;
  /** Names of the secrets without which it is not deployed. */
  readonly required: readonly string[];
}

/** Not `.wrangler/deploy`: there wrangler looks for a file of its own. */
const FOLDER = ".wrangler/environments";

export function readProject(root: string): Outcome<Project> {
  const todo = "Bring it back: `git diff wrangler.toml` shows what changed.";
  try {
    const config: Record<string, unknown> = parse(readFileSync(join(root, "wrangler.toml"), "utf8"));
    const { name, main, d1_databases: databases, vars = {}, secrets, env } = config;
    const database = Array.isArray(databases) ? (databases as unknown[]).find(isDatabase) : undefined;
    const required = isTable(secrets) ? secrets["required"] : undefined;
    if (
      typeof name !== "string" ||
      typeof main !== "string" ||
      database === undefined ||
      !Array.isArray(required)
    )
      return refuse(
        "config_incomplete",
        "wrangler.toml lacks its `name`, `main`, `[secrets] required`, or the D1 database that is bound as DB.",
        todo,
      );
    if (env !== undefined)
      return refuse(
        "config_environments",
        "wrangler.toml has [env.*] sections. Environments stand in deploy/<environment>.json here.",
        "Take the sections out: docs/deploy.md#environments says why.",
      );
    return fine({
      config,
      name,
      database,
      vars: isTable(vars)
        ? Object.fromEntries(Object.entries(vars).map(([key, value]) => [key, String(value)]))
        : {},
      required: required.map(String),
    });
  } catch (error) {
    return refuse("config_incomplete", `wrangler.toml cannot be read: ${reasonOf(error)}`, todo);
  }
}

/** The variables that say who and where a deployment is. Missing ones are not known yet. */
export interface Identity {
  readonly issuer?: string;
  readonly publicOrigin?: string;
  readonly ownHosts: readonly string[];
}

export function identityOf(settings: Settings): Identity {
  const publicOrigin = publicOriginOf(settings);
  const issuerHost = settings.issuer === undefined ? undefined : new URL(settings.issuer).hostname;
  const hosts = [settings.domain, hasWorkersDev(settings) ? settings.workers_dev : undefined, issuerHost];
  return {
    ...(settings.issuer === undefined ? {} : { issuer: settings.issuer }),
    ...(publicOrigin === undefined ? {} : { publicOrigin }),
    ownHosts: [...new Set(hosts.filter((host) => host !== undefined))],
  };
}

/** The variables as the Worker reads them (src/env.d.ts). */
export function varsOf({ issuer, publicOrigin, ownHosts }: Identity): Record<string, string> {
  return {
    ...(issuer === undefined ? {} : { ISSUER_ORIGIN: issuer }),
    ...(publicOrigin === undefined ? {} : { PUBLIC_ORIGIN: publicOrigin }),
    ...(ownHosts.length === 0 ? {} : { OWN_HOSTS: ownHosts.join(",") }),
  };
}

/** @param root the project's folder, to which paths in the configuration are relative */
export function environmentConfig(
  project: Project,
  settings: Settings,
  root: string,
): Record<string, unknown> {
  const routes = routesOf(settings);
  return {
    ...based(project, root, { database_name: settings.database, database_id: settings.database_id }),
    name: settings.name,
    account_id: settings.account,
    vars: {
      ...project.vars,
      ...settings.vars,
      ENVIRONMENT: settings.environment,
      ...varsOf(identityOf(settings)),
    },
    // Said aloud: with routes, wrangler would switch it off, and an issuer may live there.
    workers_dev: hasWorkersDev(settings),
    // A preview would be another version on the same data, under a host name that no step is kept from calling.
    preview_urls: false,
    ...(routes.length === 0 ? {} : { routes }),
  };
}

/** For a project without settings: as the deploy button leaves it, everything is in `wrangler.toml`. */
export function plainConfig(
  project: Project,
  vars: Readonly<Record<string, string>>,
  databaseId: string | undefined,
  root: string,
): Record<string, unknown> {
  const known = project.database["database_id"] ?? databaseId;
  return { ...based(project, root, { database_id: known }), vars: { ...project.vars, ...vars } };
}

/** Where the configuration stands that was written. */
export function writeConfig(root: string, environment: string, config: Record<string, unknown>): string {
  const folder = join(root, FOLDER);
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${environment}.json`);
  writeFileSync(path, `${JSON.stringify(config, null, 2)}\n`);
  return path;
}

function based(
  { config, database }: Project,
  root: string,
  change: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const rest = (config["d1_databases"] as readonly unknown[]).filter((one) => one !== database);
  const bound = { ...database, ...change, migrations_dir: resolve(root, MIGRATIONS) };
  return { ...config, main: resolve(root, String(config["main"])), d1_databases: [bound, ...rest] };
}

function hasWorkersDev({ domain, issuer }: Settings): boolean {
  return domain === undefined || (issuer !== undefined && new URL(issuer).hostname.endsWith(".workers.dev"));
}

/** Every host name that must lead to the Worker, and is not given by workers.dev. */
function routesOf({ domain, issuer }: Settings): readonly { pattern: string; custom_domain: true }[] {
  const issuerHost = issuer === undefined ? undefined : new URL(issuer).hostname;
  const hosts = [domain, issuerHost?.endsWith(".workers.dev") === true ? undefined : issuerHost];
  return [...new Set(hosts.filter((host) => host !== undefined))].map((pattern) => ({
    pattern,
    custom_domain: true,
  }));
}

function isDatabase(value: unknown): value is Readonly<Record<string, unknown>> {
  return isTable(value) && value["binding"] === "DB";
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
