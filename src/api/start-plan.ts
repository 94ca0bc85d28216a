/** From the body of a start to what will run: a workflow of this deployment, or the first steps of an open run. */
import {
  BESIDE_NOTHING,
  compilePlan,
  compileSteps,
  findStartable,
  INLINE_NAME,
  type PlannedFlow,
  type Startable,
  type StartableSources,
} from "../define/index.ts";
import { type Graph, type Json, limits, type StepDef } from "../kernel/index.ts";
import { err, ok, type Result } from "../platform/index.ts";
import { type FieldError, type Problem, problem, problemAt } from "./problems.ts";

/** Stands as the workflow of an open run that has none. */
const INLINE = { workflow: INLINE_NAME, version: "1" } as const;

/** The queue is that of a name; plans that come with a start share none. */
const UNSHARED_FLOW = {
  pointer: "/plan/flow",
  code: "flow_not_stored",
  detail: "Runs of one workflow wait for each other: store the plan under a name to give it a queue.",
} as const;

interface Wanted {
  readonly workflow?: string;
  readonly version?: string;
  readonly input?: Json;
  readonly open?: boolean;
  readonly steps?: Readonly<Record<string, Json>>;
  readonly plan?: Readonly<Record<string, Json>>;
}

/** Whom the run acts for. */
type User = string | null;

export interface Planned {
  readonly workflow: string;
  readonly version: string;
  readonly graph: Graph;
  readonly input: Json;
  readonly open: boolean;
  /** Where it waits; missing: nowhere. */
  readonly flow?: PlannedFlow;
}

/** Where a start finds what it names. */
export interface Sources extends StartableSources {
  readonly tenant: string;
}

/** Why there is no plan. */
export interface Unplanned {
  readonly problem: Problem;
  /** Of what came as JSON and does not fit: more may be wrong with it. */
  readonly flawed?: { readonly errors: readonly FieldError[]; readonly steps: readonly StepDef[] };
}

export async function planOf(
  sources: Sources,
  wanted: Wanted,
  user: User,
): Promise<Result<Planned, Unplanned>> {
  if (wanted.plan !== undefined) return planGiven(wanted.plan, wanted);
  if (wanted.workflow === undefined) return planInline(wanted);
  if (wanted.steps !== undefined) {
    const detail = "A workflow brings its own steps. To an open run others can be appended.";
    return none(problemAt("invalid_request", { pointer: "/steps" }, detail));
  }
  const planned = await planNamed(sources, wanted.workflow, wanted, user);
  return planned.ok ? planned : none(planned.error);
}

async function planNamed(
  sources: Sources,
  name: string,
  wanted: Wanted,
  user: User,
): Promise<Result<Planned, Problem>> {
  const found = await findStartable(sources, sources.tenant, name, wanted.version);
  switch (found.kind) {
    case "found": {
      const { startable } = found;
      const planned = ofStartable(startable, name, startable.version, wanted);
      if (!planned.ok) return planned;
      const flow = startable.flow(planned.value.input, user);
      if (!flow.ok) return err(badInput(flow.error));
      return ok(flow.value === undefined ? planned.value : { ...planned.value, flow: flow.value });
    }
    case "outdated":
      return err(badPlan(found.errors));
    case "no_such_name":
      return err(problemAt("unknown_workflow", { pointer: "/workflow" }, `There is no workflow ${name}.`));
    case "no_such_version":
      return err(problemAt("unknown_workflow", { pointer: "/version" }, `${name} has no such version.`));
  }
}

/** A plan that came with the request. */
function planGiven(given: Readonly<Record<string, Json>>, wanted: Wanted): Result<Planned, Unplanned> {
  const stray = (["workflow", "version", "steps"] as const).find((field) => wanted[field] !== undefined);
  if (stray !== undefined)
    return none(
      problemAt("invalid_request", { pointer: `/${stray}` }, "A run is of one thing: `plan` stands alone."),
    );
  const compiled = compilePlan(given, "/plan");
  if (!compiled.ok) return err({ problem: badPlan(compiled.errors), flawed: compiled });
  if (compiled.plan.flow !== null) return none(badPlan([UNSHARED_FLOW]));
  const planned = ofStartable(compiled.plan, INLINE.workflow, INLINE.version, wanted);
  return planned.ok ? planned : none(planned.error);
}

function ofStartable(
  what: Pick<Startable, "graph" | "open" | "parseInput">,
  workflow: string,
  version: string,
  { input = {}, open }: Wanted,
): Result<Planned, Problem> {
  const parsed = what.parseInput(input);
  if (!parsed.ok) return err(badInput(parsed.errors));
  return ok({ workflow, version, graph: what.graph, input: parsed.value, open: open ?? what.open });
}

function badInput(errors: readonly FieldError[]): Problem {
  const first = errors[0];
  const detail = `${first?.pointer ?? "/input"}: ${first?.detail ?? "It does not fit."}`;
  return problem("invalid_input", detail, {
    errors: errors.map(({ pointer, detail }) => ({ pointer: pointer ?? "", detail })),
  });
}

function none(problem: Problem): Result<Planned, Unplanned> {
  return err({ problem });
}

function planInline({ version, input = {}, open = false, steps = {} }: Wanted): Result<Planned, Unplanned> {
  if (!open)
    return none(
      problemAt(
        "invalid_request",
        { pointer: "/workflow" },
        "Name a workflow, send a plan, or start an open run.",
      ),
    );
  if (version !== undefined)
    return none(problemAt("invalid_request", { pointer: "/version" }, "Only a workflow has a version."));
  const compiled = compileSteps(steps, "/steps", "author", BESIDE_NOTHING);
  if (!compiled.ok) return err({ problem: badSteps(compiled.errors), flawed: compiled });
  const graph: Graph = {
    steps: compiled.steps,
    deadlineMs: limits.RUN_DEADLINE_MS,
    undoBudgetMs: limits.UNDO_BUDGET_MS,
    idleLimitMs: limits.IDLE_LIMIT_MS,
  };
  return ok({ ...INLINE, graph, input, open });
}

export function badPlan(errors: readonly FieldError[]): Problem {
  const first = errors[0];
  const where = first?.pointer ?? "";
  return problem("bad_plan", `${where === "" ? "The plan" : where}: ${first?.detail ?? "It does not fit."}`, {
    errors,
  });
}

export function badSteps(errors: readonly FieldError[]): Problem {
  const first = errors[0];
  return problem("bad_graph", `${first?.pointer ?? "/steps"}: ${first?.detail ?? "It does not fit."}`, {
    errors,
  });
}
