/** What people and callers ask of a run: pause, resume, cancel, redrive, resolve, signal, append, close. */

import type { StepDef } from "./graph.ts";
import type { Input, Refusal, ResolveAs } from "./inputs.ts";
import { fail, located, lose, seed, stop } from "./failing.ts";
import { grow } from "./growth.ts";
import { notHappened, outcomeOfRounds } from "./judge.ts";
import { MAX_SIGNALS_PER_NAME, MAX_SIGNALS_PER_RUN } from "./limits.ts";
import { partsOf } from "./due.ts";
import { unitOf, type RunState } from "./state.ts";
import { emit, type Turn } from "./turn.ts";
import { isTerminal, refOf, unitName, type Unit, type UnitRef } from "./units.ts";

type InputOf<T extends Input["t"]> = Extract<Input, { readonly t: T }>;

const ENDED: Refusal = { code: "run_ended", message: "The run has ended. Redrive it, or start another." };

export function pause(turn: Turn, input: InputOf<"pause">): Refusal | null {
  if (turn.state.phase === "ended") return ENDED;
  if (turn.state.pausedSince === null) emit(turn, { t: "paused", at: turn.now, by: input.by });
  return null;
}

export function resume(turn: Turn, input: InputOf<"resume">): Refusal | null {
  if (turn.state.phase === "ended") return ENDED;
  if (turn.state.pausedSince !== null) emit(turn, { t: "resumed", at: turn.now, by: input.by });
  return null;
}

/** Asking twice is asking once; `immediate` after `graceful` aborts what still drains. */
export function cancel(turn: Turn, input: InputOf<"cancel">): Refusal | null {
  const { phase, lost } = turn.state;
  if (phase === "ended") return ENDED;
  if (phase === "forward") {
    const failure = seed(
      "cancelled",
      input.reason ?? "The run was cancelled.",
      "Redrive the run if this was a mistake.",
    );
    lose(turn, "cancel", failure, input.mode, input.by);
    return null;
  }
  if (phase === "draining" && input.mode === "immediate") {
    for (const def of turn.state.graph.steps)
      if (def.part === "main") stop(turn, refOf(def.name), "immediate");
    return null;
  }
  if (lost?.why === "cancel") return null;
  return { code: "already_ending", message: "The run has failed already and is undoing what it did." };
}

/** A unit of the last generation that a redrive may be told about. */
interface Open {
  readonly ref: UnitRef;
  /** Running it again would be a guess: the outcome is unknown, or a `once` step did happen and still failed. */
  readonly required: boolean;
}

function openUnits(state: RunState): Open[] {
  return state.graph.steps.flatMap((def, index) => {
    const whole = state.units[index];
    if (whole === undefined || def.part !== "main") return [];
    return partsOf(def, whole).flatMap(({ ref, unit }): Open[] => {
      if (unit.undone) return [];
      const undo: Open[] =
        unit.undo?.outcome === "unknown" ? [{ ref: refOf(ref.step, ref.item, "undo"), required: true }] : [];
      if (unit.outcome === "unknown") return [{ ref, required: true }, ...undo];
      const happened = unit.outcome === "done" && unit.status !== "succeeded" && whole.status !== "succeeded";
      return happened ? [{ ref, required: def.effect === "once" }, ...undo] : undo;
    });
  });
}

/** Opens the next generation: keeps what succeeded and was not undone, runs the rest again (K1, K6). */
export function redrive(turn: Turn, input: InputOf<"redrive">): Refusal | null {
  const { state } = turn;
  if (state.phase !== "ended")
    return { code: "already_ending", message: "The run has not ended; only an ended run can be redriven." };
  if (state.status === "succeeded")
    return { code: "nothing_to_redrive", message: "The run succeeded; start another instead." };
  const answers = new Map(input.resolve.map((answer) => [unitName(answer.unit), answer]));
  const open = openUnits(state);
  const missing = open.filter(({ ref, required }) => required && !answers.has(unitName(ref)));
  if (missing.length > 0) {
    const details = missing.map(({ ref }) => ({
      pointer: `/resolve/${unitName(ref).replaceAll("/", "~1")}`,
      detail: `Say whether ${unitName(ref)} happened.`,
    }));
    return {
      code: "resolve_first",
      message: "The outcome of some steps is unknown: resolve them in this call.",
      details,
    };
  }
  const known = new Set(open.map(({ ref }) => unitName(ref)));
  const stray = input.resolve.find((answer) => !known.has(unitName(answer.unit)));
  if (stray !== undefined)
    return { code: "not_unknown", message: `The outcome of ${unitName(stray.unit)} is not unknown.` };
  emit(turn, {
    t: "redriven",
    at: turn.now,
    generation: state.generation + 1,
    deadlineAt: turn.now + state.graph.deadlineMs,
    by: input.by,
  });
  for (const { ref } of open) {
    const answer = answers.get(unitName(ref));
    if (answer !== undefined) settleOpen(turn, ref, answer.as, input.by);
  }
  resetAll(
    turn,
    new Set(
      input.resolve.filter((answer) => answer.as.as !== "succeeded").map((answer) => unitName(answer.unit)),
    ),
  );
  return null;
}

/**
 * An unknown outcome of the last generation, resolved. A reset and a settling in one: what happened is kept as
 * succeeded; what did not is reset with the same key by `resetAll`.
 */
function settleOpen(turn: Turn, ref: UnitRef, as: ResolveAs, by: string): void {
  emit(turn, {
    t: "resolved",
    at: turn.now,
    ...ref,
    as: as.as,
    by,
    ...(as.as === "failed" && as.note !== undefined ? { note: as.note } : {}),
  });
  if (as.as !== "succeeded") return;
  reset(turn, ref, false);
  emit(turn, { t: "succeeded", at: turn.now, ...ref, output: as.output, by: "resolve" });
}

/** @param again units that did not happen, by somebody's word: those are not kept, whatever their step made of it */
function resetAll(turn: Turn, again: ReadonlySet<string>): void {
  turn.state.graph.steps.forEach((def, index) => {
    const whole = turn.state.units[index];
    if (whole === undefined) return;
    const parts = partsOf(def, whole);
    for (const { ref, unit } of parts)
      if (unit.undo !== null && isTerminal(unit.undo.status))
        reset(turn, refOf(ref.step, ref.item, "undo"), true);
    // A `forEach` that succeeded keeps the failures that it tolerated. What an `onFailure` step did, it did for the last
    // generation's failure.
    const kept = whole.status === "succeeded" && def.part === "main";
    const stale = parts.filter(
      ({ ref, unit }) => unit.undone || again.has(unitName(ref)) || (!kept && unit.status !== "succeeded"),
    );
    if (whole.items !== null && def.part === "main")
      for (const part of stale) resetPart(turn, def, part.ref, part.unit, again.has(unitName(part.ref)));
    if (kept && stale.length === 0) return;
    if (whole.items === null) resetPart(turn, def, refOf(def.name), whole, again.has(def.name));
    else if (isTerminal(whole.status)) reset(turn, refOf(def.name), def.part === "on_failure");
  });
}

/**
 * What was undone, and an `onFailure` step, gets a new key, and so does a `repeat` past its first round, as it starts
 * again from there. What failed keeps its key; if it did happen, its provider may answer from memory (K6).
 */
function resetPart(turn: Turn, def: StepDef, ref: UnitRef, unit: Unit, again: boolean): void {
  if (!isTerminal(unit.status)) return;
  const happened = unit.outcome === "done" && !again;
  const rounds = def.repeat !== undefined && (unit.iteration > 0 || happened);
  const fresh = def.part === "on_failure" || unit.undone;
  reset(turn, ref, fresh || rounds, happened && !fresh && def.effect !== "safe");
}

function reset(turn: Turn, ref: UnitRef, newKey: boolean, maybe = false): void {
  emit(turn, { t: "reset", at: turn.now, ...ref, newKey, ...(maybe ? { maybe } : {}) });
}

export function resolve(turn: Turn, input: InputOf<"resolve">): Refusal | null {
  const { unit: ref, as, by } = input;
  if (turn.state.phase === "ended")
    return { ...ENDED, message: "The run has ended; resolve the step in the call that redrives it." };
  const unit = unitOf(turn.state, ref);
  if (unit === null) return { code: "no_such_step", message: `There is no ${unitName(ref)} in this run.` };
  if (unit.status !== "unknown")
    return {
      code: "not_unknown",
      message: `${unitName(ref)} is ${unit.status}; only an unknown outcome can be resolved.`,
    };
  emit(turn, {
    t: "resolved",
    at: turn.now,
    ...ref,
    as: as.as,
    by,
    ...(as.as === "failed" && as.note !== undefined ? { note: as.note } : {}),
  });
  if (as.as === "succeeded")
    emit(turn, { t: "succeeded", at: turn.now, ...ref, output: as.output, by: "resolve" });
  else if (as.as === "retry") notHappened(turn, ref, "resolve");
  else {
    const failure = seed(
      "resolved_as_failed",
      as.note ?? "A person said that the step did not happen and will not.",
      "Redrive the run to try again.",
    );
    fail(turn, ref, located(failure, ref, unit), outcomeOfRounds(unit), { by: "resolve" });
  }
  return null;
}

/** Kept until a step takes it, also when it comes early; the same id again is the same signal. */
export function signal(turn: Turn, input: InputOf<"signal">): Refusal | null {
  const { state } = turn;
  if (state.signalIds.includes(input.id)) return null;
  if (state.phase === "ended") return ENDED;
  const forward = state.phase === "forward";
  const taken = state.graph.steps.some(
    (def, i) =>
      def.kind === "signal" && def.signal === input.name && !isTerminal(state.units[i]?.status ?? "skipped"),
  );
  if (!taken && !forward)
    return {
      code: "already_ending",
      message: "The run is ending, and no step of it takes this signal any more.",
    };
  if (!taken && state.closed)
    return {
      code: "signal_not_expected",
      message: `No step of this run can still take a signal named ${input.name}.`,
    };
  if (state.signalIds.length >= MAX_SIGNALS_PER_RUN)
    return {
      code: "signal_buffer_full",
      message: `A run takes at most ${MAX_SIGNALS_PER_RUN} signals; start another run.`,
    };
  const waiting = state.buffered.filter((kept) => kept.name === input.name).length;
  if (waiting >= MAX_SIGNALS_PER_NAME) {
    return {
      code: "signal_buffer_full",
      message: `${MAX_SIGNALS_PER_NAME} signals of this name wait already; send it again when a step has taken some.`,
    };
  }
  emit(turn, { t: "signalled", at: turn.now, id: input.id, name: input.name, payload: input.payload });
  for (const index of turn.state.live) {
    const def = turn.state.graph.steps[index];
    if (def !== undefined && def.signal === input.name && takeSignal(turn, def.name)) break;
  }
  return null;
}

/** Gives a waiting step the oldest signal kept for it. */
export function takeSignal(turn: Turn, step: string): boolean {
  const index = turn.state.indexOf.get(step);
  const def = index === undefined ? undefined : turn.state.graph.steps[index];
  const unit = index === undefined ? undefined : turn.state.units[index];
  if (def?.kind !== "signal" || unit?.status !== "waiting") return false;
  const kept = turn.state.buffered.find((buffered) => buffered.name === def.signal);
  if (kept === undefined) return false;
  emit(turn, { t: "succeeded", at: turn.now, step, output: kept.payload, by: "signal", signal: kept.id });
  return true;
}

export function append(turn: Turn, input: InputOf<"append">): Refusal | null {
  const { state } = turn;
  const NOT_OPEN: Refusal = {
    code: "not_open",
    message: "Steps can be appended to an open run only, until it is closed or ends.",
  };
  if (!state.run.open) return NOT_OPEN;
  const known = input.steps.every((step) => state.indexOf.has(step.name));
  if (state.phase !== "forward" || state.closed)
    return known && input.steps.length > 0 ? grow(turn, input.steps, input.by, turn.now) : NOT_OPEN;
  if (!known && input.ifRevision !== undefined && input.ifRevision !== state.revision) {
    return { code: "revision_mismatch", message: `The graph is at revision ${state.revision}.` };
  }
  return grow(turn, input.steps, input.by, turn.now);
}

export function close(turn: Turn): Refusal | null {
  if (!turn.state.run.open) return { code: "not_open", message: "Only an open run can be closed." };
  if (!turn.state.closed && turn.state.phase === "forward")
    emit(turn, { t: "closed", at: turn.now, by: "owner" });
  return null;
}
