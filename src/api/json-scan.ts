/** Where a text stops being JSON (RFC 8259), and how deep it nests. The engine's own parser says neither reliably. Pure. */

export interface JsonFault {
  /** Characters before the fault; the text's length where it ends too early. */
  readonly position: number;
  readonly what: "unexpected" | "end" | "too_deep";
}

const PRIMITIVE = /true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const SPACE = /[ \t\n\r]*/y;

/** The first fault, or null if the text is one JSON value with at most `maxDepth` containers inside each other. */
export function findJsonFault(text: string, maxDepth: number): JsonFault | null {
  /** What closes each container that is open. */
  const open: ("}" | "]")[] = [];
  let at = 0;
  let expected: "value" | "value_or_close" | "key" | "key_or_close" | "after" = "value";
  const fault = (position: number, what: JsonFault["what"] = "unexpected"): JsonFault =>
    position >= text.length ? { position: text.length, what: "end" } : { position, what };
  for (;;) {
    at = skip(SPACE, text, at);
    const char = text[at];
    const closer = open.at(-1);
    if (expected === "after") {
      if (closer === undefined) return at === text.length ? null : fault(at);
      if (char === closer) open.pop();
      else if (char === ",") expected = closer === "}" ? "key" : "value";
      else return fault(at);
      at += 1;
    } else if (expected === "key" || expected === "key_or_close") {
      if (char === "}" && expected === "key_or_close") {
        open.pop();
        expected = "after";
        at += 1;
        continue;
      }
      const end = endOfString(text, at);
      if (end.fault) return fault(end.at);
      at = skip(SPACE, text, end.at);
      if (text[at] !== ":") return fault(at);
      at += 1;
      expected = "value";
    } else if (char === "{" || char === "[") {
      if (open.length === maxDepth) return fault(at, "too_deep");
      open.push(char === "{" ? "}" : "]");
      expected = char === "{" ? "key_or_close" : "value_or_close";
      at += 1;
    } else if (char === "]" && expected === "value_or_close") {
      open.pop();
      expected = "after";
      at += 1;
    } else {
      const end = char === '"' ? endOfString(text, at) : endOfPrimitive(text, at);
      if (end.fault) return fault(end.at);
      at = end.at;
      expected = "after";
    }
  }
}

/** "line 2, column 5" of a position, both from 1. */
export function lineAndColumn(text: string, position: number): string {
  const before = text.slice(0, position).split("\n");
  return `line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}`;
}

interface End {
  readonly at: number;
  readonly fault: boolean;
}

function skip(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  pattern.test(text);
  return Math.max(pattern.lastIndex, at);
}

function endOfPrimitive(text: string, at: number): End {
  const end = skip(PRIMITIVE, text, at);
  return { at: end, fault: end === at };
}

function endOfString(text: string, at: number): End {
  if (text[at] !== '"') return { at, fault: true };
  for (let i = at + 1; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code === 0x22) return { at: i + 1, fault: false };
    if (code < 0x20) return { at: i, fault: true };
    if (code !== 0x5c) continue;
    i += 1;
    const escape = text[i] ?? "";
    if (escape === "u") {
      const [digits = ""] = /^[0-9a-fA-F]{0,4}/.exec(text.slice(i + 1, i + 5)) ?? [];
      if (digits.length < 4) return { at: i + 1 + digits.length, fault: true };
      i += 4;
    } else if (!'"\\/bfnrt'.includes(escape) || escape === "") return { at: i, fault: true };
  }
  return { at: text.length, fault: true };
}
