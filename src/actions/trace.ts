import { unitName } from "../kernel/index.ts";
import { formatTraceparent, parseTraceparent, spanIdOf, traceIdOf } from "../platform/index.ts";
import type { ActionCall } from "./ports.ts";

/** W3C Trace Context of one attempt: the run is the trace, the attempt the span. Computed, so an export finds the same. */
export function traceparentOf(
  call: Pick<ActionCall, "unit" | "generation" | "attempt"> & {
    readonly run: Pick<ActionCall["run"], "id" | "traceparent">;
  },
): string {
  const parent = call.run.traceparent === null ? null : parseTraceparent(call.run.traceparent);
  return formatTraceparent({
    traceId: parent?.traceId ?? traceIdOf(call.run.id),
    spanId: spanIdOf(call.run.id, `g${call.generation}.${unitName(call.unit)}`, call.attempt),
    sampled: parent?.sampled ?? true,
  });
}
