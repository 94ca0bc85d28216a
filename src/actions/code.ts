/**
 * The action `code`: a function of this build, found by workflow, version, step and role when an attempt starts.
 *
 * Owns: what the function is given, how its end is judged, that nothing lent to it comes back out.
 * Does not own: which function it is (`CodePort`), when it is tried again (kernel).
 */

import { limits, unitName, type FailureCode, type FailureSeed } from "../kernel/index.ts";
import { createRedactor, describeError, EgressError, type LogFields } from "../platform/index.ts";
import { Fatal, Grown, Refused, RetryAfter } from "./code-errors.ts";
import { toMs, type Duration } from "./durations.ts";
import { expectOk, BadAnswer, Trail } from "./expect-ok.ts";
import { failure } from "./failures.ts";
import type { HeldCredentials } from "./held-credentials.ts";
import { redacted } from "./http.ts";
import { toJson } from "./json.ts";
import type { CloudRef } from "./lease.ts";
import {
  ConnectionLacking,
  CredentialRefused,
  lentBy,
  LendingFetch,
  type CodeFetch,
} from "./lending-fetch.ts";
import { isPermitRefusal, notPermitted, permitFailure } from "./permit.ts";
import type { ActionCall, ActionResult, StepFunction, Surroundings } from "./ports.ts";
import { viewOf, type ScopeView } from "./view.ts";

/** What a function gets beside its scope. */
export interface CodeTools {
  /** From 1, over all iterations and redrives. */
  readonly attempt: number;
  /** Aborted when the engine no longer waits for this attempt. */
  readonly signal: AbortSignal;
  /**
   * Standard `fetch` through the engine's egress: https to public hosts, answers of at most 1 MiB. `auth` names a
   * service token, a `connection(...)`, or a `cloud(...)` role; each is sent to its own hosts only. Once it was called, the step
   * may have happened. A connection that is not there, or that the service refuses, makes it throw; let that through, and the step
   * waits for the connection.
   */
  readonly fetch: CodeFetch;
  /**
   * The credential of a `cloud(...)` role itself, for a library of the service. No other host is kept from it, and no policy sees
   * what the library sends, so a policy may refuse it. From here on the step may have happened. Its values are taken out
   * of whatever the step returns, throws and logs.
   */
  readonly credentials: (role: CloudRef) => Promise<HeldCredentials>;
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

export async function performCode(call: ActionCall, surroundings: Surroundings): Promise<ActionResult> {
  const step = surroundings.code.step(call);
  if (step === null) return { kind: "cannot", failure: missing(call) };
  const lent: string[] = [];
  const trail = new Trail();
  const fetcher = new LendingFetch(call, surroundings, lent, trail);
  const tools: CodeTools = {
    attempt: call.attempt,
    signal: call.signal,
    fetch: (input, init) => fetcher.fetch(input, init),
    credentials: (role) => fetcher.credentials(role),
    expectOk: (answer, also = []) => expectOk(answer, also, call, surroundings.now(), trail),
    log: (message, fields = {}) =>
      surroundings.log.info("step_log", {
        ...createRedactor(lent).json({ message, fields }).value,
        tenant: call.run.tenant,
        run: call.run.id,
        unit: unitName(call.unit),
        attempt: call.attempt,
      }),
  };
  const result = await perform(step, contextOf(tools, call), call, surroundings, { fetcher, trail, lent });
  const { bound, ledger } = fetcher;
  return {
    ...redacted(result, createRedactor(lent)),
    ...(bound.length === 0 ? {} : { bound }),
    ...ledger.told,
  };
}

/** The scope's properties stay getters: a value is loaded only if the function reads it. */
function contextOf(tools: CodeTools, call: ActionCall): CodeTools & ScopeView {
  const { role } = call.unit;
  const ownKey = role !== undefined && call.key !== null ? { key: call.key } : {};
  return Object.assign(viewOf(call.scope, role), tools, ownKey);
}

interface Performing {
  readonly fetcher: LendingFetch;
  readonly trail: Trail;
  readonly lent: readonly string[];
}

async function perform(
  step: StepFunction,
  context: CodeTools & ScopeView,
  call: ActionCall,
  surroundings: Surroundings,
  { fetcher, trail, lent }: Performing,
): Promise<ActionResult> {
  let returned: unknown;
  try {
    // The builder has checked the function against its scope; here only the fact is left that it takes one argument.
    returned = await (step as (context: CodeTools & ScopeView) => unknown)(context);
  } catch (error) {
    surroundings.log.warn("step_threw", {
      error: createRedactor(lent).json({ ...describeError(error) }).value,
      tenant: call.run.tenant,
      run: call.run.id,
      unit: unitName(call.unit),
      attempt: call.attempt,
    });
    return judgeThrow(error, fetcher.sent(), call, trail);
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
function judgeThrow(error: unknown, sent: boolean, call: ActionCall, trail: Trail): ActionResult {
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
  if (error instanceof ConnectionLacking) return lacking(error, call, trail);
  if (error instanceof CredentialRefused && !sent) return { kind: "cannot", failure: error.failure };
  if (error instanceof EgressError && !sent) {
    if (error.code === "subrequest_limit") return { kind: "hop" };
    if (isPermitRefusal(error.code)) return notPermitted({ code: error.code, message: error.message });
    if (!PASSING.has(error.code)) return { kind: "cannot", failure: blocked(error) };
  }
  return { kind: sent ? "unclear" : "refused", failure: thrown(error, true) };
}

/** The request that was refused did nothing; what was sent before it in the attempt may have done something. */
function lacking({ need, own }: ConnectionLacking, call: ActionCall, trail: Trail): ActionResult {
  if (call.effect === "safe" || trail.changes - own <= 0) return { kind: "needs", need };
  if (call.effect !== "once") return { kind: "needs", need, maybe: true };
  const message = `${lentBy(need)} could not be used any more: ${need.reason}.`;
  const hint =
    "Look at what the step has done, then resolve it. What a `once` step declares in `connections` is there first.";
  const code = need.kind === "cloud" ? "cloud_unavailable" : "connection_required";
  return { kind: "unclear", failure: failure(code, message, hint) };
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
