/** The functions of expressions. Each pays for what it does before it does it; none takes a pattern or runs code. */

import type { Json } from "../../kernel/index.ts";
import { MAX_RESULT_CHARS } from "./limits.ts";
import { Fault, type Meter } from "./meter.ts";

interface Known {
  /** How it is written: `size(x)`, `x.size()`, or either. */
  readonly style: "function" | "method" | "both";
  /** Arguments, the receiver included. */
  readonly least: number;
  readonly most: number;
  readonly usage: string;
  readonly call: (args: readonly Json[], meter: Meter) => Json;
}

const text = (value: Json | undefined): string => {
  if (typeof value === "string") return value;
  throw new Fault(`${kindOf(value)} stands where a text is needed; \`string(x)\` makes one of a number`);
};
const whole = (value: Json | undefined, what: string): number => {
  if (typeof value === "number" && Number.isSafeInteger(value)) return value;
  throw new Fault(`${what} is a whole number`);
};
const list = (value: Json | undefined): readonly Json[] => {
  if (isList(value)) return value;
  throw new Fault(`${kindOf(value)} stands where a list is needed`);
};
const finite = (value: number): number => {
  if (Number.isFinite(value)) return value;
  throw new Fault("the result is no number that JSON can hold");
};

/** Characters that are looked at one by one for the price of one operation: some are a piece of work of their own. */
const CHARS_TAKEN_APART_PER_OPERATION = 4;
/** A number is written as text, and a moment read or written, at the price of so many operations. */
const OPERATIONS_PER_NUMBER = 2;
const OPERATIONS_PER_MOMENT = 4;
/** RFC 3339, as far as `Date.parse` is sure of it. */
const MOMENT = /^\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:[Zz]|[+-]\d\d:\d\d))?$/;
const NUMBER = /^-?\d{1,20}(?:\.\d{1,20})?(?:[eE][+-]?\d{1,3})?$/;
/** Furthest moment of a `Date`. */
const LAST_MS = 8.64e15;

export const FUNCTIONS = {
  size: {
    style: "both",
    least: 1,
    most: 1,
    usage: "size(x)",
    call: ([of], meter) => {
      if (typeof of === "string") {
        // CEL counts code points.
        meter.spend(Math.ceil(of.length / CHARS_TAKEN_APART_PER_OPERATION));
        return Array.from(of).length;
      }
      if (isList(of)) return of.length;
      if (isMap(of)) {
        const { length } = Object.keys(of);
        meter.keys(length);
        return length;
      }
      throw new Fault(`${kindOf(of)} has no size`);
    },
  },
  contains: method2("contains", (a, b, meter) => {
    meter.search(a, b);
    return a.includes(b);
  }),
  startsWith: method2("startsWith", (a, b, meter) => {
    meter.chars(b.length);
    return a.startsWith(b);
  }),
  endsWith: method2("endsWith", (a, b, meter) => {
    meter.chars(b.length);
    return a.endsWith(b);
  }),
  indexOf: method2("indexOf", (a, b, meter) => {
    meter.search(a, b);
    return a.indexOf(b);
  }),
  split: method2("split", (a, b, meter) => {
    meter.search(a, b === "" ? " " : b);
    // An empty separator would part surrogate pairs.
    const parts = b === "" ? Array.from(a) : a.split(b);
    meter.spend(parts.length);
    return parts;
  }),
  join: {
    style: "method",
    least: 1,
    most: 2,
    usage: "list.join(', ')",
    call: ([of, between = ""], meter) => {
      const separator = text(between);
      let chars = 0;
      meter.spend(list(of).length);
      const parts = list(of).map(text);
      for (const part of parts) chars += part.length + separator.length;
      limitText(chars);
      meter.chars(chars);
      return parts.join(separator);
    },
  },
  lowerAscii: method1("lowerAscii", (a, meter) => {
    meter.spend(Math.ceil(a.length / CHARS_TAKEN_APART_PER_OPERATION));
    return a.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase());
  }),
  upperAscii: method1("upperAscii", (a, meter) => {
    meter.spend(Math.ceil(a.length / CHARS_TAKEN_APART_PER_OPERATION));
    return a.replaceAll(/[a-z]+/g, (letters) => letters.toUpperCase());
  }),
  trim: method1("trim", (a) => a.trim()),
  substring: {
    style: "method",
    least: 2,
    most: 3,
    usage: "text.substring(from, to)",
    call: ([of, from, to], meter) => {
      const a = text(of);
      meter.chars(a.length);
      const start = whole(from, "the start");
      const end = to === undefined ? a.length : whole(to, "the end");
      if (start < 0 || end > a.length || start > end)
        throw new Fault(`there are no characters ${start} to ${end} in a text of ${a.length}`);
      return a.slice(start, end).toWellFormed();
    },
  },
  string: {
    style: "function",
    least: 1,
    most: 1,
    usage: "string(x)",
    call: ([of], meter) => {
      if (typeof of === "string") return of;
      meter.spend(OPERATIONS_PER_NUMBER);
      if (typeof of === "number" || typeof of === "boolean") return JSON.stringify(of);
      throw new Fault(`${kindOf(of)} has no text of its own; \`json(x)\` writes it as JSON`);
    },
  },
  json: {
    style: "function",
    least: 1,
    most: 1,
    usage: "json(x)",
    call: ([of = null], meter) => {
      meter.made(of, true);
      const written = JSON.stringify(of);
      // Some characters are written as six.
      limitText(written.length);
      return written;
    },
  },
  int: {
    style: "function",
    least: 1,
    most: 1,
    usage: "int(x)",
    call: ([of]) => {
      const number = Math.trunc(numberFrom(of));
      if (Number.isSafeInteger(number)) return number + 0;
      throw new Fault("whole numbers go up to 2^53");
    },
  },
  double: {
    style: "function",
    least: 1,
    most: 1,
    usage: "double(x)",
    call: ([of]) => numberFrom(of),
  },
  bool: {
    style: "function",
    least: 1,
    most: 1,
    usage: "bool(x)",
    call: ([of]) => {
      if (typeof of === "boolean") return of;
      if (of === "true" || of === "false") return of === "true";
      throw new Fault("only the texts `true` and `false` are truth values");
    },
  },
  sum: {
    style: "function",
    least: 1,
    most: 1,
    usage: "sum(list)",
    call: ([of], meter) => {
      const numbers = list(of);
      meter.spend(numbers.length);
      let sum = 0;
      for (const number of numbers) {
        if (typeof number !== "number") throw new Fault(`${kindOf(number)} cannot be added up`);
        sum += number;
      }
      return finite(sum);
    },
  },
  millis: {
    style: "function",
    least: 1,
    most: 1,
    usage: "millis('2027-03-14T09:00:00Z')",
    call: ([of], meter) => {
      const moment = text(of);
      meter.spend(OPERATIONS_PER_MOMENT);
      const ms = MOMENT.test(moment) ? Date.parse(moment) : Number.NaN;
      if (Number.isNaN(ms)) throw new Fault("this is no moment as in `2027-03-14T09:00:00Z`");
      return ms;
    },
  },
  rfc3339: {
    style: "function",
    least: 1,
    most: 1,
    usage: "rfc3339(run.now)",
    call: ([of], meter) => {
      const ms = numberFrom(of);
      meter.spend(OPERATIONS_PER_MOMENT);
      if (Math.abs(ms) > LAST_MS) throw new Fault("this is no number of milliseconds since 1970");
      return new Date(ms).toISOString();
    },
  },
  encode: {
    style: "function",
    least: 1,
    most: 1,
    usage: "encode(text)",
    call: ([of], meter) => {
      const a = text(of);
      limitText(a.length * 3);
      meter.chars(a.length * 3);
      return encodeURIComponent(wholeText(a));
    },
  },
} as const satisfies Readonly<Record<string, Known>>;

export type FunctionName = keyof typeof FUNCTIONS;

export function callFunction(name: FunctionName, args: readonly Json[], meter: Meter): Json {
  const known: Known = FUNCTIONS[name];
  return known.call(args, meter);
}

function method1(name: string, call: (a: string, meter: Meter) => Json): Known {
  return {
    style: "method",
    least: 1,
    most: 1,
    usage: `text.${name}()`,
    call: ([a], meter) => {
      const whole = text(a);
      meter.chars(whole.length);
      return call(whole, meter);
    },
  };
}

function method2(name: string, call: (a: string, b: string, meter: Meter) => Json): Known {
  return {
    style: "method",
    least: 2,
    most: 2,
    usage: `text.${name}(other)`,
    call: ([a, b], meter) => call(text(a), text(b), meter),
  };
}

function numberFrom(value: Json | undefined): number {
  if (typeof value === "number") return value;
  if (typeof value === "string" && NUMBER.test(value)) return finite(Number(value));
  throw new Fault(`${kindOf(value)} is no number`);
}

/** For an address: half of a character, or what stands for one, is not what was meant, and would be sent as something else. */
export function wholeText(text: string): string {
  if (/[\p{Surrogate}\ufffd]/u.test(text))
    throw new Fault("a text with a character that could not be read (U+FFFD) cannot stand in a URL");
  return text;
}

export function limitText(chars: number): void {
  if (chars > MAX_RESULT_CHARS)
    throw new Fault(`a text would have more than ${MAX_RESULT_CHARS} characters`, true);
}

export function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}

export function isMap(value: Json | undefined): value is { readonly [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What a value is, in words; never the value itself. */
export function kindOf(value: Json | undefined): string {
  if (value === null || value === undefined) return "null";
  if (isList(value)) return "a list";
  if (typeof value === "object") return "a map";
  return { string: "a text", number: "a number", boolean: "a truth value" }[typeof value as "string"];
}
