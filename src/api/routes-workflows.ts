/** Workflows, to look at. */
import type { Registered } from "../define/index.ts";
import type { Graph } from "../kernel/index.ts";
import { problem } from "./problems.ts";
import { jsonResponse } from "./replies.ts";
import { type Route, route } from "./route.ts";
import { workflowQuery } from "./request-schemas.ts";
import { Workflow, WorkflowList } from "./answer-schemas.ts";

export const WORKFLOW_ROUTES: readonly Route[] = [
  route({
    id: "listWorkflows",
    method: "GET",
    path: "/v1/workflows",
    rule: "workflows:read",
    tag: "Workflows",
    summary: "List the workflows",
    answers: [{ status: 200, description: "The newest version of each.", schema: WorkflowList }],
    handle: async ({ call }) => {
      const { workflows } = call.deps;
      const newest = workflows.list().filter((one) => workflows.get(one.name) === one);
      const data = newest
        .map(({ name, version, description }) => ({ name, version, description }))
        .toSorted((a, b) => (a.name < b.name ? -1 : 1));
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
    problems: ["not_found"],
    handle: async ({ call, query }) => {
      const workflow = call.deps.workflows.get(call.params["workflow"] ?? "", query.version);
      if (workflow === null)
        return problem("not_found", "There is no such workflow, or not in this version.");
      return jsonResponse(viewWorkflow(workflow));
    },
  }),
];

function viewWorkflow(workflow: Registered): unknown {
  const { name, version, description } = workflow;
  const graph = workflow.graph();
  const input = workflow.inputSchema();
  return { name, version, description, input, steps: graph.steps.map(viewStep), graph: viewGraph(graph) };
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
    ...(def.signal === undefined ? {} : { waits_for: def.signal }),
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
