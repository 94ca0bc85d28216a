/**
 * The game day, act by act: 500 runs are brought into every state by the build that was released last; the next build takes
 * over; the database fails; the world is down; the keyring and the signing key change at once; then all goes on to its end.
 * Calls go on all the time (`traffic.ts`).
 */
import { setTimeout as sleep } from "node:timers/promises";
import { createApi } from "../../src/cli/api.ts";
import { startBackend } from "../../src/cli/backend.ts";
import { connect, integrate, personOf } from "../../src/cli/consents.ts";
import { trustRoles } from "../../src/cli/roles.ts";
import { importHmacKey, runIdOf } from "../../src/platform/index.ts";
import { Client } from "../crash/client.ts";
import { drawOrder } from "../crash/inputs.ts";
import { judge, type Life, type Witness } from "../crash/verdict.ts";
import type { Build, Server } from "../dev-server/index.ts";
import { Random } from "../sim/random.ts";
import type { FaultRule } from "../world/index.ts";
import { Caller } from "./calls.ts";
import type { Outage, Tally } from "./database.ts";
import { changeKeyring, letQuietPass } from "./keyring.ts";
import { DESK, KINDS, SECRET_NOTE, SLOW_PATH } from "./kinds.ts";
import { storageOf } from "./storage.ts";
import { listAll, Operator, type Listed } from "./operator.ts";
import { census, each, populate, start, storePlans, type Keys } from "./population.ts";
import { RECEIVER, WEATHER, type Stage } from "./stage.ts";
import { HOOK, hookSecret, Traffic } from "./traffic.ts";
import { secretsIn, told, type Result } from "./verdict.ts";

const CALENDAR = "api.calendar.example";
const SCHEDULE = "gd-clock";
const EVERY_MS = 5_000;
/** Sleepers wake well after the upgrade, and before the end. */
const WAKE_MS = 200_000;
const END_MS = 150_000;
const WEATHERED_RUNS = 20;

/** While runs are brought into their states: each service does what keeps its runs there. */
const KEEPING: readonly FaultRule[] = [
  { path: SLOW_PATH, probability: 1, fault: { kind: "slow", ms: 45_000 } },
  { service: "mail", probability: 1, fault: { kind: "status", status: 503 } },
  { service: "voice", method: "POST", probability: 1, fault: { kind: "lost_answer" } },
  { service: "pay", method: "POST", path: "/charges", probability: 1, fault: { kind: "lost_answer" } },
  { service: "airline", method: "DELETE", probability: 1, fault: { kind: "status", status: 503 } },
  { service: "aws", probability: 1, fault: { kind: "status", status: 503 } },
];

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
  while (tally.left > 0) {
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

interface Furnished {
  readonly keys: Keys;
  readonly strangers: { readonly key: string; readonly revoked: string };
  readonly endpoint: { readonly id: string; readonly effective_by: number };
  readonly close: () => Promise<void>;
}

/** All that a tenant has: keys, plans, a hook, a schedule, an endpoint, integrations, a connection that renews itself, a role. */
async function furnish(stage: Stage, caller: Caller): Promise<Furnished> {
  const root = stage.rootKey;
  const make = async <T>(key: string, path: string, body: object): Promise<T> =>
    caller.insist<T>(`make ${path}`, { method: "POST", path, key, body }, [201]);
  const keyOf = async (tenant: string, name: string): Promise<string> => {
    const { key } = await make<{ key: string }>(root, `/v1/tenants/${tenant}/keys`, { name });
    stage.given.add(key);
    return key;
  };
  const admin = await keyOf("default", "game day");
  const keys: Keys = { admin, approver: await keyOf("default", "approver"), root };
  await make(root, "/v1/tenants", { id: "stranger" });
  const doomed = await make<{ id: string; key: string }>(admin, "/v1/keys", {
    ...{ name: "doomed", scopes: ["runs:read"] },
  });
  await caller.insist("key.revoke", { method: "DELETE", path: `/v1/keys/${doomed.id}`, key: admin }, [200]);
  const strangers = { key: await keyOf("stranger", "stranger"), revoked: doomed.key };

  await make(admin, "/v1/integrations", {
    ...{ name: DESK, provider: "api_key", custom: { hosts: [CALENDAR] } },
  });
  await storePlans(caller, keys);
  stage.world.login.change({ accessTokenSeconds: 20, leewayMs: 30_000 });
  const api = createApi(caller.url, admin);
  const backend = await startBackend(async (session, code) =>
    api.call("POST", `/v1/connect-sessions/${session}/confirm`, { code, user: "ada" }),
  );
  const done = await integrate(api, stage.world.login.client, backend);
  if (!done.ok) throw new Error(done.complaint.what);
  const lent = await connect(api, personOf(false), () => {});
  if (!lent.ok) throw new Error(lent.complaint.what);
  const trusted = await trustRoles(api, stage.referee);
  if (!trusted.ok) throw new Error(trusted.complaint.what);
  stage.given.add(hookSecret);
  await make(admin, "/v1/hooks", {
    ...{ name: HOOK, workflow: "gd-quick", scheme: { type: "github" }, secret: hookSecret },
    input: { n: "${{ input.body.n }}" },
  });
  const endpoint = await make<{ id: string; effective_by: number; key: { secret: string } }>(
    ...([admin, "/v1/endpoints", { url: `https://${RECEIVER}/in`, events: ["run.ended"] }] as const),
  );
  stage.given.add(endpoint.key.secret);
  await caller.insist(
    "schedule.put",
    {
      ...{ method: "PUT", path: `/v1/schedules/${SCHEDULE}`, key: admin },
      body: {
        ...{ timing: { kind: "interval", every_ms: EVERY_MS }, workflow: "gd-quick", input: {} },
        ...{ overlap: "allow", catch_up_ms: 3_600_000 },
      },
    },
    [201],
  );
  return { keys, strangers, endpoint, close: async () => backend.end() };
}

/** Keyring and signing key at once: the four stages of the one, with the restarts that they take, around the other. */
async function changeKeys(
  stage: Stage,
  caller: Caller,
  keys: Keys,
  restart: (build: Build) => Promise<void>,
  kill: () => Promise<void>,
  up: (build: Build) => Promise<void>,
): Promise<{ active: string; moved: number; signing: string }> {
  const issuer = async (): Promise<readonly { kid: string; state: string }[]> => {
    const ask = { method: "GET", path: "/v1/issuer", key: keys.admin };
    return (await caller.insist<{ keys: { kid: string; state: string }[] }>("issuer.get", ask, [200])).keys;
  };
  const before = await issuer();
  await changeKeyring(stage, caller.url, "add", "--kid", "k2");
  await restart(stage.next);
  await caller.insist("issuer.rotate", post(keys, "/v1/issuer/rotate"), [200, 202]);
  // The deployment notes the key when it first has it; nothing of it may be sealed before.
  await caller.insist("vault.keys", { method: "GET", path: "/v1/vault/keys", key: keys.root }, [200]);
  await changeKeyring(stage, caller.url, "activate", "k2", "--wait", "0");
  await restart(stage.next);
  let moved = 0;
  for (let done = false; !done;) {
    const ask = { method: "POST", path: "/v1/vault/rewrap", key: keys.root, body: { limit: 500 } };
    const swept = await caller.insist<{ done: boolean; rewrapped: Record<string, number> }>(
      ...(["vault.rewrap", ask, [200]] as const),
    );
    for (const count of Object.values(swept.rewrapped)) moved += count;
    done = swept.done;
  }
  const [leaked] = before;
  if (leaked !== undefined)
    await caller.insist("issuer.revoke", post(keys, `/v1/issuer/keys/${leaked.kid}/revoke`), [200, 202]);
  const early = await changeKeyring(stage, caller.url, "drop", "k1").then(
    () => "dropped",
    (error: unknown) => String(error),
  );
  if (!early.includes("key_in_use")) caller.wrong(`k1 was dropped at once: ${early.slice(0, 300)}`);
  await kill();
  letQuietPass(stage.state, "k1");
  await up(stage.next);
  await changeKeyring(stage, caller.url, "drop", "k1");
  await restart(stage.next);
  await sleep(5_000);
  const after = await issuer();
  if (after.some(({ kid }) => kid === leaked?.kid && leaked !== undefined))
    caller.wrong(`the revoked signing key is published still`);
  const { active } = JSON.parse(stage.secrets.KEYRING) as { active: string };
  return { active, moved, signing: `${before.length} before, ${after.length} after` };
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
