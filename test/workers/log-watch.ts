/**
 * Keeps every line that was logged in the isolate of a test file, and every secret that was seen there, and searches the one
 * for the other when the file ends.
 *
 * Secrets are learned where they pass, whoever made them: of texts that are parsed or written as JSON by the name of the
 * member, or by the shape of our own keys; of requests that leave by their credentials and forms; of the bindings.
 *
 * A line of the product is taken where it is written as JSON, below the console: a test that puts its own console there hides none.
 */
import { createLogger } from "../../src/platform/index.ts";
import { SecretSearch } from "../platform/secret-search.ts";

/** Shorter values of tests are words. */
const MIN_CHARS = 16;
const MEMBER =
  /"(access_token|refresh_token|id_token|client_secret|code_verifier|api_key|secret|secretAccessKey|SecretAccessKey|sessionToken|SessionToken)":"((?:[^"\\]|\\.){16,4096})"/g;
const OWN = /\b(?:sck_[A-Za-z0-9]{32,}|whs[ekp][a-z]*_[A-Za-z0-9+/=_-]{24,})|\/connect\/cs_\w+\.[\w-]{16,}/g;
const FIELDS = new Set([
  ...["code", "code_verifier", "refresh_token", "client_secret", "assertion", "client_assertion"],
  ...["subject_token", "WebIdentityToken"],
]);

export const lines: string[] = [];
/** The name of each, by the secret. */
export const secrets = new Map<string, string>();

export function learn(name: string, secret: string | undefined): void {
  if (secret !== undefined && secret.length >= MIN_CHARS) secrets.set(secret, name);
}

function learnFrom(text: string): void {
  if (text.includes('":"'))
    for (const [, name = "", value = ""] of text.matchAll(MEMBER)) {
      // What stands in the place of a secret, or a reference to one, is none.
      if (!/^\[REDACTED\]$|[\s{}$]/.test(value)) learn(name, value);
    }
  if (/sck_|whs[ekp]|\/connect\/cs_/.test(text))
    for (const [found] of text.matchAll(OWN))
      learn("key, or link", found.startsWith("/connect/") ? found.slice(found.indexOf(".") + 1) : found);
}

/** What is found in the lines: `<secret>, <form>: <line>`. */
export function leaks(from = 0): string[] {
  const search = new SecretSearch(secrets);
  return lines.slice(from).flatMap((line) => search.in(line).map((what) => `${what}: ${line.slice(0, 300)}`));
}

/** Of the lines that `createLogger` makes. */
const OWN_LINE = '{"level":';

/**
 * Whether the watch sees: a secret that is logged, by the product's own logger under whatever console stands there, and by hand, is
 * found. Leaves no trace.
 */
export function sees(): boolean {
  const probe = `probe-${crypto.randomUUID()}`;
  const before = lines.length;
  learn("probe", probe);
  createLogger("info", () => {}).warn("watched", { text: probe });
  console.debug(probe);
  const found = leaks(before).filter((leak) => leak.startsWith("probe, itself: "));
  secrets.delete(probe);
  lines.splice(before);
  return found.length === 2;
}

export function watch(): void {
  for (const level of ["log", "debug", "info", "warn", "error"] as const) {
    const real = console[level].bind(console);
    console[level] = (...words: unknown[]) => {
      const line = words.map(String).join(" ");
      if (!line.startsWith(OWN_LINE)) lines.push(line);
      real(...words);
    };
  }
  const parse = JSON.parse.bind(JSON);
  JSON.parse = (text: string, ...more: []) => {
    if (typeof text === "string") learnFrom(text);
    return parse(text, ...more) as unknown;
  };
  const stringify = JSON.stringify.bind(JSON);
  JSON.stringify = ((...args: Parameters<typeof JSON.stringify>) => {
    const text: unknown = stringify(...args);
    // What a line of the log says is not learned from it: it is what is searched.
    if (typeof text === "string" && text.startsWith(OWN_LINE)) lines.push(text);
    else if (typeof text === "string") learnFrom(text);
    return text;
  }) as typeof JSON.stringify;
  const real = globalThis.fetch;
  globalThis.fetch = async (input: RequestInfo | URL, init?: RequestInit) => {
    const sent = new Headers(init?.headers ?? (input instanceof Request ? input.headers : undefined));
    learn(
      "credential of a request",
      /^(?:bearer|token)\s+(\S+)$/i.exec(sent.get("authorization") ?? "")?.[1],
    );
    const body: unknown = init?.body;
    const text = body instanceof Uint8Array ? new TextDecoder().decode(body) : body;
    if (text instanceof URLSearchParams || (typeof text === "string" && /^[\w.-]+=/.test(text)))
      for (const [name, value] of new URLSearchParams(text)) if (FIELDS.has(name)) learn(name, value);
    return real(input, init);
  };
}
