/** The command lines of `npm run setup` and `npm run deploy`. Pure. A secret is never an option: arguments can be read by others. */
import { parseArgs, type ParseArgsConfig } from "node:util";
import { complain, fine, reasonOf, refuse, type Outcome, type Refusal } from "./complaint.ts";
import { DEFAULT_ENVIRONMENT, FORMS } from "./deploy-settings.ts";

export interface SetupOptions {
  readonly help: boolean;
  readonly env: string;
  readonly name?: string;
  readonly account?: string;
  readonly domain?: string;
  readonly issuer?: string;
  readonly d1Name?: string;
  readonly d1Id?: string;
  readonly d1Jurisdiction?: string;
  readonly d1Location?: string;
  readonly keyringFile?: string;
  readonly rootKeyFile?: string;
  readonly newRootKey: boolean;
  readonly yes: boolean;
  readonly changeIssuer: boolean;
  readonly newSecrets: boolean;
}

export interface DeployOptions {
  readonly help: boolean;
  readonly env: string;
  /** Whether the environment was named. */
  readonly named: boolean;
  readonly dryRun: boolean;
  /** Null: as the platform does it. */
  readonly codeUpdate: string | null;
  readonly changeIssuer: boolean;
}

export const SETUP_HELP = `npm run setup [-- OPTIONS]

Prepares a deployment on Cloudflare: its settings (deploy/ENV.json), the D1
database, the secrets. Asks on a terminal for what is not said. It can be run
again at any time: what exists is kept.

  --env NAME            production (default), staging, or a name of your own
  --name NAME           of the Worker (default showcaller, showcaller-ENV)
  --account ID          where there is more than one
  --domain NAME         a host name in a zone of the account, such as
                        flows.example.com (default: one under workers.dev)
  --issuer ORIGIN       https origin that clouds will trust; never changes
                        (default: the first address of the deployment)
  --d1-name NAME        of the database (default: as the Worker)
  --d1-id ID            take this database, which is there
  --d1-jurisdiction J   eu, fedramp or us: where its data must stay
  --d1-location L       weur, eeur, apac, oc, wnam or enam: a hint
  --keyring-file FILE   where the keyring is written, for your safe
                        (default keyring-ENV.json); put it back there to have
                        a lost KEYRING set again
  --root-key-file FILE  write ROOT_API_KEY there, and do not show it
  --new-root-key        replace ROOT_API_KEY
  --yes                 ask nothing
  --help                this text

  --unsafe-change-issuer   clouds trust the old one
  --unsafe-new-secrets     the Worker's secrets are gone, and so is what they
                           were for`;

export const DEPLOY_HELP = `npm run deploy [-- OPTIONS]

Checks, applies the migrations of the database, deploys, and asks the new
deployment how it is. With ROOT_API_KEY in the environment it asks for more.

  --env NAME            production (default), staging, or a name of your own
  --dry-run             check and bundle only; needs no account
  --code-update HOW     when running objects get the new code: immediate, or
                        deferred:30s (up to 24h; the platform's own: 5 minutes)
  --help                this text

  --unsafe-change-issuer   clouds trust the old one`;

const TEXTS = {
  name: "name",
  account: "account",
  domain: "domain",
  issuer: "issuer",
  "d1-name": "database",
  "d1-jurisdiction": "jurisdiction",
  "d1-location": "location",
} as const satisfies Readonly<Record<string, keyof typeof FORMS>>;

const SHAPES: Readonly<Record<keyof typeof FORMS, string>> = {
  environment: "1 to 31 of a-z, 0-9 and -, beginning with a letter",
  name: "1 to 54 of a-z, 0-9 and -",
  database: "1 to 64 of letters, digits, - and _",
  account: "the 32 hex digits of an account's id",
  domain: "a host name of a zone of yours, such as flows.example.com",
  issuer: "an https origin without a port or a path, such as https://id.example.com",
  jurisdiction: "eu, fedramp or us",
  location: "weur, eeur, apac, oc, wnam or enam",
};
const UNITS_S: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3_600 };
const LONGEST_S = 24 * 3_600;

/** What the platform takes (developers.cloudflare.com, Durable Objects code updates): a day is the longest. */
function isCodeUpdate(text: string): boolean {
  if (text === "immediate") return true;
  const [, number = "", unit = ""] = /^deferred[: ](\d{1,8})(ms|s|m|h)$/.exec(text) ?? [];
  return number !== "" && Number(number) * (UNITS_S[unit] ?? Infinity) <= LONGEST_S;
}

export function parseSetup(args: readonly string[], env: Environment = {}): Outcome<SetupOptions> {
  const parsed = read(args, env, "setup", {
    env: { type: "string" },
    ...options("name", "account", "domain", "issuer", "d1-name", "d1-id", "d1-jurisdiction", "d1-location"),
    ...options("keyring-file", "root-key-file"),
    ...flags("help", "new-root-key", "yes", "unsafe-change-issuer", "unsafe-new-secrets"),
  });
  if (!parsed.ok) return parsed;
  const text = (key: string): string | undefined => parsed.value[key] as string | undefined;
  const flag = (key: string): boolean => parsed.value[key] === true;
  const environment = text("env") ?? DEFAULT_ENVIRONMENT;
  for (const [option, form] of Object.entries({ ...TEXTS, env: "environment" } as const)) {
    const given = option === "env" ? environment : text(option);
    if (given !== undefined && !FORMS[form](given))
      return wrong("setup", `--${option} takes ${SHAPES[form]}.`);
  }
  const id = text("d1-id");
  if (id !== undefined && !/^[0-9a-f-]{36}$/.test(id))
    return wrong("setup", "--d1-id takes the id of a database.");
  if (text("d1-jurisdiction") !== undefined && text("d1-location") !== undefined)
    return wrong(
      "setup",
      "--d1-jurisdiction and --d1-location exclude each other: a jurisdiction says where.",
    );
  const rest = {
    ...{ name: text("name"), account: text("account"), domain: text("domain"), issuer: text("issuer") },
    ...{ d1Name: text("d1-name"), d1Id: id, d1Jurisdiction: text("d1-jurisdiction") },
    ...{
      d1Location: text("d1-location"),
      keyringFile: text("keyring-file"),
      rootKeyFile: text("root-key-file"),
    },
  };
  return fine({
    ...(Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined)) as Given<
      typeof rest
    >),
    ...{ help: flag("help"), env: environment, yes: flag("yes"), newRootKey: flag("new-root-key") },
    ...{ changeIssuer: flag("unsafe-change-issuer"), newSecrets: flag("unsafe-new-secrets") },
  });
}

export function parseDeploy(args: readonly string[], env: Environment = {}): Outcome<DeployOptions> {
  const parsed = read(args, env, "deploy", {
    ...options("env", "code-update"),
    ...flags("help", "dry-run", "unsafe-change-issuer"),
  });
  if (!parsed.ok) return parsed;
  const { env: environment = DEFAULT_ENVIRONMENT, "code-update": update } = parsed.value as Record<
    string,
    string
  >;
  if (!FORMS.environment(environment)) return wrong("deploy", `--env takes ${SHAPES.environment}.`);
  if (update !== undefined && !isCodeUpdate(update))
    return wrong(
      "deploy",
      "--code-update takes immediate, or deferred: and a time of 24h at most, such as deferred:30s.",
    );
  return fine({
    help: parsed.value["help"] === true,
    env: environment,
    named: parsed.value["env"] !== undefined,
    dryRun: parsed.value["dry-run"] === true,
    codeUpdate: update?.replace(":", " ") ?? null,
    changeIssuer: parsed.value["unsafe-change-issuer"] === true,
  });
}

type Environment = Readonly<Record<string, string | undefined>>;
type Given<T> = { readonly [K in keyof T]?: NonNullable<T[K]> };
type Options = NonNullable<ParseArgsConfig["options"]>;

function options(...names: readonly string[]): Options {
  return Object.fromEntries(names.map((name) => [name, { type: "string" as const }]));
}

function flags(...names: readonly string[]): Options {
  return Object.fromEntries(
    names.map((name) => [name, { type: "boolean" as const, ...(name === "help" ? { short: "h" } : {}) }]),
  );
}

function read(
  args: readonly string[],
  env: Environment,
  command: string,
  known: Options,
): Outcome<Readonly<Record<string, unknown>>> {
  // Without `--` before them npm takes options for its own, and hands them on in the environment only.
  const taken = Object.keys(known).filter(
    (name) =>
      env["npm_lifecycle_event"] === command && (env[`npm_config_${name.replaceAll("-", "_")}`] ?? "") !== "",
  );
  // npm has a --yes of its own, which people set for all of its commands.
  const ours = taken.filter((name) => name !== "yes" && name !== "env" && name !== "name");
  if (ours.length > 0) {
    const names = ours.map((name) => `--${name}`).join(" ");
    return refuse(
      "command_line",
      `npm took ${names} for itself: what is for the ${command} stands behind a --.`,
      `Write: npm run ${command} -- ${names} ...`,
    );
  }
  try {
    return fine(parseArgs({ args: [...args], options: known }).values);
  } catch (error) {
    // Its message quotes what was given: somebody may have given a secret.
    const words = reasonOf(error).split("'").slice(0, 2).join("'");
    return wrong(
      command,
      /Unknown option/.test(words)
        ? `${words}': there is no such option.`
        : "An option lacks its value, or something stands alone.",
    );
  }
}

function wrong(command: string, what: string): Refusal {
  return complain(what, `Run \`npm run ${command} -- --help\` to see the options.`);
}
