/**
 * Where expressions stand in steps as JSON, what each can read there, and what is wrong with it. Works on JSON that may not
 * fit the schema, so that everything that is wrong can be said at once.
 */

import { nearest, redactShapes, type Finding } from "../actions/index.ts";
import { escapePointer } from "../kernel/index.ts";
import {
  commentIn,
  holdsExpression,
  kindFaults,
  parseExpression,
  sizeReads,
  splitTemplate,
  type Root,
} from "./expressions/index.ts";

export interface Place {
  /** JSON Pointer from the step. */
  readonly pointer: string;
  /** As it is shown. */
  readonly expression: string;
  /** Characters of the text at the pointer before the expression. */
  readonly offset: number;
  /** Steps that it reads, and where in the text each is named. */
  readonly reads: readonly { readonly step: string; readonly offset: number }[];
}

export interface Surveyed {
  readonly places: readonly Place[];
  readonly findings: readonly Finding[];
  /** What is no error, and may still not be what was meant. */
  readonly advice: readonly Finding[];
}

/** Parameters in whose texts expressions may stand. All others say what is called and how, and are literal. */
const OPEN_FIELDS: Readonly<Record<string, readonly string[]>> = {
  http: ["url", "query", "headers", "json", "form", "text"],
  sleep: ["for", "until"],
  wait: ["timeout", "approval", "where"],
  run: ["input", "tags", "timeout"],
  transform: ["value"],
  fail: ["message", "reason", "hint"],
};
const EVERYWHERE: readonly Root[] = ["input", "steps", "run"];
/** Of one step, of each kind. What more could be found would not be told: nothing more is looked at. */
const MAX_FINDINGS = 100;
const MAX_SHOWN_CHARS = 200;
/** Deeper JSON does not come through the door. */
const MAX_DEPTH = 256;

type Loose = Readonly<Record<string, unknown>>;

/** Every expression of one step. */
export function surveyStep(name: string, step: unknown, part: "main" | "on_failure"): Surveyed {
  const survey = new Survey(name);
  if (!isLoose(step)) return survey;
  const before: Root[] = part === "main" ? [...EVERYWHERE] : [...EVERYWHERE, "failure"];
  const inside = [...before];
  if (meantField(step, "forEach")) inside.push("item", "index");
  if (meantField(step, "repeat")) inside.push("iteration");
  survey.expression(step["when"], "/when", before);
  const { forEach, repeat, verify, compensate } = step;
  if (isLoose(forEach)) survey.expression(forEach["list"], "/forEach/list", before);
  else survey.expression(forEach, "/forEach", before);
  if (isLoose(repeat)) survey.expression(repeat["until"], "/repeat/until", [...inside, "output"]);
  survey.parameters(step, "", inside);
  if (isLoose(verify)) {
    survey.parameters(verify, "/verify", [...inside, "stepKey"]);
    survey.expression(verify["happened"], "/verify/happened", [...inside, "stepKey", "output"]);
  }
  if (isLoose(compensate))
    survey.parameters(compensate, "/compensate", [
      ...new Set<Root>([...inside, "own", "failure", "stepKey"]),
    ]);
  survey.nothing(step, "");
  return survey;
}

/** Whether a step has a field, or one that was meant to be it: then what can be read in it is there. */
function meantField(step: Loose, field: string): boolean {
  return Object.keys(step).some((key) => key === field || nearest(key, [field]) !== null);
}

/** Every expression of the run's output. */
export function surveyOutput(template: unknown): Surveyed {
  const survey = new Survey(null);
  survey.texts(template, "", EVERYWHERE, 0);
  return survey;
}

class Survey implements Surveyed {
  readonly places: Place[] = [];
  readonly findings: Finding[] = [];
  readonly advice: Finding[] = [];
  readonly #step: string | null;

  /** @param step name of the step that is looked at; null: it is none */
  constructor(step: string | null) {
    this.#step = step;
  }

  get #isFull(): boolean {
    return this.findings.length >= MAX_FINDINGS;
  }

  /** A field that holds nothing but an expression. */
  expression(value: unknown, pointer: string, names: readonly Root[]): void {
    if (typeof value !== "string") return;
    if (!value.trimStart().startsWith("${{")) {
      this.#check(value, pointer, 0, names);
      return;
    }
    const detail = "Here the whole text is an expression: leave `${{ }}` away.";
    this.#find(pointer, "expression_wrapped", detail, value, 0);
    // What is inside is looked at as if it stood alone.
    this.#text(value, pointer, names);
  }

  /** `with` of something that is performed. */
  parameters(performance: Loose, at: string, names: readonly Root[]): void {
    const { action, with: parameters } = performance;
    if (!isLoose(parameters)) return;
    // Of an action that nobody knows it is not known where expressions may stand.
    if (typeof action !== "string" || !Object.hasOwn(OPEN_FIELDS, action)) {
      this.texts(parameters, `${at}/with`, names, 0);
      return;
    }
    const open = OPEN_FIELDS[action] ?? [];
    for (const [field, value] of Object.entries(parameters)) {
      const pointer = `${at}/with/${escapePointer(field)}`;
      if (open.includes(field)) this.texts(value, pointer, names, 0);
      else this.#refuse(value, pointer, open, 0);
    }
  }

  /** Texts of a step outside of what may hold expressions. */
  nothing(step: Loose, at: string): void {
    for (const [field, value] of Object.entries(step)) {
      if (["when", "forEach", "repeat", "with"].includes(field)) continue;
      const pointer = `${at}/${escapePointer(field)}`;
      if ((field === "verify" || field === "compensate") && at === "") {
        // What is no object is told as that.
        if (isLoose(value)) this.nothing(value, pointer);
      } else if (!(field === "happened" && at === "/verify")) this.#refuse(value, pointer, null, 0);
    }
  }

  texts(value: unknown, pointer: string, names: readonly Root[], depth: number): void {
    if (depth > MAX_DEPTH || this.#isFull) return;
    if (typeof value === "string") this.#text(value, pointer, names);
    else
      for (const [key, member] of membersOf(value))
        this.texts(member, `${pointer}/${escapePointer(key)}`, names, depth + 1);
  }

  #text(text: string, pointer: string, names: readonly Root[]): void {
    if (!holdsExpression(text)) return;
    const split = splitTemplate(text);
    if (!split.ok) {
      this.#find(pointer, split.fault.code, split.fault.detail, text, split.fault.at);
      return;
    }
    for (const segment of split.segments)
      if (segment.kind === "expression") this.#check(segment.text, pointer, segment.at, names);
  }

  #check(expression: string, pointer: string, offset: number, names: readonly Root[]): void {
    if (this.#isFull) return;
    const parsed = parseExpression(expression);
    for (const { code, detail, at, allowed } of parsed.ok ? [] : parsed.faults) {
      const here = code === "unknown_name" && allowed?.includes("steps") === true ? names : allowed;
      this.#find(pointer, code, detail, expression, offset + at, here);
    }
    const { references } = parsed.ok ? parsed.expression : parsed;
    for (const { root, step, field, at } of references) {
      if (!names.includes(root))
        this.#find(
          pointer,
          "unknown_name",
          `\`${root}\` is not there at this place.`,
          expression,
          offset + at,
          names,
        );
      // Null as long as nobody knows whether the step happened: the check would fail, or never find out.
      const open = step !== null && step === this.#step && (field === "output" || field === "endedAt");
      if (open && pointer.startsWith("/verify/"))
        this.#find(
          pointer,
          "not_an_ancestor",
          `${step} cannot read its own ${field} before it is over; what the verify was answered is \`output\` in \`happened\`.`,
          expression,
          offset + at,
        );
    }
    const reads = references.flatMap(({ step, at }) =>
      step === null ? [] : [{ step, offset: offset + at }],
    );
    this.places.push({ pointer, expression: shown(expression), offset, reads });
    for (const { at, detail } of parsed.ok ? kindFaults(parsed.expression) : [])
      this.#find(pointer, "expression_invalid", detail, expression, offset + at);
    if (this.advice.length >= MAX_FINDINGS) return;
    const comment = parsed.ok ? commentIn(expression) : -1;
    if (comment >= 0)
      this.advice.push({
        pointer,
        code: "comment_in_expression",
        detail: "`//` begins a comment: what follows is not read. A whole number is `int(a / b)`.",
        expression: shown(expression),
        offset: offset + comment,
      });
    for (const { field, at } of parsed.ok ? sizeReads(expression) : [])
      this.advice.push({
        pointer,
        code: "field_named_as_size",
        detail: `This reads a field named \`${field}\`. How many elements or letters there are is \`size(x)\`.`,
        expression: shown(expression),
        offset: offset + at,
      });
  }

  #refuse(value: unknown, pointer: string, open: readonly string[] | null, depth: number): void {
    if (depth > MAX_DEPTH || this.#isFull) return;
    if (typeof value === "string" && holdsExpression(value))
      this.#find(
        pointer,
        "expression_not_allowed",
        "No expression can stand here.",
        value,
        value.indexOf("${{"),
        open === null ? undefined : open.map((field) => `with.${field}`),
      );
    for (const [key, member] of membersOf(value))
      this.#refuse(member, `${pointer}/${escapePointer(key)}`, open, depth + 1);
  }

  #find(
    pointer: string,
    code: string,
    detail: string,
    expression: string,
    offset: number,
    allowed?: readonly string[],
  ): void {
    if (this.#isFull) return;
    this.findings.push({
      pointer,
      code,
      detail,
      expression: shown(expression),
      offset,
      ...(allowed === undefined ? {} : { allowed }),
    });
  }
}

/** Cut, and without what looks like a credential: somebody may have written one into an expression. */
export function shown(expression: string): string {
  const redacted = redactShapes(expression);
  return redacted.length <= MAX_SHOWN_CHARS ? redacted : `${redacted.slice(0, MAX_SHOWN_CHARS - 1)}…`;
}

function membersOf(value: unknown): [string, unknown][] {
  return typeof value === "object" && value !== null ? Object.entries(value) : [];
}

export function isLoose(value: unknown): value is Loose {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
