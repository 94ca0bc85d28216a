/** Redrive: the next generation keeps what succeeded, repeats what failed, and never guesses (K1, K5, K6). */

import { describe, expect, test } from "vitest";
import { keyOf, limits, type Input, type ResolveAs, type StepDef } from "../../src/kernel/index.ts";
import {
  approval,
  call,
  DAY,
  ends,
  HOUR,
  instant,
  MINUTE,
  performance,
  retry,
  SECOND,
  wait,
} from "./support/build.ts";
import { leftBehind, Play, ref } from "./support/play.ts";

const undo: Partial<StepDef> = { compensate: performance("keyed") };

function redrive(...answers: readonly (readonly [string, ResolveAs["as"]])[]): Input {
  return {
    t: "redrive",
    by: "ada",
    resolve: answers.map(([unit, as]) => ({
      unit: ref(unit),
      as: as === "succeeded" ? { as, output: { v: "seen" } } : { as },
    })),
  };
}

const key = (play: Play, unit: string): string => keyOf("run_1", ref(unit), play.unit(unit));

/** One step, tried once: the run is lost by how its attempt ends. */
function lostBy(step: StepDef, end: Parameters<Play["attempt"]>[1]): Play {
  const play = new Play([{ ...step, retry: retry({ attempts: 1 }) }]);
  play.attempt(step.name, end);
  if (play.status(step.name) === "unknown") play.pass(limits.UNKNOWN_LIMIT_MS);
  expect(play.run).toBe("failed");
  return play;
}

describe("redrive", () => {
  test("opens the next generation with a fresh deadline, and clears the failure", () => {
    const play = lostBy(call("a"), ends.cannot());
    play.pass(HOUR);
    play.take(redrive());
    expect(play.state).toMatchObject({
      generation: 2,
      phase: "forward",
      status: null,
      failure: null,
      lost: null,
      budgetAt: null,
      endedAt: null,
      deadlineAt: play.now + limits.RUN_DEADLINE_MS,
    });
    expect(play.run).toBe("running");
  });

  test("keeps what succeeded, and runs what failed and what never ran", () => {
    const play = new Play([
      call("a"),
      call("b", "safe", { needs: ["a"] }),
      call("c", "safe", { needs: ["b"] }),
    ]);
    play.succeed("a");
    play.attempt("b", ends.cannot());
    play.take(redrive());
    expect([play.statuses(), play.jobs()]).toEqual([
      { a: "succeeded", b: "pending", c: "pending" },
      ["prepare b"],
    ]);
    play.succeed("b", "c");
    play.finish();
    expect(play.run).toBe("succeeded");
  });

  test("gives a step all its attempts again; their numbers count on (K7)", () => {
    const play = lostBy(call("a"), ends.cannot());
    play.take(redrive());
    expect(play.begin("a")).toBe(2);
    expect(play.unit("a").tries).toBe(1);
  });

  test("a result of the last generation is recorded, never applied (K7)", () => {
    const play = new Play([call("a")]);
    play.begin("a");
    play.take({ t: "cancel", mode: "immediate", by: "ada" });
    play.take(redrive());
    expect(play.end("a", ends.success(), 1, 1).map((fact) => fact.t)).toEqual(["late"]);
    expect(play.status("a")).toBe("pending");
  });

  test("of a run that has not ended, or that succeeded, is refused", () => {
    const play = new Play([call("a")]);
    expect(play.refusal(redrive())).toBe("already_ending");
    play.succeed("a");
    play.finish();
    expect(play.refusal(redrive())).toBe("nothing_to_redrive");
  });

  test("of a cancelled run that waits for unknown outcomes names them, and how to resolve each", () => {
    const forEach = { list: null, concurrency: 3, tolerate: 0 };
    const play = new Play([
      call("pay", "once"),
      call("mails", "once", { forEach }),
      call("room", "keyed", { compensate: performance("once") }),
    ]);
    play.prepare("mails", { kind: "list", list: { v: [1, 2] }, count: 2 });
    play.succeed("room");
    for (const name of ["pay", "mails[1]"]) play.attempt(name, ends.unclear());
    expect(play.send(redrive())).toMatchObject({ refusal: { code: "already_ending" } });
    play.take({ t: "cancel", mode: "graceful", by: "ada" });
    play.attempt("room/undo", ends.unclear());
    const decision = play.send(redrive());
    if (decision.ok) throw new Error("it was redriven");
    expect(decision.refusal).toMatchObject({
      code: "already_ending",
      details: [{ pointer: "/steps/pay" }, { pointer: "/steps/mails" }, { pointer: "/steps/room" }],
    });
    expect(decision.refusal.details?.map(({ detail }) => detail)).toEqual([
      "The outcome of pay is unknown: POST /v1/runs/run_1/steps/pay/resolve.",
      'The outcome of mails[1] is unknown: POST /v1/runs/run_1/steps/mails/resolve with "item": 1.',
      'The outcome of room/undo is unknown: POST /v1/runs/run_1/steps/room/resolve with "undo": true.',
    ]);
  });

  test("also redrives what was cancelled", () => {
    const play = new Play([call("a")]);
    play.take({ t: "cancel", mode: "graceful", by: "ada" });
    expect(play.run).toBe("cancelled");
    play.take(redrive());
    expect(play.jobs()).toEqual(["prepare a"]);
  });
});

describe("keys of the next generation (K6)", () => {
  test("a keyed step that failed keeps its key", () => {
    const play = lostBy(call("a", "keyed"), ends.refused());
    const before = key(play, "a");
    play.take(redrive());
    expect(key(play, "a")).toBe(before);
  });

  test("a payload that changed gets a key of its own", () => {
    const play = lostBy(call("a", "keyed"), ends.refused());
    const before = key(play, "a");
    play.take(redrive());
    play.prepare("a", { kind: "call", digest: "changed" });
    expect(key(play, "a")).not.toBe(before);
  });

  test("an undone step gets a new key, and so does its next undoing", () => {
    const play = new Play([call("a", "keyed", undo), call("b", "safe", { needs: ["a"] })]);
    play.succeed("a");
    play.attempt("b", ends.cannot());
    play.succeed("a/undo");
    const before = [key(play, "a"), key(play, "a/undo")];
    play.take(redrive());
    expect(play.unit("a")).toMatchObject({ status: "pending", undone: false });
    play.succeed("a");
    play.attempt("b", ends.cannot());
    play.succeed("a/undo");
    expect(new Set([...before, key(play, "a"), key(play, "a/undo")]).size).toBe(4);
    expect(play.state.failure?.undone).toEqual([{ step: "a" }]);
  });

  test("a compensation that failed gets a new key, and runs again when it is needed again", () => {
    const play = new Play([call("a", "keyed", undo), call("b", "safe", { needs: ["a"] })]);
    play.succeed("a");
    play.attempt("b", ends.cannot());
    play.attempt("a/undo", ends.cannot());
    const before = key(play, "a/undo");
    play.take(redrive());
    expect(play.status("a")).toBe("succeeded");
    play.attempt("b", ends.cannot());
    expect(play.jobs()).toEqual(["prepare a/undo"]);
    play.succeed("a/undo");
    expect(key(play, "a/undo")).not.toBe(before);
  });

  test("an onFailure step gets a new key", () => {
    const play = new Play([call("a"), call("voicemail", "keyed", { part: "on_failure" })]);
    play.attempt("a", ends.cannot());
    play.succeed("voicemail");
    const before = key(play, "voicemail");
    play.take(redrive());
    play.attempt("a", ends.cannot());
    expect(play.jobs()).toEqual(["prepare voicemail"]);
    expect(key(play, "voicemail")).not.toBe(before);
  });

  test("a repeat starts again from its first round, with new keys", () => {
    const repeat = { until: null, everyMs: SECOND, max: 2, withinMs: HOUR };
    const play = new Play([call("poll", "keyed", { repeat })]);
    const keys = [key(play, "poll")];
    play.attempt("poll", ends.again());
    play.wake();
    keys.push(key(play, "poll"));
    play.attempt("poll", ends.again());
    play.take(redrive());
    keys.push(key(play, "poll"));
    play.attempt("poll", ends.again());
    play.wake();
    keys.push(key(play, "poll"));
    expect(new Set(keys).size).toBe(4);
  });
});

describe("resolve_first", () => {
  test("while an outcome is unknown, and names every step", () => {
    const play = lostBy(call("pay", "once"), ends.unclear());
    const decision = play.send(redrive());
    expect(decision).toMatchObject({
      ok: false,
      refusal: { code: "resolve_first", details: [{ pointer: "/resolve/pay" }] },
    });
  });

  test("resolved as succeeded in the same call: kept with that output", () => {
    const play = lostBy(call("pay", "once"), ends.unclear());
    play.take(redrive(["pay", "succeeded"]));
    expect(play.unit("pay")).toMatchObject({ status: "succeeded", output: { v: "seen" } });
    expect(play.jobs()).toEqual(["output"]);
  });

  test.for(["retry", "failed"] as const)(
    "resolved as %s in the same call: it did not happen, and runs again",
    (as) => {
      const play = lostBy(call("pay", "once"), ends.unclear());
      play.take(redrive(["pay", as]));
      expect(play.jobs()).toEqual(["prepare pay"]);
      expect(play.last("resolved")).toMatchObject({ step: "pay", as, by: "ada" });
    },
  );

  test("a keyed step whose outcome is unknown keeps its key when it is tried again", () => {
    const play = lostBy(call("a", "keyed"), ends.unclear());
    const before = key(play, "a");
    expect(play.refusal(redrive())).toBe("resolve_first");
    play.take(redrive(["a", "retry"]));
    expect(key(play, "a")).toBe(before);
  });

  test("an undoing whose outcome is unknown is asked about, too", () => {
    const play = new Play([
      call("a", "keyed", { compensate: performance("once", { retry: retry({ attempts: 1 }) }) }),
      call("b", "safe", { needs: ["a"] }),
    ]);
    play.succeed("a");
    play.attempt("b", ends.cannot());
    play.attempt("a/undo", ends.unclear());
    play.pass(limits.UNDO_BUDGET_MS);
    expect(leftBehind(play)).toEqual(["a: done, budget_exceeded"]);
    expect(play.refusal(redrive())).toBe("resolve_first");
    play.take(redrive(["a/undo", "succeeded"]));
    expect(play.unit("a")).toMatchObject({ status: "pending", gen: 1 });
  });

  test("an answer about a step that nobody asked about is refused", () => {
    const play = lostBy(call("a"), ends.cannot());
    expect(play.refusal(redrive(["a", "retry"]))).toBe("not_unknown");
    expect(play.refusal(redrive(["nothing", "retry"]))).toBe("not_unknown");
  });

  test("a once step that did happen, and still failed, is not repeated unasked (K5)", () => {
    const play = lostBy(call("pay", "once"), ends.unusable());
    expect(play.unit("pay")).toMatchObject({ status: "failed", outcome: "done" });
    expect(play.refusal(redrive())).toBe("resolve_first");
    play.take(redrive(["pay", "succeeded"]));
    expect(play.status("pay")).toBe("succeeded");
  });

  test("one that was undone is repeated without a question", () => {
    const play = new Play([call("pay", "once", undo)]);
    play.attempt("pay", ends.unusable());
    play.succeed("pay/undo");
    play.take(redrive());
    expect(play.jobs()).toEqual(["prepare pay"]);
  });
});

describe("a keyed step that did happen, and still failed", () => {
  const happened = (over: Partial<StepDef> = {}): Play => lostBy(call("a", "keyed", over), ends.unusable());

  test("is repeated with its key: its provider answers from memory", () => {
    const play = happened();
    const before = key(play, "a");
    play.take(redrive());
    play.attempt("a");
    expect([key(play, "a"), play.run]).toEqual([before, "running"]);
  });

  test("is still known to have happened when it fails again", () => {
    const play = happened();
    play.take(redrive());
    play.attempt("a", ends.cannot());
    expect(leftBehind(play)).toEqual(["a: unknown, outcome_unknown"]);
  });

  test("and when it is not reached again", () => {
    const play = happened();
    play.take(redrive());
    play.take({ t: "cancel", mode: "graceful", by: "ada" });
    expect(leftBehind(play)).toEqual(["a: unknown, outcome_unknown"]);
  });

  test("and when it is skipped this time", () => {
    const play = happened({ when: "maybe" });
    play.take(redrive());
    play.prepare("a", { kind: "skip" });
    expect(play.unit("a")).toMatchObject({ status: "skipped", outcome: "unknown" });
  });

  test("does not send another payload: with a new key it would happen twice (K6)", () => {
    const play = happened();
    play.take(redrive());
    play.prepare("a", { kind: "call", digest: "changed" });
    expect(play.unit("a")).toMatchObject({
      status: "failed",
      outcome: "done",
      failure: { code: "payload_changed" },
    });
  });

  test("unless a person says that it is to be tried again", () => {
    const play = happened();
    play.take(redrive(["a", "retry"]));
    play.prepare("a", { kind: "call", digest: "changed" });
    expect(play.jobs()).toEqual(["attempt a"]);
  });

  test("is unknown once its provider may have forgotten the key", () => {
    const play = happened({ keyTtlMs: DAY });
    play.pass(DAY + MINUTE);
    play.take(redrive());
    play.begin("a");
    expect(play.status("a")).toBe("unknown");
  });
});

describe("redrive of a forEach", () => {
  function each(over: Partial<StepDef> = {}, tolerate = 0): Play {
    const forEach = { list: null, concurrency: 3, tolerate };
    const play = new Play([
      call("mails", "keyed", { forEach, ...over }),
      call("b", "safe", { needs: ["mails"] }),
    ]);
    play.prepare("mails", { kind: "list", list: { v: [1, 2] }, count: 2 });
    return play;
  }

  test("keeps its list and the items that succeeded", () => {
    const play = each();
    play.succeed("mails[0]");
    play.attempt("mails[1]", ends.cannot());
    play.take(redrive());
    play.prepare("mails", { kind: "list", list: { v: [1, 2, 3] }, count: 3 });
    expect([play.unit("mails").list, play.jobs()]).toEqual([{ v: [1, 2] }, ["prepare mails[1]"]]);
    play.succeed("mails[1]");
    expect(play.unit("mails").output).toEqual({ list: [{ v: "ok" }, { v: "ok" }] });
  });

  test("runs items that were undone again, with new keys", () => {
    const play = each(undo);
    play.succeed("mails[0]");
    play.attempt("mails[1]", ends.cannot());
    const before = key(play, "mails[0]");
    play.succeed("mails[0]/undo");
    play.take(redrive());
    play.prepare("mails");
    expect(play.jobs()).toEqual(["prepare mails[0]", "prepare mails[1]"]);
    expect(key(play, "mails[0]")).not.toBe(before);
  });

  test("that succeeded keeps the failures that it tolerated", () => {
    const play = each({}, 1);
    play.succeed("mails[0]");
    play.attempt("mails[1]", ends.cannot());
    play.attempt("b", ends.cannot());
    play.take(redrive());
    expect([play.statuses(), play.jobs()]).toEqual([{ mails: "succeeded", b: "pending" }, ["prepare b"]]);
  });

  test("that is an onFailure step begins from its list; attempt numbers count on (K7)", () => {
    const forEach = { list: null, concurrency: 3, tolerate: 0 };
    const play = new Play([call("a"), call("calls", "safe", { part: "on_failure", forEach })]);
    play.attempt("a", ends.cannot());
    play.prepare("calls", { kind: "list", list: { v: [1] }, count: 1 });
    play.succeed("calls[0]");
    play.take(redrive());
    play.attempt("a", ends.cannot());
    play.prepare("calls", { kind: "list", list: { v: [1, 2] }, count: 2 });
    expect([play.begin("calls[0]"), play.begin("calls[1]")]).toEqual([2, 2]);
  });

  test("that is skipped this time takes the items that it kept with it", () => {
    const play = each({ when: "maybe" });
    play.succeed("mails[0]");
    play.attempt("mails[1]", ends.cannot());
    play.take(redrive());
    play.prepare("mails", { kind: "skip" });
    expect([play.status("mails"), play.status("mails[1]")]).toEqual(["skipped", "cancelled"]);
    play.take({ t: "cancel", mode: "graceful", by: "ada" });
    expect(leftBehind(play)).toEqual(["mails[0]: done, no_compensation"]);
  });
});

describe("what was made from something that is done anew", () => {
  /** `room` is undone by the cancel; what is between it and the end is the argument. */
  function undone(...between: readonly StepDef[]): Play {
    const play = new Play([call("room", "keyed", undo), ...between]);
    play.succeed("room");
    return play;
  }
  function again(play: Play): void {
    play.take({ t: "cancel", mode: "immediate", by: "ada" });
    play.succeed("room/undo");
    play.take(redrive());
  }

  test("is made anew: a text with the number of a room that was given back does not go out", () => {
    const play = undone(
      instant("text", { needs: ["room"] }),
      approval("gate", { needs: ["text"] }),
      call("mail", "once", { needs: ["gate"] }),
    );
    play.prepare("text");
    play.prepare("gate");
    again(play);
    expect(play.statuses()).toEqual({ room: "pending", text: "pending", gate: "pending", mail: "pending" });
    play.succeed("room");
    expect(play.jobs()).toEqual(["prepare text"]);
    play.prepare("text", { kind: "done", output: { v: "the new room" } });
    expect([play.unit("text").output, play.jobs()]).toEqual([{ v: "the new room" }, ["prepare gate"]]);
  });

  test("also at a distance, through a step that is kept", () => {
    const play = undone(
      call("deposit", "once", { needs: ["room"] }),
      call("read", "safe", { needs: ["deposit"] }),
      wait("gate", "go", { needs: ["read"] }),
    );
    play.succeed("deposit", "read");
    again(play);
    expect(play.statuses()).toEqual({
      room: "pending",
      deposit: "succeeded",
      read: "pending",
      gate: "pending",
    });
    // It can be read once the deposit stands, and that it does; the room's turn is its own.
    expect(play.jobs()).toEqual(["prepare room", "prepare read"]);
  });

  test("is kept where it stands in the world: doing it again would do it twice (K5)", () => {
    const play = undone(
      call("deposit", "once", { needs: ["room"] }),
      call("insurance", "keyed", { needs: ["room"] }),
      wait("gate", "go", { needs: ["deposit", "insurance"] }),
    );
    play.succeed("deposit", "insurance");
    again(play);
    expect([play.status("deposit"), play.status("insurance")]).toEqual(["succeeded", "succeeded"]);
  });

  test("is made anew where nothing came of it: a fallback, a condition that said no", () => {
    const play = undone(
      call("extra", "keyed", { needs: ["room"], onFailure: { fallback: "none" } }),
      call("maybe", "safe", { needs: ["room"], when: "a suite" }),
      wait("gate", "go", { needs: ["extra"] }),
    );
    play.attempt("extra", ends.cannot());
    play.prepare("maybe", { kind: "skip" });
    again(play);
    expect([play.status("extra"), play.status("maybe")]).toEqual(["pending", "pending"]);
  });

  test("is made anew also where a person's word takes the place of a fallback", () => {
    const play = new Play([
      call("pay", "keyed", { onFailure: { fallback: "cash" }, retry: retry({ attempts: 1 }) }),
      instant("text", { needs: ["pay"] }),
      call("b", "safe", { needs: ["text"] }),
    ]);
    play.attempt("pay", ends.unclear());
    play.prepare("text");
    play.attempt("b", ends.cannot());
    play.take(redrive(["pay", "succeeded"]));
    expect([play.status("pay"), play.jobs()]).toEqual(["succeeded", ["prepare text"]]);
  });

  test("what needs nothing of it is kept", () => {
    const play = undone(call("weather"), instant("text", { needs: ["weather"] }), wait("gate", "go"));
    play.succeed("weather");
    play.prepare("text");
    again(play);
    expect([play.status("weather"), play.status("text")]).toEqual(["succeeded", "succeeded"]);
  });

  test("a forEach of which nothing stands begins from its list, with keys that no item had before (K6, K7)", () => {
    const forEach = { list: null, concurrency: 3, tolerate: 0 };
    const play = undone(
      call("mails", "keyed", { needs: ["room"], forEach, ...undo }),
      wait("gate", "go", { needs: ["mails"] }),
    );
    const seen = new Set<string>();
    const keys: string[] = [];
    const note = (unit: string): void => {
      keys.push(key(play, unit));
      seen.add(key(play, unit));
    };
    for (let generation = 1; generation <= 3; generation++) {
      if (generation > 1) play.succeed("room");
      play.prepare("mails", { kind: "list", list: { v: [generation] }, count: 1 });
      expect(play.unit("mails").list).toEqual({ v: [generation] });
      expect(play.begin("mails[0]")).toBe(generation);
      note("mails[0]");
      play.end("mails[0]", ends.success());
      play.take({ t: "cancel", mode: "immediate", by: "ada" });
      play.begin("mails[0]/undo");
      note("mails[0]/undo");
      play.end("mails[0]/undo", ends.success());
      play.succeed("room/undo");
      play.take(redrive());
    }
    expect(seen.size).toBe(keys.length);
  });

  test("nor has it those of an item that was undone alone, in a generation before (K6)", () => {
    const forEach = { list: null, concurrency: 3, tolerate: 0 };
    const play = new Play([
      call("room", "keyed", undo),
      call("mails", "keyed", { needs: ["room"], forEach, ...undo }),
      wait("gate", "go", { needs: ["mails"] }),
    ]);
    const keys: string[] = [];
    const list = { kind: "list", list: { v: [1] }, count: 1 } as const;
    play.succeed("room");
    for (const end of [ends.cannot(), ends.success(), ends.success()]) {
      play.prepare("mails", list);
      play.begin("mails[0]");
      keys.push(key(play, "mails[0]"));
      play.end("mails[0]", ends.success());
      play.take({ t: "cancel", mode: "immediate", by: "ada" });
      play.succeed("mails[0]/undo");
      play.attempt("room/undo", end);
      play.take(redrive());
      // At first the room could not be given back, so the mails keep their list.
      if (play.status("room") === "pending") play.succeed("room");
    }
    expect(new Set(keys).size).toBe(3);
  });

  test("a forEach of which something stands keeps its list", () => {
    const forEach = { list: null, concurrency: 3, tolerate: 0 };
    const play = undone(call("mails", "keyed", { needs: ["room"], forEach }));
    play.prepare("mails", { kind: "list", list: { v: [1, 2] }, count: 2 });
    play.succeed("mails[0]");
    again(play);
    play.succeed("room");
    play.prepare("mails", { kind: "list", list: { v: [3] }, count: 1 });
    expect([play.unit("mails").list, play.jobs()]).toEqual([{ v: [1, 2] }, ["prepare mails[1]"]]);
  });
});

test("a signal step that succeeded keeps its signal; one that expired waits again", () => {
  const play = new Play([wait("a", "go"), wait("b", "stop", { needs: ["a"] })]);
  play.prepare("a");
  play.take({ t: "signal", id: "1", name: "go", payload: { v: 1 } });
  play.prepare("b", { kind: "signal", limitMs: SECOND });
  play.wake();
  play.take(redrive());
  expect([play.status("a"), play.jobs()]).toEqual(["succeeded", ["prepare b"]]);
});
