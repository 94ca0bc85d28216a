/** What each fault does to an answer. Knows nothing of services or of what happened. */
import { setTimeout as sleep } from "node:timers/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import type { Fault } from "./faults.ts";
import { encode, problem, send, type Answer, type ServerResponse } from "./http.ts";
import { unauthorized } from "./tokens.ts";

/** A request that is never answered is cut off after this time. */
const MAX_SILENCE_MS = 15 * 60 * 1000;
const HUGE_CHUNK_BYTES = 64 * 1024;
const NO_JSON = "<!doctype html><title>502 Bad Gateway</title><p>The gateway has lost its way.";

/** Waits; false if the world's life ended meanwhile. */
export async function pause(ms: number, life: AbortSignal): Promise<boolean> {
  try {
    await sleep(ms, undefined, { signal: life });
    return true;
  } catch {
    return false;
  }
}

/** Serves a fault that stops the request before anything happens. False if it is not of that sort. */
export function stopBefore(res: ServerResponse, host: string, fault: Fault): boolean {
  switch (fault.kind) {
    case "reset":
      res.socket?.resetAndDestroy();
      return true;
    case "redirect":
      send(res, { status: fault.status ?? 302, headers: { location: fault.to } });
      return true;
    case "status":
      if (fault.after === true) return false;
      send(res, statusAnswer(host, fault));
      return true;
    default:
      return false;
  }
}

/** Gives the answer to what has happened, or what the fault makes of it. */
export async function deliver(
  res: ServerResponse,
  host: string,
  answer: Answer,
  fault: Fault | null,
  life: AbortSignal,
): Promise<void> {
  switch (fault?.kind) {
    case "accept_then_timeout":
      await silence(res, life);
      res.destroy();
      return;
    case "lost_answer":
      res.destroy();
      return;
    case "status":
      return send(res, statusAnswer(host, fault));
    case "garbage":
      return spoil(res, answer, fault.form ?? "text");
    case "huge":
      return await flood(res, fault.bytes, fault.gzip === true);
    default:
      return send(res, answer);
  }
}

function statusAnswer(host: string, fault: Extract<Fault, { kind: "status" }>): Answer {
  const detail = "This answer was asked for by a fault rule.";
  const answer =
    fault.status === 401
      ? unauthorized(host, "invalid_token", detail)
      : problem(fault.status, "fault", detail);
  const headers = { ...answer.headers };
  if (fault.retryAfterSeconds !== undefined) headers["retry-after"] = String(fault.retryAfterSeconds);
  if (fault.retryAfterDateSeconds !== undefined)
    headers["retry-after"] = httpDateIn(fault.retryAfterDateSeconds);
  // RFC 9110 section 15: these have no content.
  return fault.status === 204 || fault.status === 304 ? { status: fault.status } : { ...answer, headers };
}

/** HTTP dates have whole seconds: rounded up, so that the date is never too early. */
function httpDateIn(seconds: number): string {
  return new Date(Math.ceil(Date.now() / 1000 + seconds) * 1000).toUTCString();
}

async function silence(res: ServerResponse, life: AbortSignal): Promise<void> {
  const gone = new AbortController();
  res.once("close", () => gone.abort());
  if (!res.destroyed) await pause(MAX_SILENCE_MS, AbortSignal.any([life, gone.signal]));
}

function spoil(res: ServerResponse, answer: Answer, form: "text" | "cut_json" | "cut_transfer"): void {
  if (form === "text")
    return send(res, { status: 200, headers: { "content-type": "text/html" }, body: NO_JSON });
  const bytes = encode(answer);
  const half = bytes.subarray(0, Math.floor(bytes.length / 2));
  if (form === "cut_json") return send(res, { status: 200, body: half.toString() });
  res.writeHead(200, { "content-type": "application/json", "content-length": bytes.length });
  res.write(half, () => res.destroy());
}

async function flood(res: ServerResponse, bytes: number, gzip: boolean): Promise<void> {
  res.writeHead(200, { "content-type": "application/json", ...(gzip ? { "content-encoding": "gzip" } : {}) });
  const source = Readable.from(padding(bytes), { objectMode: false });
  try {
    if (gzip) await pipeline(source, createGzip(), res);
    else await pipeline(source, res);
  } catch {
    // The client has had enough, which is what a client should do.
    res.destroy();
  }
}

/** A well-formed JSON document of exactly `bytes`, as long as that can be. */
function* padding(bytes: number): Generator<Buffer> {
  const head = '{"padding":"';
  const tail = '"}';
  let left = Math.max(0, bytes - head.length - tail.length);
  const chunk = Buffer.alloc(HUGE_CHUNK_BYTES, "a");
  yield Buffer.from(head);
  for (; left > 0; left -= chunk.length) yield left < chunk.length ? chunk.subarray(0, left) : chunk;
  yield Buffer.from(tail);
}
