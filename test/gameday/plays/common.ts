/** What the plays share: a house with keys and plans, its storage on disk, and claims that must hold. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Build, Server } from "../../dev-server/index.ts";
import { Caller } from "../calls.ts";
import { explain, start, type Explained, type Keys } from "../population.ts";
import type { Stage } from "../stage.ts";

const POLL_MS = 100;

/** What was seen, for docs/runbooks.md. */
export type Seen = Readonly<Record<string, unknown>>;
export type Play = (stage: Stage) => Promise<Seen>;

export function claim(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`not so: ${what}`);
}

/** Resolves with the milliseconds that it took; rejects if it does not come about. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  patienceMs = 60_000,
): Promise<number> {
  const began = Date.now();
  while (!(await holds())) {
    if (Date.now() - began > patienceMs) throw new Error(`not within ${patienceMs} ms: ${what}`);
    await sleep(POLL_MS);
  }
  return Date.now() - began;
}

export class House {
  readonly stage: Stage;
  readonly caller = new Caller();
  keys: Keys = { admin: "", approver: "", root: "" };
  #server: Server | null = null;
  #orders = 0;

  constructor(stage: Stage) {
    this.stage = stage;
  }

  async up(build: Build = this.stage.next): Promise<void> {
    this.#server = await this.stage.start(build);
    this.caller.server = this.#server;
  }

  async kill(): Promise<void> {
    this.caller.server = null;
    await this.#server?.kill();
    this.#server = null;
  }

  async restart(build?: Build): Promise<void> {
    await this.kill();
    await this.up(build);
  }

  /** Keys of the tenant, and the plans by name. */
  async furnish(plans: Readonly<Record<string, object>>): Promise<void> {
    const root = this.stage.rootKey;
    const keyOf = async (name: string): Promise<string> =>
      (await this.make<{ key: string }>("/v1/tenants/default/keys", { name }, root)).key;
    this.keys = { admin: await keyOf("play"), approver: await keyOf("approver"), root };
    for (const [name, plan] of Object.entries(plans)) await this.plan(name, plan);
  }

  async plan(name: string, body: object): Promise<void> {
    await this.call("PUT", `/v1/workflows/${name}`, body);
  }

  async make<T>(path: string, body: object, key = this.keys.admin): Promise<T> {
    return this.call<T>("POST", path, body, key);
  }

  /** Answers the body of a success; a "not now" is tried again for a minute. */
  async call<T>(method: string, path: string, body?: object, key = this.keys.admin): Promise<T> {
    const ask = { method, path, key, ...(body === undefined ? {} : { body }) };
    return this.caller.insist<T>(`${method} ${path}`, ask, [200, 201, 202, 204]);
  }

  /** One call, whatever comes of it. */
  async status(
    method: string,
    path: string,
    key = this.keys.admin,
    body?: object,
  ): Promise<{ status: number; code: string | null; body: unknown }> {
    const answer = await fetch(this.caller.url + path, {
      method,
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    const said: unknown =
      answer.headers.get("content-type")?.includes("json") === true ? JSON.parse(text) : text;
    return { status: answer.status, code: (said as { code?: string } | null)?.code ?? null, body: said };
  }

  async run(workflow: string, input: object = {}, more: object = {}): Promise<string> {
    this.#orders += 1;
    return start(this.caller, this.keys, `play-${this.#orders}`, { workflow, input, ...more });
  }

  async view(run: string): Promise<{ status: string; failure: { code: string } | null }> {
    return this.call("GET", `/v1/runs/${run}`);
  }

  async explained(run: string): Promise<Explained & { readonly summary: string; readonly limit_at: number }> {
    const said = await explain(this.caller, this.keys, run);
    if (said === null) throw new Error(`${run} is not explained`);
    return said as Explained & { summary: string; limit_at: number };
  }

  async health(): Promise<{ status: string; checks: { name: string; ok: boolean; detail: string }[] }> {
    return this.call("GET", "/v1/health", undefined, this.keys.root);
  }

  /** What the cron trigger does, now. */
  async tick(): Promise<void> {
    await fetch(`${this.caller.url}/.gameday/tick`);
  }

  /** The events of that name in the logs of all servers so far. */
  logged(event: string): number {
    return this.stage.lines.filter((line) => line.includes(event)).length;
  }
}

export { storageOf } from "../storage.ts";
