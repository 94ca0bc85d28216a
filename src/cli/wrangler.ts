/**
 * wrangler, as a process: how it is started, and what its failures mean.
 *
 * - W1 a secret reaches it by its standard input only: arguments and the environment can be read by others on the machine.
 * - W2 it never asks: its input is no terminal, so that it takes the answers of a build or says what is missing.
 * - W3 what it says in vain is passed on with every secret of this command taken out.
 *
 * What the commands answer is read in account.ts.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { fine, reasonOf, refuse, type Outcome, type Refusal } from "./complaint.ts";

/** How a command ended. */
export interface Ran {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  /** What it wrote for programs (`WRANGLER_OUTPUT_FILE_PATH`): a JSON object a line; empty if it wrote nothing. */
  readonly report: string;
}

/** Never rejects: what could not be started has ended with 127. */
export type RunWrangler = (args: readonly string[], input?: string) => Promise<Ran>;

/** Lines of a failure that are shown. */
const SHOWN_LINES = 12;
const COULD_NOT_START = 127;
/** Ours, and what would make wrangler work on something else than what it is told. */
const NOT_PASSED_ON = ["ROOT_API_KEY", "SERVER_KEY", "KEYRING", "SERVICE_TOKENS", "CLOUDFLARE_ENV"] as const;

/** As this process's own environment is typed, which in some projects has the Worker's secrets: and with these variables alone. */
function onlyWith(variables: Readonly<Record<string, string | undefined>>): typeof process.env {
  const all: typeof process.env = { ...process.env };
  for (const name of Object.keys(all)) all[name] = undefined;
  return Object.assign(all, variables);
}

/**
 * @param root the project's folder
 * @param script wrangler's, to be run by this Node
 */
export function createWrangler(
  root: string,
  script: string,
  environment: Readonly<Record<string, string | undefined>>,
): RunWrangler {
  return (args, input = "") =>
    new Promise((resolve) => {
      const folder = mkdtempSync(join(tmpdir(), "showcaller-deploy-"));
      const report = join(folder, "report");
      const env: Record<string, string | undefined> = {
        ...environment,
        FORCE_COLOR: "0",
        WRANGLER_HIDE_BANNER: "true",
        WRANGLER_SEND_METRICS: "false",
        // Bodies of requests do not get into its log files, whatever the user's own settings are.
        WRANGLER_LOG_SANITIZE: "true",
        WRANGLER_OUTPUT_FILE_PATH: report,
      };
      for (const name of NOT_PASSED_ON) delete env[name];
      const child = spawn(process.execPath, [script, ...args], {
        ...{ cwd: root, stdio: "pipe" },
        env: onlyWith(env),
      });
      let stdout = "";
      let stderr = "";
      const end = (exitCode: number): void => {
        const told = existsSync(report) ? readFileSync(report, "utf8") : "";
        rmSync(folder, { recursive: true, force: true });
        resolve({ exitCode, stdout, stderr: stripVTControlCharacters(stderr), report: told });
      };
      child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
      child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
      // A command that ended without reading its input has said why.
      child.stdin.on("error", () => undefined).end(input);
      child.on("error", (error) => {
        stderr += reasonOf(error);
        end(COULD_NOT_START);
      });
      child.on("close", (code) => end(code ?? COULD_NOT_START));
    });
}

/** What is known of a failure of wrangler, by its own words. The first that fits counts. */
const KNOWN: readonly {
  readonly words: RegExp;
  readonly code: string;
  readonly what: string;
  readonly todo: string;
}[] = [
  {
    words:
      /not authenticated|necessary to set a CLOUDFLARE_API_TOKEN|Authentication error|Unable to authenticate|Invalid (?:access token|API Token)|\[code: (?:9106|9109|10000|10001)\]/i,
    code: "not_logged_in",
    what: "Cloudflare does not know who this is, or the token may not do this.",
    todo: "Run `npx wrangler login` (in a container: `npx wrangler login --device`), or set CLOUDFLARE_API_TOKEN to a token that may edit Workers and D1.",
  },
  {
    words: /More than one account/,
    code: "account_unclear",
    what: "There is more than one account, and wrangler does not know which is meant.",
    todo: "Say which with `npm run setup -- --account ID`, or set CLOUDFLARE_ACCOUNT_ID.",
  },
  {
    words: /latest version of your Worker isn't currently deployed/,
    code: "version_not_deployed",
    what: "The newest version of this Worker is not the one that is deployed, and secrets belong to versions.",
    todo: "Finish what was begun (`npx wrangler versions deploy`, or `npm run deploy`), then run this again.",
  },
  {
    words: /maximum number of D1 databases/,
    code: "database_limit",
    what: "The account has as many D1 databases as it may have.",
    todo: "Delete one that nobody needs, or ask Cloudflare for more; then run this again.",
  },
  {
    words: /(?:need to register|Register) an? (?:different )?(?:workers\.dev )?subdomain/,
    code: "no_subdomain",
    what: "The account has no workers.dev name yet.",
    todo: "Choose one in the dashboard (Workers & Pages), or give a domain of yours: `npm run setup -- --domain NAME`. Then run this again.",
  },
];

/**
 * A failed command as a refusal with a stable code.
 * @param doing what was tried: the end of "Could not ..."
 * @param code if nothing more is known
 * @param secrets must not be shown
 */
export function failureOf(
  ran: Ran,
  doing: string,
  code: string,
  todo: string,
  secrets: readonly string[] = [],
): Refusal {
  const said = wordsOf(ran, secrets);
  const known = KNOWN.find(({ words }) => words.test(said));
  const head = known === undefined ? `Could not ${doing}.` : `Could not ${doing}. ${known.what}`;
  return refuse(
    known?.code ?? code,
    said === "" ? head : `${head} wrangler says:\n${said}`,
    known?.todo ?? todo,
  );
}

/** The last lines of what a command said. */
export function wordsOf({ stdout, stderr }: Ran, secrets: readonly string[] = []): string {
  const said = stripVTControlCharacters(`${stdout}\n${stderr}`)
    .split("\n")
    .filter(
      (line) => line.trim() !== "" && !/Logs were written to|please report|wrangler \d|^─+$/i.test(line),
    )
    .slice(-SHOWN_LINES)
    .map((line) => `  | ${line}`)
    .join("\n");
  return secrets.flatMap(formsOf).reduce((text, form) => text.replaceAll(form, "[secret]"), said);
}

/** Shorter parts of a secret are names in it, and no key. */
const KEY_LIKE = /[A-Za-z0-9+/_-]{20,}={0,2}/g;

/** As it is, as it stands in JSON, and each key in it: a keyring is JSON itself, and may be shown in parts. The longest first. */
function formsOf(secret: string): readonly string[] {
  return [JSON.stringify(secret).slice(1, -1), secret, ...(secret.match(KEY_LIKE) ?? [])];
}

/** The JSON that a command printed, after words that may stand before it. */
export function jsonOf(text: string): Outcome<unknown> {
  const lines = text.split("\n");
  const from = lines.findIndex((line) => /^[[{]/.test(line));
  try {
    return fine(JSON.parse(lines.slice(Math.max(from, 0)).join("\n")) as unknown);
  } catch {
    return refuse(
      "wrangler_unreadable",
      "wrangler answered something else than the JSON that it was asked for.",
      "Use the wrangler of package.json (`npm ci`), and run this again.",
    );
  }
}
