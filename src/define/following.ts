/**
 * What the surroundings and policies say of steps that do not fit: those are looked at with something harmless in the place
 * of what is wrong, so what is said of that only follows from the error.
 */

import { nearest, type Finding } from "../actions/index.ts";

const TOKENS = ["unknown_token", "token_not_for_plans", "token_not_for_host"];

/**
 * Those that do not follow from what is told already.
 * @param found of steps as far as they fit
 * @param told what does not fit, with pointers from the same place
 */
export function notFollowing<T extends Partial<Finding>>(
  found: readonly T[],
  told: readonly Partial<Finding>[],
): T[] {
  const bad = new Set(told.flatMap(placeOf));
  const meant = new Set(told.flatMap(meantBy));
  return found.flatMap((one) => {
    const pointer = one.pointer ?? "";
    if (bad.has(pointer) || meant.has(pointer) || inside(pointer, bad)) return [];
    const [, parameters = "", rest = ""] = /^(.*\/with)\/(.*)$/.exec(pointer) ?? [];
    const isBad = (field: string): boolean => bad.has(`${parameters}/${field}`);
    if (rest === "url" && isBad("method")) return [];
    if (/^input\b/.test(rest) && (isBad("workflow") || isBad("version"))) return [];
    if (!TOKENS.includes(one.code ?? "") || !isBad("url")) return [one];
    // For which host it would be asked is not known.
    if (one.code === "token_not_for_host") return [];
    const { allowed: _allowed, ...known } = one;
    return [known as T];
  });
}

/** A flaw in an expression leaves the text around it as it is. */
function placeOf({ pointer = "", code, expression }: Partial<Finding>): string[] {
  return expression !== undefined && code !== "expression_not_allowed" ? [] : [pointer];
}

/** Where that should stand of which the name is misspelt. */
function meantBy({ pointer = "", code, allowed = [] }: Partial<Finding>): string[] {
  const end = pointer.lastIndexOf("/") + 1;
  const name = code === "unknown_field" ? nearest(pointer.slice(end), allowed) : null;
  return name === null ? [] : [pointer.slice(0, end) + name];
}

function inside(pointer: string, places: ReadonlySet<string>): boolean {
  for (let end = pointer.lastIndexOf("/"); end > 0; end = pointer.lastIndexOf("/", end - 1))
    if (places.has(pointer.slice(0, end))) return true;
  return false;
}
