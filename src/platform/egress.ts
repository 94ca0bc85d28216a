/**
 * The only way out. Every request to the outside goes through a function that `createEgress` made.
 *
 * Owns: where a request may go, redirects, time and size limits, which headers go out and which come back.
 * Does not own: retries, credentials, slots for simultaneous calls, what a status means for a step.
 *
 * - E1 nothing is sent to a URL that `checkUrl` refuses; each hop of a redirect is checked anew.
 * - E2 the platform follows no redirect by itself. We follow at most 5, for `safe` requests by GET or HEAD only.
 * - E3 another origin sees no credential: after a hop to one, only headers known to hold none are left, for good. So it is
 *   after a hop to an address to which `carriesTo` lets none go.
 * - E4 at most `maxResponseBytes` of an answer are taken into memory, counted after decompression.
 * - E5 the time limit covers everything, also the body; no timer and no open body is left behind.
 * - E6 `sent` is false only if nothing can have left: it is what decides whether a step may be repeated.
 * - E7 no result holds a path, a query or a header of the request.
 * - E8 where the request has a `permit`, no hop is sent that it refuses.
 * - E9 what is signed is what is sent, and it follows no redirect.
 */
import { type BoundedBody, readBounded } from "./body.ts";
import { startDeadline, type Deadline } from "./deadline.ts";
import { type DevelopmentHosts, loopbackAddress } from "./development.ts";
import { classifyFault } from "./faults.ts";
import {
  checkHeaders,
  headersForOtherOrigin,
  keptHeaders,
  type HeaderRecord,
  type HeaderRefusal,
} from "./headers.ts";
import type { SignedRequest } from "./lease.ts";
import { checkUrl, isHostPattern, type HostRules, type UrlRefusalCode } from "./hosts.ts";
import { describeError } from "./errors.ts";
import { err, ok, type Result } from "./result.ts";
import { parseTraceparent } from "./trace.ts";

export const MAX_REDIRECTS = 5;
/** One output of a step is at most 1 MiB, so a longer answer could not be used. */
export const DEFAULT_MAX_RESPONSE_BYTES = 1_048_576;
export const DEFAULT_TIMEOUT_MS = 60_000;
/** The platform ends an event after 15 minutes of wall time. */
export const MAX_TIMEOUT_MS = 900_000;
const USER_AGENT = "Showcaller/1";

const METHOD = /^[A-Z]{1,16}$/;
/** CONNECT and TRACE are forbidden methods of the Fetch standard. */
const FORBIDDEN_METHODS = new Set(["CONNECT", "TRACE", "TRACK"]);
const REDIRECT_STATUSES = new Set([301, 302, 303, 307, 308]);

export interface EgressRequest {
  /** Absolute https URL. */
  readonly url: string;
  /** In capitals. */
  readonly method: string;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: string | Uint8Array | undefined;
  /** What repeating the request means. Only `safe` ones follow redirects. */
  readonly effect: "safe" | "idempotent" | "keyed" | "once";
  /** Host patterns (`isHostPattern`); if given, no other host is reached, also not by redirect. */
  readonly allowedHosts?: readonly string[] | undefined;
  /** W3C Trace Context, sent on. */
  readonly traceparent?: string | undefined;
  /** Asked of every redirect: whether what the request carries as a credential may go there. Missing: to its own origin. */
  readonly carriesTo?: ((url: URL) => boolean) | undefined;
  /** Headers for exactly this request, once everything else of it is final: nothing that the caller gives replaces them (E9). */
  readonly sign?: ((request: SignedRequest) => Promise<Readonly<Record<string, string>>>) | undefined;
  /** Asked about every hop, also the first, just before it is sent (E8). */
  readonly permit?: Permit | undefined;
  readonly signal?: AbortSignal | undefined;
  /** From the call to the last byte of the body. */
  readonly timeoutMs?: number | undefined;
  readonly maxResponseBytes?: number | undefined;
  /** Names of answer headers to keep besides the usual ones. Cookies and credentials are never kept. */
  readonly keepHeaders?: readonly string[] | undefined;
  /** Called once, just before the first byte may leave. */
  readonly onSend?: (() => void) | undefined;
}

/** One request that is about to leave. */
export interface EgressHop {
  readonly url: URL;
  readonly method: string;
  /** Host of the request that was asked for, where a redirect led here; else null. */
  readonly redirectedFrom: string | null;
}

export interface PermitRefusal {
  /**
   * - `policy_denied`: it may not be sent.
   * - `approval_required`: only after a person's decision, which it does not have.
   * - `policy_unavailable`: whether it may be sent cannot be known just now.
   */
  readonly code: "policy_denied" | "approval_required" | "policy_unavailable";
  readonly message: string;
}

/** Whether a hop may be sent; null: it may. */
export type Permit = (hop: EgressHop) => Promise<PermitRefusal | null>;

export interface EgressAnswer {
  readonly status: number;
  /** Kept headers, names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
}

export type BlockCode =
  | UrlRefusalCode
  | HeaderRefusal["code"]
  | PermitRefusal["code"]
  | "method_invalid"
  | "body_not_allowed";

export type EgressFailureCode =
  /** No connection, or lost before the answer's headers came. */
  | "network"
  | "timeout"
  /** The caller's own signal. */
  | "aborted"
  | "too_large"
  /** The body ended early or could not be decompressed. */
  | "truncated"
  | "too_many_redirects"
  /** A redirect led where the rules of the request do not allow it to go. */
  | "redirect_refused"
  /** What `permit` said to a redirect. */
  | PermitRefusal["code"]
  /** This event may make no more calls; a fresh one may. */
  | "subrequest_limit";

export type EgressResult =
  | ({ readonly kind: "answered"; readonly body: Uint8Array; readonly redirects: number } & EgressAnswer)
  /** Refused by us; nothing was sent. */
  | { readonly kind: "blocked"; readonly code: BlockCode; readonly message: string }
  | {
      readonly kind: "failed";
      readonly code: EgressFailureCode;
      readonly message: string;
      /** Whether a request may have left (E6). */
      readonly sent: boolean;
      /** Status and headers of the answer, if these had come. */
      readonly answer: EgressAnswer | null;
    };

export type Egress = (request: EgressRequest) => Promise<EgressResult>;

export interface EgressConfig {
  /** Host patterns of the names that reach this deployment (also the issuer's, also preview addresses). */
  readonly ownHosts: readonly string[];
  /** From `parseDevelopmentHosts`. Without effect in a build that is not for development. */
  readonly developmentHosts?: DevelopmentHosts | undefined;
}

/** Throws a TypeError if the configuration is not usable. */
export function createEgress(config: EgressConfig): Egress {
  for (const pattern of config.ownHosts) {
    if (!isHostPattern(pattern))
      throw new TypeError(`"${pattern}" is not a host pattern (a DNS name, *.name or *-name).`);
  }
  return async (request) => {
    const first = prepare(request, config);
    if (!first.ok) return { kind: "blocked", ...first.error };
    const deadline = startDeadline(checkedTimeout(request.timeoutMs), request.signal);
    try {
      return await new Exchange(request, config, deadline).run(first.value);
    } finally {
      deadline.stop();
    }
  };
}

/** What one hop sends. */
interface Hop {
  readonly url: URL;
  readonly headers: HeaderRecord;
}

function prepare(
  request: EgressRequest,
  config: EgressConfig,
): Result<Hop, { code: BlockCode; message: string }> {
  if (!METHOD.test(request.method) || FORBIDDEN_METHODS.has(request.method)) {
    return err({
      code: "method_invalid",
      message: "The method is not one that can be sent. Write it in capitals.",
    });
  }
  if (request.body !== undefined && (request.method === "GET" || request.method === "HEAD")) {
    return err({ code: "body_not_allowed", message: `A ${request.method} request cannot carry a body.` });
  }
  const url = checkUrl(request.url, rulesOf(request, config));
  if (!url.ok) return url;
  const headers = checkHeaders(request.headers ?? {});
  if (!headers.ok) return headers;
  headers.value["user-agent"] ??= USER_AGENT;
  if (request.traceparent !== undefined && parseTraceparent(request.traceparent) !== null) {
    headers.value["traceparent"] = request.traceparent;
  }
  return ok({ url: url.value, headers: headers.value });
}

function rulesOf(request: EgressRequest, config: EgressConfig): HostRules {
  return { ownHosts: config.ownHosts, allowedHosts: request.allowedHosts };
}

function checkedTimeout(timeoutMs = DEFAULT_TIMEOUT_MS): number {
  if (!(timeoutMs > 0) || timeoutMs > MAX_TIMEOUT_MS)
    throw new TypeError(`timeoutMs must be from 1 to ${MAX_TIMEOUT_MS}.`);
  return timeoutMs;
}

/** One request with the redirects that follow from it. */
class Exchange {
  readonly #request: EgressRequest;
  readonly #config: EgressConfig;
  readonly #deadline: Deadline;
  #sent = false;

  constructor(request: EgressRequest, config: EgressConfig, deadline: Deadline) {
    this.#request = request;
    this.#config = config;
    this.#deadline = deadline;
  }

  async run(first: Hop): Promise<EgressResult> {
    let hop = first;
    for (let redirects = 0; ; redirects += 1) {
      const refusal = await this.#refusal(hop, first);
      if (refusal !== null) return refusal;
      if (this.#deadline.reason() !== null) return this.#interrupted(hop, null);
      const signed = await this.#signed(hop);
      if ("kind" in signed) return signed;
      const response = await this.#send(signed);
      if (!(response instanceof Response)) return response;
      const location = this.#redirectTarget(response);
      if (location === null) return this.#read(hop, response, redirects);
      await response.body?.cancel();
      const answer = this.#answer(response);
      if (redirects === MAX_REDIRECTS) {
        return this.#failed(
          "too_many_redirects",
          `The service redirected more than ${MAX_REDIRECTS} times.`,
          answer,
        );
      }
      const next = checkUrl(
        URL.parse(location, hop.url.href)?.href ?? "",
        rulesOf(this.#request, this.#config),
      );
      if (!next.ok)
        return this.#failed("redirect_refused", `A redirect was not followed. ${next.error.message}`, answer);
      const carried = (this.#request.carriesTo?.(next.value) ?? true) && next.value.origin === hop.url.origin;
      hop = { url: next.value, headers: carried ? hop.headers : headersForOtherOrigin(hop.headers) };
    }
  }

  /** E8 */
  async #refusal(hop: Hop, first: Hop): Promise<EgressResult | null> {
    const { permit, method } = this.#request;
    if (permit === undefined) return null;
    const redirectedFrom = hop === first ? null : first.url.hostname;
    const refusal = await permit({ url: new URL(hop.url), method, redirectedFrom });
    if (refusal === null) return null;
    const { code, message } = refusal;
    return redirectedFrom === null
      ? { kind: "blocked", code, message }
      : this.#failed(code, `A redirect was not followed. ${message}`, null);
  }

  /** E9 */
  async #signed(hop: Hop): Promise<Hop | EgressResult> {
    const { sign, method, body } = this.#request;
    if (sign === undefined) return hop;
    try {
      const added = checkHeaders(
        await sign({ method, url: hop.url.href, headers: { ...hop.headers }, body }),
      );
      if (added.ok) return { url: hop.url, headers: { ...hop.headers, ...added.value } };
      return { kind: "blocked", ...added.error };
    } catch {
      // What it threw may hold anything (E7).
      return this.#failed("network", `The request to ${hop.url.host} could not be signed.`, null);
    }
  }

  async #send(hop: Hop): Promise<Response | EgressResult> {
    const { method, body } = this.#request;
    const { url, headers } = loopbackAddress(this.#config.developmentHosts, hop.url, hop.headers) ?? hop;
    const outgoing = new Request(url.toString(), {
      method,
      headers,
      body: body ?? null,
      redirect: "manual",
      // A shared cache in front of us must not answer with what another run, or another user, was told.
      cache: "no-store",
      signal: this.#deadline.signal,
    });
    const sentBefore = this.#sent;
    if (!sentBefore) this.#request.onSend?.();
    this.#sent = true;
    try {
      return await fetch(outgoing);
    } catch (error) {
      if (this.#deadline.reason() !== null) return this.#interrupted(hop, null);
      if (classifyFault(error)?.kind === "hop") {
        this.#sent = sentBefore;
        return this.#failed("subrequest_limit", "This event can make no more calls.", null);
      }
      return this.#failed("network", `No answer from ${hop.url.host}: ${shortReason(error)}`, null);
    }
  }

  #redirectTarget(response: Response): string | null {
    const { effect, method, sign } = this.#request;
    if (sign !== undefined || effect !== "safe" || (method !== "GET" && method !== "HEAD")) return null;
    return REDIRECT_STATUSES.has(response.status) ? response.headers.get("location") : null;
  }

  async #read(hop: Hop, response: Response, redirects: number): Promise<EgressResult> {
    const answer = this.#answer(response);
    try {
      const maxBytes = this.#request.maxResponseBytes ?? DEFAULT_MAX_RESPONSE_BYTES;
      const body = await readAnswer(response, maxBytes, this.#deadline.signal);
      if (body.kind === "complete") return { kind: "answered", ...answer, body: body.bytes, redirects };
      return this.#failed(
        "too_large",
        `The answer of ${hop.url.host} is larger than ${maxBytes} bytes.`,
        answer,
      );
    } catch (error) {
      if (this.#deadline.reason() !== null) return this.#interrupted(hop, answer);
      return this.#failed(
        "truncated",
        `The answer of ${hop.url.host} broke off: ${shortReason(error)}`,
        answer,
      );
    }
  }

  #answer(response: Response): EgressAnswer {
    return { status: response.status, headers: keptHeaders(response.headers, this.#request.keepHeaders) };
  }

  #interrupted(hop: Hop, answer: EgressAnswer | null): EgressResult {
    if (this.#deadline.reason() === "aborted")
      return this.#failed("aborted", "The call was given up.", answer);
    return this.#failed("timeout", `${hop.url.host} did not answer in time.`, answer);
  }

  #failed(code: EgressFailureCode, message: string, answer: EgressAnswer | null): EgressResult {
    return { kind: "failed", code, message, sent: this.#sent, answer };
  }
}

/**
 * Most answers say how long they are, and then the platform reads them whole, which is faster than chunk by chunk. What is
 * compressed says how long it is on the wire, and what comes in chunks is as long as they are, whatever length stands beside
 * them (RFC 9112, section 6.3), so these are counted as they come out (E4).
 */
async function readAnswer(response: Response, maxBytes: number, signal: AbortSignal): Promise<BoundedBody> {
  const { body, headers } = response;
  const length = Number(headers.get("content-length") ?? Number.NaN);
  const saysLength =
    length <= maxBytes && !headers.has("content-encoding") && !headers.has("transfer-encoding");
  if (!saysLength) return readBounded(body, maxBytes, signal);
  // The signal of the request ends the reading of its answer too.
  const bytes = new Uint8Array(await response.arrayBuffer());
  return bytes.byteLength <= maxBytes ? { kind: "complete", bytes } : { kind: "too_large" };
}

/** The platform's words, without any URL that it may quote (E7). */
function shortReason(error: unknown): string {
  return describeError(error).message.replace(/\bhttps?:\/\/\S+/g, "the URL");
}
