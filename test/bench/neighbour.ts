/**
 * How long a tenant's start takes while another tenant floods the same Worker with starts, as fast as 16 connections carry them: once
 * one that is held to its quotas, once one that has the usual ones, which are more than this machine can do. By turns with quiet ones.
 */
import { Agent, request } from "node:http";
import type { Server } from "../dev-server/index.ts";

const SIDES = ["quiet", "held", "free"] as const;
export type NeighbourSide = (typeof SIDES)[number];

/** What a held one may do: far less than it tries. */
const QUOTAS = { requests_per_second: 20, request_burst: 20, starts_per_minute: 60 };
const CONNECTIONS = 16;
const STARTS = 60;
const PLAN = { steps: { one: { action: "transform", with: { value: 1 } } } };

export interface NeighbourFigures {
  /** Milliseconds to the 202 of a start, one after the other. */
  readonly p50: number;
  readonly p99: number;
  /** Of the neighbour, per second. */
  readonly sent: number;
  readonly admitted: number;
}

export async function measureNeighbour(
  server: Pick<Server, "url">,
  rootKey: string,
  rounds: number,
): Promise<Record<NeighbourSide, NeighbourFigures>> {
  const mine = await newTenant(server.url, rootKey, "mine");
  const held = await newTenant(server.url, rootKey, "held");
  const free = await newTenant(server.url, rootKey, "free");
  await call(server.url, rootKey, "PUT", "/v1/tenants/held/quotas", { quotas: QUOTAS });
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS + 1 });
  const seen: Record<NeighbourSide, { times: number[]; sent: number; admitted: number; ms: number }> = {
    quiet: { times: [], sent: 0, admitted: 0, ms: 0 },
    held: { times: [], sent: 0, admitted: 0, ms: 0 },
    free: { times: [], sent: 0, admitted: 0, ms: 0 },
  };
  // The first round compiles code and opens connections.
  for (let round = -1; round < rounds; round++) {
    const first = Math.abs(round) % SIDES.length;
    for (const side of [...SIDES.slice(first), ...SIDES.slice(0, first)]) {
      const flood = side === "quiet" ? null : floodOf(agent, server.url, side === "held" ? held : free);
      const times: number[] = [];
      const begun = performance.now();
      for (let i = 0; i < STARTS; i++) {
        const at = performance.now();
        const status = await start(agent, server.url, mine);
        times.push(performance.now() - at);
        if (status !== 202) throw new Error(`A start of the quiet tenant was answered ${status}.`);
      }
      const ms = performance.now() - begun;
      const { sent, admitted } = (await flood?.end()) ?? { sent: 0, admitted: 0 };
      if (round < 0) continue;
      const of = seen[side];
      of.times.push(...times);
      of.sent += sent;
      of.admitted += admitted;
      of.ms += ms;
    }
  }
  agent.destroy();
  const figures = ({ times, sent, admitted, ms }: (typeof seen)[NeighbourSide]): NeighbourFigures => ({
    ...{ p50: quantile(times, 0.5), p99: quantile(times, 0.99) },
    ...{ sent: (sent / ms) * 1_000, admitted: (admitted / ms) * 1_000 },
  });
  return { quiet: figures(seen.quiet), held: figures(seen.held), free: figures(seen.free) };
}

interface Flood {
  /** Lets what is under way come to its end. */
  end(): Promise<{ readonly sent: number; readonly admitted: number }>;
}

function floodOf(agent: Agent, url: string, key: string): Flood {
  const over = new AbortController();
  let [sent, admitted] = [0, 0];
  const all = Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      while (!over.signal.aborted) {
        const status = await start(agent, url, key);
        sent += 1;
        if (status === 202) admitted += 1;
        else if (status !== 429) throw new Error(`A start of the flood was answered ${status}.`);
      }
    }),
  );
  return {
    async end() {
      over.abort();
      await all;
      return { sent, admitted };
    },
  };
}

const BODY = JSON.stringify({ plan: PLAN });

async function start(agent: Agent, url: string, key: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = {
      ...{ authorization: `Bearer ${key}`, "content-type": "application/json" },
      "content-length": Buffer.byteLength(BODY),
    };
    const asking = request(`${url}/v1/runs`, { agent, method: "POST", headers });
    asking.on("error", reject);
    asking.on("response", (answer) => {
      answer.on("error", reject);
      answer.on("end", () => resolve(answer.statusCode ?? 0));
      answer.resume();
    });
    asking.end(BODY);
  });
}

async function newTenant(url: string, rootKey: string, id: string): Promise<string> {
  await call(url, rootKey, "POST", "/v1/tenants", { id });
  const made = await call(url, rootKey, "POST", `/v1/tenants/${id}/keys`, { name: "bench" });
  return (made as { readonly key: string }).key;
}

async function call(url: string, key: string, method: string, path: string, body: object): Promise<unknown> {
  const answer = await fetch(url + path, {
    method,
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`);
  return JSON.parse(text);
}

function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN;
}
