/** What an expression reads, field by field, as far as the fields are written out. Pure. */

import type { Json } from "../../kernel/index.ts";
import type { Expression, Node, Root, StepField } from "./syntax.ts";

export interface Path {
  readonly root: Root;
  /** Of `steps`: which one, and which field of it. */
  readonly step: string | null;
  readonly field: StepField | null;
  /** Null: some element of a list. */
  readonly keys: readonly (string | null)[];
}

/** One field of something. */
export interface Access {
  readonly of: Path;
  readonly key: string;
  /** Characters before it in the expression. */
  readonly at: number;
}

/** Every field that is read by its literal name, also within `has`, and of the elements that a comprehension goes through. */
export function accessesOf({ root }: Expression): readonly Access[] {
  const tracer = new Tracer();
  tracer.trace(root, null);
  return tracer.accesses;
}

/** Something that is compared with a value that is written out. */
export interface Comparison {
  readonly of: Path;
  readonly value: Json;
  /** Characters before it in the expression. */
  readonly at: number;
}

export function comparisonsOf({ root }: Expression): readonly Comparison[] {
  const tracer = new Tracer();
  tracer.trace(root, null);
  return tracer.comparisons;
}

/** The path that an expression is as a whole, or null. */
export function pathOf(node: Node): Path | null {
  return new Tracer().trace(node, null);
}

/** The path as it would be written. */
export function writtenPath({ root, step, field, keys }: Path): string {
  const base = step === null ? root : `steps${memberText(step)}.${field ?? ""}`;
  return keys.reduce<string>((text, key) => text + (key === null ? "[0]" : memberText(key)), base);
}

function memberText(name: string): string {
  return /^[A-Za-z_]\w*$/.test(name) ? `.${name}` : `['${name.replaceAll(/[\\']/g, "\\$&")}']`;
}

class Tracer {
  readonly accesses: Access[] = [];
  readonly comparisons: Comparison[] = [];

  /** @param variable what the variable of the comprehension around stands for */
  trace(node: Node, variable: Path | null): Path | null {
    const inner = (one: Node): Path | null => this.trace(one, variable);
    switch (node.op) {
      case "value":
        return null;
      case "root":
        return { root: node.name, step: null, field: null, keys: [] };
      case "variable":
        return variable;
      case "step":
        return { root: "steps", step: node.step, field: node.field, keys: [] };
      case "field":
        return this.#member(inner(node.of), node.field, node.at);
      case "index": {
        const of = inner(node.of);
        if (node.index.op === "value" && typeof node.index.value === "string")
          return this.#member(of, node.index.value, node.at);
        inner(node.index);
        return element(of);
      }
      case "each": {
        const list = inner(node.list);
        for (const part of node.condition === null ? [node.body] : [node.condition, node.body])
          this.trace(part, element(list));
        return node.macro === "filter" ? list : null;
      }
      case "binary": {
        const [left, right] = [inner(node.left), inner(node.right)];
        this.#compared(left, node.operator, node.right, node.at);
        if (node.operator !== "in") this.#compared(right, node.operator, node.left, node.at);
        return null;
      }
      default:
        partsOf(node).forEach(inner);
        return null;
    }
  }

  #compared(of: Path | null, operator: string, other: Node, at: number): void {
    if (of === null) return;
    const among = operator === "in" && other.op === "list" ? other.items : [other];
    if (operator !== "==" && operator !== "!=" && among[0] === other) return;
    for (const one of among) if (one.op === "value") this.comparisons.push({ of, value: one.value, at });
  }

  #member(of: Path | null, key: string, at: number): Path | null {
    if (of === null) return null;
    this.accesses.push({ of, key, at });
    return { ...of, keys: [...of.keys, key] };
  }
}

function element(of: Path | null): Path | null {
  return of === null ? null : { ...of, keys: [...of.keys, null] };
}

type Plain = Exclude<
  Node,
  { readonly op: "value" | "root" | "variable" | "step" | "field" | "index" | "each" }
>;

export function partsOf(node: Plain): readonly Node[] {
  switch (node.op) {
    case "has":
    case "not":
    case "minus":
      return [node.of];
    case "call":
      return node.args;
    case "list":
      return node.items;
    case "map":
      return node.entries.flat();
    case "if":
      return [node.condition, node.yes, node.no];
    case "and":
    case "or":
    case "binary":
      return [node.left, node.right];
  }
}
