/**
 * Tells stories to a deployment over HTTP, and counts what it is answered: a clear "not now" (503 with Retry-After) is waited for,
 * anything else that is not right ends the story as wrong.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Given } from "../dev-server/given.ts";
import type { Asking, Teller } from "./story.ts";

const ANSWER_TIMEOUT_MS = 30_000;
const WAIT_MS = 90_000;
const LOOK_MS = 200;
/** Of a "not now": what is answered so for longer is not passing. */
const PATIENCE_MS = 60_000;

export interface Counts {
  answers: number;
  /** 503 with Retry-After. */
  notNow: number;
}

export class Wrong extends Error {
  override readonly name = "Wrong";
}

export class HttpTeller implements Teller {
  readonly counts: Counts = { answers: 0, notNow: 0 };
  /** Runs that were begun: none may be lost. */
  readonly runs = new Set<string>();
  readonly key: string;
  readonly #given: Given;
  #url = "";

  /** @param given takes every secret that passes */
  constructor(key: string, given: Given) {
    this.key = key;
    this.#given = given;
    given.add("the admin key", key);
  }

  /** The next life of the deployment. */
  turnTo(url: string): void {
    this.#url = url;
  }

  now(): number {
    return Date.now();
  }

  async ask<T>(method: string, path: string, asking: Asking = {}): Promise<T> {
    const until = Date.now() + PATIENCE_MS;
    for (;;) {
      const answer = await this.#send(method, path, asking);
      this.counts.answers += 1;
      const { status, text, retryAfter } = answer;
      if (status === 503 && retryAfter !== null && Date.now() < until) {
        this.counts.notNow += 1;
        await sleep(Math.min(2_000, Number(retryAfter) * 1_000));
        continue;
      }
      const isRight = asking.expect?.includes(status) ?? (status >= 200 && status < 300);
      if (!isRight) throw new Wrong(`${method} ${path} answered ${status}: ${text.slice(0, 600)}`);
      const body = (text === "" ? null : JSON.parse(text)) as T & { id?: unknown };
      this.#given.addFrom(asking.body);
      this.#given.addFrom(body);
      if (method === "POST" && path === "/v1/runs" && typeof body.id === "string") this.runs.add(body.id);
      return body;
    }
  }

  async until<T>(what: string, look: () => Promise<T>, done: (seen: T) => boolean): Promise<T> {
    const until = Date.now() + WAIT_MS;
    for (;;) {
      const seen = await look();
      if (done(seen)) return seen;
      if (Date.now() > until)
        throw new Wrong(`Waited in vain: ${what}. ${JSON.stringify(seen).slice(0, 1_500)}`);
      await sleep(LOOK_MS);
    }
  }

  hold(holds: boolean, claim: string, seen?: unknown): void {
    if (!holds) throw new Wrong(`It does not hold that ${claim}. ${JSON.stringify(seen).slice(0, 1_500)}`);
  }

  async #send(
    method: string,
    path: string,
    { body, headers = {}, key = this.key }: Asking,
  ): Promise<{ readonly status: number; readonly text: string; readonly retryAfter: string | null }> {
    const answer = await fetch(this.#url + path, {
      method,
      redirect: "manual",
      signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
      headers: {
        ...(key === null ? {} : { authorization: `Bearer ${key}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return {
      status: answer.status,
      text: await answer.text(),
      retryAfter: answer.headers.get("retry-after"),
    };
  }
}
