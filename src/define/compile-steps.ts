/** From steps as JSON to steps of a graph. Everything that is wrong is said at once, each with its place. */

import { actionNamed, CHILD_KEY_TTL_MS, findingsOf, kindOfWait, type Finding } from "../actions/index.ts";
import { escapePointer, NAME_PATTERN, orderSteps, type StepDef } from "../kernel/index.ts";
import { toStepDef, type AuthoredPerformance, type AuthoredStep } from "./authored.ts";
import { checkShapes } from "./check-shapes.ts";
import { checkInputSchema } from "./input-schema.ts";
import { isLoose, surveyStep, type Place } from "./places.ts";
import { secretsIn } from "./secrets-in-plan.ts";
import { stepSchema, type StepInput } from "./step-input.ts";

export type CompiledSteps =
  | { readonly ok: true; readonly steps: readonly StepDef[] }
  | { readonly ok: false; readonly errors: readonly Finding[] };

const MAX_ERRORS = 100;

/** Steps of one part of a graph, as far as they could be compiled. */
export interface SurveyedSteps {
  readonly steps: readonly StepDef[];
  readonly findings: readonly Finding[];
  /** Expressions by name of the step. */
  readonly places: ReadonlyMap<string, readonly Place[]>;
  /** Steps that do not fit; what others say about them can still be checked. */
  readonly broken: ReadonlySet<string>;
}

/**
 * Checks steps by name and fills in every default. Needs, and what expressions read, may name steps that are not among
 * them: whether these exist is known where the graph is.
 * @param at pointer to the steps in the document that the caller read, for the errors
 * @param by who made them: what code of this build puts into its steps is data that it was given
 */
export function compileSteps(json: unknown, at = "/steps", by: "author" | "code" = "author"): CompiledSteps {
  const surveyed = surveySteps(json, at, "main");
  const errors = withoutDoubles([
    ...surveyed.findings,
    ...checkShapes([{ ...surveyed, at }], undefined, []).errors,
    ...(by === "author" ? secretsIn(json, at) : []),
  ]);
  return errors.length > 0
    ? { ok: false, errors: errors.slice(0, MAX_ERRORS) }
    : { ok: true, steps: orderSteps(surveyed.steps) };
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
  const broken = new Set<string>();
  if (!isLoose(json)) {
    const findings = [
      json === undefined
        ? { pointer: at, code: "missing", detail: "The field is missing." }
        : { pointer: at, code: "invalid", detail: "Steps are an object: each under its name." },
    ];
    return { steps: [], findings, places, broken };
  }
  const findings: Finding[] = [];
  const steps: StepDef[] = [];
  for (const [name, step] of Object.entries(json)) {
    const pointer = `${at}/${escapePointer(name)}`;
    const place = (one: Finding): Finding => ({ ...one, pointer: pointer + one.pointer });
    const survey = surveyStep(step, part);
    const parsed = stepSchema().safeParse(step);
    const known = new Set(survey.findings.map((one) => one.pointer));
    const own: Finding[] = [
      ...(NAME_PATTERN.test(name)
        ? []
        : [{ pointer: "", code: "invalid", detail: "A name matches [a-z0-9][a-z0-9_-]{0,63}." }]),
      ...survey.findings,
      // What is no expression at its place is said once, in the words of expressions.
      ...(parsed.success ? [] : findingsOf(parsed.error))
        .filter((one) => !known.has(one.pointer))
        .map((one) => told(one, step)),
      ...pagedFindings(step),
      ...payloadFindings(step),
      ...verifyFindings(step),
      ...(part === "on_failure" && isLoose(step) && step["onFailure"] !== undefined
        ? [
            {
              pointer: "/onFailure",
              code: "unknown_field",
              detail: "A step of `onFailure` has no `onFailure` of its own.",
            },
          ]
        : []),
    ];
    findings.push(...own.map(place));
    places.set(name, survey.places);
    if (own.length === 0 && parsed.success) {
      steps.push(toStepDef(authored(name, part, parsed.data, survey.places)));
    } else {
      broken.add(name);
      steps.push(standIn(name, part, step));
    }
  }
  return { steps, findings, places, broken };
}

/** An attempt that reads pages is made again from the first one: it has to be safe. */
function pagedFindings(step: unknown): Finding[] {
  if (!isLoose(step) || !isLoose(step["with"]) || step["with"]["paginate"] === undefined) return [];
  if (step["effect"] === undefined || step["effect"] === "safe") return [];
  return [
    {
      pointer: "/effect",
      code: "paginate_not_safe",
      detail: "Only a `safe` step reads pages.",
      allowed: ["safe"],
    },
  ];
}

const READING: ReadonlySet<unknown> = new Set(["GET", "HEAD", "OPTIONS"]);

/** What asks whether something happened must not make it happen. */
function verifyFindings(step: unknown): Finding[] {
  const verify = isLoose(step) ? step["verify"] : undefined;
  if (!isLoose(verify) || !isLoose(verify["with"]) || verify["effect"] === "safe") return [];
  const { method } = verify["with"];
  if (typeof method !== "string" || READING.has(method)) return [];
  const detail = "A verify only looks: use GET; or say `effect: safe` if this request changes nothing.";
  return [
    { pointer: "/verify/with/method", code: "verify_not_safe", detail, allowed: [...READING] as string[] },
  ];
}

/** The schema of a signal's payload has the bounds of that of an input. */
function payloadFindings(step: unknown): Finding[] {
  if (!isLoose(step) || step["action"] !== "wait" || !isLoose(step["with"])) return [];
  const { schema } = step["with"];
  return isLoose(schema) ? checkInputSchema(schema, "/with/schema") : [];
}

/** What does not fit because it is not there is told as that. */
function told(finding: Finding, step: unknown): Finding {
  const tokens = finding.pointer.split("/").slice(1);
  let at: unknown = step;
  for (const token of tokens) {
    if (typeof at !== "object" || at === null) return finding;
    const key = token.replaceAll("~1", "/").replaceAll("~0", "~");
    if (!Object.hasOwn(at, key)) return { ...finding, code: "missing", detail: "The field is missing." };
    at = Reflect.get(at, key);
  }
  return finding;
}

/** In the place of a step that does not fit: it only has what it needs, so that others can be checked against it. */
function standIn(name: string, part: StepDef["part"], step: unknown): StepDef {
  const needs: unknown = isLoose(step) ? step["needs"] : undefined;
  const names = Array.isArray(needs) ? needs.filter((one): one is string => typeof one === "string") : [];
  const nothing = { action: "transform", with: { value: null }, effect: "safe" } as const;
  return toStepDef({ name, part, kind: "instant", needs: names, ...nothing });
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
  if (input.action === "wait") return { ...step, kind: kindOfWait(input.with), signal: input.with.signal };
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
