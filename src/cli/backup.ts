/**
 * `npm run -s backup -- COMMAND`: the database to a file, and back into an empty database. docs/data.md tells what a restore brings
 * back, and what it does not. Exit codes: 0 done; 1 refused, and it is said why; 2 the command line.
 */
import { spawnSync } from "node:child_process";
import { appendFileSync, chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Manifest, manifestOf, refusal } from "./backup-file.ts";
import { reasonOf } from "./complaint.ts";

const HELP = `npm run -s backup -- COMMAND --file FILE (--local | --remote) [OPTIONS]

  save              the database to FILE, and what is in it to FILE.json
  restore           FILE into a database that is empty
  check             whether FILE could be restored; asks nobody

  --database NAME   name or binding of the database (default DB)
  --config FILE     of wrangler (default wrangler.toml)
  --env NAME        environment of wrangler
  --keyring FILE    the keyring that will be set, to restore with; it is not sent
                    anywhere
  --cwd DIR         where the local state lies (.wrangler/state in it)`;

const WRANGLER = join(import.meta.dirname, "../../node_modules/wrangler/bin/wrangler.js");
const EXIT_USAGE = 2;
const PRIVATE = 0o600;

class Refused extends Error {}

interface Options {
  readonly command: "save" | "restore" | "check";
  readonly file: string;
  readonly where: readonly string[];
  readonly database: string;
  readonly keyring: string | undefined;
}

function read(args: readonly string[]): Options | string {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      file: { type: "string" },
      local: { type: "boolean" },
      remote: { type: "boolean" },
      database: { type: "string" },
      config: { type: "string" },
      env: { type: "string" },
      keyring: { type: "string" },
      cwd: { type: "string" },
    },
  });
  const [command, ...stray] = positionals;
  if ((command !== "save" && command !== "restore" && command !== "check") || stray.length > 0)
    return "Say one of: save, restore, check.";
  const { file, local = false, remote = false, database = "DB", config, env, keyring, cwd } = values;
  if (file === undefined) return "Say which file: --file FILE.";
  if (command !== "check" && local === remote) return "Say --local or --remote.";
  const more = Object.entries({ config, env, cwd }).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name}`, value],
  );
  return { command, file, database, keyring, where: [remote ? "--remote" : "--local", ...more] };
}

/** What it said; throws if it failed. */
function wrangler(args: readonly string[]): string {
  const run = spawnSync(process.execPath, [WRANGLER, "d1", ...args], {
    encoding: "utf8",
    env: { ...process.env, WRANGLER_SEND_METRICS: "false" },
    maxBuffer: 1 << 28,
  });
  if (run.status !== 0) throw new Refused(`wrangler d1 ${args[0] ?? ""} failed:\n${run.stderr}${run.stdout}`);
  return run.stdout;
}

function save({ file, where, database }: Options): void {
  // Names of users and hashes of keys are in it: no other user of the machine reads it. What is there stays until wrangler writes.
  for (const one of [file, `${file}.json`]) {
    appendFileSync(one, "", { mode: PRIVATE });
    chmodSync(one, PRIVATE);
  }
  wrangler(["export", database, ...where, "--skip-confirmation", "--output", file]);
  const manifest = manifestOf(readFileSync(file, "utf8"), Date.now());
  writeFileSync(`${file}.json`, `${JSON.stringify(manifest, null, 2)}\n`);
  console.log(`${file}: ${manifest.bytes} bytes, migrations up to ${manifest.migration}.`);
  console.log(
    `Keep the keyring with the keys ${manifest.keys.join(", ") || "(none)"} as long as this backup, in another place.`,
  );
}

function check({ file, keyring }: Options): Manifest {
  const manifest = JSON.parse(readFileSync(`${file}.json`, "utf8")) as Manifest;
  const keys =
    keyring === undefined
      ? null
      : (JSON.parse(readFileSync(keyring, "utf8")) as { keys: Record<string, string> });
  const why = refusal(manifest, readFileSync(file, "utf8"), keys);
  if (why !== null) throw new Refused(why);
  return manifest;
}

function restore(options: Options): void {
  const manifest = check(options);
  const { file, where, database } = options;
  const query = "SELECT count(*) AS n FROM sqlite_master WHERE type = 'table' AND name = 'tenants'";
  const answer = JSON.parse(
    wrangler(["execute", database, ...where, "--yes", "--json", "--command", query]),
  ) as {
    results: { n: number }[];
  }[];
  if (answer[0]?.results[0]?.n !== 0)
    throw new Refused(
      "The database is not empty. Make a new one, restore into it, and bind it in wrangler.toml.",
    );
  wrangler(["execute", database, ...where, "--yes", "--file", file]);
  console.log(`Restored: the database of ${new Date(manifest.made_at).toISOString()}.`);
  console.log("Next: wrangler d1 migrations apply, then deploy, then docs/data.md#after-a-restore.");
}

function main(args: readonly string[]): number {
  try {
    const options = read(args);
    if (typeof options === "string") {
      console.error(`${options}\nRun \`npm run -s backup -- --help\` to see more.`);
      return EXIT_USAGE;
    }
    if (options.command === "save") save(options);
    else if (options.command === "restore") restore(options);
    else console.log(`It can be restored: ${JSON.stringify(check(options).rows)}`);
    return 0;
  } catch (error) {
    console.error(reasonOf(error));
    return 1;
  }
}

const args = process.argv.slice(2);
if (args.includes("--help")) console.log(HELP);
else process.exitCode = main(args);
