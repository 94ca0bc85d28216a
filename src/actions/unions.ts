/**
 * What was meant where a value can have one of several forms and has none of them. Only what is wrong whichever form was
 * meant is an error: what one form would not have is none, as long as another one could be it.
 */

import * as z from "zod";
import type { Finding } from "./issues.ts";
import { didYouMean, nearest } from "./nearest.ts";

/** What is wrong with the value, if one of the forms was meant. */
export type Alternative = readonly Finding[];

/** A union, and what it says of a value that has none of its forms. */
interface Union {
  readonly forms: readonly z.core.$ZodType[];
  /** For which of them the value is not even the kind of value. */
  readonly mistyped: readonly boolean[];
  /** In its own words, or null. */
  readonly rule: string | null;
}

/** What is wrong with a value that has none of the forms. */
export function among(alternatives: readonly Alternative[], union: Union): Finding[] {
  const shaped = alternatives.filter((one) => !one.some(({ pointer }) => pointer === ""));
  if (shaped.length === 0) return [atRoot(alternatives, union)];
  const [only, second] = closest(shaped);
  const found = second === undefined ? [...(only ?? [])] : inAll(closest(shaped));
  // It fits none, so something is said: fields of two forms are strays in each other, and wrong in neither alone.
  return found.length > 0 ? found : [atRoot(alternatives, union)];
}

/** As `among`, of forms that a field tells apart, which tells none. */
export function whichever(alternatives: readonly Alternative[]): Finding[] {
  const close = closest(alternatives);
  const [only, second] = close;
  if (only !== undefined && second === undefined) return [...only];
  // A field of a part that looks different in each form may belong to a form that nobody knows.
  return inAll(close).filter(
    ({ pointer, code }) => code !== "unknown_field" || pointer.lastIndexOf("/") === 0,
  );
}

/** Those that know most of the fields that are there. */
function closest(alternatives: readonly Alternative[]): readonly Alternative[] {
  const strays = alternatives.map((one) => one.filter(({ code }) => code === "unknown_field").length);
  const least = Math.min(...strays);
  return alternatives.filter((_, i) => strays[i] === least);
}

/** What is wrong at a place by all of them, in the words of one that knows the place. */
function inAll(alternatives: readonly Alternative[]): Finding[] {
  const [first = [], ...others] = alternatives;
  const byPlace = others.map((one) => new Map(one.map((finding) => [finding.pointer, finding])));
  return first.flatMap((finding) => {
    const same = byPlace.flatMap((one) => one.get(finding.pointer) ?? []);
    if (same.length < others.length) return [];
    const told = [finding, ...same].find(({ code }) => code !== "unknown_field" && code !== "missing");
    return [told ?? stray(finding, same)];
  });
}

/** What is allowed beside it in any of the forms: the one that was meant may be another than the first. */
function stray(finding: Finding, same: readonly Finding[]): Finding {
  const { pointer, code, detail, allowed = [] } = finding;
  if (code !== "unknown_field" || same.length === 0) return finding;
  const all = [...new Set([finding, ...same].flatMap((one) => one.allowed ?? []))];
  const word = pointer.slice(pointer.lastIndexOf("/") + 1);
  const more = nearest(word, allowed) === null ? didYouMean(word, all) : "";
  return { ...finding, detail: detail + more, allowed: all };
}

/** The value as a whole fits nowhere. */
function atRoot(alternatives: readonly Alternative[], { forms, mistyped, rule }: Union): Finding {
  if (
    alternatives.length > 0 &&
    alternatives.every(([first]) => first?.code === "missing" && first.pointer === "")
  )
    return { pointer: "", code: "missing", detail: "The field is missing." };
  const near = alternatives.filter((_, i) => mistyped[i] !== true);
  const [only, second] = near;
  if (only?.[0] !== undefined && second === undefined && only[0].allowed === undefined) return only[0];
  const allowed = forms.flatMap(shown);
  const words = [
    ...new Set(forms.flatMap((form) => (shown(form).length > 0 ? shown(form) : [kindOf(form)]))),
  ];
  const detail = rule ?? `What fits: ${words.join(", ")}.`;
  return { pointer: "", code: "invalid", detail, ...(allowed.length > 0 ? { allowed } : {}) };
}

/** The form as it would be written, where there is one way to do that. */
function shown(form: z.core.$ZodType): string[] {
  if (form instanceof z.ZodEnum) return form.options.map(String);
  if (form instanceof z.ZodTemplateLiteral)
    return [form.def.parts.map((part) => (typeof part === "object" ? "…" : String(part))).join("")];
  if (!(form instanceof z.ZodObject)) return [];
  const fields = Object.entries<z.core.$ZodType>(form.shape);
  const needed = fields.filter(([, field]) => field._zod.optin === undefined);
  return [`{${needed.map(([name]) => `"${name}": …`).join(", ")}}`];
}

const KINDS: readonly (readonly [kind: string, of: readonly string[]])[] = [
  ["a text", ["string"]],
  ["a number", ["number", "int"]],
  ["true or false", ["boolean"]],
  ["a list", ["array"]],
];

function kindOf(form: z.core.$ZodType): string {
  return KINDS.find(([, types]) => types.includes(form._zod.def.type))?.[0] ?? form._zod.def.type;
}

/** Which of the forms was meant: the value of the field that tells them apart, or null if that cannot be told. */
export function formMeant(given: unknown, forms: ReadonlyMap<string, Alternative>): string | null {
  const near = typeof given === "string" ? nearest(given, [...forms.keys()]) : null;
  if (near !== null) return near;
  const [only, second] = closest([...forms.values()]);
  if (only === undefined || second !== undefined) return null;
  return [...forms].find(([, one]) => one === only)?.[0] ?? null;
}
