/** From what zod finds to field errors with JSON Pointers. */
import type * as z from "zod";
import { escapePointer } from "../kernel/index.ts";
import { err, ok, type Result } from "../platform/index.ts";
import { problem, type FieldError, type Problem } from "./problems.ts";

type Issue = z.core.$ZodIssue;

const TOO_MUCH = "More of the body does not fit than can be told.";
/** That are told. */
const MAX_ERRORS = 100;

/** Where a field error points: into the body, or at a parameter of the address. */
type Place = "body" | "parameter";

/** What is wrong with a value is said without the value: it may be a secret in the wrong place. */
export function check<T>(schema: z.ZodType<T>, value: unknown, place: Place): Result<T, Problem> {
  const result = parse(schema, value);
  if (result === null)
    return err(problem("invalid_request", TOO_MUCH, { errors: [{ pointer: "", detail: TOO_MUCH }] }));
  if (result.success) return ok(result.data);
  const found = result.error.issues.flatMap((issue) => errorsOf(issue, []));
  const errors = found
    .slice(0, MAX_ERRORS)
    .map((found) =>
      placed(isMissing(value, found) ? { ...found, detail: "The field is missing." } : found, place),
    );
  const first = errors[0];
  const where = first?.pointer ?? first?.parameter ?? "";
  const more = found.length > 1 ? ` ${found.length - 1} more.` : "";
  const detail = `${where === "" ? "The body" : where}: ${first?.detail ?? "It does not fit."}${more}`;
  return err(problem("invalid_request", detail, { errors }));
}

/** Null: zod hands on the issues of a list as arguments, and these are more than the stack holds. */
function parse<T>(schema: z.ZodType<T>, value: unknown): z.ZodSafeParseResult<T> | null {
  try {
    return schema.safeParse(value);
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
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
