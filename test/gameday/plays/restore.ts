/**
 * The database is put back while its objects stay: made, saved, changed, restored, and looked at. What heals by itself heals, what is
 * lost is lost as docs/data.md says, and every run ends as it should.
 */
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { migrateDatabase } from "../../dev-server/index.ts";
import { furnish } from "../furnish.ts";
import { changeKeyring, databaseFile, letQuietPass } from "../keyring.ts";
import { DESK, KEEPING, KINDS, SECRET_NOTE } from "../kinds.ts";
import { command, verifyByHand, withDatabase } from "../operations.ts";
import { listAll, Operator } from "../operator.ts";
import { census, populate, type Placed } from "../population.ts";
import { changeKeys } from "../rotation.ts";
import type { Stage } from "../stage.ts";
import { secretsIn } from "../verdict.ts";
import { claim, House, until, type Play } from "./common.ts";

const HOLD = { steps: { hold: { action: "wait", with: { signal: "go", timeout: "2h" } } } };
const ENTER = {
  steps: {
    enter: {
      ...{ action: "http", effect: "keyed" },
      with: {
        ...{ method: "POST", url: "https://api.calendar.example/events", auth: { connection: DESK } },
        json: { day: "2027-03-14", title: "After the restore" },
      },
    },
  },
};
/** Sleepers wake after the restore. */
const WAKE_MS = 150_000;
const CALENDAR = "api.calendar.example";
const TICKING = { timing: { kind: "interval", every_ms: 4_000 }, workflow: "gd-quick", input: {} };

interface Listing {
  readonly data: readonly { readonly id?: string; readonly name?: string; readonly user?: string | null }[];
}

export const restore: Play = async (stage) => {
  const house = new House(stage);
  await house.up();
  const furnished = await furnish(stage, house.caller);
  house.keys = furnished.keys;
  const { admin } = house.keys;
  const { placed, standing } = await everyState(house);
  const doomed = await house.make<{ id: string; key: string }>("/v1/keys", {
    ...{ name: "leaks later", scopes: ["runs:read"] },
  });
  await house.call("PUT", "/v1/schedules/gd-gone", TICKING);
  const before = await takenOut(house, placed, "before");

  // It is saved while all goes on.
  const here = join(stage.folder, "wrangler.json");
  await writeFile(here, await readFile(stage.next.config, "utf8"));
  const file = join(stage.folder, "db.sql");
  const saved = await command("backup", ["save", "--local", "--config", here, "--file", file]);
  claim(saved.code === 0, `the backup is made: ${saved.out}`);
  const old = JSON.parse(stage.secrets.KEYRING) as { keys: Record<string, string> };

  // What comes after it.
  const fresh = await house.make<{ id: string; key: string }>("/v1/keys", {
    ...{ name: "made since", scopes: ["runs:read"] },
  });
  await house.call("DELETE", `/v1/keys/${doomed.id}`);
  await house.plan("gd-lost", HOLD);
  await house.plan("gd-enter", ENTER);
  const orphan = await house.run("gd-lost");
  const rotated = await changeKeys(
    ...([stage, house.caller, house.keys] as const),
    async () => house.restart(),
    async () => house.kill(),
    async () => house.up(),
  );
  const secret = await house.run("gd-confidential", { note: `${SECRET_NOTE}since` });
  const zoe = await connected(house, "zoe");
  const ended = placed.find(({ kind }) => kind.name === "failed")?.run ?? "";
  await house.call("POST", `/v1/runs/${ended}/erase`);
  await house.call("DELETE", "/v1/schedules/gd-gone");
  await house.call("PUT", "/v1/schedules/gd-new", TICKING);
  await until("the secret run waits", async () => (await house.view(secret)).status === "waiting");
  const signers = await signingKeys(house);
  const after = await takenOut(house, placed, "after", before.head);
  const runsBefore = (await listAll(house.caller, house.keys)).map(({ id }) => id);
  await house.kill();

  // It is lost. Back it goes, into one that is new.
  const gone = databaseFile(stage.state);
  for (const part of ["", "-wal", "-shm"]) await rm(gone + part, { force: true });
  const target = await withDatabase(stage.next, here, "restored");
  const ring = join(stage.folder, "ring.json");
  const restoring = async (keyring: string, what = file) => {
    await writeFile(ring, keyring, { mode: 0o600 });
    return command("backup", ["restore", "--local", "--config", here, "--file", what, "--keyring", ring]);
  };
  const today = stage.secrets.KEYRING;
  const refused = await restoring(today);
  claim(
    refused.code === 1 && refused.out.includes("k1"),
    `without the old key it is refused: ${refused.out}`,
  );
  const cut = join(stage.folder, "cut.sql");
  await writeFile(cut, (await readFile(file, "utf8")).slice(0, -200));
  await writeFile(`${cut}.json`, await readFile(`${file}.json`));
  const both = JSON.parse(today) as { active: string; keys: Record<string, string> };
  const ringOfBoth = JSON.stringify({ ...both, keys: { ...both.keys, ...old.keys } });
  claim((await restoring(ringOfBoth, cut)).code === 1, "a backup that was cut off is refused");
  const restored = await restoring(ringOfBoth);
  claim(restored.code === 0, `it is restored: ${restored.out}`);
  claim((await restoring(ringOfBoth)).code === 1, "not over a database that has something in it");
  await migrateDatabase(target.config, stage.state);

  // With today's keyring alone, the house says what is wrong.
  await house.up(target);
  const wrong = await house.health();
  claim(wrong.status !== "ok", "with a key missing, health is not well");
  const missing = wrong.checks.filter(({ ok }) => !ok).map(({ name, detail }) => `${name}: ${detail}`);
  await house.kill();
  stage.secrets.KEYRING = ringOfBoth;
  await house.up(target);
  const well = await until("health is well", async () => (await house.health()).status === "ok");

  // Lost, as documented.
  const lost = {
    key: (await house.status("GET", `/v1/runs/${orphan}`, fresh.key)).status,
    plan: (await house.status("GET", "/v1/workflows/gd-lost")).status,
    connection: (await listed(house, "/v1/connections?limit=100")).includes("zoe"),
    schedule: (await listed(house, "/v1/schedules?limit=100")).includes("gd-new"),
  };
  claim(lost.key === 401 && lost.plan === 404, `what was made since is lost: ${JSON.stringify(lost)}`);
  claim(!lost.connection && !lost.schedule, "lists do not have what was made since");
  claim(
    (await house.status("GET", `/v1/runs/${orphan}`, doomed.key)).status === 200,
    "a revoked key is good again",
  );
  await house.call("DELETE", `/v1/keys/${doomed.id}?descendants=true`);
  await until(
    "it is revoked again",
    async () => (await house.status("GET", `/v1/runs/${orphan}`, doomed.key)).code === "key_revoked",
  );

  // The audit: in order by itself; not what was given out since.
  const verify = async (head: string | null) =>
    command("audit", ["verify", house.caller.url, ...(head === null ? [] : ["--since-head", head])], {
      SHOWCALLER_KEY: admin,
    });
  const alone = await verify(null);
  claim(alone.code === 0, `the chain is in order by itself: ${alone.out}`);
  claim((await verify(before.head)).code === 0, "and has the head of before the backup");
  const found = await verify(after.head);
  claim(found.code === 1, `a head that was given out since is missed: ${found.out}`);

  // What is there, and heals.
  const runs = new Set((await listAll(house.caller, house.keys)).map(({ id }) => id));
  claim(
    runsBefore.every((run) => runs.has(run)),
    "every run is listed, also those that were started since",
  );
  const erased = await house.call<{ erased?: boolean }>("GET", `/v1/runs/${ended}`);
  claim(erased.erased === true, "what was erased in a run stays erased");
  const issuerMs = await until(
    "the signing keys are those of before the restore, and the revoked one is not among them",
    async () => (await signingKeys(house)) === signers,
  );
  const told = house.logged("issuer.database_rolled_back");
  claim(told > 0, "the issuer says that the database is older than it");
  const ticking = async (): Promise<number> =>
    (await listAll(house.caller, house.keys)).filter(({ workflow }) => workflow === "gd-quick").length;
  const ticks = await ticking();
  await until("a schedule that is not listed ticks on", async () => (await ticking()) > ticks);
  await house.call("PUT", "/v1/schedules/gd-new", TICKING);
  claim((await listed(house, "/v1/schedules?limit=100")).includes("gd-new"), "written again it is listed");
  const ghost = (await house.status("GET", "/v1/schedules/gd-gone")).status;
  claim(ghost === 404, "a schedule that was deleted is not there");
  const isGhostListed = async (): Promise<boolean> =>
    (await listed(house, "/v1/schedules?limit=100")).includes("gd-gone");
  claim(await isGhostListed(), "but listed");

  await house.plan("gd-enter", ENTER);
  const entered = await house.run("gd-enter", {}, { user: "zoe" });
  await until(
    "a run uses the connection that is not listed, or waits for it",
    async () =>
      stage.sink.hasEnded(entered) ||
      (await house.explained(entered)).reasons.some(({ code }) => code === "connection"),
  );
  const unlistedWorks = stage.sink.hasEnded(entered);
  claim(unlistedWorks, "a run finds a connection that is not listed");
  claim((await connected(house, "zoe")) === zoe, "who connects again has the same connection");
  const zoeMs = await until("and it is listed", async () =>
    (await listed(house, "/v1/connections?limit=100")).includes("zoe"),
  );
  await until("the run has used it", () => stage.sink.hasEnded(entered));

  // The keyring is today's again: what was sealed under the old key moves, and it is dropped again.
  const moved = await moveAll(house);
  claim(moved > 0, "what was sealed under the old key moves");
  await house.kill();
  letQuietPass(stage.state, "k1");
  letSilencePass(stage.state);
  await house.up(target);
  await house.tick();
  claim(!(await isGhostListed()), "the sweeper asks for a schedule that is not there, and unlists it");
  const dropped = await changeKeyring(stage, house.caller.url, "drop", "k1").then(
    () => "dropped",
    (error: unknown) => String(error),
  );
  claim(dropped === "dropped", `the old key goes again: ${dropped.slice(0, 400)}`);
  await house.restart(target);

  // All runs end as they should, under the one key that is left.
  stage.world.faults([]);
  await house.call("POST", `/v1/runs/${orphan}/signals/go`, { id: "1", payload: {} });
  await house.call("POST", "/v1/schedules/gd-new/pause", {});
  await house.call("POST", "/v1/schedules/gd-clock/pause", {});
  const operator = new Operator(house.caller, house.keys, stage);
  for (const { kind, order, run } of placed)
    if (kind.name === "event") operator.knows(run, order.split("-").at(-1) ?? "0");
  const over = await operator.untilOver((all) => all.every(({ id }) => stage.sink.hasEnded(id)), 150_000);
  const byId = new Map(over.map((run) => [run.id, run.status]));
  const otherwise = placed
    .filter(({ kind, run }) => byId.get(run) !== kind.ends)
    .map(({ kind }) => kind.name);
  claim(otherwise.length === 0, `these ended otherwise: ${otherwise.join(", ")}`);
  claim(byId.get(orphan) === "succeeded", "a run of a plan that is lost goes on");
  claim(byId.get(secret) === "succeeded", "a confidential run that was started since goes on");
  claim(stage.world.referee.duplicates().length === 0, "nothing was done twice");
  const last = await takenOut(house, placed, "last", before.head);
  const grown = await verify(after.head);
  claim(grown.code === 1, `what is written anew does not stand for what is lost: ${grown.out}`);
  await furnished.close();
  await house.kill();
  return {
    ...{ standing, backup: saved.out.split("\n")[0], exports: [before.seen, after.seen, last.seen] },
    ...{ refused: refused.out.trim(), missing, wellMs: well, rotated: rotated.signing },
    ...{ audit: { alone: alone.out.trim(), laterHead: found.out.trim(), grown: grown.out.trim() } },
    ...{ issuerMs, told, zoeMs, moved, runs: over.length },
  };
};

/** One run of each kind, as the game day has them. */
async function everyState(house: House): Promise<{ placed: Placed[]; standing: number }> {
  const { stage, caller, keys } = house;
  stage.world.faults(KEEPING);
  const moments = { wake: Date.now() + WAKE_MS };
  const placed: Placed[] = [];
  for (const late of [false, true]) {
    const kinds = KINDS.filter((kind) => (kind.late === true) === late);
    placed.push(...(await populate(caller, keys, moments, kinds, 0)));
  }
  const counts = Object.entries(await census(caller, keys, placed));
  // One run alone is never queued.
  const away = counts.filter(([name, count]) => count === 0 && name !== "queued").map(([name]) => name);
  claim(away.length === 0, `in each state stands a run; not in ${away.join(", ")}`);
  return { placed, standing: counts.length - 1 };
}

async function connected(house: House, user: string): Promise<string> {
  const key = house.stage.world.tokens[CALENDAR] ?? "";
  const body = { integration: DESK, user, api_key: key };
  return (await house.make<{ id: string }>("/v1/connections", body)).id;
}

async function listed(house: House, path: string): Promise<readonly (string | null | undefined)[]> {
  const { data } = await house.call<Listing>("GET", path);
  return data.flatMap(({ name, user }) => [name, user]);
}

async function signingKeys(house: House): Promise<string> {
  const { keys } = await house.call<{ keys: { kid: string; state: string }[] }>("GET", "/v1/issuer");
  return keys
    .map(({ kid }) => kid)
    .sort()
    .join(" ");
}

/** Half an hour in which nobody asked for a schedule passes at once. The server must be dead. */
function letSilencePass(state: string): void {
  const database = new DatabaseSync(databaseFile(state));
  database.exec("UPDATE schedules SET poked_at = poked_at - 3600000");
  database.close();
}

async function moveAll(house: House): Promise<number> {
  let moved = 0;
  for (let done = false; !done;) {
    const swept = await house.make<{ done: boolean; rewrapped: Record<string, number> }>(
      ...(["/v1/vault/rewrap", { limit: 500 }, house.keys.root] as const),
    );
    for (const count of Object.values(swept.rewrapped)) moved += count;
    done = swept.done;
  }
  return moved;
}

/** The tenant and its audit, by the commands: whole, without a secret, and in order for who knows only the docs. */
async function takenOut(
  house: House,
  placed: readonly Placed[],
  name: string,
  sinceHead?: string,
): Promise<{ head: string; seen: string }> {
  const { stage, caller, keys } = house;
  const url = caller.url;
  const env = { SHOWCALLER_KEY: keys.admin };
  const file = join(stage.folder, `${name}.ndjson`);
  const exported = await command(
    "export",
    ["--api", url, "--file", file, "--runs", join(stage.folder, name)],
    env,
  );
  claim(exported.code === 0, `the export is whole: ${exported.out}`);
  const text = await readFile(file, "utf8");
  const lines = text.trimEnd().split("\n");
  const summary = JSON.parse(lines.at(-1) ?? "") as { complete: boolean; lines: Record<string, number> };
  claim(summary.complete, "its last line says so");
  const runs = lines.flatMap((line) => {
    const { type, data } = JSON.parse(line) as { type: string; data?: { id: string } };
    return type === "run" ? [data?.id] : [];
  });
  claim(
    placed.every(({ run }) => runs.includes(run)),
    "every run is in it",
  );
  for (const type of [
    "api_key",
    "plan",
    "hook",
    "schedule",
    "endpoint",
    "integration",
    "connection",
    "cloud_role",
  ])
    claim((summary.lines[type] ?? 0) > 0, `there is a ${type} in it`);
  claim(noneIn(stage, lines), "no secret is in it");

  const head = join(stage.folder, `${name}-head.json`);
  const since = sinceHead === undefined ? [] : ["--since-head", sinceHead];
  const verified = await command("audit", ["verify", url, ...since, "--write-head", head], env);
  claim(verified.code === 0, `the audit is in order: ${verified.out}`);
  const audit = await command("audit", ["export", url], env);
  claim(audit.code === 0 && noneIn(stage, audit.out.split("\n")), "the audit is exported, without a secret");
  const byHand = await verifyByHand(audit.out, stage.folder);
  claim(byHand.code === 0, `the verifier of the docs finds it in order: ${byHand.out}`);
  for (const [was, is] of [
    ['"outcome":"granted"', '"outcome":"refused"'],
    ['"type":"end"', '"type":"ends"'],
    ['"number":1', '"number":2'],
  ] as const)
    claim(
      (await verifyByHand(audit.out.replace(was, is), stage.folder)).code === 1,
      `and not without ${was}`,
    );
  return { head, seen: `${runs.length} runs, ${lines.length} lines; ${verified.out.trim().split(". ")[0]}` };
}

function noneIn(stage: Stage, lines: readonly string[]): boolean {
  const { given, world } = stage;
  return (
    secretsIn({ lines: [...lines], given: new Set([...given, SECRET_NOTE]), world }, (line) => {
      console.error(line);
    }) === 0
  );
}
