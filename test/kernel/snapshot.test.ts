/** Values, snapshots, what callers see of a run (K8). Snapshots of random states: `properties.test.ts`. */

import { describe, expect, test } from "vitest";
import {
  fromSnapshot,
  keyOf,
  NULL_VALUE,
  sameJson,
  toSnapshot,
  unreadable,
  type Snapshot,
} from "../../src/kernel/index.ts";
import { call, ends, graph, sleep, verify } from "./support/build.ts";
import { Play, ref } from "./support/play.ts";

describe("a snapshot", () => {
  test("holds of a unit only what is not as in a new one", () => {
    const play = new Play([call("a"), call("b")]);
    play.begin("a");
    const [a, b] = toSnapshot(play.state).units;
    expect(b).toEqual({});
    expect(a).toMatchObject({ status: "running", attempt: 1 });
    expect(a).not.toHaveProperty("undo");
  });

  test("leaves out what can be derived, and gives it back", () => {
    const play = new Play([call("a"), call("b", "safe", { needs: ["a"] })]);
    const snapshot = JSON.parse(JSON.stringify(toSnapshot(play.state))) as Snapshot;
    expect(snapshot).not.toHaveProperty("indexOf");
    expect(snapshot).not.toHaveProperty("dependents");
    expect(fromSnapshot(snapshot)).toEqual(play.state);
  });

  test("gives back units within units: items, undoings, checks", () => {
    const forEach = { list: null, concurrency: 3, tolerate: 0 };
    const play = new Play([call("a", "once", { forEach, verify: verify() })]);
    play.prepare("a");
    play.attempt("a[1]", ends.unclear());
    play.wake();
    play.begin("a[1]/verify");
    const restored = fromSnapshot(JSON.parse(JSON.stringify(toSnapshot(play.state))) as Snapshot);
    expect(restored).toEqual(play.state);
  });
});

test("a snapshot of a version that this one does not know is not readable", () => {
  const snapshot = toSnapshot(new Play([call("a")]).state);
  expect(unreadable(snapshot)).toBeNull();
  expect(unreadable({ ...snapshot, v: 2 })).toContain("version 2");
});

describe("keys", () => {
  test("are made of run, step, item, round, role and generation (PERSISTED CONTRACT)", () => {
    expect(keyOf("run_1", ref("flight"), { gen: 0, iteration: 0 })).toBe("run_1.flight.g0");
    expect(keyOf("run_1", ref("mails[3]/undo"), { gen: 2, iteration: 4 })).toBe("run_1.mails.i3.r4.undo.g2");
  });
});

describe("the size of a run", () => {
  test("counts inputs, lists, outputs, signals and the output of the run", () => {
    const big = (bytes: number) => ({ ref: [1, 0], bytes }) as const;
    const play = new Play([call("a", "safe", { forEach: { list: null, concurrency: 2, tolerate: 0 } })], {
      run: { open: true },
    });
    play.prepare("a", { kind: "list", list: big(10), count: 1 });
    play.begin("a[0]");
    play.end("a[0]", { kind: "success", output: big(100) });
    play.take({ t: "signal", id: "1", name: "go", payload: big(1_000) });
    play.take({ t: "close" });
    play.take({ t: "output", result: { output: big(10_000) } });
    expect(play.state.bytes).toBe(11_110);
  });
});

describe("the status that callers see", () => {
  test("running while something is in flight or about to be, waiting while only time is awaited", () => {
    const play = new Play([call("a"), sleep("b", { needs: ["a"] })]);
    expect(play.run).toBe("running");
    play.begin("a");
    expect(play.run).toBe("running");
    play.end("a", ends.refused());
    expect(play.run).toBe("waiting");
    play.wake();
    play.succeed("a");
    play.prepare("b");
    expect(play.run).toBe("waiting");
    play.wake();
    expect([play.run, play.jobs()]).toEqual(["running", ["output"]]);
  });

  test("an empty graph succeeds", () => {
    const play = new Play([]);
    expect(play.jobs()).toEqual(["output"]);
    play.finish(1);
    expect(play.run).toBe("succeeded");
  });
});

describe("JSON values", () => {
  test("are the same whatever the order of their keys, and an undefined key is none", () => {
    expect(sameJson({ a: 1, b: [1, { c: null }] }, { b: [1, { c: null }], a: 1 })).toBe(true);
    expect(sameJson({ a: 1, b: undefined }, { a: 1 })).toBe(true);
    expect(sameJson({ a: 1 }, { a: 1, b: null })).toBe(false);
    expect(sameJson([1, 2], [2, 1])).toBe(false);
    expect(sameJson([], {})).toBe(false);
    expect(sameJson(null, {})).toBe(false);
    expect(sameJson(graph([call("a")]), graph([call("a")]))).toBe(true);
    expect(sameJson(NULL_VALUE, { v: 0 })).toBe(false);
  });
});
