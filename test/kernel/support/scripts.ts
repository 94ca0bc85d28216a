/** Lives of runs that chance seldom leads: the corpus adds them to its random walks. */

import { refOf, type Input } from "../../../src/kernel/index.ts";
import { call, DAY, ends, graph, MINUTE, need, SECOND } from "./build.ts";
import type { Coverage } from "./coverage.ts";
import { Walk } from "./walk.ts";

const unit = refOf("a");
const prepare: Input = { t: "prepared", unit, prepared: { kind: "call", digest: "d" } };

function begin(attempt: number, of = unit): Input {
  return { t: "begin", unit: of, attempt, version: "v1" };
}

function end(
  attempt: number,
  how: keyof typeof ends & ("unusable" | "unclear" | "cannot" | "child" | "childFailed"),
  of = unit,
): Input {
  return { t: "ended", generation: 1, unit: of, attempt, end: ends[how]() };
}

/** A keyed step that happened, redriven, but begun only when its provider may have forgotten the key. */
function redrivenTooLate(coverage: Coverage): void {
  const walk = new Walk(graph([call("a", "keyed", { keyTtlMs: MINUTE })]), false, coverage);
  for (const input of [prepare, begin(1), end(1, "unusable")]) walk.send(input);
  walk.send({ t: "redrive", by: "ada", resolve: [] });
  walk.send(prepare);
  walk.now += 2 * MINUTE;
  walk.send(begin(2));
}

/** The alarm came after the budget of undoing, with an attempt still in flight. */
function drainedTooLong(coverage: Coverage): void {
  const walk = new Walk(graph([call("a"), call("b", "once")]), false, coverage);
  const b = refOf("b");
  for (const input of [prepare, begin(1), { ...prepare, unit: b }, begin(1, b), end(1, "cannot")])
    walk.send(input);
  walk.now += 2 * DAY;
  walk.send({ t: "tick" });
}

/** The answer of an attempt that timed out, while the next one is still to come. */
function lateWhileBackingOff(coverage: Coverage): void {
  const walk = new Walk(graph([call("a", "keyed")]), false, coverage);
  for (const input of [prepare, begin(1), end(1, "unclear"), end(1, "unclear")]) walk.send(input);
  walk.now += 10 * SECOND;
  walk.send({ t: "tick" });
}

/** The child tells of its end, and the run is cancelled, while an attempt looks after it. */
function toldWhileLooking(coverage: Coverage): void {
  const walk = new Walk(graph([call("a", "keyed")]), false, coverage);
  for (const input of [prepare, begin(1), end(1, "child")]) walk.send(input);
  walk.now += MINUTE;
  walk.send(begin(2));
  walk.send({ t: "child_ended", unit, run: "run_2", generation: 1 });
  walk.send({ t: "cancel", mode: "graceful", by: "ada" });
  walk.send(end(2, "child"));
  walk.send(begin(3));
  walk.send(end(3, "childFailed"));
}

/** A keyed step that may have happened is parked for so long that its provider may have forgotten the key. */
function parkedTooLong(coverage: Coverage): void {
  const walk = new Walk(graph([call("a", "keyed", { keyTtlMs: MINUTE })]), false, coverage);
  for (const input of [prepare, begin(1), end(1, "unclear")]) walk.send(input);
  walk.now += 10 * SECOND;
  walk.send({ t: "hold", unit, attempt: 2, need: need() });
  walk.now += 2 * MINUTE;
  walk.send({ t: "connection_changed", integration: "google" });
  walk.send(begin(2));
}

/** What waits for a credential is told twice; an answer of its timed out attempt comes as well. */
function lateWhileParked(coverage: Coverage): void {
  const walk = new Walk(graph([call("a", "keyed")]), false, coverage);
  for (const input of [prepare, begin(1), end(1, "unclear")]) walk.send(input);
  walk.now += 10 * SECOND;
  walk.send({ t: "hold", unit, attempt: 2, need: need() });
  for (let times = 0; times < 2; times++) walk.send({ t: "connection_changed", integration: "google" });
  walk.send(end(1, "unclear"));
}

/** A later round of a `repeat` sends something else, so it is asked about anew. */
function askedAnew(coverage: Coverage): void {
  const repeat = { until: null, everyMs: SECOND, max: 3, withinMs: DAY };
  const walk = new Walk(graph([call("a", "keyed", { approval: { limitMs: DAY }, repeat })]), false, coverage);
  walk.send(prepare);
  const id = walk.state.units[0]?.approval?.id ?? "none";
  walk.send({ t: "decide", unit, id, as: "approved", by: "bob" });
  walk.send(begin(1));
  walk.send({ t: "ended", generation: 1, unit, attempt: 1, end: ends.again() });
  walk.now += SECOND;
  walk.send({ t: "prepared", unit, prepared: { kind: "call", digest: "another" } });
}

/** What an attempt was lent is told with its end, also where that comes too late to count. */
function lentTwice(coverage: Coverage): void {
  const walk = new Walk(graph([call("a", "keyed")]), false, coverage);
  const credentials = [{ connection: "conn_1", hosts: ["a.example"] }];
  const over = { t: "ended", generation: 1, unit, attempt: 1, end: ends.unclear(), credentials } as const;
  for (const input of [prepare, begin(1), over, over]) walk.send(input);
}

export const SCRIPTS = [
  askedAnew,
  redrivenTooLate,
  drainedTooLong,
  lateWhileBackingOff,
  toldWhileLooking,
  parkedTooLong,
  lateWhileParked,
  lentTwice,
] as const;
