/** What asks whether something happened must not make it happen: the same rule for plans and for TypeScript. */

import { READING_METHODS, type Finding } from "../actions/index.ts";

/**
 * What is wrong with the method of a `verify`, or null.
 * @param method as it was written; one that is no text is found by others
 * @param pointer of the method
 */
export function onlyLooks(method: unknown, pointer: string): Finding | null {
  if (typeof method !== "string" || READING_METHODS.some((one) => one === method)) return null;
  return {
    pointer,
    code: "verify_not_safe",
    detail: "A verify only looks: use GET; or say `effect: safe` if this request changes nothing.",
    allowed: READING_METHODS,
  };
}
