/**
 * From a text to a tree: CEL by a library, and of it only what is allowed here. The library parses; it evaluates nothing,
 * because it can neither be stopped nor bounded while it runs (`matches` alone can take minutes).
 *
 * - X1 what is not on a list here is refused: functions, macros, roots, fields of `steps` and `run`.
 * - X2 a step is named by a literal, so all that an expression can read is known before it runs.
 */

import { Environment, ParseError, type ASTNode } from "@marcbachmann/cel-js";
import { didYouMean, lazy } from "../../actions/index.ts";
import type { Json } from "../../kernel/index.ts";
import { FUNCTIONS, type FunctionName } from "./functions.ts";
import { functionHint, hyphened, nameHint, stepsNamed, syntaxHint } from "./hints.ts";
import { MAX_EXPRESSION_CHARS, MAX_NESTING, MAX_NODES } from "./limits.ts";

/** What an expression can begin with. Not all of them are there at every place. */
export const ROOTS = [
  "input",
  "steps",
  "run",
  "item",
  "index",
  "iteration",
  "output",
  "failure",
  "own",
  "stepKey",
] as const;
export type Root = (typeof ROOTS)[number];
/** Another name for `input`, where there are no steps and the one value is something else. Then `input` is not there. */
export type Called = "event";

export const STEP_FIELDS = ["status", "output", "failure", "attempts", "startedAt", "endedAt"] as const;
export type StepField = (typeof STEP_FIELDS)[number];
export const RUN_FIELDS = ["id", "user", "now"] as const;

const MACROS = ["all", "exists", "exists_one", "map", "filter"] as const;
export type Macro = (typeof MACROS)[number];

export const OPERATORS = ["==", "!=", "<", "<=", ">", ">=", "in", "+", "-", "*", "/", "%"] as const;
export type Operator = (typeof OPERATORS)[number];

interface At {
  /** Characters before it in the expression. */
  readonly at: number;
}

export type Node = At &
  (
    | { readonly op: "value"; readonly value: Json }
    | { readonly op: "root"; readonly name: Root }
    | { readonly op: "variable"; readonly name: string }
    | { readonly op: "step"; readonly step: string; readonly field: StepField }
    | { readonly op: "field"; readonly of: Node; readonly field: string }
    | { readonly op: "index"; readonly of: Node; readonly index: Node }
    | { readonly op: "has"; readonly of: Node }
    | { readonly op: "call"; readonly name: FunctionName; readonly args: readonly Node[] }
    | {
        readonly op: "each";
        readonly macro: Macro;
        readonly list: Node;
        readonly variable: string;
        /** Of `map` with three arguments. */
        readonly condition: Node | null;
        readonly body: Node;
      }
    | { readonly op: "list"; readonly items: readonly Node[] }
    | { readonly op: "map"; readonly entries: readonly (readonly [Node, Node])[] }
    | { readonly op: "if"; readonly condition: Node; readonly yes: Node; readonly no: Node }
    | { readonly op: "and" | "or"; readonly left: Node; readonly right: Node }
    | { readonly op: "not" | "minus"; readonly of: Node }
    | { readonly op: "binary"; readonly operator: Operator; readonly left: Node; readonly right: Node }
  );

/** Something that an expression reads. */
export interface Reference extends At {
  readonly root: Root;
  /** Of `steps`: which one, and what of it. */
  readonly step: string | null;
  readonly field: StepField | null;
}

export interface Expression {
  readonly text: string;
  readonly root: Node;
  readonly references: readonly Reference[];
}

export type SyntaxCode =
  | "expression_invalid"
  | "expression_refused"
  | "expression_too_large"
  | "unknown_name";

export interface SyntaxFault extends At {
  readonly code: SyntaxCode;
  readonly detail: string;
  readonly allowed?: readonly string[];
}

export type Parsed =
  | { readonly ok: true; readonly expression: Expression }
  | {
      readonly ok: false;
      /** The first of them. */
      readonly fault: SyntaxFault;
      readonly faults: readonly SyntaxFault[];
      /** What it would read, as far as that can be told. */
      readonly references: readonly Reference[];
    };

class Refused extends Error {
  readonly fault: SyntaxFault;

  constructor(fault: SyntaxFault) {
    super(fault.detail);
    this.fault = fault;
  }
}

const environment = lazy(
  () =>
    new Environment({
      unlistedVariablesAreDyn: true,
      homogeneousAggregateLiterals: false,
      limits: {
        maxAstNodes: MAX_NODES,
        maxDepth: MAX_NESTING,
        maxListElements: MAX_NODES,
        maxMapEntries: MAX_NODES,
      },
    }),
);

/** Trees of the expressions that were parsed lately: a run fills in the same texts again and again. */
const CACHED = 500;
const caches = { input: new Map<string, Parsed>(), event: new Map<string, Parsed>() };

/** The tree of one expression, or what is wrong with it: all of it where it can be read at all. Never throws. */
export function parseExpression(text: string, called?: Called): Parsed {
  const cache = caches[called ?? "input"];
  const known = cache.get(text);
  if (known !== undefined) return known;
  const parsed = parse(text, called);
  if (text.length > MAX_EXPRESSION_CHARS) return parsed;
  if (cache.size >= CACHED)
    for (const oldest of cache.keys()) {
      cache.delete(oldest);
      break;
    }
  cache.set(text, parsed);
  return parsed;
}

function parse(text: string, called?: Called): Parsed {
  if (text.length > MAX_EXPRESSION_CHARS)
    return fault(0, "expression_too_large", `An expression has at most ${MAX_EXPRESSION_CHARS} characters.`);
  try {
    const { ast } = environment().parse(text);
    const reader = new Reader(text, called);
    const root = reader.readAll(ast);
    const { faults, references } = reader;
    const [first] = faults;
    return first === undefined
      ? { ok: true, expression: { text, root, references } }
      : { ok: false, fault: first, faults, references };
  } catch (error) {
    if (error instanceof Refused) return failed(error.fault);
    if (error instanceof ParseError) return ofParser(error, text, called);
    // The parser recurses on what it cannot count, like a row of `!`.
    if (error instanceof RangeError)
      return fault(0, "expression_too_large", "The expression is nested too deeply.");
    throw error;
  }
}

function ofParser(error: ParseError, text: string, called?: Called): Parsed {
  const at = Math.min(error.range?.start ?? text.length, text.length);
  if (error.code === "limit_exceeded")
    return fault(
      at,
      "expression_too_large",
      `An expression has at most ${MAX_NODES} parts, ${MAX_NESTING} levels deep.`,
    );
  const reserved =
    error.code === "reserved_identifier" ? " It is a word of the language: no name can be it." : "";
  return (
    readOn(text, called) ??
    failed({ at, code: "expression_invalid", detail: `${error.summary}.${reserved}` }, namedIn(text))
  );
}

function namedIn(text: string): readonly Reference[] {
  return stepsNamed(text).map((one) => ({ root: "steps", field: null, ...one }) as const);
}

/** What is known from other languages is read as what it means there, so that the rest is looked at too. Null: nothing is. */
function readOn(text: string, called?: Called): Parsed | null {
  const told = new Map<string, SyntaxFault>();
  let mended: string | null = text;
  for (let looks = 0; mended !== null && looks < MAX_LOOKS; looks += 1) {
    const hint = syntaxHint(mended);
    if (hint === null) break;
    const { at, detail } = hint;
    if (!told.has(detail)) told.set(detail, { at, detail, code: "expression_invalid" });
    mended = hint.mended;
    const rest = mended === null ? null : tried(mended, called);
    if (rest === null) continue;
    const faults = [...told.values(), ...rest.faults].toSorted((a, b) => a.at - b.at);
    const [first] = faults;
    return first === undefined ? null : { ok: false, fault: first, faults, references: rest.references };
  }
  const [first] = told.values();
  return first === undefined
    ? null
    : { ok: false, fault: first, faults: [...told.values()], references: namedIn(text) };
}

function tried(text: string, called?: Called): Reader | null {
  try {
    const reader = new Reader(text, called);
    reader.readAll(environment().parse(text).ast);
    return reader;
  } catch (error) {
    if (error instanceof Refused || error instanceof ParseError || error instanceof RangeError) return null;
    throw error;
  }
}

function fault(at: number, code: SyntaxCode, detail: string): Parsed {
  return failed({ at, code, detail });
}

function failed(one: SyntaxFault, references: readonly Reference[] = []): Parsed {
  return { ok: false, fault: one, faults: [one], references };
}

/** More than anybody mends in one go. */
const MAX_FAULTS = 10;
const MAX_LOOKS = 20;

/** Reads the library's tree into ours, and refuses what has no place in it: a part that is refused is null, and told. */
class Reader {
  readonly references: Reference[] = [];
  readonly faults: SyntaxFault[] = [];
  readonly #text: string;
  readonly #called: Called | undefined;
  #nodes = 0;
  /** Up to here all is told. */
  #passed = 0;
  /** Of the comprehension around; there is one at most. */
  #variable: string | null = null;

  constructor(text: string, called?: Called) {
    this.#text = text;
    this.#called = called;
  }

  readAll(node: ASTNode): Node {
    const root = this.#part(node, 0);
    this.faults.sort((a, b) => a.at - b.at);
    return root;
  }

  #part(node: ASTNode, depth: number): Node {
    try {
      if (this.faults.length < MAX_FAULTS) return this.#read(node, depth);
    } catch (error) {
      // A bound ends all of it.
      if (!(error instanceof Refused) || error.fault.code === "expression_too_large") throw error;
      this.faults.push(error.fault);
    }
    return { op: "value", at: node.start, value: null };
  }

  #read(node: ASTNode, depth: number): Node {
    const at = node.start;
    this.#nodes += 1;
    if (this.#nodes > MAX_NODES || depth > MAX_NESTING)
      refuse(
        at,
        "expression_too_large",
        `An expression has at most ${MAX_NODES} parts, ${MAX_NESTING} levels deep.`,
      );
    const inner = (one: ASTNode): Node => this.#part(one, depth + 1);
    switch (node.op) {
      case "value":
        return { op: "value", at, value: literal(node.args, at) };
      case "id":
        return this.#name(node.args, at);
      case ".":
        return this.#step(node) ?? this.#field(node.args[0], node.args[1], at, inner);
      case "[]":
        return this.#step(node) ?? { op: "index", at, of: inner(node.args[0]), index: inner(node.args[1]) };
      case "call":
        return this.#call(node.args[0], node.args[1], at, inner);
      case "rcall":
        return this.#method(node.args[0], node.args[1], node.args[2], at, inner);
      case "list":
        return { op: "list", at, items: node.args.map(inner) };
      case "map":
        return {
          op: "map",
          at,
          entries: node.args.map(([key, value]) => [inner(key), inner(value)] as const),
        };
      case "?:": {
        const [condition, yes, no] = node.args;
        return { op: "if", at, condition: inner(condition), yes: inner(yes), no: inner(no) };
      }
      case "&&":
      case "||":
        return {
          op: node.op === "&&" ? "and" : "or",
          at,
          left: inner(node.args[0]),
          right: inner(node.args[1]),
        };
      case "!_":
      case "-_":
        return { op: node.op === "!_" ? "not" : "minus", at, of: inner(node.args) };
      default: {
        const operator = OPERATORS.find((one) => one === node.op);
        const args: unknown = node.args;
        if (operator === undefined || !Array.isArray(args))
          return refuse(at, "expression_refused", `\`${node.op}\` is not known here.`);
        const [left, right] = args as [ASTNode, ASTNode];
        return { op: "binary", at, operator, left: inner(left), right: inner(right) };
      }
    }
  }

  #name(name: string, at: number): Node {
    if (name === this.#variable) return { op: "variable", at, name };
    const called = this.#called ?? "input";
    const root = name === called ? "input" : ROOTS.find((one) => one === name && one !== "input");
    if (root === undefined && at < this.#passed) return { op: "value", at, value: null };
    if (root === undefined) {
      const names = this.#called === undefined ? ROOTS : [this.#called];
      const hint = nameHint(name, this.#text, at) || didYouMean(name, names);
      return refuse(at, "unknown_name", `There is nothing named \`${name}\`.${hint}`, names);
    }
    if (root === "steps") {
      const meant = hyphened(this.#text, at);
      // What would be taken away from it is a part of the name.
      if (meant !== null) {
        this.#passed = meant.end;
        this.references.push({ root: "steps", step: meant.step, field: null, at });
      }
      return refuse(
        at,
        "expression_refused",
        meant?.detail ??
          "`steps` is followed by the literal name of a step and a field: `steps.flight.output`, `steps['my-step'].status`.",
      );
    }
    this.references.push({ root, step: null, field: null, at });
    return { op: "root", at, name: root };
  }

  /** `steps.name.field` or `steps['name'].field`; null for anything else. X2. */
  #step(node: ASTNode): Node | null {
    const field = memberOf(node);
    const inner = field === null ? null : baseOf(node);
    const step = inner === null ? null : memberOf(inner);
    const base = step === null || inner === null ? null : baseOf(inner);
    if (field === null || step === null || base?.op !== "id" || base.args !== "steps") return null;
    const at = node.start;
    const known = STEP_FIELDS.find((one) => one === field);
    this.references.push({ root: "steps", step, field: known ?? null, at });
    if (known === undefined)
      return refuse(
        at,
        "unknown_name",
        `A step has no field \`${field}\`.${didYouMean(field, STEP_FIELDS) || outputHint(step, field)}`,
        STEP_FIELDS,
      );
    this.#nodes += 2;
    return { op: "step", at, step, field: known };
  }

  #field(of: ASTNode, field: string, at: number, inner: (node: ASTNode) => Node): Node {
    if (of.op === "id" && of.args === "run" && !RUN_FIELDS.some((one) => one === field))
      refuse(at, "unknown_name", `\`run\` has no field \`${field}\`.`, RUN_FIELDS);
    return { op: "field", at, of: inner(of), field };
  }

  #call(name: string, args: readonly ASTNode[], at: number, inner: (node: ASTNode) => Node): Node {
    if (name === "has") {
      const [of] = args;
      if (of === undefined || args.length !== 1 || (of.op !== "." && of.op !== "[]"))
        return refuse(at, "expression_invalid", "`has` takes one field: `has(input.note)`.");
      return { op: "has", at, of: inner(of) };
    }
    return this.#function(name, "function", args, at, inner);
  }

  #method(
    name: string,
    receiver: ASTNode,
    args: readonly ASTNode[],
    at: number,
    inner: (node: ASTNode) => Node,
  ): Node {
    const macro = MACROS.find((one) => one === name);
    if (macro === undefined) return this.#function(name, "method", [receiver, ...args], at, inner);
    const [variable, ...rest] = args;
    const most = macro === "map" ? 2 : 1;
    const body = rest.at(-1);
    if (variable?.op !== "id" || body === undefined || rest.length > most)
      return refuse(
        at,
        "expression_invalid",
        `Write \`list.${macro}(x, …)\`, with a name of your own for x.`,
      );
    const name_ = variable.args;
    if (name_ === this.#called || ROOTS.some((root) => root === name_))
      return refuse(
        variable.start,
        "expression_refused",
        `\`${name_}\` has a meaning already: take another name.`,
      );
    const list = inner(receiver);
    if (this.#variable !== null)
      return refuse(
        at,
        "expression_refused",
        `\`${macro}\` cannot stand inside another comprehension: compute the inner one in a \`transform\` step before.`,
      );
    this.#variable = name_;
    const condition = rest.length === 2 && rest[0] !== undefined ? inner(rest[0]) : null;
    const made = { op: "each", at, macro, list, variable: name_, condition, body: inner(body) } as const;
    this.#variable = null;
    return made;
  }

  #function(
    name: string,
    style: "function" | "method",
    args: readonly ASTNode[],
    at: number,
    inner: (node: ASTNode) => Node,
  ): Node {
    if (name === "matches")
      return refuse(
        at,
        "expression_refused",
        "Regular expressions are not evaluated: use `startsWith`, `endsWith`, `contains` or `split`.",
      );
    const known = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name as FunctionName] : null;
    if (known === null) {
      const names = Object.keys(FUNCTIONS);
      const hint = functionHint(name) || didYouMean(name, names);
      this.#regardless(style, args, inner);
      return refuse(at, "expression_refused", `There is no function \`${name}\`.${hint}`, names);
    }
    if (known.style !== "both" && known.style !== style)
      return refuse(at, "expression_invalid", `Write \`${known.usage}\`.`);
    if (args.length < known.least || args.length > known.most)
      return refuse(at, "expression_invalid", `Write \`${known.usage}\`.`);
    return { op: "call", at, name: name as FunctionName, args: args.map(inner) };
  }

  /** What the arguments of an unknown function read. What a method of elsewhere takes may have names of its own. */
  #regardless(style: "function" | "method", args: readonly ASTNode[], inner: (node: ASTNode) => Node): void {
    const [receiver, ...rest] = args;
    if (receiver !== undefined && (style === "function" || receiver.op !== "id")) inner(receiver);
    const told = this.faults.length;
    for (const one of rest) inner(one);
    if (style === "method") this.faults.length = told;
  }
}

function outputHint(step: string, field: string): string {
  const inside = field === "body" || field === "headers" ? field : `body.${field}`;
  return ` Of an answer, write \`steps['${step}'].output.${inside}\`.`;
}

/** The field that a node names literally, or null. */
function memberOf(node: ASTNode): string | null {
  if (node.op === ".") return node.args[1];
  if (node.op !== "[]") return null;
  const index = node.args[1];
  return index.op === "value" && typeof index.args === "string" ? index.args : null;
}

function baseOf(node: ASTNode): ASTNode | null {
  return node.op === "." || node.op === "[]" ? node.args[0] : null;
}

function literal(value: unknown, at: number): Json {
  switch (typeof value) {
    case "string":
      if (!value.isWellFormed()) refuse(at, "expression_invalid", "The text holds half of a surrogate pair.");
      return value;
    case "number":
    case "boolean":
      return value;
    case "bigint": {
      const number = Number(value);
      if (!Number.isSafeInteger(number))
        refuse(at, "expression_invalid", "The number is too large: whole numbers go up to 2^53.");
      return number;
    }
    default:
      if (value === null) return null;
      return refuse(at, "expression_refused", "Numbers are written without `u`, and there are no bytes.");
  }
}

function refuse(at: number, code: SyntaxCode, detail: string, allowed?: readonly string[]): never {
  throw new Refused({ at, code, detail, ...(allowed === undefined ? {} : { allowed }) });
}
