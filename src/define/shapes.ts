/**
 * What is known of a value before it is there: which fields it has. A shape says too little rather than too much, as what
 * it does not have is refused. Pure.
 */

export type Shape =
  /** Nothing is known. */
  | { readonly kind: "any" }
  /** It has no fields; in words. */
  | {
      readonly kind: "scalar";
      readonly what: string;
      /** All that it can be, where that is known. */
      readonly only?: readonly string[];
    }
  | { readonly kind: "list"; readonly of: Shape }
  | {
      readonly kind: "object";
      readonly fields: ReadonlyMap<string, Shape>;
      /**
       * Fields that are not named here. `none`: there are none. `odd`: none was declared, and one may be there all the same.
       * `lower`: there may be some, in lower case.
       */
      readonly others: "none" | "odd" | "any" | "lower";
      /** The field in which mostly stands what was looked for. */
      readonly inside?: string;
    };

export const ANY: Shape = { kind: "any" };
export const TEXT: Shape = { kind: "scalar", what: "a text" };
export const NUMBER: Shape = { kind: "scalar", what: "a number" };
export const TRUTH: Shape = { kind: "scalar", what: "true or false" };
export const NULL: Shape = { kind: "scalar", what: "null" };

export function listOf(of: Shape): Shape {
  return { kind: "list", of };
}

export function recordOf(fields: Readonly<Record<string, Shape>>, inside?: string): Shape {
  return {
    kind: "object",
    fields: new Map(Object.entries(fields)),
    others: "none",
    ...(inside === undefined ? {} : { inside }),
  };
}

export function oneOf(only: readonly string[]): Shape {
  return { ...TEXT, kind: "scalar", what: "a text", only };
}

/** Of a value that is the one or the other. Reading a field of a scalar fails whatever the other one is. */
export function either(one: Shape, other: Shape): Shape {
  if (one.kind === "scalar" && other.kind === "scalar")
    return one.what === other.what ? { kind: "scalar", what: one.what } : ANY;
  if (one.kind === "scalar") return other;
  if (other.kind === "scalar") return one;
  if (one.kind === "list" && other.kind === "list") return listOf(either(one.of, other.of));
  if (one.kind !== "object" || other.kind !== "object") return ANY;
  const fields = new Map(one.fields);
  for (const [name, shape] of other.fields) fields.set(name, either(fields.get(name) ?? shape, shape));
  const others = one.others === other.others ? one.others : "any";
  return { ...one, fields, others };
}

/** What a key leads to; null: an element. Where there is no such field, nothing is known: that is told at the key itself. */
export function within(shape: Shape, key: string | null): Shape {
  if (shape.kind === "list") return key === null ? shape.of : ANY;
  return shape.kind === "object" && key !== null ? (shape.fields.get(key) ?? ANY) : ANY;
}

const SCALARS: ReadonlyMap<unknown, Shape> = new Map([
  ["string", TEXT],
  ["number", NUMBER],
  ["integer", NUMBER],
  ["boolean", TRUTH],
  ["null", NULL],
]);
/** Each may speak of fields that `properties` does not name. */
const BESIDE = ["anyOf", "oneOf", "allOf", "if", "then", "else", "not", "$ref", "patternProperties"];

/** Of what fits a JSON Schema. */
export function shapeOfSchema(schema: unknown): Shape {
  if (!isRecord(schema)) return ANY;
  const { type, properties, items, additionalProperties, required } = schema;
  const types: readonly unknown[] = Array.isArray(type) ? type : [type];
  const solid = types.filter((one) => one !== "null");
  const only = solid.length === 1 ? solid[0] : undefined;
  const scalar = SCALARS.get(only);
  if (scalar !== undefined) return scalar;
  if (only === "array" && schema["prefixItems"] === undefined) return listOf(shapeOfSchema(items));
  if (type !== undefined && only !== "object") return ANY;
  const named = isRecord(properties) ? Object.entries(properties) : [];
  const known: readonly unknown[] = Array.isArray(required) ? required : [];
  const fields = new Map<string, Shape>([
    ...known.filter((one): one is string => typeof one === "string").map((one) => [one, ANY] as const),
    ...named.map(([name, one]) => [name, shapeOfSchema(one)] as const),
  ]);
  const declared = named.length > 0 && !BESIDE.some((keyword) => schema[keyword] !== undefined);
  const others =
    additionalProperties === false ? "none" : additionalProperties === undefined && declared ? "odd" : "any";
  return { kind: "object", fields, others };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
