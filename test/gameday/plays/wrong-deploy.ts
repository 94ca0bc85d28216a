/** Deploys that should not have been: with a workflow that is none, without a secret, without a migration. Each is taken back. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { build, type Build, migrateDatabase, REPOSITORY } from "../../dev-server/index.ts";
import type { Stage } from "../stage.ts";
import { claim, House, until, type Play } from "./common.ts";

const HOLD = { steps: { hold: { action: "wait", with: { signal: "go", timeout: "2h" } } } };
const SECRET = { sensitive: ["input"], ...HOLD };

export const wrongDeploy: Play = async (stage) => {
  const house = new House(stage);
  await house.up(stage.old);
  await house.furnish({ hold: HOLD, secret: SECRET });
  const [one, two, sealed] = await Promise.all([house.run("hold"), house.run("hold"), house.run("secret")]);
  await until("they wait", async () => (await house.view(sealed)).status === "waiting");

  // Without its migrations: today's build on the database of the last release.
  await house.restart(stage.next);
  const early = await house.health();
  const database = early.checks.find(({ name }) => name === "database");
  claim(database?.ok === false, "health says that migrations are missing");
  await house.call("POST", `/v1/runs/${one}/signals/go`, { id: "1", payload: {} });
  await until("runs go on all the same", () => stage.sink.hasEnded(one));
  await migrateDatabase(stage.next.config, stage.state);
  const migratedMs = await until("health is well", async () => (await house.health()).status === "ok");

  // Without a secret.
  const keyring = stage.secrets.KEYRING;
  stage.secrets.KEYRING = "";
  await house.restart(stage.next);
  const bare = await house.health();
  claim(
    bare.checks.some(({ name, ok }) => name === "keyring" && !ok),
    "health says that the keyring is not there",
  );
  const locked = await house.status("GET", `/v1/runs/${sealed}`);
  claim(locked.status === 503, "a confidential run does not open");
  const start = await house.status("POST", "/v1/runs", house.keys.admin, { workflow: "secret" });
  claim(start.status === 503, "and none is started");
  claim((await house.view(two)).status === "waiting", "all others are there");
  const lockedLog = house.logged("run_key_not_opened");
  stage.secrets.KEYRING = keyring;
  await house.restart(stage.next);
  const unlockedMs = await until(
    "the confidential run opens",
    async () => (await house.status("GET", `/v1/runs/${sealed}`)).status === 200,
    90_000,
  );

  // A workflow that is none: the Worker cannot start, and a deploy is refused for it; locally every request fails.
  const twice = await buildTwice(stage);
  await house.kill();
  const began = await house.up(twice).then(
    async () => (await fetch(`${house.caller.url}/healthz`)).status,
    (error: unknown) => String(error).slice(0, 80),
  );
  claim(began !== 200, "a Worker with a workflow twice does not answer");
  await house.kill();
  await house.up(stage.next);
  await house.call("POST", `/v1/runs/${two}/signals/go`, { id: "1", payload: {} });
  const backMs = await until("taken back, runs go on", () => stage.sink.hasEnded(two));
  await house.kill();
  return { database: database?.detail, migratedMs, lockedLog, unlockedMs, badBuild: began, backMs };
};

/** A build whose workflows have one name twice. */
async function buildTwice({ next, folder }: Stage): Promise<Build> {
  const inside = join(folder, "twice");
  await mkdir(inside);
  const from = (file: string): string => JSON.stringify(join(REPOSITORY, file));
  const main = join(inside, "worker.ts");
  const lines = [
    `export * from ${from("test/gameday/worker.ts")};`,
    `import { compose } from ${from("src/compose.ts")};`,
    `import { workflows } from ${from("src/workflows/index.ts")};`,
    "const house = compose([...workflows, ...workflows]);",
    "export default { fetch: house.fetch };",
  ];
  await writeFile(main, lines.join("\n"));
  const config = join(inside, "wrangler.json");
  const known = JSON.parse(await readFile(next.config, "utf8")) as Record<string, unknown>;
  await writeFile(config, JSON.stringify({ ...known, main }));
  return build(config, join(inside, "bundle"));
}
