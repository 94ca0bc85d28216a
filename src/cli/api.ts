/** The few calls of the API that the start makes, as any client would make them. */
import { setTimeout as pause } from "node:timers/promises";
import { complain, fine, reasonOf, type Outcome } from "./complaint.ts";
import { readEvents } from "./sse.ts";
import type { RunEvent } from "./story.ts";

/** Tenant that exists from the first migration on. */
const TENANT = "default";
const KEY_NAME = "npm start";

/** How long the API may let us wait. While a saved file cannot be built, it does not answer at all. */
export interface Patience {
  /** For a whole answer. */
  readonly answerMs: number;
  /** For the beginning of a stream. */
  readonly streamMs: number;
  /** For the next bytes of a stream: the API sends a comment every 15 s. */
  readonly idleMs: number;
  /** A stream that breaks is taken up again where it stood, for so long without anything new in between. */
  readonly brokenMs: number;
  readonly retryMs: number;
}

const PATIENCE: Patience = {
  answerMs: 30_000,
  streamMs: 10_000,
  idleMs: 35_000,
  brokenMs: 20_000,
  retryMs: 200,
};

export interface RunView {
  readonly id: string;
  readonly status: string;
  readonly started_at: number;
  readonly ended_at: number | null;
  readonly output: unknown;
  readonly failure: unknown;
  readonly steps: readonly {
    readonly name: string;
    readonly effect: string;
    /** A connection that it lacks; with a link where a consent would help. */
    readonly waiting_for?: { readonly connect?: { readonly url: string } };
  }[];
}

export interface ConnectSession {
  readonly id: string;
  readonly connection: string;
  readonly state: string;
  readonly failure: string | null;
  /** Null once it was used. */
  readonly url: string | null;
}

export interface Api {
  readonly url: string;
  readonly key: string;
  readonly startRun: (body: object, idempotencyKey: string) => Promise<Outcome<RunView>>;
  readonly getRun: (run: string) => Promise<Outcome<RunView>>;
  /** Anything else, whose answer has the shape that its caller says. */
  readonly call: <T>(method: string, path: string, body?: object) => Promise<Outcome<T>>;
  /** The journal of a run from its start to its end, as it grows. Throws if the server goes away or falls silent. */
  readonly follow: (run: string) => AsyncGenerator<RunEvent>;
}

export function createApi(url: string, key: string, patience = PATIENCE): Api {
  const authorization = `Bearer ${key}`;
  return {
    url,
    key,
    startRun: (body, idempotencyKey) =>
      ask(
        `${url}/v1/runs`,
        {
          method: "POST",
          headers: { authorization, "content-type": "application/json", "idempotency-key": idempotencyKey },
          body: JSON.stringify(body),
        },
        patience,
      ),
    getRun: (run) => ask(`${url}/v1/runs/${run}`, { headers: { authorization } }, patience),
    call: (method, path, body) =>
      ask(
        url + path,
        {
          method,
          headers: { authorization, "content-type": "application/json" },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        },
        patience,
      ),
    follow: (run) => follow(`${url}/v1/runs/${run}/events`, authorization, patience),
  };
}

/** Whether the server still takes a key from an earlier start. A complaint: it does not answer. */
export async function isGoodKey(url: string, key: string, patience = PATIENCE): Promise<Outcome<boolean>> {
  const headers = { authorization: `Bearer ${key}` };
  const answer = await ask(`${url}/v1/workflows`, { headers }, patience);
  if (answer.ok) return fine(true);
  return answer.complaint.silent === true ? answer : fine(false);
}

/** Makes an admin key with the root key: its text. */
export async function makeKey(url: string, rootKey: string): Promise<Outcome<string>> {
  const made = await ask<{ key: string }>(`${url}/v1/tenants/${TENANT}/keys`, {
    method: "POST",
    headers: { authorization: `Bearer ${rootKey}`, "content-type": "application/json" },
    body: JSON.stringify({ name: KEY_NAME }),
  });
  return made.ok ? fine(made.value.key) : made;
}

/** Asks, and reads the answer; a problem document (RFC 9457) becomes a complaint. */
async function ask<T>(url: string, init: RequestInit, { answerMs } = PATIENCE): Promise<Outcome<T>> {
  const signal = AbortSignal.timeout(answerMs);
  try {
    const response = await fetch(url, { ...init, signal });
    const body: unknown = await response.json();
    // The server is ours, of the same checkout: its answers have the shapes of its OpenAPI document.
    if (response.ok) return fine(body as T);
    const { code, detail, hint } = body as { code?: string; detail?: string; hint?: string };
    const refused = complain(
      `The API answered ${response.status} (${code ?? "no code"}): ${detail ?? ""}`,
      // What is said of a 503 is for a server that will be well again by itself.
      response.status < 500 && hint !== undefined ? hint : "See the server's log.",
    );
    return { ok: false, complaint: { ...refused.complaint, ...(code === undefined ? {} : { code }) } };
  } catch (error) {
    if (!signal.aborted)
      return complain(`The API cannot be reached: ${reasonOf(error)}`, "See the server's log.");
    const what = `The API did not answer within ${seconds(answerMs)}.`;
    const todo = "See the server's log: it does not answer while a saved file cannot be built.";
    return { ok: false, complaint: { what, todo, silent: true } };
  }
}

async function* follow(url: string, authorization: string, patience: Patience): AsyncGenerator<RunEvent> {
  let last = "0";
  let brokenSince: number | null = null;
  for (;;) {
    const silence = createSilence();
    try {
      silence.allow(patience.streamMs);
      const headers = { authorization, accept: "text/event-stream", "last-event-id": last };
      const response = await fetch(url, { headers, signal: silence.signal });
      // 204: the run has ended and we have seen it all.
      if (response.status === 204) return;
      if (!response.ok || response.body === null)
        throw new Error(`the event stream answered ${response.status}`);
      for await (const event of readEvents(heard(response.body, () => silence.allow(patience.idleMs)))) {
        brokenSince = null;
        last = event.id;
        const read = JSON.parse(event.data) as RunEvent;
        yield read;
        if (read.type === "ended") return;
      }
      throw new Error("the event stream ended early");
    } catch (error) {
      // A changed source file makes the server start anew, in the middle of everything.
      brokenSince ??= Date.now();
      if (Date.now() - brokenSince > patience.brokenMs) throw error;
      await pause(patience.retryMs);
    } finally {
      silence.end();
    }
  }
}

interface Silence {
  /** Aborted, with an error that says so, once it has been silent for longer than was allowed. */
  readonly signal: AbortSignal;
  /** From now on. */
  readonly allow: (ms: number) => void;
  readonly end: () => void;
}

function createSilence(): Silence {
  const connection = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  return {
    signal: connection.signal,
    allow: (ms) => {
      clearTimeout(timer);
      timer = setTimeout(() => connection.abort(new Error(`nothing came for ${seconds(ms)}`)), ms);
    },
    end: () => {
      clearTimeout(timer);
      connection.abort();
    },
  };
}

/** The same bytes; `something` is called before the first and after each piece of them. */
async function* heard(body: AsyncIterable<Uint8Array>, something: () => void): AsyncGenerator<Uint8Array> {
  something();
  for await (const chunk of body) {
    something();
    yield chunk;
  }
}

function seconds(ms: number): string {
  return `${ms / 1000} s`;
}
