/** The action `http`: one request to the outside, judged by the effects table. */

import { limits, type Effect, type FailureSeed, type Json } from "../kernel/index.ts";
import {
  createRedactor,
  MAX_TIMEOUT_MS,
  type EgressAnswer,
  type EgressRequest,
  type EgressResult,
  type Permit,
  type Redactor,
} from "../platform/index.ts";
import { authorize, carriedBy, type Authorization } from "./authorization.ts";
import { consequent, saidBy, withoutExtra } from "./consequences.ts";
import { failure, httpFailure } from "./failures.ts";
import { addressOf } from "./http-address.ts";
import { readBody, saidIn } from "./http-answer.ts";
import { readPages } from "./http-pages.ts";
import { checkHttp, type HttpParameters, type Method, type Paginate } from "./http-schema.ts";
import { meaningOf, SUCCESS, VERIFY_SUCCESS } from "./http-status.ts";
import { explain } from "./issues.ts";
import { ledgerOf } from "./lease.ts";
import { isPermitRefusal, notPermitted, permitFailure, permitOf } from "./permit.ts";
import type { ActionCall, ActionResult, Surroundings } from "./ports.ts";
import { retryAfterMs } from "./retry-after.ts";
import { traceparentOf } from "./trace.ts";

const IDEMPOTENCY_HEADER = "idempotency-key";
const NOTHING = new Uint8Array();

/** RFC 9110, section 9.2: what a method promises. */
export function effectOfMethod(method: Method): Effect {
  switch (method) {
    case "GET":
    case "HEAD":
    case "OPTIONS":
      return "safe";
    case "PUT":
    case "DELETE":
      return "idempotent";
    case "POST":
    case "PATCH":
      return "once";
  }
}

export async function performHttp(call: ActionCall, surroundings: Surroundings): Promise<ActionResult> {
  const checked = checkHttp(call.with);
  if (!checked.ok) {
    const message = `The parameters of the request do not fit: ${explain(checked.error)}`;
    return cannot(failure("template_failed", message, "Correct the step's `http` and start another run."));
  }
  const { parameters } = checked;
  const url = addressOf(parameters);
  const { auth, method } = parameters;
  const permit = permitOf(call, surroundings, carriedBy(auth));
  const target = auth === undefined ? null : URL.parse(url);
  // Egress asks as well, of every hop. Here it counts that nothing is lent for what is not sent.
  const refusal = target === null ? null : await permit({ url: target, method, redirectedFrom: null });
  if (refusal !== null) return { ...notPermitted(refusal), ...ledgerOf(call.lease).told };
  const authorized = await authorize(auth, url, call, surroundings);
  if (!authorized.ok) return authorized.end;
  const { authorization } = authorized;
  const ask = async (at: string, asked: HttpParameters): Promise<ActionResult> =>
    exchange(asked, at, { call, permit, surroundings, authorization });
  const judged = await (parameters.paginate === undefined
    ? ask(url, parameters)
    : askPages(parameters, parameters.paginate, url, ask));
  const kept = judged.kind === "success" ? checkAnswer(judged, call, surroundings) : judged;
  return { ...redacted(kept, createRedactor(authorization.secrets)), ...authorization.told };
}

interface Asking {
  readonly call: ActionCall;
  readonly permit: Permit;
  readonly surroundings: Surroundings;
  readonly authorization: Authorization;
}

/** One request and what its answer means; sent again at most once, with another token. */
async function exchange(
  asked: HttpParameters,
  url: string,
  { call, permit, surroundings, authorization }: Asking,
): Promise<ActionResult> {
  for (;;) {
    // Another token may be for fewer hosts than the one before it.
    const refusal = authorization.refusalFor(url);
    if (refusal !== null) return cannot(refusal);
    const { headers, keepHeaders, carriesTo, carried, sign } = authorization.dress(url, (defaults) =>
      headersOf(asked, call, defaults),
    );
    const request = requestOf(asked, url, headers, call, permit);
    const keep = [...(request.keepHeaders ?? []), ...keepHeaders];
    const onSend = (): void => {
      authorization.sentTo(hostOf(url));
      call.sent();
    };
    const result = await surroundings.egress({ ...request, keepHeaders: keep, carriesTo, sign, onSend });
    const said = carried() ? saidBy(result) : null;
    const consequence = said === null ? null : await authorization.consequence(said, hostOf(url));
    if (consequence?.kind === "again") continue;
    const judged = judge(withoutExtra(result, request.keepHeaders, keepHeaders), {
      parameters: asked,
      url,
      call,
      now: surroundings.now(),
    });
    if (said === null || consequence === null) return judged;
    return consequent(consequence, said, judged, { host: hostOf(url), now: surroundings.now() });
  }
}

/** The header that names the next page is read, whatever the step keeps. */
async function askPages(
  parameters: HttpParameters,
  paginate: Paginate,
  first: string,
  ask: (url: string, asked: HttpParameters) => Promise<ActionResult>,
): Promise<ActionResult> {
  const { keep } = parameters;
  const wide =
    keep?.headers === undefined
      ? parameters
      : { ...parameters, keep: { ...keep, headers: [...keep.headers, "link"] } };
  const read = await readPages(paginate, first, (url) => ask(url, wide));
  if (read.kind !== "success") return read;
  const output = read.output as { readonly headers: Readonly<Record<string, string>> };
  return { ...read, output: { ...output, headers: selected(output.headers, keep?.headers) } };
}

interface Exchange {
  readonly parameters: HttpParameters;
  readonly url: string;
  readonly call: ActionCall;
  readonly now: number;
}

function judge(result: EgressResult, exchange: Exchange): ActionResult {
  switch (result.kind) {
    case "blocked":
      if (isPermitRefusal(result.code)) return notPermitted({ code: result.code, message: result.message });
      return cannot(
        failure(
          "egress_blocked",
          `Nothing was sent: ${result.message}`,
          "Call an https address of a public host that this deployment and its policy allow.",
        ),
      );
    case "answered":
      return judgeAnswer(result, result.body, null, exchange);
    case "failed":
      return judgeFailed(result, exchange);
  }
}

function judgeFailed(result: Extract<EgressResult, { kind: "failed" }>, exchange: Exchange): ActionResult {
  if (!result.sent) {
    if (result.code === "subrequest_limit") return { kind: "hop" };
    const hint = "Nothing happened; the engine tries again.";
    return { kind: "refused", failure: failure("not_sent", result.message, hint, { retryable: true }) };
  }
  const { answer } = result;
  switch (result.code) {
    case "too_large":
    case "truncated": {
      const broken =
        result.code === "too_large"
          ? failure(
              "output_too_large",
              result.message,
              'Ask for less (a page, fewer fields), or keep no body: `keep: { body: "none" }`.',
            )
          : failure("output_invalid", result.message, "Look at the service: its answer was cut off.");
      return answer === null
        ? { kind: "unclear", failure: broken }
        : judgeAnswer(answer, NOTHING, broken, exchange);
    }
    case "policy_denied":
    case "approval_required":
      // Of a redirect, so of a request that only reads: nothing happened.
      return notPermitted({ code: result.code, message: result.message });
    case "policy_unavailable":
      return {
        kind: "unclear",
        failure: permitFailure({ code: result.code, message: result.message }),
      };
    case "too_many_redirects":
    case "redirect_refused":
      return cannot(
        answer === null
          ? failure("egress_blocked", result.message, "Call the address that the service points to.")
          : httpFailure(answer.status, hostOf(exchange.url), result.message, false),
      );
    case "timeout":
    case "aborted":
      // A refusal whose body hung has been told all the same; a success that never came whole has not.
      if (answer !== null && meaningOf(answer.status, contextOf(exchange)) !== "success")
        return judgeAnswer(answer, NOTHING, null, exchange);
      return {
        kind: "unclear",
        failure: failure(
          "timeout",
          result.message,
          "Raise the step's timeout, or look at why the service is slow.",
          { retryable: true },
        ),
      };
    case "network":
    case "subrequest_limit":
      return {
        kind: "unclear",
        failure: failure("network", result.message, "Look at the service and the way to it.", {
          retryable: true,
        }),
      };
  }
}

function contextOf({ parameters, call }: Exchange): Parameters<typeof meaningOf>[1] {
  return {
    method: parameters.method,
    keyed: call.key !== null,
    maybe: call.maybe,
    success: parameters.success ?? (call.unit.role === "verify" ? VERIFY_SUCCESS : SUCCESS),
    refused: parameters.refused ?? [],
  };
}

/** @param broken why the body could not be taken, or null */
function judgeAnswer(
  answer: EgressAnswer,
  bytes: Uint8Array,
  broken: FailureSeed | null,
  exchange: Exchange,
): ActionResult {
  const { status, headers } = answer;
  const type = headers["content-type"];
  const meaning = meaningOf(status, contextOf(exchange));
  if (meaning === "success" || meaning === "gone") {
    if (broken !== null) return { kind: "unusable", failure: broken };
    const { keep } = exchange.parameters;
    const absent = meaning === "gone" || (exchange.call.unit.role === "verify" && status >= 400);
    const read = readBody(bytes, type, absent ? "none" : (keep?.body ?? "auto"));
    if (read.ok)
      return {
        kind: "success",
        output: { status, headers: selected(headers, keep?.headers), body: read.body },
      };
    const message = `${hostOf(exchange.url)} answered ${status} with ${read.message}.`;
    const hint = "Look at the service, or say in `keep.body` which form its answers have.";
    return { kind: "unusable", failure: failure("output_invalid", message, hint, { status }) };
  }
  const seed = httpFailure(status, hostOf(exchange.url), saidIn(bytes, type), meaning !== "cannot");
  if (meaning === "cannot") return cannot(seed);
  const wait = retryAfterMs(headers, exchange.now);
  return { kind: meaning, failure: seed, ...(wait === null ? {} : { retryAfterMs: wait }) };
}

/** A TypeScript step may declare what the body of its answers looks like. */
function checkAnswer(
  result: Extract<ActionResult, { kind: "success" }>,
  call: ActionCall,
  surroundings: Surroundings,
): ActionResult {
  const check = surroundings.code.answer(call);
  const output = result.output as { readonly status: number; readonly body: Json };
  if (check === null || (call.unit.role === "verify" && output.status >= 400)) return result;
  const checked = check(output.body);
  if (checked.ok) return { ...result, output: { ...output, body: checked.body } };
  return {
    kind: "unusable",
    failure: failure(
      "output_invalid",
      `The answer is not what the step declares: ${checked.message}`,
      "Correct the step's `answer`, or look at the service.",
      { status: output.status },
    ),
  };
}

function hostOf(url: string): string {
  return URL.parse(url)?.hostname ?? "the address";
}

function headersOf(
  parameters: HttpParameters,
  call: ActionCall,
  defaults: Readonly<Record<string, string>>,
): Record<string, string> {
  const headers: Record<string, string> = { accept: "application/json, */*;q=0.5", ...defaults };
  const { json, form, text } = parameters;
  if (json !== undefined) headers["content-type"] = "application/json";
  else if (form !== undefined) headers["content-type"] = "application/x-www-form-urlencoded";
  else if (text !== undefined) headers["content-type"] = "text/plain;charset=UTF-8";
  for (const [name, value] of Object.entries(parameters.headers ?? {})) headers[name.toLowerCase()] = value;
  if (call.key !== null)
    headers[(parameters.idempotencyHeader ?? IDEMPOTENCY_HEADER).toLowerCase()] = call.key;
  return headers;
}

function bodyOf({ json, form, text }: HttpParameters): string | undefined {
  if (json !== undefined) return JSON.stringify(json);
  if (form === undefined) return text;
  const pairs = Object.entries(form).flatMap(([name, value]) =>
    value === null ? [] : [[name, String(value)]],
  );
  return new URLSearchParams(pairs).toString();
}

function requestOf(
  parameters: HttpParameters,
  url: string,
  headers: Record<string, string>,
  call: ActionCall,
  permit: Permit,
): EgressRequest {
  return {
    url,
    method: parameters.method,
    headers,
    body: bodyOf(parameters),
    effect: call.effect,
    permit,
    traceparent: traceparentOf(call),
    signal: call.signal,
    timeoutMs: egressTimeoutMs(call),
    keepHeaders: parameters.keep?.headers,
    onSend: call.sent,
  };
}

/** A `once` attempt is listened to beyond its timeout: its late answer may still settle the step. */
export function egressTimeoutMs(call: Pick<ActionCall, "effect" | "timeoutMs">): number {
  return call.effect === "once" ? MAX_TIMEOUT_MS : Math.min(call.timeoutMs, limits.MAX_STEP_TIMEOUT_MS);
}

function selected(
  headers: Readonly<Record<string, string>>,
  names: readonly string[] | undefined,
): Readonly<Record<string, string>> {
  if (names === undefined) return headers;
  const wanted = new Set(names.map((name) => name.toLowerCase()));
  return Object.fromEntries(Object.entries(headers).filter(([name]) => wanted.has(name)));
}

function cannot(seed: FailureSeed): ActionResult {
  return { kind: "cannot", failure: seed };
}

/** Takes what was lent to the attempt out of all that it brings back (K12). */
export function redacted(result: ActionResult, redactor: Redactor): ActionResult {
  if (result.kind === "hop" || result.kind === "child") return result;
  if (result.kind === "needs") return { ...result, need: redactor.json(result.need).value };
  if (result.kind === "success") {
    const { output, more } = result;
    return { ...result, ...redactor.json(more === undefined ? { output } : { output, more }).value };
  }
  return { ...result, failure: redactor.json(result.failure).value };
}
