/** The door of the observe room: what leaves for those who watch a deployment. */
export { createSpanExport, parseTraceTarget, type TraceTarget } from "./otlp.ts";
