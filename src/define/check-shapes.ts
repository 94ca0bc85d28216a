/**
 * Fields that an expression reads and that are not there: of what a step puts out, and of the run's input. What can never
 * be there is an error; what only was not declared is advice.
 */

import type { Finding } from "../actions/index.ts";
import { escapePointer, type Json, type StepDef } from "../kernel/index.ts";
import {
  accessesOf,
  comparisonsOf,
  kindOf,
  parseExpression,
  writtenPath,
  type Path,
} from "./expressions/index.ts";
import { OutputShapes } from "./output-shapes.ts";
import { shown, type Place } from "./places.ts";
import type { Vagueness } from "./vague-outputs.ts";
import { ANY, shapeOfSchema, type Shape } from "./shapes.ts";

/** Steps of one part, with the pointer to them. */
export interface Part {
  readonly at: string;
  readonly steps: readonly StepDef[];
  readonly places: ReadonlyMap<string, readonly Place[]>;
  /** Steps of which it is open what they put out, by name. */
  readonly vague: ReadonlyMap<string, Vagueness>;
}

export interface ShapeFindings {
  readonly errors: readonly Finding[];
  readonly advice: readonly Finding[];
}

const MAX_ALLOWED = 50;
/** As many as a plan is told at once. */
const MAX_FINDINGS = 100;

/**
 * @param input JSON Schema of the run's input; undefined: any input
 * @param output expressions of the run's output
 * @param others steps that are there, and not looked at
 * @param flow expressions of how runs wait for each other
 */
export function checkShapes(
  parts: readonly Part[],
  input: unknown,
  output: readonly Place[],
  others: readonly StepDef[] = [],
  flow: readonly Place[] = [],
): ShapeFindings {
  const all = [...others, ...parts.flatMap(({ steps }) => steps)];
  const vague = new Map(parts.flatMap((part) => [...part.vague]));
  const shapes = new OutputShapes(all, input === undefined ? ANY : shapeOfSchema(input), vague);
  const errors: Finding[] = [];
  const advice: Finding[] = [];
  const look = (place: Place, at: string, def: StepDef | null): void => {
    const parsed = parseExpression(place.expression);
    if (!parsed.ok) return;
    for (const { of, key, at: offset } of accessesOf(parsed.expression)) {
      if (errors.length + advice.length >= MAX_FINDINGS) return;
      const flaw = flawOf(shapes.at(of, { def, pointer: place.pointer }), of, key);
      if (flaw === null) continue;
      const { certain, ...told } = flaw;
      (certain ? errors : advice).push({
        pointer: at + place.pointer,
        ...told,
        expression: shown(place.expression),
        offset: place.offset + offset,
      });
    }
    for (const { of, value, at: offset } of comparisonsOf(parsed.expression)) {
      const detail = apart(shapes.at(of, { def, pointer: place.pointer }), value, writtenPath(of));
      if (detail === null || advice.length >= MAX_FINDINGS) continue;
      advice.push({
        ...{ pointer: at + place.pointer, code: "never_equal", detail },
        ...{ expression: shown(place.expression), offset: place.offset + offset },
      });
    }
  };
  for (const { at, steps, places } of parts)
    for (const def of steps)
      for (const place of places.get(def.name) ?? []) look(place, `${at}/${escapePointer(def.name)}`, def);
  for (const place of output) look(place, "/output", null);
  for (const place of flow) look(place, "/flow", null);
  return { errors, advice };
}

/** Why something can never be equal to a value that is written out. Null: it may be; it may be null as well. */
function apart(shape: Shape, value: Json, path: string): string | null {
  if (shape.kind !== "scalar" || value === null) return null;
  const { what, only } = shape;
  const kind = kindOf(value);
  if (kind !== what && !(kind === "a truth value" && what === TRUTH_IN_WORDS))
    return `\`${path}\` is ${what}: it is never equal to ${kind}.`;
  if (only === undefined || typeof value !== "string" || only.includes(value)) return null;
  return `\`${path}\` is never that: it is ${only.join(", ")}.`;
}
const TRUTH_IN_WORDS = "true or false";

type Flaw = Pick<Finding, "code" | "detail" | "allowed"> & { readonly certain: boolean };

function flawOf(shape: Shape, of: Path, key: string): Flaw | null {
  // First what costs nothing: a plan reads thousands of fields, and of most nothing is known.
  if (shape.kind === "any") return null;
  if (shape.kind === "object" && (shape.fields.has(key) || shape.others === "any")) return null;
  const path = writtenPath(of);
  const member = writtenPath({ ...of, keys: [...of.keys, key] });
  const code = codeOf(of);
  const wrong = { certain: true, code };
  switch (shape.kind) {
    case "scalar":
      return { ...wrong, detail: `\`${path}\` is ${shape.what}: it has no fields.` };
    case "list": {
      const first = writtenPath({ ...of, keys: [...of.keys, null, key] });
      const detail = `\`${path}\` is a list: write \`${first}\` for one element, or \`${path}.map(x, x.${key})\` for all.`;
      return { ...wrong, detail };
    }
    case "object":
      break;
  }
  // A list that is cut would say that the rest is not there.
  const known = shape.fields.size > MAX_ALLOWED ? {} : { allowed: [...shape.fields.keys()] };
  if (shape.others === "odd") {
    const detail = `The schema of ${of.root === "input" ? "the input" : "the payload"} does not name \`${member}\`: add it to \`properties\`, or correct its name.`;
    return { certain: false, code: "undeclared_field", detail, ...known };
  }
  if (shape.others === "lower") {
    const lower = key.toLowerCase();
    if (lower === key) return null;
    return { ...wrong, detail: "Names of headers are in lower case.", allowed: [lower] };
  }
  const { inside } = shape;
  const instead =
    inside !== undefined && shape.fields.get(inside)?.kind === "any"
      ? ` What the service answered is in its \`${inside}\`: write \`${writtenPath({ ...of, keys: [...of.keys, inside, key] })}\`.`
      : "";
  return { ...wrong, detail: `There is no \`${member}\`.${instead}`, ...known };
}

function codeOf({ root, step, field }: Path): string {
  if (root === "input") return "unknown_input_field";
  const puts = step === null ? ["own", "item", "output"].includes(root) : field === "output";
  return puts ? "unknown_output_field" : "unknown_name";
}
