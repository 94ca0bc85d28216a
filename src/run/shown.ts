/** How a unit is shown where what its journal holds is not what its reader needs. Nothing of it is stored. */

import { type Failure, type RunState, type Unit, type UnitRef, type UnitStatus } from "../kernel/index.ts";

/**
 * What never came to its turn until the run had ended is passed over: the `onFailure` steps of a run that succeeded, an
 * undoing that nobody called for again.
 */
export function statusShown({ phase }: RunState, { status, answered }: Unit): UnitStatus {
  if (phase === "ended" && status === "pending") return "skipped";
  return answered ? "succeeded" : status;
}

/** Of one whose outcome is unknown, the hint is what is to be done now: the attempt's own is of no use any more. */
export function failureShown({ run }: RunState, ref: UnitRef, unit: Unit): Failure | null {
  const { failure, status, verify } = unit;
  if (failure === null || status !== "unknown") return failure;
  const checking =
    verify !== null && ["pending", "running", "backing_off", "waiting"].includes(verify.status);
  const first = checking
    ? "The service is being asked (`check`); if that does not settle it, look"
    : "Nobody knows whether it happened: look";
  const named = [
    ...(ref.item === undefined ? [] : [`"item": ${ref.item}`]),
    ...(ref.role === "undo" ? ['"undo": true'] : []),
  ].map((name) => `, ${name}`);
  const body = (as: string): string => `{${as}${named.join("")}}`;
  const answers = [
    `${body('"as": "succeeded", "output": …')} (it happened)`,
    `${body('"as": "retry"')} (it did not: try again)`,
    `${body('"as": "failed"')} (it did not, and will not)`,
  ].join(", ");
  return {
    ...failure,
    retryable: false,
    hint: `${first} at the service, then say so: POST /v1/runs/${run.id}/steps/${ref.step}/resolve with ${answers}.`,
  };
}
