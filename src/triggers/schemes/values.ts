/** Reading what a delivery says of itself: ids, times, bodies, single values. Everything here comes from outside. */
import type { Json } from "../../kernel/index.ts";
import { err, ok, type Result } from "../../platform/index.ts";
import type { About, Arrival, SchemeFault, SchemeSettings, ValuePlace } from "./scheme.ts";

/** Visible ASCII: it stands in logs and in headers. */
const ID = /^[\x21-\x7e]{1,255}$/;
const EVENT = /^[\x20-\x7e]{1,255}$/;
/** Seconds until the year 33658, or milliseconds until 2286. */
const WHOLE = /^\d{1,13}$/;
/** Levels of a body: what takes it further recurses. */
const MAX_DEPTH = 128;

/** An id that may be kept; what is none of that form is no id. */
export function idOf(value: unknown): string | null {
  const text = typeof value === "number" && Number.isSafeInteger(value) ? String(value) : value;
  return typeof text === "string" && ID.test(text) ? text : null;
}

export function eventOf(value: unknown): string | null {
  return typeof value === "string" && EVENT.test(value) ? value : null;
}

/** Milliseconds since 1970; null: it is no time. */
export function timeOf(value: unknown, unit: "s" | "ms"): number | null {
  const text = typeof value === "number" ? String(value) : value;
  if (typeof text !== "string" || !WHOLE.test(text)) return null;
  const at = Number(text) * (unit === "s" ? 1_000 : 1);
  return Number.isSafeInteger(at) ? at : null;
}

/** The member of a map; null where it is not there. Only what is the map's own (no prototype). */
export function member(value: Json, key: string): Json {
  if (typeof value !== "object" || value === null) return null;
  // Lists are asked by pointers only, and those by whole numbers.
  if (isList(value)) return /^(?:0|[1-9]\d{0,8})$/.test(key) ? (value[Number(key)] ?? null) : null;
  return Object.hasOwn(value, key) ? (value[key] ?? null) : null;
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

/** Whether a text is a JSON pointer to something inside (RFC 6901): not the whole. */
export function isPointer(text: string): boolean {
  return text.length <= 256 && /^(?:\/(?:[^~/]|~[01])*)+$/.test(text);
}

export function at(value: Json, pointer: string): Json {
  return pointer
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"))
    .reduce(member, value);
}

/** What stands at a place; null: nothing. */
export function placed(place: ValuePlace, arrival: Arrival, payload: Json): Json {
  return "header" in place ? arrival.headers.get(place.header) : at(payload, place.pointer);
}

export function isForm(arrival: Arrival): boolean {
  return /^application\/x-www-form-urlencoded(?:;|$)/i.test(arrival.headers.get("content-type") ?? "");
}

/**
 * The body: parsed where it is JSON or a form, else as text; null where it is empty. A form's fields are texts, or lists
 * of them where one is given more than once; what stands in `payload` is parsed, because GitHub and Slack put JSON there.
 */
export function readPayload(arrival: Arrival): Result<Json, SchemeFault> {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(arrival.body);
  } catch {
    return err("body_unreadable");
  }
  if (text === "") return ok(null);
  if (!isForm(arrival)) return shallow(parsed(text));
  const fields = new Map<string, Json[]>();
  for (const [name, value] of new URLSearchParams(text)) {
    const read = name === "payload" ? parsed(value) : value;
    const all = fields.get(name);
    if (all === undefined) fields.set(name, [read]);
    else all.push(read);
  }
  const members = [...fields].map(([name, all]) => [name, all.length === 1 ? (all[0] ?? null) : all]);
  return shallow(Object.fromEntries(members) as Json);
}

/**
 * Goes through a value level by level, so that its depth cannot exhaust the stack here. Half of a surrogate pair, which only an
 * escape can bring past the decoder, is no text: nothing behind this door can take its digest.
 */
function shallow(value: Json): Result<Json, SchemeFault> {
  let level: readonly Json[] = [value];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > MAX_DEPTH || !level.every(isText)) return err("body_unreadable");
    level = level.flatMap((one) => (typeof one === "object" && one !== null ? Object.values(one) : []));
  }
  return ok(value);
}

/** Whether a value, and what its members are called, are texts where they are texts. */
function isText(value: Json): boolean {
  if (typeof value === "string") return value.isWellFormed();
  if (typeof value !== "object" || value === null || isList(value)) return true;
  return Object.keys(value).every((key) => key.isWellFormed());
}

/** What a text holds, else the text. */
function parsed(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}

/** The body of a form's `payload`, or the body. */
export function inner(arrival: Arrival, payload: Json): Json {
  const held = isForm(arrival) ? member(payload, "payload") : null;
  return held ?? payload;
}

/** A header's name that a tenant may give. */
export function isHeaderName(text: string): boolean {
  return /^[a-z0-9][a-z0-9-]{0,63}$/i.test(text);
}

/** Headers that carry proofs; beside them, those of the scheme. */
const NEVER_TOLD = new Set(["authorization", "proxy-authorization", "cookie"]);

/**
 * Whether a header may be told: to expressions, and as the id or event of a delivery, which stand in the log. Not if it is one that
 * proves who sends, of this scheme or of another one.
 */
export function maySee(scheme: SchemeSettings, header: string): boolean {
  const name = header.toLowerCase();
  const own = scheme.scheme === "api_key" || scheme.scheme === "hmac" ? scheme.header.toLowerCase() : null;
  return !NEVER_TOLD.has(name) && name !== own && !/signature|hmac|token|secret|api-?key/.test(name);
}

/** Where a tenant says that id and event stand. */
interface Places {
  readonly id: ValuePlace | null;
  readonly event: ValuePlace | null;
}

/** What is wrong with the places of id and event. */
export function placesFlaw(
  settings: SchemeSettings & Places,
): { readonly at: string; readonly detail: string } | null {
  for (const name of ["id", "event"] as const) {
    const place = settings[name];
    if (place === null) continue;
    if (!("header" in place ? isHeaderName(place.header) : isPointer(place.pointer)))
      return { at: name, detail: "This is neither the name of a header nor a JSON pointer." };
    if ("header" in place && !maySee(settings, place.header))
      return { at: name, detail: "This header may prove who sends: it stands in no log." };
  }
  return null;
}

/** What stands at the places that a tenant named. An id that was named has to be there: without it copies would be runs. */
export function aboutPlaced(
  { id, event }: Places,
  arrival: Arrival,
  payload: Json,
): Result<About, SchemeFault> {
  const told = event === null ? null : eventOf(placed(event, arrival, payload));
  if (id === null) return ok({ id: null, event: told, handshake: null });
  const given = placed(id, arrival, payload);
  if (given === null) return err("id_missing");
  const read = idOf(given);
  return read === null ? err("id_malformed") : ok({ id: read, event: told, handshake: null });
}
