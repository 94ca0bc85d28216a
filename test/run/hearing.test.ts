/** What steps that wait for events tell, and which events they take: by the journal of the run, whatever the clocks say. */
import { describe, expect, test } from "vitest";
import { evolveAll, type Fact, type RunState } from "../../src/kernel/index.ts";
import { createHearing, standingTo, type Hearer, type NewHearer } from "../../src/run/hearing.ts";
import { graph, wait } from "../kernel/support/build.ts";

const T0 = 1_000_000_000_000;
const RUN = {
  ...{ id: "run_1", tenant: "acme", workflow: "w", version: "2", user: "ada", startedBy: "key:k" },
  ...{ open: false, tags: [], traceparent: null },
};
const HEARS = { event: "paid", fields: ["order"], digest: "d1" };

function stateOf(...facts: readonly Fact[]): RunState {
  const heard = (name: string, needs: string[] = []) => wait(name, `event:${name}`, { event: "paid", needs });
  const started: Fact = {
    ...{ t: "run_started", at: T0, run: RUN, input: { v: null }, deadlineAt: T0 + 1_000_000 },
    graph: graph([heard("a"), heard("b", ["a"]), heard("beside"), wait("plain", "go")]),
  };
  const state = evolveAll(null, [started, ...facts]);
  if (state === null) throw new TypeError("the run has not started");
  return state;
}

const waits = (at: number, step: string): Fact => ({
  t: "waiting",
  at,
  step,
  limitAt: at + 500,
  hears: HEARS,
});
const taken = (at: number, step: string, id: string): Fact[] => [
  { t: "signalled", at, id, name: `event:${step}`, payload: { v: 1 } },
  { t: "succeeded", at, step, output: { v: 1 }, by: "signal", signal: id },
];

const TOLD: unknown[] = [];
const listener = createHearing({
  listen: async (tenant, event, hearer: NewHearer) => void TOLD.push(["listen", tenant, event, hearer]),
  forget: async (tenant, event, hearer: Hearer) => void TOLD.push(["forget", tenant, event, hearer]),
});

async function told(fact: Fact, ...before: readonly Fact[]): Promise<unknown> {
  const body = listener.message(fact, stateOf(...before, fact), false);
  if (body === null) return null;
  TOLD.length = 0;
  // As it comes out of the outbox.
  const kept: unknown = JSON.parse(JSON.stringify(body));
  await listener.deliver({ tenant: "acme", run: "run_1", version: 1, at: T0, body: kept });
  return TOLD[0];
}

describe("where events are kept it is told", () => {
  test("that a step waits: since when, for how long, for whom and for what", async () => {
    expect(await told(waits(T0 + 5, "a"))).toEqual([
      "listen",
      "acme",
      "paid",
      {
        ...{ run: "run_1", step: "a", since: T0 + 5, until: T0 + 505, user: "ada" },
        ...{ fields: ["order"], digest: "d1" },
      },
    ]);
  });

  test("that a wait is over, but not by the event itself, and of no other step", async () => {
    const failure = { code: "wait_expired", message: "", hint: "", retryable: false } as const;
    const over = ["forget", "acme", "paid", { run: "run_1", step: "a", since: T0 }];
    const failed: Fact = { t: "failed", at: T0 + 9, step: "a", failure, outcome: "not_done", by: "timer" };
    expect(await told(failed, waits(T0, "a"))).toEqual(over);
    expect(
      await told({ t: "cancelled", at: T0 + 9, step: "a", outcome: "not_done" }, waits(T0, "a")),
    ).toEqual(over);
    const fallback: Fact = { t: "succeeded", at: T0 + 9, step: "a", output: { v: 0 }, by: "fallback" };
    expect(await told(fallback, waits(T0, "a"))).toEqual(over);
    const [signalled, succeeded] = taken(T0 + 9, "a", "e1");
    if (signalled === undefined || succeeded === undefined) throw new TypeError("there are two facts");
    expect(await told(succeeded, waits(T0, "a"), signalled)).toBeNull();
    // It failed before it waited: nobody was told that it does.
    expect(await told(failed)).toBeNull();
    const plain: Fact = { t: "waiting", at: T0, step: "plain", limitAt: T0 + 5 };
    expect(await told(plain)).toBeNull();
    expect(await told({ t: "cancelled", at: T0 + 9, step: "plain", outcome: "not_done" }, plain)).toBeNull();
  });
});

describe("an event", () => {
  test("is for the wait that is meant, and no other of the step", () => {
    const state = stateOf(waits(T0, "a"));
    expect(standingTo(state, { step: "a", since: T0 }, "e1")).toBe("waits");
    expect(standingTo(state, { step: "a", since: T0 - 1 }, "e1")).toBe("over");
    expect(standingTo(state, { step: "b", since: T0 }, "e1")).toBe("over");
    expect(standingTo(state, { step: "plain", since: T0 }, "e1")).toBe("over");
    expect(standingTo(state, { step: "none", since: T0 }, "e1")).toBe("over");
  });

  test("that was taken is known, and others come too late", () => {
    const state = stateOf(waits(T0, "a"), ...taken(T0 + 5, "a", "e1"));
    expect(standingTo(state, { step: "a", since: T0 }, "e1")).toBe("resumed");
    expect(standingTo(state, { step: "a", since: T0 }, "e2")).toBe("over");
  });

  test("that the run took before a step began to wait is past for it, in the same moment too; one side by side with it is not", () => {
    const state = stateOf(
      waits(T0, "a"),
      waits(T0 + 1, "beside"),
      ...taken(T0 + 5, "a", "e1"),
      waits(T0 + 5, "b"),
    );
    expect(standingTo(state, { step: "b", since: T0 + 5 }, "e1")).toBe("past");
    expect(standingTo(state, { step: "b", since: T0 + 5 }, "e2")).toBe("waits");
    expect(standingTo(state, { step: "beside", since: T0 + 1 }, "e1")).toBe("waits");
  });
});
