/**
 * Simulated templates. Pure, as the port asks; a payload holds all that a scope shows, so that a scope that is not the
 * same for every attempt shows up as a payload that changed.
 */

import type { Evaluated, EvaluatePort, Filled, Scope, StepView } from "../../src/driver/index.ts";
import {
  performanceOf,
  type FailureSeed,
  type Json,
  type StepDef,
  type UnitRef,
} from "../../src/kernel/index.ts";
import type { Template } from "./graphs.ts";
import { hash32 } from "./random.ts";

/** What a call sends. */
export interface Payload {
  readonly bytes: number;
  readonly grow: Json;
  readonly rounds: number;
  readonly iteration: number;
  readonly rest: string;
}

export function evaluatePort(version: () => string): EvaluatePort {
  let filled = 0;
  return {
    fill: (_run, def, unit, scope) => {
      filled++;
      return fill(def, unit, scope, version());
    },
    spent: () => filled,
    taking: () => null,
    again: (_run, _def, output) => good(field(output, "again") === true),
    happened: (_run, _def, output) => {
      const happened = field(output, "happened");
      return good({ happened: typeof happened === "boolean" ? happened : null, output });
    },
    output: (_run, template, scope) =>
      field(template ?? null, "fail") === true
        ? { ok: false, failure: FAILED }
        : good({ steps: scope.visible().length, pad: "o".repeat(count(template ?? null, "bytes")) }),
  };
}

const FAILED: FailureSeed = {
  code: "template_failed",
  message: "The template cannot be filled in.",
  hint: "None: it is made so.",
  retryable: false,
};

function good<T>(value: T): Evaluated<T> {
  return { ok: true, value };
}

function fill(def: StepDef, unit: UnitRef, scope: Scope, version: string): Filled {
  const whole = unit.role === undefined && unit.item === undefined;
  // A `repeat` fills in each of its rounds; its condition was read before the first.
  if (whole && def.when !== undefined && scope.iteration === 0) {
    if (field(def.when, "fail") === true) return { kind: "error", failure: FAILED };
    if (!holds(def.when, scope)) return { kind: "skip" };
  }
  if (whole && def.forEach !== undefined) return { kind: "list", list: listOf(def.forEach.list, scope) };
  const template = (performanceOf(def, unit) ?? def).with as Template;
  if (template["fail"] === true) return { kind: "error", failure: FAILED };
  if (unit.role === undefined && def.kind === "timer") return { kind: "timer", ms: count(template, "ms") };
  if (unit.role === undefined && def.kind === "signal")
    return { kind: "signal", limitMs: count(template, "limitMs") };
  if (unit.role === undefined && def.kind === "approval")
    return { kind: "approval", limitMs: count(template, "limitMs"), text: "May it?" };
  const needs = (Array.isArray(template["needs"]) ? template["needs"] : []) as string[];
  const seen = {
    views: needs.map((name) => shown(scope.step(name))),
    own: unit.role === undefined ? null : shown(scope.step(def.name)),
    output: unit.role === "undo" ? digest(scope.own()) : null,
    item: scope.item(),
    index: scope.index,
    now: template["now"] === true ? scope.run.now : null,
    input: digest(scope.input()),
    failure: scope.failure?.code ?? null,
    version: template["codeChanges"] === true ? version : null,
  };
  if (unit.role === undefined && def.kind === "instant") return { kind: "done", output: { n: digest(seen) } };
  const payload = {
    bytes: count(template, "bytes"),
    grow: template["grow"] ?? null,
    rounds: count(def.repeat?.until ?? null, "rounds"),
    iteration: scope.iteration,
    rest: JSON.stringify(seen),
  } satisfies Payload;
  const about = def.approval === undefined ? {} : { about: { host: "simulated" } };
  return { kind: "call", digest: `${digest(payload)}`, with: payload, ...about };
}

function shown(view: StepView | null): Json {
  if (view === null) return null;
  const { status, attempts, startedAt, endedAt } = view;
  return {
    status,
    attempts,
    startedAt,
    endedAt,
    code: view.failure?.code ?? null,
    output: digest(view.output),
  };
}

function holds(when: Json, scope: Scope): boolean {
  if (field(when, "evenMs") === true) return scope.run.now % 2 === 0;
  const even = field(when, "even");
  if (typeof even !== "string") return field(when, "coin") === true;
  return digest(scope.step(even)?.output ?? null) % 2 === 0;
}

function listOf(list: Json, scope: Scope): Json[] {
  const of = field(list, "of");
  const length = typeof of === "string" ? digest(scope.step(of)?.output ?? null) % 5 : Number(list);
  return Array.from({ length }, (_, i) => ({ element: i }));
}

function digest(json: unknown): number {
  return hash32(JSON.stringify(json));
}

/** A field of a JSON object; undefined where there is none. */
export function field(json: Json, name: string): Json | undefined {
  return typeof json === "object" && json !== null && !Array.isArray(json)
    ? (json as { readonly [key: string]: Json })[name]
    : undefined;
}

function count(json: Json, name: string): number {
  const value = field(json, name);
  return typeof value === "number" ? value : 0;
}
