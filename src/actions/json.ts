/** From what a function returned to what the journal can hold. */

import type { Json } from "../kernel/index.ts";
import { describeError } from "../platform/index.ts";

/** Deeper nesting than any workflow has use for, and far from the end of the stack. It also ends a cycle. */
const MAX_DEPTH = 256;

export type AsJson =
  | { readonly ok: true; readonly value: Json }
  /** `message` names the place, as `.items[3].at`. */
  | { readonly ok: false; readonly message: string };

/**
 * The value as JSON. `undefined` is null, as a member it is left out; what has a `toJSON` (dates, URLs) is asked for it.
 * Refused is everything that JSON would lose without a word: functions, symbols, bigint, NaN, maps, sets, bytes, cycles.
 */
export function toJson(value: unknown): AsJson {
  try {
    return { ok: true, value: convert(value, "", 0) };
  } catch (error) {
    return { ok: false, message: error instanceof NotJson ? error.message : describeError(error).message };
  }
}

class NotJson extends Error {}

function convert(value: unknown, at: string, depth: number): Json {
  if (depth > MAX_DEPTH)
    throw new NotJson(`${place(at)} is nested deeper than ${MAX_DEPTH} levels, or holds itself.`);
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "undefined":
      return null;
    case "number":
      if (Number.isFinite(value)) return value;
      throw new NotJson(`${place(at)} is ${value}, which JSON cannot hold.`);
    case "object":
      return value === null ? null : convertObject(value, at, depth);
    default:
      throw new NotJson(`${place(at)} is a ${typeof value}, which JSON cannot hold.`);
  }
}

function convertObject(value: object, at: string, depth: number): Json {
  if (Array.isArray(value)) return value.map((item, i) => convert(item, `${at}[${i}]`, depth + 1));
  if ("toJSON" in value && typeof value.toJSON === "function") {
    const toJSON = value.toJSON as (this: object) => unknown;
    return convert(toJSON.call(value), at, depth + 1);
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== null && prototype !== Object.prototype && Object.getPrototypeOf(prototype) !== null)
    throw new NotJson(`${place(at)} is ${nameOf(value)}, not a plain object.`);
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .map(([key, member]) => [key, convert(member, `${at}.${key}`, depth + 1)] as const);
  return Object.fromEntries(members);
}

function place(at: string): string {
  return at === "" ? "The value" : `\`${at.slice(0, 200)}\``;
}

function nameOf(value: object): string {
  const name: unknown = value.constructor?.name;
  return typeof name === "string" && name !== "" ? `a ${name}` : "an object of some class";
}
