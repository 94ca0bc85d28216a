/**
 * What `npm run deploy` does, in its order. Ports for the outside; `deploy.ts` is the command.
 *
 * - D1 whatever can be found wrong is found before anything is changed.
 * - D2 migrations before code: they only add, so that the code which runs goes on with them when the deploy fails.
 * - D3 the issuer that is deployed stays, whatever the settings say; the platform itself is asked which it is.
 * - D4 without settings it works from `wrangler.toml` and what is deployed, as in a build of the deploy button, and asks nothing.
 */
import { join } from "node:path";
import { Account, hostUnderWorkersDev, type Deployed, type Released } from "./account.ts";
import { fine, refuse, type Outcome } from "./complaint.ts";
import {
  environmentConfig,
  plainConfig,
  readProject,
  varsOf,
  writeConfig,
  type Project,
} from "./deploy-config.ts";
import { checkHealth, type HealthPorts } from "./deploy-health.ts";
import {
  checkApart,
  issuerRefusal,
  publicOriginOf,
  readSettings,
  settingsPath,
  writeSettings,
  type Settings,
} from "./deploy-settings.ts";
import type { DeployOptions } from "./setup-options.ts";
import type { RunWrangler } from "./wrangler.ts";

export interface DeployPorts {
  /** The project's folder. */
  readonly root: string;
  readonly run: RunWrangler;
  readonly say: (text: string) => void;
  readonly health: HealthPorts;
  /** The Worker's types are clean, or why not. */
  readonly types: () => Promise<Outcome<null>>;
  /** In a build of a service, as that of the deploy button: nobody has run the set-up. */
  readonly unattended: boolean;
}

export interface Deployment {
  readonly address: string;
  readonly issuer: string;
  readonly version: string;
}

/** The variables that a deployment without settings keeps from what ran before. */
const KEPT = ["ISSUER_ORIGIN", "PUBLIC_ORIGIN", "OWN_HOSTS"] as const;

/** Null: it was a dry run. */
export async function runDeploy(
  options: DeployOptions,
  ports: DeployPorts,
): Promise<Outcome<Deployment | null>> {
  const { root, run, say } = ports;
  const setup = `npm run setup${options.named ? ` -- --env ${options.env}` : ""}`;
  const project = readProject(root);
  if (!project.ok) return project;
  const read = readSettings(root, options.env);
  if (!read.ok) return read;
  let known = read.value;
  if (
    known === null &&
    (options.named ||
      (!options.dryRun && !ports.unattended && project.value.database["database_id"] === undefined))
  )
    return refuse("not_set_up", `There is no ${settingsPath(options.env)}.`, `Run: ${setup}`);
  const apart = known === null ? fine(null) : checkApart(root, options.env, known);
  if (!apart.ok) return apart;
  if (known !== null && known.database_id === undefined && !options.dryRun)
    return refuse(
      "not_set_up",
      `${settingsPath(options.env)} has no database: the set-up was not finished.`,
      `Run again: ${setup}`,
    );

  let vars: Readonly<Record<string, string>> = {};
  let databaseId: string | undefined;
  const write = (): Account =>
    new Account(
      run,
      writeConfig(
        root,
        options.env,
        known === null
          ? plainConfig(project.value, vars, databaseId, root)
          : environmentConfig(project.value, known, root),
      ),
    );

  // Nothing is changed by these (D1).
  const types = await ports.types();
  if (!types.ok) return types;
  say("types       clean");
  const bundled = await write().bundle(join(root, ".wrangler/environments", `${options.env}.bundle`));
  if (!bundled.ok) return bundled;
  say("bundle      made");
  if (options.dryRun) return fine(null);
  const state = await look(write(), project.value, setup);
  if (!state.ok) return state;
  const kept = keptIssuer(state.value, known, project.value, options);
  if (!kept.ok) return kept;
  if (known === null) vars = keptVars(state.value, project.value, kept.value);
  else {
    // Of a file that was checked in before the first deploy, in every build from it.
    const host = known.workers_dev ?? hostUnderWorkersDev(state.value);
    const issuer = known.issuer ?? kept.value;
    if (host !== known.workers_dev || issuer !== known.issuer)
      known = record(root, options.env, {
        ...known,
        ...(host === undefined ? {} : { workers_dev: host }),
        ...(issuer === undefined ? {} : { issuer }),
      });
  }
  if (known === null && project.value.database["database_id"] === undefined) {
    const found = await databaseOf(write(), project.value, state.value);
    if (!found.ok) return found;
    databaseId = found.value;
  }

  const migrated = await write().migrate();
  if (!migrated.ok) return migrated;
  say("migrations  applied");
  let released = await write().release(options.codeUpdate);
  if (!released.ok) return released;
  say(`deployed    version ${released.value.version}`);

  // The first deploy tells the address. Who and where it is, the Worker is told by a second one.
  const taught = taughtBy(released.value, known, vars, project.value);
  if (taught !== null) {
    ({ vars } = taught);
    if (taught.known !== null) known = record(root, options.env, taught.known);
    released = await write().release(options.codeUpdate);
    if (!released.ok) return released;
    say(`deployed    version ${released.value.version}, which knows its address`);
  }

  const said = known === null ? { ...project.value.vars, ...vars } : varsNow(known);
  const address = said["PUBLIC_ORIGIN"];
  if (address === undefined)
    return refuse(
      "address_unknown",
      "The deploy is done, and where it is reached is not known: it has no name under workers.dev, and PUBLIC_ORIGIN is not set.",
      "Give it a domain: `npm run setup -- --domain NAME`, then deploy again.",
    );
  const health = await checkHealth(address, ports.health);
  if (!health.ok) return health;
  for (const line of health.value) say(`health      ${line}`);
  return fine({ address, issuer: said["ISSUER_ORIGIN"] ?? "none", version: released.value.version });
}

function record(root: string, environment: string, settings: Settings): Settings {
  writeSettings(root, environment, settings);
  return settings;
}

/** Whether the secrets are there, and what runs now. */
async function look(
  target: Account,
  { required }: Project,
  setup: string,
): Promise<Outcome<Deployed | null>> {
  const secrets = await target.secrets();
  if (!secrets.ok) return secrets;
  const there = secrets.value;
  const missing = required.filter((name) => there?.includes(name) !== true);
  if (missing.length > 0)
    return refuse(
      "secrets_missing",
      there === null
        ? "There is no such Worker yet, so it has no secrets."
        : `The Worker lacks its secrets: ${missing.join(", ")}.`,
      `Run: ${setup}. Nothing was changed.`,
    );
  return target.deployed();
}

/** The issuer that has to be; undefined: there was none yet. */
function keptIssuer(
  deployed: Deployed | null,
  known: Settings | null,
  project: Project,
  { changeIssuer }: DeployOptions,
): Outcome<string | undefined> {
  const was = deployed?.vars["ISSUER_ORIGIN"];
  const wished = known === null ? project.vars["ISSUER_ORIGIN"] : known.issuer;
  if (was !== undefined && wished !== undefined && was !== wished && !changeIssuer)
    return issuerRefusal(was, wished);
  return fine(wished ?? was);
}

function keptVars(
  deployed: Deployed | null,
  project: Project,
  issuer: string | undefined,
): Readonly<Record<string, string>> {
  const before: Readonly<Record<string, string | undefined>> = { ...deployed?.vars, ISSUER_ORIGIN: issuer };
  return Object.fromEntries(
    KEPT.flatMap((name) => {
      const value = project.vars[name] ?? before[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

/** What has to be set now that the address is known; null: nothing. */
function taughtBy(
  { workersDev }: Released,
  known: Settings | null,
  vars: Readonly<Record<string, string>>,
  project: Project,
): { readonly known: Settings | null; readonly vars: Readonly<Record<string, string>> } | null {
  if (workersDev === null) return null;
  const origin = `https://${workersDev}`;
  if (known === null) {
    const now = { ...project.vars, ...vars };
    if (now["PUBLIC_ORIGIN"] !== undefined && now["ISSUER_ORIGIN"] !== undefined) return null;
    const issuer = now["ISSUER_ORIGIN"] ?? now["PUBLIC_ORIGIN"] ?? origin;
    const publicOrigin = now["PUBLIC_ORIGIN"] ?? origin;
    return { known, vars: { ...varsOf({ issuer, publicOrigin, ownHosts: [workersDev] }), ...vars } };
  }
  if (known.workers_dev === workersDev && known.issuer !== undefined) return null;
  const learnt = { ...known, workers_dev: workersDev };
  return { known: { ...learnt, issuer: known.issuer ?? publicOriginOf(learnt) ?? origin }, vars };
}

function varsNow(known: Settings): Readonly<Record<string, string>> {
  const { issuer, ...rest } = known;
  const publicOrigin = publicOriginOf(rest);
  return varsOf({
    ownHosts: [],
    ...(issuer === undefined ? {} : { issuer }),
    ...(publicOrigin === undefined ? {} : { publicOrigin }),
  });
}

/** The database of a project without settings, whose configuration has no id: what is bound, or one of the name, or a new one. */
async function databaseOf(
  target: Account,
  { database }: Project,
  deployed: Deployed | null,
): Promise<Outcome<string>> {
  if (deployed?.database != null) return fine(deployed.database);
  const name = String(database["database_name"]);
  for (const make of [true, false]) {
    const listed = await target.databases();
    if (!listed.ok) return listed;
    const found = listed.value.find((one) => one.name === name);
    if (found !== undefined) return fine(found.id);
    if (!make) break;
    const made = await target.createDatabase(name, []);
    if (!made.ok) return made;
  }
  return refuse(
    "database_failed",
    `The database ${name} was made, and is not in the account's list yet.`,
    "Run this again in a minute.",
  );
}
