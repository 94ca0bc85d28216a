/** What steps may run into although nothing is wrong with them: advice, by what their fields say together. Pure. */

import type { Finding } from "../actions/index.ts";
import type { Json, Performance, StepDef } from "../kernel/index.ts";
import { pointerTo } from "./check-auth.ts";
import { isMap, parseExpression, splitTemplate } from "./expressions/index.ts";

/** Conditions of the steps that a step waits for; more of them are not compared. */
const MAX_CONDITIONS = 20;
const OPPOSITE: Readonly<Record<string, string>> = { "==": "!=", "<": ">=", ">": "<=" };

/** @param output what the run answers, if it is said */
export function pitfallsOf(steps: readonly StepDef[], output: Json = null): Finding[] {
  const byName = new Map(steps.map((def) => [def.name, def]));
  return steps.flatMap((def) => {
    const at = pointerTo(def);
    return [undoOf(def), verifyOf(def, steps, output), joinOf(def, byName), ...keyOf(def)].flatMap((one) =>
      one === null ? [] : [{ ...one, pointer: at + one.pointer }],
    );
  });
}

/** The output of a step of which nobody knows whether it happened is null; so it cannot say what to take back. */
function undoOf({ name, compensate, verify }: StepDef): Finding | null {
  if (compensate === undefined || verify !== undefined) return null;
  const reads = textsIn(compensate.with).some((text) => {
    const parsed = parseExpression(text);
    if (!parsed.ok || /\bhas\s*\(|[!=]=\s*null/.test(text)) return false;
    return parsed.expression.references.some(
      ({ root, step, field }) => root === "own" || (step === name && field === "output"),
    );
  });
  if (!reads) return null;
  return {
    pointer: "/compensate",
    code: "undo_reads_output",
    detail:
      "If the answers of the step are lost, its output is null, this cannot be filled in, and what the step did stays. Name it by what is known before, like a reference of your own that the step sends, or look for it there: add a `verify`.",
  };
}

function verifyOf(def: StepDef, steps: readonly StepDef[], output: Json): Finding | null {
  const { name, verify, compensate } = def;
  if (typeof verify?.happened !== "string" || /(["'])output\1/.test(verify.happened)) return null;
  const read = new RegExp(`\\bsteps(?:\\.${name}|\\[\\\\?['"]${name}\\\\?['"]\\])\\.output\\.body\\b`);
  const own = /\bown\.body\b/.test(JSON.stringify(compensate ?? null));
  if (!own && !read.test(JSON.stringify([steps, output]))) return null;
  return {
    pointer: "/verify/happened",
    code: "verify_is_output",
    detail:
      "Where this is true, the answer of the verify becomes the output of the step, whose `body` is read elsewhere. If the two do not look alike, say what the output is: `{'happened': true, 'output': {'status': 201, 'body': …}}`.",
  };
}

/** A step that waits for both sides of a branch never runs. */
function joinOf(def: StepDef, byName: ReadonlyMap<string, StepDef>): Finding | null {
  if (def.join !== "all" || def.needs.length === 0) return null;
  const conditions = new Map<string, string>();
  const seen = new Set<string>();
  const open = [...def.needs];
  for (let name = open.pop(); name !== undefined && conditions.size < MAX_CONDITIONS; name = open.pop()) {
    const need = seen.has(name) ? undefined : byName.get(name);
    seen.add(name);
    if (need === undefined) continue;
    if (typeof need.when === "string") conditions.set(plain(need.when), name);
    if (need.join === "all") open.push(...need.needs);
  }
  for (const [condition, name] of conditions)
    for (const opposite of oppositesOf(condition)) {
      const other = conditions.get(opposite);
      if (other === undefined) continue;
      const detail = `It runs only if both ${name} and ${other} did, of which one is always skipped: to go on behind a branch, say \`"join": "any"\`.`;
      return { pointer: "/needs", code: "never_runs", detail };
    }
  return null;
}

function plain(condition: string): string {
  const bare = condition.replaceAll(/\s+/g, "");
  return /^\([^()]*\)$/.test(bare) ? bare.slice(1, -1) : bare;
}

function oppositesOf(condition: string): string[] {
  const [, left, operator = "", right] = /^([^=!<>&|?]+)(==|<|>)([^=!<>&|?]+)$/.exec(condition) ?? [];
  const turned = OPPOSITE[operator];
  return [`!${condition}`, `!(${condition})`, ...(turned === undefined ? [] : [`${left}${turned}${right}`])];
}

/** The key of a keyed request is the engine's own: another one in its place would not be the same in every attempt. */
function keyOf(def: StepDef): Finding[] {
  const of = (performance: Performance | undefined, at: string): Finding[] => {
    if (performance?.effect !== "keyed" || !isMap(performance.with)) return [];
    const { headers, idempotencyHeader = "Idempotency-Key" } = performance.with;
    const name = String(idempotencyHeader).toLowerCase();
    const given = Object.keys(isMap(headers ?? null) ? (headers as object) : {});
    const own = given.find((one) => one.toLowerCase() === name);
    if (own === undefined) return [];
    const detail = `The engine sends its own key in ${own}, and yours is left out: take it out, or send it in another header.`;
    return [{ pointer: `${at}/with/headers/${own}`, code: "key_replaced", detail }];
  };
  return [...of(def, ""), ...of(def.compensate, "/compensate")];
}

/** Expressions in the texts of parameters. */
function textsIn(value: Json): string[] {
  if (typeof value === "string") {
    const split = splitTemplate(value);
    return split.ok ? split.segments.flatMap((one) => (one.kind === "expression" ? [one.text] : [])) : [];
  }
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(textsIn) : [];
}
