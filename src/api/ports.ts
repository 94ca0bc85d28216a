/** What the API needs from the rest. The composition root wires it. */
import type { AccessDeps } from "../access/index.ts";
import type { Graph, Json, StepDef } from "../kernel/index.ts";
import type { Logger, Result, RunSource } from "../platform/index.ts";
import type { RunRpc } from "../run/index.ts";

export interface ApiDeps {
  readonly access: AccessDeps;
  readonly workflows: WorkflowsPort;
  /** The object of a run. Both parts have the grammar of names by now; each call gives a fresh stub. */
  readonly runs: (tenant: string, id: string) => RunRpc;
  /** The id of the one run that a source may start with an idempotency key. */
  readonly runIdOf: (source: RunSource) => Promise<string>;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Something wrong in a definition or an input: a JSON Pointer into what was given. */
export interface Finding {
  readonly pointer: string;
  readonly detail: string;
}

/** A workflow as shown to those who want to start it. */
export interface WorkflowInfo {
  readonly name: string;
  readonly version: string;
  readonly description: string | null;
  /** JSON Schema of the input (draft 2020-12). */
  readonly input: Readonly<Record<string, unknown>>;
  readonly graph: Graph;
}

export interface WorkflowsPort {
  /** The newest version of each, in order of their names. */
  list(): readonly WorkflowInfo[];
  /** The newest version unless one is named; null if there is none. */
  get(name: string, version?: string): WorkflowInfo | null;
  /** Checks an input against the workflow's schema, defaults filled in. */
  parseInput(workflow: WorkflowInfo, input: Json): Result<Json, readonly Finding[]>;
  /** Compiles plan steps for a run that has no workflow, or to be appended. */
  compileSteps(steps: Readonly<Record<string, unknown>>): Result<readonly StepDef[], readonly Finding[]>;
}
