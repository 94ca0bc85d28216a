/**
 * Whether an input that is not whole yet can fit a JSON Schema: its literal parts are, those that hold expressions are not
 * known. Says only what no value of these could mend. Pure.
 */

import type { Finding } from "../actions/index.ts";
import { escapePointer, type Json } from "../kernel/index.ts";
import { holdsExpression, isList, isMap } from "./expressions/index.ts";

const MAX_FINDINGS = 20;
const MAX_DEPTH = 20;

/** @param at pointer to the input */
export function fitLiteral(template: Json, schema: unknown, at: string): Finding[] {
  const found: Finding[] = [];
  fit(template, schema, at, found, 0);
  return found.slice(0, MAX_FINDINGS);
}

/** Names that the schema of an object requires. */
export function requiredBy(schema: unknown): string[] {
  const required = isRecord(schema) ? schema["required"] : undefined;
  const names: readonly unknown[] = Array.isArray(required) ? required : [];
  return names.filter((name): name is string => typeof name === "string");
}

/** Whether nothing of it has to be filled in. */
export function isLiteral(template: Json): boolean {
  if (typeof template === "string") return !holdsExpression(template);
  if (typeof template !== "object" || template === null) return true;
  return Object.values(template).every(isLiteral);
}

function fit(template: Json, schema: unknown, at: string, found: Finding[], depth: number): void {
  if (!isRecord(schema) || depth > MAX_DEPTH || found.length >= MAX_FINDINGS) return;
  // A whole expression can become anything, a longer text stays one.
  if (typeof template === "string" && holdsExpression(template) && /^\s*\$\{\{/.test(template)) return;
  const types: readonly unknown[] | null = schema["type"] === undefined ? null : [schema["type"]].flat();
  if (types !== null && !types.some((type) => isOfType(template, type))) {
    const names = types.map(String);
    found.push({ pointer: at, code: "invalid", detail: "It is of another type.", allowed: names });
    return;
  }
  if (isList(template))
    template.forEach((item, i) => fit(item, schema["items"], `${at}/${i}`, found, depth + 1));
  if (!isMap(template)) return;
  const properties = isRecord(schema["properties"]) ? schema["properties"] : {};
  for (const name of requiredBy(schema)) {
    const one = properties[name];
    if (Object.hasOwn(template, name) || (isRecord(one) && one["default"] !== undefined)) continue;
    found.push({ pointer: `${at}/${escapePointer(name)}`, code: "missing", detail: "The field is missing." });
  }
  const closed = schema["additionalProperties"] === false && schema["patternProperties"] === undefined;
  for (const [name, member] of Object.entries(template)) {
    const pointer = `${at}/${escapePointer(name)}`;
    if (Object.hasOwn(properties, name)) fit(member, properties[name], pointer, found, depth + 1);
    else if (closed) {
      const allowed = Object.keys(properties);
      found.push({ pointer, code: "unknown_field", detail: "There is no such field here.", allowed });
    }
  }
}

function isOfType(value: Json, type: unknown): boolean {
  switch (type) {
    case "object":
      return isMap(value);
    case "array":
      return isList(value);
    case "null":
      return value === null;
    case "integer":
      return Number.isInteger(value);
    case "string":
    case "number":
    case "boolean":
      return typeof value === type;
    default:
      return true;
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
