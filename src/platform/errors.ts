/** Turns anything that was thrown into plain text that may be stored. Cannot throw, whatever the value does. */

const MAX_MESSAGE_CHARS = 1_024;
const MAX_STACK_CHARS = 4_096;
/** Also ends a chain of causes that is a circle. */
export const MAX_CAUSES = 8;

export interface ErrorText {
  readonly name: string;
  readonly message: string;
  /** A string `code` of the error, as most of our own and Node's errors have. */
  readonly code?: string;
  readonly stack?: string;
  readonly causes?: readonly string[];
}

/** Name, message, code, stack and causes of an error; lengths capped, NUL characters taken out. */
export function describeError(error: unknown): ErrorText {
  const chain = causeChain(error);
  const code = readString(error, "code");
  const stack = readString(error, "stack");
  return {
    name: clean(readString(error, "name") ?? typeof error, MAX_MESSAGE_CHARS),
    message: messageOf(error),
    ...(code === undefined ? {} : { code: clean(code, MAX_MESSAGE_CHARS) }),
    ...(stack === undefined ? {} : { stack: clean(stack, MAX_STACK_CHARS) }),
    ...(chain.length > 1 ? { causes: chain.slice(1).map(messageOf) } : {}),
  };
}

/** The error and its causes, outermost first, at most MAX_CAUSES long. */
export function causeChain(error: unknown): unknown[] {
  const chain: unknown[] = [];
  for (
    let link: unknown = error;
    link !== undefined && chain.length < MAX_CAUSES;
    link = read(link, "cause")
  ) {
    chain.push(link);
  }
  return chain;
}

/** The message of an error, or the text of anything else. */
export function messageOf(error: unknown): string {
  return clean(readString(error, "message") ?? textOf(error), MAX_MESSAGE_CHARS);
}

/** A property of a thrown value, or undefined: getters and proxies may throw. */
export function read(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  try {
    return Reflect.get(value, key);
  } catch {
    return undefined;
  }
}

function readString(value: unknown, key: string): string | undefined {
  const property = read(value, key);
  return typeof property === "string" ? property : undefined;
}

function textOf(value: unknown): string {
  try {
    return typeof value === "object" && value !== null
      ? (JSON.stringify(value) ?? "an object")
      : String(value);
  } catch {
    return "a value that cannot be shown";
  }
}

function clean(text: string, maxChars: number): string {
  const short = text.length > maxChars ? `${text.slice(0, maxChars)}…` : text;
  return short.replaceAll("\0", "").toWellFormed();
}
