/** Values as the state holds them: small ones inline, large ones by reference into the journal. */

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/**
 * PERSISTED CONTRACT. A value in the state or in a fact.
 * - `v`: the value itself, small.
 * - `ref`: [seq of the journal row, slot in it]; `bytes` is the length of its JSON in UTF-8.
 * - `list`: the outputs of a `forEach`, in order; an item without an output is null.
 */
export type Value =
  | { readonly v: Json }
  | { readonly ref: readonly [seq: number, slot: number]; readonly bytes: number }
  | { readonly list: readonly (Value | null)[] };

export const NULL_VALUE: Value = { v: null };

/** Whether two JSON values are the same, whatever the order of their keys. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((item, i) => sameJson(item, b[i]));
  }
  const left = definedEntries(a);
  const right = new Map(definedEntries(b));
  return (
    left.length === right.size &&
    left.every(([key, value]) => right.has(key) && sameJson(value, right.get(key)))
  );
}

/** An absent key and an undefined one are the same in JSON. */
function definedEntries(value: object): [string, unknown][] {
  return Object.entries(value).filter(([, v]) => v !== undefined);
}
