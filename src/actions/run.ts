/**
 * The action `run`: a run of its own for a part of the work. Its first attempt starts the child; the unit then waits, and
 * later attempts only look. The child's id derives from the unit's key, so that whoever asks again finds the same child.
 */

import * as z from "zod";
import { limits, NAME_PATTERN, type FailureSeed, type Outcome, type RunFailure } from "../kernel/index.ts";
import { durationSchema, durationTemplateSchema, toMs } from "./durations.ts";
import { failure } from "./failures.ts";
import { explain } from "./issues.ts";
import { lazy } from "./lazy.ts";
import type { ActionCall, ActionResult, ChildState, Surroundings } from "./ports.ts";

const MAX_TAGS = 16;
const MAX_TAG_CHARS = 64;
const MAX_VERSION_CHARS = 64;

/** A child is found again for as long as its id is taken: 30 days after its end, and 90 more. */
export const CHILD_KEY_TTL_MS = 120 * 24 * 60 * 60_000;

function build<T extends z.ZodType>(timeout: T) {
  return z.strictObject({
    workflow: z
      .string()
      .regex(NAME_PATTERN, "A workflow's name matches [a-z0-9][a-z0-9_-]{0,63}.")
      .meta({ description: "Name of the workflow to run." }),
    version: z
      .string()
      .min(1)
      .max(MAX_VERSION_CHARS)
      .meta({ description: "The newest if it is missing." })
      .exactOptional(),
    input: z
      .json()
      .meta({ description: "Fits the workflow's input schema; {} if it is missing." })
      .exactOptional(),
    tags: z.array(z.string().min(1).max(MAX_TAG_CHARS)).max(MAX_TAGS).exactOptional(),
    timeout: timeout.exactOptional(),
  });
}

export const runSchema = lazy(() =>
  build(durationSchema().meta({ description: "How long to wait for its end (30 days)." })),
);
/** The same, with expressions where they may stand. */
export const runTemplateSchema = lazy(() => build(durationTemplateSchema()));
export type RunParameters = z.output<ReturnType<typeof runSchema>>;

export async function performRun(call: ActionCall, { children }: Surroundings): Promise<ActionResult> {
  const { child } = call;
  // A child that is there is looked after as it is: what would start it is not asked any more.
  if (child !== null && !child.ended) return resultOf(await children.look(call, child.run), 0);
  const parsed = runSchema().safeParse(call.with);
  if (!parsed.success)
    return cannot("template_failed", `The parameters of the child do not fit: ${explain(parsed.error)}`);
  const limitMs = parsed.data.timeout === undefined ? limits.RUN_DEADLINE_MS : toMs(parsed.data.timeout);
  if (!(limitMs >= 1 && limitMs <= limits.MAX_WAIT_MS))
    return cannot("template_failed", "The time to wait for the child is no time of at most 365 days.");
  if (call.key === null) return cannot("template_failed", "A step that starts a run is `keyed`.");
  call.sent();
  return resultOf(await children.start(call, call.key, parsed.data), limitMs);
}

function resultOf(state: ChildState, limitMs: number): ActionResult {
  switch (state.kind) {
    case "running":
      return { kind: "child", run: state.run, generation: state.generation, limitMs };
    case "succeeded":
      return { kind: "success", output: state.output };
    case "failed": {
      const { run, generation } = state;
      return { kind: "child_failed", run, generation, failure: failed(state), left: leftBy(state.failure) };
    }
    case "ending": {
      const message = `The child ${state.run} is still undoing what it did before.`;
      const hint = "Nothing to do: the step is tried again.";
      return { kind: "refused", failure: failure("child_failed", message, hint, { retryable: true }) };
    }
    case "unavailable": {
      const hint = "Nothing happened; the engine tries again.";
      const { retryAfterMs } = state;
      return {
        kind: "refused",
        failure: failure("not_sent", state.message, hint, { retryable: true }),
        ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      };
    }
    case "refused":
      return cannot(state.code, state.message);
  }
}

function failed({ run, failure: of }: Extract<ChildState, { kind: "failed" }>): FailureSeed {
  const hint = "Look at the child run. A redrive of this run redrives the child.";
  return {
    ...failure("child_failed", `The child ${run} failed with ${of.code}: ${of.message}`, hint, {
      retryable: of.retryable,
    }),
    child: { run, code: of.code },
  };
}

/** What the child stands for in the world: all that it did and did not take back. */
function leftBy({ left_behind: left }: Partial<RunFailure>): Outcome {
  if (left === undefined || left.some(({ outcome }) => outcome === "unknown")) return "unknown";
  return left.length > 0 ? "done" : "not_done";
}

function cannot(
  code: "template_failed" | "child_failed" | "child_too_deep" | "child_limit" | "policy_denied",
  message: string,
): ActionResult {
  const hint = "Correct the step, then redrive the run or start another.";
  return { kind: "cannot", failure: failure(code, message, hint) };
}
