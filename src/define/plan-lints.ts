/**
 * What the kernel finds in the graph of a plan, with pointers into the plan, and the place in the expression where it is
 * about one. Left out is what only follows from something that is told already, and that may be right once that is mended.
 */

import { nearest, type Finding } from "../actions/index.ts";
import { checkGraph, checkSteps, type Graph, type Lint, type LintCode } from "../kernel/index.ts";
import type { Beside, Flaw, SurveyedSteps } from "./compile-steps.ts";

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
  /** What the steps join; missing: the graph is all there is. */
  readonly beside?: Beside;
}

/** A list of names that could stand somewhere. */
const MAX_ALLOWED = 100;

export function planLints(whole: Whole): Finding[] {
  const { graph, main, handlers } = whole;
  const lost = new Set(handlers?.steps.map((step) => step.name));
  const inMain = new Set(main.steps.map((step) => step.name));
  const unsure = unsureNeeds(whole);
  const unfit = (field: string): boolean => whole.frame.has(field) || spans.has(field);
  const { beside } = whole;
  const names = [...graph.steps, ...(beside?.existing ?? [])].map((step) => step.name);
  const known = [...new Set([...names, ...(beside?.names ?? [])])];
  const guess = guesses(known);
  const lints = beside === undefined ? checkGraph(graph) : checkSteps(graph.steps, joining(graph, beside));
  const spans = new Set(
    lints.flatMap(({ code, pointer }) => (code === "bad_duration" ? [pointer.replace(/Ms$/, "")] : [])),
  );
  return lints.flatMap((lint): Finding[] => {
    const [, head, name, ...rest] = lint.pointer.split("/");
    if (head !== "steps" || name === undefined) {
      const pointer = lint.pointer.replace(/Ms$/, "");
      const detail = lint.detail.replace(/^(\w+)Ms\b/, "`$1`");
      return whole.frame.has(pointer) ? [] : [{ ...plain(lint), pointer, detail }];
    }
    if (KNOWN.has(lint.code)) return [];
    const handler = lost.has(name) && !inMain.has(name);
    const owner = handler ? handlers : main;
    if (owner === null) return [];
    const flaw = owner.flaws.get(name);
    const inside = placeOf(rest, flaw);
    const at = handler ? "/onFailure" : "/steps";
    const undoing = lost.has(name) || inside.startsWith("/compensate/");
    if (OF_VALUES.has(lint.code) && followsFrom(inside, lint.code, flaw, spans, `/steps/${name}`)) return [];
    if (lint.code === "retry_window_exceeds_deadline" && unfit(undoing ? "/undoBudget" : "/deadline"))
      return [];
    if (lint.code === "unknown_step" && whole.frame.has("/steps")) return [];
    if (lint.code === "not_an_ancestor" && lint.about !== name && unsure(name, lint.about)) return [];
    if (lint.code === "not_an_ancestor" && beside?.whole === false && !inMain.has(lint.about ?? ""))
      return [];
    const others = beside === undefined ? owner.steps.map((step) => step.name) : known;
    return [told(lint, at, name, inside, owner, { guess, others })];
  });
}

/** A step that is there already is sent again, or in the way: who has the run knows which. */
function joining(
  { steps }: Graph,
  { existing, deadlineMs, undoBudgetMs }: Beside,
): Parameters<typeof checkSteps>[1] {
  const own = new Set(steps.map(({ name }) => name));
  return { existing: existing.filter(({ name }) => !own.has(name)), deadlineMs, undoBudgetMs };
}

function told(
  lint: Lint,
  at: string,
  name: string,
  inside: string,
  owner: SurveyedSteps,
  { guess, others }: { readonly guess: (word: string) => string | null; readonly others: readonly string[] },
): Finding {
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
  const allowed = others.filter((one) => one !== name).slice(0, MAX_ALLOWED);
  const meant = guess(lint.about ?? /named (.*)\.$/.exec(lint.detail)?.[1] ?? "");
  const hint = meant === null || !allowed.includes(meant) ? "" : ` Did you mean \`${meant}\`?`;
  return { ...finding, detail: `${lint.detail}${hint}`, allowed };
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
  flaw: Flaw | undefined,
  spans: ReadonlySet<string>,
  step: string,
): boolean {
  const bad = new Set(flaw?.findings.map(({ pointer }) => pointer));
  for (const one of bad)
    if (one === inside || one.startsWith(`${inside}/`) || (one !== "" && inside.startsWith(`${one}/`)))
      return true;
  if (inside === "/verify/after") return bad.has("/unknownLimit") || spans.has(`${step}/unknownLimit`);
  if (code !== "retry_window_exceeds_deadline") return false;
  const timeout = inside.replace(/retry$/, "timeout");
  return bad.has(timeout) || spans.has(`${step}${timeout}`);
}

/** Tells whether a step may wait for another after all, by needs that were not understood or are misspelt. */
function unsureNeeds({
  graph,
  main,
  handlers,
  beside,
}: Whole): (name: string, about: string | undefined) => boolean {
  const steps = new Map([...(beside?.existing ?? []), ...graph.steps].map((step) => [step.name, step]));
  const flaws = new Map([...(handlers?.flaws ?? []), ...main.flaws]);
  const meant = guesses([...steps.keys(), ...(beside?.names ?? [])]);
  const added = new Set(graph.steps.map(({ name }) => name));
  const ofStep = (name: string): "any" | readonly string[] =>
    isUnsure(flaws.get(name))
      ? "any"
      : (steps.get(name)?.needs ?? []).flatMap((need) => (steps.has(need) ? [] : (meant(need) ?? [])));
  const known = new Map<string, "any" | ReadonlySet<string>>();
  const ofAll = (name: string): "any" | ReadonlySet<string> => {
    const found = new Set<string>();
    const seen = new Set([name]);
    const open = [name];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      const these = ofStep(next);
      if (these === "any") return "any";
      // What a step of the run needs that was not asked for is open; it is none of those that are added.
      for (const one of these) found.add(one).add(steps.has(one) ? one : OTHERS);
      for (const need of steps.get(next)?.needs ?? []) {
        if (!seen.has(need)) open.push(need);
        seen.add(need);
      }
    }
    return found;
  };
  return (name, about) => {
    const all = known.get(name) ?? ofAll(name);
    known.set(name, all);
    if (all === "any" || about === undefined) return all === "any";
    return all.has(about) || (all.has(OTHERS) && !added.has(about));
  };
}

/** Stands for steps of which nothing is known; no name is empty. */
const OTHERS = "";

/** Words that are compared with all names of steps: more of them are not misspelt by accident. */
const MAX_GUESSES = 20;

function guesses(names: readonly string[]): (word: string) => string | null {
  const made = new Map<string, string | null>();
  return (word) => {
    const known = made.get(word);
    if (known !== undefined) return known;
    const guess = made.size < MAX_GUESSES ? nearest(word, names) : null;
    made.set(word, guess);
    return guess;
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

function plain({ code, detail, pointer }: Lint): Finding {
  return { code, detail, pointer };
}
