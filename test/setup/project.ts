/** A project in a folder of its own, with the stand-in in wrangler's place, and everything that it has said. */
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach } from "vitest";
import type { Outcome } from "../../src/cli/complaint.ts";
import { runDeploy, type Deployment, type DeployPorts } from "../../src/cli/deploy-run.ts";
import type { Settings } from "../../src/cli/deploy-settings.ts";
import { parseDeploy, parseSetup } from "../../src/cli/setup-options.ts";
import { runSetup, type SetupPorts } from "../../src/cli/setup-run.ts";
import type { Definitions } from "./command-line.ts";
import { hostsOf } from "./hosts.ts";
import { StandIn, type StoredVersion, type StoredWorker } from "./stand-in.ts";

export const REPOSITORY = join(import.meta.dirname, "../..");

export interface Project {
  readonly root: string;
  readonly account: StandIn;
  /** Everything that was said, in lines. */
  readonly said: string[];
  setup(args?: readonly string[], ports?: Partial<SetupPorts>): Promise<Outcome<Settings>>;
  deploy(args?: readonly string[], ports?: Partial<DeployPorts>): Promise<Outcome<Deployment | null>>;
  worker(name?: string): StoredWorker;
  /** The version that runs. */
  running(name?: string): StoredVersion;
  /** deploy/<environment>.json */
  settings(environment?: string): Settings;
  file(name: string): string;
  /** Of all files but those of the account and the tools, by name. */
  files(): ReadonlyMap<string, string>;
}

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
});

export function makeProject(definitions: Definitions): Project {
  const folder = mkdtempSync(join(tmpdir(), "showcaller-setup-"));
  folders.push(folder);
  const root = join(folder, "project");
  mkdirSync(join(root, "src"), { recursive: true });
  for (const name of ["wrangler.toml", "package.json", ".gitignore"])
    cpSync(join(REPOSITORY, name), join(root, name));
  cpSync(join(REPOSITORY, "migrations"), join(root, "migrations"), { recursive: true });
  writeFileSync(join(root, "src/worker.ts"), "");
  const account = new StandIn(join(folder, "account"));
  account.define(definitions);
  const said: string[] = [];
  const say = (text: string): void => void said.push(text);
  const run: SetupPorts["run"] = async (args, input = "") => account.answer(args, input);
  const fail = <T>(outcome: Outcome<T>): Outcome<T> => {
    if (!outcome.ok) said.push(outcome.complaint.what, outcome.complaint.todo);
    return outcome;
  };
  const worker = (name = "showcaller"): StoredWorker =>
    account.read().workers[name] ?? { secrets: {}, versions: [] };
  return {
    ...{ root, account, said, worker },
    async setup(args = [], ports = {}) {
      const options = parseSetup(args);
      if (!options.ok) return options;
      return fail(
        await runSetup(options.value, {
          root,
          run,
          now: () => new Date(),
          say,
          ask: null,
          seen: true,
          ...ports,
        }),
      );
    },
    async deploy(args = [], ports = {}) {
      const options = parseDeploy(args);
      if (!options.ok) return options;
      const types = async (): Promise<Outcome<null>> => ({ ok: true, value: null });
      const health = { fetch: hostsOf(account), rootKey: undefined, pause: async () => undefined };
      return fail(
        await runDeploy(options.value, { root, run, say, types, unattended: false, health, ...ports }),
      );
    },
    running(name) {
      const version = worker(name).versions.at(-1);
      if (version === undefined) throw new Error("Nothing was deployed.");
      return version;
    },
    settings: (environment = "production") =>
      JSON.parse(readFileSync(join(root, `deploy/${environment}.json`), "utf8")) as Settings,
    file: (name) => readFileSync(join(root, name), "utf8"),
    files: () => filesOf(root),
  };
}

/** The commands themselves in the project, for tests of what they print and of their arguments. */
export function withCommands({ root, account }: Project): void {
  cpSync(join(REPOSITORY, "src/cli"), join(root, "src/cli"), { recursive: true });
  const tool = (path: string, text: string): void => {
    mkdirSync(join(root, "node_modules", path, ".."), { recursive: true });
    writeFileSync(join(root, "node_modules", path), text);
  };
  const main = pathToFileURL(join(import.meta.dirname, "stand-in-main.ts")).href;
  tool(
    "wrangler/bin/wrangler.js",
    `import(${JSON.stringify(main)}).then(({ main }) => main(${JSON.stringify(account.folder)}));\n`,
  );
  tool("typescript/bin/tsc", "");
  symlinkSync(join(REPOSITORY, "node_modules/smol-toml"), join(root, "node_modules/smol-toml"));
}

function filesOf(root: string): ReadonlyMap<string, string> {
  const names = readdirSync(root, { recursive: true, encoding: "utf8" });
  const ours = names.filter((name) => !/^(?:node_modules|migrations|src)/.test(name));
  return new Map(
    ours
      .map((name) => join(root, name))
      .filter((path) => statSync(path).isFile())
      .map((path) => [relative(root, path), readFileSync(path, "utf8")]),
  );
}
