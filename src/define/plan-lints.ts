/**
 * What the kernel finds in the graph of a plan, with pointers into the plan, and the place in the expression where it is
 * about one. Left out is what only follows from something that is told already, and that may be right once that is mended.
 */

import { didYouMean, nearest, type Finding } from "../actions/index.ts";
import { checkGraph, type Graph, type Lint, type LintCode, type StepDef } from "../kernel/index.ts";
import type { Flaw, SurveyedSteps } from "./compile-steps.ts";

/** Said with the step itself already, in other words. */
const KNOWN: ReadonlySet<LintCode> = new Set(["duplicate_step", "bad_name"]);
/** About the value of what was left out with what does not fit, and not about whether it is there. */
const OF_VALUES: ReadonlySet<LintCode> = new Set([
  ...(["bad_repeat", "bad_for_each", "bad_retry", "bad_duration"] as const),
  ...(["timeout_too_long", "retry_window_exceeds_deadline", "missing_signal_name"] as const),
]);

interface Whole {
  readonly graph: Graph;
  readonly main: SurveyedSteps;
  readonly handlers: SurveyedSteps | null;
  /** Fields of the plan that do not fit. */
  readonly frame: ReadonlySet<string>;
}

export function planLints(whole: Whole): Finding[] {
  const { graph, main, handlers } = whole;
  const lost = new Set(handlers?.steps.map((step) => step.name));
  const inMain = new Set(main.steps.map((step) => step.name));
  const unsure = unsureNeeds(whole);
  const lints = checkGraph(graph);
  const spans = new Set(
    lints.flatMap(({ code, pointer }) => (code === "bad_duration" ? [pointer.replace(/Ms$/, "")] : [])),
  );
  return lints.flatMap((lint): Finding[] => {
    const [, head, name, ...rest] = lint.pointer.split("/");
    if (head !== "steps" || name === undefined) {
      const pointer = lint.pointer.replace(/Ms$/, "");
      return whole.frame.has(pointer) ? [] : [{ ...plain(lint), pointer }];
    }
    if (KNOWN.has(lint.code)) return [];
    const handler = lost.has(name) && !inMain.has(name);
    const owner = handler ? handlers : main;
    if (owner === null) return [];
    const flaw = owner.flaws.get(name);
    const inside = placeOf(rest, flaw);
    const at = handler ? "/onFailure" : "/steps";
    const limit = handler || inside.startsWith("/compensate/") ? "/undoBudget" : "/deadline";
    const bad = new Set([...(flaw?.findings ?? []).map((one) => one.pointer)]);
    if (OF_VALUES.has(lint.code) && followsFrom(inside, lint.code, bad, spans, `${at}/${name}`)) return [];
    if (lint.code === "retry_window_exceeds_deadline" && (whole.frame.has(limit) || spans.has(limit)))
      return [];
    if (lint.code === "unknown_step" && whole.frame.has("/steps")) return [];
    if (lint.code === "not_an_ancestor" && lint.about !== name && unsure(name, lint.about)) return [];
    return [told(lint, at, name, inside, owner)];
  });
}

function told(lint: Lint, at: string, name: string, inside: string, owner: SurveyedSteps): Finding {
  const where = owner.places
    .get(name)
    ?.flatMap((one) => one.reads.map((read) => ({ ...one, ...read })))
    .find((one) => one.pointer === inside && one.step === lint.about);
  const finding = {
    ...plain(lint),
    pointer: `${at}/${name}${inside}`,
    ...(where === undefined ? {} : { expression: where.expression, offset: where.offset }),
  };
  if (lint.code !== "unknown_need" && lint.code !== "unknown_step") return finding;
  const allowed = owner.steps.map((step) => step.name).filter((one) => one !== name);
  const word = lint.about ?? /named (.*)\.$/.exec(lint.detail)?.[1] ?? "";
  return { ...finding, detail: `${lint.detail}${didYouMean(word, allowed)}`, allowed };
}

/** The place in the step as it was written: needs that were not understood are left out of the graph. */
function placeOf(rest: readonly string[], flaw: Flaw | undefined): string {
  const [field, i] = rest;
  const written = field === "needs" && i !== undefined ? flaw?.needsAt[Number(i)] : undefined;
  return [field, written ?? i, ...rest.slice(2)]
    .filter((one) => one !== undefined)
    .map((one) => `/${one}`)
    .join("");
}

function followsFrom(
  inside: string,
  code: LintCode,
  bad: ReadonlySet<string>,
  spans: ReadonlySet<string>,
  step: string,
): boolean {
  for (const one of bad)
    if (one === inside || one.startsWith(`${inside}/`) || (one !== "" && inside.startsWith(`${one}/`)))
      return true;
  if (inside === "/verify/after") return bad.has("/unknownLimit") || spans.has(`${step}/unknownLimit`);
  if (code !== "retry_window_exceeds_deadline") return false;
  const timeout = inside.replace(/retry$/, "timeout");
  return bad.has(timeout) || spans.has(`${step}${timeout}`);
}

/** Tells whether a step may wait for another after all, by needs that were not understood. */
function unsureNeeds({ graph, main, handlers }: Whole): (name: string, about: string | undefined) => boolean {
  const steps = new Map(graph.steps.map((step) => [step.name, step]));
  const flaws = new Map([...(handlers?.flaws ?? []), ...main.flaws]);
  return (name, about) => {
    const open = [name];
    const seen = new Set(open);
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      const step = steps.get(next);
      if (isUnsure(flaws.get(next)) || misspells(step, steps, about)) return true;
      for (const need of step?.needs ?? []) {
        if (!seen.has(need)) open.push(need);
        seen.add(need);
      }
    }
    return false;
  };
}

function isUnsure(flaw: Flaw | undefined): boolean {
  return (flaw?.findings ?? []).some(
    ({ pointer, code, allowed = [] }) =>
      pointer === "/needs" ||
      pointer.startsWith("/needs/") ||
      (code === "unknown_field" && nearest(pointer.slice(1), allowed) === "needs"),
  );
}

/** Whether a need that is not there is the name of the step, misspelt. */
function misspells(
  step: StepDef | undefined,
  steps: ReadonlyMap<string, StepDef>,
  about: string | undefined,
): boolean {
  return (step?.needs ?? []).some((need) => !steps.has(need) && nearest(need, [...steps.keys()]) === about);
}

function plain({ code, detail, pointer }: Lint): Finding {
  return { code, detail, pointer };
}
