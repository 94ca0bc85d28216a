/** The invariants of the state machine under any order of inputs, also ones that no object would send, and clocks that go back. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  advance,
  apply,
  edit,
  FLIGHT_MS,
  MAX_PENDING,
  newSchedule,
  pause,
  resume,
  trigger,
  wakeAt,
} from "../../src/triggers/schedule-rules.ts";
import {
  OVERLAPS,
  type Rules,
  type ScheduleState,
  type TickRecord,
  type Todo,
  type Told,
} from "../../src/triggers/schedule-state.ts";
import { readTiming, startOf, type Ticks } from "../../src/triggers/schedule-timing.ts";

const MINUTE_MS = 60_000;
const NOW = Date.UTC(2026, 0, 1);
const TIMING = { kind: "interval", everyMs: MINUTE_MS, anchor: 0 } as const;

function ticksOf(): Ticks {
  const read = readTiming(TIMING, NOW);
  if (!read.ok) throw new Error(read.error.code);
  return read.value;
}

const rulesOf = (change: Partial<Rules> = {}): Rules => ({
  ...{ timing: TIMING, overlap: "skip", catchUpMs: 10 * MINUTE_MS, jitterMs: 0 },
  ...change,
});

type Input =
  | { readonly do: "advance" | "pause" | "resume" | "edit" | "retime" | "trigger" }
  /** What comes of something that was to be done, by its place among all that ever was. */
  | { readonly do: "tell"; readonly which: number; readonly how: number };

const inputs: fc.Arbitrary<readonly { readonly input: Input; readonly later: number }[]> = fc.array(
  fc.record({
    input: fc.oneof(
      { weight: 6, arbitrary: fc.constant<Input>({ do: "advance" }) },
      {
        weight: 8,
        arbitrary: fc.record({ do: fc.constant("tell" as const), which: fc.nat(9), how: fc.nat(3) }),
      },
      fc.constantFrom<Input>(
        ...(["pause", "resume", "edit", "retime", "trigger"] as const).map((one) => ({ do: one })),
      ),
    ),
    later: fc.oneof(
      fc.integer({ min: 0, max: 3 * MINUTE_MS }),
      fc.integer({ min: -MINUTE_MS, max: 30 * MINUTE_MS }),
    ),
  }),
  { maxLength: 60 },
);

function toldOf(todo: Todo, how: number): Told {
  if (todo.t === "start") {
    const { key } = todo.start;
    if (how === 0) return { t: "lost", key };
    if (how === 1) return { t: "refused", key, code: "c", message: "", pause: key.endsWith("7") };
    return { t: "started", key, run: `run of ${key}` };
  }
  const { run } = todo;
  if (todo.t === "cancel") return { t: how === 0 ? "not_cancelled" : "cancelled", run };
  return { t: how === 0 ? "unsure" : how === 1 ? "live" : "over", run };
}

describe("any order of inputs", () => {
  it("keeps S1, S2, S3, S7 and S8, and what is stored says all", () => {
    let settled = 0;
    fc.assert(
      fc.property(
        inputs,
        fc.constantFrom(...OVERLAPS),
        fc.constantFrom(0, 30_000, 5 * MINUTE_MS),
        (all, overlap, jitterMs) => {
          const ticks = ticksOf();
          const rules = rulesOf({ overlap, jitterMs });
          let state = newSchedule("s", rules, NOW, 0);
          let now = NOW;
          const todo: Todo[] = [];
          const fates = new Map<number, number>();
          const write = (next: ScheduleState, records: readonly TickRecord[]): void => {
            expect(next.cursor).toBeGreaterThanOrEqual(state.cursor);
            expect(JSON.parse(JSON.stringify(next))).toEqual(next);
            expect(next.pending.length).toBeLessThanOrEqual(MAX_PENDING);
            for (const record of records) {
              if (record.t !== "skipped" && !record.key.startsWith("tick:")) continue;
              const [from, to] =
                record.t === "skipped" ? [record.from, record.to] : [record.tick, record.tick];
              for (let tick = from; tick <= to; tick += MINUTE_MS)
                fates.set(tick, (fates.get(tick) ?? 0) + 1);
            }
            // A start that was pending is pending still, or has its record.
            for (const { key } of state.pending)
              expect(
                next.pending.some((one) => one.key === key) ||
                  records.some((one) => one.t !== "skipped" && one.key === key),
              ).toBe(true);
            state = next;
          };
          for (const { input, later } of all) {
            now += later;
            switch (input.do) {
              case "advance": {
                const step = advance(state, ticks, now);
                write(step.state, step.records);
                todo.push(...step.todo);
                const again = advance(state, ticks, now);
                expect([again.state, again.records, again.todo]).toEqual([state, [], []]);
                expectAwake(state, ticks, now);
                break;
              }
              case "tell": {
                const one = todo[todo.length - 1 - input.which];
                if (one === undefined) break;
                const step = apply(state, toldOf(one, input.how), now);
                write(step.state, step.records);
                break;
              }
              case "pause":
                write(pause(state, now, "key:x", null), []);
                break;
              case "resume": {
                const step = resume(state, ticks, now);
                write(step.state, step.records);
                break;
              }
              case "edit":
              case "retime": {
                const step = edit(state, ticks, { rules, timesChange: input.do === "retime", now });
                write(step.state, step.records);
                break;
              }
              case "trigger":
                write(trigger(state, `now:${now}`, now) ?? state, []);
            }
          }
          // S1, S2: every tick up to the cursor is pending or has one record; none after it has any.
          const pending = new Set(state.pending.map(({ key }) => key));
          for (let tick = NOW + MINUTE_MS; tick <= state.cursor; tick += MINUTE_MS)
            expect([tick, fates.get(tick) ?? 0]).toEqual([tick, pending.has(`tick:${tick}`) ? 0 : 1]);
          expect([...fates.keys()].every((tick) => tick > NOW && tick <= state.cursor)).toBe(true);
          settled += fates.size;
        },
      ),
      { numRuns: 400, seed: 11 },
    );
    expect(settled).toBeGreaterThan(5_000);
  }, 30_000);
});

/** S7: after a decision, whatever is due or under way is looked at again, within a minute of a try. */
function expectAwake(state: ScheduleState, ticks: Ticks, now: number): void {
  const at = wakeAt(state, ticks, now);
  for (const { retryAt } of [...state.pending, ...state.cancels]) expect(at).toBeLessThanOrEqual(retryAt);
  if (state.paused !== null) return;
  const start = startOf(ticks, state.id, ticks.next(state.cursor)!, state.rules.jitterMs);
  expect(at).not.toBe(null);
  if (start > now) expect(at).toBeLessThanOrEqual(start);
  // What a due tick waits for is not over already: else the alarm would come again at once, for ever.
  else expect(at).toBeGreaterThan(now);
}

describe("what is decided", () => {
  const tried = (state: ScheduleState, now: number) => advance(state, ticksOf(), now);
  const FIRST = NOW + MINUTE_MS;

  it("S3: a start that nobody has answered is tried again under its key, after a minute", () => {
    const begun = tried(newSchedule("s", rulesOf(), NOW, 0), FIRST);
    expect(begun.todo).toMatchObject([{ t: "start", start: { key: `tick:${FIRST}`, tries: 1 } }]);
    expect(tried(begun.state, FIRST + FLIGHT_MS - 1).todo).toEqual([]);
    expect(tried(begun.state, FIRST + FLIGHT_MS).todo).toMatchObject([
      { t: "start", start: { key: `tick:${FIRST}`, tries: 2, lostAt: FIRST } },
    ]);
  });

  it("S5: with skip nothing is decided while a start is pending", () => {
    const { state } = tried(newSchedule("s", rulesOf(), NOW, 0), FIRST);
    const later = tried(state, FIRST + 5 * MINUTE_MS);
    expect([later.state.cursor, later.records]).toEqual([FIRST, []]);
  });

  it("S8: a year of missed minutes is one record", () => {
    const { records, todo } = tried(newSchedule("s", rulesOf(), NOW, 0), NOW + 365 * 24 * 60 * MINUTE_MS);
    expect(records).toMatchObject([{ t: "skipped", from: FIRST, reason: "outside_window" }]);
    expect(todo.length).toBe(1);
  });

  it("with allow no more than twenty starts are pending", () => {
    const rules = rulesOf({ overlap: "allow", catchUpMs: 60 * MINUTE_MS });
    expect(tried(newSchedule("s", rules, NOW, 0), NOW + 50 * MINUTE_MS).todo.length).toBe(MAX_PENDING);
  });

  it("a schedule never has a tick that an earlier one of its name may have started", () => {
    expect(newSchedule("s", rulesOf(), NOW, FIRST).cursor).toBe(FIRST);
  });
});
