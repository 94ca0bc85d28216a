/** The runs that a plan would start: whether there is such a workflow, and whether its input can fit. */

import type { Finding } from "../actions/index.ts";
import { escapePointer, type Json, type StepDef } from "../kernel/index.ts";
import { pointerTo } from "./check-auth.ts";
import { isMap } from "./expressions/index.ts";
import { fitLiteral, isLiteral, requiredBy } from "./fit-input.ts";
import { nearNames } from "./near-names.ts";
import type { FoundStartable, Startable } from "./startable.ts";

/** Each one may have to be read and compiled. What is beyond is found out in the run. */
const MAX_CHILDREN = 20;

export interface ChildSources {
  readonly find: (name: string, version?: string) => Promise<FoundStartable>;
  /** Names of what can be started, for whoever may know them. */
  readonly names: () => Promise<readonly string[]>;
}

export interface ChildFindings {
  /** Workflows that are not there: they may be, by the time at which a run comes to it. */
  readonly missing: readonly Finding[];
  /** What the input of a workflow that is there does not take. */
  readonly unfit: readonly Finding[];
}

interface Wanted {
  readonly name: string;
  readonly version: string | undefined;
  readonly input: Json | undefined;
  /** Pointer to the parameters, from the plan. */
  readonly at: string;
}

export async function checkChildren(
  steps: readonly StepDef[],
  { find, names }: ChildSources,
): Promise<ChildFindings> {
  const wanted = steps.flatMap(wantedBy);
  const distinct = new Map(wanted.map((one) => [JSON.stringify([one.name, one.version]), one]));
  const found = new Map<string, FoundStartable>();
  for (const [key, { name, version }] of [...distinct].slice(0, MAX_CHILDREN))
    found.set(key, await find(name, version));
  const unknown = [...found.values()].some(({ kind }) => kind === "no_such_name");
  const known = unknown ? await names() : [];
  const near = oncePerName((name) => nearNames(name, known));
  const missing: Finding[] = [];
  const unfit: Finding[] = [];
  for (const one of wanted) {
    const child = found.get(JSON.stringify([one.name, one.version]));
    if (child === undefined) continue;
    if (child.kind === "found") unfit.push(...misfits(one, child.startable));
    else missing.push(absent(one, child.kind, near));
  }
  return { missing, unfit };
}

/** Hundreds of steps may name the same; names that are looked for are few (`MAX_CHILDREN`). */
function oncePerName(find: (name: string) => readonly string[]): (name: string) => readonly string[] {
  const known = new Map<string, readonly string[]>();
  return (name) => {
    const near = known.get(name) ?? find(name);
    known.set(name, near);
    return near;
  };
}

function wantedBy(def: StepDef): Wanted[] {
  const { action, with: parameters } = def;
  if (action !== "run" || !isMap(parameters)) return [];
  const { workflow, version, input } = parameters;
  if (typeof workflow !== "string") return [];
  const at = `${pointerTo(def)}/with`;
  return [{ name: workflow, version: typeof version === "string" ? version : undefined, input, at }];
}

function absent(
  { name, at }: Wanted,
  kind: Exclude<FoundStartable["kind"], "found">,
  near: (name: string) => readonly string[],
): Finding {
  const code = "unknown_workflow";
  switch (kind) {
    case "no_such_name": {
      const allowed = near(name);
      const detail = `There is no workflow ${name}.`;
      return { pointer: `${at}/workflow`, code, detail, ...(allowed.length === 0 ? {} : { allowed }) };
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

function misfits({ name, input, at }: Wanted, child: Startable): Finding[] {
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
