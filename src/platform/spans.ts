/** Spans of runs, for whoever collects traces. No data of a run is in them: names, numbers and codes. */

export interface Span {
  /** 32 and 16 hex digits (`trace.ts`): computed, so that a span that is told twice is the same one. */
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | null;
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly startAt: number;
  readonly endAt: number;
  /** Code of what went wrong; null: nothing did. */
  readonly error: string | null;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
}

/** Takes spans of one run. They may come twice. A rejection is tried again. */
export interface SpanSink {
  write(spans: readonly Span[]): Promise<void>;
}
