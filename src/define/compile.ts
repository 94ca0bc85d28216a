/** From a workflow in TypeScript to the graph that a run pins. Functions are markers in it: `with: null`, `when: true`. */

import {
  actionNamed,
  CHILD_KEY_TTL_MS,
  kindOfWait,
  METHODS,
  findingsOf,
  toJson,
  type Finding,
} from "../actions/index.ts";
import {
  checkGraph,
  escapePointer,
  limits,
  orderSteps,
  type Effect,
  type Graph,
  type Json,
  type StepDef,
} from "../kernel/index.ts";
import { msOr, toStepDef, type AuthoredPerformance, type AuthoredStep } from "./authored.ts";
import { pinnedConnections, pinnedUpFront } from "./connections.ts";
import { checkFlow, flowSchema, type ReadFlow } from "./flow-schema.ts";
import type { Definition, RawPerformance, RawSpec, RawStep, RawVerify } from "./definition.ts";
import { subscriptionLints } from "./subscriptions.ts";
import { onlyLooks } from "./verifying.ts";
import { actionOf, pinnedParameters } from "./parameters.ts";

export interface Compiled {
  readonly graph: Graph;
  /** How its runs wait for each other; null: they do not. */
  readonly flow: ReadFlow | null;
  /** What keeps the workflow from running; empty if it can. Pointers are into the definition: `/steps/flight/needs/0`. */
  readonly lints: readonly Finding[];
}

/** The graph of a workflow and everything that is wrong with it. Deterministic: the same definition, the same graph. */
export function compile(definition: Definition): Compiled {
  const lints: Finding[] = [];
  const { options } = definition;
  const steps = definition.steps.map((step) => compileStep(step, options.open === true, lints));
  const upFront = pinnedUpFront(options.connections);
  const graph: Graph = {
    steps: orderSteps(steps),
    ...(definition.makeOutput === null ? {} : { output: true }),
    deadlineMs: msOr(options.deadline, limits.RUN_DEADLINE_MS),
    undoBudgetMs: msOr(options.undoBudget, limits.UNDO_BUDGET_MS),
    idleLimitMs: msOr(options.idleLimit, limits.IDLE_LIMIT_MS),
    ...(upFront === undefined ? {} : { connections: upFront }),
    ...(options.sensitive === undefined ? {} : { sensitive: options.sensitive }),
  };
  const flow = compileFlow(options.flow, lints);
  return { graph, flow, lints: [...lints, ...subscriptionLints(options.on), ...checkGraph(graph)] };
}

function compileFlow(spec: Definition["options"]["flow"], lints: Finding[]): ReadFlow | null {
  if (spec === undefined) return null;
  const read = flowSchema().safeParse(spec);
  lints.push(...(read.success ? checkFlow(read.data, "/flow") : findingsOf(read.error, "/flow")));
  return read.success ? read.data : null;
}

function compileStep({ name, part, spec }: RawStep, open: boolean, lints: Finding[]): StepDef {
  const at = `/steps/${escapePointer(name)}`;
  const { needs, join, when, forEach, repeat, verify, compensate, unknownLimit, sensitive } = spec;
  const authored: AuthoredStep = {
    name,
    part,
    kind:
      spec.wait === undefined ? (actionNamed(actionOf(spec) ?? "")?.kind ?? "call") : kindOfWait(spec.wait),
    ...performance(spec, at, lints),
    needs,
    join,
    when: when === undefined ? undefined : true,
    forEach: typeof forEach === "function" ? {} : forEach,
    repeat,
    verify:
      verify === undefined ? undefined : { ...verifying(verify, `${at}/verify`, lints), after: verify.after },
    compensate: compensate === undefined ? undefined : performance(compensate, `${at}/compensate`, lints),
    onFailure: onFailure(spec, part, open, at, lints),
    signal: spec.wait?.signal,
    event: spec.wait?.event,
    unknownLimit,
    sensitive,
  };
  return toStepDef(authored);
}

/** The compiler lets only GET, HEAD and OPTIONS through here; another method says itself that it only asks. */
function verifying(verify: RawVerify, at: string, lints: Finding[]): AuthoredPerformance {
  if (verify.effect !== "safe") {
    const finding = onlyLooks(verify.http?.["method"], `${at}/http/method`);
    if (finding !== null) lints.push(finding);
  }
  return performance({ ...verify, effect: "safe" }, at, lints);
}

function performance(spec: RawSpec | RawPerformance, at: string, lints: Finding[]): AuthoredPerformance {
  const name = actionOf(spec);
  const action = name === null ? null : actionNamed(name);
  if (name === null || action === null) {
    lints.push({
      pointer: at,
      code: "no_action",
      detail: "A step does one thing: run, http, child, sleep, wait, transform or fail.",
    });
    return { action: "fail", with: { message: "The step does nothing." }, effect: "safe" };
  }
  const pinned = toJson(pinnedParameters(spec));
  const parameters = pinned.ok ? pinned.value : null;
  if (!pinned.ok) lints.push({ pointer: `${at}/${name}`, code: "invalid", detail: pinned.message });
  else if (parameters !== null)
    lints.push(
      ...action.check(parameters).map((one) => ({ ...one, pointer: `${at}/${name}${one.pointer}` })),
    );
  return {
    action: name,
    with: parameters,
    effect: effectOf(spec, action.effect(methodOf(spec)), action.carriesKey, at, lints),
    retry: spec.retry,
    timeout: spec.timeout,
    keyTtl: spec.keyTtl ?? (name === "run" ? CHILD_KEY_TTL_MS : undefined),
    connections: pinnedConnections(spec.connections, spec.http?.["auth"]),
  };
}

/** The compiler sees to all of this; these findings are for workflows that were not checked by it. */
function effectOf(
  spec: RawPerformance,
  byAction: Effect | null,
  carriesKey: boolean,
  at: string,
  lints: Finding[],
): Effect {
  if (spec.effect === "keyed" && !carriesKey)
    lints.push({
      pointer: `${at}/effect`,
      code: "keyed_not_carried",
      detail: "This action calls nobody, so it cannot carry an idempotency key.",
    });
  const effect = spec.effect ?? byAction;
  if (effect !== null) return effect;
  lints.push({
    pointer: `${at}/effect`,
    code: "effect_missing",
    detail: "Say what repeating the step means: safe, idempotent, keyed or once.",
  });
  return "once";
}

function methodOf(spec: RawPerformance): Json {
  const method = spec.http?.["method"];
  return { method: METHODS.find((one) => one === method) ?? null };
}

/** Said in the graph wherever the types rely on it: a run that was opened by its starter must not change it. */
function onFailure(
  spec: RawSpec,
  part: RawStep["part"],
  open: boolean,
  at: string,
  lints: Finding[],
): StepDef["onFailure"] {
  if (part === "on_failure") return undefined;
  if (typeof spec.onFailure !== "object") return spec.onFailure ?? (open ? "continue" : "fail");
  const fallback = toJson(spec.onFailure.fallback);
  if (fallback.ok) return { fallback: fallback.value };
  lints.push({ pointer: `${at}/onFailure/fallback`, code: "invalid", detail: fallback.message });
  return "fail";
}
