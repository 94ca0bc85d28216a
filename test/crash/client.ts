/** A client of the API as anybody could write it: it sends a start again until it is answered, with the same key. */
import { setTimeout as sleep } from "node:timers/promises";

/** Longer than any answer takes: beyond it the server is dead or stopped. */
const ANSWER_TIMEOUT_MS = 20_000;
const EVENTS_PER_PAGE = 1_000;

/** The parts of a run's view that the harness reads. */
export interface RunView {
  readonly id: string;
  readonly workflow: string;
  readonly status: string;
  readonly ended_at: number | null;
  readonly steps: readonly StepView[];
}

export interface UnitView {
  readonly status: string;
  readonly outcome: "done" | "not_done" | "unknown" | null;
  readonly undone: boolean;
  readonly deadline_at: number | null;
}

export interface StepView extends UnitView {
  readonly name: string;
  readonly action: string;
  readonly effect: "safe" | "idempotent" | "keyed" | "once";
  readonly items?: readonly UnitView[];
}

export interface RunEvent {
  readonly seq: number;
  readonly at: number;
  readonly type: string;
  readonly data: {
    readonly unit?: string;
    readonly attempt?: number;
    readonly by?: string;
    readonly role?: "undo" | "verify";
    readonly listening?: boolean;
    readonly last?: boolean;
    readonly failure?: { readonly code: string };
  };
}

/** Somebody who uses one server for as long as it lives. */
export class Client {
  readonly #url: string;
  readonly #key: string;
  readonly #signal: AbortSignal;

  /** @param signal aborted when the server is killed: nothing waits for it any longer */
  constructor(url: string, key: string, signal: AbortSignal) {
    this.#url = url;
    this.#key = key;
    this.#signal = signal;
  }

  /** Null: no answer, so nobody knows whether the run was started. */
  async start(workflow: string, input: unknown, key: string): Promise<RunView | null> {
    return this.#ask<RunView>("POST", "/v1/runs", { workflow, input }, { "idempotency-key": `"${key}"` });
  }

  async run(id: string): Promise<RunView | null> {
    return this.#ask<RunView>("GET", `/v1/runs/${id}`);
  }

  /** The whole journal. */
  async events(id: string): Promise<RunEvent[] | null> {
    const events: RunEvent[] = [];
    for (let after = 0; ;) {
      const page = await this.#ask<{ data: RunEvent[]; next: number; ended: boolean }>(
        "GET",
        `/v1/runs/${id}/events?after=${after}&limit=${EVENTS_PER_PAGE}`,
      );
      if (page === null) return null;
      events.push(...page.data);
      if (page.ended || page.data.length === 0) return events;
      after = page.next;
    }
  }

  /** Null: no answer, or one that says "not now". Throws for every other answer that is not a success. */
  async #ask<T>(
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<T | null> {
    const signal = AbortSignal.any([this.#signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]);
    let status: number;
    let text: string;
    try {
      const answer = await fetch(this.#url + path, {
        method,
        signal,
        headers: { authorization: `Bearer ${this.#key}`, "content-type": "application/json", ...headers },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      // A killed server's port is free for others: what answers without our mark is none of ours, and so no answer.
      if (answer.headers.get("x-request-id") === null) return null;
      status = answer.status;
      text = await answer.text();
    } catch {
      return null;
    }
    if (status >= 500) return null;
    if (status >= 300) throw new Error(`${method} ${path} answered ${status}: ${text}`);
    return JSON.parse(text) as T;
  }
}

/** Asks again until there is an answer; null once the time is up. */
export async function insist<T>(question: () => Promise<T | null>, timeoutMs: number): Promise<T | null> {
  const until = Date.now() + timeoutMs;
  for (;;) {
    const answer = await question();
    if (answer !== null || Date.now() >= until) return answer;
    await sleep(100);
  }
}
