/** From what zod finds to field errors with JSON Pointers. */
import type * as z from "zod";
import { escapePointer } from "../kernel/index.ts";
import { err, ok, type Result } from "../platform/index.ts";
import { problem, type FieldError, type Problem } from "./problems.ts";

type Issue = z.core.$ZodIssue;

/** Where a field error points: into the body, or at a parameter of the address. */
type Place = "body" | "parameter";

/** What is wrong with a value is said without the value: it may be a secret in the wrong place. */
export function check<T>(schema: z.ZodType<T>, value: unknown, place: Place): Result<T, Problem> {
  const result = schema.safeParse(value);
  if (result.success) return ok(result.data);
  const errors = result.error.issues
    .flatMap((issue) => errorsOf(issue, []))
    .map((found) =>
      placed(isMissing(value, found) ? { ...found, detail: "The field is missing." } : found, place),
    );
  const first = errors[0];
  const where = first?.pointer ?? first?.parameter ?? "";
  const more = errors.length > 1 ? ` ${errors.length - 1} more.` : "";
  const detail = `${where === "" ? "The body" : where}: ${first?.detail ?? "It does not fit."}${more}`;
  return err(problem("invalid_request", detail, { errors }));
}

interface Found {
  readonly path: readonly PropertyKey[];
  readonly detail: string;
}

function errorsOf(issue: Issue, above: readonly PropertyKey[]): Found[] {
  const path = [...above, ...issue.path];
  if (issue.code === "unrecognized_keys")
    return issue.keys.map((key) => ({ path: [...path, key], detail: "There is no such field here." }));
  if (issue.code === "invalid_key")
    return issue.issues.map((inner) => ({ path, detail: `The name does not fit: ${inner.message}` }));
  if (issue.code === "invalid_union") {
    // The alternative that came furthest is the one that was meant.
    const best = issue.errors.toSorted((a, b) => depthOf(b) - depthOf(a))[0] ?? [];
    if (depthOf(best) > 0) return best.flatMap((inner) => errorsOf(inner, path));
  }
  return [{ path, detail: issue.message }];
}

/** zod leaves the values out of its issues, so a missing field is looked up. */
function isMissing(value: unknown, { path }: Found): boolean {
  const parent = path.slice(0, -1).reduce<unknown>((inner, key) => own(inner, key), value);
  const last = path.at(-1);
  return last !== undefined && typeof parent === "object" && parent !== null && !Object.hasOwn(parent, last);
}

function own(value: unknown, key: PropertyKey): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
  return Reflect.get(value, key);
}

function depthOf(issues: readonly Issue[]): number {
  return Math.max(0, ...issues.map((issue) => issue.path.length));
}

function placed({ path, detail }: Found, place: Place): FieldError {
  if (place === "parameter") return { parameter: path.map(String).join("."), detail };
  return { pointer: path.map((token) => `/${escapePointer(String(token))}`).join(""), detail };
}
