/** One text for one JSON value, so that equal values have equal digests. JSON Canonicalization Scheme, RFC 8785. */
import { sha256Hex } from "./digest.ts";

/** Deeper nesting than any workflow has use for, and far from the end of the stack. */
const MAX_DEPTH = 256;

/**
 * Canonical JSON: no white space, keys in order of their UTF-16 code units, numbers and strings as ECMAScript writes them.
 * A member that is undefined is left out. Throws a TypeError for what JSON cannot hold (RFC 8785 section 3.2.2: also NaN,
 * Infinity, lone surrogates) and for more than 256 levels.
 */
export function canonicalJson(value: unknown): string {
  return write(value, 0);
}

/** SHA-256 of the canonical JSON, in hex. */
export async function digestJson(value: unknown): Promise<string> {
  return sha256Hex(canonicalJson(value));
}

function write(value: unknown, depth: number): string {
  if (depth > MAX_DEPTH) throw new TypeError(`JSON is nested deeper than ${MAX_DEPTH} levels.`);
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "string") return writeString(value);
  if (typeof value === "number") return writeNumber(value);
  if (Array.isArray(value)) return `[${value.map((item) => write(item, depth + 1)).join(",")}]`;
  if (typeof value === "object") return writeObject(value, depth);
  throw new TypeError(`JSON cannot hold a ${typeof value}.`);
}

function writeObject(value: object, depth: number): string {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== null && prototype !== Object.prototype)
    throw new TypeError("JSON can hold plain objects only.");
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, member]) => `${writeString(key)}:${write(member, depth + 1)}`);
  return `{${members.join(",")}}`;
}

function writeString(text: string): string {
  if (!text.isWellFormed()) throw new TypeError("JSON text holds half of a surrogate pair.");
  return JSON.stringify(text);
}

function writeNumber(value: number): string {
  if (!Number.isFinite(value)) throw new TypeError(`JSON cannot hold ${value}.`);
  return JSON.stringify(value);
}
