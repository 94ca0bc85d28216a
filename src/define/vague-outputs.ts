/** What is still known of the output of a step that is not right: most of what can be wrong says nothing about it. Pure. */

import { nearest, type Finding } from "../actions/index.ts";

/** `any`: nothing is known. `answer`: it is an answer, of which is open what is kept and whether there are pages. */
export type Vagueness = "any" | "answer";

/** Fields of a step by which it is decided what it puts out. */
const DECIDING = ["action", "with", "verify", "forEach", "onFailure"];
/** The same of the parameters of a request. */
const KEPT = ["keep", "paginate"];

/** @param findings what is wrong with the step by itself, with pointers from it; null: its output is as good as known */
export function vaguenessOf(action: string, findings: readonly Finding[]): Vagueness | null {
  const found = findings.map((one) => opened(action, one));
  return found.includes("any") ? "any" : found.includes("answer") ? "answer" : null;
}

function opened(action: string, { pointer, code, allowed = [] }: Finding): Vagueness | null {
  const [, top = "", second, third] = pointer.split("/");
  const stray = code === "unknown_field";
  if (second === undefined) {
    const name = stray ? (nearest(top, allowed) ?? "") : top;
    return name === "" ? (stray ? null : "any") : DECIDING.includes(name) ? "any" : null;
  }
  if (top === "verify" && second === "with")
    return third === undefined || ofRequest(third, stray) ? "answer" : null;
  if (top === "verify") return second === "happened" || stray ? "any" : null;
  if (top !== "with") return top === "forEach" || !DECIDING.includes(top) ? null : "any";
  if (action === "http") return ofRequest(second, stray) ? "answer" : null;
  // Where an expression is wrong, the value around it is as it was written.
  if (action === "transform") return stray || code === "missing" ? "any" : null;
  return second === "timeout" ? null : "any";
}

function ofRequest(field: string, stray: boolean): boolean {
  return stray || KEPT.includes(field);
}
