/** Request headers with a grammar of their own: Prefer, Idempotency-Key, entity tags, Accept. Pure. */

/** Below the time after which common clients and proxies give up. */
export const MAX_WAIT_MS = 60_000;
const MS_PER_S = 1_000;
/** Of an idempotency key, after taking it out of its quotes. */
export const MAX_IDEMPOTENCY_KEY_CHARS = 255;

export interface Preferences {
  /** How long the caller wants to wait at most, capped; null if it did not say. */
  readonly waitMs: number | null;
  readonly respondAsync: boolean;
}

/** Far longer than any honest one: what is longer is not read at all. */
const MAX_HEADER_CHARS = 4_096;

/** RFC 9110 section 5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const QUOTED = /^"((?:[^"\\]|\\.)*)"$/;

/** RFC 7240: what cannot be read or is not known is ignored; of the same preference twice, the first counts. */
export function parsePrefer(header: string | null): Preferences {
  const seen = new Map<string, string>();
  for (const part of splitOutsideQuotes(readable(header), ",")) {
    const preference = readPreference(part);
    if (preference !== null && !seen.has(preference.name)) seen.set(preference.name, preference.value);
  }
  const wait = seen.get("wait") ?? "";
  const seconds = /^\d{1,9}$/.test(wait) ? Number(wait) : null;
  return {
    waitMs: seconds === null ? null : Math.min(seconds * MS_PER_S, MAX_WAIT_MS),
    respondAsync: seen.has("respond-async"),
  };
}

/** Token, value (token or quoted string), parameters. RFC 7240 section 2. */
function readPreference(text: string): { readonly name: string; readonly value: string } | null {
  const [preference = ""] = splitOutsideQuotes(text, ";");
  const equals = preference.indexOf("=");
  const name = (equals < 0 ? preference : preference.slice(0, equals)).trim();
  const given = equals < 0 ? "" : preference.slice(equals + 1).trim();
  const value = QUOTED.exec(given)?.[1] ?? given;
  if (!TOKEN.test(name) || !(given === "" || value !== given || TOKEN.test(given))) return null;
  return { name: name.toLowerCase(), value };
}

/** What was honoured, for `Preference-Applied` (RFC 7240 section 3); null if nothing. */
export function preferenceApplied(preferences: Preferences): string | null {
  const applied = [
    ...(preferences.respondAsync ? ["respond-async"] : []),
    ...(preferences.waitMs === null ? [] : [`wait=${preferences.waitMs / MS_PER_S}`]),
  ];
  return applied.length === 0 ? null : applied.join(", ");
}

/**
 * The value of `Idempotency-Key`: a String item (RFC 8941 section 3.3.3, its parameters ignored), or the same text bare,
 * as most clients send it. Null if it is neither, empty, or too long.
 */
export function parseIdempotencyKey(header: string): string | null {
  if (header.length > MAX_HEADER_CHARS) return null;
  const [, quoted] =
    /^"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"\s*(?:;[\x20-\x7e]*)?$/.exec(header) ?? [];
  const key = quoted?.replace(/\\(["\\])/g, "$1") ?? (/^[^",;\\\s]+$/.test(header) ? header : "");
  const printable = /^[\x20-\x7e]+$/.test(key);
  return printable && key.length <= MAX_IDEMPOTENCY_KEY_CHARS ? key : null;
}

/** Entity tags of a run (its events) and of its graph (its revision). */
export function runTag(seq: number): string {
  return `"r-${seq}"`;
}

export function graphTag(revision: number): string {
  return `"g-${revision}"`;
}

/** The number in a tag made by `graphTag`; null for anything else. RFC 9110 section 13.1.1 wants a strong comparison. */
export function parseGraphTag(header: string): number | null {
  if (header.length > MAX_HEADER_CHARS) return null;
  const [, revision] = /^\s*"g-(\d{1,9})"\s*$/.exec(header) ?? [];
  return revision === undefined ? null : Number(revision);
}

/** Entity tag of a hook. */
export function hookTag(version: number): string {
  return `"h-${version}"`;
}

/** The number in a tag made by `hookTag`; null for anything else. */
export function parseHookTag(header: string): number | null {
  if (header.length > MAX_HEADER_CHARS) return null;
  const [, version] = /^\s*"h-(\d{1,9})"\s*$/.exec(header) ?? [];
  return version === undefined ? null : Number(version);
}

/** `If-None-Match` (RFC 9110 section 13.1.2, weak comparison): whether it names the tag, and the event it stands at. */
export function parseIfNoneMatch(header: string | null): {
  readonly matches: (tag: string) => boolean;
  /** The event that a single tag of a run names. */
  readonly seq: number | null;
} {
  const tags = splitOutsideQuotes(readable(header), ",").map((tag) => tag.trim().replace(/^W\//, ""));
  const [, seq] = tags.length === 1 ? (/^"r-(\d{1,15})"$/.exec(tags[0] ?? "") ?? []) : [];
  return {
    matches: (tag) => tags.includes(tag) || tags.includes("*"),
    seq: seq === undefined ? null : Number(seq),
  };
}

/**
 * Which of the offered media types `Accept` likes best (RFC 9110 section 12.5.1); null if none. The first offered wins
 * a draw. The most specific range that fits a type says how much it is liked.
 */
export function chooseType(accept: string | null, offered: readonly string[]): string | null {
  // Longer than any that is read: as if it named nothing that is offered.
  if (accept !== null && accept.length > MAX_HEADER_CHARS) return null;
  if (accept === null || accept.trim() === "") return offered[0] ?? null;
  const ranges = accept.split(",").map((part) => {
    const [range = "", ...parameters] = part.split(";").map((piece) => piece.trim().toLowerCase());
    const q = parameters.find((parameter) => parameter.startsWith("q="));
    return { range, q: q === undefined ? 1 : Number(q.slice(2)) || 0 };
  });
  let best: { readonly type: string; readonly q: number } | null = null;
  for (const type of offered) {
    const fits = [type, `${type.slice(0, type.indexOf("/"))}/*`, "*/*"];
    const q =
      fits.map((fit) => ranges.find(({ range }) => range === fit)?.q).find((one) => one !== undefined) ?? 0;
    if (q > (best?.q ?? 0)) best = { type, q };
  }
  return best?.type ?? null;
}

/** The header, or nothing if it is missing or longer than any that is read. */
function readable(header: string | null): string {
  return header === null || header.length > MAX_HEADER_CHARS ? "" : header;
}

/** The parts between separators that stand in no quoted string; empty ones are left out. One pass. */
function splitOutsideQuotes(text: string, separator: "," | ";"): string[] {
  const parts: string[] = [];
  let from = 0;
  let quoted = false;
  for (let at = 0; at <= text.length; at += 1) {
    const char = text[at];
    if (quoted && char === "\\") at += 1;
    else if (char === '"') quoted = !quoted;
    else if (char === undefined || (char === separator && !quoted)) {
      if (at > from) parts.push(text.slice(from, at));
      from = at + 1;
    }
  }
  return parts;
}
