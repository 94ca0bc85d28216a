/** What an expression would always fail with, because it is written with values of the wrong kind. Pure. */

import { kindOf, type FunctionName } from "./functions.ts";
import { partsOf } from "./paths.ts";
import type { Expression, Node } from "./syntax.ts";

export interface KindFault {
  /** Characters before it in the expression. */
  readonly at: number;
  readonly detail: string;
}

const [TRUTH, NUMBER, TEXT, LIST] = ["a truth value", "a number", "a text", "a list"] as const;
const GIVEN: Readonly<Record<string, readonly FunctionName[]>> = {
  [NUMBER]: ["size", "indexOf", "int", "double", "sum", "millis"],
  [TEXT]: ["string", "json", "join", "lowerAscii", "upperAscii", "trim", "substring", "rfc3339", "encode"],
  [TRUTH]: ["bool", "contains", "startsWith", "endsWith"],
  [LIST]: ["split"],
};

/** Only what fails with any input. */
export function kindFaults({ root }: Expression): readonly KindFault[] {
  const faults: KindFault[] = [];
  look(root, faults);
  return faults;
}

function look(node: Node, faults: KindFault[]): void {
  const add = (at: Node, detail: string): void => void faults.push({ at: at.at, detail });
  const needs = (of: Node, kind: string, hint = ""): void => {
    const found = known(of);
    if (found !== null && found !== kind) add(of, `Here stands ${found} where ${kind} is needed${hint}.`);
  };
  switch (node.op) {
    case "and":
    case "or": {
      const hint = node.op === "or" ? ": for a default, write `has(x.a) ? x.a : y`" : "";
      needs(node.left, TRUTH, hint);
      needs(node.right, TRUTH, hint);
      break;
    }
    case "not":
      needs(node.of, TRUTH);
      break;
    case "if":
      needs(node.condition, TRUTH);
      break;
    case "minus":
      needs(node.of, NUMBER);
      break;
    case "index": {
      const { index } = node;
      if (index.op === "minus" || (index.op === "value" && Number(index.value) < 0))
        add(node, "There are no places below 0 in a list: the last element is `x[size(x) - 1]`.");
      break;
    }
    case "binary":
      lookAtBinary(node, needs, add);
      break;
    default:
  }
  if (node.op === "field") look(node.of, faults);
  else if (node.op === "index") [node.of, node.index].forEach((one) => look(one, faults));
  else if (node.op === "each")
    [node.list, ...(node.condition === null ? [] : [node.condition]), node.body].forEach((one) =>
      look(one, faults),
    );
  else if (!isLeaf(node)) partsOf(node).forEach((one) => look(one, faults));
}

function lookAtBinary(
  { operator, left, right, at }: Extract<Node, { readonly op: "binary" }>,
  needs: (of: Node, kind: string) => void,
  add: (at: Node, detail: string) => void,
): void {
  if (operator === "-" || operator === "*" || operator === "/" || operator === "%") {
    needs(left, NUMBER);
    needs(right, NUMBER);
    return;
  }
  const [one, other] = [known(left), known(right)];
  if (one === null || other === null || one === other) return;
  if (operator === "+") {
    const hint = one === TEXT || other === TEXT ? "; `string(x)` makes a text of a number" : "";
    add({ ...left, at }, `${one} and ${other} cannot be added${hint}.`);
  } else if (operator.startsWith("<") || operator.startsWith(">"))
    add({ ...left, at }, `\`${operator}\` cannot compare ${one} with ${other}.`);
}

type Leaf = Extract<Node, { readonly op: "value" | "root" | "variable" | "step" }>;
function isLeaf(node: Node): node is Leaf {
  return node.op === "value" || node.op === "root" || node.op === "variable" || node.op === "step";
}

/** What it is whatever the input is, or null. */
function known(node: Node): string | null {
  switch (node.op) {
    case "value":
      return kindOf(node.value);
    case "list":
      return LIST;
    case "map":
      return "a map";
    case "has":
    case "and":
    case "or":
    case "not":
      return TRUTH;
    case "minus":
      return NUMBER;
    case "call":
      return Object.keys(GIVEN).find((kind) => GIVEN[kind]?.includes(node.name)) ?? null;
    case "each":
      return node.macro === "map" || node.macro === "filter" ? LIST : TRUTH;
    case "binary": {
      if (["-", "*", "/", "%"].includes(node.operator)) return NUMBER;
      return node.operator === "+" ? (known(node.left) ?? known(node.right)) : TRUTH;
    }
    default:
      return null;
  }
}
