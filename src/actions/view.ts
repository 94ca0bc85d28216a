/** A scope as authors see it: plain properties instead of functions. The types of single steps are the builder's. */

import type { Failure, Json } from "../kernel/index.ts";
import type { ActionScope, StepOutcome } from "./ports.ts";

export interface ScopeView {
  readonly input: Json;
  readonly steps: Readonly<Record<string, StepOutcome>>;
  readonly item: Json;
  readonly index: number;
  readonly iteration: number;
  /** The unit's own key; absent in a compensation and a verify. */
  readonly key?: string;
  /** In a compensation and a verify: the key that the step itself sent. */
  readonly stepKey?: string;
  /** In a compensation: the step's output, or null. */
  readonly own: Json;
  readonly failure: Failure | null;
  readonly run: ActionScope["run"];
}

/** Values are loaded when a property is read, and only then. */
export function viewOf(scope: ActionScope, role: "undo" | "verify" | undefined): ScopeView {
  return {
    get input() {
      return scope.input();
    },
    steps: stepsOf(scope),
    get item() {
      return scope.item();
    },
    index: scope.index,
    iteration: scope.iteration,
    ...(role === undefined ? { key: scope.key } : { stepKey: scope.key }),
    get own() {
      return scope.own();
    },
    failure: scope.failure,
    run: scope.run,
  };
}

/** Steps by name. One that cannot be seen from here is a mistake of the author's, and says so. */
function stepsOf(scope: ActionScope): Readonly<Record<string, StepOutcome>> {
  const own = (name: PropertyKey): StepOutcome | null => (typeof name === "string" ? scope.step(name) : null);
  return new Proxy<Record<string, StepOutcome>>(
    {},
    {
      get(_, name) {
        const step = own(name);
        if (step !== null || typeof name === "symbol" || name === "toJSON" || name === "then")
          return step ?? undefined;
        throw new ReferenceError(`There is no step "${name}" among those that this step can see.`);
      },
      has: (_, name) => own(name) !== null,
      ownKeys: () => [...scope.visible()],
      getOwnPropertyDescriptor(_, name) {
        const step = own(name);
        return step === null ? undefined : { value: step, enumerable: true, configurable: true };
      },
    },
  );
}
