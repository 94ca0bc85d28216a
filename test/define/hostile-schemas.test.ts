/** Schemas and values of strangers, before the JSON Schema library. */

import { describe, expect, test } from "vitest";
import { checkInputSchema, inputParser, inputScales } from "../../src/define/input-schema.ts";
import type { Json } from "../../src/kernel/index.ts";

type Schema = Readonly<Record<string, Json>>;

/** As it comes through the door: `__proto__` is a name like any other. */
function parsed(text: string): Schema {
  return JSON.parse(text) as Schema;
}

const INHERITED = ["constructor", "toString", "valueOf", "hasOwnProperty", "__proto__"];

describe("names that every object inherits", () => {
  test.each(INHERITED)("a field named %s that is not there is not checked", (name) => {
    const schema = parsed(`{"type":"object","properties":{"${name}":{"type":"string"}}}`);
    expect(checkInputSchema(schema, "/input")).toEqual([]);
    expect(inputParser(schema)({})).toEqual({ ok: true, value: {} });
  });

  test.each(INHERITED)("a field named %s that is there is", (name) => {
    const schema = parsed(`{"type":"object","properties":{"${name}":{"type":"string"}}}`);
    const parse = inputParser(schema);
    expect(parse(parsed(`{"${name}":"text"}`)).ok).toBe(true);
    expect(parse(parsed(`{"${name}":1}`))).toMatchObject({
      ok: false,
      errors: [{ pointer: `/input/${name}`, code: "invalid" }],
    });
  });

  test.each(INHERITED)("a field named %s that is required has to be there", (name) => {
    const parse = inputParser({ type: "object", required: [name] });
    expect(parse({})).toMatchObject({
      ok: false,
      errors: [{ pointer: `/input/${name}`, code: "missing" }],
    });
    expect(parse(parsed(`{"${name}":1}`)).ok).toBe(true);
  });

  test.each(INHERITED)("a field named %s is filled in by its default", (name) => {
    const schema = parsed(`{"properties":{"${name}":{"type":"string","default":"d"}}}`);
    const filled = inputParser(schema)({});
    expect(filled.ok && JSON.stringify(filled.value)).toBe(`{"${name}":"d"}`);
  });

  test("a value is not equal to a constant by what the constant inherits", () => {
    const schemas: Schema[] = [{ const: { x: 1 } }, { enum: [{ x: 1 }] }];
    for (const schema of schemas) expect(inputParser(schema)(parsed('{"__proto__":{}}')).ok).toBe(false);
  });
});

describe("what the library would throw is an answer", () => {
  test("in more places than the stack has room for", () => {
    const schema: Schema = { allOf: [{ contains: { type: "string" }, minContains: 1 }] };
    expect(inputParser(schema)(Array.from({ length: 300_000 }, () => 0))).toMatchObject({
      ok: false,
      errors: [{ pointer: "/input", detail: "The input cannot be checked by this schema." }],
    });
  });

  test("where a value is deeper than the stack", () => {
    let value: Json = 1;
    for (let i = 0; i < 50_000; i += 1) value = [value];
    expect(inputParser({ type: "array" })(value)).toMatchObject({ ok: false });
  });

  test("where an older build let a schema through that cannot be read", () => {
    const schemas: Schema[] = [{ items: { $ref: "http://[" } }, { items: { $id: "http://[" } }];
    for (const schema of schemas) expect(inputParser(schema)([1]).ok).toBe(false);
  });
});

describe("annotations", () => {
  test.each([
    ["title", { $id: "http://[" }],
    ["title", 5],
    ["description", { $ref: "http://[" }],
    ["$comment", { $anchor: "x" }],
    ["$schema", { $id: "http://[" }],
    ["examples", { $ref: "http://[" }],
    ["deprecated", { $ref: "http://[" }],
  ])("%s is refused where it is something else: %j", (keyword, value) => {
    expect(checkInputSchema({ [keyword]: value }, "/input")).toMatchObject([
      { pointer: `/input/${keyword}`, code: "input_schema_invalid" },
    ]);
    // Also where a plan was stored before that was refused.
    expect(inputParser({ [keyword]: value })({})).toEqual({ ok: true, value: {} });
  });

  test("values in them are data, whatever they are named", () => {
    const data = { $id: "http://[", $ref: "http://[" };
    const schema: Schema = { default: data, examples: [data], enum: [data], const: data, title: "t" };
    expect(checkInputSchema(schema, "/input")).toEqual([]);
    expect(inputParser(schema)(data)).toEqual({ ok: true, value: data });
  });
});

describe("what a check costs is known before it is made", () => {
  const branches: Schema = { items: { anyOf: [{ type: "string" }, { type: "null" }, { minimum: 0 }] } };

  test.each<[string, Schema, Json, number]>([
    ["each branch for each element", branches, Array.from({ length: 1_000 }, () => 0), 5_252],
    ["texts by their length", { anyOf: [{ maxLength: 1 }, { minLength: 1 }] }, "x".repeat(25_600), 304],
    ["lists of values by theirs", { items: { enum: ["x".repeat(20_000)] } }, [0, 1], 2_005],
    ["members more than elements", {}, { a: 1, b: 2, c: 3, d: 4 }, 7],
    ["those of large objects more", {}, Object.fromEntries([...Array(100).keys()].map((i) => [i, i])), 627],
    ["no part that nothing is said about", { properties: { a: {} } }, { b: [1, 2, 3, 4] }, 5],
  ])("%s", (_, schema, value, most) => {
    const { checks } = inputScales(schema)(value);
    expect(checks).toBeLessThanOrEqual(most);
    expect(checks).toBeGreaterThan(most * 0.8);
  });

  test("and one that would cost too much is not made", () => {
    const { checks, parse } = inputScales(branches)(Array.from({ length: 200_000 }, () => "fits"));
    expect(checks).toBeGreaterThan(500_000);
    expect(checks).toBeLessThan(600_000);
    expect(parse("/input")).toMatchObject({ ok: false, errors: [{ pointer: "/input", code: "invalid" }] });
  });
});
