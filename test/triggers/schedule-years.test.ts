/**
 * Five virtual years of schedules in several time zones, under each overlap policy, with downtime, deaths, lost answers, refusals,
 * pauses, edits and starts by hand: each tick has exactly one run, or exactly one recorded reason, and the reason is true.
 */
import { describe, expect, it } from "vitest";
import { newSchedule } from "../../src/triggers/schedule-rules.ts";
import type { Overlap, ScheduleState } from "../../src/triggers/schedule-state.ts";
import { readTiming, startOf, type Ticks, type Timing } from "../../src/triggers/schedule-timing.ts";
import { Random } from "../sim/random.ts";
import { type Chances, type Kept, ScheduleWorld } from "./schedule-world.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const BEGIN = Date.UTC(2026, 0, 1);
const END = Date.UTC(2031, 0, 1);

const CHANCES: Chances = { kill: 0.02, lost: 0.1, refused: 0.05, longestRunMs: 6 * HOUR_MS };

interface Played {
  readonly world: ScheduleWorld;
  readonly ticks: Ticks;
}

function play(timing: Timing, overlap: Overlap, seed: number, jitterMs: number): Played {
  const read = readTiming(timing, BEGIN);
  if (!read.ok) throw new Error(read.error.code);
  const ticks = read.value;
  const random = new Random(seed, "schedule");
  const state = newSchedule("nightly", { timing, overlap, catchUpMs: 5 * HOUR_MS, jitterMs }, BEGIN, 0);
  const world = new ScheduleWorld(state, ticks, random, CHANCES);
  let outage = BEGIN + random.scale(HOUR_MS, 30 * DAY_MS);
  let command = BEGIN + random.scale(HOUR_MS, 30 * DAY_MS);
  while (world.now < END) {
    // S7: whatever happened, an alarm stands.
    if (world.alarm === null && world.state.paused === null) throw new Error("nothing will ever wake it");
    const alarm = world.alarm ?? Infinity;
    const next = Math.min(alarm, command, outage);
    world.now = Math.max(world.now, next);
    if (next === outage) {
      world.now += random.scale(MINUTE_MS, 3 * DAY_MS);
      outage = world.now + random.scale(HOUR_MS, 30 * DAY_MS);
    } else if (next === command) {
      const paused = world.state.paused !== null;
      world.command(paused ? "resume" : random.weighted({ pause: 3, trigger: 3, edit: 1 }));
      command =
        world.now + random.scale(10 * MINUTE_MS, world.state.paused === null ? 40 * DAY_MS : 4 * DAY_MS);
    } else {
      world.now += random.chance(0.01) ? random.int(0, MINUTE_MS) : random.int(0, 50);
      world.fire();
    }
  }
  world.settle();
  return { world, ticks };
}

/** Every tick that the schedule has decided, with what was written of it. */
function fates({ world, ticks }: Played): Map<number, Kept[]> {
  const all = new Map<number, Kept[]>();
  for (let at = ticks.next(BEGIN); at !== null && at <= world.state.cursor; at = ticks.next(at))
    all.set(at, []);
  const order = [...all.keys()];
  const add = (tick: number, kept: Kept): void => {
    const list = all.get(tick);
    if (list === undefined) throw new Error(`${tick} is no tick`);
    list.push(kept);
  };
  let place = 0;
  for (const kept of world.records) {
    const { record } = kept;
    if (record.t === "skipped") {
      // Ranges rise, as the cursor does.
      while (order[place]! < record.from) place += 1;
      expect([order[place], all.has(record.to)]).toEqual([record.from, true]);
      for (; order[place]! <= record.to; place += 1) add(order[place]!, kept);
    } else if (record.key.startsWith("tick:")) add(record.tick, kept);
  }
  return all;
}

function runKeyOf(tick: number): string {
  return `run of tick:${tick}`;
}

function check(played: Played): Record<string, number> {
  const { world, ticks } = played;
  const { rules, id } = world.state;
  const pending = new Set(world.state.pending.map(({ tick }) => tick));
  const counts: Record<string, number> = {};
  const due = (tick: number): number => startOf(ticks, id, tick, rules.jitterMs);
  const runs = [...world.runs.values()];
  for (const [tick, kept] of fates(played)) {
    const run = world.runs.get(runKeyOf(tick));
    if (pending.has(tick)) {
      expect(kept).toEqual([]);
      continue;
    }
    // S2: one record, no more and no less.
    if (kept.length !== 1) throw new Error(`${new Date(tick).toISOString()} has ${kept.length} records`);
    const [{ record, at }] = kept as [Kept];
    const kind = record.t === "skipped" ? record.reason : record.t;
    counts[kind] = (counts[kind] ?? 0) + 1;
    if ((record.t === "started") !== (run !== undefined))
      throw new Error(
        `${new Date(tick).toISOString()} is ${kind} and has ${run === undefined ? "no" : "a"} run`,
      );
    if (run !== undefined && run.begunAt < due(tick)) throw new Error("a run began before its time");
    if (record.t === "skipped") expectTrue(record.reason, tick, at);
  }
  // No run but those of ticks and those that were started by hand.
  expect(runs.filter(({ key }) => key.startsWith("tick:")).length).toBe(
    (counts["started"] ?? 0) + [...pending].filter((tick) => world.runs.has(runKeyOf(tick))).length,
  );
  return counts;

  function expectTrue(reason: string, tick: number, at: number): void {
    const isTrue = {
      // They stand in the order in which they began: mostly it is the last of those.
      overlap: () =>
        runs.findLast(({ begunAt, endsAt }) => begunAt <= at && endsAt > due(tick)) !== undefined,
      superseded: () => ticks.next(tick)! <= at,
      outside_window: () => at > tick + rules.catchUpMs,
      paused: () => world.pauses.some(({ from, to }) => to === at && from < at && tick <= at),
      edited: () => tick <= at,
    }[reason];
    if (isTrue?.() !== true) throw new Error(`${new Date(tick).toISOString()} is not ${reason}`);
  }
}

const SCHEDULES: readonly (readonly [string, Timing, number])[] = [
  [
    "every two hours in New York",
    { kind: "cron", expression: "30 */2 * * *", timezone: "America/New_York" },
    0,
  ],
  [
    "at 02:30 in Berlin",
    { kind: "cron", expression: "30 2 * * *", timezone: "Europe/Berlin" },
    20 * MINUTE_MS,
  ],
  [
    "three times at night on Lord Howe",
    { kind: "cron", expression: "*/20 1-2 * * *", timezone: "Australia/Lord_Howe" },
    10 * MINUTE_MS,
  ],
];

describe.each(SCHEDULES)("five years, %s", (_, timing, jitterMs) => {
  it.each<Overlap>(["skip", "allow", "cancel_previous"])(
    "with %s: each tick has one run or one true reason",
    (overlap) => {
      const played = play(timing, overlap, 2_026 + jitterMs, jitterMs);
      const counts = check(played);
      const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
      expect(total).toBeGreaterThan(1_700);
      // It did go wrong, and what is to be shown did happen.
      expect(played.world.kills).toBeGreaterThan(50);
      for (const kind of ["started", "refused", "outside_window", "paused"])
        expect(counts[kind]).toBeGreaterThan(0);
      const daily = timing.kind === "cron" && timing.expression.startsWith("30 2");
      if (overlap === "skip" && !daily) expect(counts["overlap"]).toBeGreaterThan(100);
      if (overlap === "cancel_previous" && !daily) expect(counts["superseded"]).toBeGreaterThan(10);
      expect(played.world.state.cursor).toBeGreaterThan(END - 5 * DAY_MS);
      expect(boundedness(played.world.state)).toBe(true);
    },
    60_000,
  );
});

function boundedness({ pending, live, cancels }: ScheduleState): boolean {
  return pending.length <= 20 && live.length <= 20 && cancels.length <= 100;
}
