/** Looking into the body of an answer: JSON Pointers with a wildcard, and matching. Pure and total: any body is fine. */
import type { BodyMatch } from "./descriptor.ts";

/** Elements of one list that a `*` looks at. Errors come in lists of a few. */
const MAX_ELEMENTS = 64;

export type Parsed = Readonly<Record<string, unknown>> | readonly unknown[];

/** A body as an object or list: JSON, or a form if it is none (GitHub answers so unless asked not to). Null: neither. */
export function parseBody(text: string, contentType: string): Parsed | null {
  const json = parseJson(text);
  if (json !== null) return json;
  if (/^\s*[[{<]/.test(text) || !/urlencoded|text\/plain/i.test(contentType) || !text.includes("="))
    return null;
  return Object.fromEntries(new URLSearchParams(text.trim()));
}

/** A JSON object or list; null for everything else. */
export function parseJson(text: string): Parsed | null {
  try {
    const value = JSON.parse(text) as unknown;
    return typeof value === "object" && value !== null ? (value as Parsed) : null;
  } catch {
    return null;
  }
}

/** Everything that stands at a JSON Pointer (RFC 6901); `*` is any element of a list. `""` is the body itself. */
export function valuesAt(body: unknown, pointer: string): readonly unknown[] {
  if (pointer === "") return [body];
  return pointer
    .slice(1)
    .split("/")
    .map((segment) => segment.replaceAll("~1", "/").replaceAll("~0", "~"))
    .reduce<readonly unknown[]>((found, segment) => found.flatMap((value) => step(value, segment)), [body]);
}

function step(value: unknown, segment: string): readonly unknown[] {
  if (typeof value !== "object" || value === null) return [];
  if (segment === "*") return Array.isArray(value) ? (value as unknown[]).slice(0, MAX_ELEMENTS) : [];
  return Object.hasOwn(value, segment) ? [(value as Record<string, unknown>)[segment]] : [];
}

/** The text there; a number or boolean is written out. Undefined for anything else, and for an empty text. */
export function textAt(body: unknown, pointer: string): string | undefined {
  const [value] = valuesAt(body, pointer);
  return asText(value);
}

/** The texts at all pointers, joined; undefined if one of them is missing. */
export function joinedAt(body: unknown, pointers: readonly string[]): string | undefined {
  const texts = pointers.map((pointer) => textAt(body, pointer));
  return texts.every((text) => text !== undefined) ? texts.join(":") : undefined;
}

/** Whether every place holds one of the texts that it must hold. */
export function matchesBody(body: unknown, match: BodyMatch): boolean {
  return Object.entries(match).every(([pointer, wanted]) => {
    const texts = valuesAt(body, pointer).map(asText);
    return [wanted].flat().some((one) => texts.some((text) => text !== undefined && fits(one, text)));
  });
}

function fits(wanted: string, text: string): boolean {
  return wanted.endsWith("*") ? text.startsWith(wanted.slice(0, -1)) : wanted === text;
}

function asText(value: unknown): string | undefined {
  if (typeof value === "string") return value === "" ? undefined : value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : undefined;
}
