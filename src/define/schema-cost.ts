/** What checking a value by a JSON Schema would cost, found without checking it. Pure. */

import type { Json } from "../kernel/index.ts";
import { isList, isMap } from "./expressions/index.ts";
import { SCHEMA_LISTS } from "./json-validator.ts";

type SchemaMap = Readonly<Record<string, Json>>;

/** Schemas that look at the same value as the schema that they stand in. */
const BESIDE = ["not", "if", "then", "else"];
/** Keywords that are compared, or looked for, or repeated when one does not fit. */
const COMPARED = ["enum", "const", "required"];
/** Characters of those that cost about as much as a schema of its own. */
const CHARS_PER_CHECK = 20;
/** Characters of a text that do: lengths and forms are found letter by letter. */
const TEXT_CHARS_PER_CHECK = 256;

/**
 * How often a schema meets a part of the value, at most: the library does all of that, and each costs it 1 to 2 µs.
 * @param most stops there: the answer is then somewhat more
 */
export function costOf(value: Json, schema: Json, most: number): number {
  return new Cost(most).of(value, schema);
}

class Cost {
  readonly #most: number;
  readonly #own = new Map<SchemaMap, number>();
  #sum = 0;

  constructor(most: number) {
    this.#most = most;
  }

  of(value: Json, schema: Json): number {
    this.#meet(value, schema);
    return Math.ceil(this.#sum);
  }

  #meet(value: Json, schema: Json | undefined): void {
    if (schema === undefined || this.#sum > this.#most) return;
    this.#sum += 1;
    if (!isMap(schema)) return;
    this.#sum += this.#ownOf(schema);
    if (typeof value === "string") this.#sum += value.length / TEXT_CHARS_PER_CHECK;
    for (const keyword of BESIDE) this.#meet(value, schema[keyword]);
    for (const keyword of SCHEMA_LISTS) {
      const list = keyword === "prefixItems" ? undefined : schema[keyword];
      if (isList(list)) for (const one of list) this.#meet(value, one);
    }
    if (isList(value)) this.#elements(value, schema);
    else if (isMap(value)) this.#members(value, schema);
  }

  #elements(list: readonly Json[], { items, contains, prefixItems }: SchemaMap): void {
    const first = isList(prefixItems) ? prefixItems : [];
    if (items === undefined && contains === undefined && first.length === 0) return;
    for (const [i, element] of list.entries()) {
      if (this.#sum > this.#most) return;
      this.#meet(element, i < first.length ? first[i] : items);
      this.#meet(element, contains);
    }
  }

  #members(map: SchemaMap, { properties, additionalProperties, propertyNames }: SchemaMap): void {
    const known = isMap(properties) ? properties : {};
    for (const [name, member] of Object.entries(map)) {
      if (this.#sum > this.#most) return;
      this.#meet(member, Object.hasOwn(known, name) ? known[name] : additionalProperties);
      this.#meet(name, propertyNames);
    }
  }

  /** Of a schema without those in it. */
  #ownOf(schema: SchemaMap): number {
    const found = this.#own.get(schema);
    if (found !== undefined) return found;
    const { properties } = schema;
    let chars = isMap(properties) ? Object.keys(properties).join("").length : 0;
    for (const keyword of COMPARED) chars += JSON.stringify(schema[keyword] ?? "").length - 2;
    const own = chars / CHARS_PER_CHECK;
    this.#own.set(schema, own);
    return own;
  }
}
