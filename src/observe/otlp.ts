/**
 * Sends spans to a collector: OTLP 1.x over HTTP, in JSON (opentelemetry.io/docs/specs/otlp, "OTLP/HTTP"). Ids are hexadecimal, times
 * are texts of nanoseconds, enums are numbers, as that encoding has it.
 */
import {
  type Egress,
  err,
  type Logger,
  ok,
  type Result,
  type Span,
  type SpanSink,
} from "../platform/index.ts";

const TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 16_384;
/** At most so many in one request. */
const SPANS = 500;
/** Those that say: later (OTLP/HTTP, "Retryable response codes"). */
const LATER: ReadonlySet<number> = new Set([429, 502, 503, 504]);
/** SPAN_KIND_INTERNAL, STATUS_CODE_UNSET and STATUS_CODE_ERROR. */
const INTERNAL = 1;
const UNSET = 0;
const ERROR = 2;

export interface TraceTarget {
  readonly url: string;
  /** Given with every request, for example what the collector asks for as authorization. */
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * @param url as `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`: the whole address; missing or empty: nothing is exported
 * @param headers as `OTEL_EXPORTER_OTLP_HEADERS`: `name=value`, several with commas between, values percent-encoded
 */
export function parseTraceTarget(
  url: string | undefined,
  headers: string | undefined,
): Result<TraceTarget | null, string> {
  if (url === undefined || url === "") return ok(null);
  if (!URL.canParse(url) || new URL(url).protocol !== "https:")
    return err("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT must be an https address.");
  const pairs: [string, string][] = [];
  for (const pair of (headers ?? "").split(",")) {
    if (pair.trim() === "") continue;
    const at = pair.indexOf("=");
    const name = pair.slice(0, at).trim().toLowerCase();
    const value = decoded(pair.slice(at + 1).trim());
    // What is wrong is not repeated: it may be a secret.
    if (at < 1 || !/^[a-z0-9-]+$/.test(name) || value === null)
      return err("OTEL_EXPORTER_OTLP_HEADERS must be name=value, with commas between.");
    pairs.push([name, value]);
  }
  return ok({ url, headers: Object.fromEntries(pairs) });
}

export function createSpanExport(
  target: TraceTarget,
  resource: Readonly<Record<string, string>>,
  egress: Egress,
  log: Logger,
): SpanSink {
  return {
    async write(spans) {
      for (let i = 0; i < spans.length; i += SPANS)
        await send(spans.slice(i, i + SPANS), { target, resource, egress, log });
    },
  };
}

interface Sending {
  readonly target: TraceTarget;
  readonly resource: Readonly<Record<string, string>>;
  readonly egress: Egress;
  readonly log: Logger;
}

/** Rejects if the collector asks to come again; what it refuses for good is logged and let go. */
async function send(spans: readonly Span[], { target, resource, egress, log }: Sending): Promise<void> {
  const answer = await egress({
    ...{ method: "POST", url: target.url, effect: "idempotent" },
    headers: { ...target.headers, "content-type": "application/json" },
    body: JSON.stringify(requestOf(spans, resource)),
    ...{ timeoutMs: TIMEOUT_MS, maxResponseBytes: MAX_ANSWER_BYTES },
  });
  // Its address is not allowed: to try again would not help, and a run must not keep what it cannot tell.
  if (answer.kind === "blocked")
    return log.error("spans_blocked", { code: answer.code, spans: spans.length });
  if (answer.kind === "failed" && answer.answer === null)
    throw new Error(`The trace collector was not reached: ${answer.code}.`);
  const status = answer.kind === "answered" ? answer.status : (answer.answer?.status ?? 0);
  if (LATER.has(status)) throw new Error(`The trace collector asks to come again: ${status}.`);
  if (status < 200 || status > 299) log.error("spans_refused", { status, spans: spans.length });
}

/** ExportTraceServiceRequest. */
function requestOf(spans: readonly Span[], resource: Readonly<Record<string, string>>): unknown {
  return {
    resourceSpans: [
      {
        resource: { attributes: attributesOf(resource) },
        scopeSpans: [{ scope: { name: "showcaller" }, spans: spans.map(spanOf) }],
      },
    ],
  };
}

function spanOf(span: Span): unknown {
  const { traceId, spanId, parentSpanId, name, startAt, endAt, error, attributes } = span;
  return {
    ...{ traceId, spanId, ...(parentSpanId === null ? {} : { parentSpanId }), name, kind: INTERNAL },
    startTimeUnixNano: nanoseconds(startAt),
    endTimeUnixNano: nanoseconds(endAt),
    attributes: attributesOf(error === null ? attributes : { ...attributes, "error.type": error }),
    status: error === null ? { code: UNSET } : { code: ERROR, message: error },
  };
}

function nanoseconds(ms: number): string {
  return `${Math.trunc(ms)}000000`;
}

function attributesOf(attributes: Span["attributes"]): readonly unknown[] {
  return Object.entries(attributes).map(([key, value]) => ({ key, value: valueOf(value) }));
}

function valueOf(value: string | number | boolean): unknown {
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "boolean") return { boolValue: value };
  return Number.isSafeInteger(value) ? { intValue: String(value) } : { doubleValue: value };
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
