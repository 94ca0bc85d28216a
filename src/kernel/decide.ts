/** `decide(state, input, now, random) -> facts`. Total: every state and input give facts or a typed refusal (K9). */

import { append, cancel, close, pause, resolve, resume, signal, takeSignal } from "./control.ts";
import { ask, decideApproval, releases } from "./approvals.ts";
import { isDue, performanceOf } from "./due.ts";
import { evolve } from "./evolve.ts";
import { fail, located, lose, seed, skip } from "./failing.ts";
import type { StepDef } from "./graph.ts";
import type { AttemptEnd, Decision, Input, Prepared, Refusal } from "./inputs.ts";
import { becomeUnknown, judge, keyForgotten, outcomeOfRounds, unheard } from "./judge.ts";
import { MAX_ITEMS, MAX_WAIT_MS } from "./limits.ts";
import { checkGraph } from "./lints.ts";
import { type Binding, mayBind } from "./needs.ts";
import { connectionChanged, hold, rebind } from "./parking.ts";
import { admit, checkFlow, deadlineOf, turnAway } from "./queue.ts";
import { redrive } from "./redrive.ts";
import { settle } from "./settle.ts";
import { isQueued, stepOf, unitOf, type RunState } from "./state.ts";
import { tick } from "./time.ts";
import { emit, newTurn, type Turn } from "./turn.ts";
import { hasChild, isTerminal, unitName, type Outcome, type Unit, type UnitRef } from "./units.ts";
import { sameJson, type Value } from "./values.ts";

type InputOf<T extends Input["t"]> = Extract<Input, { readonly t: T }>;

/**
 * @param state null before the run has started
 * @param now milliseconds since the epoch
 * @param random in [0, 1), for jitter
 */
export function decide(state: RunState | null, input: Input, now: number, random: number): Decision {
  if (input.t === "start") return start(state, input, now, random);
  if (state === null) return refuse({ code: "not_started", message: "There is no such run." });
  const turn = newTurn(state, now, random);
  const refusal = take(turn, input);
  if (refusal !== null) return refuse(refusal);
  settle(turn);
  return { ok: true, facts: turn.facts };
}

function refuse(refusal: Refusal): Decision {
  return { ok: false, refusal };
}

function start(state: RunState | null, input: InputOf<"start">, now: number, random: number): Decision {
  if (state !== null) return refuse({ code: "already_started", message: "The run has started already." });
  const lints = checkGraph(input.graph);
  if (lints.length > 0) {
    const details = lints.map(({ pointer, detail }) => ({ pointer, detail }));
    return refuse({ code: "bad_graph", message: details[0]?.detail ?? "The graph cannot run.", details });
  }
  const flow = checkFlow(input.run);
  if (flow !== null) return refuse(flow);
  const fact = {
    t: "run_started",
    at: now,
    run: input.run,
    graph: input.graph,
    input: input.input,
    deadlineAt: deadlineOf(input.run, input.graph, now),
  } as const;
  const fresh = evolve(null, fact);
  if (fresh === null) return refuse({ code: "not_started", message: "The run could not start." });
  const turn = newTurn(fresh, now, random);
  settle(turn);
  return { ok: true, facts: [fact, ...turn.facts] };
}

function take(turn: Turn, input: Exclude<Input, { t: "start" }>): Refusal | null {
  switch (input.t) {
    case "prepared":
      return prepared(turn, input);
    case "begin":
      return begin(turn, input);
    case "hold":
      return hold(turn, input);
    case "connection_changed":
      return connectionChanged(turn, input);
    case "rebind":
      return rebind(turn, input);
    case "ended":
      return ended(turn, input);
    case "child_ended":
      return childEnded(turn, input);
    case "attempt_lost":
      return attemptLost(turn, input);
    case "output":
      return output(turn, input);
    case "tick":
      tick(turn);
      return null;
    case "signal":
      return signal(turn, input);
    case "decide":
      return decideApproval(turn, input);
    case "pause":
      return pause(turn, input);
    case "resume":
      return resume(turn, input);
    case "cancel":
      return cancel(turn, input);
    case "redrive":
      return redrive(turn, input);
    case "resolve":
      return resolve(turn, input);
    case "append":
      return append(turn, input);
    case "close":
      return close(turn);
    case "admit":
      return admit(turn, input);
    case "turn_away":
      return turnAway(turn, input);
  }
}

const NOT_DUE: Refusal = { code: "not_due", message: "The unit is not due." };

/** The templates of a due unit were filled in. */
function prepared(turn: Turn, input: InputOf<"prepared">): Refusal | null {
  const { unit: ref, prepared: result } = input;
  const at = turn.now;
  const step = stepOf(turn.state, ref.step);
  if (step === null || !isDue(turn.state, "prepare", ref, at)) return NOT_DUE;
  const { def } = step;
  const unit = unitOf(turn.state, ref);
  if (!fits(def, ref, unit, result)) {
    fail(turn, ref, located(MISFIT, ref, unit), outcomeBefore(def, ref, unit));
    return null;
  }
  switch (result.kind) {
    case "skip":
      skip(turn, ref.step, "when");
      return null;
    case "call":
      ready(turn, def, ref, unit, result);
      return null;
    case "list":
      expand(turn, ref, unit, result);
      return null;
    case "timer":
      if (isWait(result.ms)) emit(turn, { t: "waiting", at, ...ref, wakeAt: at + result.ms });
      else fail(turn, ref, located(BAD_WAIT, ref, unit), "not_done");
      return null;
    case "signal":
      if (!isWait(result.limitMs)) {
        fail(turn, ref, located(BAD_WAIT, ref, unit), "not_done");
        return null;
      }
      waitForSignal(turn, ref, result);
      return null;
    case "approval":
      if (isWait(result.limitMs)) ask(turn, ref, unit, result.limitMs, { text: result.text });
      else fail(turn, ref, located(BAD_WAIT, ref, unit), "not_done");
      return null;
    case "done":
      emit(turn, { t: "succeeded", at, ...ref, output: result.output });
      return null;
    case "error":
      fail(turn, ref, located(result.failure, ref, unit), outcomeBefore(def, ref, unit));
      return null;
  }
}

function waitForSignal(
  turn: Turn,
  ref: UnitRef,
  { limitMs, hears, take: kept, misfits = [] }: Extract<Prepared, { readonly kind: "signal" }>,
): void {
  const passed = {
    ...(misfits.length === 0 ? {} : { misfits }),
    ...(hears === undefined ? {} : { hears }),
  };
  emit(turn, { t: "waiting", at: turn.now, ...ref, limitAt: turn.now + limitMs, ...passed });
  if (kept !== null) takeSignal(turn, ref.step, kept);
}

/**
 * Whether a unit can be prepared in this way: a step by its kind, a condition only before the first attempt.
 * What does not fit fails at once; refused, it would be due for ever.
 */
function fits(def: StepDef, ref: UnitRef, unit: Unit | null, { kind }: Prepared): boolean {
  const whole = ref.item === undefined && ref.role === undefined;
  const list = whole && def.forEach !== undefined;
  switch (kind) {
    case "error":
      return true;
    case "skip":
      return whole && unit?.status === "pending";
    case "list":
      return list;
    case "call":
      return !list && (ref.role !== undefined || def.kind === "call");
    case "done":
      return !list && (ref.role === "undo" || (ref.role === undefined && def.kind === "instant"));
    default:
      return !list && ref.role === undefined && def.kind === kind;
  }
}

function isWait(ms: number): boolean {
  return Number.isFinite(ms) && ms >= 0 && ms <= MAX_WAIT_MS;
}

const BAD_WAIT = seed(
  "template_failed",
  "The time to wait is not a number of milliseconds between 0 and 365 days.",
  "Correct the step's duration.",
);

const MISFIT = seed(
  "template_failed",
  "What the step is to do does not fit the kind of step that it was when the run started.",
  "Look whether a deploy has changed the step's action; then redrive the run.",
);

/** The outcome of a unit that fails before its next attempt. */
function outcomeBefore(def: StepDef, ref: UnitRef, unit: Unit | null): Outcome {
  const effect = performanceOf(def, ref)?.effect ?? "safe";
  if (unit === null || effect === "safe") return "not_done";
  return unit.maybe ? "unknown" : outcomeOfRounds(unit);
}

/** One key, one payload (K6): a payload that changed since an earlier generation gets a key of its own. */
function ready(
  turn: Turn,
  def: StepDef,
  ref: UnitRef,
  unit: Unit | null,
  { digest, about }: Extract<Prepared, { readonly kind: "call" }>,
): void {
  const changed = unit !== null && unit.digest !== null && unit.digest !== digest;
  if (changed && unit.maybe && performanceOf(def, ref)?.effect === "keyed") {
    // With a new key, what happened under the old one would happen twice.
    fail(turn, ref, located(CHANGED, ref, unit), "done");
    return;
  }
  if (def.approval !== undefined && ref.role === undefined && !releases(unit, digest)) {
    ask(turn, ref, unit, def.approval.limitMs, { digest, ...(about === undefined ? {} : { about }) });
    return;
  }
  emit(turn, { t: "ready", at: turn.now, ...ref, digest, ...(changed ? { newKey: true } : {}) });
}

const CHANGED = seed(
  "payload_changed",
  "The step happened before, and what it is to send now is not what it sent then.",
  "Look at the service; redrive the run and say in the same call what became of the step.",
);

/** The list is evaluated once: a redriven `forEach` keeps the one that it has, and its items. */
function expand(turn: Turn, ref: UnitRef, unit: Unit | null, result: { list: Value; count: number }): void {
  if (result.count > MAX_ITEMS) {
    const failure = seed(
      "invalid_list",
      `The list has ${result.count} elements; a forEach takes at most ${MAX_ITEMS}.`,
      "Split the list over several steps.",
    );
    fail(turn, ref, located(failure, ref, unit), "not_done");
    return;
  }
  emit(turn, {
    t: "expanded",
    at: turn.now,
    step: ref.step,
    list: unit?.list ?? result.list,
    count: unit?.items?.length ?? result.count,
  });
}

/** A slot is at hand and the request is about to be sent (K4: the deadline is set here). */
function begin(turn: Turn, input: InputOf<"begin">): Refusal | null {
  const { unit: ref, attempt, version, bound = [], credentials } = input;
  const step = stepOf(turn.state, ref.step);
  const unit = unitOf(turn.state, ref);
  const performance = step === null ? null : performanceOf(step.def, ref);
  if (step === null || unit === null || performance === null) return NOT_DUE;
  if (attempt !== unit.attempt + 1 || !isDue(turn.state, "attempt", ref, turn.now)) return NOT_DUE;
  if (keyForgotten(performance, unit.maybe, unit, turn.now)) {
    becomeUnknown(
      { turn, ref, def: step.def, unit, attempt: unit.attempt },
      unit.failure ?? FORGOTTEN,
      false,
    );
    return null;
  }
  // N3: another one was pinned in the meantime.
  if (bound.some((one, i) => !mayBind(turn.state.bound, one) || !agrees(one, bound.slice(0, i))))
    return NOT_DUE;
  pin(turn, bound);
  emit(turn, {
    t: "started",
    at: turn.now,
    ...ref,
    attempt,
    deadline: turn.now + performance.timeoutMs,
    version,
    ...(credentials === undefined ? {} : { credentials }),
  });
  return null;
}

/** What has a meaning already keeps it (N3). */
function pin(turn: Turn, bound: readonly Binding[]): void {
  for (const { name, to } of bound)
    if (!Object.hasOwn(turn.state.bound ?? {}, name)) emit(turn, { t: "bound", at: turn.now, name, to });
}

/** One name means one thing. */
function agrees({ name, to }: Binding, others: readonly Binding[]): boolean {
  return others.every((other) => other.name !== name || sameJson(other.to, to));
}

const FORGOTTEN = seed(
  "outcome_unknown",
  "The provider may have forgotten the idempotency key since the last attempt.",
  "Look at the service, then resolve the step.",
);

/** An attempt ended. It counts only while it is current; what comes later is recorded, never applied (K7). */
function ended(turn: Turn, input: InputOf<"ended">): Refusal | null {
  const { unit: ref, attempt, end, generation, credentials } = input;
  const unit = unitOf(turn.state, ref);
  if (unit === null) return { code: "no_such_step", message: `There is no ${unitName(ref)} in this run.` };
  // Also of one that is too late to count.
  if (credentials !== undefined && attempt <= unit.attempt && unit.items === null)
    emit(turn, { t: "used", at: turn.now, ...ref, attempt, as: end.kind, credentials });
  const current = attempt === unit.attempt && generation === turn.state.generation;
  if (current && unit.status === "running" && unit.items === null) {
    pin(turn, input.bound ?? []);
    judge(turn, ref, end);
    return null;
  }
  if (current && unit.status === "unknown" && unit.listening) {
    if (tells(turn.state, ref, end)) judge(turn, ref, end, { by: "late" });
    else unheard(turn, ref, unit, end.kind);
    return null;
  }
  if (attempt <= unit.attempt && unit.items === null) {
    // A unit that is over has a child after all: it is told to end. In a new generation it would be found again.
    const stray = end.kind === "child" && isTerminal(unit.status);
    const child = stray ? { child: { run: end.run, generation: end.generation } } : {};
    emit(turn, { t: "late", at: turn.now, ...ref, attempt, kind: end.kind, ...child });
  }
  return null;
}

/**
 * Whether a late answer says what became of the step. That the last attempt did nothing says it of a `once` step, which
 * has no other that may have happened.
 */
function tells(state: RunState, ref: UnitRef, end: AttemptEnd): boolean {
  const { kind } = end;
  if (kind === "success" || kind === "unusable") return true;
  const def = stepOf(state, ref.step)?.def;
  const once = def !== undefined && performanceOf(def, ref)?.effect === "once";
  const idle = kind === "needs" ? end.maybe !== true : kind === "refused" || kind === "cannot";
  return once && idle;
}

/** A child tells that it has ended. What it brought is asked of the child itself, by an attempt that looks. */
function childEnded(turn: Turn, input: InputOf<"child_ended">): Refusal | null {
  const { unit: ref, run, generation } = input;
  const unit = unitOf(turn.state, ref);
  if (unit === null) return { code: "no_such_step", message: `There is no ${unitName(ref)} in this run.` };
  if (hasChild(unit)) {
    const { child } = unit;
    if (child.run === run && child.generation === generation && !child.told)
      emit(turn, { t: "child_ended", at: turn.now, ...ref, generation });
    return null;
  }
  // The attempt that started it has not come back yet: tell it again.
  return unit.status === "running" && unit.items === null ? NOT_DUE : null;
}

/** The life of the object that ran the attempt ended before the attempt did. */
function attemptLost(turn: Turn, input: InputOf<"attempt_lost">): Refusal | null {
  const unit = unitOf(turn.state, input.unit);
  if (unit?.status === "unknown" && unit.listening && unit.attempt === input.attempt) {
    unheard(turn, input.unit, unit, "lost");
    return null;
  }
  if (unit?.status !== "running" || unit.attempt !== input.attempt || unit.items !== null) return NOT_DUE;
  const failure = seed(
    "attempt_lost",
    "The object was restarted while the attempt was in flight.",
    "Nothing to do: the step is retried as its effect allows.",
    true,
  );
  judge(turn, input.unit, { kind: "unclear", failure }, { strike: input.strike });
  return null;
}

/** The run's output was filled in: the end, or a failure of the whole run. */
function output(turn: Turn, input: InputOf<"output">): Refusal | null {
  const { state } = turn;
  if (state.phase !== "forward" || state.unsettled > 0 || !state.closed || state.pausedSince !== null)
    return NOT_DUE;
  if (isQueued(state)) return NOT_DUE;
  if ("output" in input.result)
    emit(turn, { t: "ended", at: turn.now, status: "succeeded", output: input.result.output });
  else lose(turn, "failure", input.result.failure, "graceful");
  return null;
}
