/**
 * Expressions over one value, outside of any run: the filter and the mapping of a hook. They see the value as `input`, and
 * nothing else. The same language, lists and limits as in plans (`expressions/`). Pure.
 */
import { escapePointer, type Json } from "../kernel/index.ts";
import {
  evaluateText,
  fillTemplate,
  Meter,
  type Names,
  parseExpression,
  splitTemplate,
  TemplateFault,
} from "./expressions/index.ts";

type Read<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: string };

/** Where a text is wrong. */
export interface TextFault {
  /** JSON pointer to the text, "" for the whole. */
  readonly pointer: string;
  readonly detail: string;
}

export interface ValueExpressions {
  /** What is wrong with an expression. */
  check(text: string): TextFault[];
  /** What is wrong with the expressions in the texts of a template. */
  checkTemplate(template: Json): TextFault[];
  condition(text: string, input: Json): Read<boolean>;
  filled(template: Json, input: Json): Read<Json>;
}

export function createValueExpressions(): ValueExpressions {
  return {
    check: (text) => checked(text, ""),
    checkTemplate: (template) => checkedTexts(template, ""),
    condition: (text, input) =>
      read(() => {
        const meter = new Meter();
        const value = evaluateText(text, namesOf(input, meter), meter);
        if (typeof value !== "boolean") throw new TemplateFault("it gives neither true nor false", text, 0);
        return value;
      }),
    filled: (template, input) =>
      read(() => {
        const meter = new Meter();
        return fillTemplate(template, namesOf(input, meter), meter);
      }),
  };
}

function namesOf(input: Json, meter: Meter): Names {
  let paid = false;
  return {
    root(name) {
      if (name !== "input") return null;
      // Loaded, and paid for, once.
      if (!paid) meter.loaded(input);
      paid = true;
      return input;
    },
    step: () => null,
  };
}

function read<T>(work: () => T): Read<T> {
  try {
    return { ok: true, value: work() };
  } catch (error) {
    if (error instanceof TemplateFault) return { ok: false, error: `${error.expression}: ${error.message}` };
    throw error;
  }
}

function checked(text: string, pointer: string): TextFault[] {
  const parsed = parseExpression(text);
  if (!parsed.ok) return parsed.faults.map(({ detail }) => ({ pointer, detail }));
  const other = parsed.expression.references.find(({ root }) => root !== "input");
  return other === undefined
    ? []
    : [{ pointer, detail: `Only \`input\` can be read here, not \`${other.root}\`.` }];
}

function checkedTexts(value: Json, pointer: string): TextFault[] {
  if (typeof value === "string") {
    const split = splitTemplate(value);
    if (!split.ok) return [{ pointer, detail: split.fault.detail }];
    return split.segments.flatMap((one) => (one.kind === "expression" ? checked(one.text, pointer) : []));
  }
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value as { readonly [key: string]: Json }).flatMap(([key, member]) =>
    checkedTexts(member, `${pointer}/${escapePointer(key)}`),
  );
}
