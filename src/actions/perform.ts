import { performCode } from "./code.ts";
import { failure } from "./failures.ts";
import { performHttp } from "./http.ts";
import { performRun } from "./run.ts";
import type { ActionCall, ActionResult, Surroundings } from "./ports.ts";

/** Performs one attempt. What it throws is a bug or the platform; the driver judges it by whether `call.sent` was called. */
export async function performAction(call: ActionCall, surroundings: Surroundings): Promise<ActionResult> {
  switch (call.action) {
    case "http":
      return performHttp(call, surroundings);
    case "code":
      return performCode(call, surroundings);
    case "run":
      return performRun(call, surroundings);
    default:
      return {
        kind: "cannot",
        failure: failure(
          "step_code_missing",
          `This build cannot perform the action ${call.action}.`,
          "Deploy a build that knows the action, then redrive the run.",
        ),
      };
  }
}
