/** Deliveries as GitHub signs them, of the size of a small push: how many a second are taken, and how long one waits for its 202. */
import { createHmac, randomUUID } from "node:crypto";
import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { Server } from "../dev-server/index.ts";
import { DELIVERED, DELIVERY_ID, SECRET, SIGNATURE } from "./shapes.ts";

const COMMITS = 6;

interface Delivery {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** About 5 KB, each with an id of its own. */
function newDelivery(): Delivery {
  const id = randomUUID();
  const body = JSON.stringify({
    ref: "refs/heads/main",
    after: id,
    repository: { id: 1296269, full_name: "acme/shop", private: true, default_branch: "main" },
    pusher: { name: "ada", email: "ada@mail.example" },
    commits: Array.from({ length: COMMITS }, (_, i) => ({
      id: `${id}-${i}`,
      message: `The ${i}th change of this push, with a message of the usual length. ${"Why it was made. ".repeat(20)}`,
      timestamp: "2026-11-26T09:00:00Z",
      author: { name: "Ada Lovelace", email: "ada@mail.example", username: "ada" },
      added: [`src/part-${i}/index.ts`, `src/part-${i}/rules.ts`],
      removed: [],
      modified: Array.from({ length: 8 }, (_, k) => `src/part-${i}/file-${k}.ts`),
    })),
  });
  return {
    body,
    headers: {
      "content-type": "application/json",
      "user-agent": "GitHub-Hookshot/bench",
      "x-github-event": "push",
      [DELIVERY_ID]: id,
      [SIGNATURE]: `sha256=${createHmac("sha256", SECRET).update(body).digest("hex")}`,
    },
  };
}

export const DELIVERY_SIDES = { showcaller: "/hooks/bench/github", bare: "/bare", kept: "/kept" } as const;
export type DeliverySide = keyof typeof DELIVERY_SIDES;
const SIDES = Object.keys(DELIVERY_SIDES) as readonly DeliverySide[];

/** One after the other: what a sender waits for where nothing else goes on. */
const ALONE = 200;
/** So many of them at a time: what can be taken. */
const TOGETHER = 320;
const AT_A_TIME = 16;
const QUIET_TIMEOUT_MS = 60_000;
const POLL_MS = 50;

export interface DeliveryFigures {
  readonly perSecond: number;
  /** Milliseconds to the 202, one after the other. */
  readonly p50: number;
  readonly p99: number;
  /** The same while 16 are on their way. */
  readonly busyP99: number;
}

/**
 * Deliveries over HTTP, by turns within a round, between which all runs have ended. The way to the Worker is the same for all, and it
 * does count here: so ratios are closer to 1 than those of the Workers alone.
 */
export async function measureDeliveries(
  server: Pick<Server, "url">,
  rootKey: string,
  rounds: number,
): Promise<Record<DeliverySide, DeliveryFigures>> {
  const admin = await newHook(server.url, rootKey);
  const agent = new Agent({ keepAlive: true, maxSockets: AT_A_TIME });
  const seen: Record<DeliverySide, DeliveryFigures[]> = { showcaller: [], bare: [], kept: [] };
  let sent = 0;
  // The first rounds compile code and open connections.
  for (let round = -2; round < rounds; round++) {
    const first = Math.abs(round) % SIDES.length;
    for (const side of [...SIDES.slice(first), ...SIDES.slice(0, first)]) {
      const url = new URL(DELIVERY_SIDES[side], server.url);
      const alone = await send(agent, url, ALONE, 1);
      const busy = await send(agent, url, TOGETHER, AT_A_TIME);
      if (side === "showcaller") await untilEnded(server.url, admin, (sent += ALONE + TOGETHER));
      if (round < 0) continue;
      seen[side].push({
        perSecond: (TOGETHER / busy.tookMs) * 1_000,
        p50: quantile(alone.times, 0.5),
        p99: quantile(alone.times, 0.99),
        busyP99: quantile(busy.times, 0.99),
      });
    }
  }
  agent.destroy();
  return {
    showcaller: medianOf(seen.showcaller),
    bare: medianOf(seen.bare),
    kept: medianOf(seen.kept),
  };
}

/** Of each figure of its own: a disk that stands still for a second spoils one round, not all. */
function medianOf(rounds: readonly DeliveryFigures[]): DeliveryFigures {
  const of = (figure: keyof DeliveryFigures): number =>
    quantile(
      rounds.map((round) => round[figure]),
      0.5,
    );
  return { perSecond: of("perSecond"), p50: of("p50"), p99: of("p99"), busyP99: of("busyP99") };
}

async function send(
  agent: Agent,
  url: URL,
  count: number,
  atATime: number,
): Promise<{ readonly times: readonly number[]; readonly tookMs: number }> {
  // Signed before the clock runs.
  const deliveries = Array.from({ length: count }, newDelivery);
  const times: number[] = [];
  let next = 0;
  const begun = performance.now();
  await Promise.all(
    Array.from({ length: atATime }, async () => {
      for (let i = next++; i < count; i = next++) {
        const delivery = deliveries[i];
        if (delivery === undefined) return;
        const at = performance.now();
        const status = await post(agent, url, delivery);
        times.push(performance.now() - at);
        if (status !== 202) throw new Error(`${url.pathname} answered ${status}`);
      }
    }),
  );
  return { times, tookMs: performance.now() - begun };
}

async function post(agent: Agent, url: URL, { headers, body }: Delivery): Promise<number> {
  return new Promise((resolve, reject) => {
    const length = Buffer.byteLength(body);
    const sent = request(url.href, {
      agent,
      method: "POST",
      headers: { ...headers, "content-length": length },
    });
    sent.on("error", reject);
    sent.on("response", (answer) => {
      answer.on("error", reject);
      answer.on("end", () => resolve(answer.statusCode ?? 0));
      answer.resume();
    });
    sent.end(body);
  });
}

/** A tenant with the hook. @returns its admin key */
async function newHook(url: string, rootKey: string): Promise<string> {
  const call = async (key: string, path: string, body: unknown): Promise<unknown> => {
    const answer = await fetch(url + path, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`);
    return JSON.parse(text);
  };
  await call(rootKey, "/v1/tenants", { id: "bench" });
  const { key } = (await call(rootKey, "/v1/tenants/bench/keys", { name: "bench" })) as {
    readonly key: string;
  };
  await call(key, "/v1/hooks", {
    name: "github",
    workflow: DELIVERED,
    scheme: { type: "github" },
    secret: SECRET,
    filter: "input.event == 'push'",
    input: { repository: "${{ input.body.repository.full_name }}", commit: "${{ input.body.after }}" },
  });
  return key;
}

/** Until exactly so many runs were started, and all of them have ended. */
async function untilEnded(url: string, key: string, sent: number): Promise<void> {
  const from = Date.now() - 23 * 60 * 60_000;
  for (const end = Date.now() + QUIET_TIMEOUT_MS; Date.now() < end; await sleep(POLL_MS)) {
    const answer = await fetch(`${url}/v1/runs/counts?from=${from}`, {
      headers: { authorization: `Bearer ${key}` },
    });
    const { data } = (await answer.json()) as {
      readonly data: readonly { readonly total: number; readonly counts: Readonly<Record<string, number>> }[];
    };
    const ended = data.reduce((sum, { counts }) => sum + (counts["succeeded"] ?? 0), 0);
    const total = data.reduce((sum, one) => sum + one.total, 0);
    if (total > sent) throw new Error(`${sent} deliveries have started ${total} runs`);
    if (ended === sent) return;
  }
  throw new Error(`The runs of ${sent} deliveries have not all ended.`);
}

function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN;
}
