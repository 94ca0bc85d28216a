/** Definition-time checks: each with its code and a JSON Pointer. */

import { describe, expect, test } from "vitest";
import {
  checkGraph,
  decide,
  limits,
  LINT_CODES,
  orderSteps,
  type Graph,
  type LintCode,
  type StepDef,
} from "../../src/kernel/index.ts";
import { call, DAY, graph, HOUR, MINUTE, performance, retry, sleep, verify, wait } from "./support/build.ts";
import { RUN, START } from "./support/play.ts";

const repeat = { until: null, everyMs: 1_000, max: 3, withinMs: HOUR };
const forEach = { list: null, concurrency: 1, tolerate: 0 };
const only = (step: StepDef): Graph => graph([step]);
const undo = { compensate: performance("idempotent") };

const TABLE: readonly (readonly [LintCode, string, Graph])[] = [
  ["bad_name", "/steps/A b", only(call("A b"))],
  ["bad_name", "/steps/a~1b", only(call("a/b"))],
  ["duplicate_step", "/steps/a", graph([call("a"), call("a")])],
  ["too_many_steps", "/steps", graph(Array.from({ length: limits.MAX_STEPS + 1 }, (_, i) => call(`s${i}`)))],
  ["graph_too_large", "/steps", only({ ...call("a"), with: "x".repeat(limits.MAX_GRAPH_CHARS) })],
  [
    "too_many_needs",
    "/steps/b/needs",
    graph([call("a"), call("b", "safe", { needs: Array<string>(limits.MAX_NEEDS + 1).fill("a") })]),
  ],
  ["unknown_need", "/steps/a/needs/0", only(call("a", "safe", { needs: ["nothing"] }))],
  [
    "cycle",
    "/steps/a/needs/1",
    graph([call("x"), call("a", "safe", { needs: ["x", "b"] }), call("b", "safe", { needs: ["a"] })]),
  ],
  ["cycle", "/steps/a/needs/0", only(call("a", "safe", { needs: ["a"] }))],
  [
    "need_across_parts",
    "/steps/f/needs/0",
    graph([call("a"), call("f", "safe", { part: "on_failure", needs: ["a"] })]),
  ],
  [
    "timeout_too_long",
    "/steps/a/timeout",
    only(call("a", "safe", { timeoutMs: limits.MAX_STEP_TIMEOUT_MS + 1 })),
  ],
  ["bad_duration", "/steps/a/timeout", only(call("a", "safe", { timeoutMs: 0 }))],
  ["bad_duration", "/steps/a/timeout", only(call("a", "safe", { timeoutMs: Number.NaN }))],
  ["bad_duration", "/steps/a/unknownLimit", only(call("a", "safe", { unknownLimitMs: 0.5 }))],
  ["bad_duration", "/steps/a/keyTtl", only(call("a", "keyed", { keyTtlMs: 0 }))],
  [
    "bad_duration",
    "/steps/a/verify/after",
    only(call("a", "once", { verify: verify({ afterMs: 4 * DAY }) })),
  ],
  ["bad_duration", "/steps/a/approval", only(call("a", "safe", { approval: { limitMs: 0 } }))],
  ["approval_without_call", "/steps/a/approval", only(sleep("a", { approval: { limitMs: 1 } }))],
  ["bad_duration", "/deadlineMs", graph([], { deadlineMs: 0 })],
  ["bad_duration", "/undoBudgetMs", graph([], { undoBudgetMs: Number.POSITIVE_INFINITY })],
  ["bad_duration", "/idleLimitMs", graph([], { idleLimitMs: -1 })],
  ["bad_retry", "/steps/a/retry", only(call("a", "safe", { retry: retry({ attempts: 0 }) }))],
  [
    "bad_retry",
    "/steps/a/retry",
    only(call("a", "safe", { retry: retry({ attempts: limits.MAX_ATTEMPTS + 1 }) })),
  ],
  ["bad_retry", "/steps/a/retry", only(call("a", "safe", { retry: retry({ factor: 0.5 }) }))],
  [
    "bad_retry",
    "/steps/a/compensate/retry",
    only(call("a", "keyed", { compensate: performance("keyed", { retry: retry({ capMs: -1 }) }) })),
  ],
  [
    "retry_window_exceeds_deadline",
    "/steps/a/retry",
    graph([call("a", "safe", { retry: retry({ attempts: 20 }) })], { deadlineMs: 10 * MINUTE }),
  ],
  [
    "retry_window_exceeds_deadline",
    "/steps/a/compensate/retry",
    graph([call("a", "keyed", { compensate: performance("keyed", { retry: retry({ attempts: 20 }) }) })], {
      undoBudgetMs: 10 * MINUTE,
    }),
  ],
  [
    "once_blind_retry",
    "/steps/a/retry/only",
    only(call("a", "once", { retry: retry({ only: ["timeout"] }) })),
  ],
  [
    "once_blind_retry",
    "/steps/a/retry/only",
    only(call("a", "once", { retry: retry({ only: ["http_500"] }) })),
  ],
  ["repeat_once", "/steps/a/repeat", only(call("a", "once", { repeat }))],
  ["repeat_and_for_each", "/steps/a/repeat", only(call("a", "safe", { repeat, forEach }))],
  ["bad_repeat", "/steps/a/repeat", only(call("a", "safe", { repeat: { ...repeat, max: 0 } }))],
  ["bad_repeat", "/steps/a/repeat", only(sleep("a", { repeat }))],
  ["bad_for_each", "/steps/a/forEach", only(call("a", "safe", { forEach: { ...forEach, concurrency: 0 } }))],
  ["bad_for_each", "/steps/a/forEach", only(wait("a", "go", { forEach }))],
  ["verify_not_safe", "/steps/a/verify", only(call("a", "once", { verify: verify({ effect: "once" }) }))],
  ["verify_on_safe", "/steps/a/verify", only(call("a", "safe", { verify: verify() }))],
  ["compensate_on_safe", "/steps/a/compensate", only(call("a", "safe", undo))],
  ["compensate_on_keyed_repeat", "/steps/a/compensate", only(call("a", "keyed", { repeat, ...undo }))],
  [
    "compensate_on_failure_step",
    "/steps/a/compensate",
    only(call("a", "keyed", { part: "on_failure", ...undo })),
  ],
  ["effect_without_call", "/steps/a/effect", only(sleep("a", { effect: "once" }))],
  ["unknown_step", "/steps/a/with/url", only(call("a", "safe", { reads: { "/with/url": ["b"] } }))],
  ["not_an_ancestor", "/steps/a/when", only(call("a", "safe", { reads: { "/when": ["a"] } }))],
  [
    "not_an_ancestor",
    "/steps/b/with/json",
    graph([call("a"), call("b", "safe", { reads: { "/with/json": ["a"] } })]),
  ],
  ["missing_signal_name", "/steps/a/with/signal", only(wait("a", ""))],
  // No name of a signal has a colon: what is sent from outside can never be taken for an event.
  ["missing_signal_name", "/steps/a/with/signal", only(wait("a", "event:a"))],
  ["missing_signal_name", "/steps/a/with/event", only(wait("a", "event:a", { event: "Not a name" }))],
  ["missing_signal_name", "/steps/a/with/event", only(wait("a", "event:b", { event: "paid" }))],
  ["missing_signal_name", "/steps/a/with/event", only(call("a", "safe", { event: "paid" }))],
];

describe("lints", () => {
  test.for(TABLE)("%s at %s", ([code, pointer, definition]) => {
    expect(checkGraph(definition).map((lint) => [lint.code, lint.pointer])).toContainEqual([code, pointer]);
  });

  test("every code has a case", () => {
    expect(LINT_CODES.filter((code) => !TABLE.some(([found]) => found === code))).toEqual([]);
  });

  test("a sound graph has none", () => {
    const sound = graph([
      call("a", "keyed", undo),
      call("b", "once", { needs: ["a"], verify: verify(), retry: retry({ only: ["http_429", "http_521"] }) }),
      call("c", "idempotent", { repeat, compensate: performance("idempotent") }),
      wait("d", "go"),
      call("e", "keyed", {
        needs: ["b"],
        ...undo,
        reads: { "/with/url": ["a", "b"], "/compensate/with/url": ["e"], "/verify/with/url": ["e"] },
      }),
      call("f", "once", { part: "on_failure", reads: { "/with/text": ["e"] } }),
      call("g", "once", { part: "on_failure", needs: ["f"], reads: { "/with/text": ["f", "c"] } }),
    ]);
    expect(checkGraph(sound)).toEqual([]);
  });

  test("a run of a graph with findings does not start; every finding is told", () => {
    const bad = graph([call("A!"), call("b", "safe", { needs: ["nothing"] })]);
    const decision = decide(null, { t: "start", run: RUN, graph: bad, input: { v: null } }, START, 0);
    expect(decision).toMatchObject({
      ok: false,
      refusal: { code: "bad_graph", details: [{ pointer: "/steps/A!" }, { pointer: "/steps/b/needs/0" }] },
    });
  });
});

describe("the order of steps", () => {
  test("puts needs first and keeps the rest as it stands", () => {
    const steps = [
      call("c", "safe", { needs: ["b"] }),
      call("x"),
      call("b", "safe", { needs: ["a", "a"] }),
      call("a"),
    ];
    expect(orderSteps(steps).map((step) => step.name)).toEqual(["x", "a", "b", "c"]);
  });

  test("puts a cycle last, so that it is found and named", () => {
    const steps = [call("a", "safe", { needs: ["b"] }), call("b", "safe", { needs: ["a"] }), call("c")];
    expect(orderSteps(steps).map((step) => step.name)).toEqual(["c", "a", "b"]);
    expect(checkGraph(graph(orderSteps(steps))).map((lint) => lint.code)).toEqual(["cycle"]);
  });
});
