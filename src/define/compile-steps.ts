/** From steps as JSON to steps of a graph. Everything that is wrong is said at once, each with its place. */

import { actionNamed, CHILD_KEY_TTL_MS, findingsOf, kindOfWait, type Finding } from "../actions/index.ts";
import { escapePointer, orderSteps, type StepDef } from "../kernel/index.ts";
import { toStepDef, type AuthoredPerformance, type AuthoredStep } from "./authored.ts";
import { stepsSchema, type StepInput } from "./step-input.ts";

export type CompiledSteps =
  | { readonly ok: true; readonly steps: readonly StepDef[] }
  | { readonly ok: false; readonly errors: readonly Finding[] };

/** What expressions will make possible. Until then it is refused by name. */
const NEEDS_EXPRESSIONS = ["when", "forEach", "repeat"] as const;
const EXPRESSION = "${{";
const MAX_ERRORS = 100;
const MAX_DEPTH = 256;

/**
 * Checks steps by name and fills in every default. Needs may name steps that are not among them: whether these exist is
 * known where the graph is.
 * @param at pointer to the steps in the document that the caller read, for the errors
 */
export function compileSteps(json: unknown, at = "/steps"): CompiledSteps {
  const unsupported = findExpressions(json, at);
  const parsed = stepsSchema().safeParse(json);
  const known = new Set(unsupported.map((one) => one.pointer));
  const others = parsed.success ? [] : findingsOf(parsed.error, at).filter((one) => !known.has(one.pointer));
  const errors = [...unsupported, ...others].slice(0, MAX_ERRORS);
  if (!parsed.success || errors.length > 0) return { ok: false, errors };
  const steps = Object.entries(parsed.data).map(([name, input]) => toStepDef(authored(name, input)));
  return { ok: true, steps: orderSteps(steps) };
}

function authored(name: string, input: StepInput): AuthoredStep {
  const { needs, join, onFailure, sensitive } = input;
  const step = {
    name,
    part: "main",
    kind: actionNamed(input.action)?.kind ?? "call",
    needs,
    join,
    onFailure,
    sensitive,
    ...performance(input),
  } as const;
  if (input.action === "wait") return { ...step, kind: kindOfWait(input.with), signal: input.with.signal };
  if (input.action === "run") {
    const undo = input.compensate;
    return {
      ...step,
      keyTtl: CHILD_KEY_TTL_MS,
      compensate: undo === undefined ? undefined : performance(undo),
    };
  }
  if (input.action !== "http") return step;
  const { verify, compensate, unknownLimit } = input;
  return {
    ...step,
    unknownLimit,
    verify:
      verify === undefined ? undefined : { ...performance(verify), effect: "safe", after: verify.after },
    compensate: compensate === undefined ? undefined : performance(compensate),
  };
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

/** Every text that holds an expression, and every field that can hold nothing else. */
function findExpressions(json: unknown, at: string): Finding[] {
  const found: Finding[] = [];
  const add = (pointer: string, what: string): void => {
    const detail = `${what} This version knows no expressions in JSON steps; write the workflow in TypeScript.`;
    found.push({ pointer, code: "expression_not_supported", detail });
  };
  const visit = (value: unknown, pointer: string, depth: number): void => {
    if (found.length >= MAX_ERRORS || depth > MAX_DEPTH) return;
    if (typeof value === "string" && value.includes(EXPRESSION))
      add(pointer, "The text holds an expression.");
    if (typeof value !== "object" || value === null) return;
    for (const [key, member] of Object.entries(value))
      visit(member, `${pointer}/${escapePointer(key)}`, depth + 1);
  };
  visit(json, at, 0);
  for (const [name, step] of Object.entries(isRecord(json) ? json : {})) {
    if (!isRecord(step)) continue;
    for (const field of NEEDS_EXPRESSIONS)
      if (field in step) add(`${at}/${escapePointer(name)}/${field}`, `\`${field}\` needs an expression.`);
  }
  return found;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
