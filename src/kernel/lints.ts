/** Definition-time checks of a graph: each finding has a stable code and a JSON Pointer into the definition. */

import type { Graph, Performance, StepDef } from "./graph.ts";
import {
  MAX_ATTEMPTS,
  MAX_GRAPH_CHARS,
  MAX_ITEMS,
  MAX_ITERATIONS,
  MAX_NEEDS,
  MAX_STEP_TIMEOUT_MS,
  MAX_STEPS,
  MAX_WAIT_MS,
} from "./limits.ts";
import { retryWindowMs } from "./policy.ts";

export const LINT_CODES = [
  "bad_name",
  "duplicate_step",
  "too_many_steps",
  "graph_too_large",
  "too_many_needs",
  "unknown_need",
  "cycle",
  "need_across_parts",
  "timeout_too_long",
  "bad_duration",
  "bad_retry",
  "retry_window_exceeds_deadline",
  "once_blind_retry",
  "repeat_once",
  "repeat_and_for_each",
  "bad_repeat",
  "bad_for_each",
  "verify_not_safe",
  "verify_on_safe",
  "compensate_on_safe",
  "compensate_on_keyed_repeat",
  "compensate_on_failure_step",
  "effect_without_call",
  "missing_signal_name",
  "approval_without_call",
  "unknown_step",
  "not_an_ancestor",
] as const;
export type LintCode = (typeof LINT_CODES)[number];

export interface Lint {
  readonly code: LintCode;
  /** JSON Pointer (RFC 6901) from the definition's root; steps are named: `/steps/flight/needs/0`. */
  readonly pointer: string;
  readonly detail: string;
  /** The step that is referred to, of `unknown_step` and `not_an_ancestor`. */
  readonly about?: string;
}

/** Names of steps, workflows, signals, tenants. */
export const NAME_PATTERN = /^[a-z0-9][a-z0-9_-]{0,63}$/;
/** Names of events: a dot can stand in them as well. */
export const EVENT_PATTERN = /^[a-z0-9][a-z0-9._-]{0,63}$/;

/**
 * The signal by which a step hears its event. No name of a signal has a colon: it comes from events only, each step has its
 * own, and what is meant for one step is never another's.
 */
export function signalOfEvent(step: string): string {
  return `event:${step}`;
}

/** Failures after which the step may have happened: retrying them blindly is what `once` rules out. */
const UNCLEAR = new Set([
  "timeout",
  "network",
  "attempt_lost",
  "output_too_large",
  "output_invalid",
  "http_408",
]);
const REFUSED_5XX = new Set(["http_503", "http_521", "http_523", "http_525", "http_526", "http_530"]);

interface Context {
  readonly existing: readonly StepDef[];
  readonly deadlineMs: number;
  readonly undoBudgetMs: number;
}

/** Every finding in a whole graph. An empty list means that the graph can run. */
export function checkGraph(graph: Graph): Lint[] {
  const { deadlineMs, undoBudgetMs } = graph;
  const lints = checkSteps(graph.steps, { existing: [], deadlineMs, undoBudgetMs });
  for (const key of ["deadlineMs", "undoBudgetMs", "idleLimitMs"] as const) {
    if (!isDuration(graph[key], 1, MAX_WAIT_MS))
      lints.push({
        code: "bad_duration",
        pointer: `/${key}`,
        detail: `${key} is between 1 ms and 365 days, in whole milliseconds.`,
      });
  }
  return lints;
}

/** Every finding in steps that join those that exist. Needs must stand before the steps that need them. */
export function checkSteps(steps: readonly StepDef[], context: Context): Lint[] {
  const lints: Lint[] = [];
  const known = new Map(context.existing.map((step) => [step.name, step]));
  const all = new Set([...known.keys(), ...steps.map((step) => step.name)]);
  if (all.size > MAX_STEPS)
    lints.push({
      code: "too_many_steps",
      pointer: "/steps",
      detail: `A run has at most ${MAX_STEPS} steps.`,
    });
  if (charsOf(context.existing) + charsOf(steps) > MAX_GRAPH_CHARS)
    lints.push({
      code: "graph_too_large",
      pointer: "/steps",
      detail: `The steps of a run have at most ${MAX_GRAPH_CHARS} characters together.`,
    });
  for (const step of steps) {
    const at = `/steps/${escapePointer(step.name)}`;
    if (!NAME_PATTERN.test(step.name))
      lints.push({
        code: "bad_name",
        pointer: at,
        detail: "A step's name matches [a-z0-9][a-z0-9_-]{0,63}.",
      });
    if (known.has(step.name))
      lints.push({ code: "duplicate_step", pointer: at, detail: `There are two steps named ${step.name}.` });
    lints.push(...checkNeeds(step, at, known, all), ...checkStep(step, at, context));
    known.set(step.name, step);
  }
  for (const step of steps) lints.push(...checkReads(step, known));
  return lints;
}

/** A step that is read must be settled by then: it is an ancestor; or it is the step itself, where that is over. */
function checkReads(step: StepDef, known: ReadonlyMap<string, StepDef>): Lint[] {
  const lints: Lint[] = [];
  let ancestors: ReadonlySet<string> | null = null;
  for (const [place, names] of Object.entries(step.reads ?? {})) {
    for (const about of names) {
      if (step.needs.includes(about)) continue;
      const pointer = `/steps/${escapePointer(step.name)}${place}`;
      const read = known.get(about);
      if (read === undefined) {
        lints.push({ code: "unknown_step", pointer, about, detail: `There is no step named ${about}.` });
        continue;
      }
      const over = place.startsWith("/verify/") || place.startsWith("/compensate/");
      if (about === step.name ? over : step.part === "on_failure" && read.part === "main") continue;
      ancestors ??= ancestorsOf(step, known);
      if (about !== step.name && ancestors.has(about)) continue;
      const detail =
        about === step.name
          ? `${step.name} cannot read itself before it is over.`
          : `${step.name} does not wait for ${about}: add ${about} to its \`needs\`.`;
      lints.push({ code: "not_an_ancestor", pointer, about, detail });
    }
  }
  return lints;
}

function ancestorsOf(step: StepDef, known: ReadonlyMap<string, StepDef>): ReadonlySet<string> {
  const found = new Set<string>();
  const open = [...step.needs];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (found.has(name)) continue;
    found.add(name);
    open.push(...(known.get(name)?.needs ?? []));
  }
  return found;
}

/** Steps never change, so each is measured once: growth must not cost more the longer a run is. */
const measured = new WeakMap<StepDef, number>();

function charsOf(steps: readonly StepDef[]): number {
  let chars = 0;
  for (const step of steps) {
    const known = measured.get(step) ?? JSON.stringify(step).length;
    measured.set(step, known);
    chars += known;
  }
  return chars;
}

function checkNeeds(
  step: StepDef,
  at: string,
  known: ReadonlyMap<string, StepDef>,
  all: ReadonlySet<string>,
): Lint[] {
  const lints: Lint[] = [];
  if (step.needs.length > MAX_NEEDS)
    lints.push({
      code: "too_many_needs",
      pointer: `${at}/needs`,
      detail: `A step needs at most ${MAX_NEEDS} others.`,
    });
  step.needs.forEach((need, i) => {
    const pointer = `${at}/needs/${i}`;
    const def = known.get(need);
    if (def === undefined) {
      lints.push(
        all.has(need)
          ? {
              code: "cycle",
              pointer,
              detail: `${step.name} and ${need} need each other, directly or by way of others.`,
            }
          : { code: "unknown_need", pointer, detail: `There is no step named ${need}.` },
      );
    } else if (def.part !== step.part) {
      lints.push({
        code: "need_across_parts",
        pointer,
        detail: "Main steps and onFailure steps cannot need each other; results can be read all the same.",
      });
    }
  });
  return lints;
}

function checkStep(step: StepDef, at: string, { deadlineMs, undoBudgetMs }: Context): Lint[] {
  const lints = checkPerformance(
    step,
    at,
    step.part === "main" ? deadlineMs : undoBudgetMs,
    step.verify === undefined
      ? "a `verify` can ask whether it happened"
      : "its `verify` asks whether it happened",
  );
  const add = (code: LintCode, pointer: string, detail: string): void => {
    lints.push({ code, pointer: `${at}${pointer}`, detail });
  };
  if (!isDuration(step.unknownLimitMs, 1, MAX_WAIT_MS))
    add("bad_duration", "/unknownLimit", "The limit of an unknown outcome is between 1 ms and 365 days.");
  if (step.event !== undefined) {
    if (step.kind !== "signal" || step.signal !== signalOfEvent(step.name) || !EVENT_PATTERN.test(step.event))
      add("missing_signal_name", "/with/event", "A wait names the event that it waits for.");
  } else if (step.kind === "signal" && !NAME_PATTERN.test(step.signal ?? ""))
    add("missing_signal_name", "/with/signal", "A wait names the signal that it waits for.");
  if (step.kind !== "call" && step.effect !== "safe")
    add("effect_without_call", "/effect", "A step that calls nothing changes nothing: its effect is safe.");
  if (step.approval !== undefined) {
    if (step.kind !== "call")
      add("approval_without_call", "/approval", "Only a call can be held back until it is approved.");
    if (!isDuration(step.approval.limitMs, 1, MAX_WAIT_MS))
      add("bad_duration", "/approval", "An approval is waited for between 1 ms and 365 days.");
  }
  if (step.repeat !== undefined) {
    const { max, everyMs, withinMs } = step.repeat;
    if (step.effect === "once")
      add(
        "repeat_once",
        "/repeat",
        "A `once` step cannot be repeated; make it `safe`, `idempotent` or `keyed`.",
      );
    if (step.forEach !== undefined)
      add("repeat_and_for_each", "/repeat", "A step has `repeat` or `forEach`, not both.");
    const fine =
      isWhole(max, 1, MAX_ITERATIONS) &&
      isDuration(everyMs, 0, MAX_WAIT_MS) &&
      isDuration(withinMs, 1, MAX_WAIT_MS);
    if (!fine || step.kind !== "call")
      add(
        "bad_repeat",
        "/repeat",
        `A repeat polls a call, at most ${MAX_ITERATIONS} times, with bounds in whole milliseconds.`,
      );
  }
  if (step.forEach !== undefined) {
    const { concurrency, tolerate } = step.forEach;
    const fine = isWhole(concurrency, 1, MAX_ITEMS) && isWhole(tolerate, 0, MAX_ITEMS);
    if (!fine || (step.kind !== "call" && step.kind !== "instant"))
      add(
        "bad_for_each",
        "/forEach",
        `A forEach calls or computes, with a concurrency of 1 to ${MAX_ITEMS} and at least 0 tolerated failures.`,
      );
  }
  if (step.verify !== undefined) {
    if (step.effect === "safe")
      add("verify_on_safe", "/verify", "A safe step can simply be retried; it needs no verify.");
    if (step.verify.effect !== "safe")
      add("verify_not_safe", "/verify", "A verify only looks: its effect is safe.");
    if (!isDuration(step.verify.afterMs, 0, step.unknownLimitMs))
      add("bad_duration", "/verify/after", "A verify starts within the limit of the unknown outcome.");
    lints.push(...checkPerformance(step.verify, `${at}/verify`, deadlineMs));
  }
  if (step.compensate !== undefined) {
    if (step.effect === "safe")
      add("compensate_on_safe", "/compensate", "A safe step changes nothing, so there is nothing to undo.");
    if (step.effect === "keyed" && step.repeat !== undefined)
      add(
        "compensate_on_keyed_repeat",
        "/compensate",
        "Every round of a keyed repeat has an effect of its own, and only the last output is kept: undo in another step.",
      );
    if (step.part === "on_failure")
      add("compensate_on_failure_step", "/compensate", "What an onFailure step does is not undone.");
    lints.push(...checkPerformance(step.compensate, `${at}/compensate`, undoBudgetMs));
  }
  return lints;
}

/** @param rather what a `once` performance does instead of trying again */
function checkPerformance(
  performance: Performance,
  at: string,
  deadlineMs: number,
  rather = "a person says whether it happened",
): Lint[] {
  const lints: Lint[] = [];
  const { retry, timeoutMs } = performance;
  if (!isDuration(timeoutMs, 1, Infinity))
    lints.push({
      code: "bad_duration",
      pointer: `${at}/timeout`,
      detail: "A timeout is at least 1 ms, in whole milliseconds.",
    });
  else if (timeoutMs > MAX_STEP_TIMEOUT_MS)
    lints.push({
      code: "timeout_too_long",
      pointer: `${at}/timeout`,
      detail: "An attempt lasts at most 10 min; poll longer work with `repeat`, or wait for its signal.",
    });
  if (!isDuration(performance.keyTtlMs, 1, MAX_WAIT_MS))
    lints.push({
      code: "bad_duration",
      pointer: `${at}/keyTtl`,
      detail: "keyTtl is between 1 ms and 365 days.",
    });
  const fine =
    isWhole(retry.attempts, 1, MAX_ATTEMPTS) &&
    isDuration(retry.initialMs, 0, MAX_WAIT_MS) &&
    isDuration(retry.capMs, 0, MAX_WAIT_MS) &&
    isDuration(retry.maxElapsedMs, 0, MAX_WAIT_MS) &&
    Number.isFinite(retry.factor) &&
    retry.factor >= 1 &&
    retry.factor <= 100;
  if (!fine)
    lints.push({
      code: "bad_retry",
      pointer: `${at}/retry`,
      detail: `A retry policy has 1 to ${MAX_ATTEMPTS} attempts, a factor of 1 to 100, and times in whole milliseconds.`,
    });
  else if (retryWindowMs(retry, timeoutMs) > deadlineMs) {
    lints.push({
      code: "retry_window_exceeds_deadline",
      pointer: `${at}/retry`,
      detail:
        "The retries can take longer than the run may: lower attempts, cap or maxElapsed, or raise the run's deadline.",
    });
  }
  const blind = retry.only?.filter(
    (code) => UNCLEAR.has(code) || (/^http_5\d\d$/.test(code) && !REFUSED_5XX.has(code)),
  );
  if (performance.effect === "once" && blind !== undefined && blind.length > 0) {
    lints.push({
      code: "once_blind_retry",
      pointer: `${at}/retry/only`,
      detail: `A \`once\` step is never retried after a failure that leaves its outcome unknown: take ${blind.join(", ")} out (${rather}), or make it \`keyed\`.`,
    });
  }
  return lints;
}

/**
 * The steps in an order in which needs come first, otherwise as they stand. Those on a cycle come last, as they
 * stand, so that `checkGraph` finds and names it.
 */
export function orderSteps<T extends { readonly name: string; readonly needs: readonly string[] }>(
  steps: readonly T[],
): T[] {
  const names = new Set(steps.map((step) => step.name));
  const open = new Map(
    steps.map((step) => [
      step.name,
      new Set(step.needs.filter((need) => names.has(need) && need !== step.name)).size,
    ]),
  );
  const dependents = new Map<string, T[]>();
  for (const step of steps)
    for (const need of new Set(step.needs)) dependents.set(need, [...(dependents.get(need) ?? []), step]);
  const ordered: T[] = [];
  const placed = new Set<T>();
  const place = (step: T): void => {
    const ready = [step];
    for (let next = ready.shift(); next !== undefined; next = ready.shift()) {
      if (placed.has(next)) continue;
      placed.add(next);
      ordered.push(next);
      for (const dependent of dependents.get(next.name) ?? []) {
        const left = (open.get(dependent.name) ?? 0) - 1;
        open.set(dependent.name, left);
        if (left === 0 && dependent !== next) ready.push(dependent);
      }
    }
  };
  for (const step of steps) if (open.get(step.name) === 0 && !placed.has(step)) place(step);
  return [...ordered, ...steps.filter((step) => !placed.has(step))];
}

/** RFC 6901, section 3. */
export function escapePointer(token: string): string {
  return token.replaceAll("~", "~0").replaceAll("/", "~1");
}

function isWhole(n: number, least: number, most: number): boolean {
  return Number.isInteger(n) && n >= least && n <= most;
}

function isDuration(ms: number, least: number, most: number): boolean {
  return Number.isInteger(ms) && ms >= least && ms <= most;
}
