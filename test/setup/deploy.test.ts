/** `npm run deploy`, against an account that is a stand-in and a wrangler that checks every argument. */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import type { Definitions } from "./command-line.ts";
import { realDefinitions } from "./definitions.ts";
import { hostsOf } from "./hosts.ts";
import { makeProject, type Project } from "./project.ts";

const FILES = ["--root-key-file", "root-key.txt"] as const;
const HERE = "https://showcaller.acme.workers.dev";

let definitions: Definitions;
beforeAll(() => {
  definitions = realDefinitions();
});

function codeOf(outcome: { readonly ok: boolean; readonly complaint?: { readonly code?: string } }): string {
  return outcome.ok ? "done" : (outcome.complaint?.code ?? "no code");
}

async function ready(...args: readonly string[]): Promise<Project> {
  const project = makeProject(definitions);
  expect(codeOf(await project.setup([...FILES, ...args]))).toBe("done");
  return project;
}

/** The commands since the last look that change an account. */
function changing(project: Project, since = 0): readonly string[] {
  return project.account
    .calls()
    .slice(since)
    .map((args) => args.slice(0, 2).join(" "))
    .filter((line) => /^(?:deploy --config|deploy --durable|d1 migrations|d1 create|secret bulk)/.test(line));
}

function migrations(project: Project): readonly string[] {
  return project.account.read().databases[0]?.migrations ?? [];
}

describe("a first deploy", () => {
  it("migrates, deploys, learns its address, tells the Worker who it is, and writes that down", async () => {
    const project = await ready();
    const done = await project.deploy();
    const version = project.running();
    expect(done).toEqual({ ok: true, value: { address: HERE, issuer: HERE, version: version.id } });
    expect(version.vars).toMatchObject({
      ...{ PUBLIC_ORIGIN: HERE, ISSUER_ORIGIN: HERE, OWN_HOSTS: "showcaller.acme.workers.dev" },
      ENVIRONMENT: "production",
    });
    expect(migrations(project).length).toBeGreaterThan(10);
    expect(project.settings()).toMatchObject({ workers_dev: "showcaller.acme.workers.dev", issuer: HERE });
    expect(changing(project)).toEqual([
      "d1 create",
      "secret bulk",
      "d1 migrations",
      "deploy --config",
      "deploy --config",
    ]);
  });

  it("with a domain knows its address before, is deployed once, and has no second name under workers.dev", async () => {
    const project = await ready("--domain", "flows.example.com");
    const done = await project.deploy();
    const origin = "https://flows.example.com";
    expect(done).toMatchObject({ ok: true, value: { address: origin, issuer: origin } });
    expect(project.running()).toMatchObject({ domains: ["flows.example.com"], workersDev: false });
    expect(project.running().vars["OWN_HOSTS"]).toBe("flows.example.com");
    expect(changing(project).filter((line) => line.startsWith("deploy"))).toHaveLength(1);
  });

  it("that was interrupted goes on, after every call, whether that had its effect or not", async () => {
    const counted = await ready();
    const before = counted.account.calls().length;
    await counted.deploy();
    const calls = counted.account.calls().length - before;
    expect(calls).toBeGreaterThan(5);
    for (let n = 0; n < calls; n += 1) {
      for (const failHow of ["before", "after"] as const) {
        const project = await ready();
        const { secrets } = project.worker();
        project.account.change({ failAfter: n, failHow });
        expect((await project.deploy()).ok, `${n} ${failHow}`).toBe(false);
        project.account.change({ failAfter: null });
        expect(await project.deploy(), `${n} ${failHow}`).toMatchObject({
          ok: true,
          value: { address: HERE, issuer: HERE },
        });
        expect(project.running().vars).toMatchObject({ PUBLIC_ORIGIN: HERE, ISSUER_ORIGIN: HERE });
        expect(project.worker().secrets).toEqual(secrets);
        expect(project.account.read().databases).toHaveLength(1);
      }
    }
  });
});

describe("a deploy that is run again", () => {
  it("is one deploy with the same variables, and leaves settings and secrets alone", async () => {
    const project = await ready();
    await project.deploy();
    const before = {
      vars: project.running().vars,
      files: project.files(),
      calls: project.account.calls().length,
    };
    expect(codeOf(await project.deploy())).toBe("done");
    expect(project.running().vars).toEqual(before.vars);
    expect(project.files()).toEqual(before.files);
    expect(changing(project, before.calls)).toEqual(["d1 migrations", "deploy --config"]);
  });

  it("is one deploy as well where the settings do not know the address, as in builds from what was checked in before the first", async () => {
    const project = await ready();
    const checkedIn = project.settings();
    await project.deploy();
    const { vars } = project.running();
    writeFileSync(join(project.root, "deploy/production.json"), JSON.stringify(checkedIn));
    const calls = project.account.calls().length;
    expect(codeOf(await project.deploy())).toBe("done");
    expect(project.running().vars).toEqual(vars);
    expect(changing(project, calls)).toEqual(["d1 migrations", "deploy --config"]);
  });

  it("says to the platform when running objects get the new code, where that is asked for", async () => {
    const project = await ready();
    await project.deploy(["--code-update", "deferred:30s"]);
    expect(project.running().codeUpdate).toBe("deferred 30s");
    await project.deploy(["--code-update", "immediate"]);
    expect(project.running().codeUpdate).toBe("immediate");
    await project.deploy();
    expect(project.running().codeUpdate).toBeNull();
    expect((await project.deploy(["--code-update", "soon"])).ok).toBe(false);
    for (const tooLong of ["deferred:30h", "deferred:1441m"])
      expect((await project.deploy(["--code-update", tooLong])).ok).toBe(false);
  });
});

describe("before anything is changed", () => {
  it("a missing set-up, missing secrets, types that are not clean and a bundle that cannot be made are seen", async () => {
    const cases: readonly (readonly [code: string, change: (project: Project) => void])[] = [
      ["not_set_up", ({ root }) => rmSync(join(root, "deploy"), { recursive: true })],
      ["secrets_missing", ({ account }) => account.change({ workers: {} })],
      [
        "secrets_missing",
        ({ account, worker }) =>
          account.change({ workers: { showcaller: { ...worker(), secrets: { SERVER_KEY: "there" } } } }),
      ],
      ["not_logged_in", ({ account }) => account.change({ loggedIn: false })],
    ];
    for (const [code, change] of cases) {
      const project = await ready();
      change(project);
      const { calls } = { calls: project.account.calls().length };
      expect(codeOf(await project.deploy())).toBe(code);
      expect(changing(project, calls)).toEqual([]);
    }
    const project = await ready();
    const calls = project.account.calls().length;
    const complaint = { what: "no", todo: "mend", code: "types_not_clean" };
    expect(codeOf(await project.deploy([], { types: async () => ({ ok: false, complaint }) }))).toBe(
      "types_not_clean",
    );
    project.account.change({ failAfter: 0 });
    expect(codeOf(await project.deploy())).toBe("bundle_failed");
    project.account.change({ failAfter: null });
    expect(changing(project, calls)).toEqual([]);
    expect(codeOf(await project.deploy(["--env", "staging"]))).toBe("not_set_up");
  });

  it("a dry run checks and bundles, and asks no account", async () => {
    const project = await ready();
    project.account.change({ loggedIn: false });
    const calls = project.account.calls().length;
    expect(await project.deploy(["--dry-run"])).toEqual({ ok: true, value: null });
    expect(
      project.account
        .calls()
        .slice(calls)
        .map((args) => args.slice(0, 2)),
    ).toEqual([["deploy", "--dry-run"]]);
  });
});

describe("when a step fails", () => {
  it("a failed migration stops the deploy: the code that ran goes on, and the next deploy goes on with the migrations", async () => {
    const project = await ready();
    await project.deploy();
    const { id } = project.running();
    writeFileSync(join(project.root, "migrations/9998_good.sql"), "SELECT 1;\n");
    writeFileSync(join(project.root, "migrations/9999_bad.sql"), "INSERT INTO nothing VALUES (1);\n");
    project.account.change({ badMigration: "9999_bad.sql" });
    expect(codeOf(await project.deploy())).toBe("migration_failed");
    expect(project.running().id).toBe(id);
    expect(project.said.join("\n")).toContain("no such table: nothing");
    expect(migrations(project).at(-1)).toBe("9998_good.sql");
    project.account.change({ badMigration: null });
    expect(codeOf(await project.deploy())).toBe("done");
    expect(migrations(project).at(-1)).toBe("9999_bad.sql");
  });

  it("a deployment that does not answer, is not well, or does not know the root key, is no success", async () => {
    const project = await ready();
    const answered = (status: number, body: unknown) => async () => Response.json(body, { status });
    const asks: string[] = [];
    const health = (fetch: () => Promise<Response>) => ({
      health: {
        fetch: async (url: string, init: RequestInit) => {
          asks.push(`${new URL(url).pathname} ${new Headers(init.headers).get("authorization") ?? ""}`);
          return url.endsWith("/healthz") && asks.length === 1 ? Response.json({ status: "ok" }) : fetch();
        },
        rootKey: "root",
        pause: async () => undefined,
      },
    });
    const failing = {
      status: "failing",
      checks: [{ name: "keyring", ok: false, detail: "Put the right one back." }],
    };
    expect(codeOf(await project.deploy([], health(answered(200, failing))))).toBe("health_failing");
    expect(project.said.join("\n")).toContain("NOT WELL: keyring");
    expect(asks).toEqual(["/healthz ", "/v1/health Bearer root"]);
    asks.length = 0;
    expect(codeOf(await project.deploy([], health(answered(401, {}))))).toBe("health_refused");
    expect(codeOf(await project.deploy([], health(answered(500, {}))))).toBe("health_unreachable");
  });

  it("a new domain gets its time: it is asked again until it answers", async () => {
    const project = await ready("--domain", "flows.example.com");
    let waits = 0;
    const fetch: ReturnType<typeof hostsOf> = async (url, init) => {
      if (waits < 10) throw new TypeError("fetch failed");
      return hostsOf(project.account)(url, init);
    };
    const health = { fetch, rootKey: undefined, pause: async () => void (waits += 1) };
    expect(codeOf(await project.deploy([], { health }))).toBe("done");
    expect(waits).toBe(10);
  });
});

describe("the issuer", () => {
  it("stays when a domain comes later: the address changes, and the old host name still leads here", async () => {
    const project = await ready();
    await project.deploy();
    expect(codeOf(await project.setup(["--domain", "flows.example.com"]))).toBe("done");
    const done = await project.deploy();
    expect(done).toMatchObject({ ok: true, value: { address: "https://flows.example.com", issuer: HERE } });
    expect(project.running()).toMatchObject({ workersDev: true, domains: ["flows.example.com"] });
    expect(project.running().vars["OWN_HOSTS"]?.split(",").sort()).toEqual([
      "flows.example.com",
      "showcaller.acme.workers.dev",
    ]);
  });

  it("stays when the domain is replaced by another one: both lead here", async () => {
    const project = await ready("--domain", "flows.example.com");
    await project.deploy();
    await project.setup(["--domain", "runs.example.com"]);
    await project.deploy();
    expect(project.running().domains).toEqual(["runs.example.com", "flows.example.com"]);
    expect(project.running().vars).toMatchObject({
      ISSUER_ORIGIN: "https://flows.example.com",
      PUBLIC_ORIGIN: "https://runs.example.com",
    });
  });

  it("can be a host name of its own from the start", async () => {
    const project = await ready("--domain", "flows.example.com", "--issuer", "https://id.example.com");
    await project.deploy();
    expect(project.running().domains).toEqual(["flows.example.com", "id.example.com"]);
    expect(project.running().vars["ISSUER_ORIGIN"]).toBe("https://id.example.com");
  });

  it("is refused to change, by the set-up and by the deploy, also when the settings say otherwise or are gone", async () => {
    const project = await ready();
    await project.deploy();
    const other = "https://id.example.com";
    expect(codeOf(await project.setup(["--issuer", other]))).toBe("issuer_fixed");
    const calls = project.account.calls().length;
    const path = join(project.root, "deploy/production.json");
    writeFileSync(path, JSON.stringify({ ...project.settings(), issuer: other }));
    expect(codeOf(await project.deploy())).toBe("issuer_fixed");
    expect(changing(project, calls)).toEqual([]);
    rmSync(path);
    expect(codeOf(await project.setup(["--issuer", other]))).toBe("issuer_fixed");
    expect(codeOf(await project.setup())).toBe("done");
    expect(project.settings().issuer).toBe(HERE);
  });

  it("changes where that is said aloud, to both", async () => {
    const project = await ready();
    await project.deploy();
    const other = "https://id.example.com";
    expect(codeOf(await project.setup(["--issuer", other, "--unsafe-change-issuer"]))).toBe("done");
    expect(codeOf(await project.deploy())).toBe("issuer_fixed");
    expect(codeOf(await project.deploy(["--unsafe-change-issuer"]))).toBe("done");
    expect(project.running().vars["ISSUER_ORIGIN"]).toBe(other);
  });
});

describe("staging beside production", () => {
  it("deploys to its own Worker and database, under its own name and issuer", async () => {
    const project = await ready();
    await project.setup(["--env", "staging", "--root-key-file", "root-key-staging.txt"]);
    await project.deploy();
    const production = project.worker();
    const done = await project.deploy(["--env", "staging"]);
    expect(done).toMatchObject({
      ok: true,
      value: { address: "https://showcaller-staging.acme.workers.dev" },
    });
    expect(project.worker()).toEqual(production);
    const staging = project.running("showcaller-staging");
    expect(staging.vars).toMatchObject({
      ENVIRONMENT: "staging",
      ISSUER_ORIGIN: "https://showcaller-staging.acme.workers.dev",
    });
    expect(staging.database).not.toBe(project.running().database);
    expect(project.account.read().databases.map(({ migrations: all }) => all.length > 0)).toEqual([
      true,
      true,
    ]);
  });
});

describe("a build of the deploy button", () => {
  /** As the button leaves it: a Worker with the secrets of the form, no settings, nobody to ask. */
  async function pressed(): Promise<Project> {
    const project = makeProject(definitions);
    const secrets = { SERVER_KEY: "s", KEYRING: "k", ROOT_API_KEY: "r" };
    project.account.change({ workers: { showcaller: { secrets, versions: [] } } });
    return project;
  }

  it("makes the database where there is none, deploys, learns the address, and asks nothing", async () => {
    const project = await pressed();
    const done = await project.deploy([], { unattended: true });
    expect(done).toMatchObject({ ok: true, value: { address: HERE, issuer: HERE } });
    expect(project.account.read().databases.map(({ name }) => name)).toEqual(["showcaller"]);
    expect(migrations(project).length).toBeGreaterThan(10);
  });

  it("keeps the issuer and the database in every later build, with one deploy each", async () => {
    const project = await pressed();
    await project.deploy([], { unattended: true });
    const { vars, database } = project.running();
    const calls = project.account.calls().length;
    expect(codeOf(await project.deploy([], { unattended: true }))).toBe("done");
    expect(project.running()).toMatchObject({ vars, database });
    expect(changing(project, calls)).toEqual(["d1 migrations", "deploy --config"]);
  });

  it("takes name and id that the button has written into wrangler.toml", async () => {
    const project = await pressed();
    const database = {
      uuid: "22222222-2222-4222-8222-222222222222",
      name: "mine",
      created_at: "2026-01-01",
      place: "",
    };
    project.account.change({
      databases: [{ ...database, tables: 0, migrations: [] }],
      workers: { mine: project.worker() },
    });
    const toml = project
      .file("wrangler.toml")
      .replace('name = "showcaller"', 'name = "mine"')
      .replace('database_name = "showcaller"', `database_name = "mine"\ndatabase_id = "${database.uuid}"`);
    writeFileSync(join(project.root, "wrangler.toml"), toml);
    expect(codeOf(await project.deploy([], { unattended: true }))).toBe("done");
    expect(project.running("mine").database).toBe(database.uuid);
    expect(project.account.read().databases).toHaveLength(1);
  });

  it("without the secrets of the form ends before anything is changed, and says which", async () => {
    const project = makeProject(definitions);
    project.account.change({ workers: { showcaller: { secrets: { SERVER_KEY: "s" }, versions: [] } } });
    const refused = await project.deploy([], { unattended: true });
    expect(codeOf(refused)).toBe("secrets_missing");
    expect(project.said.join("\n")).toContain("KEYRING");
    expect(changing(project)).toEqual([]);
  });
});
