/** `npm run setup`, against an account that is a stand-in and a wrangler that checks every argument. */
import { chmodSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { parseKeyringText } from "../../src/cli/keyring-edit.ts";
import type { Definitions } from "./command-line.ts";
import { realDefinitions } from "./definitions.ts";
import { makeProject, type Project } from "./project.ts";
import { ACCOUNT, emptyAccount, hashOf } from "./stand-in.ts";

const FILES = ["--root-key-file", "root-key.txt"] as const;
const SECRETS = ["KEYRING", "ROOT_API_KEY", "SERVER_KEY"];

let definitions: Definitions;
beforeAll(() => {
  definitions = realDefinitions();
});

/** The code of a refusal, or "done". */
function codeOf(outcome: { readonly ok: boolean; readonly complaint?: { readonly code?: string } }): string {
  return outcome.ok ? "done" : (outcome.complaint?.code ?? "no code");
}

function changing(project: Project): readonly string[] {
  return project.account
    .calls()
    .map((args) => args.join(" "))
    .filter((line) => /^(?:d1 create|secret bulk|deploy |d1 migrations)/.test(line));
}

describe("a fresh set-up", () => {
  it("makes the database and three secrets, writes what is not secret, and asks for nothing but its options", async () => {
    const project = makeProject(definitions);
    expect(codeOf(await project.setup(FILES))).toBe("done");
    expect(Object.keys(project.worker().secrets).sort()).toEqual(SECRETS);
    const [database] = project.account.read().databases;
    expect(project.settings()).toMatchObject({
      ...{ name: "showcaller", account: ACCOUNT, database: "showcaller", database_id: database?.uuid },
      ...{ environment: "production", secrets_made: true },
    });
    expect(database?.place).toBe("");
  });

  it("puts into the named files what it puts into force, for their owner only, and can be read by the vault", async () => {
    const project = makeProject(definitions);
    await project.setup(FILES);
    const { secrets } = project.worker();
    expect(hashOf(project.file("root-key.txt").trim())).toBe(secrets["ROOT_API_KEY"]);
    expect(hashOf(project.file("keyring-production.json").trim())).toBe(secrets["KEYRING"]);
    expect(parseKeyringText(project.file("keyring-production.json"))).toMatchObject({ ok: true });
    for (const file of ["root-key.txt", "keyring-production.json"])
      expect(statSync(join(project.root, file)).mode & 0o777).toBe(0o600);
  });

  it("shows the root key once where somebody sees it, and refuses where a log would", async () => {
    const unseen = makeProject(definitions);
    expect(codeOf(await unseen.setup([], { seen: false }))).toBe("root_key_unseen");
    expect(unseen.account.read().workers).toEqual({});
    const project = makeProject(definitions);
    await project.setup();
    const shown = project.said.join("\n").match(/^ {2}([\w-]{43})$/gm) ?? [];
    expect(shown).toHaveLength(1);
    expect(hashOf((shown[0] ?? "").trim())).toBe(project.worker().secrets["ROOT_API_KEY"]);
  });

  it("makes the database where it must stay, and never moves it", async () => {
    const project = makeProject(definitions);
    await project.setup([...FILES, "--d1-jurisdiction", "eu"]);
    expect(project.account.read().databases[0]?.place).toBe("jurisdiction:eu");
    expect(codeOf(await project.setup(["--d1-location", "weur"]))).toBe("setting_fixed");
    const hinted = makeProject(definitions);
    await hinted.setup([...FILES, "--d1-location", "weur"]);
    expect(hinted.account.read().databases[0]?.place).toBe("location:weur");
  });

  it("asks a person for what no option says, and takes what is proposed", async () => {
    const project = makeProject(definitions);
    const asked: string[] = [];
    const answers: Record<string, string> = { "A host name": "flows.example.com", "Must the database": "eu" };
    await project.setup(FILES, {
      ask: async (question, proposed) => {
        asked.push(question);
        return Object.entries(answers).find(([begin]) => question.startsWith(begin))?.[1] ?? proposed;
      },
    });
    expect(asked).toHaveLength(3);
    expect(project.settings()).toMatchObject({
      ...{ name: "showcaller", domain: "flows.example.com", issuer: "https://flows.example.com" },
      database_place: "jurisdiction:eu",
    });
    await project.setup([], { ask: async () => expect.unreachable() });
  });
});

describe("a set-up that is run again", () => {
  it("changes nothing, prints no secret, and asks the account only to look", async () => {
    const project = makeProject(definitions);
    await project.setup(FILES);
    const before = {
      stored: project.account.read(),
      files: project.files(),
      changes: changing(project).length,
    };
    project.said.length = 0;
    expect(codeOf(await project.setup(FILES))).toBe("done");
    expect(project.account.read()).toEqual(before.stored);
    expect(project.files()).toEqual(before.files);
    expect(changing(project)).toHaveLength(before.changes);
    expect(project.said.join("\n")).toContain("SERVER_KEY: kept; it is never replaced");
    expect(project.said.join("\n")).not.toMatch(/[\w-]{43}/);
  });

  it("leaves a root key away that was taken away, and replaces it, and only it, when that is asked for", async () => {
    const project = makeProject(definitions);
    await project.setup(FILES);
    const { workers } = project.account.read();
    const { ROOT_API_KEY: old, ...rest } = project.worker().secrets;
    project.account.change({ workers: { ...workers, showcaller: { ...project.worker(), secrets: rest } } });
    expect(codeOf(await project.setup())).toBe("done");
    expect(project.worker().secrets).toEqual(rest);
    // The file holds the old one: it would be no change at all.
    expect(codeOf(await project.setup([...FILES, "--new-root-key"]))).toBe("root_key_file");
    expect(codeOf(await project.setup(["--new-root-key", "--root-key-file", "root-key-2.txt"]))).toBe("done");
    const { ROOT_API_KEY: fresh, ...others } = project.worker().secrets;
    expect(others).toEqual(rest);
    expect(fresh).toBe(hashOf(project.file("root-key-2.txt").trim()));
    expect(fresh).not.toBe(old);
  });

  it("makes no other SERVER_KEY and no other KEYRING when they are gone; the keyring can come back from the safe", async () => {
    const project = makeProject(definitions);
    await project.setup(FILES);
    const all = project.worker();
    const without = (name: string): void =>
      project.account.change({
        workers: {
          showcaller: {
            ...all,
            secrets: Object.fromEntries(Object.entries(all.secrets).filter(([key]) => key !== name)),
          },
        },
      });
    without("SERVER_KEY");
    expect(codeOf(await project.setup(FILES))).toBe("secrets_gone");
    without("KEYRING");
    expect(codeOf(await project.setup(FILES))).toBe("secrets_gone");
    expect(codeOf(await project.setup([...FILES, "--keyring-file", "nothing-there.json"]))).toBe(
      "secrets_gone",
    );
    expect(codeOf(await project.setup([...FILES, "--keyring-file", "keyring-production.json"]))).toBe("done");
    expect(project.worker().secrets).toEqual(all.secrets);
    project.account.change({ workers: {} });
    expect(codeOf(await project.setup(FILES))).toBe("secrets_gone");
    expect(project.account.read().workers).toEqual({});
  });

  it("takes up a deployment whose settings were lost, as it is", async () => {
    const project = makeProject(definitions);
    await project.setup(FILES);
    await project.deploy();
    const before = { settings: project.settings(), stored: project.account.read() };
    rmSync(join(project.root, "deploy"), { recursive: true });
    expect(codeOf(await project.setup())).toBe("done");
    const { database_asked_at: _, ...was } = before.settings;
    expect(project.settings()).toMatchObject(was);
    expect(project.account.read()).toEqual(before.stored);
  });
});

describe("a set-up that was interrupted", () => {
  it("goes on where it stopped, after every call, whether that had its effect or not: one database, secrets once", async () => {
    const calls = await countCalls();
    expect(calls).toBeGreaterThan(5);
    for (let n = 0; n < calls; n += 1) {
      for (const failHow of ["before", "after"] as const) {
        const project = makeProject(definitions);
        project.account.change({ failAfter: n, failHow });
        const first = await project.setup([...FILES, "--d1-jurisdiction", "eu"]);
        expect(first.ok, `${n} ${failHow}`).toBe(false);
        const made = { ...project.worker().secrets };
        project.account.change({ failAfter: null });
        expect(codeOf(await project.setup([...FILES, "--d1-jurisdiction", "eu"])), `${n} ${failHow}`).toBe(
          "done",
        );
        const { databases, workers } = project.account.read();
        expect(databases).toHaveLength(1);
        expect(databases[0]?.place).toBe("jurisdiction:eu");
        expect(Object.keys(workers)).toEqual(["showcaller"]);
        expect(project.worker().secrets, `${n} ${failHow}`).toMatchObject(made);
        expect(Object.keys(project.worker().secrets).sort()).toEqual(SECRETS);
        // What is in the files is what is in force, whenever it stopped.
        expect(project.worker().secrets["KEYRING"]).toBe(
          hashOf(project.file("keyring-production.json").trim()),
        );
        expect(project.worker().secrets["ROOT_API_KEY"]).toBe(hashOf(project.file("root-key.txt").trim()));
      }
    }
  });

  async function countCalls(): Promise<number> {
    const project = makeProject(definitions);
    await project.setup(FILES);
    return project.account.calls().length;
  }

  it("never takes a failure for an answer: where the secrets cannot be listed, none is set", async () => {
    const project = makeProject(definitions);
    await project.setup(FILES);
    const { secrets } = project.worker();
    const at = project.account.calls().findIndex((args) => args[0] === "secret" && args[1] === "list");
    project.account.change({ failAfter: at, failHow: "before" });
    expect(codeOf(await project.setup(FILES))).toBe("secrets_unknown");
    expect(project.worker().secrets).toEqual(secrets);
  });
});

describe("what stands in the way", () => {
  it("is said by a code, with what to do, and nothing was made", async () => {
    const cases: readonly (readonly [
      code: string,
      change: (project: Project) => void,
      args: readonly string[],
    ])[] = [
      ["not_logged_in", ({ account }) => account.change({ loggedIn: false }), FILES],
      ["account_unclear", ({ account }) => account.change({ accounts: two() }), FILES],
      ["account_foreign", () => undefined, [...FILES, "--account", "f".repeat(32)]],
      ["config_incomplete", ({ root }) => writeFileSync(join(root, "wrangler.toml"), 'name = "x"\n'), FILES],
      [
        "config_environments",
        ({ root, file }) =>
          writeFileSync(join(root, "wrangler.toml"), `${file("wrangler.toml")}\n[env.staging]\n`),
        FILES,
      ],
      ["database_foreign", ({ account }) => account.change({ databases: [old(7)] }), FILES],
      [
        "database_foreign",
        ({ account }) => account.change({ databases: [old(0)] }),
        [...FILES, "--d1-jurisdiction", "eu"],
      ],
      ["database_gone", () => undefined, [...FILES, "--d1-id", "00000000-0000-4000-8000-000000000000"]],
    ];
    for (const [code, change, args] of cases) {
      const project = makeProject(definitions);
      change(project);
      const refused = await project.setup(args);
      expect(codeOf(refused)).toBe(code);
      expect(refused.ok || refused.complaint.todo.length).toBeGreaterThan(10);
      expect(changing(project)).toEqual([]);
    }
  });

  it("is a settings file that is damaged, or a keyring file that is none: neither is overwritten", async () => {
    const project = makeProject(definitions);
    writeFileSync(join(project.root, "keyring-production.json"), "my notes\n");
    expect(codeOf(await project.setup(FILES))).toBe("keyring_file");
    expect(project.file("keyring-production.json")).toBe("my notes\n");
    expect(project.worker().secrets).toEqual({});
    writeFileSync(join(project.root, "deploy/production.json"), "{");
    expect(codeOf(await project.setup(FILES))).toBe("settings_damaged");
    expect(project.file("deploy/production.json")).toBe("{");
  });

  it("is not an empty database of the name, nor one that is named by its id", async () => {
    const empty = makeProject(definitions);
    empty.account.change({ databases: [old(0)] });
    expect(codeOf(await empty.setup(FILES))).toBe("done");
    const named = makeProject(definitions);
    named.account.change({ databases: [old(7)] });
    expect(codeOf(await named.setup([...FILES, "--d1-id", old(7).uuid]))).toBe("done");
    for (const { account, settings } of [empty, named]) {
      expect(account.read().databases).toHaveLength(1);
      expect(settings().database_id).toBe(old(0).uuid);
    }
  });

  function two() {
    return [...emptyAccount().accounts, { id: "f".repeat(32), name: "Other" }];
  }

  function old(tables: number) {
    const uuid = "11111111-1111-4111-8111-111111111111";
    return {
      uuid,
      name: "showcaller",
      created_at: "2026-01-01T00:00:00.000Z",
      place: "",
      tables,
      migrations: [],
    };
  }
});

describe("environments", () => {
  it("stand side by side, and share no Worker, no database, no secret", async () => {
    const project = makeProject(definitions);
    await project.setup(FILES);
    await project.setup(["--env", "staging", "--root-key-file", "root-key-staging.txt"]);
    const { workers, databases } = project.account.read();
    expect(Object.keys(workers)).toEqual(["showcaller", "showcaller-staging"]);
    expect(databases.map(({ name }) => name)).toEqual(["showcaller", "showcaller-staging"]);
    const hashes = Object.values(workers).flatMap(({ secrets }) => Object.values(secrets));
    expect(new Set(hashes).size).toBe(6);
    expect(project.settings("staging")).toMatchObject({
      environment: "staging",
      database: "showcaller-staging",
    });
  });

  it("are refused where they would share one", async () => {
    const project = makeProject(definitions);
    await project.setup(FILES);
    for (const args of [
      ["--name", "showcaller"],
      ["--d1-name", "showcaller"],
    ])
      expect(codeOf(await project.setup(["--env", "staging", ...FILES, ...args]))).toBe(
        "environments_overlap",
      );
    expect(Object.keys(project.account.read().workers)).toEqual(["showcaller"]);
    expect(existsSync(join(project.root, "deploy/staging.json"))).toBe(false);
  });
});

describe("a file for a secret", () => {
  it("that others can read is closed to them, and one that cannot be written stops the set-up before anything is set", async () => {
    const project = makeProject(definitions);
    writeFileSync(join(project.root, "root-key.txt"), `${"k".repeat(40)}\n`);
    chmodSync(join(project.root, "root-key.txt"), 0o644);
    await project.setup(FILES);
    expect(statSync(join(project.root, "root-key.txt")).mode & 0o777).toBe(0o600);
    expect(project.worker().secrets["ROOT_API_KEY"]).toBe(
      hashOf(readFileSync(join(project.root, "root-key.txt"), "utf8").trim()),
    );
    const nowhere = makeProject(definitions);
    expect(codeOf(await nowhere.setup(["--root-key-file", "no/such/folder/key"]))).toBe("secret_file");
    expect(nowhere.worker().secrets).toEqual({});
  });
});
