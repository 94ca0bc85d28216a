/**
 * What the payload of a signal must look like, where a step that waits for it says so: checked at the door for the steps
 * that are there, and when a step begins to wait, for what came before the step. A check costs the run its time, so all
 * that are made for one payload, or in one turn, have one budget.
 */

import type { Finding } from "../actions/index.ts";
import { isTerminal, limits, type Json, type RunState, type StepDef } from "../kernel/index.ts";
import { isMap } from "./expressions/index.ts";
import { inputScales } from "./input-schema.ts";

/** For one payload, and so for one step: what no single turn has room for could never be taken. */
const MAX_PAYLOAD_CHECKS = limits.PAYLOAD_CHECKS_PER_TURN;

export type FittedPayload =
  | { readonly ok: true; readonly payload: Json }
  | { readonly ok: false; readonly errors: readonly Finding[] };

/** How a step takes the payloads of signals. */
export interface Taking {
  /** Its schema as text: steps of the same schema take alike. */
  readonly schema: string;
  /** What looking at a payload costs, and what the step sees of it: undefined, where it does not fit. Never throws. */
  weigh(payload: Json): { readonly checks: number; readonly see: () => Json | undefined };
}

/**
 * A payload must fit every step that can still take it: which one will is decided when it is taken.
 * @returns the payload, with the defaults of the schemas filled in
 */
export function fitPayload(state: RunState, signal: string, payload: Json): FittedPayload {
  let fitted = payload;
  let checks = 0;
  for (const schema of schemasOf(state, signal)) {
    const weighed = inputScales(schema)(fitted);
    checks += weighed.checks;
    if (checks > MAX_PAYLOAD_CHECKS) return { ok: false, errors: [TOO_MUCH] };
    const parsed = weighed.parse("/payload");
    if (!parsed.ok) return parsed;
    fitted = parsed.value;
  }
  return { ok: true, payload: fitted };
}

const TOO_MUCH: Finding = {
  pointer: "/payload",
  code: "invalid",
  detail:
    "It is too large to be checked by the schemas of the steps that could take it: send the address of the data instead.",
};

/** For one step. Null: it takes any. */
export function takingOf(def: StepDef): Taking | null {
  const schema = schemaOf(def);
  if (schema === null) return null;
  const weigh = inputScales(schema);
  return {
    schema: JSON.stringify(schema),
    weigh: (payload) => {
      const { checks, parse } = weigh(payload);
      // What the door would refuse does not fit here either.
      if (checks > MAX_PAYLOAD_CHECKS) return { checks: MAX_PAYLOAD_CHECKS, see: () => undefined };
      const see = (): Json | undefined => {
        const parsed = parse("/payload");
        return parsed.ok ? parsed.value : undefined;
      };
      return { checks, see };
    },
  };
}

/** Those that are the same are one. */
function schemasOf(state: RunState, signal: string): Iterable<Readonly<Record<string, Json>>> {
  const schemas = new Map<string, Readonly<Record<string, Json>>>();
  for (const [index, def] of state.graph.steps.entries()) {
    const unit = state.units[index];
    if (def.signal !== signal || unit === undefined || isTerminal(unit.status)) continue;
    const schema = schemaOf(def);
    if (schema !== null) schemas.set(JSON.stringify(schema), schema);
  }
  return schemas.values();
}

function schemaOf({ with: parameters }: StepDef): Readonly<Record<string, Json>> | null {
  const schema = isMap(parameters) ? parameters["schema"] : undefined;
  return isMap(schema) ? schema : null;
}
