/** From the body of a start to what will run: a workflow of this deployment, or the first steps of an open run. */
import {
  compilePlan,
  compileSteps,
  INLINE_NAME,
  type CompiledPlan,
  type Registry,
  type StoredPlans,
} from "../define/index.ts";
import { type Graph, type Json, limits } from "../kernel/index.ts";
import { err, ok, type Result } from "../platform/index.ts";
import { type FieldError, type Problem, problem, problemAt } from "./problems.ts";

/** Stands as the workflow of an open run that has none. */
const INLINE = { workflow: INLINE_NAME, version: "1" } as const;

interface Wanted {
  readonly workflow?: string;
  readonly version?: string;
  readonly input?: Json;
  readonly open?: boolean;
  readonly steps?: Readonly<Record<string, Json>>;
  readonly plan?: Readonly<Record<string, Json>>;
}

export interface Planned {
  readonly workflow: string;
  readonly version: string;
  readonly graph: Graph;
  readonly input: Json;
  readonly open: boolean;
}

/** Where plans come from: this deployment's own workflows first, then what the tenant stored. */
export interface Sources {
  readonly workflows: Registry;
  readonly plans: StoredPlans;
  readonly tenant: string;
}

export async function planOf(sources: Sources, wanted: Wanted): Promise<Result<Planned, Problem>> {
  if (wanted.plan !== undefined) return planGiven(wanted.plan, wanted);
  if (wanted.workflow === undefined) return planInline(wanted);
  if (wanted.steps !== undefined) {
    const detail = "A workflow brings its own steps. To an open run others can be appended.";
    return err(problemAt("invalid_request", { pointer: "/steps" }, detail));
  }
  return sources.workflows.get(wanted.workflow) === null
    ? planStored(sources, wanted.workflow, wanted)
    : planWorkflow(sources.workflows, wanted.workflow, wanted);
}

async function planStored(
  { plans, tenant }: Sources,
  name: string,
  wanted: Wanted,
): Promise<Result<Planned, Problem>> {
  const found = await plans.find(tenant, name, wanted.version);
  switch (found.kind) {
    case "found":
      return ofPlan(found.plan, name, String(found.record.version), wanted);
    case "outdated":
      return err(badPlan(found.errors));
    case "no_such_name":
      return err(problemAt("unknown_workflow", { pointer: "/workflow" }, `There is no workflow ${name}.`));
    case "no_such_version":
      return err(problemAt("unknown_workflow", { pointer: "/version" }, `${name} has no such version.`));
  }
}

function planWorkflow(
  workflows: Registry,
  name: string,
  { version, input = {}, open }: Wanted,
): Result<Planned, Problem> {
  const workflow = workflows.get(name, version);
  if (workflow === null)
    return err(problemAt("unknown_workflow", { pointer: "/version" }, `${name} has no such version.`));
  const parsed = workflow.parseInput(input);
  if (!parsed.ok) return err(badInput(parsed.errors));
  return ok({
    workflow: workflow.name,
    version: workflow.version,
    graph: workflow.graph(),
    input: parsed.value,
    open: open ?? workflow.open,
  });
}

/** A plan that came with the request. */
function planGiven(given: Readonly<Record<string, Json>>, wanted: Wanted): Result<Planned, Problem> {
  const stray = (["workflow", "version", "steps"] as const).find((field) => wanted[field] !== undefined);
  if (stray !== undefined)
    return err(
      problemAt("invalid_request", { pointer: `/${stray}` }, "A run is of one thing: `plan` stands alone."),
    );
  const compiled = compilePlan(given, "/plan");
  if (!compiled.ok) return err(badPlan(compiled.errors));
  return ofPlan(compiled.plan, INLINE.workflow, INLINE.version, wanted);
}

function ofPlan(
  plan: CompiledPlan,
  workflow: string,
  version: string,
  { input = {}, open }: Wanted,
): Result<Planned, Problem> {
  const parsed = plan.parseInput(input);
  if (!parsed.ok) return err(badInput(parsed.errors));
  return ok({ workflow, version, graph: plan.graph, input: parsed.value, open: open ?? plan.open });
}

function badInput(errors: readonly FieldError[]): Problem {
  const first = errors[0];
  const detail = `${first?.pointer ?? "/input"}: ${first?.detail ?? "It does not fit."}`;
  return problem("invalid_input", detail, {
    errors: errors.map(({ pointer, detail }) => ({ pointer: pointer ?? "", detail })),
  });
}

function planInline({ version, input = {}, open = false, steps = {} }: Wanted): Result<Planned, Problem> {
  if (!open)
    return err(
      problemAt(
        "invalid_request",
        { pointer: "/workflow" },
        "Name a workflow, send a plan, or start an open run.",
      ),
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

export function badPlan(errors: Findings): Problem {
  const first = errors[0];
  const where = first?.pointer ?? "";
  return problem("bad_plan", `${where === "" ? "The plan" : where}: ${first?.detail ?? "It does not fit."}`, {
    errors,
  });
}

export function badSteps(errors: Findings): Problem {
  const first = errors[0];
  return problem("bad_graph", `${first?.pointer ?? "/steps"}: ${first?.detail ?? "It does not fit."}`, {
    errors,
  });
}
