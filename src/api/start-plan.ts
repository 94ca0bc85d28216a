/** From the body of a start to what will run: a workflow of this deployment, or the first steps of an open run. */
import { type Graph, type Json, limits } from "../kernel/index.ts";
import { err, ok, type Result } from "../platform/index.ts";
import type { WorkflowsPort } from "./ports.ts";
import { problem, problemAt, type Problem } from "./problems.ts";

/** Stands as the workflow of an open run that has none. */
export const INLINE = { workflow: "inline", version: "1" } as const;

interface Wanted {
  readonly workflow?: string | undefined;
  readonly version?: string | undefined;
  readonly input?: Json | undefined;
  readonly open?: boolean | undefined;
  readonly steps?: Readonly<Record<string, Json>> | undefined;
}

export interface Planned {
  readonly workflow: string;
  readonly version: string;
  readonly graph: Graph;
  readonly input: Json;
}

export function planOf(workflows: WorkflowsPort, wanted: Wanted): Result<Planned, Problem> {
  return wanted.workflow === undefined
    ? planInline(workflows, wanted)
    : planWorkflow(workflows, wanted.workflow, wanted);
}

function planWorkflow(
  workflows: WorkflowsPort,
  name: string,
  { version, input = {}, steps }: Wanted,
): Result<Planned, Problem> {
  if (steps !== undefined)
    return err(
      problemAt("invalid_request", { pointer: "/steps" }, "A workflow brings its own steps. Append others."),
    );
  const workflow = workflows.get(name, version);
  if (workflow === null) {
    const pointer = version !== undefined && workflows.get(name) !== null ? "/version" : "/workflow";
    const what = pointer === "/version" ? `${name} in version ${version ?? ""}` : name;
    return err(problemAt("unknown_workflow", { pointer }, `There is no workflow ${what}.`));
  }
  const parsed = workflows.parseInput(workflow, input);
  if (!parsed.ok) {
    const errors = parsed.error.map(({ pointer, detail }) => ({ pointer: `/input${pointer}`, detail }));
    return err(problem("invalid_input", errors[0]?.detail ?? "The input does not fit.", { errors }));
  }
  return ok({
    workflow: workflow.name,
    version: workflow.version,
    graph: workflow.graph,
    input: parsed.value,
  });
}

function planInline(
  workflows: WorkflowsPort,
  { version, input = {}, open = false, steps = {} }: Wanted,
): Result<Planned, Problem> {
  if (!open)
    return err(
      problemAt("invalid_request", { pointer: "/workflow" }, "Name a workflow, or start an open run."),
    );
  if (version !== undefined)
    return err(problemAt("invalid_request", { pointer: "/version" }, "Only a workflow has a version."));
  const compiled = workflows.compileSteps(steps);
  if (!compiled.ok)
    return err(
      problem("bad_graph", compiled.error[0]?.detail ?? "The steps do not fit.", { errors: compiled.error }),
    );
  const graph: Graph = {
    steps: compiled.value,
    deadlineMs: limits.RUN_DEADLINE_MS,
    undoBudgetMs: limits.UNDO_BUDGET_MS,
    idleLimitMs: limits.IDLE_LIMIT_MS,
  };
  return ok({ ...INLINE, graph, input });
}
