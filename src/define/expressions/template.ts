/** Texts that hold expressions: `${{ e }}` as the whole text keeps the type of its value, inside a longer one it is written out. */

import type { Json } from "../../kernel/index.ts";
import { evaluate, type Names } from "./evaluate.ts";
import { isList, isMap, kindOf, limitText, wholeText } from "./functions.ts";
import { Fault, type Meter } from "./meter.ts";
import { parseExpression, type SyntaxFault } from "./syntax.ts";

const OPEN = "${{";
const CLOSE = "}}";

export type Segment =
  | { readonly kind: "text"; readonly text: string }
  /** `at`: characters of the whole text before the expression. */
  | { readonly kind: "expression"; readonly text: string; readonly at: number };

export type Split =
  | { readonly ok: true; readonly segments: readonly Segment[] }
  | { readonly ok: false; readonly fault: SyntaxFault };

export function holdsExpression(text: string): boolean {
  return text.includes(OPEN);
}

/** A text as it is, for a place where `${{` would begin an expression. */
export function literal(text: string): string {
  return text.replaceAll(OPEN, `${OPEN} '${OPEN}' ${CLOSE}`);
}

/** The parts of a text. */
export function splitTemplate(text: string): Split {
  const segments: Segment[] = [];
  let from = 0;
  for (let open = text.indexOf(OPEN); open !== -1; open = text.indexOf(OPEN, from)) {
    if (open > from) segments.push({ kind: "text", text: text.slice(from, open) });
    const start = open + OPEN.length;
    const end = endOf(text, start);
    if (end === -1) {
      const detail = "The expression has no end: write `${{ … }}`.";
      return { ok: false, fault: { at: open, code: "expression_invalid", detail } };
    }
    segments.push({ kind: "expression", text: text.slice(start, end), at: start });
    from = end + CLOSE.length;
  }
  if (from < text.length) segments.push({ kind: "text", text: text.slice(from) });
  return { ok: true, segments };
}

/** Where the expression that begins at `start` ends; -1: nowhere. Braces and texts of the expression are passed over. */
function endOf(text: string, start: number): number {
  let braces = 0;
  for (let at = start; at < text.length; at += 1) {
    const char = text[at];
    if (char === "'" || char === '"') {
      at = endOfQuoted(text, at, char);
      if (at === -1) return -1;
    } else if (char === "{") braces += 1;
    else if (char === "}") {
      if (braces === 0) return text.startsWith(CLOSE, at) ? at : -1;
      braces -= 1;
    }
  }
  return -1;
}

/** The last character of the literal that begins at `at`; -1: it has no end. */
function endOfQuoted(text: string, at: number, quote: string): number {
  const triple = quote.repeat(3);
  const close = text.startsWith(triple, at) ? triple : quote;
  for (let i = at + close.length; i < text.length; i += 1) {
    if (text[i] === "\\") i += 1;
    else if (text.startsWith(close, i)) return i + close.length - 1;
  }
  return -1;
}

/** Where something went wrong: the text as it was written, and the place in it. */
export class TemplateFault extends Error {
  readonly expression: string;
  readonly at: number;

  constructor(message: string, expression: string, at: number) {
    super(message);
    this.expression = expression;
    this.at = at;
  }
}

/** The value of one expression. Throws a `TemplateFault`. */
export function evaluateText(text: string, names: Names, meter: Meter, at = 0): Json {
  const parsed = parseExpression(text, names.called);
  if (!parsed.ok) throw new TemplateFault(parsed.fault.detail, text, at + parsed.fault.at);
  try {
    const value = evaluate(parsed.expression, names, meter);
    meter.made(value);
    return value;
  } catch (error) {
    if (error instanceof Fault) throw new TemplateFault(error.message, text, at + (error.at ?? 0));
    // Values of services can be nested deeper than the stack.
    if (error instanceof RangeError) throw new TemplateFault("a value is nested too deeply", text, at);
    throw error;
  }
}

/** What to make of the value of an expression inside a longer text. */
type Write = (value: Json) => string;

const plain: Write = (value) => (typeof value === "string" ? value : JSON.stringify(value));

/** Percent-encoded: one segment of a path, or one part of a query, and never more than that. */
const encoded: Write = (value) => {
  if (value === null || isList(value) || isMap(value))
    throw new Fault(`${kindOf(value)} cannot stand in a URL`);
  return encodeURIComponent(wholeText(String(value)));
};

function fillText(text: string, names: Names, meter: Meter, write: Write): Json {
  if (!holdsExpression(text)) return text;
  const split = splitTemplate(text);
  if (!split.ok) throw new TemplateFault(split.fault.detail, text, split.fault.at);
  const [first, second] = split.segments;
  if (first?.kind === "expression" && second === undefined && write === plain)
    return evaluateText(first.text, names, meter, first.at);
  let filled = "";
  for (const segment of split.segments) {
    if (segment.kind === "text") filled += segment.text;
    else {
      const value = evaluateText(segment.text, names, meter, segment.at);
      try {
        const written = write(value);
        limitText(filled.length + written.length);
        filled += written;
      } catch (error) {
        if (error instanceof Fault) throw new TemplateFault(error.message, segment.text, segment.at);
        throw error;
      }
    }
    limitText(filled.length);
  }
  meter.chars(filled.length);
  return filled;
}

/** The parameters of an action with every text filled in; `url` only ever gains path and query. Throws a `TemplateFault`. */
export function fillTemplate(template: Json, names: Names, meter: Meter): Json {
  const fill = (value: Json): Json => {
    if (typeof value === "string") return fillText(value, names, meter, plain);
    if (isList(value)) return value.map(fill);
    return isMap(value) ? mapValues(value, fill) : value;
  };
  return fill(template);
}

/** As `fillTemplate`, for the parameters of a request. */
export function fillRequest(template: Json, names: Names, meter: Meter): Json {
  if (!isMap(template) || typeof template["url"] !== "string") return fillTemplate(template, names, meter);
  const { url, ...rest } = template;
  const filled = fillText(url, names, meter, encoded);
  // `..` has no encoding that a URL would not resolve.
  if (holdsExpression(url) && typeof filled === "string" && hasDotSegment(filled))
    throw new TemplateFault("a part of the path would be `.` or `..`", url, 0);
  const others = fillTemplate(rest, names, meter) as typeof rest;
  wholeQuery(rest["query"], others["query"]);
  return { ...others, url: filled };
}

/** What an author wrote out is the author's. */
function wholeQuery(template: Json | undefined, query: Json | undefined): void {
  if (!isMap(template ?? null) || !isMap(query ?? null)) return;
  for (const [name, written] of Object.entries(template as { readonly [key: string]: Json })) {
    const text = JSON.stringify(written);
    if (!holdsExpression(text)) continue;
    const value = (query as { readonly [key: string]: Json })[name];
    for (const one of isList(value ?? null) ? (value as readonly Json[]) : [value])
      try {
        if (typeof one === "string") wholeText(one);
      } catch (error) {
        if (error instanceof Fault) throw new TemplateFault(error.message, text, 0);
        throw error;
      }
  }
}

function hasDotSegment(url: string): boolean {
  const [path = ""] = url.split(/[?#]/);
  return path.split(/[/\\]/).some((segment) => /^(?:\.|%2e){1,2}$/i.test(segment));
}

function mapValues(map: { readonly [key: string]: Json }, make: (value: Json) => Json): Json {
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, make(value)]));
}
