/** Reads the body of an answer: the step's output of a success, a sentence of the service's own for a failure. Pure. */

import type { Json } from "../kernel/index.ts";
import { redactShapes } from "../platform/index.ts";
import type { BodyForm } from "./http-schema.ts";

const MAX_SAID_CHARS = 300;
/** Far deeper than any honest answer, and far from where readers that call themselves run out of stack. */
const MAX_ANSWER_DEPTH = 128;

export type ReadBody =
  | { readonly ok: true; readonly body: Json }
  | { readonly ok: false; readonly message: string };

/** The body in the form that is kept, or why it is garbage. */
export function readBody(bytes: Uint8Array, contentType: string | undefined, form: BodyForm): ReadBody {
  if (form === "none") return { ok: true, body: null };
  const json = form === "json" || (form === "auto" && isJsonType(contentType));
  if (bytes.byteLength === 0)
    return form === "json"
      ? { ok: false, message: "an empty body where JSON was wanted" }
      : { ok: true, body: json ? null : "" };
  const text = decode(bytes);
  if (text === null) return { ok: false, message: "a body that is not text in UTF-8" };
  if (!json) return { ok: true, body: text };
  let body: Json;
  try {
    // Half of a surrogate pair is no text; most answers hold no such escape, and are read without a second look.
    body = JSON.parse(text, HALVES.test(text) ? whole : undefined) as Json;
  } catch {
    return { ok: false, message: "a body that is not valid JSON" };
  }
  const why = unkeepable(body);
  return why === null ? { ok: true, body } : { ok: false, message: why };
}

/** What the parser takes, but the journal could not give back as it was. */
function unkeepable(node: Json, depth = 0): string | null {
  // `1e400` is read as infinite.
  if (typeof node === "number") return Number.isFinite(node) ? null : "a number that is too large to be kept";
  if (typeof node !== "object" || node === null) return null;
  // The bound is also what keeps this function within its stack.
  if (depth === MAX_ANSWER_DEPTH) return `JSON nested deeper than ${MAX_ANSWER_DEPTH} levels`;
  for (const member of Object.values(node)) {
    const why = unkeepable(member, depth + 1);
    if (why !== null) return why;
  }
  return null;
}

/** What the service says went wrong: from problem details (RFC 9457) and their common relatives; null if nothing. */
export function saidIn(bytes: Uint8Array, contentType: string | undefined): string | null {
  if (!isJsonType(contentType)) return null;
  const read = readBody(bytes, contentType, "auto");
  if (!read.ok || typeof read.body !== "object" || read.body === null || Array.isArray(read.body))
    return null;
  const body = read.body as { readonly [key: string]: Json };
  const inner = body["error"];
  const places = [body, typeof inner === "object" && inner !== null && !Array.isArray(inner) ? inner : {}];
  for (const place of places as (typeof body)[]) {
    for (const name of ["detail", "message", "error_description", "title", "error"]) {
      const said = place[name];
      if (typeof said === "string" && said.trim() !== "") return oneLine(said);
    }
  }
  return null;
}

/** RFC 6839, section 3.1: a media type that ends in `+json` is JSON too. */
function isJsonType(contentType: string | undefined): boolean {
  return /^(?:application|text)\/(?:[\w.!#$&^-]+\+)?json\s*(?:;|$)/i.test(contentType?.trim() ?? "");
}

/** Keeps nothing between calls that do not stream. */
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

const HALVES = /\\u[dD][89a-fA-F]/;

function whole(_key: string, value: unknown): unknown {
  return typeof value === "string" ? value.toWellFormed() : value;
}

function decode(bytes: Uint8Array): string | null {
  try {
    return UTF8.decode(bytes);
  } catch {
    return null;
  }
}

function oneLine(text: string): string {
  // Control characters would let a service write lines of its own into a log.
  const line = redactShapes(text.slice(0, 2 * MAX_SAID_CHARS))
    .replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, " ")
    .trim();
  // The mark tells the redactor that half of a secret may stand before it.
  if (line.length > MAX_SAID_CHARS) return `${line.slice(0, MAX_SAID_CHARS)}…`;
  return text.length > 2 * MAX_SAID_CHARS ? `${line}…` : line;
}
