/** Growth: a run gains steps, and never anything else changes (K11). */

import type { StepDef } from "./graph.ts";
import type { Refusal } from "./inputs.ts";
import { checkSteps, escapePointer, orderSteps } from "./lints.ts";
import type { RunState } from "./state.ts";
import { emit, type Turn } from "./turn.ts";
import { sameJson } from "./values.ts";

/**
 * Adds the steps that are new. Idempotent by name: a step that is there with the same content is passed over.
 * @returns null, or why nothing was added
 */
export function grow(turn: Turn, steps: readonly StepDef[], by: string, at: number): Refusal | null {
  const { state } = turn;
  const fresh: StepDef[] = [];
  for (const step of orderSteps(steps)) {
    const index = state.indexOf.get(step.name);
    if (index === undefined) fresh.push(step);
    else if (!isSame(state.graph.steps[index], step))
      return {
        code: "step_exists",
        message: `A step named ${step.name} is there already, with other content.`,
      };
  }
  const refusal = checkGrowth(state, fresh);
  if (refusal !== null) return refusal;
  if (fresh.length > 0) emit(turn, { t: "grew", at, steps: fresh, revision: state.revision + 1, by });
  return null;
}

/**
 * What the door pins to a step (where it came from, the appender's policies, the approval that a policy asks for) is not its content: a step
 * that is sent again after a policy was changed is the same step, and stays bound as it was.
 */
function isSame(there: StepDef | undefined, step: StepDef): boolean {
  return there !== undefined && sameJson(content(there), content(step));
}

function content(step: StepDef): object {
  const { policies: _policies, grown: _grown, approval, ...rest } = step;
  return step.kind === "call" ? rest : { ...rest, approval };
}

/** The lints of a definition, on what is added to what is there. */
function checkGrowth(state: RunState, fresh: readonly StepDef[]): Refusal | null {
  const { steps: existing, deadlineMs, undoBudgetMs } = state.graph;
  const lints = checkSteps(fresh, { existing, deadlineMs, undoBudgetMs });
  const foreign = fresh.filter((step) => step.part !== "main");
  const details = [
    ...lints.map(({ pointer, code, detail }) => ({ pointer, code, detail })),
    ...foreign.map((step) => ({
      pointer: `/steps/${escapePointer(step.name)}/part`,
      detail: "Only main steps can be added to a run.",
    })),
  ];
  if (details.length === 0) return null;
  return { code: "bad_graph", message: details[0]?.detail ?? "The steps do not fit the graph.", details };
}
