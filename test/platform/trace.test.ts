import { expect, test } from "vitest";
import { formatTraceparent, parseTraceparent, spanIdOf, traceIdOf } from "../../src/platform/index.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN = "00f067aa0ba902b7";

test("a traceparent is read and written", () => {
  const text = `00-${TRACE}-${SPAN}-01`;
  expect(parseTraceparent(text)).toEqual({ traceId: TRACE, spanId: SPAN, sampled: true });
  expect(formatTraceparent({ traceId: TRACE, spanId: SPAN, sampled: true })).toBe(text);
  expect(parseTraceparent(`00-${TRACE}-${SPAN}-00`)?.sampled).toBe(false);
});

test("a higher version may say more", () => {
  expect(parseTraceparent(`01-${TRACE}-${SPAN}-01-what-will-be`)?.traceId).toBe(TRACE);
});

test.each([
  "",
  "00",
  `00-${TRACE}-${SPAN}`,
  `00-${TRACE}-${SPAN}-01-more`,
  `ff-${TRACE}-${SPAN}-01`,
  `00-${TRACE.toUpperCase()}-${SPAN}-01`,
  `00-${"0".repeat(32)}-${SPAN}-01`,
  `00-${TRACE}-${"0".repeat(16)}-01`,
  `00-${TRACE}0-${SPAN}-01`,
  ` 00-${TRACE}-${SPAN}-01`,
  `00-${TRACE}-${SPAN}-01\n`,
])("%j is no traceparent", (text) => {
  expect(parseTraceparent(text)).toBeNull();
});

test("ids of spans and traces are valid, the same each time, and different for different attempts", () => {
  const ids = ["a", "b"].flatMap((unit) => [1, 2, 3].map((attempt) => spanIdOf("run_1", unit, attempt)));
  expect(new Set([...ids, spanIdOf("run_2", "a", 1)]).size).toBe(7);
  expect(spanIdOf("run_1", "a", 1)).toBe(ids[0]);
  expect(parseTraceparent(`00-${traceIdOf("run_1")}-${ids[0]}-01`)).not.toBeNull();
  expect(traceIdOf("run_1")).not.toBe(traceIdOf("run_2"));
});
