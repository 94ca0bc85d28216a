/** Rooms that may not import each other agree on their shapes: what fits at the composition root fits here first. */
import { performAction, type ActionCall, type ActionScope } from "../../src/actions/index.ts";
import { createEvaluator, createRegistry } from "../../src/define/index.ts";
import type { Call, EvaluatePort, Performed, Scope } from "../../src/driver/index.ts";

export const evaluate: EvaluatePort = createEvaluator(createRegistry([]));
export const asScope = (scope: Scope): ActionScope => scope;
export const asCall = (call: Call): ActionCall => call;
export const perform = async (call: Call): Promise<Performed> =>
  performAction(call, {} as Parameters<typeof performAction>[1]);
