/**
 * Structured log: one JSON object a line, on the console, where the platform collects it.
 *
 * - L1 a log call never throws.
 * - L2 secrets are taken out twice: fields by their name, texts by the shape of what they hold.
 * - L3 a line has a bounded size.
 * - L4 what the runtime quotes of a text that is no JSON is taken out: it may be anybody's data.
 */
import { describeError } from "./errors.ts";
import { redactShapes, REDACTED } from "./secret-shapes.ts";

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type LogFields = Readonly<Record<string, unknown>>;

const MAX_TEXT_CHARS = 2_048;
const MAX_LINE_CHARS = 16_384;
const MAX_DEPTH = 5;
const MAX_MEMBERS = 50;

/** A field whose name ends like this holds a secret, whatever it looks like. */
const SECRET_FIELD =
  /(?:authorization|cookie|password|passwd|secret|token|api[-_]?key|private[-_]?key|credentials?|assertion|code[-_]?verifier)$/i;

/** As V8 words it: `Unexpected token 'a', ..."ts: abc, de"... is not valid JSON`. */
const QUOTED_JSON = /(?:'[^]{1,2}', )?(?:\.\.\.)?"[^]{0,64}?"(?:\.\.\.)? is not valid JSON/g;

export interface Logger {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  /** A logger that adds these fields to each of its lines. */
  with(fields: LogFields): Logger;
}

export type LogWriter = (level: LogLevel, line: string) => void;

/** A logger for lines of `least` and above. An `error` among the fields may be anything that was thrown. */
export function createLogger(
  least: LogLevel = "info",
  write: LogWriter = toConsole,
  base: LogFields = {},
): Logger {
  const log = (level: LogLevel, event: string, fields: LogFields = {}): void => {
    if (LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(least)) return;
    try {
      write(level, formatLine(level, event, { ...base, ...fields }));
    } catch {
      // L1. There is nowhere left to say it.
    }
  };
  return {
    debug: (event, fields) => log("debug", event, fields),
    info: (event, fields) => log("info", event, fields),
    warn: (event, fields) => log("warn", event, fields),
    error: (event, fields) => log("error", event, fields),
    with: (fields) => createLogger(least, write, { ...base, ...fields }),
  };
}

function formatLine(level: LogLevel, event: string, fields: LogFields): string {
  const line = JSON.stringify({ level, event, ...loggable(fields) });
  return line.length <= MAX_LINE_CHARS ? line : JSON.stringify({ level, event, cut: line.length });
}

function loggable(fields: LogFields): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, safeField(key, value, 0)]));
}

function safeField(key: string, value: unknown, depth: number): unknown {
  if (SECRET_FIELD.test(key) && value !== null && value !== undefined) return REDACTED;
  return safe(value, depth);
}

function safe(value: unknown, depth: number): unknown {
  if (typeof value === "string") return cut(redactShapes(unquoted(value.slice(0, 2 * MAX_TEXT_CHARS))));
  if (typeof value === "number" || typeof value === "boolean" || value === null || value === undefined)
    return value;
  if (typeof value !== "object") return typeof value === "bigint" ? String(value) : typeof value;
  if (depth >= MAX_DEPTH) return "…";
  if (value instanceof Error) return safe({ ...describeError(value) }, depth + 1);
  if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`;
  if (Array.isArray(value)) return value.slice(0, MAX_MEMBERS).map((item) => safe(item, depth + 1));
  const members = Object.entries(value).slice(0, MAX_MEMBERS);
  return Object.fromEntries(members.map(([key, member]) => [key, safeField(key, member, depth + 1)]));
}

/** L4. */
function unquoted(text: string): string {
  return text.replaceAll(QUOTED_JSON, "(it is not valid JSON)");
}

function cut(text: string): string {
  return text.length <= MAX_TEXT_CHARS ? text : `${text.slice(0, MAX_TEXT_CHARS)}…`;
}

/** The platform turns a JSON line into fields that can be searched, and takes the level from the method. */
function toConsole(level: LogLevel, line: string): void {
  console[level](line);
}
