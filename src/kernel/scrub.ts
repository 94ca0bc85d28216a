/**
 * What is left of the facts of a run once its data are erased: ids, statuses, times and numbers. They fold to the same statuses.
 *
 * - E1 every field that stays is named here: what a later version adds to a fact is not kept before somebody says so.
 * - E2 no value, parameter, message, comment, tag, user, signal or digest of any of them stays: a digest of what can be guessed
 *      tells it. Names of steps stay where the workflow has them, which is there in any case; steps that came as data are numbered.
 * - E3 to scrub again changes nothing.
 * - E4 only a run that has ended may be scrubbed: what it would need to go on is gone.
 */

import type { Fact, FactOf, RunInfo } from "./facts.ts";
import type { Failure, RunFailure } from "./failures.ts";
import type { Graph, OnStepFailure, Performance, StepDef, Verify } from "./graph.ts";
import type { Need } from "./needs.ts";
import { approvalIdOf, refOf, unitName, parseUnitName, type UnitRef } from "./units.ts";
import { NULL_VALUE } from "./values.ts";

/** Stands where a message stood. */
export const ERASED_MESSAGE = "The data of the run were erased.";
const ERASED = "erased";

/** Who did something, where that names nobody: an id of ours, or a word. */
const NAMES_NOBODY =
  /^(?:(?:key|run|hook|schedule|event|token):[A-Za-z0-9._-]+|root|bearer_link|system|owner|idle)$/;

export interface ScrubOptions {
  /** The steps that the run started with are its workflow's: their names stay. False: they came with the run. */
  readonly keepNames: boolean;
}

/** Scrubs the facts of one run, from the first to the last, in their order. */
export function createScrub({ keepNames }: ScrubOptions): (fact: Fact) => Fact {
  const steps = new Map<string, string>();
  const signals = new Map<string, string>();
  const ids = new Map<string, string>();
  let run = "";
  let generation = 1;
  let iterations = new Map<string, number>();

  const stepName = (name: string): string => steps.get(name) ?? ERASED;
  /** A number of its own for each, in the order in which they come (E3). */
  const numbered = (known: Map<string, string>, name: string): string => {
    const before = known.get(name);
    if (before !== undefined) return before;
    const next = `${ERASED}-${known.size}`;
    known.set(name, next);
    return next;
  };
  const signalName = (name: string): string => numbered(signals, name);
  const signalId = (id: string): string => numbered(ids, id);

  /** A workflow may call a step of its own like that. */
  const unused = (next: string, before: string): string =>
    next !== before && [...steps.values()].includes(next) ? unused(`${next}x`, before) : next;

  const named = (defs: readonly StepDef[], keep: boolean): void => {
    for (const { name, signal } of defs) {
      steps.set(name, keep ? name : unused(`${ERASED}-${steps.size}`, name));
      if (keep && signal !== undefined) signals.set(signal, signal);
    }
  };

  const graphOf = (graph: Graph): Graph => ({
    steps: graph.steps.map(defOf),
    deadlineMs: graph.deadlineMs,
    undoBudgetMs: graph.undoBudgetMs,
    idleLimitMs: graph.idleLimitMs,
    sensitive: ["input", "output"],
  });

  const defOf = (def: StepDef): StepDef => ({
    ...performanceOf(def),
    name: stepName(def.name),
    kind: def.kind,
    needs: def.needs.map(stepName),
    join: def.join,
    part: def.part,
    ...(def.forEach === undefined
      ? {}
      : { forEach: { list: null, concurrency: def.forEach.concurrency, tolerate: def.forEach.tolerate } }),
    ...(def.repeat === undefined ? {} : { repeat: repeatOf(def.repeat) }),
    ...(def.verify === undefined ? {} : { verify: verifyOf(def.verify) }),
    ...(def.compensate === undefined ? {} : { compensate: performanceOf(def.compensate) }),
    ...(def.onFailure === undefined ? {} : { onFailure: fallbackOf(def.onFailure) }),
    ...(def.signal === undefined ? {} : { signal: signalName(def.signal) }),
    ...(def.event === undefined ? {} : { event: steps.get(def.name) === def.name ? def.event : ERASED }),
    ...(def.approval === undefined ? {} : { approval: { limitMs: def.approval.limitMs } }),
    unknownLimitMs: def.unknownLimitMs,
    sensitive: true,
    ...(def.grown === undefined ? {} : { grown: true }),
  });

  const failureOf = (failure: Failure): Failure => ({
    code: failure.code,
    message: ERASED_MESSAGE,
    hint: "",
    retryable: failure.retryable,
    ...(failure.step === undefined ? {} : { step: stepName(failure.step) }),
    ...(failure.item === undefined ? {} : { item: failure.item }),
    ...(failure.attempt === undefined ? {} : { attempt: failure.attempt }),
    ...(failure.attempts === undefined ? {} : { attempts: failure.attempts }),
    ...(failure.status === undefined ? {} : { status: failure.status }),
    ...(failure.child === undefined ? {} : { child: { run: failure.child.run, code: failure.child.code } }),
  });

  const runFailureOf = (failure: RunFailure): RunFailure => ({
    ...failureOf(failure),
    left_behind: failure.left_behind.map(({ step, item, outcome, reason, code }) => ({
      ...{ step: stepName(step), outcome, reason },
      ...(item === undefined ? {} : { item }),
      ...(code === undefined ? {} : { code }),
    })),
    undone: failure.undone.map(({ step, item }) => ({
      step: stepName(step),
      ...(item === undefined ? {} : { item }),
    })),
  });

  /** A step of the run can have done it, too. */
  const byOf = (by: string): string => (steps.has(by) ? stepName(by) : nobody(by));

  const refered = ({ step, item, role }: UnitRef): UnitRef => refOf(stepName(step), item, role);

  return (fact) => {
    switch (fact.t) {
      case "run_started":
        run = fact.run.id;
        named(fact.graph.steps, keepNames);
        return {
          ...{ t: fact.t, at: fact.at, deadlineAt: fact.deadlineAt, input: NULL_VALUE },
          run: runOf(fact.run),
          graph: graphOf(fact.graph),
        };
      case "admitted":
        return { t: fact.t, at: fact.at, deadlineAt: fact.deadlineAt };
      case "ready":
        return {
          ...{ t: fact.t, at: fact.at, digest: ERASED, ...refered(fact) },
          ...(fact.newKey === undefined ? {} : { newKey: fact.newKey }),
        };
      case "expanded":
        return { t: fact.t, at: fact.at, list: NULL_VALUE, count: fact.count, ...refered(fact) };
      case "started": {
        const { t, at, attempt, deadline, version } = fact;
        return { t, at, attempt, deadline, version, ...refered(fact) };
      }
      case "succeeded":
        return {
          ...{ t: fact.t, at: fact.at, output: NULL_VALUE, ...refered(fact), ...settled(fact) },
          ...(fact.signal === undefined ? {} : { signal: signalId(fact.signal) }),
          ...(fact.fallback === undefined
            ? {}
            : {
                fallback: { failure: failureOf(fact.fallback.failure), outcome: fact.fallback.outcome },
              }),
        };
      case "failed":
        return {
          ...{ t: fact.t, at: fact.at, failure: failureOf(fact.failure), outcome: fact.outcome },
          ...{ ...refered(fact), ...settled(fact) },
        };
      case "retrying":
        return {
          ...{ t: fact.t, at: fact.at, wakeAt: fact.wakeAt, failure: failureOf(fact.failure) },
          ...{ maybe: fact.maybe, ...refered(fact), ...settled(fact) },
          ...(fact.strike === undefined ? {} : { strike: fact.strike }),
        };
      case "unknown":
        return {
          ...{ t: fact.t, at: fact.at, limitAt: fact.limitAt, failure: failureOf(fact.failure) },
          ...{ ...refered(fact), ...attempted(fact) },
          ...(fact.verifyAt === undefined ? {} : { verifyAt: fact.verifyAt }),
          ...(fact.listening === undefined ? {} : { listening: fact.listening }),
          ...(fact.last === undefined ? {} : { last: fact.last }),
        };
      case "waiting":
        return {
          ...{ t: fact.t, at: fact.at, ...refered(fact) },
          ...(fact.wakeAt === undefined ? {} : { wakeAt: fact.wakeAt }),
          ...(fact.limitAt === undefined ? {} : { limitAt: fact.limitAt }),
        };
      case "asked": {
        const ref = refered(fact);
        const iteration = iterations.get(unitName(fact)) ?? 0;
        return {
          ...{ t: fact.t, at: fact.at, limitAt: fact.limitAt, ...ref },
          id: approvalIdOf(run, ref, iteration, generation),
          ...(fact.digest === undefined ? {} : { digest: ERASED }),
        };
      }
      case "decided":
        return {
          ...{ t: fact.t, at: fact.at, as: fact.as, by: byOf(fact.by), ...refered(fact) },
          ...(fact.via === undefined ? {} : { via: nobody(fact.via) }),
          ...(fact.newKey === undefined ? {} : { newKey: fact.newKey }),
        };
      case "delegated":
        return {
          ...{ t: fact.t, at: fact.at, run: fact.run, generation: fact.generation, limitAt: fact.limitAt },
          ...{ wakeAt: fact.wakeAt, attempt: fact.attempt, ...refered(fact) },
          ...(fact.ended === undefined ? {} : { ended: fact.ended }),
        };
      case "child_ended":
        return { t: fact.t, at: fact.at, generation: fact.generation, ...refered(fact) };
      case "recalled":
        return {
          ...{ t: fact.t, at: fact.at, run: fact.run, generation: fact.generation, mode: fact.mode },
          ...refered(fact),
        };
      case "parked":
        return {
          ...{ t: fact.t, at: fact.at, need: needOf(fact.need), since: fact.since, limitAt: fact.limitAt },
          ...{ wakeAt: fact.wakeAt, looks: fact.looks, ...refered(fact), ...attempted(fact) },
          ...(fact.maybe === undefined ? {} : { maybe: fact.maybe }),
        };
      case "unparked":
        return { t: fact.t, at: fact.at, ...refered(fact) };
      case "bound":
        return {
          ...{ t: fact.t, at: fact.at, name: ERASED, to: null },
          ...(fact.by === undefined ? {} : { by: byOf(fact.by) }),
        };
      case "iterated": {
        iterations.set(unitName(fact), (iterations.get(unitName(fact)) ?? 0) + 1);
        const { t, at, wakeAt, attempt } = fact;
        return { t, at, output: NULL_VALUE, wakeAt, attempt, ...refered(fact) };
      }
      case "giving_up":
        return { t: fact.t, at: fact.at, failure: failureOf(fact.failure), ...refered(fact) };
      case "skipped":
        return { t: fact.t, at: fact.at, why: fact.why, ...refered(fact) };
      case "cancelled":
        return {
          ...{ t: fact.t, at: fact.at, outcome: fact.outcome, ...refered(fact) },
          ...(fact.by === undefined ? {} : { by: fact.by }),
        };
      case "late":
        return {
          ...{ t: fact.t, at: fact.at, attempt: fact.attempt, kind: fact.kind, ...refered(fact) },
          ...(fact.over === undefined ? {} : { over: fact.over }),
          ...(fact.verifyAt === undefined ? {} : { verifyAt: fact.verifyAt }),
          ...(fact.child === undefined
            ? {}
            : { child: { run: fact.child.run, generation: fact.child.generation } }),
        };
      case "used":
        return {
          ...{ t: fact.t, at: fact.at, attempt: fact.attempt, as: fact.as, credentials: [] },
          ...refered(fact),
        };
      case "reset":
        // A new key of the step begins at its first round.
        iterations = new Map([...iterations].filter(([name]) => name !== unitName(fact)));
        return {
          ...{ t: fact.t, at: fact.at, newKey: fact.newKey, ...refered(fact) },
          ...(fact.maybe === undefined ? {} : { maybe: fact.maybe }),
        };
      case "resolved":
        return { t: fact.t, at: fact.at, as: fact.as, by: byOf(fact.by), ...refered(fact) };
      case "signalled":
        return {
          ...{ t: fact.t, at: fact.at, id: signalId(fact.id), name: signalName(fact.name) },
          payload: NULL_VALUE,
        };
      case "grew":
        named(fact.steps, false);
        return {
          ...{ t: fact.t, at: fact.at, revision: fact.revision, by: byOf(fact.by) },
          steps: fact.steps.map(defOf),
        };
      case "closed":
        return { t: fact.t, at: fact.at, by: fact.by };
      case "paused":
        return { t: fact.t, at: fact.at, by: byOf(fact.by) };
      case "resumed":
        return {
          ...{ t: fact.t, at: fact.at, by: byOf(fact.by) },
          ...(fact.budgetAt === undefined ? {} : { budgetAt: fact.budgetAt }),
        };
      case "lost":
        return {
          ...{ t: fact.t, at: fact.at, why: fact.why, failure: failureOf(fact.failure) },
          budgetAt: fact.budgetAt,
          ...(fact.by === undefined ? {} : { by: byOf(fact.by) }),
        };
      case "undoing":
        return { t: fact.t, at: fact.at };
      case "handling":
        return {
          ...{ t: fact.t, at: fact.at },
          ...(fact.budgetAt === undefined ? {} : { budgetAt: fact.budgetAt }),
        };
      case "ended":
        return fact.status === "succeeded"
          ? { t: fact.t, at: fact.at, status: fact.status, output: NULL_VALUE }
          : { t: fact.t, at: fact.at, status: fact.status, failure: runFailureOf(fact.failure) };
      case "redriven": {
        generation = fact.generation;
        const { t, at, deadlineAt, by } = fact;
        return { t, at, generation: fact.generation, deadlineAt, by: byOf(by) };
      }
    }
  };
}

function runOf(run: RunInfo): RunInfo {
  const { id, tenant, workflow, version, startedBy, open, parent, origins, flow } = run;
  return {
    ...{ id, tenant, workflow, version, open },
    user: null,
    startedBy: nobody(startedBy),
    tags: [],
    traceparent: null,
    ...(parent === undefined ? {} : { parent: parentOf(parent) }),
    ...(origins === undefined ? {} : { origins: origins.map(nobody) }),
    ...(flow === undefined ? {} : { flow: { limitMs: flow.limitMs, place: null } }),
    erased: true,
  };
}

/** The step of the run above may have come as data, and its run may be erased or not: the number of the item tells nobody. */
function parentOf({
  run,
  unit,
  depth,
  root,
}: NonNullable<RunInfo["parent"]>): NonNullable<RunInfo["parent"]> {
  const item = parseUnitName(unit)?.item;
  return {
    ...{ run, depth, unit: unitName(refOf(ERASED, item)) },
    ...(root === undefined ? {} : { root }),
  };
}

function performanceOf(given: Performance): Performance {
  const { action, effect, timeoutMs, keyTtlMs } = given;
  const { attempts, initialMs, factor, capMs, jitter, maxElapsedMs } = given.retry;
  const retry = { attempts, initialMs, factor, capMs, jitter, maxElapsedMs };
  return { action, with: null, effect, retry, timeoutMs, keyTtlMs };
}

function verifyOf(verify: Verify): Verify {
  return { ...performanceOf(verify), afterMs: verify.afterMs };
}

function repeatOf({
  everyMs,
  max,
  withinMs,
}: NonNullable<StepDef["repeat"]>): NonNullable<StepDef["repeat"]> {
  return { until: null, everyMs, max, withinMs };
}

function fallbackOf(onFailure: OnStepFailure): OnStepFailure {
  return typeof onFailure === "object" ? { fallback: null } : onFailure;
}

function needOf(need: Need): Need {
  const { limitMs, recheckMs } = need;
  if (need.kind === "cloud")
    return { kind: need.kind, role: need.role, reason: need.reason, limitMs, recheckMs };
  const { kind, integration, reason, refused } = need;
  return { kind, integration, reason, limitMs, recheckMs, ...(refused === undefined ? {} : { refused }) };
}

function nobody(by: string): string {
  return NAMES_NOBODY.test(by) ? by : ERASED;
}

function attempted({ attempt }: { readonly attempt?: number }): { readonly attempt?: number } {
  return attempt === undefined ? {} : { attempt };
}

function settled({
  attempt,
  by,
}: Pick<FactOf<"failed">, "attempt" | "by">): Pick<FactOf<"failed">, "attempt" | "by"> {
  return {
    ...attempted({ ...(attempt === undefined ? {} : { attempt }) }),
    ...(by === undefined ? {} : { by }),
  };
}
