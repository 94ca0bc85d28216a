/** The parameters of a step written in TypeScript: values, and functions that make them from what the step sees. */

import type { ActionName, ScopeView } from "../actions/index.ts";
import type { RawPerformance, RawSpec, ScopeFunction } from "./definition.ts";

/** What a step does, by the one field that says so; null if there is none. */
export function actionOf(spec: RawSpec | RawPerformance): ActionName | null {
  if ("run" in spec && spec.run !== undefined) return "code";
  if ("child" in spec && spec.child !== undefined) return "run";
  for (const name of ["http", "sleep", "wait", "transform", "fail"] as const)
    if (name in spec && (spec as RawSpec)[name] !== undefined) return name;
  return null;
}

/** Parameters with every function called. What a function throws is thrown on. */
export function fillParameters(spec: RawSpec | RawPerformance, view: ScopeView): unknown {
  return parametersOf(spec, (value) =>
    typeof value === "function" ? settled((value as ScopeFunction)(view)) : value,
  );
}

/** Whether every run fills these parameters in alike: no function has a part in them. */
export function isFixed({ http }: RawPerformance): boolean {
  return http !== undefined && Object.values(http).every((value) => typeof value !== "function");
}

/** Parameters that can be pinned with the graph: null where code has a part in them. */
export function pinnedParameters(spec: RawSpec | RawPerformance): unknown {
  const action = actionOf(spec);
  if (action === "code" || action === "http" || action === "transform") return null;
  let code = false;
  const parameters = parametersOf(spec, (value) => {
    code ||= typeof value === "function";
    return value;
  });
  return code ? null : parameters;
}

function parametersOf(spec: RawSpec | RawPerformance, fill: (value: unknown) => unknown): unknown {
  const { http, sleep, wait, transform, fail, child } = spec as RawSpec;
  if (child !== undefined) {
    const { workflow, ...fields } = child;
    const named =
      typeof workflow === "string"
        ? { workflow }
        : { workflow: workflow.name, version: workflow.options.version };
    return {
      ...named,
      ...Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, fill(value)])),
    };
  }
  if (http !== undefined) {
    const { answer: _answer, ...fields } = http;
    return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, fill(value)]));
  }
  if (sleep !== undefined) {
    const time = fill(sleep);
    return typeof time === "object" ? time : { for: time };
  }
  if (wait !== undefined)
    return {
      ...(wait.approval !== undefined
        ? { approval: fill(wait.approval) }
        : wait.event === undefined
          ? { signal: wait.signal }
          : { event: wait.event, ...(wait.where === undefined ? {} : { where: fill(wait.where) }) }),
      ...(wait.timeout === undefined ? {} : { timeout: fill(wait.timeout) }),
    };
  if (transform !== undefined) return { value: fill(transform) ?? null };
  const words = fill(fail);
  return typeof words === "string" ? { message: words } : words;
}

/** Filling in happens in one turn, so its functions cannot wait for anything. */
export function settled(value: unknown): unknown {
  if (typeof value === "object" && value !== null && "then" in value && typeof value.then === "function")
    throw new TypeError("it returned a promise; only `run` can wait for something");
  return value;
}
