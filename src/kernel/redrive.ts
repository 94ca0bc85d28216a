/**
 * Redrive: the next generation of a run. It keeps what stands in the world, and does the rest again.
 *
 * Owns: what is kept and what is done anew. Does not own how a unit is reset (`unit-facts.ts`).
 *
 * V1 what was undone, and what did not come out well, is done anew.
 * V2 what needs something that is done anew, at whatever distance, is done anew as well, unless it stands in the world:
 *    it may have been made from what is no more.
 * V3 what stands in the world is never done a second time unasked (K5, K6).
 */

import { partsOf } from "./due.ts";
import type { StepDef } from "./graph.ts";
import type { Input, Refusal, ResolveAs } from "./inputs.ts";
import { deadlineOf } from "./queue.ts";
import type { RunState } from "./state.ts";
import { emit, type Turn } from "./turn.ts";
import { isTerminal, refOf, unitName, type Unit, type UnitRef } from "./units.ts";

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

/** Units of a run that has ended of which a redrive must be told whether they happened. */
export function unresolved(state: RunState): UnitRef[] {
  return openUnits(state).flatMap(({ ref, required }) => (required ? [ref] : []));
}

/** A run that is lost ends when everything of it is settled: whoever waits for that is told what holds it up. */
function notEnded(state: RunState): Refusal {
  const unknown = state.graph.steps.flatMap((def, index) => {
    const whole = state.units[index];
    if (whole === undefined || state.phase === "forward") return [];
    return partsOf(def, whole).flatMap(({ ref, unit }) => [
      ...(unit.status === "unknown" ? [ref] : []),
      ...(unit.undo?.status === "unknown" ? [refOf(ref.step, ref.item, "undo")] : []),
    ]);
  });
  if (unknown.length === 0)
    return { code: "already_ending", message: "The run has not ended; only an ended run can be redriven." };
  return {
    code: "already_ending",
    message:
      "The run has not ended: it waits until somebody says whether some steps happened. Resolve them, then redrive it.",
    details: unknown.map((ref) => ({
      pointer: `/steps/${ref.step}`,
      detail: `The outcome of ${unitName(ref)} is unknown: POST /v1/runs/${state.run.id}/steps/${ref.step}/resolve${bodyOf(ref)}.`,
    })),
  };
}

/** What the body must name beside the answer, if not the step itself is meant. */
function bodyOf({ item, role }: UnitRef): string {
  const names = [
    ...(item === undefined ? [] : [`"item": ${item}`]),
    ...(role === "undo" ? ['"undo": true'] : []),
  ];
  return names.length === 0 ? "" : ` with ${names.join(" and ")}`;
}

/** Opens the next generation: keeps what succeeded and was not undone, runs the rest again (K1, K6). */
export function redrive(turn: Turn, input: Extract<Input, { readonly t: "redrive" }>): Refusal | null {
  const { state } = turn;
  if (state.phase !== "ended") return notEnded(state);
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
    deadlineAt: deadlineOf(state.run, state.graph, turn.now),
    by: input.by,
  });
  for (const { ref } of open) {
    const answer = answers.get(unitName(ref));
    if (answer !== undefined) settleOpen(turn, ref, answer.as, input.by);
  }
  const saidOf = (succeeded: boolean): ReadonlySet<string> =>
    new Set(
      input.resolve
        .filter(({ as }) => (as.as === "succeeded") === succeeded)
        .map(({ unit }) => (succeeded ? unit.step : unitName(unit))),
    );
  resetAll(turn, { again: saidOf(false), happened: saidOf(true) });
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
    ...(as.note === undefined ? {} : { note: as.note }),
  });
  if (as.as !== "succeeded") return;
  reset(turn, ref, false);
  emit(turn, { t: "succeeded", at: turn.now, ...ref, output: as.output, by: "resolve" });
}

/** What somebody said in the call: units that did not happen, and steps that did, with an output of that person's. */
interface Said {
  readonly again: ReadonlySet<string>;
  readonly happened: ReadonlySet<string>;
}

/** Needs come first in the graph, so one pass sees what a step needs before the step (V2). */
function resetAll(turn: Turn, said: Said): void {
  /** Steps that are done anew, or that stand on one that is. */
  const shifted = new Set<string>();
  turn.state.graph.steps.forEach((def, index) => {
    const whole = turn.state.units[index];
    if (whole === undefined) return;
    for (const { ref, unit } of partsOf(def, whole))
      if (unit.undo !== null && isTerminal(unit.undo.status))
        reset(turn, refOf(ref.step, ref.item, "undo"), true);
    const shaken = def.part === "main" && def.needs.some((need) => shifted.has(need));
    const anew = resetStep(turn, def, whole, shaken, said);
    if (anew || shaken || said.happened.has(def.name)) shifted.add(def.name);
  });
}

/**
 * @param shaken something that the step needs is done anew
 * @returns whether the step, or a part of it, is done anew
 */
function resetStep(turn: Turn, def: StepDef, whole: Unit, shaken: boolean, { again }: Said): boolean {
  const parts = partsOf(def, whole);
  if (shaken && !stands(def, parts, again)) {
    if (def.forEach === undefined) resetPart(turn, def, refOf(def.name), whole, again.has(def.name));
    // Its list may be another one now, so its items are others.
    else if (isTerminal(whole.status)) reset(turn, refOf(def.name), true);
    return true;
  }
  // A `forEach` that succeeded keeps the failures that it tolerated. What an `onFailure` step did, it did for the last
  // generation's failure.
  const kept = whole.status === "succeeded" && def.part === "main";
  const stale = parts.filter(
    ({ ref, unit }) => unit.undone || again.has(unitName(ref)) || (!kept && unit.status !== "succeeded"),
  );
  if (whole.items !== null && def.part === "main")
    for (const part of stale) resetPart(turn, def, part.ref, part.unit, again.has(unitName(part.ref)));
  if (kept && stale.length === 0) return false;
  if (whole.items === null) resetPart(turn, def, refOf(def.name), whole, again.has(def.name));
  else if (isTerminal(whole.status)) reset(turn, refOf(def.name), def.part === "on_failure");
  return true;
}

/** Whether something of the step is in the world, or may be (V3). */
function stands(
  def: StepDef,
  parts: readonly { readonly ref: UnitRef; readonly unit: Unit }[],
  again: ReadonlySet<string>,
): boolean {
  if (def.effect === "safe") return false;
  return parts.some(
    ({ ref, unit }) =>
      !unit.undone &&
      !again.has(unitName(ref)) &&
      (unit.maybe || unit.outcome === "done" || unit.outcome === "unknown"),
  );
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
