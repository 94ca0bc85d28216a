/**
 * The state machine of a schedule: which ticks are started, which are not and why, and when to look again. Pure and total.
 *
 * Owns: every decision. Does not own: which moments are ticks (schedule-timing.ts), storage and calls (schedule-object.ts). Who
 * calls stores the new state and the records in one write, and does what is to be done only after that.
 *
 * - S1 every tick up to the cursor is settled, or pending; none after it is. The cursor only rises. So a tick is settled once.
 * - S2 a settled tick has exactly one record: started, refused, or skipped with a reason.
 * - S3 a start is pending before it is tried, and is tried under the same key until it is known what became of it: however often
 *      the object dies, there is one run for it.
 * - S4 a refusal counts only when no earlier try can still begin the run: it is never recorded of a tick that has one.
 * - S5 with `skip` and `cancel_previous` nothing is decided while a start is pending: what is under way is known first.
 * - S6 `skip` skips a tick only if a run was under way when the tick was due or later.
 * - S7 while anything is due, pending or to be cancelled, `wakeAt` has a time. While a tick is to come and the schedule is not paused, too.
 * - S8 the work of one call is bounded, however many ticks were missed: those that share a fate share a record.
 */
import { lastTick, startOf, type Ticks } from "./schedule-timing.ts";
import type { Maker } from "./start-port.ts";
import type {
  Cancel,
  Live,
  Pending,
  Rules,
  ScheduleState,
  SkipReason,
  TickRecord,
  Todo,
  Told,
} from "./schedule-state.ts";

/** Starts that are not settled. With `allow`, further ticks wait for one of them. */
export const MAX_PENDING = 20;
/** Runs that are remembered as under way. With `allow`, which never asks, older ones are forgotten. */
export const MAX_LIVE = 20;
const MAX_CANCELS = 100;
/** After so long a try in flight has ended, or has died with the object. Longer than any call may take. */
export const FLIGHT_MS = 60_000;
/** After so long a try that nobody has heard of begins nothing any more. */
export const SETTLE_MS = 5 * 60_000;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 10 * 60_000;
/** An answer that could not be had is asked for again. */
const ASK_AGAIN_MS = 15_000;

export interface Step {
  readonly state: ScheduleState;
  readonly records: readonly TickRecord[];
}

export interface Advance extends Step {
  readonly todo: readonly Todo[];
}

interface Turn {
  state: ScheduleState;
  readonly records: TickRecord[];
  readonly todo: Todo[];
  readonly ticks: Ticks;
  readonly now: number;
}

/** A schedule that starts now. @param after no tick up to there: what an earlier one of that name may have started is not its own */
export function newSchedule(id: string, rules: Rules, now: number, after: number): ScheduleState {
  return {
    ...{ id, rules, setAt: now, revision: 1, cursor: Math.max(now, after), paused: null },
    ...{ pending: [], live: [], cancels: [] },
  };
}

/** Decides what is due. Asking again at the same moment changes nothing, and has nothing more to do. */
export function advance(state: ScheduleState, ticks: Ticks, now: number): Advance {
  const turn: Turn = { state, records: [], todo: [], ticks, now };
  if (state.paused === null) {
    leaveWindow(turn);
    decideTicks(turn);
  }
  tryStarts(turn);
  tryCancels(turn);
  return { state: turn.state, records: turn.records, todo: turn.todo };
}

/** What came of something that was to be done. What the state does not know of any more changes nothing. */
export function apply(state: ScheduleState, told: Told, now: number): Step {
  switch (told.t) {
    case "started":
    case "refused":
    case "lost":
      return settleStart(state, told, now);
    case "over":
      return { state: { ...state, live: state.live.filter(({ run }) => run !== told.run) }, records: [] };
    case "live":
      return live(state, told.run, (one) => ({
        ...one,
        seenAt: one.askedAt ?? one.seenAt,
        askedAt: null,
        askAt: now,
      }));
    case "unsure":
      return live(state, told.run, (one) => ({ ...one, askedAt: null, askAt: now + ASK_AGAIN_MS }));
    case "cancelled":
      return {
        state: { ...state, cancels: state.cancels.filter(({ run }) => run !== told.run) },
        records: [],
      };
    case "not_cancelled": {
      const again = ({ run, tries, retryAt }: Cancel): Cancel =>
        run === told.run ? { run, tries, retryAt: now + retryMs(tries) } : { run, tries, retryAt };
      return { state: { ...state, cancels: state.cancels.map(again) }, records: [] };
    }
  }
}

/** When to look again; null: nothing will ever happen by itself. A time that is over means at once. */
export function wakeAt(state: ScheduleState, ticks: Ticks, now: number): number | null {
  const times = [...state.pending, ...state.cancels].map(({ retryAt }) => retryAt);
  if (state.paused === null) {
    const next = ticks.next(state.cursor);
    const start = next === null ? null : startOf(ticks, state.id, next, state.rules.jitterMs);
    if (start !== null) times.push(...(start > now ? [start] : waitsUntil(state, start)));
  }
  return times.length === 0 ? null : Math.min(...times);
}

/** What a tick that is due waits for; where that is a start or a cancel, `retryAt` of it has been counted. */
function waitsUntil({ rules, pending, live, cancels }: ScheduleState, start: number): readonly number[] {
  if (pending.length > 0 || isFull(cancels)) return [];
  return rules.overlap === "skip" && live.length > 0 ? live.map(({ askAt }) => askAt) : [start];
}

export function pause(state: ScheduleState, now: number, by: string, reason: string | null): ScheduleState {
  return state.paused === null ? { ...state, paused: { since: now, by, reason } } : state;
}

/** What fell into the pause is not made up for. */
export function resume(state: ScheduleState, ticks: Ticks, now: number): Step {
  if (state.paused === null) return { state, records: [] };
  const turn: Turn = { state, records: [], todo: [], ticks, now };
  skip(turn, now, "paused");
  return { state: { ...turn.state, paused: null }, records: turn.records };
}

/**
 * Other rules or another target from now on. Starts that are pending keep the target that they had; where the times change, a tick
 * of the old ones that was not decided is not any more. Calls for `advance` before, so that these are few.
 */
export function edit(
  state: ScheduleState,
  ticks: Ticks,
  { rules, timesChange, now }: { readonly rules: Rules; readonly timesChange: boolean; readonly now: number },
): Step {
  const turn: Turn = { state, records: [], todo: [], ticks, now };
  if (timesChange) skip(turn, now, state.paused === null ? "edited" : "paused");
  const setAt = timesChange ? now : state.setAt;
  return { state: { ...turn.state, rules, setAt, revision: state.revision + 1 }, records: turn.records };
}

/** One start by hand, whatever the overlap and also while paused. The same key is one start. Null: too many are pending. */
export function trigger(state: ScheduleState, key: string, now: number, by?: Maker): ScheduleState | null {
  if (state.pending.some((one) => one.key === key)) return state;
  return state.pending.length >= MAX_PENDING ? null : pend(state, key, now, now, by);
}

export function tickKey(tick: number): string {
  return `tick:${tick}`;
}

/** Those that cannot be started in time any more. */
function leaveWindow(turn: Turn): void {
  const { catchUpMs, jitterMs } = turn.state.rules;
  skip(turn, turn.now - catchUpMs - jitterMs - 1, "outside_window");
}

function decideTicks(turn: Turn): void {
  switch (turn.state.rules.overlap) {
    case "allow":
      while (turn.state.pending.length < MAX_PENDING && startNext(turn));
      return;
    case "skip":
      skipOrStart(turn);
      return;
    case "cancel_previous":
      cancelAndStart(turn);
  }
}

function skipOrStart(turn: Turn): void {
  // S5.
  if (turn.state.pending.length > 0) return;
  const { live } = turn.state;
  const last = lastDue(turn, Math.min(turn.now, Math.max(0, ...live.map(({ seenAt }) => seenAt))));
  // S6.
  if (live.length > 0 && last !== null) skip(turn, last, "overlap");
  if (lastDue(turn, turn.now) === null) return;
  if (live.length === 0) startNext(turn);
  else askAll(turn);
}

function cancelAndStart(turn: Turn): void {
  if (turn.state.pending.length > 0 || isFull(turn.state.cancels)) return;
  const last = lastDue(turn, turn.now);
  if (last === null) return;
  skip(turn, last - 1, "superseded");
  const { live, cancels } = turn.state;
  const more = live.map(({ run }) => ({ run, tries: 0, retryAt: turn.now }));
  turn.state = { ...turn.state, live: [], cancels: [...cancels, ...more] };
  startNext(turn);
}

/** Whether there is no room to cancel all that may be under way. */
function isFull(cancels: readonly Cancel[]): boolean {
  return cancels.length + MAX_LIVE > MAX_CANCELS;
}

/** Whether there was one to start. */
function startNext(turn: Turn): boolean {
  const { state, ticks, now } = turn;
  const tick = ticks.next(state.cursor);
  if (tick === null || startOf(ticks, state.id, tick, state.rules.jitterMs) > now) return false;
  turn.state = { ...pend(state, tickKey(tick), tick, now), cursor: tick };
  return true;
}

function pend(state: ScheduleState, key: string, tick: number, now: number, by?: Maker): ScheduleState {
  const { revision } = state;
  const start: Pending = {
    ...{ key, tick, revision, tries: 0, triedAt: null, retryAt: now, lostAt: null },
    ...(by === undefined ? {} : { by }),
  };
  return { ...state, pending: [...state.pending, start] };
}

/** All ticks up to `until` that are not decided, in one record (S8). */
function skip(turn: Turn, until: number, reason: SkipReason): void {
  const { state, ticks } = turn;
  if (until <= state.cursor) return;
  const from = ticks.next(state.cursor);
  const to = lastTick(ticks, state.cursor, until);
  if (from !== null && to !== null) turn.records.push({ t: "skipped", from, to, reason });
  turn.state = { ...state, cursor: until };
}

/** The last tick that is not decided and that was due at `at`; null: none was. */
function lastDue({ state, ticks }: Turn, at: number): number | null {
  const last = lastTick(ticks, state.cursor, at);
  if (last === null || startOf(ticks, state.id, last, state.rules.jitterMs) <= at) return last;
  // Jitter ends before the next tick: all earlier ones are due.
  return lastTick(ticks, state.cursor, last - 1);
}

function askAll(turn: Turn): void {
  const { now } = turn;
  const asked = (one: Live): Live => {
    if (one.askAt > now) return one;
    turn.todo.push({ t: "ask", run: one.run });
    return { ...one, askedAt: now, askAt: now + FLIGHT_MS };
  };
  turn.state = { ...turn.state, live: turn.state.live.map(asked) };
}

function tryStarts(turn: Turn): void {
  const { now } = turn;
  const tried = (one: Pending): Pending => {
    if (one.retryAt > now) return one;
    const next = {
      ...one,
      tries: one.tries + 1,
      triedAt: now,
      retryAt: now + FLIGHT_MS,
      lostAt: one.triedAt ?? one.lostAt,
    };
    turn.todo.push({ t: "start", start: next });
    return next;
  };
  turn.state = { ...turn.state, pending: turn.state.pending.map(tried) };
}

function tryCancels(turn: Turn): void {
  const { now } = turn;
  const tried = (one: Cancel): Cancel => {
    if (one.retryAt > now) return one;
    turn.todo.push({ t: "cancel", run: one.run });
    return { ...one, tries: one.tries + 1, retryAt: now + FLIGHT_MS };
  };
  turn.state = { ...turn.state, cancels: turn.state.cancels.map(tried) };
}

function settleStart(
  state: ScheduleState,
  told: Extract<Told, { t: "started" | "refused" | "lost" }>,
  now: number,
): Step {
  const start = state.pending.find(({ key }) => key === told.key);
  if (start === undefined) return { state, records: [] };
  const again = (change: Partial<Pending>): Step => {
    const pending = state.pending.map((one) => (one === start ? { ...one, triedAt: null, ...change } : one));
    return { state: { ...state, pending }, records: [] };
  };
  const { key, tick, lostAt } = start;
  if (told.t === "lost")
    return again({ lostAt: start.triedAt ?? lostAt, retryAt: now + retryMs(start.tries) });
  // S4.
  if (told.t === "refused" && lostAt !== null && now < lostAt + SETTLE_MS)
    return again({ retryAt: lostAt + SETTLE_MS });
  const settled = { ...state, pending: state.pending.filter((one) => one !== start) };
  if (told.t === "refused") {
    const { code, message } = told;
    const after = told.pause ? pause(settled, now, "system", code) : settled;
    return { state: after, records: [{ t: "refused", key, tick, code, message }] };
  }
  // It may have ended since: nobody has seen it.
  const begun: Live = { run: told.run, seenAt: 0, askedAt: null, askAt: now };
  const others = state.live.filter(({ run }) => run !== told.run);
  return {
    state: { ...settled, live: [...others, begun].slice(-MAX_LIVE) },
    records: [{ t: "started", key, tick, run: told.run }],
  };
}

function live(state: ScheduleState, run: string, change: (one: Live) => Live): Step {
  return {
    state: { ...state, live: state.live.map((one) => (one.run === run ? change(one) : one)) },
    records: [],
  };
}

/** @param tries how many there were */
function retryMs(tries: number): number {
  return Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(tries - 1, 16));
}
