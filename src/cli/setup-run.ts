/**
 * What `npm run setup` does, in its order. Ports for the outside; `setup.ts` is the command.
 *
 * - U1 every step looks first and keeps what is there, so that the whole can be run again, and goes on where it stopped.
 * - U2 what is about to be made is written down before, so that what was made, and then not heard of, is known again.
 * - U3 the secrets come before the code: the Worker that holds them answers nothing, and no version of the code runs without.
 */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { Account, hostUnderWorkersDev, type Database, type Deployed, type Login } from "./account.ts";
import { fine, refuse, type Outcome } from "./complaint.ts";
import { environmentConfig, readProject, writeConfig, type Project } from "./deploy-config.ts";
import {
  checkApart,
  checkFixed,
  DEFAULT_ENVIRONMENT,
  FORMS,
  issuerRefusal,
  publicOriginOf,
  readSettings,
  settingsPath,
  writeSettings,
  type Settings,
} from "./deploy-settings.ts";
import type { SetupOptions } from "./setup-options.ts";
import { makeSecrets, SECRETS } from "./setup-secrets.ts";
import type { RunWrangler } from "./wrangler.ts";

export interface SetupPorts {
  /** The project's folder. */
  readonly root: string;
  readonly run: RunWrangler;
  readonly now: () => Date;
  readonly say: (text: string) => void;
  /** Null: there is nobody to ask, or nothing shall be asked. An empty answer takes what is proposed. */
  readonly ask:
    | ((question: string, proposed: string, fits: (text: string) => boolean) => Promise<string>)
    | null;
  /** Whether what is said is seen by a person, and kept by no log. */
  readonly seen: boolean;
}

/** How far the clocks of this machine and of Cloudflare may be apart. */
const CLOCKS_MS = 5 * 60_000;

export async function runSetup(options: SetupOptions, ports: SetupPorts): Promise<Outcome<Settings>> {
  const { root, say } = ports;
  const project = readProject(root);
  if (!project.ok) return project;
  const before = readSettings(root, options.env);
  if (!before.ok) return before;

  // Whose account: everything else is asked of it.
  const login = await new Account(ports.run, "").login();
  if (!login.ok) return login;
  const account = await accountOf(options, before.value, login.value, ports);
  if (!account.ok) return account;

  const asked = await settingsOf(options, before.value, account.value, project.value, ports);
  const path = settingsPath(options.env);
  if (before.value !== null) {
    const fixed = checkFixed(before.value, asked, path);
    if (!fixed.ok) return fixed;
  }
  const apart = checkApart(root, options.env, asked);
  if (!apart.ok) return apart;

  // What is there already. The configuration names the Worker, so it has to be written to ask.
  const config = writeConfig(root, options.env, environmentConfig(project.value, asked, root));
  const target = new Account(ports.run, config);
  const secrets = await target.secrets();
  if (!secrets.ok) return secrets;
  const deployed = secrets.value === null ? fine(null) : await target.deployed();
  if (!deployed.ok) return deployed;
  const settled = withIssuer(asked, before.value, deployed.value, options, project.value);
  if (!settled.ok) return settled;

  writeSettings(root, options.env, settled.value);
  say(`settings    ${path}: Worker ${settled.value.name}, account ${settled.value.account}`);

  const bound = await withDatabase(settled.value, deployed.value, options, project.value, ports);
  if (!bound.ok) return bound;
  const done = await withSecrets(bound.value, secrets.value ?? [], options, project.value, ports);
  if (!done.ok) return done;
  const { issuer } = done.value;
  say(`address     ${publicOriginOf(done.value) ?? "under workers.dev: the first deploy tells it"}`);
  say(`issuer      ${issuer ?? "that first address"}, for ever`);
  return done;
}

async function accountOf(
  options: SetupOptions,
  before: Settings | null,
  { accounts }: Login,
  { ask }: SetupPorts,
): Promise<Outcome<string>> {
  const wanted = options.account ?? before?.account;
  const named = `The login can reach: ${accounts.map(({ id, name }) => `${id} (${name})`).join(", ") || "none"}.`;
  if (wanted !== undefined) {
    // A token may be allowed to work on an account without being allowed to list it.
    if (accounts.length === 0 || accounts.some(({ id }) => id === wanted)) return fine(wanted);
    return refuse(
      "account_foreign",
      `This login does not reach the account ${wanted}. ${named}`,
      "Log in as somebody who does: `npx wrangler login`.",
    );
  }
  const [only] = accounts;
  if (accounts.length === 1 && only !== undefined) return fine(only.id);
  if (ask !== null && only !== undefined) {
    const fits = (text: string): boolean => accounts.some(({ id }) => id === text);
    return fine(await ask(`Which account? ${named}`, only.id, fits));
  }
  return refuse("account_unclear", `Which account is meant? ${named}`, "Say it with --account ID.");
}

/** What was known, what the options say, what a person answers, and defaults: in this order of weight from behind. */
async function settingsOf(
  options: SetupOptions,
  before: Settings | null,
  account: string,
  project: Project,
  { ask, now }: SetupPorts,
): Promise<Settings> {
  const plain = options.env === DEFAULT_ENVIRONMENT ? project.name : `${project.name}-${options.env}`;
  const fresh = before === null && ask !== null;
  const name =
    options.name ?? before?.name ?? (fresh ? await ask("Name of the Worker", plain, FORMS.name) : plain);
  const orNone = (text: string): boolean => text === "" || FORMS.domain(text);
  const domain =
    options.domain ??
    before?.domain ??
    (fresh ? await ask("A host name of a zone of yours (empty: one under workers.dev)", "", orNone) : "");
  const place =
    before?.database_place ??
    (fresh &&
    options.d1Jurisdiction === undefined &&
    options.d1Location === undefined &&
    options.d1Id === undefined
      ? await ask("Must the database stay in a jurisdiction: eu, us, fedramp (empty: no)", "", orJurisdiction)
      : "");
  const chosen =
    options.d1Jurisdiction === undefined
      ? options.d1Location === undefined
        ? place === "" || place.includes(":")
          ? place
          : `jurisdiction:${place}`
        : `location:${options.d1Location}`
      : `jurisdiction:${options.d1Jurisdiction}`;
  return {
    ...before,
    name,
    account,
    database: options.d1Name ?? before?.database ?? name,
    ...(chosen === "" ? {} : { database_place: chosen }),
    database_asked_at: before?.database_asked_at ?? now().toISOString(),
    environment: before?.environment ?? project.vars["ENVIRONMENT"] ?? options.env,
    ...(domain === "" ? {} : { domain }),
  };
}

function orJurisdiction(text: string): boolean {
  return text === "" || FORMS.jurisdiction(text);
}

/** The issuer as it has ever been; if there was none, as it is wished, or the domain that the deployment begins with. */
function withIssuer(
  asked: Settings,
  before: Settings | null,
  deployed: Deployed | null,
  options: SetupOptions,
  project: Project,
): Outcome<Settings> {
  const was = deployed?.vars["ISSUER_ORIGIN"] ?? before?.issuer ?? project.vars["ISSUER_ORIGIN"];
  const known = asked.workers_dev ?? hostUnderWorkersDev(deployed);
  const settings = known === undefined ? asked : { ...asked, workers_dev: known };
  if (was !== undefined) {
    const wished = options.issuer ?? was;
    if (wished !== was && !options.changeIssuer) return issuerRefusal(was, wished);
    return fine({ ...settings, issuer: wished });
  }
  // What runs already has an address, and tokens may be for it: a domain that comes later does not become the issuer.
  const first = deployed?.vars["PUBLIC_ORIGIN"] ?? publicOriginOf(before ?? {}) ?? publicOriginOf(settings);
  const issuer = options.issuer ?? first;
  return fine(issuer === undefined ? settings : { ...settings, issuer });
}

async function withDatabase(
  settings: Settings,
  deployed: Deployed | null,
  options: SetupOptions,
  project: Project,
  ports: SetupPorts,
): Promise<Outcome<Settings>> {
  const { root, say } = ports;
  const at = (known: Settings): Account =>
    new Account(ports.run, writeConfig(root, options.env, environmentConfig(project, known, root)));
  const target = at(settings);
  const listed = await target.databases();
  if (!listed.ok) return listed;
  const written = options.env === DEFAULT_ENVIRONMENT ? project.database["database_id"] : undefined;
  const inToml = typeof written === "string" ? written : undefined;
  const id = settings.database_id ?? deployed?.database ?? inToml ?? options.d1Id;
  if (options.d1Id !== undefined && options.d1Id !== id)
    return refuse(
      "setting_fixed",
      `This deployment's database is ${id ?? ""}, not ${options.d1Id}.`,
      "Leave --d1-id out: tenants, keys and connections are in the one that is there.",
    );
  const keep = (database: Database, word: string): Outcome<Settings> => {
    const kept = { ...settings, database: database.name, database_id: database.id };
    writeSettings(root, options.env, kept);
    say(`database    ${database.name} (${database.id}), ${word}`);
    return fine(kept);
  };
  if (id !== undefined) {
    const known = listed.value.find((one) => one.id === id);
    if (known !== undefined) return keep(known, "kept");
    return refuse(
      "database_gone",
      `The account ${settings.account} has no D1 database ${id}, which this deployment stands on.`,
      "Log in to the right account. If it was deleted: docs/data.md#restore says how a backup takes its place, and what is lost.",
    );
  }
  const found = listed.value.find(({ name }) => name === settings.database);
  if (found === undefined) {
    const made = await target.createDatabase(settings.database, placeArgs(settings));
    if (!made.ok) return made;
    // `d1 create` tells the id in prose only.
    const again = await target.databases();
    if (!again.ok) return again;
    const created = again.value.find(({ name }) => name === settings.database);
    if (created !== undefined) return keep(created, "made");
    return refuse(
      "database_failed",
      `The database ${settings.database} was made, and is not in the account's list yet.`,
      "Run this again in a minute.",
    );
  }
  const ours = found.madeAt >= Date.parse(settings.database_asked_at ?? "") - CLOCKS_MS;
  if (!ours && settings.database_place !== undefined)
    return refuse(
      "database_foreign",
      `There is a D1 database ${settings.database} from before, and where it is cannot be seen or changed.`,
      `Name another with --d1-name; or, if it is where it should be: --d1-id ${found.id}, without a place.`,
    );
  if (!ours) {
    const tables = await at({ ...settings, database_id: found.id }).tables();
    if (!tables.ok) return tables;
    if (tables.value > 0)
      return refuse(
        "database_foreign",
        `There is a D1 database ${settings.database} from before, with ${tables.value} tables: it may be something else's.`,
        `Name another with --d1-name; or, if it is this deployment's: --d1-id ${found.id}.`,
      );
  }
  return keep(found, ours ? "made" : "found empty, and taken");
}

function placeArgs({ database_place: place }: Settings): readonly string[] {
  const [kind = "", where = ""] = (place ?? "").split(":");
  return kind === "" ? [] : [`--${kind}`, where];
}

async function withSecrets(
  settings: Settings,
  there: readonly string[],
  options: SetupOptions,
  project: Project,
  ports: SetupPorts,
): Promise<Outcome<Settings>> {
  const { root, say, seen } = ports;
  const target = new Account(
    ports.run,
    writeConfig(root, options.env, environmentConfig(project, settings, root)),
  );
  const missing = SECRETS.filter((name) => !there.includes(name));
  const lost =
    settings.secrets_made === true
      ? missing.filter((name) => name === "SERVER_KEY" || (name === "KEYRING" && !fileGiven(options, root)))
      : [];
  if (lost.length > 0 && !options.newSecrets)
    return refuse(
      "secrets_gone",
      `The Worker ${settings.name} had ${lost.join(" and ")}, and has not any more. Others in their place would not do: sealed records would not open, and starts that are sent again would run again.`,
      "Is this the right account? A lost KEYRING is put back from the safe with --keyring-file. If Worker and data were deleted on purpose: --unsafe-new-secrets.",
    );
  // The root key may have been taken away on purpose; and it is the one that may be replaced.
  const wanted = missing.filter((name) => name !== "ROOT_API_KEY" || settings.secrets_made !== true);
  const makes =
    options.newRootKey && !wanted.includes("ROOT_API_KEY") ? [...wanted, "ROOT_API_KEY" as const] : wanted;
  if (makes.includes("ROOT_API_KEY") && options.rootKeyFile === undefined && !seen)
    return refuse(
      "root_key_unseen",
      "ROOT_API_KEY would be shown here, and this is no terminal: it would stand in a log.",
      "Say where to write it: --root-key-file FILE. Nothing was set.",
    );
  const keyring = options.keyringFile ?? `keyring-${options.env}.json`;
  const made = makeSecrets(
    makes,
    { keyring, rootKey: options.rootKeyFile, freshRootKey: options.newRootKey },
    root,
    ports.now(),
  );
  if (!made.ok) return made;
  if (makes.length > 0) {
    const put = await target.putSecrets(made.value.values);
    if (!put.ok) return put;
  }
  const done = { ...settings, secrets_made: true };
  writeSettings(root, options.env, done);
  for (const name of SECRETS) say(`secret      ${name}: ${wordOf(name)}`);
  if (made.value.files.includes(keyring))
    say(`            Move ${keyring} to a safe: what is sealed opens with it, and with nothing else.`);
  if (made.value.shown !== null)
    say(`\nROOT_API_KEY, shown this once (for your safe):\n\n  ${made.value.shown}\n`);
  return fine(done);

  function wordOf(name: (typeof SECRETS)[number]): string {
    if (makes.includes(name)) {
      const file = name === "KEYRING" ? keyring : options.rootKeyFile;
      return name === "SERVER_KEY" || file === undefined ? "made" : `made, and in ${file}`;
    }
    if (name === "SERVER_KEY") return "kept; it is never replaced";
    if (there.includes(name)) return name === "KEYRING" ? "kept" : "kept (--new-root-key replaces it)";
    return "not set, as somebody has left it (--new-root-key makes one)";
  }
}

/** Somebody gives a keyring back: it is read before it is set. */
function fileGiven({ keyringFile }: SetupOptions, root: string): boolean {
  return keyringFile !== undefined && existsSync(resolve(root, keyringFile));
}
