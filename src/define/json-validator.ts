/**
 * The JSON Schema library, as it may be used with schemas and values of strangers. No other file uses it.
 *
 * - V1 it asks `key in value`, also for names that every object inherits: it gets copies that inherit nothing.
 * - V2 it follows `$id` and `$ref` wherever it finds them, also in texts for people: it gets the keywords that check.
 * - V3 it throws, and runs out of stack where very much does not fit: that is an answer here, never an exception.
 */

import { Validator, type OutputUnit, type Schema } from "@cfworker/json-schema";
import { lazy } from "../actions/index.ts";
import type { Json } from "../kernel/index.ts";
import { isList, isMap } from "./expressions/index.ts";

/** Keywords whose value is a schema, a list of schemas, or schemas by name. */
export const SCHEMAS: readonly string[] = [
  ...["items", "additionalProperties", "contains", "not", "if", "then", "else", "propertyNames"],
];
export const SCHEMA_LISTS: readonly string[] = ["anyOf", "oneOf", "allOf", "prefixItems"];
export const SCHEMA_MAPS: readonly string[] = ["properties"];
/** Keywords that check nothing. */
export const ANNOTATIONS: readonly string[] = [
  ...["title", "description", "default", "examples", "deprecated", "$schema", "$comment"],
];

/** Levels of a value, far below what the stack holds. */
export const MAX_VALUE_DEPTH = 256;

export type Verdict =
  | { readonly kind: "fits" }
  | { readonly kind: "misfit"; readonly errors: readonly OutputUnit[] }
  /** Whether it fits cannot be said: no value of this form fits then. */
  | { readonly kind: "unable" };

/** @param tell every error, or the first alone */
export type Validate = (value: Json, tell: "all" | "first") => Verdict;

/** @param schema one that was checked; what it was checked for before this build may have been less */
export function validatorOf(schema: Readonly<Record<string, Json>>): Validate {
  const made = (first: boolean) => lazy(() => new Validator(plainSchema(schema), "2020-12", first));
  const validators = { first: made(true), all: made(false) };
  return (value, tell) => {
    try {
      const { valid, errors } = validators[tell]().validate(bare(value, 0));
      return valid ? { kind: "fits" } : { kind: "misfit", errors };
    } catch {
      return { kind: "unable" };
    }
  };
}

/** A copy for the library: it writes into schemas, too. */
function plainSchema(schema: Readonly<Record<string, Json>>): Schema {
  // Checked before; the library's type only names the keywords.
  return copyOf(schema, 0) as Schema;
}

function copyOf(schema: Json, depth: number): unknown {
  if (!isMap(schema)) return schema;
  refuseBelow(depth);
  const copy = empty();
  for (const [keyword, value] of Object.entries(schema)) {
    if (ANNOTATIONS.includes(keyword)) continue;
    if (SCHEMAS.includes(keyword)) copy[keyword] = copyOf(value, depth + 1);
    else if (SCHEMA_LISTS.includes(keyword) && isList(value))
      copy[keyword] = value.map((one) => copyOf(one, depth + 1));
    else if (SCHEMA_MAPS.includes(keyword) && isMap(value)) {
      const inner = empty();
      for (const [name, one] of Object.entries(value)) inner[name] = copyOf(one, depth + 1);
      copy[keyword] = inner;
    } else copy[keyword] = bare(value, depth + 1);
  }
  return copy;
}

function bare(value: Json, depth: number): unknown {
  if (typeof value !== "object" || value === null) return value;
  refuseBelow(depth);
  if (isList(value)) return value.map((one) => bare(one, depth + 1));
  const copy = empty();
  for (const [name, member] of Object.entries(value)) copy[name] = bare(member, depth + 1);
  return copy;
}

/** Also `__proto__` is a name like any other in it. */
function empty(): Record<string, unknown> {
  return Object.create(null) as Record<string, unknown>;
}

/** Caught above. */
function refuseBelow(depth: number): void {
  if (depth > MAX_VALUE_DEPTH) throw new RangeError("too deep");
}
