/**
 * The input of plans: a subset of JSON Schema in which checking costs at most its own size times that of the input. What
 * the subset leaves out could be made to take minutes (patterns), to reach outside, or to call itself.
 */

import { Validator, type OutputUnit, type Schema } from "@cfworker/json-schema";
import { lazy, type Finding } from "../actions/index.ts";
import { escapePointer, type Json } from "../kernel/index.ts";
import { isList, isMap } from "./expressions/index.ts";
import { isLoose } from "./places.ts";
import type { ParsedInput } from "./input.ts";

const MAX_NODES = 500;
const MAX_DEPTH = 20;
/** Parts of an input times parts of its schema: as many checks are made. */
const MAX_CHECKS = 5_000_000;
/** Characters of a schema that make about one check of each part of an input. */
const CHARS_PER_CHECK = 20;
/** Up to so many checks every error is told, above it the first. */
const MAX_CHECKS_FOR_ALL = 20_000;
/** What defaults may add, as JSON, and parts of an input with them: one input has 1 MiB at most. */
const MAX_FILLED_CHARS = 262_144;
const MAX_FILLED_PARTS = 600_000;
const MAX_ENUM = 500;
const MAX_ERRORS = 20;

const SCHEMAS = ["items", "additionalProperties", "contains", "not", "if", "then", "else", "propertyNames"];
const SCHEMA_LISTS = ["anyOf", "oneOf", "allOf", "prefixItems"];
const PLAIN = [
  ...["type", "enum", "const", "required", "title", "description", "default", "examples", "deprecated"],
  ...["minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  ...["minItems", "maxItems", "minContains", "maxContains", "minProperties", "maxProperties"],
  ...["format", "$schema", "$comment"],
];
const KEYWORDS = [...PLAIN, ...SCHEMAS, ...SCHEMA_LISTS, "properties"];
const TYPES = ["object", "array", "string", "number", "integer", "boolean", "null"];
/** Each is checked in time that grows with the text at most linearly. */
const FORMATS = ["date", "time", "date-time", "email", "uuid", "ipv4", "hostname", "uri"];
const WHOLE = [
  "minLength",
  "maxLength",
  "minItems",
  "maxItems",
  "minProperties",
  "maxProperties",
  "minContains",
  "maxContains",
];
const NUMBERS = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"];

/** What is wrong with the schema of an input. */
export function checkInputSchema(schema: unknown, at: string): Finding[] {
  const check = new Check();
  check.schema(schema, at, 0);
  return check.findings;
}

class Check {
  readonly findings: Finding[] = [];
  #nodes = 0;

  schema(schema: unknown, at: string, depth: number): void {
    if (typeof schema !== "boolean" && !isLoose(schema))
      return this.#find(at, "input_schema_invalid", "A schema is an object, true or false.");
    // Those that are true or false are checked like any other.
    this.#nodes += 1;
    if (this.#nodes === MAX_NODES + 1 || depth === MAX_DEPTH + 1)
      this.#find(
        at,
        "input_schema_too_large",
        `It has at most ${MAX_NODES} schemas in it, ${MAX_DEPTH} levels deep.`,
      );
    if (this.#nodes > MAX_NODES || depth > MAX_DEPTH || typeof schema === "boolean") return;
    for (const [keyword, value] of Object.entries(schema)) {
      const pointer = `${at}/${escapePointer(keyword)}`;
      if (!KEYWORDS.includes(keyword)) this.#unknown(keyword, pointer, value);
      else if (SCHEMAS.includes(keyword)) this.schema(value, pointer, depth + 1);
      else if (SCHEMA_LISTS.includes(keyword)) this.#list(value, pointer, depth);
      else if (keyword === "properties") this.#properties(value, pointer, depth);
      else this.#plain(keyword, value, pointer);
    }
  }

  #unknown(keyword: string, pointer: string, value: unknown): void {
    const why: Readonly<Record<string, string>> = {
      pattern: "Patterns are not evaluated: check the value with an expression and a `fail` step.",
      patternProperties: "Patterns are not evaluated.",
      uniqueItems: "Comparing every element with every other is not bounded: check it in a step.",
      $ref: "References are not followed: write the schema out.",
    };
    const isField = isLoose(value) || TYPES.some((type) => type === value);
    const otherwise = isField
      ? `This keyword is not known here. A field stands in \`properties\`: \`{"type": "object", "properties": {"${keyword.slice(0, 32)}": {"type": "string"}}}\`.`
      : "This keyword is not known here.";
    this.#find(pointer, "input_schema_refused", why[keyword] ?? otherwise, KEYWORDS);
  }

  #list(value: unknown, pointer: string, depth: number): void {
    if (!Array.isArray(value) || value.length === 0)
      return this.#find(pointer, "input_schema_invalid", "This is a list of schemas.");
    value.forEach((one, i) => this.schema(one, `${pointer}/${i}`, depth + 1));
  }

  #properties(value: unknown, pointer: string, depth: number): void {
    if (!isLoose(value)) return this.#find(pointer, "input_schema_invalid", "This is an object of schemas.");
    for (const [name, one] of Object.entries(value))
      this.schema(one, `${pointer}/${escapePointer(name)}`, depth + 1);
  }

  #plain(keyword: string, value: unknown, pointer: string): void {
    const invalid = (detail: string, allowed?: readonly string[]): void =>
      this.#find(pointer, "input_schema_invalid", detail, allowed);
    const types = Array.isArray(value) ? (value as readonly unknown[]) : [value];
    if (keyword === "type") {
      if (types.length === 0 || !types.every((one) => TYPES.some((type) => type === one)))
        invalid("There is no such type.", TYPES);
    } else if (keyword === "format") {
      if (!FORMATS.some((one) => one === value)) invalid("There is no such format.", FORMATS);
    } else if (keyword === "required") {
      if (!Array.isArray(value) || !value.every((one) => typeof one === "string"))
        invalid("This is a list of names.");
    } else if (keyword === "enum") {
      if (!Array.isArray(value) || value.length === 0 || value.length > MAX_ENUM)
        invalid(`This is a list of 1 to ${MAX_ENUM} values.`);
    } else if (WHOLE.includes(keyword)) {
      if (!Number.isSafeInteger(value) || Number(value) < 0) invalid("This is a whole number.");
    } else if (NUMBERS.includes(keyword)) {
      if (typeof value !== "number") invalid("This is a number.");
    } else if (keyword === "multipleOf") {
      if (typeof value !== "number" || value <= 0) invalid("This is a number above 0.");
    }
  }

  #find(pointer: string, code: string, detail: string, allowed?: readonly string[]): void {
    if (this.findings.length < MAX_ERRORS)
      this.findings.push({ pointer, code, detail, ...(allowed === undefined ? {} : { allowed }) });
  }
}

/** A schema that was checked, as what it does to an input: defaults filled in, or where it does not fit. */
export function inputParser(
  schema: Readonly<Record<string, Json>> | undefined,
): (json: Json, at?: string) => ParsedInput {
  if (schema === undefined) return (value) => ({ ok: true, value });
  // Checked before; the library's type only names the keywords.
  const first = lazy(() => new Validator(schema as Schema, "2020-12", true));
  const all = lazy(() => new Validator(schema as Schema, "2020-12", false));
  return (json, at = "/input") => {
    const filling = new Filling();
    const value = filling.fill(json, schema);
    const checks = filling.parts * Math.ceil(JSON.stringify(schema).length / CHARS_PER_CHECK);
    if (filling.isTooLarge || checks > MAX_CHECKS)
      return {
        ok: false,
        errors: [
          { pointer: at, code: "invalid", detail: "The input is too large to be checked by this schema." },
        ],
      };
    const { valid, errors } = first().validate(value);
    if (valid) return { ok: true, value };
    // The library keeps every error that it finds, and those of a large input would be more than memory holds.
    const told = checks > MAX_CHECKS_FOR_ALL ? errors : all().validate(value).errors;
    return { ok: false, errors: findingsOf(withoutDeclared(told, schema), at) };
  };
}

/** Fills in members that are missing and have a default, and counts what there is then. */
class Filling {
  #chars = 0;
  parts = 0;

  /** Defaults multiply: a list of small elements can become a large input. */
  get isTooLarge(): boolean {
    return this.#chars > MAX_FILLED_CHARS || this.parts > MAX_FILLED_PARTS;
  }

  fill(value: Json, schema: Json | undefined): Json {
    this.parts += 1;
    if (this.isTooLarge || typeof value !== "object" || value === null) return value;
    const { properties, items } = isMap(schema) ? schema : {};
    if (isList(value)) return value.map((item) => this.fill(item, isMap(items) ? items : undefined));
    if (!isMap(value)) return value;
    const inner = isMap(properties) ? properties : {};
    const filled = new Map<string, Json>();
    for (const [name, member] of Object.entries(value)) filled.set(name, this.fill(member, inner[name]));
    for (const [name, one] of Object.entries(inner)) {
      const otherwise = isMap(one) ? one["default"] : undefined;
      if (filled.has(name) || otherwise === undefined || this.isTooLarge) continue;
      this.#chars += JSON.stringify(otherwise).length;
      this.parts += partsOf(otherwise);
      filled.set(name, otherwise);
    }
    return Object.fromEntries(filled);
  }
}

/** After a field that does not fit, the library takes those behind it for fields that nobody declared. */
function withoutDeclared(units: readonly OutputUnit[], schema: Json): readonly OutputUnit[] {
  const declared = new Set<string>();
  for (const { keyword, keywordLocation, instanceLocation, error } of units) {
    const name =
      keyword === "additionalProperties" ? /^Property "(.+)" does not/.exec(error)?.[1] : undefined;
    if (name === undefined) continue;
    let owner: Json | undefined = schema;
    for (const token of keywordLocation.split("/").slice(1, -1)) {
      const key = token.replaceAll("~1", "/").replaceAll("~0", "~");
      owner = isMap(owner) ? owner[key] : isList(owner) ? owner[Number(key)] : undefined;
    }
    const properties = isMap(owner) ? owner["properties"] : undefined;
    if (isMap(properties) && Object.hasOwn(properties, name))
      declared.add(`${instanceLocation}/${escapePointer(name)}`);
  }
  const rest = units.filter(
    ({ keyword, instanceLocation }) => keyword !== "false" || !declared.has(instanceLocation),
  );
  return rest.length > 0 ? rest : units;
}

function partsOf(value: Json): number {
  if (typeof value !== "object" || value === null) return 1;
  return Object.values(value).reduce<number>((sum, member) => sum + partsOf(member), 1);
}

/** Rules that only say that something inside breaks a rule. */
const OUTER = ["properties", "additionalProperties", "items", "prefixItems"];

/** The library says the value in its errors; we say the place and the rule only. */
function findingsOf(units: readonly OutputUnit[], at: string): Finding[] {
  const leaves = units.filter(({ keyword }) => !OUTER.includes(keyword));
  const found = new Map<string, Finding>();
  for (const { keyword, instanceLocation, error } of leaves) {
    const missing = keyword === "required" ? /property "(.+)"\.?$/.exec(error)?.[1] : undefined;
    const pointer = `${at}${instanceLocation.slice(1)}${missing === undefined ? "" : `/${escapePointer(missing)}`}`;
    const detail =
      missing === undefined
        ? (SAID[keyword] ?? `It breaks the rule \`${keyword}\`.`)
        : "The field is missing.";
    if (!found.has(pointer))
      found.set(pointer, { pointer, code: missing === undefined ? codeOf(keyword) : "missing", detail });
  }
  return [...found.values()].slice(0, MAX_ERRORS);
}

/** A field that nobody declared meets the schema `false`. */
function codeOf(keyword: string): string {
  return keyword === "false" ? "unknown_field" : "invalid";
}

const SAID: Readonly<Record<string, string>> = {
  type: "It is of another type.",
  enum: "It is none of the values that are allowed.",
  const: "It is not the value that is allowed.",
  format: "It does not have the form that is asked for.",
  minLength: "The text is too short.",
  maxLength: "The text is too long.",
  minimum: "The number is too small.",
  exclusiveMinimum: "The number is too small.",
  maximum: "The number is too large.",
  exclusiveMaximum: "The number is too large.",
  additionalProperties: "There is no such field here.",
  false: "There is no such field here.",
};
