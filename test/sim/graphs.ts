/** Random graphs that use every feature, and always pass the definition-time checks. */

import {
  checkGraph,
  checkSteps,
  EFFECTS,
  type Join,
  resolveRetry,
  type Effect,
  type Graph,
  type Json,
  type OnStepFailure,
  type Performance,
  type RetryPolicy,
  type StepDef,
  type StepKind,
  type Verify,
} from "../../src/kernel/index.ts";
import { INTEGRATIONS } from "./credentials.ts";
import { LAND_MS, ZOMBIE_MS } from "./limits.ts";
import type { Random } from "./random.ts";
import type { Swarm } from "./swarm.ts";

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** What the simulated templates say; see `evaluate.ts` for what each part does. */
export interface Template {
  readonly [key: string]: Json;
}

export interface Drawn {
  readonly graph: Graph;
  readonly open: boolean;
  /** Steps that the owner of an open run may append, batch by batch. */
  readonly batches: readonly (readonly StepDef[])[];
}

/** Signals that steps of any graph wait for. */
export const SIGNALS = ["paid", "approved", "shipped"] as const;

export function drawGraph(random: Random, swarm: Swarm): Drawn {
  const open = random.chance(0.2);
  const steps: StepDef[] = [];
  const main = random.int(5, 18);
  for (let i = 0; i < main; i++) steps.push(drawStep(random, swarm, `s${i}`, steps));
  const handlers = random.chance(0.4) ? random.int(1, 2) : 0;
  for (let i = 0; i < handlers; i++) steps.push(drawHandler(random, swarm, `h${i}`));
  const graph: Graph = {
    steps,
    output: random.chance(0.05) ? { fail: true } : { bytes: random.chance(0.1) ? 3_000 : 10 },
    deadlineMs: random.chance(swarm.shortLimits)
      ? random.scale(2 * MINUTE_MS, 2 * HOUR_MS)
      : random.scale(HOUR_MS, 30 * DAY_MS),
    undoBudgetMs: random.chance(swarm.shortLimits)
      ? random.scale(SECOND_MS, 5 * MINUTE_MS)
      : random.scale(HOUR_MS, DAY_MS),
    idleLimitMs: random.scale(MINUTE_MS, DAY_MS),
  };
  const fitting = fit(graph);
  return { graph: fitting, open, batches: open ? drawBatches(random, swarm, fitting) : [] };
}

/** Some calls, undoings and checks need a connection. */
export function connected(random: Random, share: number, drawn: Drawn): Drawn {
  if (share === 0) return drawn;
  const lent = <P extends Performance>(performance: P): P => {
    if (!random.chance(share)) return performance;
    const connection = random.pick(INTEGRATIONS);
    return { ...performance, with: { ...(performance.with as Template), connection } };
  };
  const step = (def: StepDef): StepDef => {
    if (def.kind !== "call" || def.action === "child") return def;
    const { verify, compensate } = def;
    return {
      ...lent(def),
      ...(verify === undefined ? {} : { verify: lent(verify) }),
      ...(compensate === undefined ? {} : { compensate: lent(compensate) }),
    };
  };
  return {
    ...drawn,
    graph: { ...drawn.graph, steps: drawn.graph.steps.map(step) },
    batches: drawn.batches.map((batch) => batch.map(step)),
  };
}

/** Its times raised until every retry window fits into them. */
function fit(graph: Graph): Graph {
  let fitting = graph;
  for (let [lint] = checkGraph(graph); lint !== undefined; [lint] = checkGraph(fitting)) {
    if (lint.code !== "retry_window_exceeds_deadline") throw new Error(`${lint.pointer}: ${lint.detail}`);
    // Undoing, and the steps of `onFailure`, have a budget of their own.
    fitting = /\/compensate\/|^\/steps\/h/.test(lint.pointer)
      ? { ...fitting, undoBudgetMs: fitting.undoBudgetMs + HOUR_MS }
      : { ...fitting, deadlineMs: fitting.deadlineMs + HOUR_MS };
  }
  return fitting;
}

function drawBatches(random: Random, swarm: Swarm, graph: Graph): StepDef[][] {
  const batches: StepDef[][] = [];
  const known = graph.steps.filter((step) => step.part === "main");
  for (let b = random.int(1, 3); b > 0; b--) {
    const batch: StepDef[] = [];
    for (let i = random.int(1, 3); i > 0; i--) {
      const step = drawStep(random, swarm, `a${b}x${i}`, [...known, ...batch]);
      const context = { ...graph, existing: [...graph.steps, ...batch] };
      if (checkSteps([step], context).length === 0) batch.push(step);
    }
    known.push(...batch);
    if (batch.length > 0) batches.push(batch);
  }
  return batches;
}

function drawStep(
  random: Random,
  swarm: Swarm,
  name: string,
  earlier: readonly StepDef[],
  how: { readonly plain?: boolean } = {},
): StepDef {
  const kind: StepKind = how.plain
    ? random.weighted({ call: 8, instant: 1, timer: 1 })
    : random.weighted({ call: 75, instant: 10, timer: 8, signal: 7, approval: 4 });
  const effect: Effect = kind === "call" ? random.pick(EFFECTS) : "safe";
  const needs = drawNeeds(random, earlier);
  const base: StepDef = {
    name,
    kind,
    ...drawPerformance(random, swarm, effect, templateOf(random, kind, needs)),
    needs,
    join: random.weighted<Join>({ all: 6, any: 2, settled: 2 }),
    part: "main",
    ...(random.chance(swarm.conditional) ? { when: drawWhen(random, needs) } : {}),
    ...(random.chance(0.5) ? { onFailure: drawOnFailure(random) } : {}),
    ...(kind === "signal" ? { signal: random.pick(SIGNALS) } : {}),
    unknownLimitMs: random.chance(swarm.shortLimits)
      ? random.scale(20 * SECOND_MS, 10 * MINUTE_MS)
      : random.scale(HOUR_MS, 72 * HOUR_MS),
  };
  if (how.plain === true) return base;
  const shaped = { ...base, ...drawShape(random, base, needs) };
  const worked = { ...shaped, ...drawChild(random, shaped) };
  return { ...worked, ...drawCare(random, swarm, worked, needs, name) };
}

/** A step of `onFailure`: a list or rounds it may have, but nothing takes it back. */
function drawHandler(random: Random, swarm: Swarm, name: string): StepDef {
  const plain = drawStep(random, swarm, name, [], { plain: true });
  return { ...plain, ...(plain.action === "child" ? {} : drawShape(random, plain, [])), part: "on_failure" };
}

/** Some keyed steps have a run of their own to do the work; its provider never forgets a key. */
function drawChild(random: Random, base: StepDef): Partial<StepDef> {
  const may = base.kind === "call" && base.effect === "keyed" && base.repeat === undefined;
  return may && random.chance(0.25) ? { action: "child", keyTtlMs: 365 * DAY_MS } : {};
}

function drawNeeds(random: Random, earlier: readonly StepDef[]): string[] {
  const names = new Set<string>();
  if (earlier.length === 0) return [];
  for (let i = random.int(0, 3); i > 0; i--)
    // Mostly a near step, so that graphs become deep as well as wide.
    names.add(
      (random.chance(0.6) ? earlier[Math.max(0, earlier.length - random.int(1, 3))] : random.pick(earlier))!
        .name,
    );
  return [...names];
}

function drawWhen(random: Random, needs: readonly string[]): Json {
  const [first] = needs;
  if (random.chance(0.1)) return { fail: true };
  if (random.chance(0.6)) return { evenMs: true };
  return first === undefined || random.chance(0.4) ? { coin: random.chance(0.6) } : { even: first };
}

function drawOnFailure(random: Random): OnStepFailure {
  const drawn = random.weighted({ fail: 2, continue: 4, fallback: 3 });
  return drawn === "fallback" ? { fallback: { instead: true } } : drawn;
}

/** `forEach` or `repeat`, for those that can have it. */
function drawShape(random: Random, base: StepDef, needs: readonly string[]): Partial<StepDef> {
  const [first] = needs;
  if ((base.kind === "call" || base.kind === "instant") && random.chance(0.15)) {
    const list: Json = first === undefined || random.chance(0.7) ? random.int(0, 5) : { of: first };
    return { forEach: { list, concurrency: random.int(1, 4), tolerate: random.pick([0, 0, 1, 2]) } };
  }
  if (base.kind === "call" && base.effect !== "once" && random.chance(0.1)) {
    return {
      repeat: {
        until: { rounds: random.int(0, 5) },
        everyMs: random.scale(100, 30 * SECOND_MS),
        max: random.int(1, 5),
        withinMs: random.scale(10 * SECOND_MS, HOUR_MS),
      },
    };
  }
  return {};
}

/** `verify`, `compensate`, and steps that a step returns. */
function drawCare(
  random: Random,
  swarm: Swarm,
  base: StepDef,
  needs: readonly string[],
  name: string,
): Partial<StepDef> {
  if (base.kind !== "call") return {};
  const template = base.with as Template;
  const held = random.chance(0.07) ? { approval: { limitMs: random.scale(MINUTE_MS, 3 * DAY_MS) } } : {};
  const grows = random.chance(0.06)
    ? { ...held, with: { ...template, grow: growth(random, swarm, name) as unknown as Json } }
    : held;
  if (base.effect === "safe") return grows;
  const verify: Verify = {
    ...drawPerformance(random, swarm, "safe", templateOf(random, "call", needs)),
    // Made late enough: what a dead life sent last has landed by then.
    afterMs: LAND_MS + ZOMBIE_MS + random.scale(1, 10 * SECOND_MS),
  };
  // A step with a child has no verify: its child is looked after.
  const fits = verify.afterMs <= base.unknownLimitMs && base.action !== "child";
  return {
    ...grows,
    ...(random.chance(base.effect === "once" ? 0.7 : 0.3) && fits ? { verify } : {}),
    ...(random.chance(swarm.compensated) && !(base.effect === "keyed" && base.repeat !== undefined)
      ? {
          compensate: drawPerformance(
            random,
            swarm,
            random.pick(EFFECTS.slice(1)),
            templateOf(random, "call", needs),
          ),
        }
      : {}),
  };
}

/** Steps that a step returns: mostly fine, sometimes refused. */
function growth(random: Random, swarm: Swarm, name: string): StepDef[] {
  const steps: StepDef[] = [];
  for (let i = random.int(1, 3); i > 0; i--)
    steps.push(drawStep(random, swarm, `${name}g${i}`, steps, { plain: true }));
  const [first] = steps;
  return first !== undefined && random.chance(0.15)
    ? [{ ...first, needs: ["nowhere"] }, ...steps.slice(1)]
    : steps;
}

function templateOf(random: Random, kind: StepKind, needs: readonly string[]): Template {
  switch (kind) {
    case "timer":
      return {
        ms: random.chance(0.7) ? random.scale(100, 30 * SECOND_MS) : random.scale(MINUTE_MS, 5 * HOUR_MS),
      };
    case "signal":
    case "approval":
      return { limitMs: random.scale(10 * SECOND_MS, 3 * DAY_MS) };
    case "instant":
      return { bytes: 20, needs, ...(random.chance(0.1) ? { fail: true } : {}) };
    case "call":
      return {
        needs,
        bytes: random.chance(0.3) ? random.scale(1_000, 20_000) : random.int(0, 100),
        ...(random.chance(0.1) ? { codeChanges: true } : {}),
        ...(random.chance(0.5) ? { now: true } : {}),
        ...(random.chance(0.02) ? { fail: true } : {}),
      };
  }
}

function drawPerformance(random: Random, swarm: Swarm, effect: Effect, template: Template): Performance {
  return {
    action: "simulated",
    with: template,
    effect,
    retry: drawRetry(random),
    timeoutMs: random.scale(SECOND_MS, 5 * MINUTE_MS),
    // Past the slowest landing, else no provider could honour it.
    keyTtlMs: random.chance(swarm.shortKeys) ? random.scale(10 * SECOND_MS, 2 * MINUTE_MS) : DAY_MS,
  };
}

function drawRetry(random: Random): RetryPolicy {
  return resolveRetry({
    attempts: random.pick([1, 2, 3, 4, 5, 6]),
    initialMs: random.scale(50, 20 * SECOND_MS),
    factor: random.pick([1, 1.5, 2, 3]),
    capMs: random.scale(SECOND_MS, MINUTE_MS),
    jitter: random.pick(["full", "equal", "none"]),
    maxElapsedMs: random.scale(MINUTE_MS, HOUR_MS),
    ...(random.chance(0.05) ? { never: ["http_503"] as const } : {}),
  });
}
