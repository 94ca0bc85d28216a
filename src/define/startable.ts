/** What can be started under a name: a workflow of this deployment first, then a plan that the tenant stored. */

import type { Finding } from "../actions/index.ts";
import type { Graph, Json } from "../kernel/index.ts";
import type { CompiledPlan } from "./compile-plan.ts";
import { workOut, type WorkedOut } from "./flow.ts";
import type { ParsedInput } from "./input.ts";
import type { Registry } from "./registry.ts";
import type { StoredPlans } from "./stored-plans.ts";

export interface StartableSources {
  readonly workflows: Registry;
  readonly plans: StoredPlans;
}

export interface Startable {
  readonly name: string;
  readonly version: string;
  readonly graph: Graph;
  /** Its runs are open unless their starter says otherwise. */
  readonly open: boolean;
  readonly parseInput: (json: Json) => ParsedInput;
  /** Where a run of this input (as it was parsed) and user waits; `undefined`: nowhere. What keeps it from being said is the input's fault. */
  readonly flow: (input: Json, user: string | null) => WorkedOut;
  /** JSON Schema of the input; `{}` if any is taken. */
  readonly inputSchema: () => Readonly<Record<string, unknown>>;
}

export type FoundStartable =
  | { readonly kind: "found"; readonly startable: Startable }
  | { readonly kind: "no_such_name" | "no_such_version" }
  /** The plan was stored when other rules held. */
  | { readonly kind: "outdated"; readonly errors: readonly Finding[] };

/** @param version missing: the newest */
export async function findStartable(
  { workflows, plans }: StartableSources,
  tenant: string,
  name: string,
  version?: string,
): Promise<FoundStartable> {
  if (workflows.get(name) !== null) {
    const workflow = workflows.get(name, version);
    if (workflow === null) return { kind: "no_such_version" };
    return {
      kind: "found",
      startable: {
        ...{ name, version: workflow.version, graph: workflow.graph(), open: workflow.open },
        parseInput: (json) => workflow.parseInput(json),
        flow: (input, user) => workOut(workflow.flow(), input, user),
        inputSchema: () => workflow.inputSchema(),
      },
    };
  }
  const found = await plans.find(tenant, name, version);
  if (found.kind !== "found") return found;
  return { kind: "found", startable: startableOf(found.plan, name, String(found.record.version)) };
}

/** A plan, as what would be started under its name. */
export function startableOf(plan: CompiledPlan, name: string, version: string): Startable {
  const { graph, open, parseInput, inputSchema, flow } = plan;
  return {
    ...{ name, version, graph, open },
    parseInput: (json) => parseInput(json),
    flow: (input, user) => workOut(flow, input, user),
    inputSchema: () => inputSchema,
  };
}
