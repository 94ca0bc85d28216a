/**
 * What is known of one deployment and is no secret: `deploy/<environment>.json`, which belongs into version control.
 *
 * Owns its form, its place on disk, and what may change in it. What becomes of it is deploy-config.ts.
 *
 * - S1 nothing in it is secret.
 * - S2 name, account, database and issuer are fixed once: to change them would be to make another deployment of what looks
 *   like the same one.
 * - S3 no two environments share a Worker or a database.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fine, reasonOf, refuse, type Outcome, type Refusal } from "./complaint.ts";

/** PERSISTED CONTRACT: only gains optional fields. */
export interface Settings {
  /** Of the Worker. */
  readonly name: string;
  /** Id of the Cloudflare account. */
  readonly account: string;
  readonly database: string;
  /** Missing until it is there. */
  readonly database_id?: string;
  /** `jurisdiction:eu`, `location:weur`; missing: where Cloudflare makes it. */
  readonly database_place?: string;
  /** When its making was about to begin: a database of that name which is not older is ours. */
  readonly database_asked_at?: string;
  /** The variable ENVIRONMENT, a claim of every identity token. */
  readonly environment: string;
  /** A host name of a zone of the account. */
  readonly domain?: string;
  /** The host name under workers.dev, as the first deploy has told it. */
  readonly workers_dev?: string;
  /** ISSUER_ORIGIN: fixed once. Missing until the first address is known. */
  readonly issuer?: string;
  /** Once the Worker has had its secrets: if they are gone, something is wrong. */
  readonly secrets_made?: boolean;
  /** Further variables, such as CALLS_PER_EVENT. */
  readonly vars?: Readonly<Record<string, string>>;
}

export const DEFAULT_ENVIRONMENT = "production";
export const FOLDER = "deploy";
const ENVIRONMENT = /^[a-z][a-z0-9-]{0,30}$/;
/** As Cloudflare has them. */
const WORKER = /^[a-z0-9](?:[a-z0-9-]{0,52}[a-z0-9])?$/;
const DATABASE = /^[a-zA-Z0-9_-]{1,64}$/;
const ACCOUNT = /^[0-9a-f]{32}$/;
const HOST = /^(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const JURISDICTIONS = ["eu", "fedramp", "us"];
const LOCATIONS = ["weur", "eeur", "apac", "oc", "wnam", "enam"];

/** Whether a text is what a field of the settings, or an option of the set-up, may be. */
export const FORMS = {
  environment: (text: string) => ENVIRONMENT.test(text),
  name: (text: string) => WORKER.test(text),
  database: (text: string) => DATABASE.test(text),
  account: (text: string) => ACCOUNT.test(text),
  domain: (text: string) => HOST.test(text) && !text.endsWith(".workers.dev"),
  issuer: (text: string) => URL.parse(text)?.origin === text && HOST.test(text.replace(/^https:\/\//, "")),
  jurisdiction: (text: string) => JURISDICTIONS.includes(text),
  location: (text: string) => LOCATIONS.includes(text),
} as const satisfies Readonly<Record<string, (text: string) => boolean>>;

const STRINGS = [
  ...(["name", "account", "database", "database_id", "database_place", "database_asked_at"] as const),
  ...(["environment", "domain", "workers_dev", "issuer"] as const),
] as const;

export function settingsPath(environment: string): string {
  return `${FOLDER}/${environment}.json`;
}

/** Null: nothing is known of that environment. */
export function readSettings(root: string, environment: string): Outcome<Settings | null> {
  const path = settingsPath(environment);
  if (!existsSync(join(root, path))) return fine(null);
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(join(root, path), "utf8"));
  } catch (error) {
    return damaged(path, reasonOf(error));
  }
  if (typeof value !== "object" || value === null) return damaged(path, "it is no object.");
  const found = value as Record<string, unknown>;
  const {
    name,
    account,
    database,
    domain,
    issuer,
    environment: claim,
    vars = {},
    secrets_made: made,
  } = found;
  const wrong = STRINGS.find((key) => found[key] !== undefined && typeof found[key] !== "string");
  if (wrong !== undefined) return damaged(path, `"${wrong}" is no text.`);
  const bad = (
    [
      ["name", name, FORMS.name],
      ["account", account, FORMS.account],
      ["database", database, FORMS.database],
      ["environment", claim, (text) => /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/.test(text)],
      ["domain", domain ?? "x.example", FORMS.domain],
      ["issuer", issuer ?? "https://x.example", FORMS.issuer],
    ] as const satisfies readonly (readonly [string, unknown, (text: string) => boolean])[]
  ).find(([, text, form]) => typeof text !== "string" || !form(text));
  if (bad !== undefined) return damaged(path, `"${bad[0]}" is missing, or not of its form.`);
  if (made !== undefined && typeof made !== "boolean")
    return damaged(path, '"secrets_made" is not true or false.');
  if (typeof vars !== "object" || vars === null || Object.values(vars).some((one) => typeof one !== "string"))
    return damaged(path, '"vars" is not an object of texts.');
  return fine(found as unknown as Settings);
}

/** Whole or not at all. */
export function writeSettings(root: string, environment: string, settings: Settings): void {
  const path = join(root, settingsPath(environment));
  mkdirSync(join(root, FOLDER), { recursive: true });
  writeFileSync(`${path}.new`, `${JSON.stringify(settings, null, 2)}\n`);
  renameSync(`${path}.new`, path);
}

/** Refuses where another environment has this one's Worker or database (S3). */
export function checkApart(root: string, environment: string, settings: Settings): Outcome<null> {
  const others = existsSync(join(root, FOLDER))
    ? readdirSync(join(root, FOLDER)).filter((file) => file.endsWith(".json"))
    : [];
  for (const file of others) {
    const other = file.slice(0, -".json".length);
    if (other === environment || !FORMS.environment(other)) continue;
    const read = readSettings(root, other);
    if (!read.ok) return read;
    if (read.value === null || read.value.account !== settings.account) continue;
    const same = (["name", "database", "domain"] as const).find(
      (key) => read.value?.[key] !== undefined && read.value[key] === settings[key],
    );
    if (same !== undefined)
      return refuse(
        "environments_overlap",
        `The environments ${environment} and ${other} have the same ${same}: ${settings[same] ?? ""}.`,
        "Give each its own with --name, --d1-name and --domain.",
      );
  }
  return fine(null);
}

/** Refuses what would change what is fixed (S2). */
export function checkFixed(before: Settings, after: Settings, path: string): Outcome<null> {
  const fixed = (["name", "account", "database", "database_place"] as const).find(
    (key) => before[key] !== after[key],
  );
  if (fixed !== undefined)
    return refuse(
      "setting_fixed",
      `${path} says ${fixed}: ${before[fixed] ?? "none"}. It cannot become ${after[fixed] ?? "none"}: the runs, connections and keys of this deployment belong to what is there.`,
      "Leave the option out. For another deployment, take another --env. If nothing was ever deployed, delete the file, and run this again.",
    );
  return fine(null);
}

/** @param was the issuer of the deployment, wherever that is known from */
export function issuerRefusal(was: string, now: string | undefined): Refusal {
  return refuse(
    "issuer_fixed",
    `The issuer of this deployment is ${was}; it would become ${now ?? "none"}. It stands in the trust policies of clouds, and in every identity token: with another one no workflow gets cloud credentials any more, until every policy was changed.`,
    "Leave the issuer as it is; the address of the deployment can change without it (docs/deploy.md#the-issuer). If nobody trusts it yet, or all policies were changed: --unsafe-change-issuer.",
  );
}

/** Where browsers find the deployment; undefined until it is known. */
export function publicOriginOf(settings: Pick<Settings, "domain" | "workers_dev">): string | undefined {
  const host = settings.domain ?? settings.workers_dev;
  return host === undefined ? undefined : `https://${host}`;
}

function damaged(path: string, why: string): Refusal {
  return refuse(
    "settings_damaged",
    `${path} cannot be used: ${why}`,
    `Mend it, or take it back: git checkout ${path}`,
  );
}
