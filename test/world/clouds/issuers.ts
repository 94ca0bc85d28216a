/**
 * Where the clouds get an issuer's discovery document and keys: under its https name without a port, which the world's table
 * maps to loopback, with that name as Host. Owns the table, the pages that tests publish, and what each service keeps.
 *
 * - I1 only https addresses without port, query or user are fetched, and no redirect is followed;
 * - I2 what a service keeps is as old as its setting says by its own clock; a failed fetch never replaces what is kept;
 * - I3 a JWKS that shows private parts of a key is refused whole.
 */
import { request } from "node:http";
import { createLocalJWKSet, type JSONWebKeySet } from "jose";
import * as oauth from "oauth4webapi";
import { isRecord } from "../fields.ts";
import type { CloudBook } from "./book.ts";
import type { CloudName } from "./names.ts";

const FETCH_TIMEOUT_MS = 5_000;
const MAX_DOCUMENT_BYTES = 1024 * 1024;
/** https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc.html: 100 RSA keys and 100 EC keys. */
const MAX_KEYS_OF_A_KIND = 100;
const PRIVATE_PARTS = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/** The keys of an issuer, as jose takes them. */
export type KeySet = ReturnType<typeof createLocalJWKSet>;

export type KeysAnswer =
  | { readonly ok: true; readonly keys: KeySet; readonly kids: ReadonlySet<string> }
  | { readonly ok: false; readonly reason: "issuer_unreachable" | "issuer_invalid"; readonly detail: string };

interface Kept {
  readonly answer: Extract<KeysAnswer, { ok: true }>;
  readonly at: number;
}

class Unreachable extends Error {}

/** https, with no port, no query and no fragment; a path may stand there, but not end in a slash. */
export function isIssuer(text: string): boolean {
  const url = URL.parse(text);
  return (
    url !== null &&
    url.protocol === "https:" &&
    url.port === "" &&
    url.username === "" &&
    url.search === "" &&
    url.hash === "" &&
    (text === url.origin || (text === url.href && !text.endsWith("/")))
  );
}

export class Issuers {
  readonly #book: CloudBook;
  readonly #names: () => Readonly<Record<string, number>>;
  readonly #ports = new Map<string, number>();
  readonly #pages = new Map<string, { status: number; body: string }>();
  readonly #kept = new Map<string, Kept>();
  readonly #flights = new Map<string, Promise<KeysAnswer>>();
  #fetched: string[] = [];

  /** @param names hosts of the world itself, which may be issuers, too */
  constructor(book: CloudBook, names: () => Readonly<Record<string, number>>) {
    this.#book = book;
    this.#names = names;
  }

  /** The host of an issuer is at this port of loopback. */
  resolve(host: string, port: number): void {
    this.#ports.set(host, port);
  }

  /** A page that is answered without asking anybody: for an issuer that has no port, such as one inside a test. */
  publish(url: string, status: number, body: unknown): void {
    this.#pages.set(url, { status, body: JSON.stringify(body) });
  }

  /** Addresses that were asked for, oldest first. */
  fetched(): readonly string[] {
    return [...this.#fetched];
  }

  /** Services ask again for all keys. */
  forget(): void {
    this.#kept.clear();
    this.#fetched = [];
  }

  /** The keys of an issuer as a service sees them at this moment. */
  async keys(service: CloudName, issuer: string, kid: string | undefined): Promise<KeysAnswer> {
    const { jwksCacheMs, refetchUnknownKid } = this.#book.settings(service);
    const at = this.#book.now(service);
    const place = `${service} ${issuer}`;
    const kept = this.#kept.get(place);
    if (kept !== undefined && Math.abs(at - kept.at) < jwksCacheMs) {
      if (kid === undefined || kept.answer.kids.has(kid) || !refetchUnknownKid) return kept.answer;
    }
    const answer = await this.#fetchOnce(place, issuer);
    if (answer.ok) this.#kept.set(place, { answer, at });
    return answer;
  }

  /** One fetch at a time for each place: many exchanges at once are one visit. */
  #fetchOnce(place: string, issuer: string): Promise<KeysAnswer> {
    const flying = this.#flights.get(place);
    if (flying !== undefined) return flying;
    const flight = this.#fetchKeys(issuer).finally(() => this.#flights.delete(place));
    this.#flights.set(place, flight);
    return flight;
  }

  async #fetchKeys(issuer: string): Promise<KeysAnswer> {
    try {
      if (!isIssuer(issuer)) throw new TypeError(`${issuer} is not an issuer`);
      const url = new URL(issuer);
      const options = { [oauth.customFetch]: (address: string) => this.#fetch(address) };
      const server = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, options));
      checkDiscovery(server, issuer);
      const answer = await this.#fetch(server.jwks_uri);
      if (answer.status !== 200) throw new Unreachable(`${server.jwks_uri} answered ${answer.status}`);
      const jwks = checkJwks(JSON.parse(await answer.text()));
      const kids = new Set(jwks.keys.flatMap(({ kid }) => (kid === undefined ? [] : [kid])));
      return { ok: true, keys: createLocalJWKSet(jwks), kids };
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      const reason = error instanceof Unreachable ? "issuer_unreachable" : "issuer_invalid";
      return { ok: false, reason, detail };
    }
  }

  async #fetch(address: string): Promise<Response> {
    this.#fetched.push(address);
    const page = this.#pages.get(address);
    if (page !== undefined) return responseOf(page.status, page.body);
    const url = new URL(address);
    if (url.protocol !== "https:" || url.port !== "") throw new TypeError(`${address} is no https address`);
    const port = this.#ports.get(url.hostname) ?? this.#names()[url.hostname];
    if (port === undefined) throw new Unreachable(`nobody knows ${url.hostname}`);
    return get(port, url);
  }
}

/** What OpenID Connect Discovery 1.0 section 3 requires, but for an authorization endpoint: nobody logs in here. */
function checkDiscovery(
  server: oauth.AuthorizationServer,
  issuer: string,
): asserts server is oauth.AuthorizationServer & { jwks_uri: string } {
  if (server.issuer !== issuer) throw new TypeError(`the document is of ${server.issuer}`);
  if (typeof server.jwks_uri !== "string") throw new TypeError("jwks_uri is missing");
  const algorithms = server["id_token_signing_alg_values_supported"];
  if (!Array.isArray(algorithms) || !algorithms.includes("RS256")) throw new TypeError("RS256 is missing");
  for (const name of ["response_types_supported", "subject_types_supported"])
    if (!Array.isArray(server[name])) throw new TypeError(`${name} is missing`);
}

function checkJwks(body: unknown): JSONWebKeySet {
  const keys = isRecord(body) ? body["keys"] : undefined;
  if (!Array.isArray(keys) || keys.length === 0) throw new TypeError("the JWKS has no keys");
  for (const kind of ["RSA", "EC"]) {
    const count = keys.filter((key) => isRecord(key) && key["kty"] === kind).length;
    if (count > MAX_KEYS_OF_A_KIND) throw new TypeError(`the JWKS has ${count} keys of ${kind}`);
  }
  for (const key of keys) {
    const shown = isRecord(key) ? PRIVATE_PARTS.filter((part) => Object.hasOwn(key, part)) : ["?"];
    if (shown.length > 0) throw new TypeError(`a key of the JWKS shows ${shown.join(", ")}`);
  }
  // Each key is an object; what is in it jose checks when it is used.
  return body as JSONWebKeySet;
}

function get(port: number, url: URL): Promise<Response> {
  return new Promise((resolve, reject) => {
    const asked = request(
      {
        host: "127.0.0.1",
        port,
        path: url.pathname + url.search,
        headers: { host: url.hostname, accept: "application/json" },
        timeout: FETCH_TIMEOUT_MS,
        agent: false,
      },
      (answer) => {
        const chunks: Buffer[] = [];
        let size = 0;
        answer.on("data", (chunk: Buffer) => {
          size += chunk.length;
          if (size > MAX_DOCUMENT_BYTES) asked.destroy(new Unreachable(`${url.href} is too long`));
          else chunks.push(chunk);
        });
        answer.on("end", () => {
          const status = answer.statusCode ?? 0;
          if (status >= 500 || status === 404) reject(new Unreachable(`${url.href} answered ${status}`));
          else resolve(responseOf(status, Buffer.concat(chunks).toString(), answer.headers["content-type"]));
        });
      },
    );
    asked.on("timeout", () => asked.destroy(new Unreachable(`${url.href} did not answer in time`)));
    asked.on("error", (error) => reject(new Unreachable(error.message)));
    asked.end();
  });
}

function responseOf(status: number, body: string, type = "application/json"): Response {
  return new Response(body, { status, headers: { "content-type": type } });
}
