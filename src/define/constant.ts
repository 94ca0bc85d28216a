/** Texts that are known before anything runs although they are written as expressions: `${{ 'a' }}`. */

import { parseExpression, splitTemplate, type Node } from "./expressions/index.ts";

/** @returns the text with what is constant in it written out, and `hole` for each expression that is not */
export function writtenOut(text: string, hole: string): string {
  const split = splitTemplate(text);
  if (!split.ok) return hole;
  return split.segments
    .map((one) => {
      if (one.kind === "text") return one.text;
      const parsed = parseExpression(one.text);
      return (parsed.ok ? constantOf(parsed.expression.root) : null) ?? hole;
    })
    .join("");
}

/** Of literals and their sums. Whoever wants to hide a text can do so in other ways; this is about mistakes. */
function constantOf(node: Node): string | null {
  if (node.op === "value")
    return typeof node.value === "string" || typeof node.value === "number" ? String(node.value) : null;
  if (node.op !== "binary" || node.operator !== "+") return null;
  const [left, right] = [constantOf(node.left), constantOf(node.right)];
  return left === null || right === null ? null : left + right;
}
