/** `decide(state, input, now, random) -> facts`. Total: every state and input give facts or a typed refusal (K9). */

import { append, cancel, close, pause, redrive, resolve, resume, signal, takeSignal } from "./control.ts";
import { performanceOf } from "./due.ts";
import { evolve, joinOf } from "./evolve.ts";
import { fail, located, lose, seed } from "./failing.ts";
import type { Decision, Input, Refusal } from "./inputs.ts";
import { becomeUnknown, judge, keyForgotten } from "./judge.ts";
import { MAX_ITEMS } from "./limits.ts";
import { checkGraph } from "./lints.ts";
import { settle } from "./settle.ts";
import { stepOf, unitOf, type RunState } from "./state.ts";
import { tick } from "./time.ts";
import { emit, newTurn, type Turn } from "./turn.ts";
import { refOf, unitName, type UnitRef } from "./units.ts";

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
  const fact = {
    t: "run_started",
    at: now,
    run: input.run,
    graph: input.graph,
    input: input.input,
    deadlineAt: now + input.graph.deadlineMs,
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
    case "ended":
      return ended(turn, input);
    case "attempt_lost":
      return attemptLost(turn, input);
    case "output":
      return output(turn, input);
    case "tick":
      tick(turn);
      return null;
    case "signal":
      return signal(turn, input);
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
  }
}

const NOT_DUE: Refusal = { code: "not_due", message: "The unit is not due." };

/** Whether the unit may take its next step now: its phase, its join, the pause (K2). */
function mayGo(turn: Turn, ref: UnitRef): boolean {
  const { state } = turn;
  const step = stepOf(state, ref.step);
  if (step === null || state.pausedSince !== null || state.phase === "ended") return false;
  if (ref.role === "verify") return unitOf(state, refOf(ref.step, ref.item))?.status === "unknown";
  if (ref.role === "undo")
    return step.def.compensate !== undefined && (state.phase === "undoing" || step.unit.givingUp !== null);
  if ((step.def.part === "main" ? "forward" : "handling") !== state.phase) return false;
  return ref.item === undefined
    ? joinOf(state, step.def) === "run"
    : step.unit.status === "running" && step.unit.givingUp === null;
}

/** The templates of a due unit were filled in. */
function prepared(turn: Turn, input: InputOf<"prepared">): Refusal | null {
  const { unit: ref, prepared: result } = input;
  const at = turn.now;
  const step = stepOf(turn.state, ref.step);
  const owner = unitOf(turn.state, refOf(ref.step, ref.item));
  const unit = unitOf(turn.state, ref);
  const resting =
    unit === null
      ? ref.role === "undo"
      : (unit.status === "pending" || unit.status === "waiting") && unit.readyAt === null;
  if (step === null || owner === null || !resting || !mayGo(turn, ref)) return NOT_DUE;
  const { def } = step;
  switch (result.kind) {
    case "skip":
      if (ref.item !== undefined || ref.role !== undefined) return NOT_DUE;
      emit(turn, { t: "skipped", at, step: ref.step, why: "when" });
      return null;
    case "call": {
      // One key, one payload: a payload that changed since an earlier generation gets a key of its own (K6).
      const changed = unit !== null && unit.digest !== null && unit.digest !== result.digest;
      emit(turn, { t: "ready", at, ...ref, digest: result.digest, ...(changed ? { newKey: true } : {}) });
      return null;
    }
    case "list": {
      if (def.forEach === undefined || ref.item !== undefined) return NOT_DUE;
      if (result.count > MAX_ITEMS) {
        const failure = seed(
          "invalid_list",
          `The list has ${result.count} elements; a forEach takes at most ${MAX_ITEMS}.`,
          "Split the list over several steps.",
        );
        fail(turn, ref, located(failure, ref, unit), "not_done");
        return null;
      }
      const kept = unit?.items ?? null;
      emit(turn, {
        t: "expanded",
        at,
        step: ref.step,
        list: unit?.list ?? result.list,
        count: kept?.length ?? result.count,
      });
      return null;
    }
    case "timer":
      emit(turn, { t: "waiting", at, ...ref, wakeAt: at + result.ms });
      return null;
    case "signal":
      emit(turn, { t: "waiting", at, ...ref, limitAt: at + result.limitMs });
      takeSignal(turn, ref.step);
      return null;
    case "done":
      emit(turn, { t: "succeeded", at, ...ref, output: result.output });
      return null;
    case "error":
      fail(
        turn,
        ref,
        located(result.failure, ref, unit),
        owner.iteration > 0 && def.effect !== "safe" ? "done" : "not_done",
      );
      return null;
  }
}

/** A slot is at hand and the request is about to be sent (K4: the deadline is set here). */
function begin(turn: Turn, input: InputOf<"begin">): Refusal | null {
  const { unit: ref, attempt, version } = input;
  const step = stepOf(turn.state, ref.step);
  const unit = unitOf(turn.state, ref);
  const performance = step === null ? null : performanceOf(step.def, ref);
  if (step === null || unit === null || performance === null || !mayGo(turn, ref)) return NOT_DUE;
  const rested =
    unit.status === "backing_off" ||
    ((unit.status === "pending" || unit.status === "waiting") &&
      unit.digest !== null &&
      unit.readyAt !== null);
  if (!rested || attempt !== unit.attempt + 1 || (unit.wakeAt !== null && unit.wakeAt > turn.now))
    return NOT_DUE;
  if (unit.status === "backing_off" && keyForgotten(performance, unit.maybe, unit, turn.now)) {
    const failure = seed(
      "outcome_unknown",
      "The provider may have forgotten the idempotency key since the last attempt.",
      "Look at the service, then resolve the step.",
    );
    becomeUnknown({ turn, ref, def: step.def, unit, attempt: unit.attempt }, unit.failure ?? failure, false);
    return null;
  }
  emit(turn, {
    t: "started",
    at: turn.now,
    ...ref,
    attempt,
    deadline: turn.now + performance.timeoutMs,
    version,
  });
  return null;
}

/** An attempt ended. It counts only while it is current; what comes later is recorded, never applied (K7). */
function ended(turn: Turn, input: InputOf<"ended">): Refusal | null {
  const { unit: ref, attempt, end, generation } = input;
  const unit = unitOf(turn.state, ref);
  if (unit === null) return { code: "no_such_step", message: `There is no ${unitName(ref)} in this run.` };
  const current = attempt === unit.attempt && generation === turn.state.generation;
  if (current && unit.status === "running" && unit.items === null) {
    judge(turn, ref, end);
    return null;
  }
  if (current && unit.status === "unknown" && unit.listening && end.kind !== "unclear") {
    judge(turn, ref, end, { by: "late" });
    return null;
  }
  // A verify that was overtaken leaves no unit behind; there is nothing to record it on.
  if (attempt <= unit.attempt && unit.items === null)
    emit(turn, { t: "late", at: turn.now, ...ref, attempt, kind: end.kind });
  return null;
}

/** The life of the object that ran the attempt ended before the attempt did. */
function attemptLost(turn: Turn, input: InputOf<"attempt_lost">): Refusal | null {
  const unit = unitOf(turn.state, input.unit);
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
  if ("output" in input.result)
    emit(turn, { t: "ended", at: turn.now, status: "succeeded", output: input.result.output });
  else lose(turn, "failure", input.result.failure, "graceful");
  return null;
}
