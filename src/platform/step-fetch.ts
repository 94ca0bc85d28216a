/**
 * `fetch` for TypeScript steps: the standard shape, the rules of egress.ts, and a record of whether anything was sent.
 * A step's throw is judged by that record: nothing sent, nothing happened.
 */
import { readBounded } from "./body.ts";
import type { BlockCode, Egress, EgressFailureCode, EgressRequest } from "./egress.ts";

/** A request is built in memory, so it needs a limit like an answer. */
export const MAX_REQUEST_BYTES = 8_388_608;
/** The Fetch standard allows no body with these. */
const NULL_BODY_STATUSES = new Set([204, 205, 304]);

/** What a step's `fetch` throws. A caller can switch on `code`. */
export class EgressError extends Error {
  override readonly name = "EgressError";
  readonly code: BlockCode | EgressFailureCode | "request_too_large";
  /** Status of the answer, if one came. */
  readonly status: number | null;

  constructor(code: EgressError["code"], message: string, status: number | null = null) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

export type StepFetchOptions = Omit<EgressRequest, "url" | "method" | "headers" | "body" | "onSend">;

export interface StepFetch {
  /**
   * Standard `fetch`, but: https only; redirects are followed for `safe` steps by GET or HEAD alone; the answer's headers
   * are those that egress keeps; the body is in memory and at most `maxResponseBytes` long.
   * Throws EgressError where a request was blocked or failed, TypeError for a request that cannot be built.
   */
  readonly fetch: (input: RequestInfo | URL, init?: RequestInit) => Promise<Response>;
  /** Whether any request may have left so far. */
  sent(): boolean;
}

export function createStepFetch(egress: Egress, options: StepFetchOptions): StepFetch {
  let mayHaveLeft = 0;
  const fetch: StepFetch["fetch"] = async (input, init) => {
    const request = new Request(input, init);
    const body = await readRequestBody(request);
    const result = await egress({
      ...options,
      url: request.url,
      method: request.method,
      headers: Object.fromEntries(request.headers),
      body,
      // A caller that asks for `manual` wants to see the redirect itself.
      effect: request.redirect === "manual" ? withoutRedirects(options.effect) : options.effect,
      signal: joined(options.signal, init?.signal ?? (input instanceof Request ? input.signal : undefined)),
      onSend: () => {
        mayHaveLeft += 1;
      },
    });
    if (result.kind === "answered") {
      const { status, headers } = result;
      return new Response(NULL_BODY_STATUSES.has(status) ? null : result.body, { status, headers });
    }
    if (result.kind === "blocked") throw new EgressError(result.code, result.message);
    // `onSend` was called, but the platform refused the call: it did not leave after all.
    if (!result.sent && result.code === "subrequest_limit") mayHaveLeft -= 1;
    throw new EgressError(result.code, result.message, result.answer?.status ?? null);
  };
  return { fetch, sent: () => mayHaveLeft > 0 };
}

async function readRequestBody(request: Request): Promise<Uint8Array | undefined> {
  if (request.body === null) return undefined;
  const body = await readBounded(request.body, MAX_REQUEST_BYTES);
  if (body.kind === "too_large") {
    throw new EgressError("request_too_large", `A request body can be at most ${MAX_REQUEST_BYTES} bytes.`);
  }
  return body.bytes;
}

/** Any effect but `safe` follows no redirect; which of them makes no difference to egress. */
function withoutRedirects(effect: EgressRequest["effect"]): EgressRequest["effect"] {
  return effect === "safe" ? "idempotent" : effect;
}

function joined(a: AbortSignal | undefined, b: AbortSignal | null | undefined): AbortSignal | undefined {
  if (a === undefined || b === undefined || b === null) return a ?? b ?? undefined;
  return AbortSignal.any([a, b]);
}
