import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Explanation } from "../../src/run/explain/explanation.ts";
import type { EventsPage, RunView } from "../../src/run/rpc.ts";
import {
  build,
  migrateDatabase,
  REPOSITORY,
  startServer,
  writeVariables,
  type Build,
  type Server,
} from "../dev-server/index.ts";
import { Given } from "../dev-server/given.ts";
import { serviceTokens, startWorld, type World } from "../world/index.ts";

const CONFIG = join(import.meta.dirname, "wrangler.toml");
const RUN = "run_deploytest";
const START_MS = 120_000;

let folder: string;
let world: World;
let builds: { readonly old: Build; readonly new: Build };
let server: Server | null = null;
const given = new Given();
const lines: string[] = [];

/** Ends the build that runs, as a deploy does, and starts another on the same storage. */
async function deploy(which: "old" | "new"): Promise<void> {
  await server?.kill();
  const variables = join(folder, "variables.env");
  const values = {
    SERVER_KEY: Buffer.alloc(32, 7).toString("base64"),
    KEYRING: JSON.stringify({ active: "k1", keys: { k1: Buffer.alloc(32, 8).toString("base64") } }),
    DEV_HOSTS: JSON.stringify(world.names),
    SERVICE_TOKENS: JSON.stringify(serviceTokens(world.tokens)),
  };
  given.addVariables(values);
  await writeVariables(variables, values);
  const onLine = (line: string): void => void lines.push(line);
  server = await startServer({ build: builds[which], state: join(folder, "state"), variables, onLine });
  await server.up;
}

/** The same sources, with the one constant by which the builds differ. */
async function builtAs(which: "old" | "new"): Promise<Build> {
  const config = join(folder, `${which}.toml`);
  const text = await readFile(CONFIG, "utf8");
  await writeFile(
    config,
    text
      .replace('"worker.ts"', JSON.stringify(join(import.meta.dirname, "worker.ts")))
      .replace('"../../migrations"', JSON.stringify(join(REPOSITORY, "migrations")))
      .replace("'old'", `'${which}'`),
  );
  return build(config, join(folder, which));
}

async function ask<T>(what: string): Promise<T> {
  const answer = await fetch(`${server?.url}/${what}`);
  const body = (await answer.json()) as { readonly ok: boolean; readonly value: T };
  expect(body).toMatchObject({ ok: true });
  return body.value;
}

/** Waits until the run says that it stands where it stands for this reason. */
async function untilExplained(code: string): Promise<Explanation> {
  for (let seq = 0; ;) {
    const explained = await ask<Explanation>(`explain?id=${RUN}`);
    if (explained.reasons.some((reason) => reason.code === code)) return explained;
    seq = (await ask<RunView>(`view?id=${RUN}&wait=1000&after=${seq}`)).seq;
  }
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "showcaller-deploy-"));
  world = await startWorld();
  // One after the other: two builds at once would only share the two cores.
  builds = { old: await builtAs("old"), new: await builtAs("new") };
  await migrateDatabase(builds.old.config, join(folder, "state"));
}, START_MS);

afterAll(async () => {
  await server?.kill();
  await world.close();
  await rm(folder, { recursive: true, force: true });
});

describe("a deploy in the middle of an attempt", () => {
  it(
    "loses no run: the step is sent again with the same key, functions are the new build's, and a removed one is waited for",
    { timeout: START_MS },
    async () => {
      world.faults([{ reference: RUN, fault: { kind: "accept_then_timeout" } }]);
      await deploy("old");
      await ask(`start?id=${RUN}`);
      expect(await world.referee.until(() => world.referee.open().length === 1, 10_000)).toBe(true);

      // The new build takes over while the request is at the airline.
      await deploy("new");
      const waiting = await untilExplained("code_missing");
      expect(waiting).toMatchObject({ status: "running", reasons: [{ unit: "last" }] });
      const stuck = await ask<RunView>(`view?id=${RUN}`);
      expect([stuck.ended_at, stuck.failure]).toEqual([null, null]);
      const by = Object.fromEntries(stuck.steps.map((step) => [step.name, step]));
      expect(by["book"]).toMatchObject({ status: "succeeded", attempts: 2 });
      expect(by["say"]?.output).toEqual({ value: "said by the new build" });
      expect(by["last"]).toMatchObject({ status: "pending", attempts: 0 });

      // A death between two versions is a deploy, not a strike.
      const { events } = await ask<EventsPage>(`events?id=${RUN}`);
      expect(events.filter((event) => JSON.stringify(event.data).includes("attempt_lost"))).toHaveLength(1);
      expect(JSON.stringify(events)).not.toContain('"strike"');

      const requests = world.referee.ledger().entries.filter((entry) => entry.reference === RUN);
      expect(requests.map((entry) => entry.absorbed)).toEqual([false, true]);
      expect(new Set(requests.map((entry) => entry.key)).size).toBe(1);
      expect(world.referee.duplicates()).toEqual([]);

      // The function comes back with the next deploy; the run goes on where it stood, and nobody has to redrive it.
      await deploy("old");
      await ask(`poke?id=${RUN}`);
      const done = await ask<RunView>(`view?id=${RUN}&wait=30000`);
      expect(done).toMatchObject({
        status: "succeeded",
        generation: 1,
        output: { value: { last: "the end" } },
      });
      expect(world.referee.deeds({ reference: RUN })).toHaveLength(1);
      given.mustNotStandIn(lines);
    },
  );
});
