/**
 * Objects of a step with more members than any field of a step takes. Lists have their limits in the schemas, by which zod
 * goes before it looks at the elements; of an object it first checks every member, and keeps what it finds of each.
 */

import type { Finding } from "../actions/index.ts";
import { escapePointer } from "../kernel/index.ts";
import { isLoose } from "./places.ts";

/** More than any of the limits that the schemas tell. */
const MAX_MEMBERS = 2_000;
/** Fields that hold JSON of the author's, as large as a plan can be. */
const OPEN_FIELDS: readonly string[] = ["json", "value", "input", "schema", "fallback"];
/** What is deeper fits no schema. */
const MAX_DEPTH = 8;
const MAX_FINDINGS = 20;

/** What is wrong with a step that is not looked at any further; empty: it is. */
export function crowdedIn(step: unknown): Finding[] {
  const found: Finding[] = [];
  look(step, "", found, 0);
  return found;
}

function look(value: unknown, at: string, found: Finding[], depth: number): void {
  if (!isLoose(value)) return;
  if (depth > MAX_DEPTH || found.length >= MAX_FINDINGS) return;
  const members = Object.entries(value);
  if (members.length > MAX_MEMBERS) {
    const detail = `There are more than ${MAX_MEMBERS} members here; no field of a step takes so many.`;
    found.push({ pointer: at, code: "invalid", detail });
    return;
  }
  for (const [key, member] of members)
    if (!OPEN_FIELDS.includes(key)) look(member, `${at}/${escapePointer(key)}`, found, depth + 1);
}
