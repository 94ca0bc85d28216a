/**
 * Evaluates a tree over JSON. Pure, synchronous, metered.
 *
 * - V1 every visit and every copy is paid for before it is made, so an evaluation ends after `MAX_OPERATIONS`.
 * - V2 members are looked up as own properties: nothing of a prototype can be seen.
 * - V3 every value is JSON: one kind of number, never NaN or Infinity.
 */

import type { Json } from "../../kernel/index.ts";
import { callFunction, isList, isMap, kindOf, limitText } from "./functions.ts";
import { Fault, type Meter } from "./meter.ts";
import type { Called, Expression, Node, Root, StepField } from "./syntax.ts";

/** What an expression can read. A value is asked for when it is needed; the meter is told of its size. */
export interface Names {
  /** What expressions call the root `input`, where it has another name. */
  readonly called?: Called;
  readonly root: (name: Root) => Json;
  readonly step: (name: string, field: StepField) => Json;
}

/** An error knows where it was made, which the engine has to write down. */
const OPERATIONS_PER_FAULT = 50;
const OPERATIONS_PER_MAP = 2;
/** Of numbers that are far apart, a rest is a long division. */
const OPERATIONS_PER_REST = 8;

/** Throws a `Fault`. */
export function evaluate(expression: Expression, names: Names, meter: Meter): Json {
  const evaluation = new Evaluation(names, meter);
  try {
    return evaluation.value(expression.root);
  } catch (error) {
    if (error instanceof Fault) error.at ??= evaluation.at;
    throw error;
  }
}

class Evaluation {
  readonly #names: Names;
  readonly #meter: Meter;
  #variable: Json = null;
  /** Of the node that is being evaluated. */
  #at = 0;

  constructor(names: Names, meter: Meter) {
    this.#names = names;
    this.#meter = meter;
  }

  get at(): number {
    return this.#at;
  }

  /** The innermost node is the place of a fault. It is only noted on the way: to catch at every level would cost much. */
  value(node: Node): Json {
    const outer = this.#at;
    this.#at = node.at;
    this.#meter.spend(1);
    const value = this.#value(node);
    this.#at = outer;
    return value;
  }

  /** A fault that does not end all: what was being evaluated goes on at `at`. */
  #survived(error: unknown, at: number): Fault {
    if (!(error instanceof Fault)) throw error;
    error.at ??= this.#at;
    if (error.final) throw error;
    this.#at = at;
    this.#meter.spend(OPERATIONS_PER_FAULT);
    return error;
  }

  #value(node: Node): Json {
    switch (node.op) {
      case "value":
        return node.value;
      case "root":
        return this.#names.root(node.name);
      case "variable":
        return this.#variable;
      case "step":
        return this.#names.step(node.step, node.field);
      case "field":
        return fieldOf(this.value(node.of), node.field);
      case "index":
        return elementOf(this.value(node.of), this.value(node.index));
      case "has":
        return this.#present(node.of) !== undefined;
      case "call":
        return callFunction(
          node.name,
          node.args.map((arg) => this.value(arg)),
          this.#meter,
        );
      case "each":
        return this.#each(node);
      case "list":
        return node.items.map((item) => this.value(item));
      case "map":
        return this.#map(node.entries);
      case "if":
        return this.#truth(node.condition) ? this.value(node.yes) : this.value(node.no);
      case "and":
      case "or":
        return this.#logic(node.left, node.right, node.op === "or");
      case "not":
        return !this.#truth(node.of);
      case "minus":
        return -numberOf(this.value(node.of), "-") + 0;
      case "binary":
        return this.#binary(node.operator, this.value(node.left), this.value(node.right));
    }
  }

  #truth(node: Node): boolean {
    const value = this.value(node);
    if (typeof value === "boolean") return value;
    throw located(new Fault(`${kindOf(value)} stands where true or false is needed`), node);
  }

  /** CEL: where one side decides, a fault of the other does not count. */
  #logic(left: Node, right: Node, decides: boolean): boolean {
    let first: boolean;
    const at = this.#at;
    try {
      first = this.#truth(left);
    } catch (error) {
      const fault = this.#survived(error, at);
      if (this.#truth(right) !== decides) throw fault;
      return decides;
    }
    return first === decides ? decides : this.#truth(right);
  }

  /** The value of a chain of fields, or undefined where one of them is not there. */
  #present(node: Node): Json | undefined {
    this.#meter.spend(1);
    if (node.op === "step") return this.#names.step(node.step, node.field) ?? undefined;
    if (node.op !== "field" && node.op !== "index") return this.value(node);
    const of = this.#present(node.of);
    const key = node.op === "field" ? node.field : this.value(node.index);
    if (isList(of) && typeof key === "number") return of[key];
    return isMap(of) && typeof key === "string" && Object.hasOwn(of, key) ? of[key] : undefined;
  }

  #map(entries: readonly (readonly [Node, Node])[]): Json {
    this.#meter.spend(OPERATIONS_PER_MAP + entries.length);
    const made = new Map<string, Json>();
    for (const [keyNode, valueNode] of entries) {
      const key = this.value(keyNode);
      if (typeof key !== "string")
        throw located(new Fault(`${kindOf(key)} cannot be the key of a map`), keyNode);
      if (key === "__proto__") throw located(new Fault("`__proto__` cannot be the key of a map"), keyNode);
      if (made.has(key)) throw located(new Fault("the map has a key twice"), keyNode);
      made.set(key, this.value(valueNode));
    }
    return Object.fromEntries(made);
  }

  #each(node: Extract<Node, { readonly op: "each" }>): Json {
    const over = this.value(node.list);
    const items = isMap(over) ? this.#keysOf(over) : over;
    if (!isList(items)) throw located(new Fault(`${kindOf(over)} has no elements`), node.list);
    const body = (item: Json): Json => {
      this.#variable = item;
      return this.value(node.body);
    };
    const holds = (item: Json, test = node.body): boolean => {
      this.#variable = item;
      return this.#truth(test);
    };
    switch (node.macro) {
      case "map": {
        const { condition } = node;
        const made: Json[] = [];
        for (const item of items) if (condition === null || holds(item, condition)) made.push(body(item));
        return made;
      }
      case "filter":
        return items.filter((item) => holds(item));
      case "all":
        return !this.#some(items, holds, false);
      case "exists":
        return this.#some(items, holds, true);
      case "exists_one":
        return items.filter((item) => holds(item)).length === 1;
    }
  }

  #keysOf(map: { readonly [key: string]: Json }): readonly string[] {
    const keys = Object.keys(map);
    this.#meter.keys(keys.length);
    return keys;
  }

  /** Whether an element gives `wanted`; a fault counts only if none does. */
  #some(items: readonly Json[], holds: (item: Json) => boolean, wanted: boolean): boolean {
    let fault: Fault | null = null;
    const at = this.#at;
    for (const item of items) {
      try {
        if (holds(item) === wanted) return true;
      } catch (error) {
        const survived = this.#survived(error, at);
        fault ??= survived;
      }
    }
    if (fault !== null) throw fault;
    return false;
  }

  #binary(operator: Extract<Node, { readonly op: "binary" }>["operator"], left: Json, right: Json): Json {
    switch (operator) {
      case "==":
        return this.#same(left, right);
      case "!=":
        return !this.#same(left, right);
      case "<":
        return this.#order(left, right, operator) < 0;
      case "<=":
        return this.#order(left, right, operator) <= 0;
      case ">":
        return this.#order(left, right, operator) > 0;
      case ">=":
        return this.#order(left, right, operator) >= 0;
      case "in":
        if (isList(right)) return right.some((item) => this.#same(left, item));
        if (isMap(right)) return typeof left === "string" && Object.hasOwn(right, left);
        throw new Fault(`\`in\` looks into a list or a map, not into ${kindOf(right)}`);
      case "+":
        return this.#plus(left, right);
      case "-":
      case "*":
      case "/":
      case "%":
        if (operator === "%") this.#meter.spend(OPERATIONS_PER_REST);
        return arithmetic(operator, numberOf(left, operator), numberOf(right, operator));
    }
  }

  #plus(left: Json, right: Json): Json {
    if (typeof left === "number" && typeof right === "number") return finite(left + right);
    if (typeof left === "string" && typeof right === "string") {
      limitText(left.length + right.length);
      this.#meter.chars(left.length + right.length);
      return left + right;
    }
    if (isList(left) && isList(right)) {
      this.#meter.spend(left.length + right.length);
      return [...left, ...right];
    }
    const hint =
      typeof left === "string" || typeof right === "string" ? "; `string(x)` makes a text of a number" : "";
    throw new Fault(`${kindOf(left)} and ${kindOf(right)} cannot be added${hint}`);
  }

  #order(left: Json, right: Json, operator: string): number {
    if (typeof left === "number" && typeof right === "number") return left - right;
    if (typeof left === "string" && typeof right === "string") {
      this.#meter.chars(Math.min(left.length, right.length));
      return left < right ? -1 : left > right ? 1 : 0;
    }
    if (typeof left === "boolean" && typeof right === "boolean") return Number(left) - Number(right);
    throw new Fault(`\`${operator}\` cannot compare ${kindOf(left)} with ${kindOf(right)}`);
  }

  #same(left: Json, right: Json): boolean {
    this.#meter.spend(1);
    if (typeof left === "string" && typeof right === "string") {
      if (left.length !== right.length) return false;
      this.#meter.chars(left.length);
      return left === right;
    }
    if (left === right) return true;
    if (isList(left) && isList(right))
      return left.length === right.length && left.every((item, i) => this.#same(item, right[i] ?? null));
    if (!isMap(left) || !isMap(right)) return false;
    // Either may be the large one.
    const keys = Object.keys(left);
    this.#meter.keys(keys.length);
    const others = Object.keys(right).length;
    this.#meter.keys(others);
    return (
      keys.length === others &&
      keys.every((key) => Object.hasOwn(right, key) && this.#same(left[key] ?? null, right[key] ?? null))
    );
  }
}

function fieldOf(of: Json, field: string): Json {
  if (isMap(of) && Object.hasOwn(of, field)) return of[field] ?? null;
  if (isMap(of)) throw new Fault(`there is no field \`${field}\`; \`has(…)\` asks whether there is one`);
  const hint = field === "length" && of !== null ? "; `size(x)` tells how long it is" : "";
  throw new Fault(`${kindOf(of)} has no field \`${field}\`${hint}`);
}

function elementOf(of: Json, key: Json): Json {
  if (isList(of)) {
    if (typeof key !== "number") throw new Fault(`${kindOf(key)} is no place in a list`);
    const element = Number.isInteger(key) && key >= 0 ? of[key] : undefined;
    if (element === undefined) throw new Fault(`there is no element ${key} in a list of ${of.length}`);
    return element;
  }
  if (!isMap(of)) throw new Fault(`${kindOf(of)} has no elements`);
  if (typeof key !== "string") throw new Fault(`${kindOf(key)} is no key of a map`);
  return fieldOf(of, key);
}

function numberOf(value: Json, operator: string): number {
  if (typeof value === "number") return value;
  throw new Fault(`\`${operator}\` computes with numbers, not with ${kindOf(value)}`);
}

/** One kind of number: 7 / 2 is 3.5. */
function arithmetic(operator: "-" | "*" | "/" | "%", left: number, right: number): number {
  if ((operator === "/" || operator === "%") && right === 0) throw new Fault("a number is divided by 0");
  switch (operator) {
    case "-":
      return finite(left - right);
    case "*":
      return finite(left * right);
    case "/":
      return finite(left / right);
    case "%":
      return finite(left % right);
  }
}

/** Also turns -0, which JSON would lose, into 0. */
function finite(value: number): number {
  if (Number.isFinite(value)) return value + 0;
  throw new Fault("the result is no number that JSON can hold");
}

function located(fault: Fault, node: Node): Fault {
  fault.at ??= node.at;
  return fault;
}
