/** How an attempt ended, as the kernel takes it: sizes checked, conditions of `repeat` and `verify` read. Pure. */

import {
  NULL_VALUE,
  type AttemptEnd,
  type Binding,
  type FailureSeed,
  type Input,
  type Json,
  type RunState,
} from "../kernel/index.ts";
import type { Call, EvaluatePort, Performed } from "./ports.ts";
import { tooLarge, type Keeper } from "./values.ts";

/** An end that says something about the attempt: not that it is to be performed in another event. */
type Ended = Exclude<Performed, { readonly kind: "hop" }>;

/** Nothing was sent before the attempt's time was up: surely nothing happened. */
export const UNSENT: FailureSeed = {
  code: "not_sent",
  message: "The attempt's time was up before anything was sent.",
  hint: "Raise the step's timeout.",
  retryable: true,
};

export const CHANGED: FailureSeed = {
  code: "payload_changed",
  message:
    "The step's parameters are not what its first attempt was given: the code that fills them in has changed.",
  hint: "Redrive the run: the step then gets a new idempotency key.",
  retryable: false,
};

export const UNCHECKED: FailureSeed = {
  code: "template_failed",
  message: "The schema of the step cannot be used to check the signals that are kept for it.",
  hint: "Correct the schema in the plan, and start another run; to an open run, append another step.",
  retryable: false,
};

export function endedOf(
  call: Pick<Call, "unit" | "attempt" | "generation">,
  end: AttemptEnd,
  { bound, credentials }: { readonly bound?: readonly Binding[]; readonly credentials?: Json } = {},
): Extract<Input, { t: "ended" }> {
  const { generation, unit, attempt } = call;
  return {
    ...{ t: "ended", generation, unit, attempt, end },
    ...(bound === undefined ? {} : { bound }),
    ...(credentials === undefined ? {} : { credentials }),
  };
}

/** The end of an attempt that counts. */
export function endOf(
  call: Call,
  performed: Ended,
  state: RunState,
  evaluate: EvaluatePort,
  keep: Keeper["keep"],
): AttemptEnd {
  if (performed.kind !== "success") return performed;
  const more = performed.more === undefined || performed.more.length === 0 ? {} : { more: performed.more };
  // Steps are plain data; only their optional fields keep the compiler from seeing JSON in them.
  const steps = (performed.more ?? []) as unknown as Json;
  const failure = tooLarge(performed.output, state.bytes) ?? tooLarge(steps, state.bytes);
  if (failure !== null) return { kind: "unusable", failure };
  if (call.unit.role === "verify") {
    const said = evaluate.happened(call.run, call.def, performed.output, call.scope);
    if (!said.ok) return { kind: "cannot", failure: said.failure };
    const { happened, output } = said.value;
    // Of a `repeat` one round has happened; whether that was the last one its condition says of what came of it.
    const asks = happened === true && call.def.repeat !== undefined;
    const again = asks ? evaluate.again(call.run, call.def, output, call.scope) : null;
    if (again?.ok === false) return { kind: "cannot", failure: again.failure };
    return {
      kind: "success",
      output: keep(output),
      happened,
      ...(again?.ok === true ? { again: again.value } : {}),
    };
  }
  if (call.unit.role === undefined && call.def.repeat !== undefined) {
    const again = evaluate.again(call.run, call.def, performed.output, call.scope);
    return again.ok
      ? { kind: "success", output: keep(performed.output), again: again.value, ...more }
      : // What it asks of this answer, it would ask of the next one: another attempt would not help a `safe` poll.
        { kind: call.effect === "safe" ? "cannot" : "unusable", failure: again.failure };
  }
  return { kind: "success", output: keep(performed.output), ...more };
}

/** An end that came too late to count: what kind it was is recorded, and nothing of what it brought. */
export function lateEnd(performed: Ended): AttemptEnd {
  return performed.kind === "success" ? { kind: "success", output: NULL_VALUE } : performed;
}

/** A throw is unclear once something was sent, else nothing happened. */
export function thrown(sent: boolean, error: unknown): Performed {
  const message = error instanceof Error ? error.message : "Something was thrown that is not an error.";
  const failure: FailureSeed = {
    code: sent ? "network" : "not_sent",
    message: message.slice(0, 500),
    hint: "Look at the step's code and at the service.",
    retryable: true,
  };
  return { kind: sent ? "unclear" : "refused", failure };
}
