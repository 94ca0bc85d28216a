/**
 * What leaves as a finding repeats names that a caller sent: of fields, steps, functions. A credential that stands where a
 * name should be is taken out here, for all doors.
 */
import { holdsSecret, redactShapes } from "../platform/index.ts";
import type { FieldError } from "./problems.ts";

export function withoutSecrets(findings: readonly FieldError[]): FieldError[] {
  return findings.map((one) => ({
    ...one,
    ...(one.pointer === undefined ? {} : { pointer: redactShapes(one.pointer) }),
    ...(one.parameter === undefined ? {} : { parameter: redactShapes(one.parameter) }),
    ...(one.expression === undefined ? {} : { expression: redactShapes(one.expression) }),
    ...(one.allowed === undefined ? {} : { allowed: one.allowed.map(redactShapes) }),
    detail: sentenceWithoutSecrets(one.detail),
  }));
}

/** A sentence that speaks of credentials in general is left as it is. */
export function sentenceWithoutSecrets(text: string): string {
  return holdsSecret(text) ? redactShapes(text) : text;
}
