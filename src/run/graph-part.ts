/** A part of a run's graph, for whoever is about to add steps to it: what those name, and what that needs. Bounded. */

import type { RunDriver } from "../driver/index.ts";
import { stepOf, type RunState, type StepDef } from "../kernel/index.ts";
import type { GraphPart } from "./rpc.ts";

type Read = RunDriver["read"];

/** Steps that are told, however long the run is. */
const MAX_STEPS = 500;
const MAX_CHARS = 524_288;
/** Names that are told for who misspelt one: those of the latest steps. */
const MAX_NAMES = 100;

/** @param deeply also what the named steps need, and so on */
export function graphPart(
  state: RunState,
  { names, deeply }: { readonly names: readonly string[]; readonly deeply: boolean },
  read: Read,
): GraphPart {
  const { steps, deadlineMs, undoBudgetMs } = state.graph;
  const named = new Set(names);
  const told = new Map<string, StepDef>();
  const open = [...named];
  let chars = 0;
  let whole = true;
  for (let name = open.shift(); name !== undefined; name = open.shift()) {
    const found = told.has(name) ? null : stepOf(state, name);
    if (found === null) continue;
    const def = named.has(name) && isAsWritten(found, read) ? found.def : bare(found.def);
    chars += JSON.stringify(def).length;
    whole = told.size < MAX_STEPS && chars <= MAX_CHARS;
    if (!whole) break;
    told.set(name, def);
    if (deeply) open.push(...found.def.needs);
  }
  const latest = steps.slice(-MAX_NAMES).map((step) => step.name);
  return { steps: [...told.values()], whole, names: latest, deadlineMs, undoBudgetMs };
}

/** What is only waited for: nobody asks what it puts out. */
function bare(def: StepDef): StepDef {
  const { verify: _verify, compensate: _compensate, reads: _reads, ...rest } = def;
  return { ...rest, action: "code", with: null };
}

/** Somebody who resolved a step may have given an output of another form than the step's own. */
function isAsWritten({ def, unit }: NonNullable<ReturnType<typeof stepOf>>, read: Read): boolean {
  if (def.kind !== "call" || def.effect === "safe" || unit.output === null || def.forEach !== undefined)
    return true;
  const output = read(unit.output);
  return typeof output === "object" && output !== null && "status" in output && "body" in output;
}
