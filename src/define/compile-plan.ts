/** From a plan to the graph that a run pins. Everything that is wrong is said at once, each with its place. */

import {
  didYouMean,
  durationSchema,
  examine,
  findingsOf,
  nearest,
  toMs,
  type Finding,
} from "../actions/index.ts";
import { escapePointer, limits, orderSteps, type Graph, type Json, type StepDef } from "../kernel/index.ts";
import { checkShapes } from "./check-shapes.ts";
import { surveySteps, withoutDoubles, type SurveyedSteps } from "./compile-steps.ts";
import type { ParsedInput } from "./input.ts";
import { checkFlow, flowSchema, placesIn, type ReadFlow } from "./flow-schema.ts";
import { checkInputSchema, inputParser } from "./input-schema.ts";
import { lookalikesIn } from "./lookalikes.ts";
import { frameSchema, MAX_PLAN_CHARS, MAX_PLAN_STEPS, type Plan } from "./plan-schema.ts";
import { isLoose, shown, surveyOutput, type Place } from "./places.ts";
import { pitfallsOf } from "./pitfalls.ts";
import { planLints } from "./plan-lints.ts";
import { secretsIn } from "./secrets-in-plan.ts";
import { checkSubscriptions, type Subscription } from "./subscriptions.ts";

export interface CompiledPlan {
  readonly name: string | null;
  readonly description: string | null;
  readonly open: boolean;
  readonly graph: Graph;
  /** How its runs wait for each other once it is stored; null: they do not. */
  readonly flow: ReadFlow | null;
  readonly parseInput: (json: Json, at?: string) => ParsedInput;
  /** JSON Schema of the input; `{}` if any is taken. */
  readonly inputSchema: Readonly<Record<string, Json>>;
  /** What starts it, once it is stored. */
  readonly on: readonly Subscription[];
  /** What is no error, and may not be what was meant. */
  readonly advice: readonly Finding[];
}

export type PlanCompilation =
  | { readonly ok: true; readonly plan: CompiledPlan }
  | {
      readonly ok: false;
      readonly errors: readonly Finding[];
      readonly advice: readonly Finding[];
      /** As far as they fit, so that more can be said about them; never to be run. */
      readonly steps: readonly StepDef[];
    };

const MAX_ERRORS = 100;

/** Fields of a plan whose expressions are looked at on their own. */
const FRAME = ["name", "description", "input", "deadline", "undoBudget", "idleLimit"];

/**
 * Checks a plan. Deterministic: the same plan, the same graph.
 * @param at pointer to the plan in the document that the caller read, for the errors
 */
export function compilePlan(json: unknown, at = ""): PlanCompilation {
  const placed = (findings: readonly Finding[]): Finding[] =>
    findings.slice(0, MAX_ERRORS).map((one) => ({ ...one, pointer: at + one.pointer }));
  const place = (
    errors: readonly Finding[],
    advice: readonly Finding[] = [],
    steps: readonly StepDef[] = [],
  ): PlanCompilation => ({ ok: false, errors: placed(errors), advice: placed(advice), steps });
  if (!isLoose(json)) return place([{ pointer: "", code: "invalid", detail: "A plan is an object." }]);
  const tooLarge = sizeOf(json);
  if (tooLarge !== null) return place([tooLarge]);
  const frame = examine(frameSchema(), json);
  const literals = FRAME.flatMap((field) => literalOnly(json[field], field));
  const framed = [
    ...literals,
    ...(frame.success ? [] : frameFindings(frame.error, json, new Set(literals.map((one) => one.pointer)))),
  ];
  const main = surveySteps(json["steps"], "/steps", "main");
  const handlers =
    json["onFailure"] === undefined ? null : surveySteps(json["onFailure"], "/onFailure", "on_failure");
  const output = surveyOutput(json["output"]);
  const flow = readFlow(json["flow"]);
  const graph = graphOf(json, main, handlers, frame.success ? frame.data : null);
  const unfit = new Set(framed.map((one) => one.pointer));
  if (!isLoose(json["steps"])) unfit.add("/steps");
  const schemaFindings = isLoose(json["input"]) ? checkInputSchema(json["input"], "/input") : [];
  const lints = planLints({ graph, main, handlers, frame: unfit });
  const shapes = checkShapes(
    [{ ...main, at: "/steps" }, ...(handlers === null ? [] : [{ ...handlers, at: "/onFailure" }])],
    // Where it is not right, it says the less.
    schemaFindings.some(({ code }) => code === "input_schema_too_large") ? undefined : json["input"],
    output.places,
    [],
    flow === null ? [] : placesIn(flow),
  );
  const advice = [
    ...main.advice,
    ...(handlers?.advice ?? []),
    ...output.advice.map((one) => ({ ...one, pointer: `/output${one.pointer}` })),
    ...shapes.advice,
    ...lookalikesIn(json),
  ];
  const errors = withoutDoubles([
    ...framed,
    ...schemaFindings,
    ...(flow === null ? [] : checkFlow(flow, "/flow")),
    ...checkSubscriptions(json["on"], "/on"),
    ...(isLoose(json["steps"]) && main.steps.length === 0 && json["open"] !== true
      ? [{ pointer: "/steps", code: "no_steps", detail: "A plan that is not open has a step." }]
      : []),
    ...main.findings.filter(({ pointer, code }) => !isMisspelt(pointer, code, framed)),
    ...(handlers?.findings ?? []),
    ...output.findings.map((one) => ({ ...one, pointer: `/output${one.pointer}` })),
    ...(unfit.has("/steps") ? [] : outputReads(output.places, main, handlers)),
    ...doubleNames(main, handlers),
    ...lints,
    ...shapes.errors,
    ...secretsIn(json),
  ]);
  if (errors.length > 0 || !frame.success) {
    return place(errors, advice, graph.steps);
  }
  const { name, description, input, open, on = [] } = frame.data;
  return {
    ok: true,
    plan: {
      name: name ?? null,
      description: description ?? null,
      open: open === true,
      graph,
      flow,
      parseInput: inputParser(input),
      inputSchema: input ?? {},
      on,
      advice: placed([...advice, ...pitfallsOf(graph.steps, json["output"] as Json | undefined)]),
    },
  };
}

/** Null: there is none, or its form does not fit, which is the frame's to tell. */
function readFlow(json: unknown): ReadFlow | null {
  const read = json === undefined ? null : flowSchema().safeParse(json);
  return read?.success === true ? read.data : null;
}

function sizeOf(json: Readonly<Record<string, unknown>>): Finding | null {
  const chars = JSON.stringify(json).length;
  const { steps, onFailure } = json;
  const count = [steps, onFailure].reduce<number>(
    (sum, one) => sum + (isLoose(one) ? Object.keys(one).length : 0),
    0,
  );
  if (chars > MAX_PLAN_CHARS)
    return {
      pointer: "",
      code: "plan_too_large",
      detail: `A plan has at most ${MAX_PLAN_CHARS} characters as JSON.`,
    };
  if (count > MAX_PLAN_STEPS)
    return {
      pointer: "/steps",
      code: "too_many_steps",
      detail: `A plan has at most ${MAX_PLAN_STEPS} steps.`,
    };
  return null;
}

function frameFindings(
  error: Parameters<typeof findingsOf>[0],
  json: Readonly<Record<string, unknown>>,
  told: ReadonlySet<string>,
): Finding[] {
  return findingsOf(error).filter(
    ({ pointer }) =>
      // The steps say for themselves what is wrong with them.
      !(pointer === "/steps" && json["steps"] !== undefined) && !told.has(pointer),
  );
}

/** That there are no steps follows from another name for them. */
function isMisspelt(pointer: string, code: string, framed: readonly Finding[]): boolean {
  if (pointer !== "/steps" || code !== "missing") return false;
  return framed.some(
    (one) =>
      one.pointer === "/steps" ||
      (one.code === "unknown_field" && nearest(one.pointer.slice(1), one.allowed ?? []) === "steps"),
  );
}

/** A time of the plan as far as it is one; else the longest, by which nothing else is out of bounds. */
function spanOf(given: unknown, otherwise: number): number {
  if (given === undefined) return otherwise;
  const parsed = durationSchema().safeParse(given);
  return parsed.success ? toMs(parsed.data) : limits.MAX_WAIT_MS;
}

function literalOnly(value: unknown, field: string): Finding[] {
  if (field === "input" || typeof value !== "string" || !value.includes("${{")) return [];
  const detail = "No expression can stand here.";
  return [
    { pointer: `/${field}`, code: "expression_not_allowed", detail, expression: shown(value), allowed: [] },
  ];
}

function graphOf(
  json: Readonly<Record<string, unknown>>,
  main: SurveyedSteps,
  handlers: SurveyedSteps | null,
  frame: Pick<Plan, "sensitive"> | null,
): Graph {
  // Said in the graph, as for workflows in TypeScript: a run that was opened by its starter must not change it.
  const onFailure = json["open"] === true ? "continue" : "fail";
  const steps = main.steps.map((step) => ({ onFailure, ...step }) as const);
  return {
    steps: orderSteps([...steps, ...(handlers?.steps ?? [])]),
    // JSON by now, whatever is in it.
    ...(json["output"] === undefined ? {} : { output: { template: json["output"] as Json } }),
    deadlineMs: spanOf(json["deadline"], limits.RUN_DEADLINE_MS),
    undoBudgetMs: spanOf(json["undoBudget"], limits.UNDO_BUDGET_MS),
    idleLimitMs: spanOf(json["idleLimit"], limits.IDLE_LIMIT_MS),
    ...(frame === null || frame.sensitive === undefined ? {} : { sensitive: frame.sensitive }),
  };
}

function outputReads(
  places: readonly Place[],
  main: SurveyedSteps,
  handlers: SurveyedSteps | null,
): Finding[] {
  const names = main.steps.map((step) => step.name);
  const known = new Set(names);
  const lost = new Set(handlers?.steps.map((step) => step.name));
  return places.flatMap(({ pointer, expression, reads }) =>
    reads.flatMap(({ step, offset }): Finding[] => {
      if (known.has(step)) return [];
      const detail = lost.has(step)
        ? `${step} is a step of \`onFailure\`: a run that has an output has not come to it.`
        : `There is no step named ${step}.${didYouMean(step, names)}`;
      const code = lost.has(step) ? "not_an_ancestor" : "unknown_step";
      return [{ pointer: `/output${pointer}`, code, detail, expression, offset, allowed: names }];
    }),
  );
}

function doubleNames(main: SurveyedSteps, handlers: SurveyedSteps | null): Finding[] {
  const names = new Set(main.steps.map((step) => step.name));
  return (handlers?.steps ?? [])
    .filter((step) => names.has(step.name))
    .map((step) => ({
      pointer: `/onFailure/${escapePointer(step.name)}`,
      code: "duplicate_step",
      detail: `There are two steps named ${step.name}.`,
    }));
}
