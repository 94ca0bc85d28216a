/** From what zod finds to places and sentences. What is said never holds the value: it may be a secret in the wrong place. */

import type * as z from "zod";
import { escapePointer } from "../kernel/index.ts";

type Issue = z.core.$ZodIssue;

export interface Finding {
  /** JSON Pointer (RFC 6901); "" is the value as a whole. */
  readonly pointer: string;
  /** `invalid`, or the rule that was broken. */
  readonly code: string;
  readonly detail: string;
  /** The expression that it is about. */
  readonly expression?: string;
  /** Characters before the place, in the text that the pointer leads to. */
  readonly offset?: number;
  /** What could stand there instead. */
  readonly allowed?: readonly string[];
}

/** Every finding, with pointers below `at`. */
export function findingsOf(error: z.core.$ZodError, at = ""): Finding[] {
  return error.issues.flatMap((issue) =>
    findings(issue, []).map((one) => ({ ...one, pointer: at + one.pointer })),
  );
}

/** One sentence for a person. */
export function explain(error: z.core.$ZodError): string {
  const all = findingsOf(error);
  const first = all[0];
  if (first === undefined) return "it does not fit.";
  const more = all.length > 1 ? ` (and ${all.length - 1} more)` : "";
  return `${first.pointer === "" ? "" : `${first.pointer}: `}${first.detail}${more}`;
}

function findings(issue: Issue, above: readonly PropertyKey[]): Finding[] {
  const path = [...above, ...issue.path];
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) =>
        finding([...path, key], "unknown_field", "There is no such field here."),
      );
    case "invalid_key":
      return issue.issues.map((inner) => finding(path, "invalid", `The name does not fit: ${inner.message}`));
    case "invalid_union": {
      // The alternative that came furthest is the one that was meant.
      const best = issue.errors.toSorted((a, b) => depthOf(b) - depthOf(a))[0] ?? [];
      if (depthOf(best) > 0) return best.flatMap((inner) => findings(inner, path));
      if (issue.errors.length > 0 && issue.errors.every(([first]) => first !== undefined && isMissing(first)))
        return [finding(path, "missing", "The field is missing.")];
      return [
        finding(
          path,
          "invalid",
          best.length === 1 && best[0] !== undefined ? best[0].message : issue.message,
        ),
      ];
    }
    case "invalid_type":
      // Zod leaves the value out of its issues, as it should; only the message still tells whether there was one.
      return [
        isMissing(issue)
          ? finding(path, "missing", "The field is missing.")
          : finding(path, "invalid", issue.message),
      ];
    case "custom": {
      const code: unknown = issue.params?.["code"];
      return [finding(path, typeof code === "string" ? code : "invalid", issue.message)];
    }
    case "invalid_value":
      return [
        {
          ...finding(path, "invalid", issue.message),
          allowed: issue.values.filter((one) => one !== undefined).map(String),
        },
      ];
    default:
      return [finding(path, "invalid", issue.message)];
  }
}

function isMissing(issue: Issue): boolean {
  return issue.code === "invalid_type" && issue.message.endsWith("received undefined");
}

function finding(path: readonly PropertyKey[], code: string, detail: string): Finding {
  return { pointer: path.map((token) => `/${escapePointer(String(token))}`).join(""), code, detail };
}

function depthOf(issues: readonly Issue[]): number {
  return Math.max(0, ...issues.map((issue) => issue.path.length));
}
