/**
 * Expressions over one value, outside of any run: the filter and the mapping of a hook, and of a subscription to an event. They
 * see the value as `input`, or as `event`, and nothing else. The same language, lists and limits as in plans (`expressions/`). Pure.
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
  type Called,
} from "./expressions/index.ts";

type Read<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: string };

/** Where a text is wrong. */
export interface TextFault {
  /** JSON pointer to the text, "" for the whole. */
  readonly pointer: string;
  readonly detail: string;
  readonly code: string;
  /** Characters of the text before the place. */
  readonly offset: number;
}

export interface ValueExpressions {
  /** What is wrong with an expression. */
  check(text: string): TextFault[];
  /** What is wrong with the expressions in the texts of a template. */
  checkTemplate(template: Json): TextFault[];
  condition(text: string, input: Json): Read<boolean>;
  filled(template: Json, input: Json): Read<Json>;
}

/** @param called what the value is called; missing: `input` */
export function createValueExpressions(called?: Called): ValueExpressions {
  const namesOf = (input: Json, meter: Meter): Names => ({
    ...(called === undefined ? {} : { called }),
    ...namesFor(input, meter),
  });
  return {
    check: (text) => checked(text, "", called),
    checkTemplate: (template) => checkedTexts(template, "", called),
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

function namesFor(input: Json, meter: Meter): Names {
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
    if (error instanceof TemplateFault)
      return { ok: false, error: `${error.expression.trim()}: ${error.message}` };
    throw error;
  }
}

function checked(text: string, pointer: string, called?: Called): TextFault[] {
  const parsed = parseExpression(text, called);
  if (!parsed.ok) return parsed.faults.map(({ detail, code, at }) => ({ pointer, detail, code, offset: at }));
  const other = parsed.expression.references.find(({ root }) => root !== "input");
  if (other === undefined) return [];
  const detail = `Only \`${called ?? "input"}\` can be read here, not \`${other.root}\`.`;
  return [{ pointer, detail, code: "unknown_name", offset: other.at }];
}

function checkedTexts(value: Json, pointer: string, called?: Called): TextFault[] {
  if (typeof value === "string") {
    const split = splitTemplate(value);
    if (!split.ok) {
      const { detail, code, at } = split.fault;
      return [{ pointer, detail, code, offset: at }];
    }
    return split.segments.flatMap((one) =>
      one.kind === "expression"
        ? checked(one.text, pointer, called).map((fault) => ({ ...fault, offset: one.at + fault.offset }))
        : [],
    );
  }
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value as { readonly [key: string]: Json }).flatMap(([key, member]) =>
    checkedTexts(member, `${pointer}/${escapePointer(key)}`, called),
  );
}
