/**
 * Kills the server with SIGKILL, again and again, at random moments and at named points, while runs are in flight; starts
 * it anew on the same state, until all runs are over; and holds what the runs claim against what the referee counted.
 *
 *   npm run crash -- --cycles N [--seed S] [--runs N]
 *
 * The seed decides runs, faults and moments; the machine's speed decides what a moment meets, so two runs with one seed
 * are alike and not equal. Last line: JSON (see verdict.ts). Exit code 1 if a fault is not 0, if a secret stands in a
 * server's log, if a run has not ended, or if fewer than half of the kills met a request in flight.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { createApi } from "../../src/cli/api.ts";
import { createReferee } from "../../src/cli/referee.ts";
import { trustRoles } from "../../src/cli/roles.ts";
import type { Server } from "../dev-server/index.ts";
import { Random } from "../sim/random.ts";
import { Client, insist, type RunView } from "./client.ts";
import { drawOrder, type Order } from "./inputs.ts";
import { parseOptions, type Options } from "./options.ts";
import { setStage, type Stage } from "./stage.ts";
import { judge, type Life, type Verdict, type Witness } from "./verdict.ts";

/** A kill that waits for a point or a request that does not come goes ahead after this. */
const PATIENCE_MS = 6_000;
/** For all runs to end after the last kill. The longest wait of a workflow here is the 60 s of an attempt that was lost. */
const END_MS = 150_000;
const POLL_MS = 250;
const CALENDAR = "api.calendar.example";

const POINTS = [
  "turn-decided",
  "turn-appended",
  "turn-durable",
  "attempt-sent",
  "attempt-answered",
  "alarm-fired",
  "journal-folded",
  "start-written",
  "message-delivered",
] as const;
/** Points that a life reaches only a few times. */
const RARE: ReadonlySet<string> = new Set(["alarm-fired", "journal-folded", "start-written"]);

/** When to kill. */
type Plan =
  | { readonly kind: "moment"; readonly ms: number }
  | { readonly kind: "request"; readonly open: number }
  | { readonly kind: "point"; readonly name: string; readonly hits: number };

interface Lived extends Life {
  /** The server stood at its named point. */
  readonly atPoint: boolean;
}

interface Running {
  readonly order: Order;
  /** Null until a start was answered. */
  run: RunView | null;
}

/** Every second kill is at a named point, and the points take turns, so that few cycles meet many of them. */
function drawPlan(random: Random, cycle: number): Plan {
  if (cycle % 2 === 0) {
    const name = POINTS[(cycle / 2) % POINTS.length] ?? "turn-appended";
    return { kind: "point", name, hits: RARE.has(name) ? random.int(1, 3) : random.int(4, 24) };
  }
  return random.chance(0.4)
    ? { kind: "moment", ms: random.int(100, 3_000) }
    : { kind: "request", open: random.int(1, 4) };
}

/** Resolves when the moment of the plan has come. */
async function untilKill(plan: Plan, stage: Stage, server: Server, reached: Promise<void>): Promise<void> {
  if (plan.kind === "point") return Promise.race([reached, server.up.then(() => sleep(PATIENCE_MS))]);
  const { referee } = stage.world;
  // Of earlier lives: their connections may not have ended yet.
  const old = new Set(referee.open().map(({ seq }) => seq));
  await server.up;
  if (plan.kind === "moment") return sleep(plan.ms);
  const isOpen = (): boolean => referee.open().filter(({ seq }) => !old.has(seq)).length >= plan.open;
  await referee.until(isOpen, PATIENCE_MS);
}

/** One life: starts runs, asks half of the old ones, leaves the other half to their alarms, and is killed. */
async function live(
  stage: Stage,
  apiKey: string,
  running: readonly Running[],
  plan: Plan | null,
  until: (client: Client) => Promise<void>,
): Promise<Lived> {
  let atPoint = false;
  let reach = (): void => {};
  const reached = new Promise<void>((resolve) => {
    reach = resolve;
  });
  const dead = new AbortController();
  let dying = false;
  const from = Date.now();
  const crashAt = plan?.kind === "point" ? `${plan.name}:${plan.hits}` : null;
  const server = await stage.start(crashAt, (line) => {
    if (!line.includes("crash-point:")) return;
    atPoint = true;
    reach();
  });
  const client = new Client(server.url, apiKey, dead.signal);
  const work = server.up
    .then(() => Promise.all([...running.map((one, i) => push(client, one, i)), until(client)]))
    // A life that ends on purpose leaves its callers without an answer.
    .catch((error: unknown) => {
      if (!dying) throw error;
    });
  await (plan === null
    ? work
    : Promise.race([untilKill(plan, stage, server, reached), work.then(() => never())]));
  dying = true;
  await server.kill();
  dead.abort();
  await work;
  return { from, killedAt: Date.now(), atPoint };
}

/** Starts a run until that is answered. Every second run that was started is looked at, the others are left alone. */
async function push(client: Client, running: Running, index: number): Promise<void> {
  const { order, run } = running;
  if (run === null) running.run = await client.start(order.workflow, order.input, order.key);
  else if (index % 2 === 0) await client.run(run.id);
}

function never(): Promise<never> {
  return new Promise(() => {});
}

/**
 * A first life, in which nothing crashes yet: an admin key, the calendar that `book-trip` uses, lent by the tenant, and the cloud
 * role of `process-order`, which the world's AWS trusts.
 */
async function adminKey(stage: Stage): Promise<string> {
  const server = await stage.start(null, () => {});
  await server.up;
  const make = async (key: string, path: string, body: object): Promise<string> => {
    const answer = await fetch(server.url + path, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const text = await answer.text();
    if (answer.status !== 201) throw new Error(`${path} answered ${answer.status}: ${text}`);
    return text;
  };
  const made = await make(stage.rootKey, "/v1/tenants/default/keys", { name: "crash tests" });
  const { key } = JSON.parse(made) as { key: string };
  stage.given.add("the admin key", key);
  await make(key, "/v1/integrations", {
    ...{ name: "agenda", provider: "api_key", owner: "tenant", workflows: ["book-trip"] },
    custom: { hosts: [CALENDAR] },
  });
  const token = stage.world.tokens[CALENDAR] ?? "";
  await make(key, "/v1/connections", { integration: "agenda", api_key: token });
  const trusted = await trustRoles(
    createApi(server.url, key),
    createReferee(stage.world.origin("referee.example")),
  );
  if (!trusted.ok) throw new Error(trusted.complaint.what);
  await server.kill();
  return key;
}

/** The last life: until every run has told of its end, or the time is up; then everything is asked. */
async function finish(stage: Stage, client: Client, running: readonly Running[]): Promise<Witness[]> {
  const until = Date.now() + END_MS;
  for (const one of running)
    if (one.run === null)
      one.run = await insist(
        () => client.start(one.order.workflow, one.order.input, one.order.key),
        PATIENCE_MS,
      );
  const left = (): Running[] => running.filter(({ run }) => run !== null && !stage.sink.hasEnded(run.id));
  while (left().length > 0 && Date.now() < until) await sleep(POLL_MS);
  const witnesses: Witness[] = [];
  for (const { order, run } of running) {
    const view = run === null ? null : await insist(() => client.run(run.id), PATIENCE_MS);
    const events = view === null ? null : await insist(() => client.events(view.id), PATIENCE_MS);
    witnesses.push({ order: order.key, view, events: events ?? [] });
  }
  return witnesses;
}

interface Result extends Verdict {
  readonly cycles: number;
  /** Kills at a named point, and how many of the points these were. */
  readonly killsAtPoints: number;
  readonly points: number;
  /**
   * The longest time that the world itself stood still. Services that stand still for seconds are at work for longer than
   * the verifies wait, and no verify can then tell.
   */
  readonly worldStoodStillMs: number;
  /** What the servers said, and how many secrets stand in it. */
  readonly logLines: number;
  readonly secretsInLogs: number;
}

async function crash(options: Options, stage: Stage): Promise<Result> {
  const random = new Random(options.seed, "crash");
  const delay = monitorEventLoopDelay();
  delay.enable();
  const apiKey = await adminKey(stage);
  const running: Running[] = [];
  const lives: Life[] = [];
  const points: string[] = [];
  for (let cycle = 0; cycle < options.cycles; cycle++) {
    for (let i = 0; i < options.runsPerCycle; i++) {
      const order = drawOrder(random, `order-${options.seed}-${running.length}`);
      running.push({ order, run: null });
    }
    const plan = drawPlan(random, cycle);
    const life = await live(stage, apiKey, running, plan, async () => {});
    lives.push(life);
    if (plan.kind === "point" && life.atPoint) points.push(plan.name);
    const missed = plan.kind === "point" && !life.atPoint ? ", not reached" : "";
    console.error(`cycle ${cycle + 1}/${options.cycles}: killed by ${JSON.stringify(plan)}${missed}`);
  }
  let witnesses: Witness[] = [];
  await live(stage, apiKey, running, null, async (client) => {
    witnesses = await finish(stage, client, running);
  });
  const worldStoodStillMs = Math.round(delay.max / 1e6);
  const verdict = judge(
    witnesses,
    lives,
    stage.world.referee,
    (run) => stage.sink.hasEnded(run),
    (line) => console.error(line),
  );
  stage.given.addWorld(stage.world);
  const secretsInLogs = stage.given.foundIn(stage.lines, (line) => console.error(line));
  return {
    ...{ logLines: stage.lines.length, secretsInLogs },
    cycles: options.cycles,
    killsAtPoints: points.length,
    points: new Set(points).size,
    worldStoodStillMs,
    ...verdict,
  };
}

/** The fields of a result that must be 0. */
const FAULTS = [
  "lost",
  "hung",
  "duplicatedOnce",
  "duplicatedKeyed",
  "contradicted",
  "unknownNeedless",
  "unknownResolvedWrongly",
  "unheard",
  "secretsInLogs",
] as const satisfies readonly (keyof Result)[];

const options = parseOptions(process.argv.slice(2));
const stage = await setStage(options.seed);
try {
  const result = await crash(options, stage);
  const faultless = FAULTS.every((field) => result[field] === 0);
  const good = faultless && result.ended === result.runs && result.killsInFlight * 2 >= result.cycles;
  console.log(JSON.stringify({ ...result, seed: options.seed }));
  process.exitCode = good ? 0 : 1;
} finally {
  await stage.close(options.keep);
}
