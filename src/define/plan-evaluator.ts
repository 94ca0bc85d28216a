/**
 * Fills in steps whose texts hold expressions, from the graph alone: no registry, no code of this build. One meter counts
 * all that is evaluated for a unit in one go.
 */

import { actionNamed, type ActionFilled, type ActionScope } from "../actions/index.ts";
import type { Json, StepDef, UnitRef } from "../kernel/index.ts";
import { performanceOf } from "../kernel/index.ts";
import {
  evaluateText,
  fillRequest,
  fillTemplate,
  Meter,
  type Names,
  type Root,
  type Tally,
} from "./expressions/index.ts";

/** Whether the step's opaque parts are expressions, and not markers of TypeScript functions. */
export function isPlanned(def: StepDef): boolean {
  return def.expressions === 1;
}

type More = Readonly<Partial<Record<Root, Json>>>;

export class PlanScope {
  readonly scope: ActionScope;
  readonly #names: Names;
  readonly #meter: Meter;

  /**
   * @param tally counts beside the meter
   * @param more what is there beside the scope: `output`
   */
  constructor(scope: ActionScope, tally: Tally, more: More = {}) {
    const meter = new Meter(tally);
    this.scope = scope;
    this.#meter = meter;
    const values = new Map<string, Json>();
    // A value is loaded, and paid for, once.
    const once = (name: string, load: () => Json): Json => {
      const known = values.get(name);
      if (known !== undefined) return known;
      const value = load();
      meter.loaded(value);
      values.set(name, value);
      return value;
    };
    this.#names = {
      root: (name) => once(name, () => more[name] ?? rootOf(scope, name)),
      step: (name, field) => once(`steps.${name}.${field}`, () => stepField(scope, name, field)),
    };
  }

  /** Throws a `TemplateFault`. */
  expression(text: Json): Json {
    return typeof text === "string" ? evaluateText(text, this.#names, this.#meter) : text;
  }

  /** Throws a `TemplateFault`. */
  template(template: Json): Json {
    return fillTemplate(template, this.#names, this.#meter);
  }

  /** The parameters of a unit, filled in. Throws a `TemplateFault`. */
  parameters(def: StepDef, unit: UnitRef): ActionFilled | null {
    const performance = performanceOf(def, unit);
    const action = actionNamed(performance?.action ?? "");
    if (performance === null || action === null) return null;
    const fill = performance.action === "http" ? fillRequest : fillTemplate;
    return action.fill(fill(performance.with, this.#names, this.#meter), this.scope.run.now);
  }
}

function rootOf(scope: ActionScope, name: Root): Json {
  switch (name) {
    case "input":
      return scope.input();
    case "run":
      return { id: scope.run.id, user: scope.run.user, now: scope.run.now };
    case "item":
      return scope.item();
    case "index":
      return scope.index;
    case "iteration":
      return scope.iteration;
    case "own":
      return scope.own();
    // Only where the key is that of a step that is over: the unit's own must not depend on itself.
    case "stepKey":
      return scope.key;
    case "failure":
      // A record of the kernel: plain data.
      return scope.failure as Json;
    case "output":
    case "steps":
      return null;
  }
}

function stepField(scope: ActionScope, name: string, field: Parameters<Names["step"]>[1]): Json {
  const step = scope.step(name);
  if (step === null) return null;
  return field === "failure" ? (step.failure as Json) : step[field];
}
