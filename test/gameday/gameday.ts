/**
 * The game day, act by act: 500 runs are brought into every state by the build that was released last; the next build takes
 * over; the database fails; the world is down; the keyring and the signing key change at once; then all goes on to its end.
 * Calls go on all the time (`traffic.ts`).
 */
import { setTimeout as sleep } from "node:timers/promises";
import { importHmacKey, runIdOf } from "../../src/platform/index.ts";
import { Client } from "../crash/client.ts";
import { drawOrder } from "../crash/inputs.ts";
import { judge, type Life, type Witness } from "../crash/verdict.ts";
import type { Build, Server } from "../dev-server/index.ts";
import { Random } from "../sim/random.ts";
import type { FaultRule } from "../world/index.ts";
import { Caller } from "./calls.ts";
import type { Outage, Tally } from "./database.ts";
import { EVERY_MS, furnish, SCHEDULE, type Furnished } from "./furnish.ts";
import { KEEPING, KINDS, SECRET_NOTE } from "./kinds.ts";
import { storageOf } from "./storage.ts";
import { listAll, Operator, type Listed } from "./operator.ts";
import { census, each, populate, start, type Keys } from "./population.ts";
import { WEATHER, type Stage } from "./stage.ts";
import { HOOK, Traffic } from "./traffic.ts";
import { changeKeys } from "./rotation.ts";
import { secretsIn, told, type Result } from "./verdict.ts";

/** Sleepers wake well after the upgrade, and before the end. */
const WAKE_MS = 200_000;
const END_MS = 150_000;
/** For the calls of the database that are to fail to be made: twice what they take. */
const OUTAGE_MS = 60_000;
const WEATHERED_RUNS = 20;

/** Nothing is reached: connections break, or stand open and say nothing. What arrives has no effect. */
const DOWN: readonly FaultRule[] = [
  { probability: 0.6, fault: { kind: "reset" } },
  { probability: 1, fault: { kind: "status", status: 503 } },
];

/** Two: one in which nothing is answered, and one in which every second call fails, some after they took effect. */
const OUTAGES: readonly Outage[] = [
  { from: 0, to: 120, every: 1, afterEffect: 7 },
  { from: 120, to: 320, every: 2, afterEffect: 5 },
];

export interface Options {
  readonly seed: number;
  readonly scale: number;
}

export async function gameday(stage: Stage, { seed, scale }: Options): Promise<Record<string, unknown>> {
  const began = Date.now();
  const say = (line: string): void => {
    console.error(`${String(Math.round((Date.now() - began) / 1_000)).padStart(4)} s  ${line}`);
  };
  const caller = new Caller();
  const lives: Life[] = [];
  let server: Server | null = null;
  let from = 0;
  const up = async (build: Build): Promise<void> => {
    server = await stage.start(build);
    from = Date.now();
    caller.server = server;
  };
  const kill = async (): Promise<void> => {
    caller.server = null;
    await server?.kill();
    lives.push({ from, killedAt: Date.now() });
  };
  const restart = async (build: Build): Promise<void> => {
    await kill();
    await up(build);
  };

  caller.act = "a: every state";
  await up(stage.old);
  const { keys, strangers, endpoint, close } = await furnish(stage, caller);
  say(`the build of ${stage.baseline.slice(0, 7)} stands; keys, hook, schedule, endpoint, connections, role`);
  const random = new Random(seed, "gameday");
  stage.world.faults(KEEPING);
  const moments = { wake: Date.now() + WAKE_MS };
  const placed = await populate(
    caller,
    keys,
    moments,
    KINDS.filter(({ late }) => late !== true),
    scale,
  );
  say(`${placed.length} runs started`);
  const orders = Array.from({ length: WEATHERED_RUNS }, (_, n) => drawOrder(random, `weather-${n}`));
  await each(orders, async ({ key, workflow, input }) => {
    await start(caller, keys, key, { workflow, input, ...(workflow === "book-trip" ? { user: "ada" } : {}) });
  });
  placed.push(
    ...(await populate(
      caller,
      keys,
      moments,
      KINDS.filter(({ late }) => late === true),
      scale,
    )),
  );
  const states = await census(caller, keys, placed);
  say(`${placed.length} runs stand: ${JSON.stringify(states)}`);
  const traffic = new Traffic(caller, keys, strangers, placed, seed);
  traffic.begin();
  await sleep(5_000);

  caller.act = "b: upgrade";
  await stage.migrate(stage.next);
  say("the next build's migrations are applied, under the old build");
  await sleep(3_000);
  await restart(stage.next);
  stage.world.faults(WEATHER);
  say("the next build stands");
  await sleep(12_000);
  const afterUpgrade = (await listAll(caller, keys)).length;

  caller.act = "c: database";
  let tally = await order(caller, OUTAGES);
  const patience = Date.now() + OUTAGE_MS;
  while (tally.left > 0) {
    if (Date.now() > patience) throw new Error("Nobody asks the database any more: the outage does not end.");
    await sleep(500);
    tally = await order(caller);
  }
  say(`the database failed ${tally.failed} of its calls, ${tally.afterEffect} of them after their effect`);
  caller.act = "calm";
  await sleep(3_000);

  caller.act = "d: world";
  stage.world.faults(DOWN);
  stage.sink.away = true;
  stage.receiver.away = true;
  await sleep(20_000);
  stage.sink.away = false;
  stage.receiver.away = false;
  stage.world.faults(WEATHER);
  say("the world was down for 20 s");
  await sleep(3_000);

  caller.act = "e: keys";
  const rotated = await changeKeys(stage, caller, keys, restart, kill, up);
  say(
    `the keyring is ${rotated.active} alone, ${rotated.moved} records moved; signing keys: ${rotated.signing}`,
  );

  caller.act = "f: the end";
  await traffic.stop();
  stage.world.faults([]);
  const operator = new Operator(caller, keys, stage);
  for (const { kind, order: name, run } of placed)
    if (kind.name === "event") operator.knows(run, name.split("-").at(-1) ?? "0");
  const tick = async (): Promise<void> => void (await fetch(`${caller.url}/.gameday/tick`));
  await tick();
  await caller.insist(
    "schedule.pause",
    { ...post(keys, `/v1/schedules/${SCHEDULE}/pause`), body: {} },
    [200],
  );
  const isHeard = (runs: readonly Listed[]): boolean => runs.every(({ id }) => stage.sink.hasEnded(id));
  const runs = await operator.untilOver(isHeard, END_MS);
  say(`${runs.length} runs; the operator's calls: ${JSON.stringify(Object.fromEntries(operator.calls))}`);

  const faults = { twice: 0, missingDeliveries: 0, endedOtherwise: 0 };
  const complain = (line: string): void => {
    console.error(line);
  };
  const byId = new Map(runs.map((run) => [run.id, run]));
  for (const { kind, run } of placed) {
    const { status } = byId.get(run) ?? { status: "gone" };
    if (status !== kind.ends) {
      faults.endedOtherwise += 1;
      complain(`endedOtherwise: ${run}, ${kind.name}, is ${status}`);
    }
  }
  faults.twice = placed.length - new Set(placed.map(({ run }) => run)).size;
  const hook = await caller.insist<{ id: string }>(
    "hook.get",
    { method: "GET", path: `/v1/hooks/${HOOK}`, key: keys.admin },
    [200],
  );
  const mac = await importHmacKey(Buffer.from(stage.secrets["SERVER_KEY"] ?? "", "base64"));
  const hooked = new Set<string>();
  for (const n of traffic.delivered) {
    const source = { tenant: "default", kind: "hook", id: hook.id, idempotencyKey: `id:gd-${n}` } as const;
    const id = await runIdOf(mac, source);
    hooked.add(id);
    if (!byId.has(id)) faults.missingDeliveries += 1;
  }
  const ticks = await ticksOf(caller, keys, complain);
  const replayed = await replayPending(caller, keys, endpoint);
  const witnesses = await witness(caller, keys, runs, [
    ...placed.map(({ run }) => run),
    ...traffic.starts.values(),
  ]);
  await kill();
  await close();
  const endpointWord = unheardOf(stage, endpoint, runs, complain);
  const verdict = judge(witnesses, lives, stage.world.referee, (run) => stage.sink.hasEnded(run), complain);
  for (const secret of [...stage.world.login.secrets(), ...stage.world.clouds.secrets()])
    stage.given.add(secret);
  const { right, notNow, unanswered, wrong } = caller.counts;
  const calm = [...caller.acts].filter(([act]) => /^(a:|calm|f:)/.test(act));
  const result: Result = {
    ...verdict,
    ...faults,
    ticksLost: ticks.lost,
    unheardByEndpoint: endpointWord.missing,
    wrongAnswers: wrong,
    notNowInCalm: calm.reduce((sum, [, counts]) => sum + counts.notNow, 0),
    secretsInLogs: secretsIn({ ...stage, given: new Set([...stage.given, SECRET_NOTE]) }, complain),
  };
  console.error(JSON.stringify(told(caller.acts), null, 1));
  return {
    ...result,
    ...{ answers: right, notNow, cut: unanswered, operations: caller.operations.size },
    ...{ states: Object.values(states).filter((count) => count > 0).length, statesWanted: KINDS.length },
    standing: Object.values(states).reduce((sum, count) => sum + count, 0),
    ...{ afterUpgrade, databaseFailures: tally.failed, databaseLostAnswers: tally.afterEffect },
    ...{ recordsMoved: rotated.moved, signingKeys: rotated.signing, ticks: ticks.runs },
    ...{
      deliveries: traffic.delivered.size,
      endpointMessages: stage.receiver.bodies.size,
      replayed,
      endpointWaiting: endpointWord.waiting,
    },
    ...{
      refreshes: stage.world.login.tokenRequests().filter(({ grantType }) => grantType === "refresh_token")
        .length,
    },
    ...{ logLines: stage.lines.length, seconds: Math.round((Date.now() - began) / 1_000), seed },
  };
}

function post(
  keys: Keys,
  path: string,
  body?: unknown,
): { method: string; path: string; key: string; body?: unknown } {
  return { method: "POST", path, key: keys.admin, ...(body === undefined ? {} : { body }) };
}

async function order(caller: Caller, outages?: readonly Outage[]): Promise<Tally> {
  const answer = await fetch(`${caller.url}/.gameday/database`, {
    ...(outages === undefined ? {} : { method: "POST", body: JSON.stringify(outages) }),
  });
  return (await answer.json()) as Tally;
}

/** Every tick of the clock has one run, and none is left out. */
async function ticksOf(
  caller: Caller,
  keys: Keys,
  complain: (line: string) => void,
): Promise<{ runs: number; lost: number }> {
  interface Record_ {
    readonly what: string;
    readonly tick: number;
    readonly run: string;
    readonly by_hand: boolean;
  }
  const path = `/v1/schedules/${SCHEDULE}/log`;
  const log = await caller.insist<{ data: Record_[] }>(
    ...(["schedule.log", { method: "GET", path, key: keys.admin }, [200]] as const),
  );
  const started = log.data.filter(({ what }) => what === "started").sort((a, b) => a.tick - b.tick);
  let lost = log.data.length - started.length + started.length - new Set(started.map(({ run }) => run)).size;
  for (const [i, { tick }] of started.entries()) {
    const previous = started[i - 1];
    if (previous === undefined || tick - previous.tick === EVERY_MS) continue;
    lost += 1;
    complain(`ticksLost: between ${previous.tick} and ${tick}`);
  }
  return { runs: started.length, lost };
}

/**
 * What waits for its next try is sent by hand. Then every run that counts was heard of, or its message still waits in the endpoint's
 * storage: the server must be dead for that.
 */
async function replayPending(caller: Caller, keys: Keys, endpoint: Furnished["endpoint"]): Promise<number> {
  const again = post(keys, `/v1/endpoints/${endpoint.id}/replay`, { since: 0 });
  return (await caller.insist<{ messages: number }>("endpoint.replay", again, [202])).messages;
}

function unheardOf(
  stage: Stage,
  endpoint: Furnished["endpoint"],
  runs: readonly Listed[],
  complain: (line: string) => void,
): { missing: number; waiting: number } {
  const storage = storageOf(stage.state, "EndpointObject", `endpoint:default:${endpoint.id}`);
  const rows = storage.prepare("SELECT body FROM messages WHERE status = 'pending'").all();
  storage.close();
  const runOf = (body: unknown): string => (JSON.parse(String(body)) as { data: { run: string } }).data.run;
  const waiting = new Set(rows.map(({ body }) => runOf(body)));
  const heard = new Set([...stage.receiver.bodies.values()].map(({ data: { run } }) => run));
  const missing = runs.filter(
    ({ id, ended_at: ended }) =>
      ended !== null && ended > endpoint.effective_by && !heard.has(id) && !waiting.has(id),
  );
  for (const { id, ended_at: ended } of missing.slice(0, 10))
    complain(`unheardByEndpoint: ${id}, ended ${(ended ?? 0) - endpoint.effective_by} ms after it counts`);
  return { missing: missing.length, waiting: waiting.size };
}

async function witness(
  caller: Caller,
  keys: Keys,
  runs: readonly Listed[],
  started: readonly string[],
): Promise<Witness[]> {
  const client = new Client(caller.url, keys.admin, new AbortController().signal);
  const witnesses: Witness[] = [];
  await each([...new Set([...runs.map(({ id }) => id), ...started])], async (id) => {
    const view = await client.run(id);
    const events = view === null ? null : await client.events(id);
    witnesses.push({ order: id, view, events: events ?? [] });
  });
  return witnesses;
}
