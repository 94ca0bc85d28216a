/** Approvals: steps that wait for a person, calls that are held back until somebody releases them. */

import { describe, expect, test } from "vitest";
import { approvalIdOf, nextWake, parseApprovalId, type Input } from "../../src/kernel/index.ts";
import { approval, call, ends, gated, HOUR, MINUTE, performance, retry, SECOND } from "./support/build.ts";
import { Play, RUN } from "./support/play.ts";

function asked(...steps: Parameters<typeof approval>): Play {
  const play = new Play([approval(...steps), call("after", "safe", { needs: [steps[0]], join: "settled" })]);
  play.prepare(steps[0]);
  return play;
}

describe("a step that waits for a decision", () => {
  test("says what is asked, until when, and under which name", () => {
    const play = asked("ok");
    expect(play.last("asked")).toMatchObject({
      step: "ok",
      id: "run_1.ok.g1",
      limitAt: play.now + HOUR,
      text: "May it?",
    });
    expect([play.status("ok"), play.run, play.jobs()]).toEqual(["waiting", "waiting", []]);
  });

  test("succeeds when it is approved, with who and when as its output", () => {
    const play = asked("ok");
    play.now += MINUTE;
    play.take(play.decide("ok", "approved", { by: "identity:eve", via: "key_2", note: "fine" }));
    const output = { decision: "approved", by: "identity:eve", at: play.now, note: "fine" };
    expect(play.unit("ok")).toMatchObject({ status: "succeeded", outcome: "done", output: { v: output } });
    expect(play.last("decided")).toMatchObject({ as: "approved", by: "identity:eve", via: "key_2" });
    expect(play.jobs()).toEqual(["prepare after"]);
  });

  test.for([
    ["fail", { ok: "failed", after: "cancelled" }, "failed"],
    ["continue", { ok: "failed", after: "pending" }, "running"],
    [{ fallback: "no" }, { ok: "succeeded", after: "pending" }, "running"],
  ] as const)(
    "fails with `denied` when it is denied, and its onFailure (%j) decides",
    ([onFailure, steps, run]) => {
      const play = asked("ok", { onFailure });
      play.take(play.decide("ok", "denied", { note: "too much" }));
      expect(play.unit("ok").failure).toMatchObject({ code: "denied", step: "ok" });
      expect([play.statuses(), play.run]).toEqual([steps, run]);
    },
  );

  test("fails with `wait_expired` when nobody decides, and wakes for that", () => {
    const play = asked("ok", { onFailure: "continue" });
    expect(nextWake(play.state)).toBe(play.now + HOUR);
    play.wake();
    expect(play.unit("ok").failure).toMatchObject({ code: "wait_expired" });
    expect(play.refusal(play.decide("ok"))).toBe("not_waiting_for_approval");
  });

  test("takes no decision past its limit, looked at or not", () => {
    const play = asked("ok");
    play.now += HOUR;
    expect(play.refusal(play.decide("ok"))).toBe("not_waiting_for_approval");
  });

  test("is decided once: a second decision changes nothing, also after the end", () => {
    const play = asked("ok");
    play.take(play.decide("ok", "approved"));
    expect(play.take(play.decide("ok", "denied", { by: "carl" }))).toEqual([]);
    play.succeed("after");
    play.finish();
    expect(play.take(play.decide("ok", "denied"))).toEqual([]);
    expect(play.unit("ok").approval?.decided).toMatchObject({ as: "approved", by: "bob" });
  });

  test("is not decided by a signal of its name, not even in an open run that keeps every signal", () => {
    const signal: Input = { t: "signal", id: "1", name: "ok", payload: { v: { decision: "approved" } } };
    const closed = asked("ok");
    expect(closed.refusal(signal)).toBe("signal_not_expected");
    const open = new Play([approval("ok", { signal: "ok" })], { run: { open: true } });
    open.prepare("ok");
    open.take(signal);
    expect([open.status("ok"), open.state.buffered.length]).toEqual(["waiting", 1]);
  });

  test("is decided by nobody who started the run or appended to it, in person or by a link", () => {
    const play = new Play([approval("ok")], { run: { open: true } });
    play.prepare("ok");
    play.take({ t: "append", steps: [call("more")], by: "key_3" });
    for (const who of [
      { by: RUN.startedBy },
      { by: "key_3" },
      { via: RUN.startedBy },
      { via: "key_3" },
      { behind: ["root", "key_3"] },
    ])
      expect(play.refusal(play.decide("ok", "approved", who))).toBe("approver_is_starter");
    expect(play.status("ok")).toBe("waiting");
  });

  test("may be decided by somebody with the name of a step that returned steps", () => {
    const play = new Play([call("bob"), approval("ok")]);
    play.attempt("bob", ends.success("grown", [call("more")]));
    play.prepare("ok");
    play.take(play.decide("ok", "approved", { by: "bob" }));
    expect(play.status("ok")).toBe("succeeded");
  });

  test("is decided while the run is paused, and cancelled with it", () => {
    const play = asked("ok");
    play.take({ t: "pause", by: "ada" });
    play.take(play.decide("ok"));
    expect([play.status("ok"), play.jobs()]).toEqual(["succeeded", []]);
    const other = asked("ok");
    other.take({ t: "cancel", mode: "graceful", by: "ada" });
    expect(other.status("ok")).toBe("cancelled");
    expect(other.refusal(other.decide("ok"))).toBe("not_waiting_for_approval");
  });

  test("is asked anew in the next generation, unless it had succeeded", () => {
    const play = asked("ok");
    const first = play.decide("ok", "approved");
    play.take(play.decide("ok", "denied"));
    play.take({ t: "redrive", by: "ada", resolve: [] });
    play.prepare("ok");
    expect(play.unit("ok").approval?.id).toBe("run_1.ok.g2");
    expect(play.refusal(first)).toBe("not_waiting_for_approval");
    play.take(play.decide("ok"));
    play.attempt("after", ends.cannot());
    play.take({ t: "redrive", by: "ada", resolve: [] });
    expect([play.status("ok"), play.jobs()]).toEqual(["succeeded", ["prepare after"]]);
  });
});

describe("the name of an approval", () => {
  test.for([
    [{ step: "a" }, 0, 1],
    [{ step: "a-b_c", item: 12 }, 3, 20],
  ] as const)("of %j says which run and unit it is about", ([unit, round, generation]) => {
    expect(parseApprovalId(approvalIdOf("run_1", unit, round, generation))).toEqual({ run: "run_1", unit });
  });

  test.for([
    "",
    "run_1",
    "run_1.a",
    "run_1.A.g1",
    "run_1.a.g",
    "run_1.a.x1.g1",
    "run_1.a.i.g1",
    ".a.g1",
    "a.b.c.g1",
  ])("%j is none", (id) => {
    expect(parseApprovalId(id)).toBeNull();
  });
});

describe("a call that somebody must release", () => {
  test("is asked about with its parameters filled in, and begins only once it is approved", () => {
    const play = new Play([gated("pay")]);
    play.prepare("pay", { kind: "call", digest: "d1", about: { host: "bank.example" } });
    expect(play.last("asked")).toMatchObject({
      id: "run_1.pay.g1",
      digest: "d1",
      about: { host: "bank.example" },
    });
    expect([play.jobs(), play.count("ready"), play.run]).toEqual([[], 0, "waiting"]);
    expect(play.refusal({ t: "begin", unit: { step: "pay" }, attempt: 1, version: "v" })).toBe("not_due");
    play.take(play.decide("pay"));
    expect([play.unit("pay").digest, play.jobs()]).toEqual(["d1", ["attempt pay"]]);
    play.attempt("pay");
    expect(play.status("pay")).toBe("succeeded");
  });

  test("is filled in again for the moment at which it was asked about", () => {
    const play = new Play([gated("pay")]);
    play.prepare("pay");
    const at = play.now;
    play.now += MINUTE;
    play.take(play.decide("pay"));
    expect(play.unit("pay")).toMatchObject({ readyAt: at, deadline: null });
  });

  test("is not asked about again for a retry", () => {
    const play = new Play([gated("pay", "keyed", { retry: retry({ attempts: 3 }) })]);
    play.prepare("pay");
    play.take(play.decide("pay"));
    play.attempt("pay", ends.unclear());
    play.pass(MINUTE);
    play.attempt("pay");
    expect([play.status("pay"), play.count("asked")]).toEqual(["succeeded", 1]);
  });

  test.for(["denied", "expired"] as const)(
    "that is %s was never sent, and what came before is undone",
    (how) => {
      const play = new Play([
        call("hold", "keyed", { compensate: performance("idempotent") }),
        gated("pay", "once", { needs: ["hold"] }),
      ]);
      play.succeed("hold");
      play.prepare("pay");
      if (how === "denied") play.take(play.decide("pay", "denied"));
      else play.wake();
      expect(play.unit("pay")).toMatchObject({
        status: "failed",
        outcome: "not_done",
        failure: { code: how === "denied" ? "denied" : "wait_expired" },
      });
      expect(play.jobs()).toEqual(["prepare hold/undo"]);
    },
  );

  test("does not begin while the run is paused, though it is approved", () => {
    const play = new Play([gated("pay")]);
    play.prepare("pay");
    play.take({ t: "pause", by: "ada" });
    play.take(play.decide("pay"));
    expect(play.jobs()).toEqual([]);
    play.take({ t: "resume", by: "ada" });
    expect(play.jobs()).toEqual(["attempt pay"]);
  });

  test("has an approval for each item; all are asked about at once, and begin within the concurrency", () => {
    const forEach = { list: "to", concurrency: 1, tolerate: 1 };
    const play = new Play([gated("mails", "keyed", { forEach })]);
    play.prepare("mails");
    for (const i of [0, 1, 2]) play.prepare(`mails[${i}]`);
    expect(play.unit("mails[2]").approval?.id).toBe("run_1.mails.i2.g1");
    play.take(play.decide("mails[0]"));
    play.take(play.decide("mails[1]", "denied"));
    play.take(play.decide("mails[2]"));
    expect(play.jobs()).toEqual(["attempt mails[0]"]);
    play.begin("mails[0]");
    expect(play.jobs()).toEqual([]);
    play.end("mails[0]", ends.success());
    play.succeed("mails[2]");
    expect([play.status("mails"), play.status("mails[1]")]).toEqual(["succeeded", "failed"]);
  });

  test("is asked about for each round of a repeat that sends something else", () => {
    const repeat = { until: "done", everyMs: 10 * SECOND, max: 5, withinMs: HOUR };
    const play = new Play([gated("job", "idempotent", { repeat })]);
    play.prepare("job", { kind: "call", digest: "d1" });
    play.take(play.decide("job"));
    play.attempt("job", ends.again());
    play.wake();
    play.prepare("job", { kind: "call", digest: "d1" });
    expect(play.jobs()).toEqual(["attempt job"]);
    play.attempt("job", ends.again());
    play.wake();
    play.prepare("job", { kind: "call", digest: "d2" });
    expect([play.unit("job").approval?.id, play.jobs()]).toEqual(["run_1.job.r2.g1", []]);
    play.take(play.decide("job", "denied"));
    expect(play.unit("job")).toMatchObject({ status: "failed", outcome: "done" });
  });

  test("is asked about anew in the next generation, and gets a new key for another payload (K6)", () => {
    const play = new Play([gated("pay", "keyed", { retry: retry({ attempts: 1 }) })]);
    play.prepare("pay", { kind: "call", digest: "d1" });
    play.take(play.decide("pay"));
    play.attempt("pay", ends.refused());
    play.take({ t: "redrive", by: "ada", resolve: [] });
    play.prepare("pay", { kind: "call", digest: "d2" });
    expect([play.jobs(), play.unit("pay").approval?.id]).toEqual([[], "run_1.pay.g2"]);
    play.take(play.decide("pay"));
    expect(play.unit("pay")).toMatchObject({ digest: "d2", gen: 1 });
    play.attempt("pay");
    expect(play.status("pay")).toBe("succeeded");
  });

  test("leaves its undoing free: what was done is taken back without asking", () => {
    const play = new Play([
      gated("pay", "keyed", { compensate: performance("idempotent") }),
      call("after", "safe", { needs: ["pay"] }),
    ]);
    play.prepare("pay");
    play.take(play.decide("pay"));
    play.attempt("pay");
    play.attempt("after", ends.cannot());
    play.prepare("pay/undo");
    expect(play.jobs()).toEqual(["attempt pay/undo"]);
  });
});
