/**
 * A steady stream of calls, as backends, people and services make them, through everything that happens. Each answer is held
 * against what is known: a run stays what it was started as, never goes back, and stays over once it is over.
 */
import { createHmac } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Random } from "../sim/random.ts";
import { isOneOf, type Answer, type Ask, type Caller, type Check } from "./calls.ts";
import { EVENT, QUICK } from "./kinds.ts";
import { explain, type Keys, type Placed } from "./population.ts";

const WORKERS = 5;
const PAUSE_MS = 120;
const HOOK_SECRET_BYTES = 24;
const OVER: ReadonlySet<string> = new Set(["succeeded", "failed", "cancelled"]);

export const HOOK = "gd-push";
export const hookSecret = createHmac("sha256", String(process.pid))
  .update(String(Date.now()))
  .digest("hex")
  .slice(0, HOOK_SECRET_BYTES);

interface View {
  readonly id: string;
  readonly workflow: string;
  readonly status: string;
  readonly seq?: number;
}

interface Known {
  readonly workflow: string;
  seq: number;
  ended: string | null;
}

export class Traffic {
  readonly #caller: Caller;
  readonly #keys: Keys;
  readonly #strangers: { readonly key: string; readonly revoked: string };
  readonly #placed: readonly Placed[];
  readonly #random: Random;
  readonly #known = new Map<string, Known>();
  /** Starts: answered with this run, each time that it was. */
  readonly starts = new Map<string, string>();
  /** To be cancelled, and waiting for a signal until then. */
  readonly #ours: string[] = [];
  /** Deliveries that were answered 202. */
  readonly delivered = new Set<number>();
  readonly events = new Set<string>();
  #n = 0;
  #stopped = false;
  #work: Promise<unknown> = Promise.resolve();

  /** @param strangers a key of another tenant, and one that is revoked */
  constructor(
    caller: Caller,
    keys: Keys,
    strangers: { readonly key: string; readonly revoked: string },
    placed: readonly Placed[],
    seed: number,
  ) {
    this.#caller = caller;
    this.#keys = keys;
    this.#strangers = strangers;
    this.#placed = placed;
    this.#random = new Random(seed, "traffic");
    for (const { run, kind } of placed)
      this.#known.set(run, {
        workflow: kind.plan === undefined ? "process-order" : `gd-${kind.name}`,
        seq: 0,
        ended: null,
      });
  }

  /** Runs that traffic started, by their keys: how each must end is not known but for those that were cancelled. */
  begin(): void {
    this.#work = Promise.all(Array.from({ length: WORKERS }, async () => this.#loop()));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#work;
  }

  async #loop(): Promise<void> {
    while (!this.#stopped) {
      if (this.#caller.isUp) await this.#one();
      await sleep(PAUSE_MS);
    }
  }

  async #one(): Promise<void> {
    const what = this.#random.weighted({
      start: 6,
      again: 3,
      get: 8,
      events: 3,
      list: 4,
      explain: 6,
      signal: 3,
      approve: 2,
      cancel: 2,
      deliver: 5,
      post: 2,
      database: 6,
      strangers: 4,
      health: 1,
      jwks: 1,
      trip: 1,
    });
    await this.#calls[what]();
  }

  readonly #calls = {
    start: async () => {
      this.#n += 1;
      const n = this.#n;
      const isToCancel = n % 5 === 0;
      const workflow = isToCancel ? "gd-signal" : "gd-quick";
      const order = `traffic-${n}`;
      const id = await this.#start(order, workflow);
      if (id === null) return;
      this.starts.set(order, id);
      if (isToCancel) this.#ours.push(id);
    },
    /** Uses what a user has lent, which has to be renewed all the time. */
    trip: async () => {
      this.#n += 1;
      await this.#start(`trip-${this.#n}`, "book-trip", {
        ...{ from: "LHR", to: "ZRH", date: "2027-03-14" },
        traveller: { name: "Ada Lovelace", email: "ada@mail.example", phone: "+41 44 000 00 00" },
      });
    },
    /** The same start again is the same run. */
    again: async () => {
      const [order, run] = this.#pick([...this.starts]) ?? [];
      if (order === undefined || run === undefined) return;
      const workflow = Number(order.split("-")[1]) % 5 === 0 ? "gd-signal" : "gd-quick";
      const id = await this.#start(order, workflow);
      if (id !== null && id !== run) this.#caller.wrong(`${order} was ${run}, and is ${id}`);
    },
    get: async () => {
      const run = this.#someRun();
      const ask = { method: "GET", path: `/v1/runs/${run}`, key: this.#keys.admin };
      await this.#caller.ask("run.get", ask, this.#checkOf(run));
    },
    events: async () => {
      const run = this.#someRun();
      const path = `/v1/runs/${run}/events?after=0&limit=50`;
      await this.#caller.ask(
        "run.events",
        { method: "GET", path, key: this.#keys.admin },
        ({ status, body }) => {
          if (status !== 200) return "no events";
          const { data } = body as { data: readonly { seq: number; type: string }[] };
          return data[0]?.type !== "run_started" || data.some(({ seq }, i) => seq !== i + 1)
            ? "events are missing"
            : null;
        },
      );
    },
    list: async () => {
      const workflow = this.#pick(this.#placed)?.kind.name ?? "signal";
      const path = `/v1/runs?workflow=gd-${workflow}&limit=50`;
      await this.#caller.ask(
        "run.list",
        { method: "GET", path, key: this.#keys.admin },
        ({ status, body }) => {
          if (status !== 200) return "no list";
          const { data } = body as { data: readonly (View & { readonly started_at: number })[] };
          const isSorted = data.every(
            ({ started_at: at }, i) => i === 0 || at <= (data[i - 1]?.started_at ?? 0),
          );
          return data.every((run) => run.workflow === `gd-${workflow}`) && isSorted
            ? null
            : "not what was asked for";
        },
      );
    },
    explain: async () => {
      await explain(this.#caller, this.#keys, this.#someRun());
    },
    signal: async () => {
      const one = this.#pick(this.#placed.filter(({ kind }) => kind.name === "signal"));
      if (one === undefined) return;
      const ask = { method: "POST", path: `/v1/runs/${one.run}/signals/go`, key: this.#keys.admin };
      const check = this.#checkOf(one.run);
      await this.#caller.ask("run.signal", { ...ask, body: { id: "once", payload: { n: 1 } } }, (answer) =>
        answer.status === 409 ? codeIs(answer, "run_ended") : check(answer),
      );
    },
    approve: async () => {
      const one = this.#pick(this.#placed.filter(({ kind }) => kind.name === "decision"));
      if (one === undefined) return;
      const path = `/v1/approvals/${one.run}.ask.g1`;
      const body = { decision: "approved", note: "Game day." };
      await this.#caller.ask(
        "approval.decide",
        { method: "POST", path, key: this.#keys.approver, body },
        isOneOf(200),
      );
      // Who started the run never decides.
      await this.#caller.ask(
        "approval.refused",
        { method: "POST", path, key: this.#keys.admin, body },
        (answer) => codeIs(answer, "approver_is_starter"),
      );
    },
    cancel: async () => {
      const run = this.#ours.shift();
      if (run === undefined) return;
      const ask = { method: "POST", path: `/v1/runs/${run}/cancel`, key: this.#keys.admin };
      const check = this.#checkOf(run);
      const done = await this.#caller.ask("run.cancel", { ...ask, body: { mode: "graceful" } }, (answer) =>
        answer.status === 409 ? codeIs(answer, "run_ended") : check(answer),
      );
      if (done === null) this.#ours.push(run);
    },
    deliver: async () => {
      this.#n += 1;
      const n = this.#n;
      const body = JSON.stringify({ n });
      // A copy comes as well, as services do it: it is the same run.
      for (const copy of [1, 2]) {
        const taken = await this.#caller.ask(
          "hook.deliver",
          {
            ...{ method: "POST", path: `/hooks/default/${HOOK}`, body },
            headers: {
              "content-type": "application/json",
              "x-github-event": "push",
              "x-github-delivery": `gd-${n}`,
              "x-hub-signature-256": `sha256=${createHmac("sha256", hookSecret).update(body).digest("hex")}`,
            },
          },
          isOneOf(202),
        );
        if (taken !== null) this.delivered.add(n);
        else if (copy === 1) continue;
      }
      const forged = { "x-github-event": "push", "x-github-delivery": `bad-${n}` };
      await this.#caller.ask(
        "hook.forged",
        {
          ...{ method: "POST", path: `/hooks/default/${HOOK}`, body },
          headers: {
            ...forged,
            "content-type": "application/json",
            "x-hub-signature-256": `sha256=${"0".repeat(64)}`,
          },
        },
        isOneOf(404, 401),
      );
    },
    post: async () => {
      const one = this.#pick(this.#placed.filter(({ kind }) => kind.name === "event"));
      const order = one?.order.split("-").at(-1) ?? "0";
      const body = { name: EVENT, id: `e-${order}`, data: { order: `o-${order}` } };
      const ask = { method: "POST", path: "/v1/events", key: this.#keys.admin, body };
      if ((await this.#caller.ask("event.post", ask, isOneOf(202))) !== null) this.events.add(order);
    },
    /** What stands in the database. */
    database: async () => {
      const key = this.#keys.admin;
      const [what, ask] = this.#pick<[string, Ask]>([
        ["keys.list", { method: "GET", path: "/v1/keys?limit=5", key }],
        ["audit.list", { method: "GET", path: "/v1/audit?limit=5", key }],
        ["connections.list", { method: "GET", path: "/v1/connections", key }],
        ["plan.store", { method: "PUT", path: "/v1/workflows/gd-quick", key, body: QUICK }],
        ["workflow.get", { method: "GET", path: "/v1/workflows/gd-quick", key }],
        ["endpoints.list", { method: "GET", path: "/v1/endpoints", key }],
        ["schedules.list", { method: "GET", path: "/v1/schedules", key }],
        ["vault.keys", { method: "GET", path: "/v1/vault/keys", key: this.#keys.root }],
        [
          "key.make",
          {
            ...{ method: "POST", path: "/v1/keys", key },
            body: { name: `gd ${this.#n}`, scopes: ["runs:read"] },
          },
        ],
      ]) ?? ["keys.list", { method: "GET", path: "/v1/keys", key }];
      await this.#caller.ask(what, ask, isOneOf(200, 201));
    },
    strangers: async () => {
      const run = this.#someRun();
      const path = `/v1/runs/${run}`;
      await this.#caller.ask("stranger.run", { method: "GET", path, key: this.#strangers.key }, isOneOf(404));
      await this.#caller.ask(
        "stranger.key",
        { method: "GET", path, key: this.#strangers.revoked },
        isOneOf(401),
      );
      await this.#caller.ask("stranger.none", { method: "GET", path }, isOneOf(401));
    },
    health: async () => {
      const ask = { method: "GET", path: "/v1/health", key: this.#keys.root };
      await this.#caller.ask("health", ask, ({ status, body }) => {
        const said = (body as { status?: string } | null)?.status;
        return status === 200 && (said === "ok" || said === "failing") ? null : "no word of its health";
      });
    },
    jwks: async () => {
      const ask = { method: "GET", path: "/v1/issuer", key: this.#keys.admin };
      await this.#caller.ask("issuer.get", ask, isOneOf(200));
    },
  } as const satisfies Record<string, () => Promise<void>>;

  async #start(order: string, workflow: string, input: object = { order }): Promise<string | null> {
    const answer = await this.#caller.ask(
      "run.start",
      {
        ...{ method: "POST", path: "/v1/runs", key: this.#keys.admin },
        headers: { "idempotency-key": `"${order}"` },
        body: { workflow, input, ...(workflow === "book-trip" ? { user: "ada" } : {}) },
      },
      ({ status, body }) => {
        const view = body as View;
        return [200, 202].includes(status) && view.workflow === workflow ? null : "not started";
      },
    );
    if (answer === null) return null;
    const { id } = answer.body as View;
    if (!this.#known.has(id)) this.#known.set(id, { workflow, seq: 0, ended: null });
    return id;
  }

  /** Answers overtake each other: what counts is what was known when it was asked. */
  #checkOf(run: string): Check {
    const { ended = null, seq = 0 } = this.#known.get(run) ?? {};
    return (answer) => this.#flawOfView(run, { ended, seq }, answer);
  }

  #flawOfView(
    run: string,
    before: Pick<Known, "ended" | "seq">,
    { status, body, headers }: Answer,
  ): string | null {
    if (status !== 200 && status !== 202) return "not the run";
    const view = body as View;
    const known = this.#known.get(run);
    if (view.id !== run) return "another run";
    if (known === undefined) return null;
    if (view.workflow !== known.workflow) return `it was started as ${known.workflow}`;
    const seq = Number(/^"r-(\d+)"$/.exec(headers.get("etag") ?? "")?.[1] ?? 0);
    if (before.ended !== null && view.status !== before.ended) return `it had ended as ${before.ended}`;
    if (seq > 0 && seq < before.seq) return `it had ${before.seq} events`;
    known.seq = Math.max(known.seq, seq);
    if (OVER.has(view.status)) known.ended = view.status;
    return null;
  }

  #someRun(): string {
    return this.#pick([...this.#known.keys()]) ?? "run_none";
  }

  #pick<T>(list: readonly T[]): T | undefined {
    return list.length === 0 ? undefined : list[this.#random.int(0, list.length - 1)];
  }
}

function codeIs({ status, body }: Answer, code: string): string | null {
  const said = (body as { code?: string } | null)?.code;
  return said === code ? null : `${status} ${said}, not ${code}`;
}
