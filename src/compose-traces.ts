/** Where the traces of this deployment go. */
import { egressOf } from "./compose-egress.ts";
import { createSpanExport, parseTraceTarget } from "./observe/index.ts";
import type { Logger, SpanSink } from "./platform/index.ts";

/** Null: nobody collects them, or what says where is wrong: the log says so, and no run stands still for its traces. */
export function composeTraces(env: Env, log: Logger): SpanSink | null {
  const { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: url, OTEL_EXPORTER_OTLP_HEADERS: headers } = env;
  const target = parseTraceTarget(url, headers);
  if (!target.ok) log.error("traces_misconfigured", { why: target.error });
  if (!target.ok || target.value === null) return null;
  const resource = {
    "service.name": "showcaller",
    "service.version": env.VERSION.id,
    "deployment.environment.name": env.ENVIRONMENT ?? "production",
  };
  return createSpanExport(target.value, resource, egressOf(env), log);
}
