/**
 * Many deliveries to a hook, several copies of each, in parallel, while the server is killed with SIGKILL again and again and
 * started anew on the same state. Every second kill is at the worst moment: a run was just written, and nobody was told. As a service does, each copy is sent until it is answered with 202. In the end there must be
 * one run for each delivery, counted three times: by its id, which a delivery has before there is a run, in the directory; by
 * the run objects on disk; and by the answers.
 *
 *   npm run copies -- [--deliveries N] [--copies N] [--kills N] [--seed S]
 *
 * The seed decides the order, and when is killed; the machine's speed decides what a kill meets. Last line: JSON. Exit code 1
 * if anything is not as it must be, if a secret stands in a server's log, or if fewer than half of the kills met deliveries in flight.
 */
import { createHmac, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { importHmacKey, runIdOf } from "../../src/platform/index.ts";
import { crashConfig } from "../crash/stage.ts";
import {
  build,
  migrateDatabase,
  REPOSITORY,
  type Server,
  startServer,
  writeVariables,
} from "../dev-server/index.ts";
import { Given } from "../dev-server/given.ts";
import { Random } from "../sim/random.ts";
import { countRuns } from "./objects.ts";

const AT_A_TIME = 32;
/** Deliveries whose copies are under way together. */
const WINDOW = 20;
/** A life in which nothing answers any more is given up. */
const PATIENCE_MS = 20_000;
const END_MS = 20_000;
const PAGE = 100;
const SECRET = "a-secret-of-the-copies";
const PLAN = { steps: { one: { action: "transform", with: { value: "${{ input.body.n }}" } } } };

const { values } = parseArgs({
  options: {
    deliveries: { type: "string", default: "1000" },
    copies: { type: "string", default: "5" },
    kills: { type: "string", default: "3" },
    seed: { type: "string", default: "1" },
  },
});
const [deliveries, copies, kills, seed] = [values.deliveries, values.copies, values.kills, values.seed].map(
  (text) => {
    if (!/^[1-9]\d{0,5}$/.test(text)) throw new TypeError("Every option takes a whole number from 1.");
    return Number(text);
  },
) as [number, number, number, number];

interface Hooked {
  readonly key: string;
  /** Id of the hook. */
  readonly id: string;
}

interface Counts {
  accepted: number;
  /** Sent, and never answered, or answered with "not now". */
  unanswered: number;
  other: string[];
}

async function ask<T>(url: string, key: string, method: string, path: string, body?: unknown): Promise<T> {
  const answer = await fetch(url + path, {
    method,
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  const text = await answer.text();
  if (answer.status >= 300) throw new Error(`${method} ${path} answered ${answer.status}: ${text}`);
  return JSON.parse(text) as T;
}

async function makeHook(url: string, rootKey: string): Promise<Hooked> {
  const { key } = await ask<{ key: string }>(url, rootKey, "POST", "/v1/tenants/default/keys", {
    name: "copies",
  });
  await ask(url, key, "PUT", "/v1/workflows/copied", PLAN);
  const { id } = await ask<{ id: string }>(url, key, "POST", "/v1/hooks", {
    ...{ name: "copies", workflow: "copied", secret: SECRET },
    ...{ scheme: { type: "github" }, input: { body: "${{ input.body }}" } },
  });
  return { key, id };
}

/** All copies, near to each other and in no order. */
function drawOrder(random: Random): number[] {
  const order: number[] = [];
  for (let from = 0; from < deliveries; from += WINDOW) {
    const window = Array.from(
      { length: Math.min(WINDOW, deliveries - from) * copies },
      (_, at) => from + Math.floor(at / copies),
    );
    for (let at = window.length - 1; at > 0; at -= 1) {
      const other = random.int(0, at);
      [window[at], window[other]] = [window[other] ?? 0, window[at] ?? 0];
    }
    order.push(...window);
  }
  return order;
}

/** One copy, as GitHub would send it; its body differs from that of the others. Null: no answer, or "not now". */
async function deliver(url: string, n: number, copy: number, signal: AbortSignal): Promise<number | null> {
  const body = JSON.stringify({ n, copy });
  try {
    const answer = await fetch(`${url}/hooks/default/copies`, {
      method: "POST",
      body,
      signal,
      headers: {
        "content-type": "application/json",
        "x-github-event": "push",
        "x-github-delivery": `delivery-${n}`,
        "x-hub-signature-256": `sha256=${createHmac("sha256", SECRET).update(body).digest("hex")}`,
      },
    });
    await answer.arrayBuffer();
    // What answers without our mark is none of ours: a killed server's port is free for others.
    return answer.headers.get("x-request-id") === null || answer.status >= 500 ? null : answer.status;
  } catch {
    return null;
  }
}

/** Sends what is left, until all of it is answered, or `killAt` answers have come, or the server stands at its point. @returns what is left, and what was in flight */
async function live(
  server: Server,
  left: readonly { readonly n: number; readonly copy: number }[],
  killAt: number | Promise<void>,
  counts: Counts,
): Promise<{ readonly left: { n: number; copy: number }[]; readonly inFlight: number }> {
  await server.up;
  const queue = [...left];
  const again: { n: number; copy: number }[] = [];
  const dead = new AbortController();
  const until = Date.now() + PATIENCE_MS;
  let flying = 0;
  let inFlight = 0;
  const killing: Promise<void>[] = [];
  const kill = (): void => {
    if (killing.length > 0) return;
    inFlight = flying;
    killing.push(server.kill().then(() => dead.abort()));
  };
  if (typeof killAt !== "number") void killAt.then(kill);
  const send = async (): Promise<void> => {
    for (let one = queue.shift(); one !== undefined; one = queue.shift()) {
      if (killing.length > 0) {
        again.push(one);
        continue;
      }
      flying += 1;
      const status = await deliver(server.url, one.n, one.copy, dead.signal);
      flying -= 1;
      if (status === 202) counts.accepted += 1;
      else if (status === null) {
        counts.unanswered += 1;
        if (killing.length === 0 && Date.now() < until) queue.push(one);
        else again.push(one);
      } else counts.other.push(`${status} to delivery ${one.n}`);
      if (typeof killAt === "number" && counts.accepted >= killAt) kill();
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, send));
  await Promise.all(killing);
  return { left: again, inFlight };
}

interface Listed {
  readonly id: string;
  readonly status: string;
}

async function listed(url: string, key: string): Promise<Listed[]> {
  const runs: Listed[] = [];
  for (let cursor: string | null = ""; cursor !== null;) {
    const more: string = cursor === "" ? "" : `&cursor=${cursor}`;
    const page: { data: Listed[]; next_cursor: string | null } = await ask(
      ...([url, key, "GET", `/v1/runs?limit=${PAGE}${more}`] as const),
    );
    runs.push(...page.data);
    cursor = page.next_cursor;
  }
  return runs;
}

/** Once every run has told of its end, or the time is up. */
async function listedInTheEnd(url: string, key: string): Promise<Listed[]> {
  const until = Date.now() + END_MS;
  for (;;) {
    const runs = await listed(url, key);
    const isDone = runs.length >= deliveries && runs.every(({ status }) => status === "succeeded");
    if (isDone || Date.now() > until) return runs;
    await sleep(250);
  }
}

const began = Date.now();
const seconds = (): number => Math.round((Date.now() - began) / 1_000);
const random = new Random(seed, "copies");
const folder = await mkdtemp(join(tmpdir(), "showcaller-copies-"));
try {
  const config = join(folder, "wrangler.json");
  await writeFile(
    config,
    JSON.stringify(await crashConfig("showcaller-copies", join(REPOSITORY, "src/worker.ts"))),
  );
  const [state, variables] = [join(folder, "state"), join(folder, "variables.env")];
  const [built] = await Promise.all([build(config, join(folder, "bundle")), migrateDatabase(config, state)]);
  const [rootKey, serverKey] = [randomBytes(32).toString("base64url"), randomBytes(32)];
  const secrets = {
    SERVER_KEY: serverKey.toString("base64"),
    KEYRING: JSON.stringify({ active: "k1", keys: { k1: randomBytes(32).toString("base64") } }),
    ROOT_API_KEY: rootKey,
  };
  const given = Given.of(secrets);
  given.add("the secret of the hook", SECRET);
  const lines: string[] = [];
  /** `reached` resolves when the server stands at its point. */
  const start = async (crashAt = ""): Promise<{ server: Server; reached: Promise<void> }> => {
    await writeVariables(variables, { ...secrets, CRASH_AT: crashAt });
    let reach = (): void => {};
    const reached = new Promise<void>((resolve) => {
      reach = resolve;
    });
    const onLine = (line: string): void => {
      lines.push(line);
      if (line.includes("crash-point:")) reach();
    };
    return { server: await startServer({ build: built, state, variables, onLine }), reached };
  };

  const first = await start();
  await first.server.up;
  const { key, id } = await makeHook(first.server.url, rootKey);
  given.add("the admin key", key);
  const counts: Counts = { accepted: 0, unanswered: 0, other: [] };
  let left = drawOrder(random).map((n, copy) => ({ n, copy }));
  const all = deliveries * copies;
  let killsInFlight = 0;
  let { server } = first;
  let killAt: number | Promise<void> = momentOf(1);
  for (let kill = 1; kill <= kills; kill += 1) {
    const life = await live(server, left, killAt, counts);
    left = life.left;
    killsInFlight += life.inFlight > 0 ? 1 : 0;
    const where = typeof killAt === "number" ? "" : ", a run just written";
    console.error(
      `kill ${kill}/${kills}, ${seconds()} s: after ${counts.accepted} answers, ${life.inFlight} in flight${where}`,
    );
    // The next kill: at a moment, or with a run just written.
    const isAtPoint = kill % 2 === 1 && kill < kills;
    const next = await start(isAtPoint ? `start-written:${random.int(20, 200)}` : "");
    server = next.server;
    killAt = isAtPoint ? next.reached : momentOf(kill + 1);
  }
  const last = await live(server, left, Infinity, counts);

  function momentOf(kill: number): number {
    return Math.floor((all * (kill - 1 + random.int(30, 90) / 100)) / kills);
  }

  const runs = await listedInTheEnd(server.url, key);
  await server.kill();
  const mac = await importHmacKey(new Uint8Array(serverKey));
  const expected = new Set(
    await Promise.all(
      Array.from({ length: deliveries }, (_, n) =>
        runIdOf(mac, { tenant: "default", kind: "hook", id, idempotencyKey: `id:delivery-${n}` }),
      ),
    ),
  );
  const ids = new Set(runs.map((run) => run.id));
  const result = {
    ...{ deliveries, copies, kills, killsInFlight, answered: counts.accepted },
    resent: counts.unanswered,
    refused: counts.other.length,
    unanswered: last.left.length,
    runs: ids.size,
    missing: [...expected].filter((run) => !ids.has(run)).length,
    foreign: [...ids].filter((run) => !expected.has(run)).length,
    notSucceeded: runs.filter(({ status }) => status !== "succeeded").length,
    objects: countRuns(state),
    logLines: lines.length,
    secretsInLogs: given.foundIn(lines, (line) => console.error(line)),
    seconds: seconds(),
    seed,
  };
  for (const what of counts.other.slice(0, 10)) console.error(what);
  console.log(JSON.stringify(result));
  const isGood =
    result.answered === all &&
    [result.runs, result.objects].every((count) => count === deliveries) &&
    [result.missing, result.foreign, result.notSucceeded, result.refused, result.unanswered].every(
      (n) => n === 0,
    ) &&
    result.secretsInLogs === 0 &&
    result.killsInFlight * 2 >= kills;
  process.exitCode = isGood ? 0 : 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}
