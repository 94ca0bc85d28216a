/** What people and callers ask of a run: pause, resume, cancel, resolve, signal, append, close. */

import type { Input, Refusal } from "./inputs.ts";
import { endPause, fail, located, lose, seed, stop } from "./failing.ts";
import { grow } from "./growth.ts";
import { notHappened, outcomeOfRounds } from "./judge.ts";
import { MAX_SIGNALS_PER_NAME, MAX_SIGNALS_PER_RUN } from "./limits.ts";
import { hasSignal, unitOf, type RunState } from "./state.ts";
import { emit, type Turn } from "./turn.ts";
import { isTerminal, refOf, unitName } from "./units.ts";
import type { Value } from "./values.ts";

type InputOf<T extends Input["t"]> = Extract<Input, { readonly t: T }>;

/** What has succeeded cannot be redriven. */
function ended({ status }: RunState): Refusal {
  const then = status === "succeeded" ? "Start another." : "Redrive it, or start another.";
  return { code: "run_ended", message: `The run has ended. ${then}` };
}

export function pause(turn: Turn, input: InputOf<"pause">): Refusal | null {
  if (turn.state.phase === "ended") return ended(turn.state);
  if (turn.state.pausedSince === null) emit(turn, { t: "paused", at: turn.now, by: input.by });
  return null;
}

export function resume(turn: Turn, input: InputOf<"resume">): Refusal | null {
  if (turn.state.phase === "ended") return ended(turn.state);
  endPause(turn, input.by);
  return null;
}

/**
 * Asking twice is asking once; `immediate` after `graceful` aborts what still drains. It ends a pause: who cancels a run
 * wants it undone.
 */
export function cancel(turn: Turn, input: InputOf<"cancel">): Refusal | null {
  const { phase, lost } = turn.state;
  if (phase === "ended") return ended(turn.state);
  const aborts = phase === "draining" && input.mode === "immediate";
  if (phase === "forward" || aborts || lost?.why === "cancel") endPause(turn, input.by);
  if (phase === "forward") {
    const failure = seed(
      "cancelled",
      input.reason ?? "The run was cancelled.",
      "Redrive the run if this was a mistake.",
    );
    lose(turn, "cancel", failure, input.mode, input.by);
    return null;
  }
  if (aborts) {
    for (const def of turn.state.graph.steps)
      if (def.part === "main") stop(turn, refOf(def.name), "immediate");
    return null;
  }
  if (lost?.why === "cancel") return null;
  return { code: "already_ending", message: "The run has failed already and is undoing what it did." };
}

export function resolve(turn: Turn, input: InputOf<"resolve">): Refusal | null {
  const { unit: ref, as, by } = input;
  if (turn.state.phase === "ended")
    return turn.state.status === "succeeded"
      ? ended(turn.state)
      : {
          code: "run_ended",
          message: "The run has ended; resolve the step in the call that redrives it.",
        };
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
    ...(as.note === undefined ? {} : { note: as.note }),
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

/** Kept until a step takes it, also when it comes early; the same name and id again are the same signal. */
export function signal(turn: Turn, input: InputOf<"signal">): Refusal | null {
  const { state } = turn;
  if (hasSignal(state, input.name, input.id)) return null;
  if (state.phase === "ended") return ended(turn.state);
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
  const kept = state.buffered.filter(({ name }) => name === input.name).length;
  // What a step takes at once is not kept; those that are kept while it waits do not fit it.
  if (kept >= MAX_SIGNALS_PER_NAME && !state.live.some((index) => awaits(state, index, input.name))) {
    return {
      code: "signal_buffer_full",
      message: `${MAX_SIGNALS_PER_NAME} signals of this name wait already; send it again when a step has taken some.`,
    };
  }
  emit(turn, { t: "signalled", at: turn.now, id: input.id, name: input.name, payload: input.payload });
  for (const index of turn.state.live) {
    const def = turn.state.graph.steps[index];
    // What was kept before a step began to wait, and is kept still, did not fit: a step that waits takes what comes.
    if (def !== undefined && def.signal === input.name && takeSignal(turn, def.name, { id: input.id })) break;
  }
  return null;
}

function awaits({ graph, units }: RunState, index: number, signal: string): boolean {
  const def = graph.steps[index];
  return def?.kind === "signal" && def.signal === signal && units[index]?.status === "waiting";
}

/**
 * Gives a waiting step a signal that is kept for it.
 * @param which missing: the oldest
 */
export function takeSignal(turn: Turn, step: string, which?: { id: string; payload?: Value }): boolean {
  const index = turn.state.indexOf.get(step);
  const def = index === undefined ? undefined : turn.state.graph.steps[index];
  const unit = index === undefined ? undefined : turn.state.units[index];
  if (def?.kind !== "signal" || unit?.status !== "waiting") return false;
  const found = turn.state.buffered.find(
    ({ name, id }) => name === def.signal && (which === undefined || id === which.id),
  );
  if (found === undefined) return false;
  const kept = { ...found, ...which };
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
