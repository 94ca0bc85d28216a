/** From a plan to the graph that a run pins. Everything that is wrong is said at once, each with its place. */

import { findingsOf, type Finding } from "../actions/index.ts";
import {
  checkGraph,
  escapePointer,
  limits,
  orderSteps,
  type Graph,
  type Json,
  type Lint,
  type StepDef,
} from "../kernel/index.ts";
import { msOr } from "./authored.ts";
import { checkShapes } from "./check-shapes.ts";
import { surveySteps, withoutDoubles, type SurveyedSteps } from "./compile-steps.ts";
import type { ParsedInput } from "./input.ts";
import { checkInputSchema, inputParser } from "./input-schema.ts";
import { frameSchema, MAX_PLAN_CHARS, MAX_PLAN_STEPS } from "./plan-schema.ts";
import { lookalikesIn } from "./lookalikes.ts";
import { isLoose, shown, surveyOutput, type Place } from "./places.ts";
import { secretsIn } from "./secrets-in-plan.ts";

export interface CompiledPlan {
  readonly name: string | null;
  readonly description: string | null;
  readonly open: boolean;
  readonly graph: Graph;
  readonly parseInput: (json: Json, at?: string) => ParsedInput;
  /** JSON Schema of the input; `{}` if any is taken. */
  readonly inputSchema: Readonly<Record<string, Json>>;
  /** What is no error, and may not be what was meant. */
  readonly advice: readonly Finding[];
}

export type PlanCompilation =
  | { readonly ok: true; readonly plan: CompiledPlan }
  | {
      readonly ok: false;
      readonly errors: readonly Finding[];
      readonly advice: readonly Finding[];
      /** Steps that fit, so that more can be said about them. */
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
  const frame = frameSchema().safeParse(json);
  const main = surveySteps(json["steps"], "/steps", "main");
  const handlers =
    json["onFailure"] === undefined ? null : surveySteps(json["onFailure"], "/onFailure", "on_failure");
  const output = surveyOutput(json["output"]);
  const graph = graphOf(json, frame.success ? frame.data : {}, main, handlers);
  const schemaFindings = json["input"] === undefined ? [] : checkInputSchema(json["input"], "/input");
  const shapes = checkShapes(
    [{ ...main, at: "/steps" }, ...(handlers === null ? [] : [{ ...handlers, at: "/onFailure" }])],
    frame.success && schemaFindings.length === 0 ? frame.data.input : undefined,
    output.places,
  );
  const advice = [...shapes.advice, ...lookalikesIn(json)];
  const errors = withoutDoubles([
    ...(frame.success ? [] : frameFindings(frame.error, json)),
    ...FRAME.flatMap((field) => literalOnly(json[field], field)),
    ...schemaFindings,
    ...(isLoose(json["steps"]) && main.steps.length === 0 && json["open"] !== true
      ? [{ pointer: "/steps", code: "no_steps", detail: "A plan that is not open has a step." }]
      : []),
    ...main.findings,
    ...(handlers?.findings ?? []),
    ...output.findings.map((one) => ({ ...one, pointer: `/output${one.pointer}` })),
    ...outputReads(output.places, main, handlers),
    ...doubleNames(main, handlers),
    ...lintsOf(graph, main, handlers),
    ...shapes.errors,
    ...secretsIn(json),
  ]);
  if (errors.length > 0 || !frame.success) {
    const sound = [main, ...(handlers === null ? [] : [handlers])].flatMap(({ steps, broken }) =>
      steps.filter((def) => !broken.has(def.name)),
    );
    return place(errors, advice, sound);
  }
  const { name, description, input, open } = frame.data;
  return {
    ok: true,
    plan: {
      name: name ?? null,
      description: description ?? null,
      open: open === true,
      graph,
      parseInput: inputParser(input),
      inputSchema: input ?? {},
      advice: placed(advice),
    },
  };
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
): Finding[] {
  return findingsOf(error).flatMap((one) => {
    // The steps say for themselves what is wrong with them.
    if (one.pointer === "/steps" && json["steps"] !== undefined) return [];
    return one.code === "unknown_field" ? [{ ...one, allowed: Object.keys(frameSchema().shape) }] : [one];
  });
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
  frame: {
    readonly deadline?: number | string;
    readonly undoBudget?: number | string;
    readonly idleLimit?: number | string;
  },
  main: SurveyedSteps,
  handlers: SurveyedSteps | null,
): Graph {
  // Said in the graph, as for workflows in TypeScript: a run that was opened by its starter must not change it.
  const onFailure = json["open"] === true ? "continue" : "fail";
  const steps = main.steps.map((step) => ({ onFailure, ...step }) as const);
  return {
    steps: orderSteps([...steps, ...(handlers?.steps ?? [])]),
    // JSON by now, whatever is in it.
    ...(json["output"] === undefined ? {} : { output: { template: json["output"] as Json } }),
    deadlineMs: msOr(frame.deadline, limits.RUN_DEADLINE_MS),
    undoBudgetMs: msOr(frame.undoBudget, limits.UNDO_BUDGET_MS),
    idleLimitMs: msOr(frame.idleLimit, limits.IDLE_LIMIT_MS),
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
        : `There is no step named ${step}.`;
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

/** What the kernel finds, with pointers into the plan, and the place in the expression where it is about one. */
function lintsOf(graph: Graph, main: SurveyedSteps, handlers: SurveyedSteps | null): Finding[] {
  const lost = new Set(handlers?.steps.map((step) => step.name));
  const inMain = new Set(main.steps.map((step) => step.name));
  return checkGraph(graph).flatMap((lint): Finding[] => {
    const [, head, name, ...rest] = lint.pointer.split("/");
    if (head !== "steps" || name === undefined)
      return [{ ...plain(lint), pointer: lint.pointer.replace(/Ms$/, "") }];
    const handler = lost.has(name) && !inMain.has(name);
    const owner = handler ? handlers : main;
    // Of a step that does not fit only its needs are known.
    if (owner === null || lint.code === "duplicate_step" || lint.code === "bad_name") return [];
    if (owner.broken.has(name) && rest[0] !== "needs") return [];
    const pointer = handler ? `/onFailure/${[name, ...rest].join("/")}` : lint.pointer;
    const inside = `/${rest.join("/")}`;
    const where = owner.places
      .get(name)
      ?.flatMap((one) => one.reads.map((read) => ({ ...one, ...read })))
      .find((one) => one.pointer === inside && one.step === lint.about);
    return [
      {
        ...plain(lint),
        pointer,
        ...(where === undefined ? {} : { expression: where.expression, offset: where.offset }),
        ...(lint.code === "unknown_need" || lint.code === "unknown_step"
          ? { allowed: owner.steps.map((step) => step.name).filter((one) => one !== name) }
          : {}),
      },
    ];
  });
}

function plain({ code, detail, pointer }: Lint): Finding {
  return { code, detail, pointer };
}
