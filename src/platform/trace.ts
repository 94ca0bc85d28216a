/**
 * W3C Trace Context (version 00). A run is a trace, an attempt a span. Ids are computed, not drawn, so that exporting a
 * journal twice gives the same spans.
 */

export interface TraceContext {
  /** 32 hex digits. */
  readonly traceId: string;
  /** 16 hex digits. */
  readonly spanId: string;
  readonly sampled: boolean;
}

/** Section 3.2 of the specification: a higher version may have more fields, version ff is invalid, ids are not all zero. */
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** The fields of a `traceparent` header, or null if it is not a valid one. */
export function parseTraceparent(text: string): TraceContext | null {
  const [, version, traceId, spanId, flags, rest] = TRACEPARENT.exec(text) ?? [];
  if (version === undefined || traceId === undefined || spanId === undefined || flags === undefined)
    return null;
  if (version === "ff" || (version === "00" && rest !== undefined)) return null;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return null;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

export function formatTraceparent(context: TraceContext): string {
  return `00-${context.traceId}-${context.spanId}-${context.sampled ? "01" : "00"}`;
}

/** The trace of a run that was started without one. */
export function traceIdOf(runId: string): string {
  // Asked for with every attempt, mostly by one run many times in a row.
  if (lastTrace.runId !== runId)
    lastTrace = { runId, traceId: hash64(`trace-high:${runId}`) + hash64(`trace-low:${runId}`) };
  return lastTrace.traceId;
}

let lastTrace = { runId: "", traceId: "" };

/** The span of one attempt. `unit` names generation, step and item or iteration, as the caller writes them. */
export function spanIdOf(runId: string, unit: string, attempt: number): string {
  return hash64(JSON.stringify([runId, unit, attempt]));
}

const UTF8 = new TextEncoder();
const TWO_32 = 0x1_0000_0000;

/**
 * FNV-1a, 64 bits, as hex; never all zero. Synchronous, which a WebCrypto digest is not.
 * In two halves: every attempt has a span, and BigInt is twenty times slower. The prime is 2^40 + 0x1b3.
 */
function hash64(text: string): string {
  let high = 0xcbf29ce4;
  let low = 0x84222325;
  for (const byte of UTF8.encode(text)) {
    low = (low ^ byte) >>> 0;
    const product = low * 0x1b3;
    high = (high * 0x1b3 + Math.floor(product / TWO_32) + ((low << 8) >>> 0)) >>> 0;
    low = product >>> 0;
  }
  if (high === 0 && low === 0) low = 1;
  return high.toString(16).padStart(8, "0") + low.toString(16).padStart(8, "0");
}
