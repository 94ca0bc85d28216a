/**
 * What the payload of a signal must look like, where a step that waits for it says so: checked at the door for the steps
 * that are there, and when a step begins to wait, for what came before the step.
 */

import type { Finding } from "../actions/index.ts";
import { isTerminal, type Json, type RunState, type StepDef } from "../kernel/index.ts";
import { isMap } from "./expressions/index.ts";
import { inputParser } from "./input-schema.ts";

export type FittedPayload =
  | { readonly ok: true; readonly payload: Json }
  | { readonly ok: false; readonly errors: readonly Finding[] };

/**
 * A payload must fit every step that can still take it: which one will is decided when it is taken.
 * @returns the payload, with the defaults of the schemas filled in
 */
export function fitPayload(state: RunState, signal: string, payload: Json): FittedPayload {
  let fitted = payload;
  for (const schema of schemasOf(state, signal)) {
    const parsed = inputParser(schema)(fitted, "/payload");
    if (!parsed.ok) return parsed;
    fitted = parsed.value;
  }
  return { ok: true, payload: fitted };
}

/** For one step: what it sees of a payload, or undefined where that does not fit. Null: it takes any. */
export function takingOf(def: StepDef): ((payload: Json) => Json | undefined) | null {
  const schema = schemaOf(def);
  if (schema === null) return null;
  const parse = inputParser(schema);
  return (payload) => {
    const parsed = parse(payload, "/payload");
    return parsed.ok ? parsed.value : undefined;
  };
}

function schemasOf(state: RunState, signal: string): Readonly<Record<string, Json>>[] {
  return state.graph.steps.flatMap((def, index) => {
    const unit = state.units[index];
    if (def.signal !== signal || unit === undefined || isTerminal(unit.status)) return [];
    const schema = schemaOf(def);
    return schema === null ? [] : [schema];
  });
}

function schemaOf({ with: parameters }: StepDef): Readonly<Record<string, Json>> | null {
  const schema = isMap(parameters) ? parameters["schema"] : undefined;
  return isMap(schema) ? schema : null;
}
