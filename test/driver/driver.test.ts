import { describe, expect, it } from "vitest";
import { UnreadableJournal } from "../../src/driver/index.ts";
import { toSnapshot, type Fact } from "../../src/kernel/index.ts";
import { graph, Host, OK, RUN, step, unclear, unit } from "./memory-host.ts";

function started(...steps: Parameters<typeof graph>) {
  const host = new Host();
  const driver = host.live();
  expect(driver.start(RUN, graph(...steps), null)).toEqual({ ok: true });
  return { host, driver };
}

/** Of a run in which to fill in one unit takes so many operations. */
function startedAt(fillCost: number, ...steps: Parameters<typeof graph>) {
  const host = new Host();
  host.fillCost = fillCost;
  const driver = host.live();
  expect(driver.start(RUN, graph(...steps), null)).toEqual({ ok: true });
  return { host, driver };
}

describe("a turn", () => {
  it("appends the end of an attempt and the start of what follows as one row, before anything is performed (D1, D3)", async () => {
    const { host, driver } = started(step("a"), step("b", { needs: ["a"] }));
    expect(host.rows).toHaveLength(1);
    expect(host.attempts).toHaveLength(1);
    await host.attempt(1).end(OK);
    expect(host.rows).toHaveLength(2);
    expect(host.rows[1]?.facts.map((fact) => fact.t)).toEqual(["succeeded", "ready", "started"]);
    await host.attempt(2).end(OK);
    expect(driver.state?.status).toBe("succeeded");
  });

  it("numbers its facts on, without a gap and without a number twice (K8)", async () => {
    const { host } = started(step("a"), step("b", { needs: ["a"] }));
    await host.attempt(1).end(OK);
    await host.attempt(2).end(OK);
    let next = 1;
    for (const row of host.rows) {
      expect(row.seq).toBe(next);
      next += row.facts.length;
    }
  });

  it("that cannot be appended ends the life, performs nothing, and leaves the state as it was (D2)", async () => {
    const { host, driver } = started(step("a"), step("b", { needs: ["a"] }));
    host.refuseAppends = true;
    await host.attempt(1).end(OK);
    expect(host.gaveUp).toHaveLength(1);
    expect(host.attempts).toHaveLength(1);
    expect(unit(driver.state, "a").status).toBe("running");
  });

  it("performs nothing that the journal does not know of (D1)", () => {
    const host = new Host();
    const driver = host.live();
    host.refuseAppends = true;
    expect(() => driver.start(RUN, graph(step("a")), null)).toThrow("the disk is full");
    expect(host.attempts).toHaveLength(0);
  });
});

describe("a short wait", () => {
  it("that is over before the timer could be set is over at once (A4)", async () => {
    const retry = { ...step("a").retry, initialMs: 1 };
    const { host, driver } = started(step("a", { retry }));
    host.tick = 1;
    await host.attempt(1).end(unclear());
    expect(unit(driver.state, "a").status).toBe("backing_off");
    host.passTo(host.now);
    expect(host.attempts).toHaveLength(2);
  });

  it("is not forgotten when the alarm is looked at anew in the moment in which it ends (A4)", async () => {
    const retry = { ...step("a").retry, initialMs: 1_000 };
    const { host, driver } = started(step("a", { retry }));
    await host.attempt(1).end(unclear());
    host.now += 1_000;
    driver.arm();
    host.passTo(host.now);
    expect(host.attempts).toHaveLength(2);
  });

  it("of what waits for a slot wakes nobody", async () => {
    const retry = { ...step("a").retry, initialMs: 1 };
    const busy = ["b", "c", "d", "e", "f", "g"].map((name) => step(name, { needs: ["z"] }));
    const { host, driver } = started(step("a", { retry }), step("z"), ...busy);
    await host.attempt(1).end(unclear());
    await host.attempt(2).end(OK);
    expect(host.attempts).toHaveLength(8);
    host.now += 60;
    driver.arm();
    host.passTo(host.now);
    expect(host.attempts).toHaveLength(8);
    await host.attempt(3).end(OK);
    expect(host.attempts).toHaveLength(9);
  });
});

describe("a wide run", () => {
  /** Below the 30 s of CPU that an object has for one event, on a machine that is busy with others as well. */
  const TIMEOUT_MS = 10_000;

  it(
    "of 8,000 steps that are computed comes to its end in the turn that starts it",
    { timeout: TIMEOUT_MS },
    () => {
      const steps = Array.from({ length: 8_000 }, (_, i) => step(`t${i}`, { kind: "instant" }));
      const { host, driver } = started(...steps);
      expect(driver.state?.status).toBe("succeeded");
      expect(host.rows).toHaveLength(1);
    },
  );

  /** Fires the alarm again and again, each time in a fresh event; how many steps or items each of them settled. */
  function settledPerEvent({ host, driver }: ReturnType<typeof started>): number[] {
    const settled: number[] = [];
    const count = (from: number): void => {
      const facts = host.rows.slice(from).flatMap((row) => row.facts);
      settled.push(facts.filter(({ t }) => t === "succeeded").length);
    };
    count(0);
    while (driver.state?.phase !== "ended") {
      const rows = host.rows.length;
      host.now = host.alarmAt ?? Infinity;
      driver.alarmFired();
      count(rows);
    }
    return settled;
  }

  it("of 1,000 items that each take all that one may take fills in four of them in an event", () => {
    const forEach = { list: 1_000, concurrency: 6, tolerate: 0 };
    const one = startedAt(250_000, step("a", { kind: "instant", forEach }));
    const settled = settledPerEvent(one);
    expect(Math.max(...settled)).toBeLessThanOrEqual(5);
    expect([one.driver.state?.status, settled.reduce((sum, n) => sum + n)]).toEqual(["succeeded", 1_001]);
    expect(one.host.gaveUp).toEqual([]);
  });

  it("that goes on in the next event does so at once, and nothing waits for the alarm of a deadline", () => {
    const { host } = startedAt(
      250_000,
      ...Array.from({ length: 9 }, (_, i) => step(`t${i}`, { kind: "instant" })),
    );
    expect(host.alarmAt).toBe(host.now + 1);
  });

  it("takes up steps that take more than an event has, one in each", () => {
    const one = startedAt(3_000_000, ...["a", "b", "c"].map((name) => step(name, { kind: "instant" })));
    expect(settledPerEvent(one)).toEqual([1, 1, 1, 0]);
  });

  it("starts calls only as long as the event has not computed enough, and the others in the next one", () => {
    const { host, driver } = startedAt(500_000, ...["a", "b", "c"].map((name) => step(name)));
    expect(host.attempts).toHaveLength(0);
    host.now = host.alarmAt ?? Infinity;
    driver.alarmFired();
    expect(host.attempts).toHaveLength(3);
  });

  it("of 8,000 steps that call starts six of them", { timeout: TIMEOUT_MS }, () => {
    const { host } = started(...Array.from({ length: 8_000 }, (_, i) => step(`c${i}`)));
    expect(host.attempts).toHaveLength(6);
  });
});

describe("a life that begins", () => {
  it("hands what the last one had in flight to the kernel as lost, at once (D5)", () => {
    const { host } = started(
      step("a", { effect: "keyed", timeoutMs: 600_000 }),
      step("o", { effect: "once", timeoutMs: 600_000 }),
    );
    host.now += 10;
    const next = host.live();
    expect(unit(next.state, "a")).toMatchObject({ status: "backing_off", strikes: 1, maybe: true });
    expect(unit(next.state, "o")).toMatchObject({ status: "unknown", failure: { code: "attempt_lost" } });
  });

  it("tells that nobody listens any more to what the last one listened to, once (D5)", () => {
    const { host } = started(step("o", { effect: "once" }));
    host.attempt(1).call.sent();
    host.passTo(host.now + 1_000);
    const next = host.live();
    expect(unit(next.state, "o")).toMatchObject({ status: "unknown", listening: false });
    expect(host.rows.at(-1)?.facts).toMatchObject([{ t: "late", kind: "lost", over: true }]);
    const { length } = host.rows;
    host.live();
    expect(host.rows).toHaveLength(length);
  });

  it("takes no run that a newer version wrote, be it a fact or a snapshot (K8)", () => {
    const { host, driver } = started(step("a"));
    const { state, seq } = driver;
    if (state === null) throw new Error("nothing was started");
    const snapshot = { ...toSnapshot(state), v: 2 } as unknown as ReturnType<typeof toSnapshot>;
    host.snapshot = { seq: seq + 1, state: snapshot };
    expect(() => host.live()).toThrow(UnreadableJournal);
    host.snapshot = null;
    const archived = { t: "archived", at: host.now } as unknown as Fact;
    host.rows.push({ seq: seq + 1, at: host.now, facts: [archived], values: [] });
    expect(() => host.live()).toThrow("archived is not a fact that this version knows");
  });

  it("counts no strike where the version has changed (D5)", () => {
    const { host } = started(step("a", { effect: "keyed" }));
    expect(unit(host.live("v2").state, "a")).toMatchObject({ status: "backing_off", strikes: 0 });
  });

  it("sends a keyed step again with the same key and the same payload (K6)", async () => {
    const { host } = started(step("a", { effect: "keyed" }));
    const next = host.live();
    host.passTo(unit(next.state, "a").wakeAt ?? 0);
    const [first, second] = host.attempts.map((attempt) => attempt.call);
    expect(first?.key).toBe("run_test.a.g0");
    expect(second).toMatchObject({ key: first?.key, with: first?.with, attempt: 2, maybe: true });
  });

  it("sends nothing more under a key whose payload the code would change (K6)", () => {
    const { host } = started(step("a", { effect: "keyed" }));
    host.payload = { body: 2 };
    const next = host.live();
    host.passTo(unit(next.state, "a").wakeAt ?? 0);
    expect(host.attempts).toHaveLength(1);
    expect(unit(next.state, "a")).toMatchObject({
      status: "failed",
      outcome: "unknown",
      failure: { code: "payload_changed" },
    });
  });

  it("finds the alarm no later than the next deadline, and sets one that was lost (K3)", () => {
    const { host } = started(step("a", { timeoutMs: 60_000 }));
    expect(host.alarmAt).toBe(host.now + 60_000);
    host.alarmAt = null;
    const next = host.live("v2");
    expect(host.alarmAt).toBeLessThanOrEqual((unit(next.state, "a").wakeAt ?? 0) + 30_000);
  });
});

describe("what the build has no code for", () => {
  const MINUTES_MS = 60_000;

  it("is left as it was, with an alarm that stands, and begins in the life of a build that has it (D8)", async () => {
    const { host, driver } = started(step("a"), step("b", { needs: ["a"] }), step("c", { needs: ["a"] }));
    host.lacking = new Set(["b"]);
    await host.attempt(1).end(OK);
    expect(host.attempts.map(({ call }) => call.unit.step)).toEqual(["a", "c"]);
    await host.attempt(2).end(OK);
    const { length } = host.rows;
    expect([unit(driver.state, "b").status, [...driver.lacking()]]).toEqual(["pending", ["b"]]);
    // It looks again and again, at no more than an alarm each time.
    for (let look = 0; look < 3; look++) {
      expect(host.alarmAt).toBeLessThanOrEqual(host.now + 2 * MINUTES_MS);
      host.now = host.alarmAt ?? 0;
      driver.alarmFired();
    }
    expect([host.rows.length, host.attempts.length]).toEqual([length, 2]);

    host.lacking = new Set();
    const next = host.live("v2");
    next.load();
    next.wake();
    expect(host.attempts.map(({ call }) => call.unit.step)).toEqual(["a", "c", "b"]);
    await host.attempt(3).end(OK);
    expect(next.state?.status).toBe("succeeded");
  });

  it("is tried again no sooner than that, and a cancel ends the run all the same (D8)", async () => {
    const { host, driver } = started(step("a"));
    await host.attempt(1).end(unclear());
    host.lacking = new Set(["a"]);
    host.passTo(host.now + MINUTES_MS);
    expect([host.attempts.length, unit(driver.state, "a").status]).toEqual([1, "backing_off"]);
    driver.command({ t: "cancel", mode: "graceful", by: "ada" });
    expect(driver.state?.status).toBe("cancelled");
  });

  it("may be the run's output alone: the run is not over before it has it (D8)", async () => {
    const { host, driver } = started(step("a"));
    host.lacking = new Set([""]);
    await host.attempt(1).end(OK);
    expect([driver.state?.endedAt, [...driver.lacking()]]).toEqual([null, [""]]);
    host.lacking = new Set();
    driver.wake();
    expect(driver.state?.status).toBe("succeeded");
  });
});

describe("an attempt", () => {
  it("of a once step that timed out is still listened to, and its late answer settles the step (K7)", async () => {
    const { host, driver } = started(step("o", { effect: "once" }));
    host.attempt(1).call.sent();
    host.passTo(host.now + 1_000);
    expect(unit(driver.state, "o").status).toBe("unknown");
    expect(host.attempt(1).call.signal.aborted).toBe(false);
    await host.attempt(1).end(OK);
    expect(unit(driver.state, "o").status).toBe("succeeded");
  });

  it("of any other step is aborted when its time is up, and its late answer changes nothing (K7)", async () => {
    const { host, driver } = started(step("k", { effect: "keyed" }));
    host.attempt(1).call.sent();
    host.passTo(host.now + 1_000);
    expect(host.attempt(1).call.signal.aborted).toBe(true);
    await host.attempt(1).end(OK);
    expect(unit(driver.state, "k").status).toBe("backing_off");
    expect(host.rows.at(-1)?.facts).toMatchObject([{ t: "late", attempt: 1, kind: "success" }]);
  });

  it("of a once step whose time is up before anything was sent did not happen, and is made again", () => {
    const { host, driver } = started(step("o", { effect: "once" }));
    host.passTo(host.now + 1_000);
    expect(unit(driver.state, "o")).toMatchObject({ status: "backing_off", maybe: false });
  });

  it("is one of at most six at a time", async () => {
    const { host } = started(...Array.from({ length: 10 }, (_, i) => step(`s${i}`)));
    expect(host.attempts).toHaveLength(6);
    await host.attempt(1).end(OK);
    expect(host.attempts).toHaveLength(7);
  });

  it("that timed out and is listened to keeps its slot, of which four at most are held so", async () => {
    const steps = Array.from({ length: 30 }, (_, i) => step(`o${i}`, { effect: "once" }));
    const { host, driver } = started(...steps);
    for (const { call } of host.attempts) call.sent();
    host.passTo(host.now + 1_000);
    expect(host.attempts).toHaveLength(8);
    const open = (): string[] =>
      host.attempts.filter(({ call }) => !call.signal.aborted).map(({ call }) => call.unit.step);
    expect(open()).toEqual(["o2", "o3", "o4", "o5", "o6", "o7"]);
    await host.attempt(1).end(unclear());
    await host.attempt(2).end(unclear());
    expect(unit(driver.state, "o0")).toMatchObject({ status: "unknown", listening: false });
    expect(host.attempts).toHaveLength(8);
    await host.attempt(3).end(OK);
    expect([unit(driver.state, "o2").status, open().length]).toEqual(["succeeded", 7]);
  });

  it("that met a limit of the platform just before it left did not leave: it was not sent in time (K5)", async () => {
    const { host, driver } = started(step("o", { effect: "once" }));
    host.attempt(1).call.sent();
    await host.attempt(1).end({ kind: "hop" });
    host.passTo(host.now + 1_000);
    expect(unit(driver.state, "o")).toMatchObject({ status: "backing_off", maybe: false });
  });

  it("that is listened to and meets a limit of the platform did not leave either, and is not performed twice", async () => {
    const { host, driver } = started(step("o", { effect: "once" }));
    host.attempt(1).call.sent();
    host.passTo(host.now + 1_000);
    expect(unit(driver.state, "o").listening).toBe(true);
    await host.attempt(1).end({ kind: "hop" });
    expect(unit(driver.state, "o")).toMatchObject({ status: "backing_off", maybe: false });
    expect(host.attempts).toHaveLength(1);
  });

  it("that ended unclear is made again no earlier than its wait", async () => {
    const { host, driver } = started(step("s"));
    await host.attempt(1).end(unclear());
    const { wakeAt } = unit(driver.state, "s");
    expect(wakeAt).toBe(host.now + 1_000);
    host.passTo((wakeAt ?? 0) - 1);
    expect(host.attempts).toHaveLength(1);
    host.passTo(wakeAt ?? 0);
    expect(host.attempts).toHaveLength(2);
  });
});
