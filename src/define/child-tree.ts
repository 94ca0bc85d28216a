/**
 * The workflows that steps name, those that these name, and so on: what is known of them before anything runs. What a
 * policy denies is not looked up, so that nothing is learnt of it. A child whose name is computed, and those of workflows in
 * TypeScript, are found out in the run.
 */

import type { Json, StepDef } from "../kernel/index.ts";
import { pointerTo } from "./check-auth.ts";
import { isMap } from "./expressions/index.ts";
import type { FoundStartable } from "./startable.ts";

/** Each one may have to be read and compiled. What is beyond is found out in the run. */
const MAX_CHILDREN = 20;

export interface NamedChild {
  readonly name: string;
  readonly version: string | undefined;
  readonly input: Json | undefined;
  /** Pointer to the parameters, from the plan. */
  readonly at: string;
}

export interface TreeSources {
  readonly find: (name: string, version?: string) => Promise<FoundStartable>;
  /** Why the policies do not let a workflow be started, by its name and, once they are known, its steps. Null: they do. */
  readonly denies: (workflow: string, steps: readonly StepDef[]) => string | null;
}

export interface ChildTree {
  /** Missing: it was denied, or is beyond what is looked up. */
  readonly found: (child: NamedChild) => FoundStartable | undefined;
  /** Why it cannot be started; `by`: the one of those that it starts that cannot, if it is not itself. Null: it can. */
  readonly denied: (child: NamedChild) => { readonly message: string; readonly by: string | null } | null;
  /** Whether a run of it comes to start another of its own, or of `itself`. */
  readonly returns: (child: NamedChild, itself: string | undefined) => boolean;
}

interface Node {
  readonly name: string;
  readonly found: FoundStartable | undefined;
  readonly denied: string | null;
  readonly children: readonly NamedChild[];
}

export function childrenIn(steps: readonly StepDef[]): NamedChild[] {
  return steps.flatMap((def) => {
    const { action, with: parameters } = def;
    if (action !== "run" || !isMap(parameters)) return [];
    const { workflow, version, input } = parameters;
    if (typeof workflow !== "string") return [];
    const at = `${pointerTo(def)}/with`;
    return [{ name: workflow, version: typeof version === "string" ? version : undefined, input, at }];
  });
}

/** What the steps name first, then what that names: the nearest come within the bound. */
export async function readChildren(
  named: readonly NamedChild[],
  { find, denies }: TreeSources,
): Promise<ChildTree> {
  const nodes = new Map<string, Node>();
  const queue = [...named];
  let lookUps = 0;
  for (let child = queue.shift(); child !== undefined; child = queue.shift()) {
    const key = keyOf(child);
    if (nodes.has(key)) continue;
    const { name, version } = child;
    const early = denies(name, []);
    if (early !== null || lookUps === MAX_CHILDREN) {
      nodes.set(key, { name, found: undefined, denied: early, children: [] });
      continue;
    }
    lookUps += 1;
    const found = await find(name, version);
    const steps = found.kind === "found" ? found.startable.graph.steps : [];
    const children = childrenIn(steps);
    nodes.set(key, { name, found, denied: denies(name, steps), children });
    queue.push(...children);
  }

  /** Depth first, each once. Null: nothing below fits. */
  function below(child: NamedChild, fits: (node: Node) => boolean): Node | null {
    const seen = new Set<string>();
    const left = [child];
    for (let one = left.pop(); one !== undefined; one = left.pop()) {
      const node = nodes.get(keyOf(one));
      if (node === undefined || seen.has(keyOf(one))) continue;
      seen.add(keyOf(one));
      if (fits(node)) return node;
      left.push(...node.children.toReversed());
    }
    return null;
  }

  return {
    found: (child) => nodes.get(keyOf(child))?.found,
    denied: (child) => {
      const node = below(child, ({ denied }) => denied !== null);
      if (node === null || node.denied === null) return null;
      return { message: node.denied, by: node.name === child.name ? null : node.name };
    },
    returns: (child, itself) => {
      if (child.name === itself) return true;
      const own = nodes.get(keyOf(child))?.children ?? [];
      return own.some((one) => below(one, ({ name }) => name === child.name || name === itself) !== null);
    },
  };
}

function keyOf({ name, version }: NamedChild): string {
  return JSON.stringify([name, version]);
}
