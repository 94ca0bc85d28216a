/**
 * Names that a development build maps to ports on loopback, so that tests and the demo can use https names without a
 * port, as in production. The only reader of DEV_HOSTS, and the only place that writes a loopback address.
 *
 * What makes a build one for development is a constant that the bundler puts in (`[define]` of wrangler.toml). So no
 * variable and no secret can turn a deployed bundle into one: it would have to be built again. Where the constant is
 * false, the bundler leaves the mapping out.
 */
import type { HeaderRecord } from "./headers.ts";
import { checkUrl } from "./hosts.ts";

const DEVELOPMENT_BUILD = typeof DEVELOPMENT !== "undefined" && DEVELOPMENT;

/** Whether http addresses on loopback may stand where browsers are sent. */
export function isDevelopmentBuild(): boolean {
  return DEVELOPMENT_BUILD;
}

const MAX_PORT = 65_535;

/** DNS name to port on 127.0.0.1. */
export type DevelopmentHosts = ReadonlyMap<string, number>;

/**
 * Reads the variable DEV_HOSTS: a JSON object from DNS name to port. Undefined and "" mean none.
 * Throws a TypeError if the variable is set in a build that is not for development, or is not such an object: both are
 * mistakes in the configuration, and going on would hide them.
 */
export function parseDevelopmentHosts(
  variable: string | undefined,
  development = DEVELOPMENT_BUILD,
): DevelopmentHosts {
  if (variable === undefined || variable === "") return new Map();
  if (!development) {
    throw new TypeError("DEV_HOSTS is set, but this is not a development build. Remove the variable.");
  }
  return new Map(
    Object.entries(readObject(variable)).map(([host, port]) => [checkName(host), checkPort(host, port)]),
  );
}

/** Where a request really goes. */
export interface WireAddress {
  readonly url: string;
  readonly headers: HeaderRecord;
}

/**
 * The address on loopback behind a mapped name; null for any other name, and always in a build that is not for
 * development. The platform sets Host from the address, so the name travels in X-Forwarded-Host.
 */
export function loopbackAddress(
  hosts: DevelopmentHosts | undefined,
  url: URL,
  headers: HeaderRecord,
): WireAddress | null {
  // Written out, so that the bundler sees that the rest can never run.
  if (typeof DEVELOPMENT === "undefined" || !DEVELOPMENT) return null;
  const port = hosts?.get(url.hostname);
  if (port === undefined) return null;
  return {
    url: `http://127.0.0.1:${port}${url.pathname}${url.search}`,
    headers: { ...headers, "x-forwarded-host": url.hostname, "x-forwarded-proto": "https" },
  };
}

/**
 * Where a browser finds the page behind a mapped name, which it cannot resolve: at the port itself. Any other address stays
 * as it is, and so does every one in a build that is not for development.
 */
export function browserAddress(hosts: DevelopmentHosts | undefined, address: string): string {
  if (typeof DEVELOPMENT === "undefined" || !DEVELOPMENT) return address;
  return loopbackAddress(hosts, new URL(address), {})?.url ?? address;
}

function readObject(text: string): object {
  let value: unknown = null;
  try {
    value = JSON.parse(text);
  } catch {
    // Handled below: the text is not an object either way.
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new TypeError('DEV_HOSTS must be a JSON object like {"api.skyline.example": 41001}.');
  }
  return value;
}

function checkName(host: string): string {
  const checked = checkUrl(`https://${host}/`, { ownHosts: [] });
  if (!checked.ok || checked.value.hostname !== host)
    throw new TypeError(`DEV_HOSTS: "${host}" is not a DNS name in small letters.`);
  return host;
}

function checkPort(host: string, port: unknown): number {
  if (typeof port !== "number" || !Number.isInteger(port) || port < 1 || port > MAX_PORT) {
    throw new TypeError(`DEV_HOSTS: the port of "${host}" must be a whole number from 1 to ${MAX_PORT}.`);
  }
  return port;
}
