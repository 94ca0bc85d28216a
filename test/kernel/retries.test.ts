/** Retry policies: how long the wait is, and when there is none. */

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DEFAULT_RETRY, delayMs, type RetryPolicy } from "../../src/kernel/index.ts";
import { call, DAY, ends, HOUR, MINUTE, retry, SECOND } from "./support/build.ts";
import { Play, START } from "./support/play.ts";

/** How long the step waits after an attempt that was refused. */
function waits(play: Play): number | null {
  const { status, wakeAt } = play.unit("a");
  return status === "backing_off" && wakeAt !== null ? wakeAt - play.now : null;
}

function one(policy: Partial<RetryPolicy>, effect: "safe" | "keyed" = "safe", keyTtlMs = DAY): Play {
  return new Play([call("a", effect, { retry: retry(policy), keyTtlMs })]);
}

describe("the wait before a retry", () => {
  test("by default: 5 attempts, from 1 s, twice as long each time, at most 5 min, full jitter, within 1 h", () => {
    expect(DEFAULT_RETRY).toEqual({
      attempts: 5,
      initialMs: SECOND,
      factor: 2,
      capMs: 5 * MINUTE,
      jitter: "full",
      maxElapsedMs: HOUR,
    });
  });

  test("grows by the factor", () => {
    const play = one({});
    const seen: (number | null)[] = [];
    for (let i = 0; i < 4; i++) {
      play.attempt("a", ends.refused());
      seen.push(waits(play));
      play.wake();
    }
    expect(seen).toEqual([SECOND, 2 * SECOND, 4 * SECOND, 8 * SECOND]);
    play.attempt("a", ends.refused());
    expect(play.status("a")).toBe("failed");
  });

  test.for([
    ["full", 0, 0],
    ["full", 0.5, 500],
    ["equal", 0, 500],
    ["equal", 0.5, 750],
    ["none", 0.5, 1_000],
  ] as const)("jitter %s at %d of the range waits %d ms of 1,000", ([jitter, random, ms]) => {
    expect(delayMs({ ...DEFAULT_RETRY, jitter }, 1, random)).toBe(ms);
  });

  test("never exceeds the cap, whatever the factor and the number of attempts, and is whole", () => {
    fc.assert(
      fc.property(
        fc.record({
          initialMs: fc.nat(10 * MINUTE),
          factor: fc.double({ min: 1, max: 100, noNaN: true }),
          capMs: fc.nat(HOUR),
          jitter: fc.constantFrom("full", "equal", "none" as const),
        }),
        fc.integer({ min: 1, max: 100 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (policy, made, random) => {
          const ms = delayMs({ ...DEFAULT_RETRY, ...policy }, made, random);
          return Number.isInteger(ms) && ms >= 0 && ms <= policy.capMs;
        },
      ),
    );
  });

  test("Retry-After is a lower bound, and no upper one", () => {
    const play = one({});
    play.attempt("a", ends.refused("http_429", 30 * SECOND));
    expect(waits(play)).toBe(30 * SECOND);
    play.pass(30 * SECOND);
    play.attempt("a", ends.refused("http_429", 1));
    expect(waits(play)).toBe(2 * SECOND);
  });

  test("a Retry-After past maxElapsed ends the step with the failure that asked for it", () => {
    const play = one({ maxElapsedMs: MINUTE });
    play.attempt("a", ends.refused("http_429", 2 * MINUTE));
    expect(play.unit("a").failure).toMatchObject({ code: "http_429", attempts: 1 });
  });

  test.for([Number.NaN, Number.POSITIVE_INFINITY])("a Retry-After of %d does not hang the run (K3)", (ms) => {
    const play = one({});
    play.attempt("a", ends.refused("http_429", ms));
    expect(play.run).toBe("failed");
  });
});

describe("when there is no retry", () => {
  test("the attempts are used up", () => {
    const play = one({ attempts: 2 });
    play.attempt("a", ends.unclear());
    play.wake();
    play.attempt("a", ends.unclear());
    expect(play.state.failure).toMatchObject({ code: "http_500", step: "a", attempt: 2, attempts: 2 });
  });

  test("the wait would end past maxElapsed", () => {
    const play = one({ maxElapsedMs: 2_500 });
    play.attempt("a", ends.refused());
    play.wake();
    play.attempt("a", ends.refused());
    expect([play.status("a"), play.now - START]).toEqual(["failed", SECOND]);
  });

  test("time spent paused does not count against maxElapsed", () => {
    const play = one({ maxElapsedMs: 3_500 });
    play.attempt("a", ends.refused());
    play.take({ t: "pause", by: "ada" });
    play.pass(HOUR);
    play.take({ t: "resume", by: "ada" });
    play.attempt("a", ends.refused());
    expect(waits(play)).toBe(2 * SECOND);
  });

  test("time spent queued for a slot, or unknown, does not count against maxElapsed", () => {
    const play = one({ maxElapsedMs: 3_500 });
    play.attempt("a", ends.refused());
    play.pass(HOUR);
    play.attempt("a", ends.refused());
    expect(waits(play)).toBe(2 * SECOND);
    const late = new Play([
      call("a", "once", { retry: retry({ maxElapsedMs: 2 * MINUTE }), timeoutMs: MINUTE }),
    ]);
    late.begin("a");
    late.wake();
    late.pass(HOUR);
    late.end("a", ends.refused());
    expect(waits(late)).toBe(SECOND);
  });

  test("time spent in attempts counts against maxElapsed", () => {
    const play = one({ maxElapsedMs: 90 * SECOND });
    play.begin("a");
    play.wake();
    play.wake();
    play.begin("a");
    play.pass(40 * SECOND);
    play.end("a", ends.refused());
    expect(play.status("a")).toBe("failed");
  });

  test("the code is not in `only`, or is in `never`", () => {
    const only = one({ only: ["http_429"] });
    only.attempt("a", ends.refused("http_429"));
    expect(only.status("a")).toBe("backing_off");
    only.wake();
    only.attempt("a", ends.refused("http_503"));
    expect(only.status("a")).toBe("failed");
    const never = one({ never: ["http_503"] });
    never.attempt("a", ends.refused("http_429"));
    never.wake();
    never.attempt("a", ends.refused("http_503"));
    expect(never.status("a")).toBe("failed");
  });
});

describe("keyTtl (K6)", () => {
  test("past it, an unclear keyed step is unknown: its provider may take the request for a new one", () => {
    const play = one({}, "keyed", 5 * SECOND);
    play.attempt("a", ends.unclear());
    play.wake();
    play.attempt("a", ends.unclear());
    expect(play.status("a")).toBe("backing_off");
    play.wake();
    play.attempt("a", ends.unclear());
    expect(play.status("a")).toBe("unknown");
  });

  test("a retry that could not start in time is not sent any more", () => {
    const play = one({}, "keyed", 5 * SECOND);
    play.attempt("a", ends.unclear());
    play.pass(6 * SECOND);
    const attempt = play.unit("a").attempt + 1;
    const facts = play.take({ t: "begin", unit: { step: "a" }, attempt, version: "v1" });
    expect(facts.map((fact) => fact.t)).toEqual(["unknown"]);
  });

  test("a keyed step that was only refused is retried with its key however late", () => {
    const play = one({ maxElapsedMs: DAY }, "keyed", 5 * SECOND);
    play.attempt("a", ends.refused());
    play.pass(HOUR);
    play.attempt("a", ends.success());
    expect(play.status("a")).toBe("succeeded");
  });
});
