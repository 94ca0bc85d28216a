/** The door of the observe room: what leaves for those who watch a deployment. */
export { createSpanExport, parseTraceTarget, type TraceTarget } from "./otlp.ts";
export {
  CONTENT_TYPES,
  encodeMetrics,
  type Family,
  formatFor,
  type HistogramSample,
  type Sample,
  type TextFormat,
} from "./prometheus.ts";
