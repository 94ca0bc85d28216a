/**
 * The workflows of this build.
 *
 * Owns: which workflow a name and a version mean; the compiled graph of each, made on first use.
 * Does not own: runs. A run holds its own copy of the graph; only its functions are looked up here.
 */

import {
  explain,
  lazy,
  toJson,
  type ActionCall,
  type AnswerCheck,
  type CodePort,
  type Finding,
} from "../actions/index.ts";
import type * as z from "zod";
import { NAME_PATTERN, performanceOf, type Graph, type Json } from "../kernel/index.ts";
import { compile } from "./compile.ts";
import { compileSteps } from "./compile-steps.ts";
import type { Definition, RawPerformance, RawStep } from "./definition.ts";
import type { ReadFlow } from "./flow-schema.ts";
import { inputSchema, parseInput, type ParsedInput } from "./input.ts";
import type { Subscription } from "./subscriptions.ts";

const VERSION = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** What an open run that has no workflow shows as its workflow. */
export const INLINE_NAME = "inline";

/** One version of a workflow. */
export interface Registered {
  readonly name: string;
  readonly version: string;
  readonly description: string | null;
  /** Its runs are open unless their starter says otherwise. */
  readonly open: boolean;
  readonly definition: Definition;
  graph(): Graph;
  /** How its runs wait for each other; null: they do not. */
  flow(): ReadFlow | null;
  /** What keeps it from running; the kernel refuses to start such a graph. */
  lints(): readonly Finding[];
  parseInput(json: Json): ParsedInput;
  /** JSON Schema of the input. */
  inputSchema(): Readonly<Record<string, unknown>>;
  /** What starts it. */
  readonly on: readonly Subscription[];
  /** A step of this build's code, or null. */
  step(name: string): RawStep | null;
}

export interface Registry {
  /** A version, or the one registered last; null if there is none. */
  get(name: string, version?: string): Registered | null;
  /** In the order of registration. */
  list(): readonly Registered[];
}

/** Throws a TypeError for a name or version that breaks the grammar, and for two workflows of one name and version. */
export function createRegistry(definitions: readonly Definition[]): Registry {
  const all: Registered[] = [];
  const byName = new Map<string, Map<string, Registered>>();
  for (const definition of definitions) {
    const { name, options } = definition;
    if (!NAME_PATTERN.test(name))
      throw new TypeError(`The workflow name "${name}" does not match [a-z0-9][a-z0-9_-]{0,63}.`);
    if (name === INLINE_NAME)
      throw new TypeError(`The name "${INLINE_NAME}" is that of open runs without a workflow.`);
    if (!VERSION.test(options.version))
      throw new TypeError(`The version of ${name} has 1 to 64 letters, digits, dots, _ and -.`);
    const versions = byName.get(name) ?? new Map<string, Registered>();
    if (versions.has(options.version))
      throw new TypeError(`There are two workflows ${name}, version ${options.version}.`);
    const registered = register(definition);
    versions.set(options.version, registered);
    byName.set(name, versions);
    all.push(registered);
  }
  return {
    get: (name, version) => {
      const versions = byName.get(name);
      return (
        (version === undefined ? [...(versions?.values() ?? [])].at(-1) : versions?.get(version)) ?? null
      );
    },
    list: () => all,
  };
}

function register(definition: Definition): Registered {
  const { name, options } = definition;
  const compiled = lazy(() => compile(definition));
  const steps = lazy(() => new Map(definition.steps.map((step) => [step.name, step])));
  return {
    name,
    version: options.version,
    description: options.description ?? null,
    open: options.open === true,
    on: options.on ?? [],
    definition,
    graph: () => compiled().graph,
    flow: () => compiled().flow,
    lints: () => compiled().lints,
    parseInput: (json) => parseInput(definition, json),
    inputSchema: () => inputSchema(definition),
    step: (step) => steps().get(step) ?? null,
  };
}

/** What a unit of a step performs, as it was written. */
export function rawOf(step: RawStep, role: "undo" | "verify" | undefined): RawPerformance | null {
  if (role === undefined) return step.spec;
  return (role === "undo" ? step.spec.compensate : step.spec.verify) ?? null;
}

/** Functions and declared answers for attempts, from the workflows of this build. */
export function createCode(registry: Registry): CodePort {
  const find = ({ run, def, unit }: ActionCall): RawPerformance | null => {
    // Parameters that are data came from outside: code that happens to have the step's name is not its code.
    if (performanceOf(def, unit)?.with !== null) return null;
    const step = registry.get(run.workflow, run.version)?.step(def.name) ?? null;
    return step === null ? null : rawOf(step, unit.role);
  };
  return {
    step: (call) => find(call)?.run ?? null,
    answer: (call) => {
      // The builder takes nothing but a zod schema here.
      const schema = find(call)?.http?.["answer"] as z.ZodType | undefined;
      return schema === undefined ? null : checkWith(schema);
    },
    growth: (steps) => {
      const compiled = compileSteps(steps, "", "code");
      if (compiled.ok)
        return { ...compiled, steps: compiled.steps.map((step) => ({ ...step, grown: true })) };
      const [first] = compiled.errors;
      return { ok: false, message: first === undefined ? "" : `${first.pointer}: ${first.detail}` };
    },
  };
}

function checkWith(schema: z.ZodType): AnswerCheck {
  return (body) => {
    const parsed = schema.safeParse(body);
    if (!parsed.success) return { ok: false, message: explain(parsed.error) };
    const json = toJson(parsed.data);
    return json.ok ? { ok: true, body: json.value } : json;
  };
}
