/**
 * Calls to the API, and what becomes of each answer: it is right, or it is a clear "not now", or it is wrong.
 *
 * - J1 a "not now" is 503 with a problem document, a code of the table that has this status, and a `Retry-After` of whole
 *   seconds. Nothing else excuses an answer that is not right.
 * - J2 no answer at all is excused only if the server was killed meanwhile.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { PROBLEMS } from "../../src/api/problems.ts";
import type { Server } from "../dev-server/index.ts";

/** Longer than any answer takes here. */
const ANSWER_TIMEOUT_MS = 30_000;
const PAUSE_MS = 250;
const MAX_COMPLAINTS = 40;
const NOT_NOW: ReadonlySet<string> = new Set(
  Object.entries(PROBLEMS).flatMap(([code, { status }]) => (status === 503 ? [code] : [])),
);

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
}

export interface Ask {
  readonly method: string;
  readonly path: string;
  /** Missing: nobody's. */
  readonly key?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What is wrong with an answer; null: nothing. */
export type Check = (answer: Answer) => string | null;

export interface Counts {
  right: number;
  notNow: number;
  /** The server was killed under it. */
  unanswered: number;
  wrong: number;
}

export class Caller {
  #server: Server | null = null;
  /** Counts servers, and the moments between them. */
  #life = 0;
  #act = "before";
  readonly acts = new Map<string, Counts>();
  /** Of the operations that were asked: how often each was answered right. */
  readonly operations = new Map<string, number>();
  readonly complaints: string[] = [];

  /** Null: it is about to be killed. */
  set server(server: Server | null) {
    this.#server = server;
    this.#life += 1;
  }

  get isUp(): boolean {
    return this.#server !== null;
  }

  get url(): string {
    if (this.#server === null) throw new Error("no server stands");
    return this.#server.url;
  }

  set act(name: string) {
    this.#act = name;
  }

  get act(): string {
    return this.#act;
  }

  get counts(): Counts {
    const sum = { right: 0, notNow: 0, unanswered: 0, wrong: 0 };
    for (const act of this.acts.values())
      for (const name of ["right", "notNow", "unanswered", "wrong"] as const) sum[name] += act[name];
    return sum;
  }

  /** One call. Null: "not now", no answer, or a wrong one, which is counted. */
  async ask(what: string, ask: Ask, check: Check): Promise<Answer | null> {
    const counts = this.#countsOf(this.#act);
    const life = this.#life;
    const server = this.#server;
    if (server === null) return null;
    const answer = await send(server.url, ask).catch((error: unknown) => String(error));
    if (typeof answer === "string") {
      if (this.#life !== life) counts.unanswered += 1;
      else this.#complain(counts, what, ask, `no answer: ${answer}`);
      return null;
    }
    if (answer.status === 503 && answer.headers.get("x-request-id") !== null) {
      const flaw = flawOfNotNow(answer);
      if (flaw === null) counts.notNow += 1;
      else this.#complain(counts, what, ask, flaw);
      return null;
    }
    // What answers without our mark, once the server was killed, is whoever has its port now.
    if (this.#life !== life && answer.headers.get("x-request-id") === null) {
      counts.unanswered += 1;
      return null;
    }
    const flaw = check(answer);
    if (flaw === null) {
      counts.right += 1;
      this.operations.set(what, (this.operations.get(what) ?? 0) + 1);
      return answer;
    }
    this.#complain(
      counts,
      what,
      ask,
      `${flaw}: ${answer.status} ${JSON.stringify(answer.body)?.slice(0, 600)}`,
    );
    return null;
  }

  /** Until it is answered, through restarts and outages. Throws if it was answered wrongly, or the time is up. */
  async insist<T>(what: string, ask: Ask, statuses: readonly number[], patienceMs = 60_000): Promise<T> {
    const until = Date.now() + patienceMs;
    for (;;) {
      const before = this.counts.wrong;
      const answer = await this.ask(what, ask, isOneOf(...statuses));
      if (answer !== null) return answer.body as T;
      if (this.counts.wrong > before) throw new Error(this.complaints.at(-1));
      if (Date.now() > until) throw new Error(`${what}: ${ask.method} ${ask.path} was not answered in time`);
      await sleep(PAUSE_MS);
    }
  }

  wrong(what: string): void {
    this.#countsOf(this.#act).wrong += 1;
    this.#note(what);
  }

  #countsOf(act: string): Counts {
    const known = this.acts.get(act) ?? { right: 0, notNow: 0, unanswered: 0, wrong: 0 };
    this.acts.set(act, known);
    return known;
  }

  #complain(counts: Counts, what: string, ask: Ask, why: string): void {
    counts.wrong += 1;
    this.#note(`${what}: ${ask.method} ${ask.path}: ${why}`);
  }

  #note(line: string): void {
    this.complaints.push(line);
    if (this.complaints.length <= MAX_COMPLAINTS) console.error(`wrong answer (${this.#act}): ${line}`);
  }
}

export function isOneOf(...statuses: readonly number[]): Check {
  return ({ status }) => (statuses.includes(status) ? null : `not ${statuses.join(" or ")}`);
}

/** J1. */
function flawOfNotNow({ headers, body }: Answer): string | null {
  const { code } = (body ?? {}) as { readonly code?: string };
  if (headers.get("content-type")?.startsWith("application/problem+json") !== true)
    return "a 503 that is no problem document";
  if (code === undefined || !NOT_NOW.has(code)) return `a 503 with the code ${code}`;
  if (!/^[1-9]\d*$/.test(headers.get("retry-after") ?? "")) return "a 503 without Retry-After";
  return null;
}

async function send(url: string, { method, path, key, body, headers = {} }: Ask): Promise<Answer> {
  const answer = await fetch(url + path, {
    method,
    redirect: "manual",
    signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
    headers: {
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, body: parsed(text) };
}

function parsed(text: string): unknown {
  try {
    return text === "" ? null : (JSON.parse(text) as unknown);
  } catch {
    return text;
  }
}
