/** After the end: what the run claims, against what the referee knows. */

import { refOf, type RunState, type StepDef, type Unit, type UnitRef } from "../../src/kernel/index.ts";
import { thingOfKey, unitKey, type Referee } from "./referee.ts";
import type { Findings } from "./verdict.ts";

export function checkClaims(state: RunState, referee: Referee, findings: Findings): void {
  const claimed = new Set<string>();
  for (const { ref, def, unit } of parts(state)) {
    const key = unitKey(state.run.id, ref, state);
    // A redriven `repeat` begins at its first round, with new keys; what is idempotent is one thing under any key.
    const anyKey = def.part === "main" && (def.repeat !== undefined || def.effect === "idempotent");
    const stands = anyKey ? referee.everStands(key) : referee.stands(key);
    if (def.effect !== "safe" && (unit.undone || unit.outcome !== "not_done"))
      claimed.add(anyKey ? thingOfKey(key) : key);
    checkUnit(ref, def, unit, { happened: anyKey ? stands : referee.happened(key), stands }, findings);
    if (stands && state.failure !== null && def.part === "main") {
      const listed = state.failure.left_behind.some(
        (left) => left.step === ref.step && left.item === ref.item,
      );
      findings.expect(listed, `${key} stands in the world, and the failure does not list it`);
    }
  }
  const handlers = state.graph.steps.filter((def) => def.part === "on_failure").map((def) => `.${def.name}.`);
  for (const key of referee.standing())
    findings.expect(
      claimed.has(key) || claimed.has(thingOfKey(key)) || handlers.some((name) => key.includes(name)),
      `${key} stands in the world, and no step says so`,
    );
}

function checkUnit(
  ref: UnitRef,
  def: StepDef,
  unit: Unit,
  truth: { readonly happened: boolean; readonly stands: boolean },
  findings: Findings,
): void {
  if (def.effect === "safe" || def.kind !== "call") return;
  const name = `${ref.step}${ref.item === undefined ? "" : `[${ref.item}]`} (${def.effect}, ${unit.status})`;
  if (unit.undone) return findings.expect(!truth.stands, `${name} claims to be undone, and stands`);
  // Whether an undoing happened may itself be unknown.
  if (unit.outcome === "done" && unit.undo?.outcome !== "unknown")
    findings.expect(truth.stands, `${name} claims to be done, and is not`);
  if (unit.outcome === "not_done")
    findings.expect(!truth.happened, `${name} claims not to have happened, and did`, "broken");
  // Steps of `onFailure` never come to their turn in a run that succeeds.
  if (unit.outcome === null)
    findings.expect(def.part === "on_failure" && !truth.happened, `${name} has no outcome after the end`);
}

/** Steps, or their items where there are some. */
function parts(state: RunState): { ref: UnitRef; def: StepDef; unit: Unit }[] {
  return state.graph.steps.flatMap((def, index) => {
    const unit = state.units[index];
    if (unit === undefined) return [];
    if (unit.items === null) return [{ ref: refOf(def.name), def, unit }];
    return unit.items.map((item, i) => ({ ref: refOf(def.name, i), def, unit: item }));
  });
}
