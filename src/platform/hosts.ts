/**
 * Where a request may go. Pure checks over a URL; egress.ts applies them to the first request and to every redirect.
 *
 * A host must look like a public DNS name (a positive grammar), so nothing depends on a list of bad spellings. The codes
 * that name a reason more exactly (an address, a local name) are for the reader of the error.
 * A Worker cannot see what a name resolves to: private addresses behind public names are the platform's part
 * (`global_fetch_strictly_public`).
 */
import { err, ok, type Result } from "./result.ts";

export const MAX_URL_CHARS = 8_192;
/** RFC 1035 section 2.3.4, without the trailing dot. */
const MAX_HOST_CHARS = 253;

/** Two labels or more; the last starts with a letter, so no number can end a name (WHATWG URL, "ends in a number"). */
const PUBLIC_NAME = /^(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const IPV4 = /^[0-9]+(?:\.[0-9]+){3}\.?$/;

/** Names that never mean a public host: RFC 6761, RFC 6762 (also its appendix G), RFC 7686, RFC 8375, ICANN's `internal`. */
const LOCAL_SUFFIXES = [
  "localhost",
  "localdomain",
  "local",
  "internal",
  "intranet",
  "private",
  "corp",
  "home",
  "lan",
  "home.arpa",
  "onion",
] as const;

export type UrlRefusalCode =
  | "url_invalid"
  | "url_scheme"
  | "url_port"
  | "url_userinfo"
  | "host_address"
  | "host_local"
  | "host_invalid"
  | "host_own"
  | "host_not_allowed";

export interface UrlRefusal {
  readonly code: UrlRefusalCode;
  /** Names the host at most: a path, a query or user-info may hold secrets. */
  readonly message: string;
}

export interface HostRules {
  /** Patterns (`isHostPattern`) of the names that reach this deployment. */
  readonly ownHosts: readonly string[];
  /** Patterns of the only names that may be reached; undefined: no such list. */
  readonly allowedHosts?: readonly string[] | undefined;
}

/** Reads a URL and decides whether a request may go there. The URL that comes back has no fragment. */
export function checkUrl(text: string, rules: HostRules): Result<URL, UrlRefusal> {
  const url = text.length > MAX_URL_CHARS ? null : URL.parse(text);
  if (url === null) {
    return refuse("url_invalid", `The URL is not an absolute URL of at most ${MAX_URL_CHARS} characters.`);
  }
  if (url.protocol !== "https:") return refuse("url_scheme", "Only https URLs can be called.");
  if (url.username !== "" || url.password !== "") {
    return refuse(
      "url_userinfo",
      "The URL holds a user name or password. Credentials are given by reference, never in a URL.",
    );
  }
  const host = url.hostname;
  if (host.startsWith("[") || IPV4.test(host)) {
    return refuse("host_address", "The URL names an IP address. Only DNS names can be called.");
  }
  if (url.port !== "") return refuse("url_port", "Only the standard port of https, 443, can be called.");
  if (isLocalName(host))
    return refuse("host_local", `"${shown(host)}" is not a name on the public internet.`);
  if (host.length > MAX_HOST_CHARS || !PUBLIC_NAME.test(host)) {
    return refuse("host_invalid", `"${shown(host)}" is not a DNS name. Write it without a trailing dot.`);
  }
  if (matchesAny(rules.ownHosts, host)) {
    return refuse(
      "host_own",
      `"${host}" is this deployment itself. To start a run from a run, use a run step.`,
    );
  }
  if (rules.allowedHosts !== undefined && !matchesAny(rules.allowedHosts, host)) {
    return refuse("host_not_allowed", `"${host}" is not among the hosts that this request may reach.`);
  }
  url.hash = "";
  return ok(url);
}

/** Whether a text is a public DNS name as URLs have it: lower case, ASCII, no trailing dot, not a local one. */
export function isPublicName(text: string): boolean {
  return text.length <= MAX_HOST_CHARS && PUBLIC_NAME.test(text) && !isLocalName(text);
}

/** A host pattern: a name, or `*.` or `*-` and the end of a name (`*-app.example.dev` covers preview addresses). */
export function isHostPattern(text: string): boolean {
  return PUBLIC_NAME.test(text.startsWith("*.") || text.startsWith("*-") ? `x${text.slice(1)}` : text);
}

/** True if a host pattern covers a name. `*.a.example` does not cover `a.example`. */
export function matchesHost(pattern: string, host: string): boolean {
  if (!pattern.startsWith("*")) return pattern === host;
  return host.endsWith(pattern.slice(1));
}

function matchesAny(patterns: readonly string[], host: string): boolean {
  return patterns.some((pattern) => matchesHost(pattern, host));
}

function isLocalName(host: string): boolean {
  const name = host.endsWith(".") ? host.slice(0, -1) : host;
  return (
    !name.includes(".") || LOCAL_SUFFIXES.some((suffix) => name === suffix || name.endsWith(`.${suffix}`))
  );
}

function shown(host: string): string {
  return host.length > MAX_HOST_CHARS ? `${host.slice(0, MAX_HOST_CHARS)}…` : host;
}

function refuse(code: UrlRefusalCode, message: string): Result<never, UrlRefusal> {
  return err({ code, message });
}
