/** The runs that a plan would start: whether the policies let it, whether there is such a workflow, and whether its input can fit. */

import type { Finding } from "../actions/index.ts";
import { escapePointer, type Json, type StepDef } from "../kernel/index.ts";
import { childrenIn, readChildren, type NamedChild, type TreeSources } from "./child-tree.ts";
import { fitLiteral, isLiteral, requiredBy } from "./fit-input.ts";
import { nearNames } from "./near-names.ts";
import type { FoundStartable, Startable } from "./startable.ts";

export interface ChildSources extends TreeSources {
  /** Names of what can be started, for whoever may know them. */
  readonly names: () => Promise<readonly string[]>;
  /** Whether whoever asks may know what workflows are made of. */
  readonly seesInside: boolean;
  /** Under which name the plan is stored, or would be. */
  readonly itself?: string | undefined;
}

export interface ChildFindings {
  /** What the policies do not let anybody start who asks now. Nothing else is said of it. */
  readonly denied: readonly Finding[];
  /** Workflows that are not there: they may be, by the time at which a run comes to it. */
  readonly missing: readonly Finding[];
  /** What the input of a workflow that is there does not take. */
  readonly unfit: readonly Finding[];
  /** What can be started, and may not be what was meant. */
  readonly advice: readonly Finding[];
}

export async function checkChildren(
  steps: readonly StepDef[],
  { names, seesInside, itself, ...sources }: ChildSources,
): Promise<ChildFindings> {
  const named = childrenIn(steps);
  const tree = await readChildren(named, sources);
  const allowed = named.filter((one) => tree.denied(one) === null);
  const unknown = allowed.some((one) => tree.found(one)?.kind === "no_such_name");
  const known = unknown ? await names() : [];
  const missing: Finding[] = [];
  const unfit: Finding[] = [];
  for (const one of allowed) {
    const child = tree.found(one);
    if (child === undefined) continue;
    if (child.kind === "found") unfit.push(...misfits(one, child.startable));
    else missing.push(await absent(one, child.kind, known, sources));
  }
  const denied = named.flatMap((one): Finding[] => {
    const denial = tree.denied(one);
    if (denial === null) return [];
    const { by, message } = denial;
    const inside = seesInside
      ? `${one.name} starts ${by}: ${message}`
      : `${one.name} starts a workflow that the policies do not let it start.`;
    return [{ pointer: `${one.at}/workflow`, code: "policy_denied", detail: by === null ? message : inside }];
  });
  const advice = allowed.filter((one) => tree.returns(one, itself)).map(returning);
  return { denied, missing, unfit, advice };
}

function returning({ name, at }: NamedChild): Finding {
  const detail = `${name} comes to start itself. A run of it ends only where a \`when\` says so, or at the limits: runs start runs 8 deep, and one run 1,000 in all.`;
  return { pointer: `${at}/workflow`, code: "starts_itself", detail };
}

async function absent(
  { name, at, input }: NamedChild,
  kind: Exclude<FoundStartable["kind"], "found">,
  known: readonly string[],
  { find, denies }: Pick<ChildSources, "find" | "denies">,
): Promise<Finding> {
  const code = "unknown_workflow";
  switch (kind) {
    case "no_such_name": {
      const near = nearNames(name, known);
      const [only, second] = near;
      const isTold = only !== undefined && second === undefined && denies(only, []) === null;
      const meant = isTold ? await find(only) : null;
      // Which input it takes is said with it, so that one look is enough.
      const lacking = meant?.kind === "found" ? lackingIn(input ?? {}, meant.startable.inputSchema()) : [];
      const detail =
        `There is no workflow ${name}.` +
        (meant === null ? "" : ` Did you mean \`${only}\`?`) +
        (lacking.length === 0 ? "" : ` Its input has to have: ${lacking.join(", ")}.`);
      return { pointer: `${at}/workflow`, code, detail, ...(near.length === 0 ? {} : { allowed: near }) };
    }
    case "no_such_version":
      return { pointer: `${at}/version`, code, detail: `${name} has no such version.` };
    case "outdated":
      return {
        pointer: `${at}/workflow`,
        code,
        detail: `The plan ${name} was stored when other rules held, and cannot be started: check it, and store it again.`,
      };
  }
}

function misfits({ name, input, at }: NamedChild, child: Startable): Finding[] {
  const place = `${at}/input`;
  // One that is filled in as a whole is not known.
  if (input !== undefined && !isLiteral(input))
    return told(name, fitLiteral(input, child.inputSchema(), place));
  const parsed = child.parseInput(input ?? {});
  if (parsed.ok) return [];
  if (input === undefined) {
    const allowed = requiredBy(child.inputSchema());
    const detail = `${name} has to be given an input.`;
    return [{ pointer: place, code: "missing", detail, ...(allowed.length === 0 ? {} : { allowed }) }];
  }
  const findings = parsed.errors.map((one) => ({
    ...one,
    pointer: place + one.pointer.slice("/input".length),
  }));
  return told(
    name,
    findings.map((one) => standing(one, input, place)),
  );
}

function lackingIn(input: Json, schema: unknown): string[] {
  return fitLiteral(input, schema, "").flatMap(({ pointer, code }) =>
    code === "missing" && pointer.lastIndexOf("/") === 0 ? [pointer.slice(1)] : [],
  );
}

/** What is missing inside of what is missing has no place of its own. */
function standing(finding: Finding, input: Json, at: string): Finding {
  let here: Json | undefined = input;
  let pointer = at;
  for (const token of finding.pointer.slice(at.length).split("/").slice(1)) {
    const key = token.replaceAll("~1", "/").replaceAll("~0", "~");
    pointer += `/${escapePointer(key)}`;
    if (typeof here !== "object" || here === null || !Object.hasOwn(here, key))
      return { ...finding, pointer, code: "missing" };
    here = (here as { readonly [key: string]: Json })[key];
  }
  return finding;
}

function told(name: string, findings: readonly Finding[]): Finding[] {
  return findings.map((one) => ({ ...one, detail: `The input of ${name}: ${one.detail}` }));
}
