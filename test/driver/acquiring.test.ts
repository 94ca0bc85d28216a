/** Credentials that are asked for before an attempt begins: in memory alone, with a slot, and without a trace (Q1 to Q4). */

import { describe, expect, it } from "vitest";
import { DEFAULT_LIMITS, type Acquired } from "../../src/driver/index.ts";
import type { Need } from "../../src/kernel/index.ts";
import { graph, Host, OK, rest, RUN, step, unit } from "./memory-host.ts";

const READY: Acquired = { kind: "ready", lease: "lent" };
const GOOGLE: Need = {
  kind: "connection",
  integration: "google",
  reason: "missing",
  limitMs: 86_400_000,
  recheckMs: 60_000,
};
const LACKING: Acquired = { kind: "needs", need: GOOGLE };
const CHANGED = { t: "connection_changed", integration: "google" } as const;

/** A run whose steps all need a credential, but those named `free`. */
function started(...steps: Parameters<typeof graph>) {
  const host = new Host();
  host.lent = new Set(steps.map(({ name }) => name).filter((name) => !name.startsWith("free")));
  const driver = host.live();
  expect(driver.start(RUN, graph(...steps), null)).toEqual({ ok: true });
  return { host, driver };
}

const types = (host: Host): string[] => host.rows.flatMap(({ facts }) => facts.map(({ t }) => t));

describe("a call that needs a credential", () => {
  it("begins in a turn of its own once that is at hand, and carries it; one that needs none begins at once", async () => {
    const { host } = started(step("a"), step("free"));
    expect(types(host)).toEqual(["run_started", "ready", "ready", "started"]);
    expect(host.attempts.map(({ call }) => call.lease)).toEqual([undefined]);
    await host.asking(1).answer(READY);
    expect(host.rows).toHaveLength(2);
    expect(host.rows[1]?.facts).toMatchObject([{ t: "started", step: "a", attempt: 1 }]);
    expect(host.attempt(2).call).toMatchObject({ lease: "lent", attempt: 1, with: { body: 1 } });
  });

  it("is told what the run has pinned, and pins what is found", async () => {
    const { host } = started(step("a"), step("b", { needs: ["a"] }));
    expect(host.asking(1).wanted.bound("google")).toBeNull();
    await host.asking(1).answer({ ...READY, bound: [{ name: "google", to: { epoch: 1 } }] });
    await host.attempt(1).end(OK);
    expect(host.asking(2).wanted.bound("google")).toEqual({ epoch: 1 });
    expect(host.asking(2).wanted.bound("constructor")).toBeNull();
  });

  it("asks again where another one was pinned meanwhile (N3)", async () => {
    const { host } = started(step("a"), step("b"));
    await host.asking(1).answer({ ...READY, bound: [{ name: "google", to: { epoch: 1 } }] });
    await host.asking(2).answer({ ...READY, bound: [{ name: "google", to: { epoch: 2 } }] });
    expect(host.attempts).toHaveLength(1);
    expect(host.asking(3).wanted.bound("google")).toEqual({ epoch: 1 });
    await host.asking(3).answer(READY);
    expect(host.attempts).toHaveLength(2);
  });

  it("leaves in the journal which credentials it was lent", async () => {
    const { host } = started(step("a"));
    const about = [{ connection: "conn_1", version: 3 }];
    await host.asking(1).answer({ ...READY, about });
    expect(host.rows.at(-1)?.facts).toMatchObject([{ t: "started", credentials: about }]);
    expect(JSON.stringify(host.rows)).not.toContain("lent");
  });

  it("leaves there, once it is over, where they were sent and how it ended, in the same row; also when that is too late", async () => {
    const { host, driver } = started(step("a", { effect: "safe", timeoutMs: 60_000 }));
    await host.asking(1).answer({ ...READY, about: [{ connection: "conn_1", version: 3 }] });
    const credentials = [{ connection: "conn_1", version: 3, hosts: ["a.example"] }];
    driver.command({ t: "cancel", mode: "immediate", by: "ada" });
    const before = host.rows.length;
    await host.attempt(1).end({ ...OK, credentials });
    expect(host.rows).toHaveLength(before + 1);
    expect(host.rows.at(-1)?.facts).toMatchObject([
      { t: "used", step: "a", attempt: 1, as: "success", credentials },
      { t: "late" },
    ]);

    const timely = started(step("a"));
    await timely.host.asking(1).answer(READY);
    await timely.host.attempt(1).end({ ...OK, credentials });
    expect(types(timely.host)).toEqual(["run_started", "ready", "started", "used", "succeeded", "ended"]);
    expect(timely.host.rows).toHaveLength(3);
  });

  it("can find out what names mean while it runs: that is pinned when it ends, and replaces nothing", async () => {
    const { host, driver } = started(step("free"), step("free2", { needs: ["free"] }));
    const found = (epoch: number) => [{ name: "google", to: { epoch } }];
    await host.attempt(1).end({ ...OK, bound: found(1) });
    expect(types(host).slice(-4)).toContain("bound");
    expect(host.attempt(2).call.bound("google")).toEqual({ epoch: 1 });
    await host.attempt(2).end({ ...OK, bound: found(2) });
    expect(driver.state?.bound).toEqual({ google: { epoch: 1 } });
  });

  it("is told what it was parked for, with the version of the grant that the service refused", async () => {
    const { host, driver } = started(step("a"));
    expect(host.asking(1).wanted.parked).toBeNull();
    await host.asking(1).answer(READY);
    const refused = { ...GOOGLE, reason: "rejected", refused: true, version: 7 } as const;
    await host.attempt(1).end({ kind: "needs", need: refused });
    driver.command({ t: "connection_changed", integration: "google" });
    expect(host.asking(2).wanted.parked).toMatchObject({ reason: "rejected", version: 7 });
  });

  it("fails without being performed where it can never have one", async () => {
    const { host, driver } = started(step("a", { effect: "once" }));
    const failure = { code: "connection_ambiguous", message: "two", hint: "name", retryable: false } as const;
    await host.asking(1).answer({ kind: "cannot", failure });
    expect(unit(driver.state, "a")).toMatchObject({ status: "failed", outcome: "not_done", failure });
    expect(host.attempts).toEqual([]);
  });

  it("takes a slot while it asks: six things go on at a time", async () => {
    const { host } = started(...["a", "b", "c", "d", "e", "f", "g", "free"].map((name) => step(name)));
    expect([host.askings.length, host.attempts.length]).toEqual([6, 0]);
    await host.asking(1).answer(LACKING);
    expect([host.askings.length, host.attempts.length]).toEqual([7, 0]);
    await host.asking(2).answer(LACKING);
    expect([host.askings.length, host.attempts.length]).toEqual([7, 1]);
  });
});

describe("an asking", () => {
  it("that is lost with its life is asked again by the next, within a minute, and nothing is unknown (Q1)", () => {
    const { host } = started(step("a", { effect: "once", timeoutMs: 600_000 }));
    const before = types(host);
    expect(host.alarmAt).toBeLessThanOrEqual(host.now + 60_000);
    host.live();
    expect(host.askings).toHaveLength(2);
    expect(types(host)).toEqual(before);
  });

  it("that nobody answers ends within a minute as a need that any change mends (Q2)", async () => {
    const { host, driver } = started(step("a"));
    host.passTo(host.now + 60_000);
    await rest();
    expect(unit(driver.state, "a")).toMatchObject({
      status: "waiting",
      parked: { need: { integration: "", reason: "unavailable" } },
    });
    driver.command({ t: "connection_changed", integration: "slack" });
    expect(host.askings).toHaveLength(2);
    // The answer that comes after all is nobody's.
    await host.asking(1).answer(READY);
    expect(host.attempts).toEqual([]);
  });

  it("that throws is a need like one that nobody answers", async () => {
    const { host, driver } = started(step("a"));
    await host.asking(1).answer(new Error("the keeper is away"));
    expect(unit(driver.state, "a").parked?.need.reason).toBe("unavailable");
    expect(host.gaveUp).toEqual([]);
  });

  it("is dropped where the unit is not due any more, and what was lent is lent to nobody (Q3)", async () => {
    const { host, driver } = started(step("a"));
    driver.command({ t: "pause", by: "ada" });
    await host.asking(1).answer(READY);
    expect(host.attempts).toEqual([]);
    driver.command({ t: "resume", by: "ada" });
    expect(host.askings).toHaveLength(2);
    driver.command({ t: "cancel", mode: "graceful", by: "ada" });
    driver.redrive("ada", []);
    // The answer to the last generation is not one to this.
    await host.asking(2).answer(READY);
    expect(host.attempts).toEqual([]);
    await host.asking(3).answer(READY);
    expect(host.attempts).toHaveLength(1);
  });

  it("whose answer was overtaken by a change is asked again at once (Q4)", async () => {
    const { host, driver } = started(step("a"));
    driver.command(CHANGED);
    const rows = host.rows.length;
    await host.asking(1).answer(LACKING);
    expect([host.askings.length, host.rows.length]).toEqual([2, rows]);
    await host.asking(2).answer(LACKING);
    expect(unit(driver.state, "a").status).toBe("waiting");
  });

  it("that met a limit of the platform is asked again in a fresh event", async () => {
    const { host, driver } = started(step("a"));
    await host.asking(1).answer({ kind: "hop" });
    expect([host.alarmAt, host.askings.length]).toEqual([host.now + 1, 1]);
    driver.alarmFired();
    expect(host.askings).toHaveLength(2);
  });

  it("counts as a call of its event; an answer that finds the event full is used in the next", async () => {
    const host = new Host();
    host.lent.add("a");
    const driver = host.live("v1", { ...DEFAULT_LIMITS, callsPerEvent: 1 });
    driver.start(RUN, graph(step("a")), null);
    await host.asking(1).answer(READY);
    expect([host.attempts.length, host.alarmAt]).toEqual([0, host.now + 1]);
    driver.alarmFired();
    expect([host.askings.length, host.attempts.length]).toEqual([1, 1]);
  });
});

describe("a parked step", () => {
  it("looks again by itself when its wake-up is lost, and does not spin meanwhile (N2)", async () => {
    const { host, driver } = started(step("a"));
    await host.asking(1).answer(LACKING);
    expect(host.alarmAt).toBeLessThanOrEqual(host.now + 60_000);
    host.now += 60_000;
    driver.alarmFired();
    expect(host.askings).toHaveLength(2);
    // The wait is over, and what waited is being asked about: nothing else wakes for it.
    for (let i = 0; i < 3; i++) host.passTo(host.now + 1);
    expect(host.askings).toHaveLength(2);
    await host.asking(2).answer(READY);
    await host.attempt(1).end(OK);
    expect(driver.state?.status).toBe("succeeded");
  });

  it("is resumed by a change, once, with the attempt that it waited with", async () => {
    const { host, driver } = started(step("a", { effect: "once" }));
    await host.asking(1).answer(LACKING);
    for (let times = 0; times < 2; times++) driver.command(CHANGED);
    expect(host.askings).toHaveLength(2);
    await host.asking(2).answer(READY);
    expect(host.attempt(1).call.attempt).toBe(1);
    driver.command(CHANGED);
    expect([host.askings.length, host.attempts.length]).toEqual([2, 1]);
  });

  it("looks after its child without any credential", async () => {
    const { host, driver } = started(step("a", { effect: "keyed" }));
    await host.asking(1).answer(READY);
    await host.attempt(1).end({ kind: "child", run: "run_2", generation: 1, limitMs: 86_400_000 });
    driver.command({ t: "child_ended", unit: { step: "a" }, run: "run_2", generation: 1 });
    expect([host.askings.length, host.attempts.length]).toEqual([1, 2]);
  });
});
