/** Parking: a unit that lacks its credential waits for it, counts nothing, and goes on exactly there (N1 to N4). */

import { describe, expect, test } from "vitest";
import {
  CLOUD_REASONS,
  EFFECTS,
  NEED_REASONS,
  nextWake,
  toSnapshot,
  decide,
  type ConnectionNeed,
  type Input,
  type Need,
  type NeedReason,
} from "../../src/kernel/index.ts";
import {
  call,
  cloudNeed,
  DAY,
  ends,
  HOUR,
  instant,
  MINUTE,
  need,
  performance,
  retry,
  SECOND,
  verify,
} from "./support/build.ts";
import { Play, ref } from "./support/play.ts";

const PASSING = { limitMs: HOUR, recheckMs: SECOND } as const;
const REASONS = Object.keys(NEED_REASONS) as NeedReason[];

/** A run whose step `a` is parked. */
function parked(lacking: Need = need(), over: Parameters<typeof call>[2] = {}): Play {
  const play = new Play([call("a", "once", over)]);
  play.hold("a", lacking);
  return play;
}

describe("what is due and lacks its credential", () => {
  test("waits, has begun nothing, and lets its run wait", () => {
    const play = parked();
    expect(play.unit("a")).toMatchObject({
      status: "waiting",
      attempt: 0,
      tries: 0,
      maybe: false,
      startedAt: null,
      deadline: play.now + DAY,
      wakeAt: play.now + MINUTE,
    });
    expect([play.run, play.jobs()]).toEqual(["waiting", []]);
  });

  test("goes on at once when its connection has changed, as the same attempt", () => {
    const play = parked();
    expect(play.changed()).toHaveLength(1);
    expect(play.jobs()).toEqual(["attempt a"]);
    expect(play.begin("a")).toBe(1);
    play.end("a", ends.success());
    expect(play.unit("a")).toMatchObject({ status: "succeeded", attempt: 1, tries: 1, parked: null });
  });

  test("looks by itself should nobody tell it (N2): later and later, up to an hour", () => {
    const play = parked(need("missing", { limitMs: 30 * DAY }));
    const waits = [];
    for (let look = 0; look < 9; look++) {
      waits.push(((nextWake(play.state, play.now) ?? 0) - play.now) / MINUTE);
      play.wake();
      expect(play.jobs()).toEqual(["attempt a"]);
      play.hold("a", need("missing", { limitMs: 30 * DAY }));
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60]);
  });

  test("looks at a provider that is away from each second to each minute, and at one that told a time just then", () => {
    for (const [reason, expected] of [
      ["unavailable", [1, 2, 4, 8, 16, 32, 60, 60]],
      ["rate_limited", [7, 7, 7, 7, 7, 7, 7, 7]],
    ] as const) {
      const lacking = need(reason, { ...PASSING, recheckMs: (expected[0] ?? 1) * SECOND });
      const play = parked(lacking);
      const waits = expected.map(() => {
        const wait = (nextWake(play.state, play.now) ?? 0) - play.now;
        play.wake();
        play.hold("a", lacking);
        return wait / SECOND;
      });
      expect(waits).toEqual(expected);
    }
  });

  test.for(REASONS)("fails at its limit, counted from its first park for %s", (reason) => {
    const passing = NEED_REASONS[reason] === "time";
    const lacking = need(reason, passing ? PASSING : {});
    const play = parked(lacking);
    const limitAt = play.now + lacking.limitMs;
    play.pass(lacking.limitMs / 2);
    play.hold("a", lacking);
    expect(play.unit("a")).toMatchObject({ deadline: limitAt, parked: { since: limitAt - lacking.limitMs } });
    play.now = limitAt;
    play.tick();
    expect(play.unit("a")).toMatchObject({
      status: "failed",
      outcome: "not_done",
      failure: {
        code: passing ? "connection_unavailable" : "connection_required",
        retryable: passing,
      },
    });
    expect(play.run).toBe("failed");
  });

  test.for(CLOUD_REASONS)("fails at its limit for want of a cloud role: %s", (reason) => {
    const play = parked(cloudNeed(reason));
    play.now += HOUR;
    play.tick();
    expect(play.unit("a")).toMatchObject({
      status: "failed",
      outcome: "not_done",
      failure: { code: "cloud_unavailable", retryable: true },
    });
    expect(play.unit("a").failure?.message).toContain("writer");
  });

  test("looks for a cloud role again by itself, and no change of a connection wakes it", () => {
    const play = parked(cloudNeed());
    const wakeAt = nextWake(play.state, play.now);
    play.changed();
    expect([nextWake(play.state, play.now), wakeAt]).toEqual([play.now + SECOND, play.now + SECOND]);
    play.wake();
    play.begin("a");
    expect(play.unit("a")).toMatchObject({ status: "running", attempt: 1 });
  });

  test.for([
    ["another role", cloudNeed("unavailable", { role: "reader" })],
    ["the same role, for another reason", cloudNeed("propagating")],
    ["a connection of that name", need("unavailable", { integration: "writer" })],
  ] as const)("begins a new wait for %s", ([, other]) => {
    const play = parked(cloudNeed("unavailable", { limitMs: 2 * HOUR }));
    play.pass(HOUR);
    play.hold("a", other);
    expect(play.unit("a").parked).toMatchObject({ looks: 1, since: play.now });
  });

  test("goes on waiting for the same role", () => {
    const play = parked(cloudNeed());
    play.pass(HOUR / 2);
    play.hold("a", cloudNeed("unavailable", { detail: "still" }));
    expect(play.unit("a").parked).toMatchObject({ looks: 2, limitAt: play.now + HOUR / 2 });
  });

  test("is asked for in a circle by no refusal of a cloud role: it counts as none (N4)", () => {
    const play = new Play([call("a", "keyed")]);
    for (let i = 0; i < 12; i += 1) {
      play.begin("a");
      play.end("a", { kind: "needs", need: { ...cloudNeed(), ...{ refused: true } } });
      play.wake();
    }
    expect(play.unit("a")).toMatchObject({ status: "waiting", refusals: null });
  });

  test("begins a new wait where it lacks something else", () => {
    const play = parked();
    play.pass(23 * HOUR);
    play.hold("a", need("scope_missing", { scopes: ["calendar"] }));
    expect(play.unit("a")).toMatchObject({ deadline: play.now + DAY, parked: { looks: 1, since: play.now } });
  });

  test("is refused where nothing is due, and where an attempt is in flight", () => {
    const play = parked();
    const input = { t: "hold", unit: ref("a"), attempt: 1, need: need() } as const;
    expect(play.refusal(input)).toBe("not_due");
    play.changed();
    expect(play.refusal({ ...input, attempt: 2 })).toBe("not_due");
    play.begin("a");
    expect(play.refusal({ ...input, attempt: 2 })).toBe("not_due");
    expect(play.refusal({ ...input, unit: ref("nothing") })).toBe("not_due");
  });

  test.for(EFFECTS)("is not unknown by a death of the object, whatever its effect: %s", (effect) => {
    const play = new Play([call("a", effect)]);
    play.prepare("a");
    const lost = { t: "attempt_lost", unit: ref("a"), attempt: 1, strike: true } as const;
    expect(play.refusal(lost)).toBe("not_due");
    play.hold("a");
    expect(play.refusal(lost)).toBe("not_due");
    expect([play.status("a"), play.count("unknown"), play.unit("a").strikes]).toEqual(["waiting", 0, 0]);
  });

  test("keeps nothing of a need but what a need has (K12)", () => {
    for (const lacking of [need(), cloudNeed()]) {
      const more = { token: "secret", detail: "d".repeat(9_999) };
      const play = parked({ ...lacking, ...more });
      expect(JSON.stringify([play.facts, toSnapshot(play.state)])).not.toContain("secret");
      expect(play.unit("a").parked?.need.detail).toHaveLength(500);
    }
  });

  test("takes a limit or a time to look again that is none for the usual ones (K9)", () => {
    for (const ms of [Number.NaN, -1, 0, Infinity]) {
      const play = parked(need("missing", { limitMs: ms, recheckMs: ms }));
      expect(play.unit("a")).toMatchObject({ deadline: play.now + DAY, wakeAt: play.now + SECOND });
    }
  });
});

describe("a change of a connection", () => {
  test.for<[string, Partial<ConnectionNeed>, Record<string, string>, boolean]>([
    ["of the integration", {}, {}, true],
    ["of another integration", {}, { integration: "slack" }, false],
    ["of the account", { account: "work" }, { account: "work" }, true],
    ["of another account", { account: "work" }, { account: "home" }, false],
    ["of the connection", { connection: "conn_1" }, { connection: "conn_1", account: "renamed" }, true],
    ["of another connection", { connection: "conn_1" }, { connection: "conn_2" }, false],
    ["of whatever, where nobody could say which", { integration: "" }, { integration: "slack" }, true],
  ])("%s wakes whoever may wait for it", ([, lacking, change, wakes]) => {
    const play = parked(need("missing", lacking));
    expect(play.changed(change).map(({ t }) => t)).toEqual(wakes ? ["unparked"] : []);
    expect(play.jobs()).toEqual(wakes ? ["attempt a"] : []);
  });

  test("is harmless before anything waits, told twice, after the step, and after the end", () => {
    const play = new Play([call("a")]);
    expect(play.changed()).toEqual([]);
    play.hold("a");
    expect([play.changed().length, play.changed().length]).toEqual([1, 0]);
    play.succeed("a");
    expect(play.changed()).toEqual([]);
    play.finish();
    expect(play.changed()).toEqual([]);
  });

  test("is kept while the run is paused, and starts nothing until it is resumed", () => {
    const play = parked();
    play.take({ t: "pause", by: "ada" });
    play.changed();
    expect(play.jobs()).toEqual([]);
    play.take({ t: "resume", by: "ada" });
    expect(play.jobs()).toEqual(["attempt a"]);
  });
});

describe("an attempt that the service refuses for want of a credential", () => {
  test("does not count (N1): neither as a try, nor against the time of the policy", () => {
    const play = new Play([call("a", "once", { retry: retry({ attempts: 2, maxElapsedMs: MINUTE }) })]);
    for (const reason of ["revoked", "expired", "replaced"] as const) {
      play.begin("a");
      play.now += 30 * SECOND;
      play.end("a", ends.needs(reason));
      expect(play.unit("a")).toMatchObject({ status: "waiting", tries: 0, spentMs: 0, maybe: false });
      play.pass(2 * HOUR);
    }
    play.attempt("a", ends.refused());
    play.wake();
    play.succeed("a");
    expect(play.unit("a")).toMatchObject({ status: "succeeded", attempt: 5, tries: 2 });
  });

  test("leaves what an earlier one may have done as unknown as it was", () => {
    const play = new Play([call("a", "keyed")]);
    play.attempt("a", ends.unclear());
    play.wake();
    play.attempt("a", ends.needs("revoked"));
    expect(play.unit("a")).toMatchObject({ status: "waiting", maybe: true, tries: 1 });
    play.pass(DAY);
    expect(play.unit("a")).toMatchObject({ status: "failed", outcome: "unknown" });
  });

  test("fails once it was mended, and is refused for the same again (N4)", () => {
    const play = new Play([call("a", "once")]);
    play.attempt("a", ends.needs("rejected", { refused: true }));
    play.changed();
    play.attempt("a", ends.needs("scope_missing", { refused: true }));
    play.changed();
    play.attempt("a", ends.needs("rejected", { refused: true }));
    expect(play.unit("a")).toMatchObject({
      status: "failed",
      outcome: "not_done",
      failure: { code: "connection_rejected", retryable: false },
    });
  });

  test("waits for each scope that the service misses, and fails when one is missed again (N4)", () => {
    const play = new Play([call("a", "once")]);
    for (const scopes of [["mail"], ["files", "mail"], ["files"]]) {
      play.attempt("a", ends.needs("scope_missing", { refused: true, scopes }));
      expect(play.status("a")).toBe("waiting");
      play.changed();
    }
    play.attempt("a", ends.needs("scope_missing", { refused: true, scopes: ["mail", "files"] }));
    expect(play.unit("a")).toMatchObject({ status: "failed", failure: { code: "connection_rejected" } });
  });

  test("is not asked for one scope after the other without end (N4)", () => {
    const play = new Play([call("a", "once")]);
    let asked = 0;
    while (play.status("a") !== "failed") {
      play.attempt("a", ends.needs("scope_missing", { refused: true, scopes: [`scope-${asked++}`] }));
      play.changed();
    }
    expect([asked, play.unit("a").failure?.code]).toEqual([9, "connection_rejected"]);
  });

  test("is not refused again by whoever keeps the credential: only the service can", () => {
    const play = new Play([call("a")]);
    play.attempt("a", ends.needs("rejected", { refused: true }));
    play.pass(MINUTE);
    play.hold("a", need("rejected", { refused: true }));
    expect(play.status("a")).toBe("waiting");
  });

  test("is asked for in its limit even if attempts begin in between", () => {
    const play = new Play([call("a")]);
    const started = play.now;
    play.attempt("a", ends.needs("unavailable", PASSING));
    while (play.status("a") === "waiting" && play.now - started <= HOUR) {
      play.wake();
      if (play.jobs().length > 0) play.attempt("a", ends.needs("unavailable", PASSING));
    }
    expect(play.unit("a")).toMatchObject({ status: "failed", failure: { code: "connection_unavailable" } });
  });

  test("stands still in a run that drains, and clears the doubt when it comes late", () => {
    const play = new Play([call("a", "once"), call("b", "once")]);
    play.begin("a");
    play.begin("b");
    play.pass(MINUTE);
    expect(play.unit("a")).toMatchObject({ status: "unknown", listening: true });
    play.end("a", ends.needs("revoked"));
    expect(play.unit("a")).toMatchObject({ status: "backing_off", maybe: false });
    play.take({ t: "cancel", mode: "graceful", by: "ada" });
    play.end("b", ends.needs("revoked"));
    expect(play.unit("b")).toMatchObject({ status: "cancelled", outcome: "not_done" });
  });
});

describe("a parked unit", () => {
  test("takes no place of its forEach, and needs one again to begin", () => {
    const forEach = { list: null, concurrency: 2, tolerate: 0 };
    const play = new Play([call("a", "safe", { forEach })]);
    play.prepare("a", { kind: "list", list: { v: [1, 2, 3, 4] }, count: 4 });
    play.hold("a[0]");
    play.hold("a[1]");
    play.begin("a[2]");
    play.begin("a[3]");
    play.changed();
    expect(play.jobs()).toEqual([]);
    play.end("a[2]", ends.success());
    expect(play.jobs()).toEqual(["attempt a[0]"]);
    play.succeed("a[0]");
    play.end("a[3]", ends.success());
    play.succeed("a[1]");
    play.finish();
    expect(play.run).toBe("succeeded");
  });

  test("is a round of a repeat that does not count, and the next round begins with no refusal behind it", () => {
    const repeat = { until: null, everyMs: SECOND, max: 3, withinMs: DAY };
    const play = new Play([call("a", "safe", { repeat })]);
    play.attempt("a", ends.needs("rejected", { refused: true }));
    play.changed();
    play.attempt("a", ends.again());
    play.wake();
    play.attempt("a", ends.needs("rejected", { refused: true }));
    expect(play.unit("a")).toMatchObject({ status: "waiting", iteration: 1, tries: 0 });
  });

  test("can be an undoing: it holds back what it must, and is left behind at its limit", () => {
    const compensate = performance("idempotent");
    const play = new Play([
      call("a", "keyed", { compensate }),
      call("b", "keyed", { compensate, needs: ["a"] }),
      call("c", "safe", { needs: ["b"] }),
    ]);
    play.succeed("a", "b");
    play.attempt("c", ends.cannot());
    play.hold("b/undo", need("revoked", { limitMs: HOUR }));
    expect([play.run, play.jobs()]).toEqual(["compensating", []]);
    play.pass(HOUR);
    play.succeed("a/undo");
    expect(play.state.failure?.left_behind).toMatchObject([
      { step: "b", reason: "compensation_failed", code: "connection_required" },
    ]);
  });

  test("can be an undoing that goes on, or whose budget ends first", () => {
    const steps = [
      call("a", "keyed", { compensate: performance("idempotent") }),
      call("b", "safe", { needs: ["a"] }),
    ];
    for (const changes of [true, false]) {
      const play = new Play(steps, { graph: { undoBudgetMs: HOUR } });
      play.succeed("a");
      play.attempt("b", ends.cannot());
      play.hold("a/undo", need("revoked"));
      if (changes) {
        play.changed();
        play.succeed("a/undo");
      } else play.pass(HOUR);
      expect([play.run, play.unit("a").undone]).toEqual(["failed", changes]);
    }
  });

  test("can be a check, which is asked once it has what it needs", () => {
    const play = new Play([call("a", "once", { verify: verify() })]);
    play.attempt("a", ends.unclear());
    play.wake();
    play.hold("a/verify");
    expect([play.status("a"), play.run]).toEqual(["unknown", "waiting"]);
    play.changed();
    play.attempt("a/verify", ends.happened(true));
    expect(play.unit("a")).toMatchObject({ status: "succeeded", outcome: "done" });
  });

  test("is unknown where its key may be forgotten when it goes on (K6)", () => {
    const play = new Play([call("a", "keyed", { keyTtlMs: MINUTE })]);
    play.attempt("a", ends.unclear());
    play.wake();
    play.hold("a");
    play.pass(HOUR);
    play.begin("a");
    expect(play.unit("a")).toMatchObject({ status: "unknown", parked: null });
  });

  test("ends with its run: cancelled, at the deadline, redriven from the start", () => {
    const play = parked();
    play.take({ t: "cancel", mode: "graceful", by: "ada" });
    expect(play.unit("a")).toMatchObject({ status: "cancelled", outcome: "not_done", parked: null });
    play.take({ t: "redrive", by: "ada", resolve: [] });
    play.hold("a", need("missing", { limitMs: 30 * DAY }));
    play.pass(30 * DAY - 1);
    play.hold("a", need("revoked"));
    play.pass(1);
    expect(play.run).toBe("failed");
    expect(play.state.failure?.code).toBe("deadline_exceeded");
    play.take({ t: "redrive", by: "ada", resolve: [] });
    play.succeed("a");
    expect(play.unit("a")).toMatchObject({ status: "succeeded", tries: 1 });
  });

  test("takes what its step says of failures", () => {
    const play = new Play([
      call("a", "safe", { onFailure: { fallback: "none" } }),
      instant("b", { needs: ["a"] }),
    ]);
    play.hold("a");
    play.pass(DAY);
    expect(play.unit("a")).toMatchObject({ status: "succeeded", failure: { code: "connection_required" } });
    expect(play.jobs()).toEqual(["prepare b"]);
  });

  test("has a limit that falls due while the run is paused", () => {
    const play = parked();
    play.take({ t: "pause", by: "ada" });
    expect(nextWake(play.state)).toBe(play.now + DAY);
    play.pass(DAY);
    expect(play.status("a")).toBe("failed");
  });
});

describe("an attempt that was refused after it had sent something else", () => {
  const midway = { ...ends.needs("revoked"), maybe: true } as const;

  test.each(["idempotent", "keyed"] as const)("parks if it is %s, and may have happened", (effect) => {
    const play = new Play([call("a", effect)]);
    play.attempt("a", midway);
    expect(play.unit("a")).toMatchObject({ status: "waiting", maybe: true, tries: 0 });
    play.pass(DAY);
    expect(play.unit("a")).toMatchObject({ status: "failed", outcome: "unknown" });
  });

  test("parks if it is safe, and nothing happened", () => {
    const play = new Play([call("a", "safe")]);
    play.attempt("a", midway);
    expect(play.unit("a")).toMatchObject({ status: "waiting", maybe: false });
  });

  test("is unknown if it is once", () => {
    const play = new Play([call("a", "once")]);
    play.attempt("a", midway);
    expect(play.unit("a")).toMatchObject({ status: "unknown", failure: { code: "connection_required" } });
  });
});

describe("what a name means in a run", () => {
  const begin = (unit: string, attempt: number, epoch: number) =>
    ({
      t: "begin",
      unit: ref(unit),
      attempt,
      version: "v1",
      bound: [{ name: "google", to: { connection: "conn_1", epoch } }],
    }) as const;

  test("is pinned with the attempt that used it first, and once (N3)", () => {
    const play = new Play([call("a"), call("b")]);
    play.prepare("a");
    play.prepare("b");
    expect(play.take(begin("a", 1, 1)).map(({ t }) => t)).toEqual(["bound", "started"]);
    expect(play.take(begin("b", 1, 1)).map(({ t }) => t)).toEqual(["started"]);
    expect(play.state.bound).toEqual({ google: { connection: "conn_1", epoch: 1 } });
  });

  test("is pinned for every name that the attempt uses, and for none where one of them was pinned otherwise (N3)", () => {
    const play = new Play([call("a"), call("b")]);
    play.prepare("a");
    play.prepare("b");
    const slack = { name: "slack", to: { epoch: 1 } };
    const refusal = (input: Input): string => {
      const decision = decide(play.state, input, play.now, 0);
      return decision.ok ? "taken" : decision.refusal.code;
    };
    const both = (epoch: number) => ({
      ...begin("a", 1, epoch),
      bound: [...begin("a", 1, epoch).bound, slack],
    });
    expect(play.take(both(1)).map(({ t }) => t)).toEqual(["bound", "bound", "started"]);
    const other = { ...both(2), unit: ref("b") };
    expect(refusal(other)).toBe("not_due");
    expect(play.unit("b").status).toBe("pending");
    const twice = { ...begin("b", 1, 1), bound: [slack, { name: "slack", to: { epoch: 2 } }] };
    expect(refusal(twice)).toBe("not_due");
  });

  test("stands beside what the journal says of the credentials of an attempt", () => {
    const play = new Play([call("a")]);
    play.prepare("a");
    const credentials = [{ connection: "conn_1", version: 3 }];
    expect(play.take({ ...begin("a", 1, 1), credentials }).at(-1)).toMatchObject({
      t: "started",
      credentials,
    });
  });

  test("is not replaced by an attempt that would use another one: it does not begin", () => {
    const play = new Play([call("a"), call("b")]);
    play.prepare("a");
    play.prepare("b");
    play.take(begin("a", 1, 1));
    expect(play.refusal(begin("b", 1, 2))).toBe("not_due");
    expect(play.status("b")).toBe("pending");
  });

  test("is replaced by a person's word, which wakes what waits for it, over generations", () => {
    const play = new Play([call("a"), call("b"), call("c")]);
    for (const name of ["a", "b", "c"]) play.prepare(name);
    play.take(begin("a", 1, 1));
    play.end("a", ends.success());
    play.hold("b", need("replaced"));
    play.hold("c", need("revoked"));
    const to = { connection: "conn_1", epoch: 2 };
    const facts = play.take({ t: "rebind", name: "google", to, by: "ada" });
    expect(facts).toMatchObject([
      { t: "bound", by: "ada" },
      { t: "unparked", step: "b" },
    ]);
    expect(play.take({ t: "rebind", name: "google", to, by: "ada" })).toEqual([]);
    play.take({ t: "cancel", mode: "immediate", by: "ada" });
    expect(play.refusal({ t: "rebind", name: "google", to, by: "ada" })).toBe("run_ended");
    play.take({ t: "redrive", by: "ada", resolve: [] });
    expect(play.state.bound).toEqual({ google: to });
  });
});
