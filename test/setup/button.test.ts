/** What the "Deploy to Cloudflare" button and a deploy of any environment need of the project itself. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseEnv } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checkRootKey } from "../../src/access/deps.ts";
import { Account } from "../../src/cli/account.ts";
import { environmentConfig, readProject, writeConfig } from "../../src/cli/deploy-config.ts";
import type { Settings } from "../../src/cli/deploy-settings.ts";
import { createWrangler } from "../../src/cli/wrangler.ts";
import { fromBase64 } from "../../src/platform/encoding.ts";
import { parseKeyring } from "../../src/vault/keyring.ts";
import { ACCOUNT } from "./stand-in.ts";

const ROOT = join(import.meta.dirname, "../..");
const BUILD_MS = 60_000;

interface Manifest {
  readonly scripts: Readonly<Record<string, string>>;
  readonly cloudflare: { readonly bindings: Readonly<Record<string, { readonly description: string }>> };
}
const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as Manifest;
const { bindings } = manifest.cloudflare;

function project() {
  const read = readProject(ROOT);
  if (!read.ok) throw new Error(read.complaint.what);
  return read.value;
}

/** What the command in a description prints. */
function printedBy(name: string): string {
  const command = /`((?:openssl|printf) [^`]+)`/.exec(bindings[name]?.description ?? "")?.[1] ?? "exit 1";
  return execFileSync("/bin/sh", ["-c", command], { encoding: "utf8" }).trim();
}

describe("the deploy button", () => {
  it("is told in words what every binding and every secret is, and of nothing that there is not", () => {
    const { config, required } = project();
    const objects = (config["durable_objects"] as { bindings: { name: string }[] }).bindings.map(
      ({ name }) => name,
    );
    const databases = (config["d1_databases"] as { binding: string }[]).map(({ binding }) => binding);
    const version = (config["version_metadata"] as { binding: string }).binding;
    expect(Object.keys(bindings).sort()).toEqual(
      [...objects, ...databases, version, ...required, "ROOT_API_KEY"].sort(),
    );
    for (const { description } of Object.values(bindings)) expect(description.length).toBeGreaterThan(15);
  });

  it("asks for each secret by name, and proposes no value: one that stands in a public file would be no secret", () => {
    const asked = parseEnv(readFileSync(join(ROOT, ".dev.vars.example"), "utf8"));
    expect(Object.keys(asked).sort()).toEqual([...project().required, "ROOT_API_KEY"].sort());
    expect(Object.values(asked)).toEqual(Object.values(asked).map(() => ""));
  });

  it("says commands that print what the Worker takes, another one each time", () => {
    expect(fromBase64(printedBy("SERVER_KEY"))).toHaveLength(32);
    expect(checkRootKey(printedBy("ROOT_API_KEY"))).toHaveLength(43);
    expect(parseKeyring(printedBy("KEYRING"))).toMatchObject({ ok: true });
    expect(printedBy("KEYRING")).not.toBe(printedBy("KEYRING"));
  });

  it("runs our deploy, and finds default names for what it makes", () => {
    expect(manifest.scripts["deploy"]).toBe("node src/cli/launch.js deploy");
    const { name, database } = project();
    expect([name, database["database_name"]]).toEqual(["showcaller", "showcaller"]);
    expect(manifest.scripts["build"]).toBeUndefined();
  });
});

describe("the configuration of an environment", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "showcaller-environments-"));
  });
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  const production: Settings = {
    ...{ name: "showcaller", account: ACCOUNT, database: "showcaller", environment: "production" },
    ...{ database_id: "11111111-1111-4111-8111-111111111111", domain: "flows.example.com" },
    ...{ workers_dev: "showcaller.acme.workers.dev", issuer: "https://showcaller.acme.workers.dev" },
    vars: { CALLS_PER_EVENT: "40" },
  };
  const staging: Settings = {
    ...{
      name: "showcaller-staging",
      account: ACCOUNT,
      database: "showcaller-staging",
      environment: "staging",
    },
    database_id: "22222222-2222-4222-8222-222222222222",
  };

  it("has everything of wrangler.toml, and differs from it only in what its settings say", () => {
    const { config } = project();
    for (const settings of [production, staging]) {
      const made = environmentConfig(project(), settings, ROOT);
      const changed = [
        "name",
        "main",
        "account_id",
        "vars",
        "workers_dev",
        "preview_urls",
        "routes",
        "d1_databases",
      ];
      const rest = (all: Readonly<Record<string, unknown>>): unknown =>
        Object.fromEntries(Object.entries(all).filter(([key]) => !changed.includes(key)));
      expect(rest(made)).toEqual(rest(config));
      expect(Object.keys(rest(config) as object).length).toBeGreaterThan(8);
    }
    expect(environmentConfig(project(), production, ROOT)).toMatchObject({
      ...{ name: "showcaller", workers_dev: true, preview_urls: false },
      routes: [{ pattern: "flows.example.com", custom_domain: true }],
      vars: { CALLS_PER_EVENT: "40", ENVIRONMENT: "production", PUBLIC_ORIGIN: "https://flows.example.com" },
    });
  });

  it(
    "is taken by the real wrangler, without a warning, for production and for staging, and bundles the Worker",
    async () => {
      for (const settings of [production, staging]) {
        const path = writeConfig(folder, settings.environment, environmentConfig(project(), settings, ROOT));
        const run = createWrangler(ROOT, join(ROOT, "node_modules/wrangler/bin/wrangler.js"), process.env);
        const said: string[] = [];
        const account = new Account(async (args, input) => {
          const ran = await run(args, input);
          said.push(`${ran.stdout}${ran.stderr}`);
          return ran;
        }, path);
        const out = join(folder, settings.environment);
        expect(await account.bundle(out)).toEqual({ ok: true, value: null });
        expect(readFileSync(join(out, "worker.js"), "utf8").length).toBeGreaterThan(500_000);
        expect(said.join("\n")).not.toMatch(/warning/i);
        expect(said.join("\n")).toContain(
          settings.environment === "production" ? "flows.example.com" : '"staging"',
        );
      }
    },
    BUILD_MS,
  );
});
