/**
 * What this build has no code for. A run keeps the graph that it was started with, so it may want functions of a version of its
 * workflow that this build does not have: it is older than the run, or the version was taken out.
 */
import { performanceOf, type Json, type RunInfo, type StepDef, type UnitRef } from "../kernel/index.ts";
import { isPlanned } from "./plan-evaluator.ts";
import { rawOf, type Registry } from "./registry.ts";

type Wants = { readonly def: StepDef; readonly unit: UnitRef } | { readonly output: Json | undefined };

/** Whether nothing here can fill in, or perform, what is due. Steps that are data need no code of ours. */
export function lacksCode(registry: Registry, { workflow, version }: RunInfo, wants: Wants): boolean {
  if ("output" in wants) {
    // Of a plan it is a template, without one the outputs of the steps.
    if (wants.output !== true) return false;
    return (registry.get(workflow, version)?.definition.makeOutput ?? null) === null;
  }
  const { def, unit } = wants;
  if (isPlanned(def)) return false;
  const whole = unit.item === undefined && unit.role === undefined;
  const asks = whole && def.when !== undefined;
  const lists = whole && def.forEach !== undefined;
  const fills = !lists && performanceOf(def, unit)?.with === null;
  if (!asks && !lists && !fills) return false;
  const step = registry.get(workflow, version)?.step(def.name) ?? null;
  if (step === null) return true;
  if ((asks && step.spec.when === undefined) || (lists && step.spec.forEach === undefined)) return true;
  return fills && rawOf(step, unit.role) === null;
}
