/**
 * The action `code`: a function of this build, found by workflow, version, step and role when an attempt starts.
 *
 * Owns: what the function is given, how its end is judged, that nothing lent to it comes back out.
 * Does not own: which function it is (`CodePort`), when it is tried again (kernel).
 */

import { limits, unitName, type FailureCode, type FailureSeed } from "../kernel/index.ts";
import {
  createRedactor,
  createStepFetch,
  describeError,
  EgressError,
  type Egress,
  type LogFields,
  type StepFetch,
} from "../platform/index.ts";
import { Fatal, Grown, Refused, RetryAfter } from "./code-errors.ts";
import { toMs, type Duration } from "./durations.ts";
import { expectOk, BadAnswer, isReading, Trail } from "./expect-ok.ts";
import { failure } from "./failures.ts";
import { egressTimeoutMs, redacted } from "./http.ts";
import { toJson } from "./json.ts";
import { isPermitRefusal, notPermitted, permitFailure, permitOf } from "./permit.ts";
import type { ActionCall, ActionResult, CredentialRef, StepFunction, Surroundings } from "./ports.ts";
import { traceparentOf } from "./trace.ts";
import { viewOf, type ScopeView } from "./view.ts";

/** `fetch` of a step: the standard one through egress, with credentials by reference. */
export type CodeFetch = (
  input: RequestInfo | URL,
  init?: RequestInit & { readonly auth?: CredentialRef },
) => Promise<Response>;

/** What a function gets beside its scope. */
export interface CodeTools {
  /** From 1, over all iterations and redrives. */
  readonly attempt: number;
  /** Aborted when the engine no longer waits for this attempt. */
  readonly signal: AbortSignal;
  /**
   * Standard `fetch` through the engine's egress: https to public hosts, answers of at most 1 MiB. `auth` names a
   * service token; it is sent to its own hosts only. Once it was called, the step may have happened.
   */
  readonly fetch: CodeFetch;
  /**
   * The answer, if its status is a success (or among `also`). Else it throws what the status means, as for an `http` step:
   * 429 is tried again after Retry-After, 422 is not tried again, 500 is left to the step's effect.
   */
  readonly expectOk: (answer: Response, also?: readonly number[]) => Promise<Response>;
  /** A line in the deployment's log. */
  readonly log: (message: string, fields?: LogFields) => void;
}

/** Failures of egress that another time may not meet; the others are refusals of the request as it is. */
const PASSING: ReadonlySet<string> = new Set([
  "network",
  "timeout",
  "aborted",
  "truncated",
  "subrequest_limit",
]);

/** What `fetch` throws where `auth` names no token that this request may have. */
class CredentialRefused extends Error {
  override readonly name = "CredentialRefused";
  readonly failure: FailureSeed;

  constructor(failure: FailureSeed) {
    super(failure.message);
    this.failure = failure;
  }
}

export async function performCode(call: ActionCall, surroundings: Surroundings): Promise<ActionResult> {
  const step = surroundings.code.step(call);
  if (step === null) return { kind: "cannot", failure: missing(call) };
  const lent: string[] = [];
  const trail = new Trail();
  const fetcher = stepFetchOf(call, surroundings, trail);
  const tools: CodeTools = {
    attempt: call.attempt,
    signal: call.signal,
    fetch: lendingFetch(fetcher, call, surroundings, lent, trail),
    expectOk: (answer, also = []) => expectOk(answer, also, call, surroundings.now(), trail),
    log: (message, fields = {}) =>
      surroundings.log.info("step_log", {
        ...createRedactor(lent).json({ message, fields }).value,
        run: call.run.id,
        unit: unitName(call.unit),
        attempt: call.attempt,
      }),
  };
  const result = await perform(step, contextOf(tools, call), call, surroundings, fetcher, lent);
  return redacted(result, createRedactor(lent));
}

/** The scope's properties stay getters: a value is loaded only if the function reads it. */
function contextOf(tools: CodeTools, call: ActionCall): CodeTools & ScopeView {
  const { role } = call.unit;
  const ownKey = role !== undefined && call.key !== null ? { key: call.key } : {};
  return Object.assign(viewOf(call.scope, role), tools, ownKey);
}

async function perform(
  step: StepFunction,
  context: CodeTools & ScopeView,
  call: ActionCall,
  surroundings: Surroundings,
  fetcher: StepFetch,
  lent: readonly string[],
): Promise<ActionResult> {
  let returned: unknown;
  try {
    // The builder has checked the function against its scope; here only the fact is left that it takes one argument.
    returned = await (step as (context: CodeTools & ScopeView) => unknown)(context);
  } catch (error) {
    surroundings.log.warn("step_threw", {
      error: createRedactor(lent).json({ ...describeError(error) }).value,
      run: call.run.id,
      unit: unitName(call.unit),
      attempt: call.attempt,
    });
    return judgeThrow(error, fetcher);
  }
  const grown = returned instanceof Grown ? returned : null;
  const output = toJson(grown === null ? returned : grown.output);
  if (!output.ok) {
    const hint = "Return plain JSON: texts, numbers, booleans, null, lists and plain objects.";
    return {
      kind: "unusable",
      failure: failure("output_invalid", `What the step returned cannot be kept: ${output.message}`, hint),
    };
  }
  if (grown === null) return { kind: "success", output: output.value };
  // Before they are compiled: what is left of a step without the secret in it may not be a step.
  const more = surroundings.code.growth(createRedactor(lent).json(grown.steps).value, call);
  if (more.ok) return { kind: "success", output: output.value, more: more.steps };
  return {
    kind: "unusable",
    failure: failure(
      "growth_refused",
      `The step returned more steps, and they were refused: ${more.message}`,
      "Return steps as in a JSON plan, with new names whose needs exist.",
    ),
  };
}

/** `Fatal`, `Refused` and `RetryAfter` say what they mean; of anything else it counts whether something was sent. */
function judgeThrow(error: unknown, fetcher: StepFetch): ActionResult {
  const sent = fetcher.sent();
  if (error instanceof Fatal) return { kind: "cannot", failure: thrown(error, false) };
  if (error instanceof Refused)
    return { kind: "refused", failure: thrown(error, true), ...waitOf(error.retryAfter) };
  if (error instanceof RetryAfter)
    return {
      kind: sent ? "unclear" : "refused",
      failure: thrown(error, true),
      ...waitOf(error.retryAfter),
    };
  if (error instanceof BadAnswer) return error.end;
  if (error instanceof CredentialRefused && !sent) return { kind: "cannot", failure: error.failure };
  if (error instanceof EgressError && !sent) {
    if (error.code === "subrequest_limit") return { kind: "hop" };
    if (isPermitRefusal(error.code)) return notPermitted({ code: error.code, message: error.message });
    if (!PASSING.has(error.code)) return { kind: "cannot", failure: blocked(error) };
  }
  return { kind: sent ? "unclear" : "refused", failure: thrown(error, true) };
}

function thrown(error: unknown, retryable: boolean): FailureSeed {
  const { name, message } = describeError(error);
  if (error instanceof Fatal || error instanceof Refused || error instanceof RetryAfter)
    return failure("step_failed", message, error.hint ?? "The step itself said so: its message says why.", {
      retryable,
      ...(error.reason === undefined ? {} : { reason: error.reason }),
    });
  if (error instanceof CredentialRefused) return error.failure;
  if (error instanceof EgressError && isPermitRefusal(error.code))
    return permitFailure({ code: error.code, message: error.message });
  if (error instanceof EgressError)
    return failure(codeOf(error), message, "Look at the service and the way to it.", {
      retryable,
      ...(error.status === null ? {} : { status: error.status }),
    });
  const hint =
    "Look at the step's function; its log has the stack. Throw `Fatal` for what no retry can mend.";
  return failure("step_threw", `The step's function threw ${name}: ${message}`, hint, { retryable });
}

function codeOf(error: EgressError): FailureCode {
  switch (error.code) {
    case "timeout":
    case "aborted":
      return "timeout";
    case "too_large":
      return "output_too_large";
    case "truncated":
      return "output_invalid";
    default:
      return PASSING.has(error.code) ? "network" : "egress_blocked";
  }
}

function blocked(error: EgressError): FailureSeed {
  return failure(
    "egress_blocked",
    `Nothing was sent: ${error.message}`,
    "Call an https address of a public host that this deployment and its policy allow.",
  );
}

function missing(call: ActionCall): FailureSeed {
  const { workflow, version } = call.run;
  return failure(
    "step_code_missing",
    `This build has no function for ${unitName(call.unit)} of ${workflow}, version ${version}.`,
    "Deploy a build that registers this version of the workflow, then redrive the run.",
  );
}

function waitOf(retryAfter: Duration | undefined): { retryAfterMs?: number } {
  const ms = retryAfter === undefined ? Number.NaN : toMs(retryAfter);
  return ms > 0 ? { retryAfterMs: Math.min(Math.ceil(ms), limits.MAX_WAIT_MS) } : {};
}

function stepFetchOf(call: ActionCall, surroundings: Surroundings, trail: Trail): StepFetch {
  const egress: Egress = (request) =>
    surroundings.egress({
      ...request,
      traceparent: traceparentOf(call),
      onSend: () => {
        request.onSend?.();
        if (!isReading(request.method)) trail.changes += 1;
        call.sent();
      },
    });
  return createStepFetch(egress, {
    effect: call.effect,
    permit: permitOf(call, surroundings),
    signal: call.signal,
    timeoutMs: egressTimeoutMs(call),
  });
}

/** Resolves `auth` for the one host of the request, notes what was lent, and sends. */
function lendingFetch(
  fetcher: StepFetch,
  call: ActionCall,
  surroundings: Surroundings,
  lent: string[],
  trail: Trail,
): CodeFetch {
  const permit = permitOf(call, surroundings);
  return async (input, init) => {
    const { auth, ...rest } = init ?? {};
    const request = new Request(input, rest);
    const url = new URL(request.url);
    if (auth !== undefined) {
      // Egress asks as well, of every hop. Here it counts that nothing is lent for what is not sent.
      const refusal = await permit({ url, method: request.method, redirectedFrom: null });
      if (refusal !== null) throw new EgressError(refusal.code, refusal.message);
      const credential = await surroundings.credential(auth, url.hostname, call);
      if (!credential.ok) throw new CredentialRefused(credential.failure);
      lent.push(...credential.secrets);
      request.headers.set(credential.header, credential.value);
    }
    const answer = await fetcher.fetch(request);
    trail.asked.set(answer, { host: url.hostname, method: request.method });
    return answer;
  };
}
