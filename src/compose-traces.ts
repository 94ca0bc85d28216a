/** Where the traces of this deployment go. */
import { egressOf } from "./compose-egress.ts";
import { createSpanExport, parseTraceTarget } from "./observe/index.ts";
import type { Logger, SpanSink } from "./platform/index.ts";

/** Null: nobody collects them. Throws a TypeError if what says where is wrong. */
export function composeTraces(env: Env, log: Logger): SpanSink | null {
  const { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: url, OTEL_EXPORTER_OTLP_HEADERS: headers } = env;
  const target = parseTraceTarget(url, headers);
  if (!target.ok) throw new TypeError(target.error);
  if (target.value === null) return null;
  const resource = {
    "service.name": "showcaller",
    "service.version": env.VERSION.id,
    "deployment.environment.name": env.ENVIRONMENT ?? "production",
  };
  return createSpanExport(target.value, resource, egressOf(env), log);
}
