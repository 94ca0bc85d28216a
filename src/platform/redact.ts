/**
 * Takes the secrets that an attempt was lent out of everything that comes back, before it becomes a fact.
 *
 * A secret is found in these forms: itself, in lower case (as the host of a URL), URL-encoded (also as a form field, also
 * with lower-case digits), escaped in JSON in any way that JSON allows, in hex, in base64 and base64url at each of the three
 * alignments that a longer text can give it.
 * Of a text that was cut (it ends with `…`), also the beginning of such a form at the cut.
 * Not found: a secret in pieces, compressed, encrypted or spelled in another way.
 */
import { base64, hex } from "./encoding.ts";
import { REDACTED } from "./secret-shapes.ts";

/** Shorter values would be found everywhere by chance. Nothing that is worth being lent is that short. */
const MIN_SECRET_CHARS = 6;
/** The same for the part of a base64 form that does not depend on its neighbours. */
const MIN_FORM_CHARS = 8;
/** A longer one is looked for in JSON only as JSON.stringify escapes it: a pattern has a group for each character. */
const MAX_ESCAPED_CHARS = 4_096;
/** Characters with an escape of their own, RFC 8259 section 7. All but the slash must be escaped. */
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  "\b": "b",
  "\f": "f",
  "\n": "n",
  "\r": "r",
  "\t": "t",
};
/** What every cut of a text in this code base leaves at its end. */
const CUT_MARK = "…";
/** The first characters of a secret, if no more are left before a cut, say nothing. */
const MIN_CUT_CHARS = 4;
/** What is nested deeper is replaced unseen: it would end the stack, and no honest answer looks like that. */
const MAX_DEPTH = 256;

export interface Redacted<T> {
  readonly value: T;
  /** How many places were replaced. */
  readonly found: number;
}

export interface Redactor {
  text(text: string): Redacted<string>;
  /** A JSON value: texts, keys and numbers, all the way down. Equal to the input, and the same object, if nothing is found. */
  json<T>(value: T): Redacted<T>;
}

/** A redactor for the values issued to one attempt. Values below MIN_SECRET_CHARS are ignored. */
export function createRedactor(secrets: readonly string[]): Redactor {
  const known = secrets.filter((secret) => secret.length >= MIN_SECRET_CHARS);
  const forms = new Set(known.flatMap(formsOf));
  if (forms.size === 0)
    return { text: (value) => ({ value, found: 0 }), json: (value) => ({ value, found: 0 }) };
  // The longest first: a form may hold another, and what is left of a half-replaced one would still say something.
  const escaped = known.filter((secret) => secret.length <= MAX_ESCAPED_CHARS);
  const pattern = new RegExp(
    [
      ...escaped.map((secret) => ({ chars: secret.length, source: inJson(secret) })),
      ...[...forms].map((form) => ({ chars: form.length, source: literal(form) })),
    ]
      .toSorted((a, b) => b.chars - a.chars)
      .map(({ source }) => source)
      .join("|"),
    "g",
  );
  const text = (value: string): Redacted<string> => {
    let found = 0;
    const replaced = value.replace(pattern, () => {
      found += 1;
      return REDACTED;
    });
    const whole = withoutCutForm(replaced, forms);
    return whole === null ? { value: replaced, found } : { value: whole, found: found + 1 };
  };
  return { text, json: <T>(value: T) => walk(value, text) };
}

/** Null: the text was not cut, or not within one of the forms. */
function withoutCutForm(text: string, forms: ReadonlySet<string>): string | null {
  if (!text.endsWith(CUT_MARK)) return null;
  const kept = text.slice(0, -CUT_MARK.length);
  let longest = 0;
  for (const form of forms) {
    let chars = Math.min(form.length - 1, kept.length);
    while (chars > longest && !kept.endsWith(form.slice(0, chars))) chars -= 1;
    longest = Math.max(longest, chars);
  }
  if (longest < MIN_CUT_CHARS) return null;
  return `${kept.slice(0, -longest)}${REDACTED}${CUT_MARK}`;
}

function walk<T>(value: T, text: (value: string) => Redacted<string>): Redacted<T> {
  let found = 0;
  const visit = (node: unknown, depth: number): unknown => {
    if (typeof node === "string" || typeof node === "number") {
      const result = text(String(node));
      found += result.found;
      return result.found > 0 ? result.value : node;
    }
    if (typeof node !== "object" || node === null) return node;
    if (depth === MAX_DEPTH) {
      found += 1;
      return REDACTED;
    }
    if (Array.isArray(node)) return node.map((item) => visit(item, depth + 1));
    const members = Object.entries(node).map(
      ([key, member]) => [visit(key, depth), visit(member, depth + 1)] as const,
    );
    return Object.fromEntries(members);
  };
  const copy = visit(value, 0);
  // The copy is JSON of the same shape; only where something was replaced does a text stand.
  return found === 0 ? { value, found } : { value: copy as T, found };
}

function formsOf(secret: string): string[] {
  const bytes = new TextEncoder().encode(secret);
  const encoded = encodeURIComponent(secret.toWellFormed());
  const form = new URLSearchParams({ "": secret }).toString().slice(1);
  const escaped = JSON.stringify(secret).slice(1, -1);
  const forms = [
    secret.toLowerCase(),
    escaped,
    encoded,
    form,
    ...[encoded, form].map(lowerCaseDigits),
    hex(bytes),
    hex(bytes).toUpperCase(),
  ];
  for (const lead of [0, 1, 2]) {
    const stable = base64At(bytes, lead);
    forms.push(stable, stable.replaceAll("+", "-").replaceAll("/", "_"));
  }
  return [secret, ...forms.filter((one) => one.length >= MIN_FORM_CHARS)];
}

function literal(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
}

/** Every way to write the text in JSON. No two ways to write a character begin alike, so that nothing is tried twice. */
function inJson(secret: string): string {
  return Array.from({ length: secret.length }, (_, i) => {
    const char = secret.charAt(i);
    const code = secret.charCodeAt(i);
    const digits = code.toString(16).padStart(4, "0");
    const ways = [`\\\\u${digits.replace(/[a-f]/g, (digit) => `[${digit}${digit.toUpperCase()}]`)}`];
    const escape = ESCAPES[char];
    if (escape !== undefined) ways.push(`\\\\${literal(escape)}`);
    if (escape === undefined || char === "/") ways.push(literal(char));
    return `(?:${ways.join("|")})`;
  }).join("");
}

function lowerCaseDigits(encoded: string): string {
  return encoded.replace(/%[0-9A-F]{2}/g, (digits) => digits.toLowerCase());
}

/** What base64 makes of the bytes behind `lead` unknown bytes and before unknown ones: the characters that are theirs alone. */
function base64At(bytes: Uint8Array, lead: number): string {
  const padded = new Uint8Array(lead + bytes.length);
  padded.set(bytes, lead);
  const from = Math.ceil((lead * 8) / 6);
  const to = Math.floor((padded.length * 8) / 6);
  return base64(padded).slice(from, to);
}
