/** Payloads of signals at the door: they must fit every step that could take them, and checking them is bounded. */

import { expect, test } from "vitest";
import { compileSteps, fitPayload } from "../../src/define/index.ts";
import { limits, type Json, type RunState } from "../../src/kernel/index.ts";
import { graph, Host, RUN } from "../driver/memory-host.ts";

function waiting(schemas: readonly Json[]): RunState {
  const steps = schemas.map((schema, i) => [`w${i}`, { action: "wait", with: { signal: "go", schema } }]);
  const compiled = compileSteps(Object.fromEntries(steps));
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.errors));
  const driver = new Host().live();
  driver.start(RUN, graph(...compiled.steps), null);
  if (driver.state === null) throw new Error("nothing was started");
  return driver.state;
}

/** Each is about 20,000 checks under any of the schemas. */
const payload = Array.from({ length: 10_000 }, () => 0);
const sized = (n: number): Json => ({ items: { type: "integer" }, maxItems: 10_000 + n });

test("a payload is checked once by all steps of the same schema", () => {
  const state = waiting(Array.from({ length: 300 }, () => sized(0)));
  expect(fitPayload(state, "go", payload)).toEqual({ ok: true, payload });
});

test("a payload that many schemas would have to look at is refused before they all did", () => {
  const most = Math.floor(limits.PAYLOAD_CHECKS_PER_TURN / 12_501);
  expect(fitPayload(waiting(Array.from({ length: most }, (_, i) => sized(i))), "go", payload).ok).toBe(true);
  const state = waiting(Array.from({ length: 300 }, (_, i) => sized(i)));
  expect(fitPayload(state, "go", payload)).toMatchObject({
    ok: false,
    errors: [{ pointer: "/payload", code: "invalid" }],
  });
});

test("a schema with names that every object inherits takes what it says, and throws nothing", () => {
  const state = waiting([{ type: "object", properties: { constructor: { type: "string" } } }]);
  expect(fitPayload(state, "go", {})).toEqual({ ok: true, payload: {} });
  expect(fitPayload(state, "go", { constructor: 1 })).toMatchObject({ ok: false });
});
