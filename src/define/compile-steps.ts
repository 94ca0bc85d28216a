/** From steps as JSON to steps of a graph. Everything that is wrong is said at once, each with its place. */

import { actionNamed, CHILD_KEY_TTL_MS, kindOfWait, METHODS, type Finding } from "../actions/index.ts";
import { EFFECTS, escapePointer, limits, NAME_PATTERN, orderSteps, type StepDef } from "../kernel/index.ts";
import { toStepDef, type AuthoredPerformance, type AuthoredStep } from "./authored.ts";
import { checkShapes } from "./check-shapes.ts";
import { checkInputSchema } from "./input-schema.ts";
import { lookalikesIn } from "./lookalikes.ts";
import { fitStep } from "./mend.ts";
import { isLoose, surveyStep, type Place } from "./places.ts";
import { pitfallsOf } from "./pitfalls.ts";
import { planLints } from "./plan-lints.ts";
import { MAX_PLAN_CHARS } from "./plan-schema.ts";
import { secretsIn } from "./secrets-in-plan.ts";
import { stepFields, type StepInput } from "./step-input.ts";
import { vaguenessOf, type Vagueness } from "./vague-outputs.ts";
import { onlyLooks } from "./verifying.ts";

export type CompiledSteps =
  | { readonly ok: true; readonly steps: readonly StepDef[]; readonly advice: readonly Finding[] }
  | {
      readonly ok: false;
      /** As far as they fit: for checks, never to be run. */
      readonly steps: readonly StepDef[];
      readonly errors: readonly Finding[];
      readonly advice: readonly Finding[];
    };

/** What steps that join a run will stand beside, as far as it is known. */
export interface Beside {
  /** Steps of the run that are named, and what those need. */
  readonly existing: readonly StepDef[];
  /** Whether all that those need is among them. */
  readonly whole: boolean;
  /** Names of steps of the run, for who misspelt one; perhaps not all. */
  readonly names: readonly string[];
  readonly deadlineMs: number;
  readonly undoBudgetMs: number;
}

/** A run that is about to begin. */
export const BESIDE_NOTHING: Beside = {
  ...{ existing: [], whole: true, names: [] },
  ...{ deadlineMs: limits.RUN_DEADLINE_MS, undoBudgetMs: limits.UNDO_BUDGET_MS },
};

const MAX_ERRORS = 100;

/** Steps of one part of a graph, as far as they could be compiled. */
export interface SurveyedSteps {
  readonly steps: readonly StepDef[];
  readonly findings: readonly Finding[];
  /** Expressions by name of the step. */
  readonly places: ReadonlyMap<string, readonly Place[]>;
  readonly advice: readonly Finding[];
  /** Of the steps that are not right as they are: those stand among the others as far as they fit. */
  readonly flaws: ReadonlyMap<string, Flaw>;
  /** Steps of which what is wrong leaves open what they put out. */
  readonly vague: ReadonlyMap<string, Vagueness>;
}

/** What is wrong with one step by itself. */
export interface Flaw {
  /** Pointers are from the step. */
  readonly findings: readonly Finding[];
  /** Where each of the needs that were understood was written. */
  readonly needsAt: readonly number[];
  readonly step: unknown;
}

/**
 * Checks steps by name and fills in every default. Needs, and what expressions read, may name steps that are not among
 * them: whether these exist is known where the graph is.
 * @param at pointer to the steps in the document that the caller read, for the errors
 * @param by who made them: what code of this build puts into its steps is data that it was given
 * @param beside what they join; missing: that is checked by others
 */
export function compileSteps(
  json: unknown,
  at = "/steps",
  by: "author" | "code" = "author",
  beside?: Beside,
): CompiledSteps {
  if (by === "author" && JSON.stringify(json ?? null).length > MAX_PLAN_CHARS) {
    const detail = `Steps have at most ${MAX_PLAN_CHARS} characters as JSON.`;
    return { ok: false, steps: [], errors: [{ pointer: at, code: "plan_too_large", detail }], advice: [] };
  }
  const surveyed = surveySteps(json, at, "main");
  const steps = orderSteps(surveyed.steps);
  const lints = beside === undefined ? [] : lintsBeside(steps, surveyed, beside);
  const shapes = checkShapes([{ ...surveyed, at }], undefined, [], beside?.existing);
  const errors = withoutDoubles([
    ...surveyed.findings,
    ...lints.map((one) => ({ ...one, pointer: one.pointer.replace(/^\/steps/, at) })),
    ...shapes.errors,
    ...(by === "author" ? secretsIn(json, at) : []),
  ]).slice(0, MAX_ERRORS);
  const lookalikes = lookalikesIn({ steps: json }).map(({ pointer, ...one }) => ({
    ...one,
    pointer: at + pointer.slice("/steps".length),
  }));
  const advice = [...surveyed.advice, ...shapes.advice, ...lookalikes].slice(0, MAX_ERRORS);
  if (errors.length > 0) return { ok: false, steps, errors, advice };
  return { ok: true, steps, advice: [...advice, ...pitfallsOf(steps)].slice(0, MAX_ERRORS) };
}

function lintsBeside(steps: readonly StepDef[], main: SurveyedSteps, beside: Beside): Finding[] {
  const { deadlineMs, undoBudgetMs } = beside;
  const graph = { steps, deadlineMs, undoBudgetMs, idleLimitMs: limits.IDLE_LIMIT_MS };
  return planLints({ graph, main, handlers: null, frame: new Set(), beside });
}

/** Steps that these need or read and that are not among them; `deeply`: also what those need has to be known. */
export function namedOutside(steps: readonly StepDef[]): {
  readonly names: readonly string[];
  readonly deeply: boolean;
} {
  const own = new Set(steps.map(({ name }) => name));
  const names = new Set<string>();
  let deeply = false;
  for (const { needs, reads = {} } of steps) {
    for (const name of needs) if (!own.has(name)) names.add(name);
    for (const name of Object.values(reads).flat())
      if (!own.has(name)) {
        names.add(name);
        deeply ||= !needs.includes(name);
      }
  }
  return { names: [...names], deeply };
}

/** Two checks may find the same. */
export function withoutDoubles(findings: readonly Finding[]): Finding[] {
  const seen = new Map<string, Finding>();
  for (const one of findings) {
    // One text can hold several expressions, each with its own flaw.
    const key = JSON.stringify([
      one.pointer,
      one.code,
      one.code === "secret_in_plan" ? null : [one.detail, one.offset],
    ]);
    if (!seen.has(key)) seen.set(key, one);
  }
  return [...seen.values()];
}

/** As `compileSteps`, going on after what is wrong. */
export function surveySteps(json: unknown, at: string, part: StepDef["part"]): SurveyedSteps {
  const places = new Map<string, readonly Place[]>();
  const flaws = new Map<string, Flaw>();
  if (!isLoose(json)) {
    const findings = [
      json === undefined
        ? { pointer: at, code: "missing", detail: "The field is missing." }
        : { pointer: at, code: "invalid", detail: "Steps are an object: each under its name." },
    ];
    return { steps: [], findings, places, advice: [], flaws, vague: new Map() };
  }
  const vague = new Map<string, Vagueness>();
  const findings: Finding[] = [];
  const advice: Finding[] = [];
  const steps: StepDef[] = [];
  for (const [name, step] of Object.entries(json)) {
    // What is found from here on is not told any more.
    if (findings.length >= MAX_ERRORS) break;
    const pointer = `${at}/${escapePointer(name)}`;
    const place = (one: Finding): Finding => ({ ...one, pointer: pointer + one.pointer });
    const survey = surveyStep(name, step, part);
    const fitted = fitStep(step);
    const own: Finding[] = tidy([
      ...(NAME_PATTERN.test(name)
        ? []
        : [{ pointer: "", code: "invalid", detail: "A name matches [a-z0-9][a-z0-9_-]{0,63}." }]),
      ...survey.findings,
      ...notByExpression(fitted.findings, survey.findings),
      ...pagedFindings(step),
      ...payloadFindings(step),
      ...verifyFindings(step),
      ...handlerFindings(step, part),
    ]).slice(0, MAX_ERRORS);
    findings.push(...own.map(place));
    places.set(name, survey.places);
    advice.push(...survey.advice.map(place));
    if (own.length > 0) flaws.set(name, { findings: own, needsAt: fitted.needsAt, step });
    const open = fitted.input === null ? "any" : vaguenessOf(fitted.input.action, own);
    if (open !== null) vague.set(name, open);
    steps.push(
      fitted.input === null
        ? standIn(name, part, needsOf(step, fitted.needsAt), survey.places)
        : toStepDef(authored(name, part, fitted.input, survey.places)),
    );
  }
  return { steps, findings, places, advice, flaws, vague };
}

/** What stands in the place of an expression, or is one where none can be, is told once, in the words of expressions. */
function notByExpression(findings: readonly Finding[], told: readonly Finding[]): readonly Finding[] {
  const places = new Set(told.map(({ pointer }) => pointer));
  const refused = new Set(
    told.filter(({ code }) => code === "expression_not_allowed").map(({ pointer }) => pointer),
  );
  return findings.filter(
    ({ pointer, code }) => code === "unknown_field" || !(code === "invalid" ? places : refused).has(pointer),
  );
}

/** Nothing twice, and nothing about what is in a field that is not known. */
function tidy(findings: readonly Finding[]): Finding[] {
  const strays = new Set(
    findings.flatMap(({ code, pointer }) => (code === "unknown_field" ? [pointer] : [])),
  );
  const seen = new Set<string>();
  return findings.filter(({ pointer, code, detail, offset }) => {
    if (code !== "unknown_field" && strays.has(pointer)) return false;
    for (let end = pointer.lastIndexOf("/"); end > 0; end = pointer.lastIndexOf("/", end - 1))
      if (strays.has(pointer.slice(0, end))) return false;
    const key = JSON.stringify([pointer, code, detail, offset]);
    return seen.size !== seen.add(key).size;
  });
}

function needsOf(step: unknown, at: readonly number[]): string[] {
  const needs: unknown = isLoose(step) ? step["needs"] : undefined;
  const names: readonly unknown[] = Array.isArray(needs) ? needs : [];
  return at.flatMap((i) => {
    const name = names[i];
    return typeof name === "string" ? [name] : [];
  });
}

function handlerFindings(step: unknown, part: StepDef["part"]): Finding[] {
  if (part !== "on_failure" || !isLoose(step) || step["onFailure"] === undefined) return [];
  const allowed = stepFields(step["action"]).filter((field) => field !== "onFailure");
  const detail = "A step of `onFailure` has no `onFailure` of its own.";
  return [{ pointer: "/onFailure", code: "unknown_field", detail, allowed }];
}

/** An attempt that reads pages is made again from the first one: it has to be safe. */
function pagedFindings(step: unknown): Finding[] {
  if (!isLoose(step) || !isLoose(step["with"]) || step["with"]["paginate"] === undefined) return [];
  // What is no effect at all is told as that.
  if (step["effect"] === "safe" || !EFFECTS.some((one) => one === step["effect"])) return [];
  return [
    {
      pointer: "/effect",
      code: "paginate_not_safe",
      detail: "Only a `safe` step reads pages.",
      allowed: ["safe"],
    },
  ];
}

/** What asks whether something happened must not make it happen. What is no method at all is told as that. */
function verifyFindings(step: unknown): Finding[] {
  const verify = isLoose(step) ? step["verify"] : undefined;
  if (!isLoose(verify) || !isLoose(verify["with"]) || verify["effect"] === "safe") return [];
  const { method } = verify["with"];
  const finding = METHODS.some((one) => one === method) ? onlyLooks(method, "/verify/with/method") : null;
  return finding === null ? [] : [finding];
}

/** The schema of a signal's payload has the bounds of that of an input. */
function payloadFindings(step: unknown): Finding[] {
  if (!isLoose(step) || step["action"] !== "wait" || !isLoose(step["with"])) return [];
  const { schema } = step["with"];
  return isLoose(schema) ? checkInputSchema(schema, "/with/schema") : [];
}

/** In the place of a step of which not even the action is known: what it needs and reads can be checked all the same. */
function standIn(
  name: string,
  part: StepDef["part"],
  needs: readonly string[],
  places: readonly Place[],
): StepDef {
  const nothing = { action: "transform", with: { value: null }, effect: "safe" } as const;
  return toStepDef({ name, part, kind: "instant", needs, reads: readsOf(places), ...nothing });
}

function authored(
  name: string,
  part: StepDef["part"],
  input: StepInput,
  places: readonly Place[],
): AuthoredStep {
  const { needs, join, when, onFailure, sensitive } = input;
  const step = {
    name,
    part,
    kind: actionNamed(input.action)?.kind ?? "call",
    needs,
    join,
    when,
    onFailure,
    sensitive,
    reads: readsOf(places),
    expressions: places.length > 0,
    ...performance(input),
  } as const;
  if (input.action === "wait") {
    const { signal, event } = input.with;
    return { ...step, kind: kindOfWait(input.with), signal, event };
  }
  if (input.action !== "http" && input.action !== "transform" && input.action !== "run") return step;
  const { forEach } = input;
  const listed = { ...step, forEach: typeof forEach === "string" ? { list: forEach } : forEach };
  if (input.action === "run") {
    const undo = input.compensate;
    return {
      ...listed,
      keyTtl: CHILD_KEY_TTL_MS,
      compensate: undo === undefined ? undefined : performance(undo),
    };
  }
  if (input.action !== "http") return listed;
  const { repeat, verify, compensate, unknownLimit } = input;
  return {
    ...listed,
    repeat,
    unknownLimit,
    verify:
      verify === undefined
        ? undefined
        : { ...performance(verify), effect: "safe", after: verify.after, happened: verify.happened },
    compensate: compensate === undefined ? undefined : performance(compensate),
  };
}

function readsOf(places: readonly Place[]): StepDef["reads"] {
  const reads = new Map<string, Set<string>>();
  for (const place of places)
    for (const { step } of place.reads) {
      const names = reads.get(place.pointer) ?? new Set<string>();
      reads.set(place.pointer, names.add(step));
    }
  if (reads.size === 0) return undefined;
  return Object.fromEntries([...reads].map(([pointer, names]) => [pointer, [...names]]));
}

type PerformanceInput = Pick<StepInput, "action" | "with"> &
  Partial<Pick<AuthoredPerformance, "effect" | "retry" | "timeout" | "keyTtl">>;

function performance(input: PerformanceInput): AuthoredPerformance {
  // Only their optional members keep the compiler from seeing that parameters are JSON.
  const parameters = input.with as unknown as AuthoredPerformance["with"];
  return {
    action: input.action,
    with: parameters,
    effect: input.effect ?? actionNamed(input.action)?.effect(parameters) ?? "once",
    retry: input.retry,
    timeout: input.timeout,
    keyTtl: input.keyTtl,
  };
}
