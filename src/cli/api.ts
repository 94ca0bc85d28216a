/** The few calls of the API that the start makes, as any client would make them. */
import { setTimeout as pause } from "node:timers/promises";
import { complain, fine, reasonOf, type Outcome } from "./complaint.ts";
import { readEvents } from "./sse.ts";
import type { RunEvent } from "./story.ts";

/** Tenant that exists from the first migration on. */
const TENANT = "default";
const KEY_NAME = "npm start";
/** A stream that breaks is taken up again where it stood, for so long without anything new in between. */
const STREAM_PATIENCE_MS = 20_000;
const STREAM_RETRY_MS = 200;

export interface RunView {
  readonly id: string;
  readonly status: string;
  readonly started_at: number;
  readonly ended_at: number | null;
  readonly output: unknown;
  readonly failure: unknown;
  readonly steps: readonly { readonly name: string; readonly effect: string }[];
}

export interface Api {
  readonly url: string;
  readonly key: string;
  readonly startRun: (body: object, idempotencyKey: string) => Promise<Outcome<RunView>>;
  readonly getRun: (run: string) => Promise<Outcome<RunView>>;
  /** The journal of a run from its start to its end, as it grows. Throws if the server goes away. */
  readonly follow: (run: string) => AsyncGenerator<RunEvent>;
}

export function createApi(url: string, key: string): Api {
  const authorization = `Bearer ${key}`;
  return {
    url,
    key,
    startRun: (body, idempotencyKey) =>
      ask(`${url}/v1/runs`, {
        method: "POST",
        headers: { authorization, "content-type": "application/json", "idempotency-key": idempotencyKey },
        body: JSON.stringify(body),
      }),
    getRun: (run) => ask(`${url}/v1/runs/${run}`, { headers: { authorization } }),
    follow: (run) => follow(`${url}/v1/runs/${run}/events`, authorization),
  };
}

/** Whether the server still takes a key from an earlier start. */
export async function isGoodKey(url: string, key: string): Promise<boolean> {
  const answer = await ask(`${url}/v1/workflows`, { headers: { authorization: `Bearer ${key}` } });
  return answer.ok;
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
async function ask<T>(url: string, init: RequestInit): Promise<Outcome<T>> {
  try {
    const response = await fetch(url, init);
    const body: unknown = await response.json();
    // The server is ours, of the same checkout: its answers have the shapes of its OpenAPI document.
    if (response.ok) return fine(body as T);
    const { code, detail, hint } = body as { code?: string; detail?: string; hint?: string };
    return complain(
      `The API answered ${response.status} (${code ?? "no code"}): ${detail ?? ""}`,
      hint ?? "See the server's log.",
    );
  } catch (error) {
    return complain(`The API cannot be reached: ${reasonOf(error)}`, "See the server's log.");
  }
}

async function* follow(url: string, authorization: string): AsyncGenerator<RunEvent> {
  let last = "0";
  let brokenSince: number | null = null;
  for (;;) {
    try {
      const headers = { authorization, accept: "text/event-stream", "last-event-id": last };
      const response = await fetch(url, { headers });
      // 204: the run has ended and we have seen it all.
      if (response.status === 204) return;
      if (!response.ok || response.body === null)
        throw new Error(`the event stream answered ${response.status}`);
      for await (const event of readEvents(response.body)) {
        brokenSince = null;
        last = event.id;
        const read = JSON.parse(event.data) as RunEvent;
        yield read;
        if (read.type === "ended") return;
      }
    } catch (error) {
      // A changed source file makes the server start anew, in the middle of everything.
      brokenSince ??= Date.now();
      if (Date.now() - brokenSince > STREAM_PATIENCE_MS) throw error;
      await pause(STREAM_RETRY_MS);
    }
  }
}
