/** Literal texts that were perhaps meant as expressions: other languages write them in other ways. Never an error. */

import type { Finding } from "../actions/index.ts";
import { escapePointer } from "../kernel/index.ts";
import { splitTemplate } from "./expressions/index.ts";
import { isLoose, shown } from "./places.ts";

const MAX_DEPTH = 256;
const MAX_FINDINGS = 20;

/** Each looks at a bounded number of characters from where it begins. */
const FOREIGN: readonly RegExp[] = [
  /\{\{([^{}]{1,200})\}\}/,
  /\$\{([^{}]{1,200})\}/,
  /<%[=-]?([^%<>]{1,200})%>/,
];
/** A whole text that would be an expression if it stood in braces. */
const BARE =
  /^\s*((?:steps(?:\.[a-z_]\w*|\['[a-z0-9_-]+'\])\.(?:output|status|failure|attempts|startedAt|endedAt)|(?:input|item|own|failure)\.[A-Za-z_]\w*|run\.(?:id|user|now))(?:\.[A-Za-z_]\w*|\[\d+\])*)\s*$/;
const FILE_NAME = /^\w+\.(?:json|txt|csv|xml|ya?ml|pdf|png|jpe?g|gif|html?|md|zip|log)$/i;

/** In the parameters of the steps of a plan, and in its output. Works on JSON that may not fit the schema. */
export function lookalikesIn(plan: unknown): Finding[] {
  const found: Finding[] = [];
  if (!isLoose(plan)) return found;
  for (const part of ["steps", "onFailure"]) {
    const steps = plan[part];
    if (!isLoose(steps)) continue;
    for (const [name, step] of Object.entries(steps)) {
      if (!isLoose(step)) continue;
      const at = `/${part}/${escapePointer(name)}`;
      look(step["with"], `${at}/with`, found, 0);
      for (const other of ["verify", "compensate"]) {
        const performance = step[other];
        if (isLoose(performance)) look(performance["with"], `${at}/${other}/with`, found, 0);
      }
    }
  }
  look(plan["output"], "/output", found, 0);
  return found.slice(0, MAX_FINDINGS);
}

function look(value: unknown, at: string, found: Finding[], depth: number): void {
  if (depth > MAX_DEPTH || found.length >= MAX_FINDINGS) return;
  if (typeof value === "string") {
    const meant = meantBy(value);
    if (meant !== null) {
      const allowed = [`\${{ ${shown(meant.trim())} }}`];
      const detail = "This is taken as it stands. An expression is written as `${{ … }}`.";
      found.push({ pointer: at, code: "looks_like_expression", detail, allowed });
    }
  } else if (typeof value === "object" && value !== null)
    for (const [key, member] of Object.entries(value))
      look(member, `${at}/${escapePointer(key)}`, found, depth + 1);
}

function meantBy(text: string): string | null {
  const split = splitTemplate(text);
  if (!split.ok) return null;
  for (const segment of split.segments)
    if (segment.kind === "text")
      for (const pattern of FOREIGN) {
        const inner = pattern.exec(segment.text)?.[1];
        if (inner !== undefined && /[A-Za-z]/.test(inner)) return inner;
      }
  return FILE_NAME.test(text.trim()) ? null : (BARE.exec(text)?.[1] ?? null);
}
