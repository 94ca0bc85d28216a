/** From what zod finds to places and sentences. What is said never holds the value: it may be a secret in the wrong place. */

import * as z from "zod";
import { escapePointer } from "../kernel/index.ts";
import { didYouMean, nearest } from "./nearest.ts";
import { among, formMeant, whichever, type Alternative } from "./unions.ts";

type Issue = z.core.$ZodIssue;

export interface Finding {
  /** JSON Pointer (RFC 6901); "" is the value as a whole. */
  readonly pointer: string;
  /** `invalid`, or the rule that was broken. */
  readonly code: string;
  readonly detail: string;
  /** The expression that it is about. */
  readonly expression?: string;
  /** Characters before the place, in the text that the pointer leads to. */
  readonly offset?: number;
  /** What could stand there instead. */
  readonly allowed?: readonly string[];
}

/**
 * What zod knows while it checks, and leaves out of its issues: the fields that an object has, the forms of a union, and
 * what is wrong with a value in each of them. By the list that an issue shares with what it is made from.
 */
interface Aside {
  readonly fields?: readonly string[];
  readonly forms?: readonly z.core.$ZodType[];
  /** The field that tells the forms apart is not there. */
  readonly untold?: boolean;
  readonly alternatives?: ReadonlyMap<string, Alternative>;
}
const asides = new WeakMap<readonly unknown[], Aside>();
/** Paths to what is not there. */
const absent = new WeakSet<readonly unknown[]>();

/** Fields of one object that are told not to be known: each is compared with those that are. */
const MAX_STRAYS = 50;

/** As `safeParse`, for a value whose findings will be told: they say what is allowed. */
export function examine<T>(schema: z.ZodType<T>, value: unknown): z.ZodSafeParseResult<T> {
  return schema.safeParse(value, { error: remember });
}

/** Which form was meant by a value that does not say it in a way that is known; null: it cannot be told. */
export function meantBy(union: z.ZodType, value: unknown): string | null {
  if (!(union instanceof z.ZodDiscriminatedUnion) || !isObject(value)) return null;
  return formMeant(value[union.def.discriminator], alternativesOf(union, value));
}

function remember(issue: z.core.$ZodRawIssue): undefined {
  const { inst } = issue;
  if (issue.input === undefined && issue.path !== undefined) absent.add(issue.path);
  if (issue.code === "unrecognized_keys" && inst instanceof z.ZodObject)
    asides.set(issue.keys, { fields: Object.keys(inst.shape) });
  if (issue.code !== "invalid_union") return;
  if (inst instanceof z.ZodDiscriminatedUnion && isObject(issue.input)) {
    const untold = issue.input[inst.def.discriminator] === undefined;
    asides.set(issue.errors, { untold, alternatives: alternativesOf(inst, issue.input) });
  } else if (inst instanceof z.ZodUnion) asides.set(issue.errors, { forms: inst.def.options });
}

function alternativesOf(
  union: z.ZodDiscriminatedUnion,
  value: Readonly<Record<string, unknown>>,
): ReadonlyMap<string, Alternative> {
  const { discriminator, options } = union.def;
  const forms = options.flatMap((form) => (form instanceof z.ZodObject ? [form] : []));
  return new Map(
    forms.flatMap((form) => {
      const told = (form.shape as Record<string, unknown>)[discriminator];
      if (!(told instanceof z.ZodLiteral)) return [];
      const name = String(told.value);
      const parsed = examine(form, { ...value, [discriminator]: name });
      return [[name, parsed.success ? [] : findingsOf(parsed.error)] as const];
    }),
  );
}

/** For rules about several fields of an object: they are checked also where another field does not fit. */
export function isThere({ value }: { readonly value: unknown }): boolean {
  return isObject(value) && !Array.isArray(value);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

/** Every finding, with pointers below `at`. Of a value that `examine` looked at they say what is allowed. */
export function findingsOf(error: z.core.$ZodError, at = ""): Finding[] {
  return withoutEchoes(error.issues.flatMap((issue) => findings(issue, []))).map((one) => ({
    ...one,
    pointer: at + one.pointer,
  }));
}

/** A field that is missing because its name is misspelt is told once. */
function withoutEchoes(found: readonly Finding[]): Finding[] {
  const meant = new Set(
    found.flatMap(({ pointer, code, allowed = [] }) => {
      if (code !== "unknown_field") return [];
      const end = pointer.lastIndexOf("/") + 1;
      const name = nearest(pointer.slice(end), allowed);
      return name === null ? [] : [pointer.slice(0, end) + name];
    }),
  );
  return found.filter(({ pointer, code }) => code !== "missing" || !meant.has(pointer));
}

/** One sentence for a person. */
export function explain(error: z.core.$ZodError): string {
  const all = findingsOf(error);
  const first = all[0];
  if (first === undefined) return "it does not fit.";
  const more = all.length > 1 ? ` (and ${all.length - 1} more)` : "";
  return `${first.pointer === "" ? "" : `${first.pointer}: `}${first.detail}${more}`;
}

function findings(issue: Issue, above: readonly PropertyKey[]): Finding[] {
  const path = [...above, ...issue.path];
  switch (issue.code) {
    case "unrecognized_keys": {
      const allowed = asides.get(issue.keys)?.fields;
      return issue.keys.slice(0, MAX_STRAYS).map((key) => ({
        ...finding(
          [...path, key],
          "unknown_field",
          `There is no such field here.${didYouMean(key, allowed ?? [])}`,
        ),
        ...(allowed === undefined ? {} : { allowed }),
      }));
    }
    case "invalid_key":
      return issue.issues.map((inner) => finding(path, "invalid", `The name does not fit: ${inner.message}`));
    case "invalid_union":
      return ofUnion(issue, path);
    case "invalid_type":
      // Zod leaves the value out of its issues, as it should; only the message still tells whether there was one.
      return [
        isMissing(issue)
          ? finding(path, "missing", "The field is missing.")
          : finding(path, "invalid", issue.message),
      ];
    case "custom": {
      const { code, allowed }: Readonly<Record<string, unknown>> = issue.params ?? {};
      const names = Array.isArray(allowed) ? allowed.map(String) : null;
      return [
        {
          ...finding(path, typeof code === "string" ? code : "invalid", issue.message),
          ...(names === null ? {} : { allowed: names }),
        },
      ];
    }
    case "invalid_value":
      return [
        {
          ...(absent.has(issue.path)
            ? finding(path, "missing", "The field is missing.")
            : finding(path, "invalid", issue.message)),
          allowed: issue.values.filter((one) => one !== undefined).map(String),
        },
      ];
    default:
      return [finding(path, "invalid", issue.message)];
  }
}

/** What zod says of a union that has no words of its own. */
const UNSAID = "Invalid input";

function ofUnion(issue: Extract<Issue, { readonly code: "invalid_union" }>, path: PropertyKey[]): Finding[] {
  const { forms = [], untold, alternatives } = asides.get(issue.errors) ?? {};
  const below = (at: readonly PropertyKey[], found: readonly Finding[]): Finding[] =>
    found.map((one) => ({ ...one, pointer: pointerOf(at) + one.pointer }));
  if (alternatives !== undefined) {
    const named = [...alternatives.keys()];
    const told =
      untold === true
        ? finding(path, "missing", "The field is missing.")
        : finding(path, "invalid", `What fits: ${named.join(", ")}.`);
    return [{ ...told, allowed: named }, ...below(path.slice(0, -1), whichever([...alternatives.values()]))];
  }
  if (issue.errors.length === 0) return [finding(path, "invalid", issue.message)];
  const each = issue.errors.map((one) => one.flatMap((inner) => findings(inner, [])));
  const mistyped = issue.errors.map(([first]) => first?.code === "invalid_type");
  const rule = issue.message === UNSAID ? null : issue.message;
  return below(path, among(each, { forms, mistyped, rule }));
}

function isMissing(issue: Issue): boolean {
  return issue.code === "invalid_type" && issue.message.endsWith("received undefined");
}

function finding(path: readonly PropertyKey[], code: string, detail: string): Finding {
  return { pointer: pointerOf(path), code, detail };
}

function pointerOf(path: readonly PropertyKey[]): string {
  return path.map((token) => `/${escapePointer(String(token))}`).join("");
}
