/** From the body of a start to what will run: a workflow of this deployment, or the first steps of an open run. */
import { compileSteps, INLINE_NAME, type Registry } from "../define/index.ts";
import { type Graph, type Json, limits } from "../kernel/index.ts";
import { err, ok, type Result } from "../platform/index.ts";
import { type Problem, problem, problemAt } from "./problems.ts";

/** Stands as the workflow of an open run that has none. */
const INLINE = { workflow: INLINE_NAME, version: "1" } as const;

interface Wanted {
  readonly workflow?: string;
  readonly version?: string;
  readonly input?: Json;
  readonly open?: boolean;
  readonly steps?: Readonly<Record<string, Json>>;
}

export interface Planned {
  readonly workflow: string;
  readonly version: string;
  readonly graph: Graph;
  readonly input: Json;
  readonly open: boolean;
}

export function planOf(workflows: Registry, wanted: Wanted): Result<Planned, Problem> {
  return wanted.workflow === undefined
    ? planInline(wanted)
    : planWorkflow(workflows, wanted.workflow, wanted);
}

function planWorkflow(
  workflows: Registry,
  name: string,
  { version, input = {}, open, steps }: Wanted,
): Result<Planned, Problem> {
  if (steps !== undefined) {
    const detail = "A workflow brings its own steps. To an open run others can be appended.";
    return err(problemAt("invalid_request", { pointer: "/steps" }, detail));
  }
  const workflow = workflows.get(name, version);
  if (workflow === null) {
    return version === undefined || workflows.get(name) === null
      ? err(problemAt("unknown_workflow", { pointer: "/workflow" }, `There is no workflow ${name}.`))
      : err(problemAt("unknown_workflow", { pointer: "/version" }, `${name} has no such version.`));
  }
  const parsed = workflow.parseInput(input);
  if (!parsed.ok) {
    const first = parsed.errors[0];
    return err(
      problem("invalid_input", `${first?.pointer ?? "/input"}: ${first?.detail ?? "It does not fit."}`, {
        errors: parsed.errors.map(({ pointer, detail }) => ({ pointer, detail })),
      }),
    );
  }
  return ok({
    workflow: workflow.name,
    version: workflow.version,
    graph: workflow.graph(),
    input: parsed.value,
    open: open ?? workflow.open,
  });
}

function planInline({ version, input = {}, open = false, steps = {} }: Wanted): Result<Planned, Problem> {
  if (!open)
    return err(
      problemAt("invalid_request", { pointer: "/workflow" }, "Name a workflow, or start an open run."),
    );
  if (version !== undefined)
    return err(problemAt("invalid_request", { pointer: "/version" }, "Only a workflow has a version."));
  const compiled = compileSteps(steps);
  if (!compiled.ok) return err(badSteps(compiled.errors));
  const graph: Graph = {
    steps: compiled.steps,
    deadlineMs: limits.RUN_DEADLINE_MS,
    undoBudgetMs: limits.UNDO_BUDGET_MS,
    idleLimitMs: limits.IDLE_LIMIT_MS,
  };
  return ok({ ...INLINE, graph, input, open });
}

type Findings = Extract<ReturnType<typeof compileSteps>, { readonly ok: false }>["errors"];

export function badSteps(errors: Findings): Problem {
  const first = errors[0];
  return problem("bad_graph", `${first?.pointer ?? "/steps"}: ${first?.detail ?? "It does not fit."}`, {
    errors,
  });
}
