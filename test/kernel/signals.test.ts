/** Signals: early, twice, too many, for nobody. */

import { describe, expect, test } from "vitest";
import { limits, type Input } from "../../src/kernel/index.ts";
import { call, ends, performance, wait } from "./support/build.ts";
import { Play } from "./support/play.ts";

function signal(id: string, name = "go"): Input {
  return { t: "signal", id, name, payload: { v: `payload of ${id}` } };
}

describe("a signal", () => {
  test("settles the step that waits for it", () => {
    const play = new Play([wait("a", "go")]);
    play.prepare("a");
    play.take(signal("1"));
    expect(play.unit("a")).toMatchObject({ status: "succeeded", output: { v: "payload of 1" } });
    expect(play.state.buffered).toEqual([]);
  });

  test("that comes early is kept until a step takes it, the oldest first", () => {
    const play = new Play([
      call("first"),
      wait("a", "go", { needs: ["first"] }),
      wait("b", "go", { needs: ["a"] }),
    ]);
    play.take(signal("1"));
    play.take(signal("2"));
    play.succeed("first");
    play.prepare("a");
    play.prepare("b");
    expect([play.unit("a").output, play.unit("b").output]).toEqual([
      { v: "payload of 1" },
      { v: "payload of 2" },
    ]);
  });

  test("settles one step, the first in the graph", () => {
    const play = new Play([wait("a", "go"), wait("b", "go"), wait("c", "stop")]);
    for (const step of ["a", "b", "c"]) play.prepare(step);
    play.take(signal("1"));
    expect(play.statuses()).toEqual({ a: "succeeded", b: "waiting", c: "waiting" });
  });

  test("delivered twice counts once, also after it was taken, and after the run ended", () => {
    const play = new Play([wait("a", "go"), wait("b", "go")]);
    play.prepare("a");
    play.prepare("b");
    play.take(signal("1"));
    expect(play.take(signal("1"))).toEqual([]);
    expect(play.status("b")).toBe("waiting");
    play.take(signal("2"));
    play.finish();
    expect(play.take(signal("2"))).toEqual([]);
  });

  test("is taken while the run is paused", () => {
    const play = new Play([wait("a", "go")]);
    play.prepare("a");
    play.take({ t: "pause", by: "ada" });
    play.take(signal("1"));
    expect(play.status("a")).toBe("succeeded");
  });

  test("that no step can take, or can take any more, is refused", () => {
    const play = new Play([wait("a", "go"), call("b")]);
    expect(play.refusal(signal("1", "come"))).toBe("signal_not_expected");
    play.prepare("a");
    play.take(signal("2"));
    expect(play.refusal(signal("3"))).toBe("signal_not_expected");
  });

  test("of any name is kept in an open run, for steps that are still to come", () => {
    const play = new Play([], { run: { open: true } });
    play.take(signal("1"));
    play.take({ t: "append", steps: [wait("a", "go")], by: "ada" });
    play.prepare("a");
    expect(play.status("a")).toBe("succeeded");
    play.take({ t: "close" });
    expect(play.refusal(signal("2", "come"))).toBe("signal_not_expected");
  });

  test("beyond 64 of a name that wait is refused, until a step has taken some", () => {
    const play = new Play([wait("a", "go"), wait("b", "stop")]);
    for (let i = 0; i < limits.MAX_SIGNALS_PER_NAME; i++) play.take(signal(`${i}`));
    expect(play.refusal(signal("more"))).toBe("signal_buffer_full");
    play.take(signal("other", "stop"));
    play.prepare("a");
    expect(play.state.buffered.filter(({ name }) => name === "go")).toHaveLength(
      limits.MAX_SIGNALS_PER_NAME - 1,
    );
  });

  test("to a run that is ending is refused, unless an onFailure step takes it", () => {
    const play = new Play([
      call("a", "keyed", { compensate: performance("idempotent") }),
      wait("w", "go"),
      call("bomb", "safe", { needs: ["a"] }),
      wait("answer", "called_back", { part: "on_failure" }),
    ]);
    play.succeed("a");
    play.attempt("bomb", ends.cannot());
    expect(play.refusal(signal("1"))).toBe("already_ending");
    play.take(signal("2", "called_back"));
    play.succeed("a/undo");
    play.prepare("answer");
    expect([play.status("answer"), play.run]).toEqual(["succeeded", "failed"]);
    expect(play.refusal(signal("3", "called_back"))).toBe("run_ended");
  });

  test("an id counts once per name: signals of two names may have the same", () => {
    const play = new Play([wait("a", "go"), wait("b", "stop")]);
    play.take(signal("order-7"));
    play.take(signal("order-7", "stop"));
    expect(play.take(signal("order-7", "stop"))).toEqual([]);
    play.prepare("a");
    expect(play.state.buffered.map(({ name }) => name)).toEqual(["stop"]);
    play.prepare("b");
    expect([play.status("a"), play.status("b")]).toEqual(["succeeded", "succeeded"]);
  });

  test("an id of which an old snapshot does not know the name counts for every name", () => {
    const play = new Play([], { run: { open: true } });
    play.state = { ...play.state, signalIds: ["1"] };
    expect(play.take(signal("1", "stop"))).toEqual([]);
    play.take(signal("2", "stop"));
    expect(play.take(signal("2")).map(({ t }) => t)).toEqual(["signalled"]);
    expect(play.take(signal("1"))).toEqual([]);
  });

  test("that does not fit the step is passed over, said, and kept; the next one that fits is taken", () => {
    const play = new Play([call("first"), wait("a", "go", { needs: ["first"] })]);
    for (const id of ["1", "2", "3"]) play.take(signal(id));
    play.succeed("first");
    const take = { id: "2", payload: { v: "with its defaults" } };
    const facts = play.take({
      t: "prepared",
      unit: { step: "a" },
      prepared: { kind: "signal", limitMs: 1_000, take, misfits: ["1"] },
    });
    expect(facts[0]).toMatchObject({ t: "waiting", misfits: ["1"] });
    expect(play.unit("a")).toMatchObject({ status: "succeeded", output: { v: "with its defaults" } });
    expect(play.state.buffered.map(({ id }) => id)).toEqual(["1", "3"]);
  });

  test("that is kept and does not fit is not taken for one that comes later", () => {
    const play = new Play([], { run: { open: true } });
    play.take(signal("1"));
    play.take({ t: "append", steps: [wait("a", "go")], by: "ada" });
    const prepared = { kind: "signal", limitMs: 1_000, take: null, misfits: ["1"] } as const;
    play.take({ t: "prepared", unit: { step: "a" }, prepared });
    expect(play.status("a")).toBe("waiting");
    play.take(signal("2"));
    expect(play.unit("a")).toMatchObject({ status: "succeeded", output: { v: "payload of 2" } });
    expect(play.state.buffered.map(({ id }) => id)).toEqual(["1"]);
  });

  test("beyond the most that a run takes is refused", () => {
    const play = new Play([], { run: { open: true } });
    const signalIds = Array.from({ length: limits.MAX_SIGNALS_PER_RUN }, (_, i) => `${i}`);
    play.state = { ...play.state, signalIds };
    expect(play.refusal(signal("one more"))).toBe("signal_buffer_full");
  });
});

describe("misfits that are kept", () => {
  function full(): Play {
    const play = new Play([], { run: { open: true } });
    const misfits = Array.from({ length: limits.MAX_SIGNALS_PER_NAME }, (_, i) => `${i}`);
    for (const id of misfits) play.take(signal(id));
    play.take({ t: "append", steps: [wait("a", "go")], by: "ada" });
    play.take({
      t: "prepared",
      unit: { step: "a" },
      prepared: { kind: "signal", limitMs: 1_000, take: null, misfits },
    });
    expect(play.status("a")).toBe("waiting");
    return play;
  }

  test("do not keep out the signal that a waiting step takes at once", () => {
    const play = full();
    play.take(signal("fits"));
    expect(play.unit("a")).toMatchObject({ status: "succeeded", output: { v: "payload of fits" } });
    expect(play.state.buffered).toHaveLength(limits.MAX_SIGNALS_PER_NAME);
  });

  test("keep out those that would be kept beside them", () => {
    const play = full();
    play.take(signal("fits"));
    expect(play.refusal(signal("more"))).toBe("signal_buffer_full");
  });
});
