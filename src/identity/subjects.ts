/** Workflows as roles name them: `code:<name>` is one of this deployment's code, `plan:<name>` a plan that the tenant stored. */
import { isName } from "../platform/index.ts";
import type { CloudRole, Subject } from "./role.ts";
import { subjectText } from "./token.ts";

type Named = Extract<Subject, { readonly kind: "code" | "plan" }>;

export function workflowText({ kind, name }: Named): string {
  return `${kind}:${name}`;
}

/** Null: it is not the text of one. */
export function readSubject(text: string): Named | null {
  const [kind, name, ...rest] = text.split(":");
  if ((kind !== "code" && kind !== "plan") || name === undefined || rest.length > 0 || !isName(name))
    return null;
  return { kind, name };
}

/** Whether a role is for whoever a step speaks for. */
export function mayUse(
  { workflows, inline }: Pick<CloudRole, "workflows" | "inline">,
  subject: Subject,
): boolean {
  if (subject.kind === "inline") return inline;
  return workflows.some(({ kind, name }) => kind === subject.kind && name === subject.name);
}

/** The `sub` of a subject. Throws a TypeError for names that were not checked. */
export function subjectOf(tenant: string, subject: Subject): string {
  const text = subjectText(tenant, subject);
  if (!text.ok) throw new TypeError(text.error.message);
  return text.value;
}
