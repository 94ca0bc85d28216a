/** The queues of workflows, wired: how a run comes to its queue, how the queue comes to its runs, and who looks at it. */
import type { QueuesPort } from "./api/index.ts";
import { objectNamed } from "./compose-objects.ts";
import { type Logger, objectName } from "./platform/index.ts";
import type { FlowPort, RunRpc } from "./run/index.ts";
import type { FlowPorts, FlowRpc } from "./triggers/index.ts";

/** For runs: where they wait. */
export function createFlowPort(env: Env): FlowPort {
  return {
    enqueue: ({ tenant, workflow, ...ask }) => flowOf(env, tenant, workflow).enqueue(tenant, ask),
    release: (tenant, workflow, run, generation) =>
      flowOf(env, tenant, workflow).release(tenant, run, generation),
  };
}

/** For queues: whom they tell. */
export function createFlowPorts(runOf: (tenant: string, id: string) => RunRpc, log: Logger): FlowPorts {
  return { runOf, log, now: () => Date.now() };
}

/** For whoever looks. */
export function createQueues(env: Env): QueuesPort {
  return {
    standing: (tenant, workflow, run) => flowOf(env, tenant, workflow).standing(tenant, run),
    view: (tenant, workflow, first) => flowOf(env, tenant, workflow).view(tenant, first),
  };
}

/** The queue of a workflow: of the deployment or stored, names are one space. */
function flowOf(env: Env, tenant: string, workflow: string): FlowRpc {
  return objectNamed(env.FLOW, env.DB, objectName("flow", tenant, workflow)) as FlowRpc;
}
