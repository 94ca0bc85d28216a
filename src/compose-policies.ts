/** What policies say to a run: to what a step sends, to what it holds, and to the runs that it starts. */
import {
  chainOf,
  judgeHolding,
  judgeRequest,
  judgeStart,
  type PolicyDeps,
  type Standing,
  tenantPolicy,
  usedBy,
} from "./access/index.ts";
import type { HoldingPolicyPort, PolicyCall, PolicyPort } from "./actions/index.ts";
import { judgeSteps } from "./api/index.ts";
import { authorOf } from "./compose-acquire.ts";
import { INLINE_NAME } from "./define/index.ts";
import type { PermitChild } from "./run/index.ts";

export interface PolicyPorts {
  readonly policy: PolicyPort;
  readonly holdingPolicy: HoldingPolicyPort;
  readonly permitChild: PermitChild;
}

/** @param isCode whether a workflow of this deployment has that name and version */
export function createPolicyPorts(
  deps: PolicyDeps,
  isCode: (workflow: string, version: string) => boolean,
): PolicyPorts {
  /** The tenant's policy as it is now; those of the run and of the step as they were pinned. Null: it cannot be known just now. */
  const chainFor = async ({ run, def }: PolicyCall): Promise<readonly Standing[] | null> => {
    const tenant = await tenantPolicy(deps, run.tenant, Date.now());
    return tenant.ok ? chainOf(tenant.value, run.policies, def.policies) : null;
  };
  /** Null: the step came as JSON. */
  const namedBy = (call: PolicyCall): string | null => {
    const name = authorOf(call, isCode);
    return name === INLINE_NAME ? null : name;
  };
  return {
    async policy(call, { url, method, ...carried }) {
      const chain = await chainFor(call);
      if (chain === null) return { kind: "unavailable" };
      const used = usedBy(carried, namedBy(call));
      return judgeRequest(chain, { host: url.hostname, method, path: url.pathname, ...used });
    },

    async holdingPolicy(call, name) {
      const chain = await chainFor(call);
      return chain === null
        ? { kind: "unavailable" }
        : judgeHolding(chain, { name, workflow: namedBy(call) });
    },

    // A child is judged as a start of its own would be, by the policies that bind the step that starts it.
    async permitChild(call, workflow, steps) {
      const chain = await chainFor(call);
      if (chain === null)
        return { kind: "unavailable", message: "The policy of the tenant cannot be read just now." };
      const started = judgeStart(chain, workflow);
      if (started.kind === "denied") return started;
      const judged = judgeSteps(chain, { workflow, steps, at: "", definitionAt: null });
      const [first] = judged.errors;
      if (first !== undefined) return { kind: "denied", message: first.detail };
      const { run, def } = call;
      const policies = [...(run.policies ?? []), ...(def.policies ?? [])];
      return { kind: "permitted", steps: judged.steps, policies };
    },
  };
}
