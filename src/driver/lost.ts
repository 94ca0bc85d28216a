/**
 * Of which units the state shows an attempt in flight, or one that timed out and is still listened to: those that this
 * life does not perform were lost with an earlier one.
 */

import { refOf, type RunState, type Unit, type UnitRef } from "../kernel/index.ts";

export function inFlightUnits(state: RunState): { ref: UnitRef; unit: Unit }[] {
  const found: { ref: UnitRef; unit: Unit }[] = [];
  const look = (ref: UnitRef, unit: Unit | null): void => {
    if (unit === null) return;
    const running = unit.status === "running" && unit.items === null;
    if (running || (unit.status === "unknown" && unit.listening)) found.push({ ref, unit });
    if (ref.role !== undefined) return;
    look(refOf(ref.step, ref.item, "verify"), unit.verify);
    look(refOf(ref.step, ref.item, "undo"), unit.undo);
    unit.items?.forEach((item, i) => {
      look(refOf(ref.step, i), item);
    });
  };
  state.graph.steps.forEach((def, i) => {
    look(refOf(def.name), state.units[i] ?? null);
  });
  return found;
}
