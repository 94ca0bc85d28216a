/** The commands as a person starts them, with the stand-in as the program in wrangler's place; and a search for every secret. */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { SecretSearch } from "../platform/secret-search.ts";
import type { Definitions } from "./command-line.ts";
import { realDefinitions } from "./definitions.ts";
import { makeProject, withCommands, type Project } from "./project.ts";
import { hashOf } from "./stand-in.ts";

let definitions: Definitions;
beforeAll(() => {
  definitions = realDefinitions();
});

interface Ended {
  readonly exitCode: number | null;
  readonly said: string;
}

/** Starts `npm run <command>` as npm does, but without npm. */
function start(
  project: Project,
  command: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Ended> {
  const launch = join(project.root, "src/cli/launch.js");
  const child = spawn(process.execPath, [...preload(project), launch, command, ...args], {
    ...{ cwd: project.root, stdio: "pipe" },
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...env } as unknown as NodeJS.ProcessEnv,
  });
  child.stdin.end();
  let said = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (said += text));
  return new Promise((resolve) => child.on("close", (exitCode) => resolve({ exitCode, said })));
}

/** The internet of the test, in the place of the process's own. */
function preload({ root, account }: Project): readonly string[] {
  const path = join(root, "..", "internet.mjs");
  const module = pathToFileURL(join(import.meta.dirname, "internet.ts")).href;
  writeFileSync(
    path,
    `import { internetOf } from ${JSON.stringify(module)};\nglobalThis.fetch = internetOf(${JSON.stringify(account.folder)});\n`,
  );
  return ["--import", path];
}

/** Each command is a process, and each of its calls another. */
const COMMANDS_MS = 180_000;

describe("npm run setup and npm run deploy", { timeout: COMMANDS_MS }, () => {
  it("set up and deploy two environments; no secret is in an argument, in what is said, or in any file but those that were named", async () => {
    const project = makeProject(definitions);
    withCommands(project);
    const said: string[] = [];
    for (const env of ["production", "staging"]) {
      const files = ["--root-key-file", `root-key-${env}.txt`];
      const steps: readonly (readonly [command: string, args: readonly string[]])[] = [
        ["setup", ["--env", env, "--yes", ...files]],
        ["setup", ["--env", env, "--yes"]],
        ["deploy", ["--env", env]],
      ];
      for (const [command, args] of steps) {
        const rootKey = command === "deploy" ? project.file(`root-key-${env}.txt`).trim() : undefined;
        const ended = await start(
          project,
          command,
          args,
          rootKey === undefined ? {} : { ROOT_API_KEY: rootKey },
        );
        expect(ended, `said: ${ended.said}`).toMatchObject({ exitCode: 0 });
        said.push(ended.said);
      }
    }
    expect(said.at(-1)).toMatch(/^address {5}https:\/\/showcaller-staging\.acme\.workers\.dev$/m);
    expect(said.at(-1)).toMatch(/^issuer {6}https:\/\/showcaller-staging\.acme\.workers\.dev$/m);
    expect(said.at(-1)).toContain(`version     ${project.running("showcaller-staging").id}`);
    expect(said.at(-1)).toContain("/v1/tenants/acme/keys");

    // SERVER_KEY is known to nobody but the account; what the account was given is compared by its hash.
    const secrets = new Map<string, string>();
    for (const env of ["production", "staging"]) {
      secrets.set(project.file(`root-key-${env}.txt`).trim(), `root key of ${env}`);
      const keyring = JSON.parse(project.file(`keyring-${env}.json`)) as { keys: Record<string, string> };
      for (const key of Object.values(keyring.keys)) secrets.set(key, `keyring of ${env}`);
    }
    expect(secrets.size).toBe(4);
    const search = new SecretSearch(secrets);
    const places = new Map<string, string>([
      ["arguments", JSON.stringify(project.account.calls())],
      ["said", said.join("\n")],
      ...project.files(),
    ]);
    const found = [...places].flatMap(([place, text]) =>
      search.in(text).map((what) => `${place}: ${what.split(",")[0]}`),
    );
    expect([...new Set(found)].sort()).toEqual([
      "keyring-production.json: keyring of production",
      "keyring-staging.json: keyring of staging",
      "root-key-production.txt: root key of production",
      "root-key-staging.txt: root key of staging",
    ]);
    const words = [...places.values()].flatMap((text) => text.match(/[\w-]{43}/g) ?? []);
    const servers = ["showcaller", "showcaller-staging"].map(
      (name) => project.worker(name).secrets["SERVER_KEY"],
    );
    expect(words.length).toBeGreaterThanOrEqual(4);
    expect(words.filter((word) => servers.includes(hashOf(word)))).toEqual([]);
  });

  it("end with 2 for the command line, which they do not repeat, and with 1 and a code for what is in the way", async () => {
    const project = makeProject(definitions);
    withCommands(project);
    const secret = "a-secret-that-somebody-gives-as-an-argument";
    for (const command of ["setup", "deploy"]) {
      for (const args of [[`--server-key=${secret}`], [secret], ["--env", `X ${secret}`]]) {
        const ended = await start(project, command, args);
        expect(ended.exitCode).toBe(2);
        expect(ended.said).not.toContain(secret);
        expect(ended.said).toContain(`npm run ${command} -- --help`);
      }
      expect(await start(project, command, ["--help"])).toMatchObject({ exitCode: 0 });
    }
    const taken = await start(project, "setup", [], {
      npm_lifecycle_event: "setup",
      npm_config_domain: "flows.example.com",
    });
    expect(taken.said).toContain("npm run setup -- --domain");
    project.account.change({ loggedIn: false });
    const refused = await start(project, "setup", ["--yes"]);
    expect(refused).toMatchObject({ exitCode: 1 });
    expect(refused.said).toMatch(/^not_logged_in: /);
    expect(project.account.calls().every((args) => args[0] === "whoami")).toBe(true);
  });

  it("show no root key where there is no terminal, and set nothing then", async () => {
    const project = makeProject(definitions);
    withCommands(project);
    const refused = await start(project, "setup", ["--yes"]);
    expect(refused).toMatchObject({ exitCode: 1 });
    expect(refused.said).toContain("root_key_unseen");
    expect(project.account.read().workers).toEqual({});
  });
});

describe("the stand-in", () => {
  it("refuses what the real wrangler has not, and what lacks something", () => {
    const { account } = makeProject(definitions);
    const wrong = [
      ["secret", "puts"],
      ["d1", "list", "--jsn"],
      ["d1", "create"],
      ["d1", "create", "a", "b"],
      ["d1", "create", "a", "--location", "mars"],
      ["secret", "list", "--config"],
      ["secret", "bulk", "--secret", "x"],
      ["whoami", "--json=yes"],
      ["deploy", "--config", "a", "--config", "b"],
    ];
    for (const args of wrong) {
      const { exitCode, stderr } = account.answer(args, "");
      expect(exitCode, `wrangler ${args.join(" ")}`).toBe(1);
      expect(stderr).toMatch(/Unknown|Not enough|Missing|Invalid|takes no value|twice/);
    }
    expect(account.answer(["whoami", "--json"], "")).toMatchObject({ exitCode: 0 });
  });
});
