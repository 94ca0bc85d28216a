/** Workflows, to look at. */
import { type CompiledPlan, type PlanRecord, type Registered, viewFlow } from "../define/index.ts";
import type { Graph } from "../kernel/index.ts";
import { problem } from "./problems.ts";
import { jsonResponse } from "./replies.ts";
import { type Route, route } from "./route.ts";
import { badPlan } from "./start-plan.ts";
import { workflowQuery } from "./request-schemas.ts";
import { Workflow, WorkflowList } from "./answer-workflows.ts";

export const WORKFLOW_ROUTES: readonly Route[] = [
  route({
    id: "listWorkflows",
    method: "GET",
    path: "/v1/workflows",
    rule: "workflows:read",
    tag: "Workflows",
    summary: "List the workflows",
    answers: [{ status: 200, description: "The newest version of each.", schema: WorkflowList }],
    handle: async ({ call, identity }) => {
      const { workflows, plans } = call.deps;
      const own = workflows.list().filter((one) => workflows.get(one.name) === one);
      // A deploy may have taken the name of a plan: then that is what the name means.
      const stored = (await plans.list(identity.tenant)).filter(({ name }) => workflows.get(name) === null);
      const data = [
        ...own.map(({ name, version, description }) => ({ name, version, description, kind: "typescript" })),
        ...stored.map(({ name, version, description }) => ({
          name,
          version: String(version),
          description,
          kind: "plan",
        })),
      ].toSorted((a, b) => (a.name < b.name ? -1 : 1));
      return jsonResponse({ data });
    },
  }),
  route({
    id: "getWorkflow",
    method: "GET",
    path: "/v1/workflows/{workflow}",
    rule: "workflows:read",
    tag: "Workflows",
    summary: "Look at a workflow: the schema of its input, its steps, its graph",
    query: workflowQuery,
    answers: [{ status: 200, description: "The workflow.", schema: Workflow }],
    problems: ["not_found", "bad_plan"],
    handle: async ({ call, identity, query }) => {
      const { workflows, plans } = call.deps;
      const name = call.params["workflow"] ?? "";
      if (workflows.get(name) === null) {
        const found = await plans.find(identity.tenant, name, query.version);
        if (found.kind === "found") return jsonResponse(viewPlan(found.record, found.plan));
        if (found.kind === "outdated") return badPlan(found.errors);
      }
      const workflow = workflows.get(name, query.version);
      if (workflow === null)
        return problem("not_found", "There is no such workflow, or not in this version.");
      return jsonResponse(viewWorkflow(workflow));
    },
  }),
];

function viewWorkflow(workflow: Registered): unknown {
  const { name, version, description, on } = workflow;
  const input = workflow.inputSchema();
  const flow = flowOf(workflow.flow());
  const shown = viewOf(workflow.graph());
  return { name, version, description, kind: "typescript", input, on, ...flow, ...shown };
}

function viewPlan({ name, version, body }: PlanRecord, plan: CompiledPlan): unknown {
  const { description, graph, inputSchema: input, on } = plan;
  const known = { name, version: String(version), description, kind: "plan", plan: body, input, on };
  return { ...known, ...flowOf(plan.flow), ...viewOf(graph) };
}

function flowOf(flow: CompiledPlan["flow"]): object {
  return flow === null ? {} : { flow: viewFlow(flow) };
}

function viewOf(graph: Graph): object {
  return { steps: graph.steps.map(viewStep), graph: viewGraph(graph) };
}

function viewStep(def: Graph["steps"][number]): unknown {
  return {
    name: def.name,
    action: def.action,
    effect: def.effect,
    part: def.part,
    needs: def.needs,
    join: def.join,
    conditional: def.when !== undefined,
    for_each: def.forEach !== undefined,
    repeats: def.repeat !== undefined,
    compensates: def.compensate !== undefined,
    ...(def.event !== undefined
      ? { waits_for_event: def.event }
      : def.signal === undefined
        ? {}
        : { waits_for: def.signal }),
    attempts: def.retry.attempts,
    timeout_ms: def.timeoutMs,
  };
}

function viewGraph(graph: Graph): unknown {
  return {
    edges: graph.steps.flatMap((def) => def.needs.map((from) => ({ from, to: def.name }))),
    deadline_ms: graph.deadlineMs,
    undo_budget_ms: graph.undoBudgetMs,
    idle_limit_ms: graph.idleLimitMs,
  };
}
