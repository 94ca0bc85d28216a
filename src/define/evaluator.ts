/**
 * Fills in what a step was written with: conditions, lists, parameters, answers, the run's output. Fits the driver's
 * `EvaluatePort`. Pure and synchronous as long as the authors' functions are, and it never throws.
 */

import {
  aboutCall,
  actionNamed,
  describe,
  failure,
  toJson,
  viewOf,
  type ActionFilled,
  type ActionScope,
} from "../actions/index.ts";
import {
  performanceOf,
  unitName,
  type FailureSeed,
  type Json,
  type RunInfo,
  type StepDef,
  type UnitRef,
} from "../kernel/index.ts";
import type { RawPerformance, RawStep } from "./definition.ts";
import { TemplateFault, type Tally } from "./expressions/index.ts";
import { fillParameters, isFixed, settled } from "./parameters.ts";
import { lacksCode } from "./lacking.ts";
import { isPlanned, PlanScope } from "./plan-evaluator.ts";
import { rawOf, type Registry } from "./registry.ts";
import { takingOf, type Taking } from "./signal-schema.ts";

export type Filled =
  | ActionFilled
  | { readonly kind: "skip" }
  | { readonly kind: "list"; readonly list: readonly Json[] };

export type Evaluated<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly failure: FailureSeed };

/** Whether a step happened, as its `verify` found out; null: it cannot tell. */
export interface Found {
  readonly happened: boolean | null;
  readonly output: Json;
}

export interface Evaluator {
  fill(run: RunInfo, def: StepDef, unit: UnitRef, scope: ActionScope): Filled;
  lacks(
    run: RunInfo,
    wants: { readonly def: StepDef; readonly unit: UnitRef } | { readonly output: Json | undefined },
  ): boolean;
  taking(def: StepDef): Taking | null;
  again(run: RunInfo, def: StepDef, output: Json, scope: ActionScope): Evaluated<boolean>;
  happened(run: RunInfo, def: StepDef, output: Json, scope: ActionScope): Evaluated<Found>;
  output(run: RunInfo, template: Json | undefined, scope: ActionScope): Evaluated<Json>;
  /** Operations that expressions have taken since the evaluator was made. What functions in TypeScript do is not counted. */
  spent(): number;
}

/** What to do about what was written wrongly, by whom it was written. */
const HINTS = {
  code: {
    correct: "Correct the function in the workflow, deploy it, and redrive the run.",
    list: "Return a list of at most 1,000 elements.",
  },
  plan: {
    correct:
      "Correct the expression in the plan, and start another run; to an open run, append another step.",
    list: "Write an expression that gives a list of at most 1,000 elements, and start another run; to an open run, append another step.",
  },
} as const;
type Written = keyof typeof HINTS;
const UNDO_HINT =
  "Nothing was taken back: look at the service for what the step did, and take it back there. Its output is null if nobody knows whether it happened.";

/** Thrown inside this file only, and caught at its edge. */
class Stop extends Error {
  readonly failure: FailureSeed;

  constructor(seed: FailureSeed) {
    super(seed.message);
    this.failure = seed;
  }
}

/** @param tellMissing told once of each version of a workflow that a run wants and this build has no code for */
export function createEvaluator(
  registry: Registry,
  tellMissing: (workflow: string, version: string) => void = () => {},
): Evaluator {
  const missed = new Set<string>();
  const tally: Tally = { operations: 0 };
  /** Parameters that are the same in every run, filled in and checked once in the isolate. */
  const fixed = new WeakMap<RawPerformance, ActionFilled>();
  const codeOf = (run: RunInfo, step: string): RawStep => {
    const found = registry.get(run.workflow, run.version)?.step(step) ?? null;
    if (found !== null) return found;
    throw new Stop(missing(run, `the step ${step}`));
  };

  const fill: Evaluator["fill"] = (run, def, unit, scope) => {
    if (isPlanned(def)) return fillPlanned(run, def, unit, new PlanScope(scope, tally));
    const whole = unit.item === undefined && unit.role === undefined;
    const view = viewOf(scope, unit.role);
    // A `repeat` fills in each of its rounds; its condition was read before the first.
    if (whole && def.when !== undefined && scope.iteration === 0) {
      const { when } = codeOf(run, def.name).spec;
      if (when === undefined) throw new Stop(missing(run, `the condition of ${def.name}`));
      if (
        !truth(
          author(`\`when\` of ${def.name}`, () => when(view)),
          `\`when\` of ${def.name}`,
          "code",
        )
      )
        return { kind: "skip" };
    }
    if (whole && def.forEach !== undefined) {
      const { forEach } = codeOf(run, def.name).spec;
      const list = typeof forEach === "function" ? forEach : forEach?.list;
      if (list === undefined) throw new Stop(missing(run, `the list of ${def.name}`));
      return {
        kind: "list",
        list: listOf(
          author(`\`forEach\` of ${def.name}`, () => list(view)),
          def.name,
          "code",
        ),
      };
    }
    const performance = performanceOf(def, unit);
    const action = actionNamed(performance?.action ?? "");
    if (performance === null || action === null)
      throw new Stop(missing(run, `the action of ${unitName(unit)}`));
    if (performance.with !== null || performance.action === "code")
      return action.fill(performance.with, scope.run.now);
    const raw = rawOf(codeOf(run, def.name), unit.role);
    if (raw === null) throw new Stop(missing(run, unitName(unit)));
    const known = fixed.get(raw);
    if (known !== undefined) return known;
    const what = `\`${performance.action}\` of ${unitName(unit)}`;
    const parameters = json(
      author(what, () => fillParameters(raw, view)),
      what,
    );
    const filled = action.fill(parameters, scope.run.now);
    if (filled.kind === "call" && isFixed(raw)) fixed.set(raw, filled);
    return filled;
  };

  const again: Evaluator["again"] = (run, def, output, scope) => {
    if (isPlanned(def) && def.repeat !== undefined) {
      const { until } = def.repeat;
      const what = `\`repeat.until\` of ${def.name}`;
      return {
        ok: true,
        value: !truth(
          template(what, () => new PlanScope(scope, tally, { output }).expression(until)),
          what,
          "plan",
        ),
      };
    }
    const repeat = codeOf(run, def.name).spec.repeat;
    if (repeat === undefined) throw new Stop(missing(run, `the repeat of ${def.name}`));
    const what = `\`repeat.until\` of ${def.name}`;
    const done = author(what, () => repeat.until(output, viewOf(scope, undefined)));
    return { ok: true, value: !truth(done, what, "code") };
  };

  const happened: Evaluator["happened"] = (run, def, output, scope) => {
    const asked = def.verify?.happened;
    if (isPlanned(def) && asked !== undefined) {
      const what = `\`verify.happened\` of ${def.name}`;
      return {
        ok: true,
        value: saidIn(
          template(what, () => new PlanScope(scope, tally, { output }).expression(asked)),
          output,
          what,
        ),
      };
    }
    if (def.verify !== undefined && def.verify.with !== null) return { ok: true, value: byStatus(output) };
    const verify = def.verify?.action === "code" ? undefined : codeOf(run, def.name).spec.verify?.happened;
    if (verify === undefined && def.verify?.action !== "code")
      throw new Stop(missing(run, `\`verify.happened\` of ${def.name}`));
    const what = `\`verify\` of ${def.name}`;
    const said =
      verify === undefined
        ? output
        : json(
            author(what, () => verify(output, viewOf(scope, "verify"))),
            what,
          );
    return { ok: true, value: foundIn(said, what, "code") };
  };

  const output: Evaluator["output"] = (run, made, scope) => {
    if (made === undefined) return { ok: true, value: outputsOf(scope) };
    const given = isObject(made) ? made["template"] : undefined;
    if (given !== undefined) {
      return { ok: true, value: template("`output`", () => new PlanScope(scope, tally).template(given)) };
    }
    const make = registry.get(run.workflow, run.version)?.definition.makeOutput ?? null;
    if (make === null) throw new Stop(missing(run, "the run's output"));
    return {
      ok: true,
      value: json(
        author("`output`", () => make(viewOf(scope, undefined))),
        "`output`",
      ),
    };
  };

  return {
    fill: (...args) =>
      guarded(
        () => told(fill(...args), args[1], args[2]),
        (seed): Filled => ({
          kind: "error",
          failure:
            args[2].role === "undo" && seed.code === "template_failed" ? { ...seed, hint: UNDO_HINT } : seed,
        }),
        writtenAs(args[1]),
      ),
    lacks(run, wants) {
      if (!lacksCode(registry, run, wants)) return false;
      const which = `${run.workflow} ${run.version}`;
      if (!missed.has(which)) tellMissing(run.workflow, run.version);
      missed.add(which);
      return true;
    },
    taking: takingOf,
    again: (...args) => guarded(() => again(...args), refuse, writtenAs(args[1])),
    happened: (...args) => guarded(() => happened(...args), refuse, writtenAs(args[1])),
    output: (...args) => guarded(() => output(...args), refuse, isObject(args[1] ?? null) ? "plan" : "code"),
    spent: () => tally.operations,
  };
}

/** Of a call that somebody must approve: what it is, for whoever decides. */
function told(filled: Filled, def: StepDef, unit: UnitRef): Filled {
  if (filled.kind !== "call" || def.approval === undefined || unit.role !== undefined) return filled;
  return { ...filled, about: aboutCall(def.action, filled.with) };
}

function fillPlanned(run: RunInfo, def: StepDef, unit: UnitRef, plan: PlanScope): Filled {
  const whole = unit.item === undefined && unit.role === undefined;
  const { when, forEach } = def;
  if (whole && when !== undefined && plan.scope.iteration === 0) {
    const what = `\`when\` of ${def.name}`;
    if (
      !truth(
        template(what, () => plan.expression(when)),
        what,
        "plan",
      )
    )
      return { kind: "skip" };
  }
  if (whole && forEach !== undefined) {
    const list = template(`\`forEach\` of ${def.name}`, () => plan.expression(forEach.list));
    return { kind: "list", list: listOf(list, def.name, "plan") };
  }
  const filled = template(`\`with\` of ${unitName(unit)}`, () => plan.parameters(def, unit));
  if (filled === null) throw new Stop(missing(run, `the action of ${unitName(unit)}`));
  return filled;
}

/** Evaluates expressions of a plan; what goes wrong is said with the expression and the place in it. */
function template<T>(what: string, evaluate: () => T): T {
  try {
    return evaluate();
  } catch (error) {
    if (!(error instanceof TemplateFault)) throw error;
    const { message, expression, at } = error;
    const shown = expression.length <= 300 ? expression : `${expression.slice(0, 299)}…`;
    throw new Stop(
      failure(
        "template_failed",
        `${what} failed: ${message} (at character ${at} of \`${shown}\`).`,
        HINTS.plan.correct,
      ),
    );
  }
}

/** What the expression of a `verify` says: a truth value or null of the answer itself, or the whole finding. */
function saidIn(said: Json, output: Json, what: string): Found {
  if (said === true) return { happened: true, output };
  return said === false || said === null ? { happened: said, output: null } : foundIn(said, what, "plan");
}

function refuse(seed: FailureSeed): { ok: false; failure: FailureSeed } {
  return { ok: false, failure: seed };
}

function writtenAs(def: StepDef): Written {
  return isPlanned(def) ? "plan" : "code";
}

function guarded<T>(work: () => T, otherwise: (seed: FailureSeed) => T, by: Written): T {
  try {
    return work();
  } catch (error) {
    return otherwise(
      error instanceof Stop ? error.failure : failed("Filling in the step", describe(error), by),
    );
  }
}

/** Calls a function of the author's. */
function author(what: string, call: () => unknown): unknown {
  try {
    return settled(call());
  } catch (error) {
    throw new Stop(failed(what, describe(error)));
  }
}

function json(value: unknown, what: string): Json {
  const converted = toJson(value);
  if (converted.ok) return converted.value;
  throw new Stop(failed(what, converted.message));
}

function truth(value: unknown, what: string, by: Written): boolean {
  if (typeof value === "boolean") return value;
  throw new Stop(failed(what, `it has to ${by === "code" ? "return" : "be"} true or false.`, by));
}

function listOf(value: unknown, step: string, by: Written): readonly Json[] {
  const list = json(value, `\`forEach\` of ${step}`);
  if (Array.isArray(list)) return list as readonly Json[];
  throw new Stop(
    failure(
      "invalid_list",
      `The \`forEach\` of ${step} did not ${by === "code" ? "return" : "give"} a list.`,
      HINTS[by].list,
    ),
  );
}

/** A `verify` that is data: its action counts 404 and 410 as answers too. */
function byStatus(output: Json): Found {
  const status = isObject(output) ? output["status"] : null;
  if (status === 404 || status === 410) return { happened: false, output: null };
  return typeof status === "number" ? { happened: true, output } : { happened: null, output: null };
}

function foundIn(said: Json, what: string, by: Written): Found {
  const happened = isObject(said) ? said["happened"] : undefined;
  if (!isObject(said) || (happened !== true && happened !== false && happened !== null))
    throw new Stop(
      by === "code"
        ? failed(what, "it has to return `{ happened: true, output }`, or `happened` false or null.")
        : failed(what, "it has to be true, false, null, or `{'happened': true, 'output': …}`.", by),
    );
  return { happened, output: happened === true ? (said["output"] ?? null) : null };
}

/** The default output of a run. */
function outputsOf(scope: ActionScope): Json {
  return Object.fromEntries(scope.leaves().map((name) => [name, scope.step(name)?.output ?? null]));
}

function isObject(value: Json): value is { readonly [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function failed(what: string, message: string, by: Written = "code"): FailureSeed {
  return failure("template_failed", `${what} failed: ${message}`, HINTS[by].correct);
}

function missing({ workflow, version }: RunInfo, what: string): FailureSeed {
  return failure(
    "step_code_missing",
    `This build has no code for ${what} in ${workflow}, version ${version}.`,
    "Deploy a build that registers this version of the workflow, then redrive the run.",
  );
}
